//! The async interface to [`crate::pipeline`]: a result cache, one refresh for an unknown kid, and
//! separate crypto threads.
//!
//! The key of the cache is the SHA-256 of the token, the request's options and the configuration's
//! generation. An entry is used only while the issuer's key set, our keys and the published key set
//! are the same as when it was made, and never after `exp`. The cache saves work. It proves nothing
//! and does not prevent replay.

mod error;
mod issuing;
mod pool;
mod request;
mod results;
mod settings;
mod stats;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use futures::FutureExt as _;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

pub use self::error::BridgeError;
pub use self::settings::BridgeSettings;
pub use self::stats::{BridgeStatus, CacheStatus, QueueStatus, RefusalCount, TokenCount};

use self::pool::Pool;
use self::request::{OwnedAsk, TokenRequest};
use self::results::{Entry, ResultKey, Results};
use self::stats::Stats;
use crate::clock::Clock;
use crate::issuer::{IssuerHandle, Issuers, Publisher, Snapshot};
use crate::jose::alg::Alg;
use crate::jose::asserted::AssertedClaims;
use crate::jose::jws::CompactJws;
use crate::jose::keyset::KeySet;
use crate::jose::names::{IssuerName, Limits, UnixTime};
use crate::jose::policy::IssuerPolicy;
use crate::jose::publish::PublishedKids;
use crate::jose::refusal::Refusal;
use crate::keyring::Keyring;
use crate::otel::{self, Work};
use crate::pipeline::{self, Ask, Context, Countersigned, Verdict};
use crate::profile::Profile;

/// How often a caller waits again if the result of another caller became invalid.
const MAX_WAITS: u32 = 3;

/// The modules that the bridge joins.
pub struct BridgeDeps {
    pub issuers: Arc<Issuers>,
    pub publisher: Arc<Publisher>,
    pub keyring: Arc<Keyring>,
    pub profile: Profile,
    pub clock: Clock,
    pub settings: BridgeSettings,
}

/// The outcome for a token. It is kept and returned until `expires`, so nothing else in it may
/// depend on the clock.
#[derive(Debug, Clone)]
pub struct Bridged {
    /// The new token; `None` if the original is acceptable unchanged.
    pub jwt: Option<Arc<str>>,
    pub expires: UnixTime,
    pub issuer: IssuerName,
    /// `max_lifetime` shortened its life, so a later request can get a longer one.
    pub shortened: bool,
}

impl Bridged {
    /// Its name in counters.
    pub fn outcome(&self) -> &'static str {
        if self.jwt.is_some() { "countersigned" } else { "as_it_stands" }
    }
}

impl From<Countersigned> for Bridged {
    fn from(new: Countersigned) -> Self {
        let shortened = new.notes.contains(&"lifetime_capped");
        Self { jwt: Some(new.jwt.into()), expires: new.expires, issuer: new.issuer, shortened }
    }
}

pub struct Bridge {
    pub(crate) issuers: Arc<Issuers>,
    publisher: Arc<Publisher>,
    keyring: Arc<Keyring>,
    profile: ArcSwap<Profile>,
    clock: Clock,
    pub(crate) limits: Limits,
    results: Results,
    pool: Pool,
    stats: Stats,
    /// Grows with each reload; part of every cache key.
    generation: AtomicU64,
}

impl Bridge {
    /// # Errors
    /// When the system refuses the crypto threads.
    pub fn new(deps: BridgeDeps) -> std::io::Result<Self> {
        let settings = deps.settings;
        Ok(Self {
            issuers: deps.issuers,
            publisher: deps.publisher,
            keyring: deps.keyring,
            profile: ArcSwap::from_pointee(deps.profile),
            results: results::new(settings.cache_bytes as u64, deps.clock.clone()),
            clock: deps.clock,
            limits: settings.limits,
            pool: Pool::new(settings.threads(), settings.queue)?,
            stats: Stats::default(),
            generation: AtomicU64::new(0),
        })
    }

    /// Uses another profile and discards every result.
    pub fn reload(&self, profile: Profile) {
        self.profile.store(Arc::new(profile));
        self.forget();
    }

    /// The algorithm of our signatures now.
    pub fn signing_alg(&self) -> Alg {
        self.keyring.snapshot().active.alg()
    }

    /// Discards every result, because the issuers changed.
    pub fn forget(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.results.invalidate_all();
    }

    /// Verifies `token`, and signs it again if the profile requires it. Concurrent calls for the
    /// same token wait for one result.
    ///
    /// # Errors
    /// [`BridgeError`]; then nothing was signed and nothing is cached.
    pub async fn countersign(
        self: &Arc<Self>,
        token: &str,
        ask: &Ask<'_>,
    ) -> Result<Bridged, BridgeError> {
        // Before hashing: a token over the limit costs nothing.
        if token.len() > self.limits.token {
            return Err(self.refused("-", Refusal::TooLarge { limit: self.limits.token }));
        }
        // Read before anything that the result depends on. After a reload, no later request uses
        // this cache key.
        let key = results::key(self.generation.load(Ordering::Acquire), token, ask);
        if let Some(cached) = self.cached(&key).await {
            self.stats.hits.fetch_add(1, Ordering::Relaxed);
            otel::issuer(&cached.issuer);
            return Ok(cached);
        }
        let (started, work) = (Instant::now(), Work::countersign());
        let result = self.countersign_uncached(token, ask, key).await;
        self.stats.latency.record(started.elapsed());
        let (issuer, code) = match &result {
            Ok(bridged) => (Some(&bridged.issuer), bridged.outcome()),
            Err(error) => (None, error.code()),
        };
        work.end(&otel::Outcome { issuer, code, failed: result.is_err() });
        result
    }

