//! The async interface to [`crate::pipeline`]: a result cache, one refresh for an unknown kid, and
//! separate crypto threads.
//!
//! The key of the cache is the SHA-256 of the token, the request's options and the configuration's
//! generation. An entry is used only while the issuer's key set, our keys and the published key set
//! are the same as when it was made, and never after `exp`. The cache saves work. It proves nothing
//! and does not prevent replay.

mod asked;
mod error;
mod issuing;
mod pool;
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

use self::asked::{Asked, OwnedAsk};
use self::pool::{NotDone, Pool};
use self::results::{Entry, ResultKey, Results};
use self::stats::Stats;
use crate::clock::Clock;
use crate::issuer::{IssuerHandle, Issuers, Publisher, Snapshot};
use crate::jose::alg::Alg;
use crate::jose::asserted::AssertedClaims;
use crate::jose::jws::CompactJws;
use crate::jose::keyset::KeySet;
use crate::jose::names::{Issuer, IssuerName, Limits, UnixTime};
use crate::jose::policy::IssuerPolicy;
use crate::jose::publish::PublishedKids;
use crate::jose::refusal::Refusal;
use crate::keyring::Keyring;
use crate::otel::{self, Work};
use crate::pipeline::{self, Ask, Context, Countersigned, Verdict};
use crate::profile::Profile;

