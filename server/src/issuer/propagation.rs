//! When each of the issuers' keys was first published.
//!
//! A verifier that follows our `max-age` may hold a copy from before a key appeared. So a token of a new key
//! passes unchanged only once every such copy has expired; until then it is countersigned. The history is
//! kept on disk, because the copies outlive the process. Without a history, and without other replicas, no
//! set was ever served: then every key counts as old.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::jose::names::{IssuerName, Kid, UnixTime};
use crate::jose::publish::PublishedKids;
use crate::jose::thumbprint::Thumbprint;
use crate::keyring::atomic;

const FILE: &str = "published.json";
/// Kids remembered for one issuer. Above this, only those now published are kept.
const MAX_KIDS: usize = 1000;

/// See the module.
#[derive(Default)]
pub(super) struct PublishedHistory {
    issuers: HashMap<String, KnownKids>,
    dir: Option<PathBuf>,
    dirty: bool,
}

#[derive(Default)]
struct KnownKids {
    /// kid → the key last published under it.
    keys: HashMap<Kid, Thumbprint>,
    /// kid → when that key was first published.
    since: HashMap<Kid, UnixTime>,
}

#[derive(Serialize, Deserialize)]
struct PublishedKid {
    kid: String,
    key: String,
    since: i64,
}

impl PublishedHistory {
    /// Reads what an earlier process published; a file that cannot be read counts as none.
    pub(super) fn load(dir: Option<&Path>, now: UnixTime) -> Self {
        let mut history = Self { dir: dir.map(Path::to_owned), ..Self::default() };
        let Some(bytes) = dir.and_then(|dir| std::fs::read(dir.join(FILE)).ok()) else {
            return history;
        };
        let stored: HashMap<String, Vec<PublishedKid>> = match serde_json::from_slice(&bytes) {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(%error, file = FILE, "cannot read the history of published keys");
                return history;
            }
        };
        for (issuer, entries) in stored {
            let known = history.issuers.entry(issuer).or_default();
            for entry in entries {
                let (Ok(kid), Some(key)) = (Kid::parse(&entry.kid), Thumbprint::parse(&entry.key))
                else {
                    continue;
                };
                // With a time in the future a key would count as new for too long.
                known.since.insert(kid.clone(), UnixTime::from_secs(entry.since).min(now));
                known.keys.insert(kid, key);
            }
        }
        history
    }

    /// The key last published under each kid.
    pub(super) fn remembered(&self, issuer: Option<&IssuerName>) -> &HashMap<Kid, Thumbprint> {
        static NONE: std::sync::LazyLock<HashMap<Kid, Thumbprint>> =
            std::sync::LazyLock::new(HashMap::new);
        let known = issuer.and_then(|name| self.issuers.get(name.as_str()));
        known.map_or(&NONE, |known| &known.keys)
    }

    /// Notes what is published from now on.
    /// `shared`: other replicas may have served sets before this process did.
    pub(super) fn note(
        &mut self,
        issuer: &IssuerName,
        kids: &PublishedKids,
        shared: bool,
        now: UnixTime,
    ) {
        let first = !shared && !self.issuers.contains_key(issuer.as_str());
        let known = self.issuers.entry(issuer.to_string()).or_default();
        for (kid, key, _) in kids.entries() {
            if known.keys.get(kid) != Some(key) {
                // Before the first set nothing was cached, so no copy can lack the key.
                let since = if first { UnixTime::from_secs(0) } else { now };
                known.keys.insert(kid.clone(), key.clone());
                known.since.insert(kid.clone(), since);
                self.dirty = true;
            }
        }
        if known.keys.len() > MAX_KIDS {
            known.shrink(kids);
        }
    }

    /// The kids that every cached copy has by now.
    pub(super) fn propagated(
        &self,
        issuer: &IssuerName,
        kids: &PublishedKids,
        ahead: Duration,
        now: UnixTime,
    ) -> PublishedKids {
        let known = self.issuers.get(issuer.as_str());
        kids.only(|kid, key| {
            known.is_some_and(|known| {
                known.keys.get(kid) == Some(key)
                    && known.since.get(kid).is_some_and(|since| now >= since.plus(ahead))
            })
        })
    }

    /// Whether a key of the issuer has propagated in the last hour, or still will.
    pub(super) fn is_growing(&self, issuer: &IssuerName, ahead: Duration, now: UnixTime) -> bool {
        let margin = Duration::from_secs(3600);
        self.issuers.get(issuer.as_str()).is_some_and(|known| {
            known.since.values().any(|since| now < since.plus(ahead).plus(margin))
        })
    }

    /// Writes the history if it has changed.
    pub(super) fn save(&mut self) {
        let Some(dir) = self.dir.as_ref().filter(|_| self.dirty) else { return };
        self.dirty = false;
        let entries = |known: &KnownKids| -> Vec<PublishedKid> {
            known
                .keys
                .iter()
                .map(|(kid, key)| PublishedKid {
                    kid: kid.to_string(),
                    key: key.as_str().to_owned(),
                    since: known.since.get(kid).map_or(0, |t| t.secs()),
                })
                .collect()
        };
        let stored: HashMap<&String, Vec<PublishedKid>> =
            self.issuers.iter().map(|(name, known)| (name, entries(known))).collect();
        let written = serde_json::to_vec(&stored)
            .map_err(std::io::Error::other)
            .and_then(|text| atomic::replace(dir, FILE, &text));
        if let Err(error) = written {
            tracing::warn!(%error, file = FILE, "cannot write the history of published keys");
        }
    }
}

impl KnownKids {
    /// Forgets kids that are no longer published.
    fn shrink(&mut self, kids: &PublishedKids) {
        self.keys.retain(|kid, key| kids.serves(kid.as_str(), key));
        let keys = &self.keys;
        self.since.retain(|kid, _| keys.contains_key(kid));
    }
}