    async fn cached(&self, key: &ResultKey) -> Option<Bridged> {
        let entry = self.results.get(key).await?;
        if self.is_fresh(&entry) {
            return Some(entry.bridged.clone());
        }
        self.results.invalidate(key).await;
        None
    }

    /// Whether everything that the result depends on is unchanged.
    fn is_fresh(&self, entry: &Entry) -> bool {
        entry.fresh_until > self.clock.now()
            && entry.signer == *self.keyring.snapshot().active.kid()
            && entry.handle.snapshot().is_some_and(|s| s.epoch == entry.issuer_epoch)
            && same(&entry.kids, &self.publisher.kids_for(&entry.bridged.issuer))
    }

    async fn countersign_uncached(
        self: &Arc<Self>,
        token: &str,
        ask: &Ask<'_>,
        key: ResultKey,
    ) -> Result<Bridged, BridgeError> {
        // Padding is a flag of the issuer, and the issuer is known only after parsing: `verify`
        // checks it.
        let jws = CompactJws::parse(token.to_owned(), &self.limits, true)
            .inspect_err(|refusal| self.count_miss("-", "-", refusal.code()))?;
        let alg = jws.unverified_header().alg.name();
        let handle =
            self.issuer_of(&jws).inspect_err(|error| self.count_miss("-", alg, error.code()))?;
        otel::issuer(handle.name());
        let count_error = |error: &BridgeError| {
            self.count_miss(handle.name().as_str(), alg, error.code());
        };
        let snapshot = match handle.snapshot() {
            Some(snapshot) => Some(snapshot),
            None => handle.fresh_for(None).await,
        };
        let snapshot = snapshot.ok_or(BridgeError::KeysUnavailable).inspect_err(count_error)?;
        let request =
            TokenRequest { jws, ask: OwnedAsk::of(ask), handle: handle.clone(), snapshot };
        let (result, own) = self.shared(Arc::new(request), key).await;
        // If another caller's run was refused, this caller is refused too. If it succeeded, this is
        // a hit.
        match &result {
            _ if own => {}
            Ok(_) => drop(self.stats.hits.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                if *error == BridgeError::Overloaded {
                    self.pool.overloaded.fetch_add(1, Ordering::Relaxed);
                }
                count_error(error);
            }
        }
        result
    }

    /// Counts the outcome of a token that was not in the cache.
    fn count_miss(&self, issuer: &str, alg: &'static str, outcome: &'static str) {
        self.stats.misses.fetch_add(1, Ordering::Relaxed);
        self.stats.outcome(issuer, alg, outcome);
    }

    /// The issuer that the token names.
    fn issuer_of(&self, jws: &CompactJws<'_>) -> Result<Arc<IssuerHandle>, BridgeError> {
        self.issuers.of_token(jws).map_err(|refusal| match refusal {
            // Discovery has not succeeded yet. The issuers are unknown, so no token is called invalid.
            Refusal::IssuerUnknown { .. } | Refusal::IssuerMissing
                if self.issuers.is_undecided() =>
            {
                BridgeError::KeysUnavailable
            }
            refusal => refusal.into(),
        })
    }

    /// The result of one run for all concurrent callers, and whether this caller started the run.
    ///
    /// The run is a task. If the first caller disconnects, the others still get their result, and
    /// it is not computed again.
    async fn shared(
        self: &Arc<Self>,
        request: Arc<TokenRequest>,
        key: ResultKey,
    ) -> (Result<Bridged, BridgeError>, bool) {
        for _ in 0..MAX_WAITS {
            let (bridge, request) = (self.clone(), request.clone());
            // Boxed: tokio moves a task's future and its output several times.
            let flight = Box::pin(async move {
                let mut own = false;
                let run = async {
                    own = true;
                    bridge.run(&request).await
                };
                let entry = bridge.results.try_get_with(key, run).await;
                (entry, own)
            });
            match tokio::spawn(flight.instrument(Span::current())).await {
                // Another caller's run may have started before the issuer's keys or ours changed.
                Ok((Ok(entry), own)) if own || self.is_fresh(&entry) => {
                    return (Ok(entry.bridged.clone()), own);
                }
                Ok((Ok(_), _)) => self.results.invalidate(&key).await,
                Ok((Err(error), own)) => return (Err(BridgeError::clone(&error)), own),
                Err(_) => return (Err(BridgeError::Stopped), true),
            }
        }
        (self.run(&request).await.map(|entry| entry.bridged.clone()), true)
    }

