//! The text form of a ring in files and in Redis, and the checks when it is read.
//!
//! The member names `office` and `horizon` come from an earlier version: existing rings have them.

use std::fmt::Display;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::ring::{RingKey, RingState};
use crate::jose::alg::Alg;
use crate::jose::names::{Kid, UnixTime};
use crate::jose::sign::SigningKey;
use crate::rotation::{KeyState, KeyTimes};

/// Format of the stored text. Any other format is refused.
const FORMAT: u32 = 1;
/// Epochs count changes. Even with one a second, no counting gets here, so a greater epoch is corrupt. Below
/// it, adding one never overflows.
const MAX_EPOCH: u64 = 1 << 53;

/// Why stored text is not a valid ring. We never make a new one instead: the old keys are still needed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    #[error("is not a key ring: {0}")]
    Corrupt(String),
    #[error("has format {0}, this program reads format {FORMAT}")]
    Format(u32),
    #[error("has no key")]
    Empty,
    #[error("has the impossible epoch {0}; it counts changes, from 1 to {MAX_EPOCH}")]
    Epoch(u64),
    #[error("key {kid}: {why}")]
    Key { kid: String, why: String },
}

/// How private keys are encoded in the stored text.
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
    #[serde(rename = "office")]
    state: KeyState,
    published: UnixTime,
    usable: UnixTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    activated: Option<UnixTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retired: Option<UnixTime>,
    #[serde(rename = "horizon")]
    latest_exp: UnixTime,
    private: Zeroizing<String>,
}

impl RingState {
    /// The text a store keeps.
    ///
    /// # Errors
    /// [`RingError::Key`] when a private key cannot be sealed.
    pub fn to_text(&self, seal: &dyn Seal) -> Result<Zeroizing<String>, RingError> {
        let keys = self.keys.iter().map(|key| stored_key(key, seal)).collect::<Result<_, _>>()?;
        let Self { epoch, asked, ahead, copies_until, .. } = *self;
        let stored = StoredRing { format: FORMAT, epoch, asked, ahead, copies_until, keys };
        let mut text =
            serde_json::to_string_pretty(&stored).map_err(|e| RingError::Corrupt(e.to_string()))?;
        text.push('\n');
        Ok(Zeroizing::new(text))
    }

    /// Reads what [`RingState::to_text`] wrote. `known` keys are not parsed again.
    ///
    /// # Errors
    /// [`RingError`] for anything else: no key, an impossible epoch or time, two active keys, the same key
    /// twice, or a key that does not match its `kid`.
    pub fn from_text(text: &str, seal: &dyn Seal, known: Option<&Self>) -> Result<Self, RingError> {
        #[derive(Deserialize)]
        struct RingFormat {
            format: u32,
        }
        let corrupt = |e: serde_json::Error| RingError::Corrupt(e.to_string());
        let RingFormat { format } = serde_json::from_str(text).map_err(corrupt)?;
        if format != FORMAT {
            return Err(RingError::Format(format));
        }
        let stored: StoredRing = serde_json::from_str(text).map_err(corrupt)?;
        let StoredRing { epoch, asked, ahead, copies_until, keys: stored, .. } = stored;
        if stored.is_empty() {
            return Err(RingError::Empty);
        }
        if !(1..=MAX_EPOCH).contains(&epoch) {
            return Err(RingError::Epoch(epoch));
        }
        if !is_time(copies_until) || !i64::try_from(ahead).is_ok_and(is_time) {
            return Err(RingError::Corrupt("it has impossible times".to_owned()));
        }
        let mut keys: Vec<RingKey> = Vec::with_capacity(stored.len());
        for key in &stored {
            let key = ring_key(key, seal, known)?;
            if keys.iter().any(|other| other.times.kid == key.times.kid) {
                return Err(fault(&key.times.kid, "it occurs twice"));
            }
            keys.push(key);
        }
        for state in [KeyState::Active, KeyState::Next] {
            if keys.iter().filter(|k| k.times.state == state).count() > 1 {
                return Err(RingError::Corrupt(format!("two keys are {}", state.name())));
            }
        }
        Ok(Self { epoch, keys, asked, ahead, copies_until })
    }
}

fn stored_key(RingKey { times, key }: &RingKey, seal: &dyn Seal) -> Result<StoredKey, RingError> {
    let KeyTimes { state, published, usable, activated, retired, latest_exp, .. } = *times;
    let (kid, alg) = (times.kid.to_string(), key.alg().name().to_owned());
    let pkcs8 = key.to_pkcs8().map_err(|e| fault(&kid, e))?;
    let private = seal.seal(&times.kid, &pkcs8).map_err(|why| fault(&kid, why))?.into();
    Ok(StoredKey { kid, alg, state, published, usable, activated, retired, latest_exp, private })
}

