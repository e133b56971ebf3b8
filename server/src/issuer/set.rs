//! Keys that the issuer no longer publishes: they still verify for a grace period.

use std::time::Duration;

use crate::jose::jwks::KeySet;
use crate::jose::names::UnixTime;
use crate::jose::thumbprint::Thumbprint;

/// A key that the issuer removed. It still verifies until `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Removed {
    pub key: Thumbprint,
    pub until: UnixTime,
}

/// The new set: what the issuer publishes and, for `grace`, what it removed.
pub(super) fn merge(
    before: Option<&KeySet>,
    new: KeySet,
    removed: &mut Vec<Removed>,
    grace: Duration,
    now: UnixTime,
) -> KeySet {
    let published = |t: &Thumbprint| new.keys().iter().any(|k| k.thumbprint() == t);
    let ended: Vec<_> = removed.iter().filter(|r| r.until <= now).map(|r| r.key.clone()).collect();
    removed.retain(|r| !published(&r.key) && r.until > now);
    let Some(before) = before.filter(|_| !grace.is_zero()) else { return new };
    for key in before.keys().iter().map(|k| k.thumbprint()) {
        let known = ended.contains(key) || removed.iter().any(|r| r.key == *key);
        if !published(key) && !known {
            removed.push(Removed { key: key.clone(), until: now.plus(grace) });
        }
    }
    let kept = before.keys().iter().filter(|k| removed.iter().any(|r| r.key == *k.thumbprint()));
    let kept: Vec<_> = kept.cloned().collect();
    if kept.is_empty() { new } else { new.and(kept) }
}

/// The set without keys whose grace has ended; `None`: nothing ended.
pub(super) fn expire(set: &KeySet, removed: &mut Vec<Removed>, now: UnixTime) -> Option<KeySet> {
    let ended: Vec<_> = removed.iter().filter(|r| r.until <= now).map(|r| r.key.clone()).collect();
    if ended.is_empty() {
        return None;
    }
    removed.retain(|r| r.until > now);
    Some(set.without(|key| ended.contains(key.thumbprint())))
}
