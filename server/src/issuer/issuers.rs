//! All issuers. Even with ten thousand, a request costs one hash lookup, and an issuer has no task before a
//! request uses it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::conflicts::{self, Conflict};
use super::discovery::{Belief, DiscoveryStatus};
use super::fetch::Fetcher;
use super::handle::IssuerHandle;
use super::shared::Shared;
use super::{IssuerSettings, Source};
use crate::clock::Clock;
use crate::dns::Resolver;
use crate::jose::jwks::{self, DocumentRefusal, Options};
use crate::jose::jws::CompactJws;
use crate::jose::names::{Issuer, IssuerName};
use crate::jose::refusal::Refusal;
use crate::jose::tenants;

/// Up to this many issuers are fetched at the start and kept fresh always; with more, only those in use.
const MAX_KEPT_FRESH: usize = 100;

/// What the issuers need of the process.
pub struct IssuerDeps {
    pub clock: Clock,
    pub resolver: Resolver,
    /// Where last good sets are kept; `None`: nowhere.
    pub data_dir: Option<PathBuf>,
    /// The normaliser's options; the limits are each issuer's own.
    pub options: Options,
}

/// Why the issuers cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    #[error("{}: {why}", path.display())]
    DataDir { path: PathBuf, why: io::Error },
    #[error("issuer `{name}`: {why}")]
    Conflict { name: IssuerName, why: Conflict },
    #[error("the inline key set of issuer `{name}`: {why}")]
    Inline { name: IssuerName, why: DocumentRefusal },
    #[error("the address of issuer `{name}` has no `{{kid}}` in its path or query")]
    KidTemplate { name: IssuerName },
}

/// See the module.
pub struct Issuers {
    shared: Arc<Shared>,
    table: ArcSwap<Table>,
    reloaded: Notify,
    /// The state of discovery, if the issuer is learnt from the upstream.
    discovery: ArcSwapOption<DiscoveryStatus>,
}

#[derive(Default)]
struct Table {
    by_iss: HashMap<Issuer, Arc<IssuerHandle>>,
    /// Multi-tenant issuers, by the text around the tenant in `iss`.
    by_pattern: HashMap<String, Arc<IssuerHandle>>,
    by_name: HashMap<IssuerName, Arc<IssuerHandle>>,
    /// In the order of the configuration.
    list: Vec<Arc<IssuerHandle>>,
}

impl Table {
    fn of_tenant(&self, iss: &str) -> Option<&Arc<IssuerHandle>> {
        if self.by_pattern.is_empty() {
            return None;
        }
        let mut found = tenants::patterns(iss).filter_map(|pattern| self.by_pattern.get(&pattern));
        let first = found.next()?;
        found.all(|other| Arc::ptr_eq(other, first)).then_some(first)
    }
}

impl Issuers {
    /// Sets the issuers up and loads their last good sets from disk; no network.
    ///
    /// # Errors
    /// [`IssuerError`] for settings that contradict one another or a data directory that cannot be
    /// used.
    pub fn new(settings: Vec<IssuerSettings>, deps: IssuerDeps) -> Result<Arc<Self>, IssuerError> {
        let issuers = Self {
            shared: Arc::new(Shared::new(deps)?),
            table: ArcSwap::default(),
            reloaded: Notify::new(),
            discovery: ArcSwapOption::empty(),
        };
        issuers.reload(settings)?;
        Ok(Arc::new(issuers))
    }

    /// Applies a new configuration, all of it or nothing. Issuers whose source stays keep their keys.
    ///
    /// # Errors
    /// As [`Issuers::new`]. The old configuration then stays in use.
    pub fn reload(&self, settings: Vec<IssuerSettings>) -> Result<(), IssuerError> {
        self.check(&settings)?;
        let old = self.table.load();
        let mut table = Table::default();
        self.shared.keeps_fresh.store(settings.len() <= MAX_KEPT_FRESH, Ordering::Relaxed);
        for one in settings {
            let handle = match old.by_name.get(one.name()) {
                Some(handle) if handle.settings().source == one.source => {
                    handle.update(one.clone());
                    Arc::clone(handle)
                }
                _ => Arc::new(IssuerHandle::new(one.clone(), Arc::clone(&self.shared))),
            };
            for iss in &one.policy.issuers {
                table.by_iss.insert(iss.clone(), Arc::clone(&handle));
            }
            for template in one.policy.tenants.iter().flat_map(|tenants| &tenants.templates) {
                table.by_pattern.insert(template.pattern(), Arc::clone(&handle));
            }
            table.by_name.insert(one.name().clone(), Arc::clone(&handle));
            table.list.push(handle);
        }
        let names: Vec<_> = table.by_name.keys().cloned().collect();
        self.table.store(Arc::new(table));
        self.reloaded.notify_one();
        self.shared.note_changed(names);
        Ok(())
    }