fn ring_key(
    stored: &StoredKey,
    seal: &dyn Seal,
    known: Option<&RingState>,
) -> Result<RingKey, RingError> {
    let fault = |why: String| fault(&stored.kid, why);
    let kid = Kid::parse(&stored.kid).map_err(|e| fault(e.to_string()))?;
    check_times(stored).map_err(fault)?;
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
    let StoredKey { state, published, usable, activated, retired, .. } = *stored;
    // An issuer's `exp` may be any number, and earlier versions stored it unchanged.
    let latest_exp = stored.latest_exp.min(UnixTime::LAST);
    let times = KeyTimes { kid, state, published, usable, activated, retired, latest_exp };
    Ok(RingKey { times, key })
}

/// The order of the times is not checked: after a clock was set back they run backwards.
fn check_times(key: &StoredKey) -> Result<(), String> {
    let times = [
        ("published", Some(key.published)),
        ("usable", Some(key.usable)),
        ("activated", key.activated),
        ("retired", key.retired),
        ("horizon", Some(key.latest_exp.min(UnixTime::LAST))),
    ];
    for (name, time) in times {
        if let Some(time) = time.map(UnixTime::secs).filter(|time| !is_time(*time)) {
            return Err(format!("the time `{name}` cannot be {time}"));
        }
    }
    match key.state {
        KeyState::Active if key.activated.is_none() => {
            Err("it is active, but `activated` is missing".to_owned())
        }
        // Without this time it would never be removed from the set.
        KeyState::Retired if key.retired.is_none() => {
            Err("it is retired, but `retired` is missing".to_owned())
        }
        _ => Ok(()),
    }
}

fn is_time(secs: i64) -> bool {
    (0..=UnixTime::LAST.secs()).contains(&secs)
}

fn fault(kid: impl Display, why: impl Display) -> RingError {
    RingError::Key { kid: kid.to_string(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::super::file::PlainSeal;
    use super::*;
    use crate::rotation::Rules;

    /// A ring as it is stored: one active key, one next.
    fn stored() -> Value {
        let rules = Rules {
            rotate_every: None,
            ahead: Duration::from_secs(305),
            outage: Duration::ZERO,
            skew: Duration::from_secs(5),
        };
        let now = UnixTime::from_secs(1_000_000);
        let mut ring = RingState { epoch: 3, ..RingState::default() };
        for state in [KeyState::Active, KeyState::Next] {
            ring.add(&Arc::new(SigningKey::generate(Alg::Es256).unwrap()), state, &rules, now);
        }
        serde_json::from_str(&ring.to_text(&PlainSeal).unwrap()).unwrap()
    }

    fn read(ring: &Value) -> Result<RingState, RingError> {
        RingState::from_text(&ring.to_string(), &PlainSeal, None)
    }

    #[test]
    fn a_ring_of_an_earlier_version_reads() {
        let mut ring = stored();
        assert_eq!(ring["keys"][0]["office"], "active");
        assert_eq!(ring["keys"][0]["horizon"], 1_000_000);
        assert_eq!(read(&ring).unwrap().epoch, 3);
        // The `exp` of a token that never expires was stored unchanged.
        ring["keys"][0]["horizon"] = i64::MAX.into();
        assert_eq!(read(&ring).unwrap().keys[0].times.latest_exp.secs(), UnixTime::LAST.secs());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        type Spoil = fn(&mut Value);
        let cases: [(&str, Spoil); 13] = [
            ("has no key", |r| r["keys"] = json!([])),
            ("impossible epoch 0", |r| r["epoch"] = 0.into()),
            ("impossible epoch 18446744073709551615", |r| r["epoch"] = u64::MAX.into()),
            ("impossible epoch 9007199254740993", |r| r["epoch"] = ((1u64 << 53) + 1).into()),
            ("impossible times", |r| r["copies_until"] = (-1).into()),
            ("impossible times", |r| r["ahead"] = u64::MAX.into()),
            ("`published` cannot be -5", |r| r["keys"][0]["published"] = (-5).into()),
            ("`usable` cannot be", |r| r["keys"][1]["usable"] = i64::MAX.into()),
            ("`activated` cannot be", |r| r["keys"][0]["activated"] = i64::MIN.into()),
            ("`horizon` cannot be -1", |r| r["keys"][0]["horizon"] = (-1).into()),
            ("it is active, but `activated` is missing", |r| {
                r["keys"][0].as_object_mut().unwrap().remove("activated");
            }),
            ("it is retired, but `retired` is missing", |r| {
                r["keys"][1]["office"] = "retired".into();
            }),
            ("it occurs twice", |r| {
                let twin = r["keys"][0].clone();
                r["keys"].as_array_mut().unwrap().push(twin);
            }),
        ];
        for (why, spoil) in cases {
            let mut ring = stored();
            spoil(&mut ring);
            let error = read(&ring).unwrap_err().to_string();
            assert!(error.contains(why), "{why}: {error}");
        }
    }
}