    /// Verifies and signs. If the token names an unknown key, once more with fresh keys. The outcome
    /// is counted even if nobody waits for it any more.
    async fn run(&self, request: &Arc<TokenRequest>) -> Result<Arc<Entry>, BridgeError> {
        let TokenRequest { jws, handle, snapshot: known, .. } = &**request;
        let mut result = self.sign(request, known.clone()).await;
        if let Err(BridgeError::Refused(Refusal::KidUnknown)) = result
            && let Some(fresh) = handle.fresh_for(jws.unverified_header().kid.as_deref()).await
            && fresh.epoch != known.epoch
        {
            result = self.sign(request, fresh).await;
        }
        let outcome = result.as_ref().map_or_else(BridgeError::code, |made| made.bridged.outcome());
        self.count_miss(handle.name().as_str(), jws.unverified_header().alg.name(), outcome);
        result
    }

    /// One run of the pure pipeline, on a crypto thread.
    async fn sign(
        &self,
        request: &Arc<TokenRequest>,
        snapshot: Arc<Snapshot>,
    ) -> Result<Arc<Entry>, BridgeError> {
        let handle = request.handle.clone();
        let policy = handle.policy();
        let ring = self.keyring.snapshot();
        let kids = self.publisher.kids_for(&policy.name);
        let profile = self.profile.load_full();
        let (issuer_epoch, signer) = (snapshot.epoch, ring.active.kid().clone());
        let published = kids.clone();
        let (limits, now) = (self.limits, self.clock.now());
        let request = request.clone();
        let job = move || {
            let context = Context {
                policy: &policy,
                keys: &snapshot.keys,
                published: &published,
                signer: &ring.active,
                profile: &profile,
                limits: &limits,
                now,
            };
            let ask = request.ask.borrow();
            let verdict = pipeline::countersign_pausing(&request.jws, &context, &ask, pool::pause)?;
            // Frees here what was allocated here and is not kept. Memory that another thread frees
            // becomes available late, and not in this core's cache.
            Ok::<_, Refusal>(match verdict {
                Verdict::AsItStands { expires, .. } => {
                    Bridged { jwt: None, expires, issuer: policy.name.clone(), shortened: false }
                }
                Verdict::Countersigned(new) => new.into(),
            })
        };
        let bridged = self.pool.run(job).await??;
        if bridged.jwt.is_some() {
            // Before the token leaves: its key must stay published until the token has expired,
            // even if this process is killed now.
            self.keyring.note_signed(bridged.expires).await;
        }
        let fresh_until = results::fresh_until(bridged.expires, bridged.shortened, now);
        Ok(Arc::new(Entry { bridged, fresh_until, handle, issuer_epoch, signer, kids }))
    }

    /// Signs claims that the authorization server asserted without a signature. Never cached.
    ///
    /// # Errors
    /// [`BridgeError`]; then nothing was signed.
    pub async fn sign_asserted(
        &self,
        claims: AssertedClaims,
        policy: Arc<IssuerPolicy>,
        ask: &Ask<'_>,
    ) -> Result<Bridged, BridgeError> {
        let ring = self.keyring.snapshot();
        let kids = self.publisher.kids_for(&policy.name);
        let profile = self.profile.load_full();
        let issuer = policy.name.clone();
        let (limits, now) = (self.limits, self.clock.now());
        let ask = OwnedAsk::of(ask);
        let job = move || {
            let context = Context {
                policy: &policy,
                keys: &KeySet::default(),
                published: &kids,
                signer: &ring.active,
                profile: &profile,
                limits: &limits,
                now,
            };
            pipeline::sign_claims(claims, &context, &ask.borrow()).map(Bridged::from)
        };
        let signed = self.pool.run(job).await?;
        let bridged = signed.map_err(|refusal| self.refused(issuer.as_str(), refusal))?;
        self.keyring.note_signed(bridged.expires).await;
        self.stats.outcome(issuer.as_str(), "-", "countersigned");
        Ok(bridged)
    }

    /// The original of a token that this program signed. `None` if `token` is not ours or does not
    /// carry it.
    pub fn restore(&self, token: &str) -> Option<String> {
        let ring = self.keyring.snapshot();
        let original = pipeline::restore(token, &ring.public, &self.limits)?;
        self.stats.restored.fetch_add(1, Ordering::Relaxed);
        Some(original)
    }

    /// The current verifier profile.
    pub fn profile(&self) -> Arc<Profile> {
        self.profile.load_full()
    }

    pub fn status(&self) -> BridgeStatus {
        // The count is from the last housekeeping run, which may be in progress.
        let _ = self.results.run_pending_tasks().now_or_never();
        self.stats.status(&self.results, self.pool.status())
    }

    /// Counts a refusal of a token whose algorithm is not known.
    fn refused(&self, issuer: &str, refusal: Refusal) -> BridgeError {
        self.stats.outcome(issuer, "-", refusal.code());
        BridgeError::Refused(refusal)
    }
}

/// Compares by value only if they are two objects, which happens once after a change.
fn same(a: &Arc<PublishedKids>, b: &Arc<PublishedKids>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}