/// How often a caller waits again if the result of another caller became invalid.
const ROUNDS: u32 = 3;

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
    issuers: Arc<Issuers>,
    publisher: Arc<Publisher>,
    keyring: Arc<Keyring>,
    profile: ArcSwap<Profile>,
    clock: Clock,
    limits: Limits,
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

    /// Whether tokens with `alg` may pass unchanged.
    pub fn accepts(&self, alg: Alg) -> bool {
        self.profile.load().accepts.contains(alg)
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
        if let Some(hit) = self.hit(&key).await {
            self.stats.hits.fetch_add(1, Ordering::Relaxed);
            otel::issuer(&hit.issuer);
            return Ok(hit);
        }
        let (started, work) = (Instant::now(), Work::countersign());
        let result = self.miss(token, ask, key).await;
        self.stats.took(started.elapsed());
        let (issuer, code) = match &result {
            Ok(bridged) => (Some(&bridged.issuer), bridged.outcome()),
            Err(error) => (None, error.code()),
        };
        work.end(&otel::Outcome { issuer, code, failed: result.is_err() });
        result
    }

    async fn hit(&self, key: &ResultKey) -> Option<Bridged> {
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

    async fn miss(
        self: &Arc<Self>,
        token: &str,
        ask: &Ask<'_>,
        key: ResultKey,
    ) -> Result<Bridged, BridgeError> {
        let missed = || self.stats.misses.fetch_add(1, Ordering::Relaxed);
        // Padding is a flag of the issuer, and the issuer is known only after parsing: `verify`
        // checks it.
        let jws = match CompactJws::parse(token.to_owned(), &self.limits, true) {
            Ok(jws) => jws,
            Err(refusal) => {
                missed();
                return Err(self.refused("-", refusal));
            }
        };
        let alg = jws.unverified_header().alg;
        let handle = match self.issuer_of(&jws) {
            Ok(handle) => handle,
            Err(error) => {
                missed();
                self.stats.outcome("-", alg.name(), error.code());
                return Err(error);
            }
        };
        otel::issuer(handle.name());
        let snapshot = match handle.snapshot() {
            Some(snapshot) => Some(snapshot),
            None => handle.fresh_for(None).await,
        };
        let Some(snapshot) = snapshot else {
            let result = Err(BridgeError::KeysUnavailable);
            self.judged(&handle, alg, &result);
            return result;
        };
        let asked = Asked { jws, ask: OwnedAsk::of(ask), handle: handle.clone(), snapshot };
        let (result, own) = self.shared(Arc::new(asked), key).await;
        // If another caller's run was refused, this caller is refused too. If it succeeded, this is
        // a hit.
        match &result {
            _ if own => {}
            Ok(_) => drop(self.stats.hits.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                if *error == BridgeError::Overloaded {
                    self.stats.overloaded.fetch_add(1, Ordering::Relaxed);
                }
                self.judged(&handle, alg, &result);
            }
        }
        result
    }

    /// Counts a token that was not in the cache.
    fn judged(&self, handle: &IssuerHandle, alg: Alg, result: &Result<Bridged, BridgeError>) {
        self.stats.misses.fetch_add(1, Ordering::Relaxed);
        let outcome = match result {
            Ok(bridged) => bridged.outcome(),
            Err(error) => error.code(),
        };
        self.stats.outcome(handle.name().as_str(), alg.name(), outcome);
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
        asked: Arc<Asked>,
        key: ResultKey,
    ) -> (Result<Bridged, BridgeError>, bool) {
        for _ in 0..ROUNDS {
            let (bridge, asked) = (self.clone(), asked.clone());
            // Boxed: tokio moves a task's future and its output several times.
            let flight = Box::pin(async move {
                let mut own = false;
                let run = async {
                    own = true;
                    bridge.counted(&asked).await
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
        (self.counted(&asked).await.map(|entry| entry.bridged.clone()), true)
    }

    /// A run. It is counted even if nobody waits for it any more.
    async fn counted(&self, asked: &Arc<Asked>) -> Result<Arc<Entry>, BridgeError> {
        let made = self.run(asked).await;
        let result = made.as_ref().map(|entry| entry.bridged.clone()).map_err(BridgeError::clone);
        self.judged(&asked.handle, asked.jws.unverified_header().alg, &result);
        made
    }

    /// Verifies and signs. If the token names an unknown key, once more with fresh keys.
    async fn run(&self, asked: &Arc<Asked>) -> Result<Arc<Entry>, BridgeError> {
        let known = &asked.snapshot;
        let first = self.sign(asked, known.clone()).await;
        if let Err(BridgeError::Refused(Refusal::KidUnknown)) = first
            && let Some(fresh) =
                asked.handle.fresh_for(asked.jws.unverified_header().kid.as_deref()).await
            && fresh.epoch != known.epoch
        {
            return self.sign(asked, fresh).await;
        }
        first
    }

    /// One run of the pure pipeline, on a crypto thread.
    async fn sign(
        &self,
        asked: &Arc<Asked>,
        snapshot: Arc<Snapshot>,
    ) -> Result<Arc<Entry>, BridgeError> {
        let handle = asked.handle.clone();
        let policy = handle.policy();
        let ring = self.keyring.snapshot();
        let kids = self.publisher.kids_for(&policy.name);
        let profile = self.profile.load_full();
        let (issuer_epoch, signer) = (snapshot.epoch, ring.active.kid().clone());
        let published = kids.clone();
        let (limits, now) = (self.limits, self.clock.now());
        let asked = asked.clone();
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
            let ask = asked.ask.borrow();
            let verdict = pipeline::countersign_pausing(&asked.jws, &context, &ask, pool::pause)?;
            // Frees here what was allocated here and is not kept. Memory that another thread frees
            // becomes available late, and not in this core's cache.
            Ok::<_, Refusal>(match verdict {
                Verdict::AsItStands { expires, .. } => {
                    Bridged { jwt: None, expires, issuer: policy.name.clone(), shortened: false }
                }
                Verdict::Countersigned(new) => new.into(),
            })
        };
        let bridged = self.on_crypto_thread(job).await??;
        if bridged.jwt.is_some() {
            // Before the token leaves: its key must stay published until the token has expired,
            // even if this process is killed now.
            self.keyring.note_signed(bridged.expires).await;
        }
        let fresh_until = results::fresh_until(bridged.expires, bridged.shortened, now);
        Ok(Arc::new(Entry { bridged, fresh_until, handle, issuer_epoch, signer, kids }))
    }

    async fn on_crypto_thread<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BridgeError> {
        self.pool.run(job).await.map_err(|not_done| match not_done {
            NotDone::Full => {
                self.stats.overloaded.fetch_add(1, Ordering::Relaxed);
                BridgeError::Overloaded
            }
            NotDone::Stopped => BridgeError::Stopped,
        })
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The policy of a configured issuer.
    pub fn policy_of(&self, name: &IssuerName) -> Option<Arc<IssuerPolicy>> {
        self.issuers.by_name(name).map(|handle| handle.policy())
    }

    /// The policy of the issuer whose `iss` this is.
    pub fn policy_for(&self, iss: &Issuer) -> Option<Arc<IssuerPolicy>> {
        self.issuers.by_iss(iss.as_str()).map(|handle| handle.policy())
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
        let signed = self.on_crypto_thread(job).await?;
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
        let mut status = self.stats.status();
        // The count is from the last housekeeping run, which may be in progress.
        let _ = self.results.run_pending_tasks().now_or_never();
        status.cache.entries = self.results.entry_count();
        status.cache.bytes = self.results.weighted_size();
        status.queue.depth = self.pool.depth();
        status.queue.limit = self.pool.limit();
        status.queue.threads = self.pool.threads();
        status
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
