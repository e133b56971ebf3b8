//! Keys supplied from outside: PEM or JWK files in a directory that we only read (a Kubernetes Secret),
//! read again when they change; or environment variables, which do not change until the next start.
//!
//! A file whose name starts with `next` is published and does not sign. One that starts with `previous` or
//! `retired` is published for the tokens it signed. The one other file signs. If that file gets another key
//! that was not `next` before, the new key is published at once and signs only once every cached copy has
//! expired. The old key, still in memory, signs until then and stays published until its last token has
//! expired.
//!
//! A process that reads variables knows nothing of the process before it. The operator must keep the order by
//! the order of deployments: a key is published before it signs, and until its last token has expired.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::admit;
use super::file;
use super::ring::{RingKey, RingState};
use super::store::{Store, StoreError};
use super::stored::RingError;
use crate::clock::Clock;
use crate::env;
use crate::jose::names::UnixTime;
use crate::jose::sign::{SigningKey, SigningKeyError};
use crate::rotation::{KeyState, KeyTimes};

/// The kubelet writes a changed Secret within about a minute, on each node at its own time.
const KUBELET_DELAY: Duration = Duration::from_secs(90);
/// The assumed longest life of tokens that a `previous` file signed before the start.
const PREVIOUS_TOKEN_LIFETIME: Duration = Duration::from_secs(86_400);
/// The key of `NAME_PREVIOUS` stays published for as long as the variable is there.
const VARIABLE_LIFETIME: Duration = Duration::from_secs(3650 * 86_400);

/// Where supplied keys come from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// PEM or JWK files mounted read-only (a Kubernetes Secret), reloaded when they change.
    Directory(PathBuf),
    /// Environment variables, `NAME`, `NAME_NEXT` and `NAME_PREVIOUS`: nothing is kept on a disk. The keys were
    /// parsed with the configuration.
    Variables { name: String, keys: Vec<SuppliedKey> },
}

/// A key, and the state that its file or variable is named after.
pub type SuppliedKey = (KeyState, Arc<SigningKey>);

/// See the module.
pub struct SuppliedStore {
    source: KeySource,
    clock: Clock,
    /// How long it takes until every process has a changed key.
    propagation_delay: Duration,
    /// How long a new key waits before it signs: `max-age` and the margins.
    ahead: Duration,
    /// How long a `previous` key stays published after the start.
    previous: Duration,
}

impl SuppliedStore {
    /// `max_age`: of the served set, with the skew.
    pub fn new(source: KeySource, max_age: Duration, clock: Clock) -> Self {
        let (propagation_delay, previous) = match &source {
            KeySource::Directory(_) => (KUBELET_DELAY, PREVIOUS_TOKEN_LIFETIME),
            KeySource::Variables { .. } => (Duration::ZERO, VARIABLE_LIFETIME),
        };
        let ahead = max_age + propagation_delay;
        Self { source, clock, propagation_delay, ahead, previous }
    }

    /// The first ring of a process.
    fn first_ring(&self, keys: &[SuppliedKey], now: UnixTime) -> RingState {
        let ring = keys.iter().map(|(state, key)| {
            let usable = if *state == KeyState::Active { now } else { now.plus(self.ahead) };
            let mut times = KeyTimes::new(key.kid().clone(), *state, usable, now);
            if *state == KeyState::Retired {
                times.latest_exp = now.plus(self.previous);
            }
            RingKey { times, key: Arc::clone(key) }
        });
        RingState { epoch: 1, keys: ring.collect(), ..RingState::default() }
    }

    /// The ring in memory, with what the files or variables change.
    fn merged(&self, ring: &RingState, keys: &[SuppliedKey], now: UnixTime) -> RingState {
        let mut new = ring.clone();
        for (state, key) in keys {
            let state_now = new.get(key.kid()).map(|k| k.times.state);
            // The operator went back to an earlier key. It is still published, so it may sign at once.
            let back = *state == KeyState::Active && state_now == Some(KeyState::Retired);
            if (state_now.is_none() && *state != KeyState::Retired) || back {
                let usable = if back { now } else { now.plus(self.ahead) };
                let times = KeyTimes::new(key.kid().clone(), KeyState::Next, usable, now);
                // There is one next key at a time; the newest counts.
                new.keys.retain(|k| k.times.state != KeyState::Next && k.times.kid != *key.kid());
                new.keys.push(RingKey { times, key: Arc::clone(key) });
            }
        }
        let signer = keys.iter().find(|(state, _)| *state == KeyState::Active);
        let signer = signer.and_then(|(_, key)| new.get(key.kid()));
        new.asked = signer.is_some_and(|key| key.times.state == KeyState::Next);
        let unchanged = new.asked == ring.asked && new.times() == ring.times();
        new.epoch = if unchanged { ring.epoch } else { ring.epoch + 1 };
        new
    }
}

