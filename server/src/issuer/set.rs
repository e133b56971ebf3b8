//! Keys that the issuer no longer publishes: they still verify for a grace period.

use std::collections::HashMap;
use std::time::Duration;

use crate::jose::jwks::KeySet;
use crate::jose::names::UnixTime;
use crate::jose::thumbprint::Thumbprint;

/// The keys that the issuer removed, and until when each still verifies.
pub(super) type RemovedKeys = HashMap<Thumbprint, UnixTime>;

/// The new set: what the issuer publishes and, for `grace`, what it removed.
pub(super) fn merge(
    before: Option<&KeySet>,
    new: KeySet,
    removed: &mut RemovedKeys,
    grace: Duration,
    now: UnixTime,
) -> KeySet {
    let published = |key: &Thumbprint| new.keys().iter().any(|k| k.thumbprint() == key);
    let expired = take_expired(removed, now);
    removed.retain(|key, _| !published(key));
    let Some(before) = before.filter(|_| !grace.is_zero()) else { return new };
    for key in before.keys().iter().map(|k| k.thumbprint()) {
        if !published(key) && !expired.contains(key) {
            removed.entry(key.clone()).or_insert(now.plus(grace));
        }
    }
    let kept = before.keys().iter().filter(|k| removed.contains_key(k.thumbprint()));
    let kept: Vec<_> = kept.cloned().collect();
    if kept.is_empty() { new } else { new.and(kept) }
}

/// The set without keys whose grace period has ended; `None`: it ended for none.
pub(super) fn expire(set: &KeySet, removed: &mut RemovedKeys, now: UnixTime) -> Option<KeySet> {
    let expired = take_expired(removed, now);
    (!expired.is_empty()).then(|| set.without(|key| expired.contains(key.thumbprint())))
}

fn take_expired(removed: &mut RemovedKeys, now: UnixTime) -> Vec<Thumbprint> {
    removed.extract_if(|_, until| *until <= now).map(|(key, _)| key).collect()
}
