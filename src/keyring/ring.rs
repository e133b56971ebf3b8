//! The ring as a value: what the stores keep and the schedule changes. A change makes a new ring with
//! the next epoch; nothing is changed in place.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::schedule::{KeyTimes, Office, Rules, Transition};
use crate::jose::alg::Alg;
use crate::jose::names::{Kid, UnixTime};
use crate::jose::sign::SigningKey;

/// Format of the stored text; another one is refused, not guessed at.
const FORMAT: u32 = 1;

/// One key: its life and its material.
#[derive(Debug, Clone)]
pub struct RingKey {
    pub times: KeyTimes,
    pub key: Arc<SigningKey>,
}

/// All keys at one moment.
#[derive(Debug, Clone, Default)]
pub struct RingState {
    /// Grows by one with every change; what compare-and-set compares.
    pub epoch: u64,
    pub keys: Vec<RingKey>,
    /// Somebody asked for a rotation that has not happened yet.
    pub asked: bool,
    /// The `max-age` (with skew) that copies of the set were served with until now.
    pub ahead: u64,
    /// Copies served with a longer `max-age`, before it was lowered, live until then.
    pub copies_until: i64,
}

/// Why stored text is no ring. Never answered by making a new one: the old keys are still needed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    #[error("is not a key ring: {0}")]
    Corrupt(String),
    #[error("has format {0}, this program reads format {FORMAT}")]
    Format(u32),
    #[error("key {kid}: {why}")]
    Key { kid: String, why: String },
}

/// How private keys stand in the stored text.
pub trait Seal: Send + Sync {
    fn seal(&self, kid: &Kid, pkcs8: &[u8]) -> Result<String, String>;
    /// The reverse.
    fn open(&self, kid: &Kid, text: &str) -> Result<Zeroizing<Vec<u8>>, String>;
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRing {
    format: u32,
    epoch: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    asked: bool,
    ahead: u64,
    copies_until: i64,
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    kid: String,
    alg: String,
    office: Office,
    published: i64,
    usable: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    activated: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retired: Option<i64>,
    horizon: i64,
    private: Zeroizing<String>,
}

impl RingState {
    pub fn times(&self) -> Vec<KeyTimes> {
        self.keys.iter().map(|key| key.times.clone()).collect()
    }