/// The key files, sorted by name. The entries that Kubernetes adds (`..data`) start with a dot.
fn key_files(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io(dir))? {
        let path = entry.map_err(StoreError::io(dir))?.path();
        let kind = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if matches!(kind, "pem" | "key" | "jwk" | "json") && !file_name(&path).starts_with('.') {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn file_name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

fn read_dir(dir: &Path) -> Result<Vec<SuppliedKey>, StoreError> {
    let corrupt =
        |path: &Path, why: String| StoreError::ring(path.display())(RingError::Corrupt(why));
    let mut keys = Vec::new();
    for path in key_files(dir)? {
        let text = fs::read_to_string(&path).map_err(StoreError::io(&path))?;
        let key = admit::parse(&Zeroizing::new(text)).map_err(|e| corrupt(&path, e.to_string()))?;
        let state = match file_name(&path) {
            name if name.starts_with("next") => KeyState::Next,
            name if name.starts_with("previous") || name.starts_with("retired") => {
                KeyState::Retired
            }
            _ => KeyState::Active,
        };
        keys.push((state, key));
    }
    match keys.iter().filter(|(state, _)| *state == KeyState::Active).count() {
        1 => Ok(keys),
        0 => Err(corrupt(dir, "no key file (`*.pem`, `*.key`, `*.jwk`) that may sign".to_owned())),
        n => Err(corrupt(
            dir,
            format!("{n} key files that may sign; call the others `next…` or `previous…`"),
        )),
    }
}

#[async_trait]
impl Store for SuppliedStore {
    async fn load(&self, known: Option<Arc<RingState>>) -> Result<Option<RingState>, StoreError> {
        let keys = match &self.source {
            KeySource::Directory(dir) => &read_dir(dir)?,
            KeySource::Variables { keys, .. } => keys,
        };
        let now = self.clock.now();
        Ok(Some(match known.filter(|ring| !ring.keys.is_empty()) {
            None => self.first_ring(keys, now),
            Some(ring) => self.merged(&ring, keys, now),
        }))
    }

    /// What is due happens in memory; nothing is written.
    async fn replace(&self, _expected: u64, _ring: Arc<RingState>) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn changed(&self) {
        match &self.source {
            KeySource::Directory(dir) => {
                let stamps = || -> Vec<_> {
                    let files = key_files(dir).unwrap_or_default();
                    files.into_iter().map(|path| (file::stamp(&path), path)).collect()
                };
                file::wait_for_change(stamps).await;
            }
            // The environment of a process does not change.
            KeySource::Variables { .. } => std::future::pending().await,
        }
    }

    fn propagation_delay(&self) -> Duration {
        self.propagation_delay
    }

    fn describe(&self) -> String {
        match &self.source {
            KeySource::Directory(dir) => format!("readonly:{}", dir.display()),
            KeySource::Variables { name, .. } => format!("env:{name}"),
        }
    }

    fn rotates(&self) -> bool {
        false
    }
}

/// Why the variables hold no valid keys. The error never contains their text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    #[error("`{0}` is not a name of an environment variable")]
    Name(String),
    #[error("the environment variable {0} is not set")]
    Unset(String),
    #[error("the environment variable {name} does not hold a signing key: {why}")]
    Key { name: String, why: SigningKeyError },
    #[error("the environment variables {0} and {1} hold the same key")]
    Twice(String, String),
}

/// The keys of `NAME`, `NAME_NEXT` and `NAME_PREVIOUS`. An empty variable counts as unset: some platforms
/// cannot delete one.
///
/// # Errors
/// [`VariableError`].
pub fn from_variables(
    name: &str,
    read: impl Fn(&str) -> Option<String>,
) -> Result<Vec<SuppliedKey>, VariableError> {
    if !env::is_name(name) {
        return Err(VariableError::Name(name.to_owned()));
    }
    let mut keys: Vec<SuppliedKey> = Vec::new();
    for (state, suffix) in SUFFIXES {
        let variable = format!("{name}{suffix}");
        let text = read(&variable).map(Zeroizing::new).filter(|text| !text.trim().is_empty());
        let Some(text) = text else { continue };
        let key = admit::parse(&text)
            .map_err(|why| VariableError::Key { name: variable.clone(), why })?;
        if let Some((twin, _)) = keys.iter().find(|(_, other)| other.kid() == key.kid()) {
            let suffix = SUFFIXES.iter().find(|(state, _)| state == twin).map_or("", |s| s.1);
            return Err(VariableError::Twice(format!("{name}{suffix}"), variable));
        }
        keys.push((state, key));
    }
    match keys.first() {
        Some((KeyState::Active, _)) => Ok(keys),
        _ => Err(VariableError::Unset(name.to_owned())),
    }
}

const SUFFIXES: [(KeyState, &str); 3] =
    [(KeyState::Active, ""), (KeyState::Next, "_NEXT"), (KeyState::Retired, "_PREVIOUS")];
