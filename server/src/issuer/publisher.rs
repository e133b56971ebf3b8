//! The sets that verifiers read: our own keys and the issuers'. A set is built when something changes, and
//! after that only served.
//!
//! Keys of different issuers are never in one set, or one issuer could mint tokens in another's name:
//! with several issuers the common path holds only our own keys.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use aws_lc_rs::digest;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::discovery::DiscoveryStatus;
use super::handle::IssuerHandle;
use super::issuers::Issuers;
use super::jwks_answer::JwksAnswer;
use super::propagation::PublishedHistory;
use super::status::Reason;
use crate::clock::Clock;
use crate::jose::base64url;
use crate::jose::names::IssuerName;
use crate::jose::publish::{self, PublishedDocument, PublishedKids};
use crate::jose::read_back::{self, Probe, ReadBackFault};
use crate::keyring::Keyring;
use crate::profile::Profile;

/// Always served, whatever the configuration.
pub const COMMON_PATH: &str = "/.well-known/jwks.json";
/// How often the sets are checked without an event: a new key may be used after a time.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(1);

/// A set ready to be sent.
#[derive(Debug)]
pub struct PublishedSet {
    /// `{"keys":[…]}`
    pub body: Bytes,
    /// Quoted, as in the header (RFC 9110 §8.8.3).
    pub etag: String,
    /// `max-age`, in seconds.
    pub max_age: u32,
    pub kids: PublishedKids,
    pub(super) answer: JwksAnswer,
}

/// Why a path has no set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSet {
    #[error("not a path of a key set")]
    NotAPath,
    /// An empty set is never served instead: a verifier would believe it and cache it.
    #[error(
        "the key set of issuer `{issuer}` has not been read yet{}",
        .last.map(|reason| format!(" ({reason})")).unwrap_or_default()
    )]
    NotRead { issuer: IssuerName, last: Option<Reason> },
    /// Our own keys alone are not served: a verifier would do without the issuer's for a whole `max-age`.
    #[error("no issuer is known yet: {}", .0.as_deref().map_or(NOT_READ_YET, |status| status.text.as_str()))]
    NoIssuer(Option<Arc<DiscoveryStatus>>),
    /// See [`read_back`].
    #[error("the new key set failed its check: {0}")]
    NotReadBack(ReadBackFault),
}

const NOT_READ_YET: &str = "the upstream's discovery document has not been read";

impl NoSet {
    /// A stable name: metric label, member of the error answer.
    pub fn code(&self) -> String {
        let reason = match self {
            Self::NotAPath => return "not_found".to_owned(),
            Self::NotReadBack(fault) => return fault.code().to_owned(),
            Self::NotRead { last, .. } => *last,
            Self::NoIssuer(status) => status.as_ref().and_then(|status| status.reason),
        };
        format!("upstream_{}", reason.map_or("not_read", |reason| reason.code))
    }
}

/// See the module.
pub struct Publisher {
    issuers: Arc<Issuers>,
    keyring: Arc<Keyring>,
    profile: ArcSwap<Profile>,
    max_age: Duration,
    clock: Clock,
    table: ArcSwap<SetTable>,
    /// Our own keys alone.
    own: Arc<Slot>,
    history: Mutex<PublishedHistory>,
}

#[derive(Default)]
struct SetTable {
    by_path: HashMap<String, Arc<Slot>>,
    by_issuer: HashMap<IssuerName, Arc<Slot>>,
}

/// One set: that of one issuer with our keys, or our keys alone.
#[derive(Default)]
struct Slot {
    /// `None`: our own keys only.
    issuer: Option<Arc<IssuerHandle>>,
    set: ArcSwapOption<PublishedSet>,
    /// Why the set last built is not served. The set before it stays.
    fault: ArcSwapOption<ReadBackFault>,
    /// The kids of the issuer's keys that every cached copy of the set has by now.
    propagated: ArcSwap<PublishedKids>,
}

impl Publisher {
    /// Builds what can be built now. `max_age` is what is served, in whole seconds.
    pub fn new(
        issuers: Arc<Issuers>,
        keyring: Arc<Keyring>,
        profile: Profile,
        max_age: Duration,
        clock: Clock,
    ) -> Arc<Self> {
        let history = PublishedHistory::load(issuers.data_dir(), clock.now());
        let publisher = Self {
            issuers,
            keyring,
            profile: ArcSwap::from_pointee(profile),
            max_age,
            clock,
            table: ArcSwap::default(),
            own: Arc::default(),
            history: Mutex::new(history),
        };
        publisher.reroute();
        publisher.rebuild_all();
        Arc::new(publisher)
    }

    /// The set of a path: a hash lookup and an atomic load.
    ///
    /// # Errors
    /// [`NoSet`], with a code for the answer.
    pub fn for_path(&self, path: &str) -> Result<Arc<PublishedSet>, NoSet> {
        let table = self.table.load();
        table.by_path.get(path).ok_or(NoSet::NotAPath)?.get(|| self.issuers.discovery())
    }

