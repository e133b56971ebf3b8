//! The async face of [`crate::pipeline`]: a result cache, one refresh on an unknown kid, and
//! crypto threads of its own.
//!
//! The cache is keyed by the SHA-256 of the token and of what was asked, and an entry is used only
//! while the issuer's set, our keys, what is published and the configuration are those it was made
//! under, and never past `exp`. It saves work; it proves nothing and is no replay guard.

mod error;
mod issuing;
mod pool;
mod stats;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::time::Instant;

pub use self::error::BridgeError;
pub use self::stats::{BridgeStatus, Outcome};

use self::pool::{NotDone, Pool};
use self::stats::Stats;
use crate::clock::Clock;
use crate::config::BridgeSettings;
use crate::issuer::{IssuerHandle, Issuers, Publisher, Snapshot};
use crate::jose::alg::Alg;
use crate::jose::jws::CompactJws;
use crate::jose::keyset::KeySet;
use crate::jose::names::{Audience, Issuer, IssuerName, Kid, Limits, UnixTime};
use crate::jose::policy::IssuerPolicy;
use crate::jose::publish::PublishedKids;
use crate::jose::refusal::Refusal;
use crate::jose::vouched::Vouched;
use crate::keyring::Keyring;
use crate::otel::{self, Work};
use crate::pipeline::{self, Ask, Companions, Context, Countersigned, Verdict};
use crate::profile::Profile;

/// The rooms the bridge joins.
pub struct BridgeDeps {
    pub issuers: Arc<Issuers>,
    pub publisher: Arc<Publisher>,
    pub keyring: Arc<Keyring>,
    pub profile: Profile,
    pub clock: Clock,
    pub settings: BridgeSettings,
}

/// What became of a token.
#[derive(Debug, Clone)]
pub struct Bridged {
    /// The new token; `None` when the old one is acceptable as it stands.
    pub jwt: Option<Arc<str>>,
    pub expires: UnixTime,
    pub issuer: IssuerName,
}

impl Bridged {
    /// The word for it in counters.
    pub fn outcome(&self) -> &'static str {
        if self.jwt.is_some() { "countersigned" } else { "as_it_stands" }
    }
}

impl From<Countersigned> for Bridged {
    fn from(new: Countersigned) -> Self {
        Self { jwt: Some(new.jwt.into()), expires: new.expires, issuer: new.issuer }
    }
}

/// A result and all it depends on.
struct Entry {
    bridged: Bridged,
    handle: Arc<IssuerHandle>,
    issuer_epoch: u64,
    /// The key of ours that signed; while it signs, it is published.
    signer: Kid,
    generation: u64,
    kids: Arc<PublishedKids>,
}

type Key = [u8; 32];

/// What an entry weighs beside its token, bytes.
const BESIDE: u64 = 256;
/// What an entry usually weighs, bytes.
const USUAL: u64 = 1024;

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Entry>> for Weight {
    fn weight(&self, _: &Key, entry: &Arc<Entry>) -> u64 {
        entry.bridged.jwt.as_ref().map_or(0, |jwt| jwt.len() as u64) + BESIDE
    }
}

/// Where a result is kept, and the configuration it was asked under.
#[derive(Clone, Copy)]
struct Slot {
    key: Key,
    generation: u64,
}

pub struct Bridge {
    issuers: Arc<Issuers>,
    publisher: Arc<Publisher>,
    keyring: Arc<Keyring>,
    profile: ArcSwap<Profile>,
    clock: Clock,
    limits: Limits,
    cache: Cache<Key, Arc<Entry>, Weight>,
    pool: Pool,
    stats: Stats,
    /// Grows with each reload; an older entry is not used.
    generation: AtomicU64,
}

impl Bridge {
    /// # Errors
    /// When the system refuses the crypto threads.
    pub fn new(deps: BridgeDeps) -> std::io::Result<Self> {
        let settings = deps.settings;
        let entries = usize::try_from(settings.cache_bytes / USUAL).unwrap_or(usize::MAX);
        Ok(Self {
            issuers: deps.issuers,
            publisher: deps.publisher,
            keyring: deps.keyring,
            profile: ArcSwap::from_pointee(deps.profile),
            clock: deps.clock,
            limits: settings.limits,
            cache: Cache::with_weighter(entries, settings.cache_bytes, Weight),
            pool: Pool::new(settings.threads, settings.queue)?,
            stats: Stats::default(),
            generation: AtomicU64::new(0),
        })
    }

    /// Takes another profile, and forgets every result.
    pub fn reload(&self, profile: Profile) {
        self.profile.store(Arc::new(profile));
        self.forget();
    }

    /// The algorithm of our signatures now.
    pub fn signing_alg(&self) -> Alg {
        self.keyring.snapshot().active.alg()
    }

    /// Whether tokens of `alg` may pass as they stand.
    pub fn accepts(&self, alg: Alg) -> bool {
        self.profile.load().accepts.contains(alg)
    }

    /// Forgets every result: issuers have changed.
    pub fn forget(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.cache.clear();
    }