    fn check(&self, settings: &[IssuerSettings]) -> Result<(), IssuerError> {
        conflicts::check(settings).map_err(|(index, why)| {
            let name = settings[index].name().clone();
            IssuerError::Conflict { name, why }
        })?;
        for one in settings {
            let name = one.name();
            match &one.source {
                Source::Inline(text) => {
                    let options = self.shared.options(one);
                    jwks::normalize(text.as_bytes(), &options)
                        .map_err(|why| IssuerError::Inline { name: name.clone(), why })?;
                }
                Source::UrlPerKid(template) if !super::source::is_template(template) => {
                    return Err(IssuerError::KidTemplate { name: name.clone() });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The issuer of a token: by its `iss`, byte for byte, else by the text around a tenant in it. `None` if
    /// two issuers match.
    pub fn by_iss(&self, iss: &str) -> Option<Arc<IssuerHandle>> {
        let table = self.table.load();
        table.by_iss.get(iss).or_else(|| table.of_tenant(iss)).cloned()
    }

    /// The issuer that a token names.
    ///
    /// # Errors
    /// `iss`, `issuer_unknown`, `iss_missing`.
    pub fn of_token(&self, jws: &CompactJws<'_>) -> Result<Arc<IssuerHandle>, Refusal> {
        match jws.unverified_issuer() {
            Ok(iss) => self.by_iss(iss.as_str()).ok_or_else(|| {
                Refusal::issuer_unknown(iss.as_str(), |near| self.by_iss(near).is_some())
            }),
            // The configuration may name the issuer of tokens without `iss`.
            Err(Refusal::IssuerMissing) => self
                .only()
                .filter(|handle| handle.policy().issuer_when_missing)
                .ok_or(Refusal::IssuerMissing),
            Err(refusal) => Err(refusal),
        }
    }

    pub fn by_name(&self, name: &IssuerName) -> Option<Arc<IssuerHandle>> {
        self.table.load().by_name.get(name).cloned()
    }

    /// All, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = Arc<IssuerHandle>> + use<> {
        self.table.load().list.clone().into_iter()
    }

    /// The state of discovery. `None` if issuers are configured, and before the first attempt.
    pub fn discovery(&self) -> Option<Arc<DiscoveryStatus>> {
        self.discovery.load_full()
    }

    pub fn set_discovery(&self, status: DiscoveryStatus) {
        self.discovery.store(Some(Arc::new(status)));
    }

    /// Whether the issuer is not known yet: none was learnt, or it was guessed and its keys have not been
    /// read.
    pub fn is_undecided(&self) -> bool {
        if self.is_empty() {
            return true;
        }
        let guessed = self.discovery().is_some_and(|d| d.belief == Some(Belief::Guess));
        guessed && self.iter().all(|handle| handle.snapshot().is_none())
    }

    /// The fetcher that all issuers share.
    pub fn fetcher(&self) -> &Fetcher {
        &self.shared.fetcher
    }

    /// The folder for data that survives a restart.
    pub(super) fn data_dir(&self) -> Option<&Path> {
        self.shared.sets_dir.as_deref()
    }

    /// Whether the last good key sets survive a restart.
    pub fn keeps_sets(&self) -> bool {
        self.data_dir().is_some()
    }

    pub fn len(&self) -> usize {
        self.table.load().list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The only issuer, if there is exactly one.
    pub fn only(&self) -> Option<Arc<IssuerHandle>> {
        match self.table.load().list.as_slice() {
            [one] => Some(Arc::clone(one)),
            _ => None,
        }
    }

    /// Keeps the keys of up to `MAX_KEPT_FRESH` issuers fresh, from the start until `shutdown` turns true.
    pub async fn run(&self, mut shutdown: watch::Receiver<bool>) {
        // From now on background tasks run on this runtime, not on that of their first caller.
        let _ = self.shared.runtime.set(Handle::current());
        loop {
            if self.shared.keeps_fresh.load(Ordering::Relaxed) {
                self.iter().for_each(|handle| handle.touch());
            }
            tokio::select! {
                // After a reload, new issuers are started too.
                () = self.reloaded.notified() => {}
                () = self.shared.clock.sleep(std::time::Duration::from_secs(5)) => {}
                _ = shutdown.wait_for(|stop| *stop) => break,
            }
        }
        self.shared.stopped.send_replace(true);
    }

    /// Waits until the keys of some issuers change. For one caller only.
    pub async fn next_changes(&self) -> HashSet<IssuerName> {
        // The sender lives as long as `self`.
        let changed = &self.shared.changed;
        let _ = changed.subscribe().wait_for(|changed| !changed.is_empty()).await;
        changed.send_replace(HashSet::new())
    }
}
