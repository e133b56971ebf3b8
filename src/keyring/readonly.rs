//! Keys that somebody else lays down: PEM or JWK files in a directory that is only read (a Kubernetes
//! Secret), and read again when they change.
//!
//! A file whose name starts with `next` is published and does not sign; one that starts with
//! `previous` or `retired` is published for the tokens it signed; the one other file signs. When
//! another key stands in that place without having been `next` first, it is published at once and
//! signs only when every cached copy has run out; the old key, still in memory, signs until then and
//! stays published until its last token has expired.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::file::{self, Stamp};
use super::ring::{RingError, RingKey, RingState};
use super::store::{Store, StoreError};
use crate::clock::Clock;
use crate::jose::names::UnixTime;
use crate::jose::sign::{SigningKey, SigningKeyError};
use crate::rotation::{KeyTimes, Office};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The kubelet lays a changed Secret down within about a minute, on each node in its own time.
pub(super) const SPREAD: Duration = Duration::from_secs(90);
/// Tokens signed with a `previous` key before the start are taken to live at most this long.
const PREVIOUS_TOKENS: Duration = Duration::from_secs(86_400);

/// See the module.
pub struct ReadOnlyStore {
    dir: PathBuf,
    clock: Clock,
    /// `max-age` and the rest: how long a new key waits.
    ahead: Duration,
}

impl ReadOnlyStore {
    pub fn new(dir: &Path, ahead: Duration, clock: Clock) -> Self {
        Self { dir: dir.to_owned(), clock, ahead }
    }

    fn fault(&self, why: impl Into<String>) -> StoreError {
        StoreError::Ring { at: self.dir.display().to_string(), why: RingError::Corrupt(why.into()) }
    }

    /// Key files, by name; what Kubernetes lays beside them (`..data`) starts with a dot.
    fn files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let at = |e: &std::io::Error| StoreError::Io {
            at: self.dir.display().to_string(),
            why: e.to_string(),
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(|e| at(&e))? {
            let path = entry.map_err(|e| at(&e))?.path();
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
            let kind = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            let key = matches!(kind, "pem" | "key" | "jwk" | "json");
            if key && name.is_some_and(|n| !n.starts_with('.')) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    fn read(&self) -> Result<Vec<(Office, Arc<SigningKey>)>, StoreError> {
        let mut keys = Vec::new();
        for path in self.files()? {
            let text = fs::read_to_string(&path).map(Zeroizing::new).map_err(|e| {
                StoreError::Io { at: path.display().to_string(), why: e.to_string() }
            })?;
            let key = parse_key(&text).map_err(|e| {
                let at = path.display().to_string();
                StoreError::Ring { at, why: RingError::Corrupt(e.to_string()) }
            })?;
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            let office = match name {
                n if n.starts_with("next") => Office::Next,
                n if n.starts_with("previous") || n.starts_with("retired") => Office::Retired,
                _ => Office::Active,
            };
            keys.push((office, Arc::new(key)));
        }
        Ok(keys)
    }

    fn first(&self, keys: &[(Office, Arc<SigningKey>)], now: UnixTime) -> RingState {
        let ring = keys.iter().map(|(office, key)| RingKey {
            times: KeyTimes {
                kid: key.kid().clone(),
                office: *office,
                published: now,
                usable: if *office == Office::Active { now } else { now.plus(self.ahead) },
                activated: (*office == Office::Active).then_some(now),
                retired: (*office == Office::Retired).then_some(now),
                horizon: if *office == Office::Retired { now.plus(PREVIOUS_TOKENS) } else { now },
            },
            key: Arc::clone(key),
        });
        RingState { epoch: 1, keys: ring.collect(), ..RingState::default() }
    }

    /// The ring in memory with what the files now say.
    fn merged(
        &self,
        ring: &RingState,
        keys: &[(Office, Arc<SigningKey>)],
        now: UnixTime,
    ) -> RingState {
        let mut new = ring.clone();
        for (office, key) in keys {
            let office_now = new.get(key.kid()).map(|k| k.times.office);
            // Back to an earlier key: it is still published, so it may sign at once.
            let back = *office == Office::Active && office_now == Some(Office::Retired);
            if (office_now.is_none() && *office != Office::Retired) || back {
                let times = KeyTimes {
                    kid: key.kid().clone(),
                    office: Office::Next,
                    published: now,
                    usable: if back { now } else { now.plus(self.ahead) },
                    activated: None,
                    retired: None,
                    horizon: now,
                };
                // One successor at a time; the newest counts.
                new.keys.retain(|k| k.times.office != Office::Next && k.times.kid != *key.kid());
                new.keys.push(RingKey { times, key: Arc::clone(key) });
            }
        }
        let named = keys.iter().find(|(office, _)| *office == Office::Active);
        let active = new.active().map(|k| k.times.kid.clone());
        new.asked = named.is_some_and(|(_, key)| {
            Some(key.kid()) != active.as_ref()
                && new.get(key.kid()).is_some_and(|k| k.times.office == Office::Next)
        });
        let same = |a: &RingKey, b: &RingKey| a.times == b.times;
        let unchanged = new.asked == ring.asked
            && new.keys.len() == ring.keys.len()
            && new.keys.iter().zip(&ring.keys).all(|(a, b)| same(a, b));
        new.epoch = if unchanged { ring.epoch } else { ring.epoch + 1 };
        new
    }

    fn stamps(&self) -> Vec<(PathBuf, Option<Stamp>)> {
        let files = self.files().unwrap_or_default();
        files.into_iter().map(|path| (path.clone(), file::stamp(&path))).collect()
    }
}

/// A private key, PEM or JWK.
///
/// # Errors
/// [`SigningKeyError`] for any other text.
pub fn parse_key(text: &str) -> Result<SigningKey, SigningKeyError> {
    if text.trim_start().starts_with('{') {
        SigningKey::from_jwk(text)
    } else {
        SigningKey::from_pem(text)
    }
}

#[async_trait]
impl Store for ReadOnlyStore {
    async fn load(&self, known: Option<Arc<RingState>>) -> Result<Option<RingState>, StoreError> {
        let keys = self.read()?;
        match keys.iter().filter(|(office, _)| *office == Office::Active).count() {
            1 => {}
            0 => return Err(self.fault("no key file (`*.pem`, `*.key`, `*.jwk`) that may sign")),
            n => {
                return Err(self.fault(format!(
                    "{n} key files that may sign; call the others `next…` or `previous…`"
                )));
            }
        }
        let now = self.clock.now();
        match known.filter(|ring| !ring.keys.is_empty()) {
            None => Ok(Some(self.first(&keys, now))),
            Some(ring) => Ok(Some(self.merged(&ring, &keys, now))),
        }
    }

    /// What is due happens in memory; nothing is written.
    async fn replace(&self, _expected: u64, _ring: Arc<RingState>) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn changed(&self, _since: u64) {
        let before = self.stamps();
        loop {
            tokio::time::sleep(LOOK).await;
            if self.stamps() != before {
                return;
            }
        }
    }

    fn spread(&self) -> Duration {
        SPREAD
    }

    fn describe(&self) -> String {
        format!("readonly:{}", self.dir.display())
    }

    fn rotates(&self) -> bool {
        false
    }
}