    /// Like [`Publisher::for_path`], but if the issuer's set was never read it waits for the first fetch,
    /// which all waiting requests share.
    ///
    /// # Errors
    /// [`NoSet`] when that fetch failed too.
    pub async fn wait_for_path(&self, path: &str) -> Result<Arc<PublishedSet>, NoSet> {
        let slot = self.table.load().by_path.get(path).cloned().ok_or(NoSet::NotAPath)?;
        match (slot.get(|| self.issuers.discovery()), &slot.issuer) {
            (Err(_), Some(issuer)) => {
                if issuer.fresh_for(None).await.is_some() {
                    self.build(&slot);
                }
                slot.get(|| self.issuers.discovery())
            }
            (found, _) => found,
        }
    }

    pub fn is_jwks_path(&self, path: &str) -> bool {
        self.table.load().by_path.contains_key(path)
    }

    /// The kids of the issuer that every verifier which follows our `max-age` has by now. A token may pass
    /// unchanged only with one of these. A key that has just appeared is not among them yet; its tokens are
    /// countersigned meanwhile.
    pub fn kids_for(&self, issuer: &IssuerName) -> Arc<PublishedKids> {
        let table = self.table.load();
        table.by_issuer.get(issuer).map_or_else(Arc::default, |slot| slot.propagated.load_full())
    }

    /// Changes the profile and builds the sets anew.
    pub fn set_profile(&self, profile: Profile) {
        self.profile.store(Arc::new(profile));
        self.rebuild_all();
    }

    /// Keeps the sets up to date until `shutdown` turns true.
    pub async fn run(&self, mut shutdown: watch::Receiver<bool>) {
        let mut ring = self.keyring.changes();
        while !*shutdown.borrow() {
            tokio::select! {
                changed = self.issuers.next_changes() => {
                    self.reroute();
                    let table = self.table.load_full();
                    let slots = changed.iter().filter_map(|name| table.by_issuer.get(name));
                    slots.for_each(|slot| self.build(slot));
                }
                _ = ring.changed() => self.rebuild_all(),
                () = self.clock.sleep(RECONCILE_INTERVAL) => self.reconcile(),
                _ = shutdown.changed() => {}
            }
        }
    }

    /// Makes the table of paths again after a reload. Sets that stay are kept.
    fn reroute(&self) {
        let old = self.table.load();
        let only = self.issuers.only();
        let mut table = SetTable::default();
        for issuer in self.issuers.iter() {
            let paths = issuer.settings().jwks_paths.clone();
            if paths.is_empty() && only.is_none() {
                continue;
            }
            let slot = match old.by_issuer.get(issuer.name()) {
                Some(slot) if slot.is_of(&issuer) => Arc::clone(slot),
                _ => Arc::new(Slot { issuer: Some(Arc::clone(&issuer)), ..Slot::default() }),
            };
            table.by_path.extend(paths.into_iter().map(|path| (path, Arc::clone(&slot))));
            table.by_issuer.insert(issuer.name().clone(), slot);
        }
        if only.is_none() {
            self.build(&self.own);
        }
        let common = only.and_then(|issuer| table.by_issuer.get(issuer.name()));
        let common = Arc::clone(common.unwrap_or(&self.own));
        table.by_path.insert(COMMON_PATH.to_owned(), common);
        self.table.store(Arc::new(table));
    }

    fn rebuild_all(&self) {
        self.build(&self.own);
        self.table.load().by_issuer.values().for_each(|slot| self.build(slot));
    }

    /// Builds one set, if the issuer's keys are there.
    fn build(&self, slot: &Slot) {
        let ring = self.keyring.snapshot();
        let snapshot = slot.issuer.as_ref().and_then(|issuer| issuer.snapshot());
        if snapshot.is_none() && (slot.issuer.is_some() || self.issuers.is_empty()) {
            slot.set.store(None);
            slot.fault.store(None);
            slot.propagated.store(Arc::default());
            return;
        }
        let now = self.clock.now();
        let mut history = self.history.lock();
        let publishes = slot.issuer.as_ref().is_some_and(|issuer| issuer.policy().publishes());
        let upstream: Vec<_> = snapshot.iter().filter(|_| publishes).map(|s| &s.keys).collect();
        let name = slot.issuer.as_ref().map(|issuer| issuer.name());
        let document = publish::publish(&publish::Input {
            own: &ring.public,
            upstream: &upstream,
            profile: &self.profile.load(),
            remembered: &history.last_keys(name),
        });
        let hash = digest::digest(&digest::SHA256, document.body.as_bytes());
        let etag = format!("\"{}\"", &base64url::encode(hash)[..22]);
        let is_new = slot.set.load().as_ref().is_none_or(|old| old.etag != etag);
        // Read back before anything is remembered or served. Bytes already served were read back then.
        if is_new && slot.refuses(&document, &ring.probes) {
            return;
        }
        if let Some(name) = name {
            history.note(name, &document.kids, self.keyring.is_shared(), now);
            let delay = self.propagation_time(slot);
            let propagated = history.propagated(name, &document.kids, delay, now);
            slot.propagated.store(Arc::new(propagated));
        }
        if is_new {
            let PublishedDocument { body, kids, .. } = document;
            let body = Bytes::from(body);
            let max_age = u32::try_from(self.max_age.as_secs()).unwrap_or(u32::MAX);
            let answer = JwksAnswer::new(&body, &etag, max_age);
            let set = PublishedSet { body, etag, max_age, kids, answer };
            slot.set.store(Some(Arc::new(set)));
        }
    }