    /// Verifies `token` and signs it anew where the profile asks for it.
    ///
    /// # Errors
    /// [`BridgeError`]; nothing was signed then.
    pub async fn countersign(&self, token: &str, ask: &Ask<'_>) -> Result<Bridged, BridgeError> {
        // Before hashing: a token over the limit costs nothing.
        if token.len() > self.limits.token {
            return Err(self.refused("-", None, Refusal::TooLarge { limit: self.limits.token }));
        }
        // Read before anything the result depends on: what a reload overtakes is void.
        let generation = self.generation.load(Ordering::Acquire);
        let key = key(token, ask);
        if let Some(hit) = self.hit(&key) {
            self.stats.hits.fetch_add(1, Ordering::Relaxed);
            otel::issuer(&hit.issuer);
            return Ok(hit);
        }
        self.stats.misses.fetch_add(1, Ordering::Relaxed);
        let (started, work) = (Instant::now(), Work::countersign());
        let result = self.miss(token, ask, Slot { key, generation }).await;
        self.stats.took(started.elapsed());
        let (issuer, code) = match &result {
            Ok(bridged) => (Some(&bridged.issuer), bridged.outcome()),
            Err(error) => (None, error.code()),
        };
        work.end(&otel::Outcome { issuer, code, failed: result.is_err() });
        result
    }

    fn hit(&self, key: &Key) -> Option<Bridged> {
        let entry = self.cache.get(key)?;
        let fresh = entry.generation == self.generation.load(Ordering::Acquire)
            && entry.bridged.expires > self.clock.now()
            && entry.signer == *self.keyring.snapshot().active.kid()
            && entry.handle.snapshot().is_some_and(|s| s.epoch == entry.issuer_epoch)
            && same(&entry.kids, &self.publisher.kids_for(&entry.bridged.issuer));
        if fresh {
            return Some(entry.bridged.clone());
        }
        self.cache.remove(key);
        None
    }

    async fn miss(&self, token: &str, ask: &Ask<'_>, slot: Slot) -> Result<Bridged, BridgeError> {
        // Padding is an issuer's flag, and the issuer is known only after reading: `verify` judges it.
        let jws = CompactJws::parse(token.to_owned(), &self.limits, true)
            .map_err(|refusal| self.refused("-", None, refusal))?;
        let jws = Arc::new(jws);
        let alg = jws.unverified_alg();
        let iss = jws.unverified_issuer().map_err(|refusal| self.refused("-", alg, refusal))?;
        let Some(handle) = self.issuers.by_iss(iss.as_str()) else {
            // Nothing was learnt yet: whose tokens are good is not known, so none is called bad.
            if self.issuers.is_undecided() {
                self.stats.outcome("-", name(alg), "issuer_keys_unavailable");
                return Err(BridgeError::KeysUnavailable);
            }
            self.stats.outcome("-", name(alg), "issuer_unknown");
            return Err(BridgeError::IssuerUnknown);
        };
        otel::issuer(handle.name());
        let kid = jws.unverified_kid();
        let snapshot = match handle.snapshot() {
            Some(snapshot) => snapshot,
            None => match handle.fresh_for(None).await {
                Some(snapshot) => snapshot,
                None => {
                    let issuer = handle.policy();
                    self.stats.outcome(issuer.name.as_str(), name(alg), "issuer_keys_unavailable");
                    return Err(BridgeError::KeysUnavailable);
                }
            },
        };
        let epoch = snapshot.epoch;
        let mut result = self.sign(&jws, ask, &handle, snapshot, slot).await;
        if let Err(BridgeError::Refused(Refusal::KidUnknown)) = result
            && let Some(fresh) = handle.fresh_for(kid).await
            && fresh.epoch != epoch
        {
            result = self.sign(&jws, ask, &handle, fresh, slot).await;
        }
        let issuer = handle.policy();
        match &result {
            Ok(bridged) => self.stats.outcome(issuer.name.as_str(), name(alg), bridged.outcome()),
            Err(error) => self.stats.outcome(issuer.name.as_str(), name(alg), error.code()),
        }
        result
    }

    /// One run of the pure pipeline, on a crypto thread.
    async fn sign(
        &self,
        jws: &Arc<CompactJws<'static>>,
        ask: &Ask<'_>,
        handle: &Arc<IssuerHandle>,
        snapshot: Arc<Snapshot>,
        slot: Slot,
    ) -> Result<Bridged, BridgeError> {
        let policy = handle.policy();
        let ring = self.keyring.snapshot();
        let kids = self.publisher.kids_for(&policy.name);
        let profile = self.profile.load_full();
        let (issuer_epoch, signer) = (snapshot.epoch, ring.active.kid().clone());
        let published = kids.clone();
        let (limits, now) = (self.limits, self.clock.now());
        let (jws, ask) = (jws.clone(), OwnedAsk::of(ask));
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
            let verdict =
                pipeline::countersign_pausing(&jws, &context, &ask.borrow(), pool::pause)?;
            // What is made here and not kept is freed here: memory that another thread frees comes
            // back late, and cold.
            Ok::<_, Refusal>(match verdict {
                Verdict::AsItStands { expires } => {
                    Bridged { jwt: None, expires, issuer: policy.name.clone() }
                }
                Verdict::Countersigned(new) => new.into(),
            })
        };
        let bridged = self.on_crypto_thread(job).await??;
        if bridged.jwt.is_some() {
            // Before the token leaves: its key must stay published until it has expired, also when
            // this process dies now.
            self.keyring.note_signed(bridged.expires).await;
        }
        let entry = Entry {
            bridged: bridged.clone(),
            handle: handle.clone(),
            issuer_epoch,
            signer,
            generation: slot.generation,
            kids,
        };
        self.cache.insert(slot.key, Arc::new(entry));
        Ok(bridged)
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