    pub fn active(&self) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.times.office == Office::Active)
    }

    pub fn get(&self, kid: &Kid) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.times.kid == *kid)
    }

    /// The ring after `transitions`, with the next epoch. `fresh` is the key that takes a new place;
    /// without one, no place is made.
    #[must_use]
    pub fn apply(
        &self,
        transitions: &[Transition],
        rules: &Rules,
        now: UnixTime,
        fresh: Option<&Arc<SigningKey>>,
    ) -> Self {
        let mut ring = self.clone();
        for transition in transitions {
            match (transition, fresh) {
                (Transition::First, Some(key)) => ring.add(key, Office::Active, rules, now),
                (Transition::Create, Some(key)) => ring.add(key, Office::Next, rules, now),
                (Transition::First | Transition::Create, None) => {}
                (Transition::Promote(kid), _) => ring.promote(kid, now),
                (Transition::Remove(kid), _) => ring.keys.retain(|key| key.times.kid != *kid),
            }
        }
        ring.epoch += 1;
        ring
    }

    /// Adds a key as published from now on.
    pub fn add(&mut self, key: &Arc<SigningKey>, office: Office, rules: &Rules, now: UnixTime) {
        let copies = UnixTime::from_secs(self.copies_until);
        let active = office == Office::Active;
        let times = KeyTimes {
            kid: key.kid().clone(),
            office,
            published: now,
            usable: if active { now } else { now.plus(rules.ahead).max(copies) },
            activated: active.then_some(now),
            retired: None,
            horizon: now,
        };
        self.keys.push(RingKey { times, key: Arc::clone(key) });
    }

    fn promote(&mut self, kid: &Kid, now: UnixTime) {
        for key in &mut self.keys {
            if key.times.office == Office::Active {
                key.times.office = Office::Retired;
                key.times.retired = Some(now);
            }
            if key.times.kid == *kid {
                key.times.office = Office::Active;
                key.times.activated = Some(now);
            }
        }
        self.asked = false;
    }

    /// Takes note of the `max-age` now served. A shorter one than before leaves longer-lived copies
    /// behind: a key made soon after must wait for those too.
    pub fn serve_with(&mut self, rules: &Rules, now: UnixTime) -> bool {
        let ahead = rules.ahead.as_secs();
        if self.ahead == ahead {
            return false;
        }
        let old = now.plus(std::time::Duration::from_secs(self.ahead)).secs();
        self.copies_until = self.copies_until.max(old);
        self.ahead = ahead;
        true
    }

    /// Keys of `mine` that tokens in use may need and `self` lacks: the shared store was lost and
    /// refilled by somebody else. They come back as retired.
    pub fn missing_from(&self, mine: &Self, now: UnixTime) -> Vec<RingKey> {
        let needed = |key: &&RingKey| {
            self.get(&key.times.kid).is_none()
                && key.times.office != Office::Next
                && key.times.horizon >= now
        };
        let mut lost: Vec<RingKey> = mine.keys.iter().filter(needed).cloned().collect();
        for key in &mut lost {
            key.times.office = Office::Retired;
            key.times.retired.get_or_insert(now);
        }
        lost
    }

    /// The text a store keeps.
    ///
    /// # Errors
    /// [`RingError::Key`] when a private key cannot be sealed.
    pub fn to_text(&self, seal: &dyn Seal) -> Result<Zeroizing<String>, RingError> {
        let mut keys = Vec::with_capacity(self.keys.len());
        for RingKey { times, key } in &self.keys {
            let pkcs8 = key.to_pkcs8().map_err(|e| at(&times.kid, e.to_string()))?;
            let private = seal.seal(&times.kid, &pkcs8).map_err(|why| at(&times.kid, why))?;
            keys.push(StoredKey {
                kid: times.kid.to_string(),
                alg: key.alg().name().to_owned(),
                office: times.office,
                published: times.published.secs(),
                usable: times.usable.secs(),
                activated: times.activated.map(UnixTime::secs),
                retired: times.retired.map(UnixTime::secs),
                horizon: times.horizon.secs(),
                private: Zeroizing::new(private),
            });
        }
        let stored = StoredRing {
            format: FORMAT,
            epoch: self.epoch,
            asked: self.asked,
            ahead: self.ahead,
            copies_until: self.copies_until,
            keys,
        };
        let mut text =
            serde_json::to_string_pretty(&stored).map_err(|e| RingError::Corrupt(e.to_string()))?;
        text.push('\n');
        Ok(Zeroizing::new(text))
    }

    /// Reads what [`RingState::to_text`] wrote. `known` keys are not parsed again.
    ///
    /// # Errors
    /// [`RingError`] for anything else, two active keys, or a key that does not match its `kid`.
    pub fn from_text(text: &str, seal: &dyn Seal, known: Option<&Self>) -> Result<Self, RingError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let corrupt = |e: serde_json::Error| RingError::Corrupt(e.to_string());
        let head: Head = serde_json::from_str(text).map_err(corrupt)?;
        if head.format != FORMAT {
            return Err(RingError::Format(head.format));
        }
        let stored: StoredRing = serde_json::from_str(text).map_err(corrupt)?;
        let mut keys = Vec::with_capacity(stored.keys.len());
        for key in &stored.keys {
            keys.push(parse(key, seal, known)?);
        }
        for office in [Office::Active, Office::Next] {
            if keys.iter().filter(|k| k.times.office == office).count() > 1 {
                return Err(RingError::Corrupt(format!("two keys are {office:?}").to_lowercase()));
            }
        }
        Ok(Self {
            epoch: stored.epoch,
            keys,
            asked: stored.asked,
            ahead: stored.ahead,
            copies_until: stored.copies_until,
        })
    }
}

fn parse(
    stored: &StoredKey,
    seal: &dyn Seal,
    known: Option<&RingState>,
) -> Result<RingKey, RingError> {
    let fault = |why: String| RingError::Key { kid: stored.kid.clone(), why };
    let kid = Kid::parse(&stored.kid).map_err(|e| fault(e.to_string()))?;
    let key = match known.and_then(|ring| ring.get(&kid)) {
        Some(same) => same.key.clone(),
        None => {
            let alg = Alg::from_name(&stored.alg)
                .ok_or_else(|| fault(format!("algorithm `{}` is not known", stored.alg)))?;
            let pkcs8 = seal.open(&kid, &stored.private).map_err(fault)?;
            let key = SigningKey::from_pkcs8(alg, &pkcs8).map_err(|e| fault(e.to_string()))?;
            if *key.kid() != kid {
                return Err(fault(format!("the private key is that of {}", key.kid())));
            }
            Arc::new(key)
        }
    };
    let times = KeyTimes {
        kid,
        office: stored.office,
        published: UnixTime::from_secs(stored.published),
        usable: UnixTime::from_secs(stored.usable),
        activated: stored.activated.map(UnixTime::from_secs),
        retired: stored.retired.map(UnixTime::from_secs),
        horizon: UnixTime::from_secs(stored.horizon),
    };
    Ok(RingKey { times, key })
}

fn at(kid: &Kid, why: String) -> RingError {
    RingError::Key { kid: kid.to_string(), why }
}