    /// Does what only time brings: new keys come into use, and a set ends with its issuer's last good set.
    fn reconcile(&self) {
        let now = self.clock.now();
        let table = self.table.load_full();
        for (name, slot) in &table.by_issuer {
            let Some(set) = slot.set.load_full() else { continue };
            if slot.issuer.as_ref().is_some_and(|issuer| issuer.snapshot().is_none()) {
                self.build(slot);
                continue;
            }
            let history = self.history.lock();
            let delay = self.propagation_time(slot);
            if history.propagates(name, delay, now) {
                slot.propagated.store(Arc::new(history.propagated(name, &set.kids, delay, now)));
            }
        }
        self.history.lock().save();
    }

    /// How long until every copy of the set has an issuer's key. Another replica may have read the issuer's
    /// set just before the key appeared, and serves that until it reads again.
    fn propagation_time(&self, slot: &Slot) -> Duration {
        let own = self.keyring.propagation_time().max(self.max_age);
        match &slot.issuer {
            Some(issuer) if self.keyring.is_shared() => {
                let settings = issuer.settings();
                own + settings.refresh.max_age.max(settings.refresh.min_age)
                    + settings.fetch.total_timeout
            }
            _ => own,
        }
    }
}

impl Slot {
    /// Reads a new set back with another implementation. If that cannot read it, or cannot verify with it
    /// what our keys signed, the set is refused and the one before it stays.
    fn refuses(&self, document: &PublishedDocument, probes: &[Probe]) -> bool {
        let fault = read_back::read_back(&document.body, &document.kids, probes).err();
        if let Some(fault) = &fault {
            let issuer = self.issuer.as_ref().map(|issuer| issuer.name().as_str());
            tracing::error!(
                code = fault.code(),
                error = %fault,
                issuer,
                "a new key set failed its check; the previous one stays in use"
            );
        }
        let refused = fault.is_some();
        self.fault.store(fault.map(Arc::new));
        refused
    }

    fn is_of(&self, issuer: &Arc<IssuerHandle>) -> bool {
        self.issuer.as_ref().is_some_and(|own| Arc::ptr_eq(own, issuer))
    }

    fn get(
        &self,
        discovery: impl FnOnce() -> Option<Arc<DiscoveryStatus>>,
    ) -> Result<Arc<PublishedSet>, NoSet> {
        if let Some(issuer) = &self.issuer {
            issuer.touch();
        }
        if let Some(set) = self.set.load_full() {
            return Ok(set);
        }
        if let Some(fault) = self.fault.load_full() {
            return Err(NoSet::NotReadBack(Arc::unwrap_or_clone(fault)));
        }
        Err(match &self.issuer {
            Some(issuer) => {
                let (issuer, last) = (issuer.name().clone(), issuer.last_reason());
                NoSet::NotRead { issuer, last }
            }
            None => NoSet::NoIssuer(discovery()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::alg::Alg;
    use crate::jose::sign::SigningKey;

    fn document(key: &SigningKey) -> PublishedDocument {
        let own = [key.public().clone()];
        let (profile, remembered) = (Profile::convex(), HashMap::new());
        publish::publish(&publish::Input {
            own: &own,
            upstream: &[],
            profile: &profile,
            remembered: &remembered,
        })
    }

    #[test]
    fn a_set_that_another_reader_refuses_is_not_served() {
        let [key, other] = [(); 2].map(|()| SigningKey::generate(Alg::Es256).unwrap());
        let probes = [key.probe().clone()];
        let slot = Slot::default();
        assert!(!slot.refuses(&document(&key), &probes));
        // Our probe was signed with a key that is not in the set.
        assert!(slot.refuses(&document(&other), &probes));
        let refused = slot.get(|| None).unwrap_err();
        assert_eq!(refused.code(), "key_probe");
        assert!(refused.to_string().contains(key.kid().as_str()), "{refused}");
        let mut broken = document(&key);
        broken.body = broken.body.replace("]}", "");
        assert!(slot.refuses(&broken, &probes));
        assert_eq!(slot.get(|| None).unwrap_err().code(), "set_unreadable");
        // The set before it stays.
        slot.set.store(Some(Arc::new(PublishedSet {
            answer: JwksAnswer::new(&Bytes::new(), "", 0),
            body: Bytes::from(document(&key).body),
            etag: String::new(),
            max_age: 1,
            kids: document(&key).kids,
        })));
        assert!(slot.refuses(&broken, &probes));
        assert_eq!(slot.get(|| None).unwrap().body, document(&key).body);
    }
}