    /// Signs claims the authorization server vouched for without a signature. Never cached.
    ///
    /// # Errors
    /// [`BridgeError`]; nothing was signed then.
    pub async fn sign_vouched(
        &self,
        claims: Vouched,
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
        let bridged = signed.map_err(|refusal| self.refused(issuer.as_str(), None, refusal))?;
        self.keyring.note_signed(bridged.expires).await;
        self.stats.outcome(issuer.as_str(), "-", "countersigned");
        Ok(bridged)
    }

    /// The original of a token this program signed, put together again; `None` when `token` is not
    /// one of ours or does not carry it.
    pub fn restore(&self, token: &str) -> Option<String> {
        let ring = self.keyring.snapshot();
        let original = pipeline::restore(token, &ring.public, &self.limits)?;
        self.stats.restored.fetch_add(1, Ordering::Relaxed);
        Some(original)
    }

    /// The verifier it works for now.
    pub fn profile(&self) -> Arc<Profile> {
        self.profile.load_full()
    }

    pub fn status(&self) -> BridgeStatus {
        let mut status = self.stats.status();
        status.cache_entries = self.cache.len() as u64;
        status.cache_bytes = self.cache.weight();
        status.queue_depth = self.pool.depth();
        status.threads = self.pool.threads();
        status
    }

    fn refused(&self, issuer: &str, alg: Option<Alg>, refusal: Refusal) -> BridgeError {
        self.stats.outcome(issuer, name(alg), refusal.code());
        BridgeError::Refused(refusal)
    }
}

/// Compared by value only where they are two objects, which is once after a change.
fn same(a: &Arc<PublishedKids>, b: &Arc<PublishedKids>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

fn name(alg: Option<Alg>) -> &'static str {
    alg.map_or("-", Alg::name)
}

/// Every part is preceded by its length, so no two askings share a key.
fn key(token: &str, ask: &Ask<'_>) -> Key {
    let mut hash = digest::Context::new(&digest::SHA256);
    let companions = &ask.companions;
    let parts = [
        Some(token),
        ask.audience.map(Audience::as_str),
        companions.access_token,
        companions.original_access_token,
        companions.code,
        companions.state,
        ask.force.then_some("force"),
        ask.downscope.then_some("downscope"),
    ];
    for part in parts {
        match part {
            None => hash.update(&[0]),
            Some(text) => {
                hash.update(&[1]);
                hash.update(&text.len().to_le_bytes());
                hash.update(text.as_bytes());
            }
        }
    }
    let mut key = [0; 32];
    key.copy_from_slice(hash.finish().as_ref());
    key
}

/// An [`Ask`] that can travel to another thread.
struct OwnedAsk {
    audience: Option<Audience>,
    access_token: Option<String>,
    original_access_token: Option<String>,
    code: Option<String>,
    state: Option<String>,
    force: bool,
    downscope: bool,
}

impl OwnedAsk {
    fn of(ask: &Ask<'_>) -> Self {
        Self {
            audience: ask.audience.cloned(),
            access_token: ask.companions.access_token.map(str::to_owned),
            original_access_token: ask.companions.original_access_token.map(str::to_owned),
            code: ask.companions.code.map(str::to_owned),
            state: ask.companions.state.map(str::to_owned),
            force: ask.force,
            downscope: ask.downscope,
        }
    }

    fn borrow(&self) -> Ask<'_> {
        Ask {
            audience: self.audience.as_ref(),
            companions: Companions {
                access_token: self.access_token.as_deref(),
                original_access_token: self.original_access_token.as_deref(),
                code: self.code.as_deref(),
                state: self.state.as_deref(),
            },
            force: self.force,
            downscope: self.downscope,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_askings_share_a_key() {
        let ask = |access_token, code| Ask {
            companions: Companions { access_token, code, ..Companions::default() },
            ..Ask::default()
        };
        let keys = [
            key("t", &Ask::default()),
            key("t", &ask(Some("x"), None)),
            key("t", &ask(None, Some("x"))),
            key("t", &ask(Some(""), Some("x"))),
            key("t", &Ask { force: true, ..Ask::default() }),
            key("t", &Ask { downscope: true, ..Ask::default() }),
            key("t2", &Ask::default()),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
