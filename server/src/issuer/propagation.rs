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
    issuers: HashMap<String, HashMap<Kid, FirstPublished>>,
    dir: Option<PathBuf>,
    dirty: bool,
}

/// The key last published under a kid, and when it was first published under it.
struct FirstPublished {
    key: Thumbprint,
    since: UnixTime,
}

/// The same in the file.
#[derive(Serialize, Deserialize)]
struct StoredKid {
    kid: String,
    key: String,
    since: UnixTime,
}

impl PublishedHistory {
    /// Reads what an earlier process published; a file that cannot be read counts as none.
    pub(super) fn load(dir: Option<&Path>, now: UnixTime) -> Self {
        let mut history = Self { dir: dir.map(Path::to_owned), ..Self::default() };
        let Some(bytes) = dir.and_then(|dir| std::fs::read(dir.join(FILE)).ok()) else {
            return history;
        };
        let stored: HashMap<String, Vec<StoredKid>> = match serde_json::from_slice(&bytes) {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(%error, file = FILE, "cannot read the history of published keys");
                return history;
            }
        };
        for (issuer, entries) in stored {
            let known = history.issuers.entry(issuer).or_default();
            for StoredKid { kid, key, since } in entries {
                if let (Ok(kid), Some(key)) = (Kid::parse(&kid), Thumbprint::parse(&key)) {
                    // With a time in the future a key would count as new for too long.
                    known.insert(kid, FirstPublished { key, since: since.min(now) });
                }
            }
        }
        history
    }

    /// The key last published under each kid.
    pub(super) fn last_keys(&self, issuer: Option<&IssuerName>) -> HashMap<Kid, Thumbprint> {
        let known = issuer.and_then(|name| self.issuers.get(name.as_str()));
        known.into_iter().flatten().map(|(kid, first)| (kid.clone(), first.key.clone())).collect()
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
        // Before the first set nothing was cached, so no copy can lack the key.
        let first = !shared && !self.issuers.contains_key(issuer.as_str());
        let since = if first { UnixTime::from_secs(0) } else { now };
        let known = self.issuers.entry(issuer.to_string()).or_default();
        for (kid, key, _) in kids.entries() {
            if known.get(kid).is_none_or(|first| first.key != *key) {
                known.insert(kid.clone(), FirstPublished { key: key.clone(), since });
                self.dirty = true;
            }
        }
        if known.len() > MAX_KIDS {
            known.retain(|kid, first| kids.serves(kid.as_str(), &first.key));
        }
    }

    /// The kids that every cached copy has by now.
    pub(super) fn propagated(
        &self,
        issuer: &IssuerName,
        kids: &PublishedKids,
        delay: Duration,
        now: UnixTime,
    ) -> PublishedKids {
        let known = self.issuers.get(issuer.as_str());
        kids.only(|kid, key| {
            let first = known.and_then(|known| known.get(kid)).filter(|first| first.key == *key);
            first.is_some_and(|first| now >= first.since.plus(delay))
        })
    }

    /// Whether a key of the issuer has propagated in the last hour, or still will.
    pub(super) fn propagates(&self, issuer: &IssuerName, delay: Duration, now: UnixTime) -> bool {
        let margin = Duration::from_secs(3600);
        self.issuers.get(issuer.as_str()).is_some_and(|known| {
            known.values().any(|first| now < first.since.plus(delay).plus(margin))
        })
    }

    /// Writes the history if it has changed.
    pub(super) fn save(&mut self) {
        let Some(dir) = self.dir.as_ref().filter(|_| self.dirty) else { return };
        self.dirty = false;
        let entry = |(kid, FirstPublished { key, since }): (&Kid, &FirstPublished)| StoredKid {
            kid: kid.to_string(),
            key: key.as_str().to_owned(),
            since: *since,
        };
        let stored: HashMap<&String, Vec<StoredKid>> = self
            .issuers
            .iter()
            .map(|(name, known)| (name, known.iter().map(entry).collect()))
            .collect();
        let written = serde_json::to_vec(&stored)
            .map_err(std::io::Error::other)
            .and_then(|text| atomic::replace(dir, FILE, &text));
        if let Err(error) = written {
            tracing::warn!(%error, file = FILE, "cannot write the history of published keys");
        }
    }
}
