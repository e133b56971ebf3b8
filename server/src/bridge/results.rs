//! Computed results, kept until their token expires, within a limit of bytes.
//!
//! Only `exp` of a result depends on the clock. A result is returned while it lives; the remaining
//! time is computed when it is returned.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use moka::Expiry;
use moka::future::Cache;

use super::Bridged;
use crate::clock::Clock;
use crate::issuer::IssuerHandle;
use crate::jose::names::{Audience, Kid, UnixTime};
use crate::jose::publish::PublishedKids;
use crate::pipeline::Ask;

/// A result and everything that it depends on.
pub(super) struct Entry {
    pub(super) bridged: Bridged,
    /// How long it is returned; at most its `exp`.
    pub(super) fresh_until: UnixTime,
    pub(super) handle: Arc<IssuerHandle>,
    pub(super) issuer_epoch: u64,
    /// Our key that signed it; while that key signs, it is published.
    pub(super) signer: Kid,
    pub(super) kids: Arc<PublishedKids>,
}

pub(super) type ResultKey = [u8; 32];
pub(super) type Results = Cache<ResultKey, Arc<Entry>>;

/// The time until which a result made `now` is returned again: half of a shortened life, so that a
/// later caller still gets most of it.
pub(super) fn fresh_until(expires: UnixTime, shortened: bool, now: UnixTime) -> UnixTime {
    if shortened { now.plus(expires.since(now) / 2) } else { expires }
}

/// The weight of an entry beside its token, in bytes: the entry, its key, and moka's hash map,
/// queues and timer wheel. Measured with mimalloc on a full cache: 596 and 553 bytes beside tokens
/// of 900 and 300. Rounded up, so that the limit is one of resident memory.
const ENTRY_OVERHEAD: u32 = 640;
/// The maximum life of an entry, whatever its `exp`: some issuers write the year 9999.
const MAX_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// A cache of at most `bytes`.
pub(super) fn new(bytes: u64, clock: Clock) -> Results {
    Cache::builder()
        .max_capacity(bytes)
        .weigher(|_, entry: &Arc<Entry>| {
            let jwt = entry.bridged.jwt.as_ref().map_or(0, |jwt| jwt.len());
            u32::try_from(jwt).unwrap_or(u32::MAX).saturating_add(ENTRY_OVERHEAD)
        })
        .expire_after(UntilExp(clock))
        .build()
}

/// An entry expires with its token, by our clock.
struct UntilExp(Clock);

impl UntilExp {
    fn left(&self, entry: &Entry) -> Duration {
        self.0.real(entry.fresh_until.since(self.0.now())).min(MAX_LIFETIME)
    }
}

impl Expiry<ResultKey, Arc<Entry>> for UntilExp {
    fn expire_after_create(
        &self,
        _: &ResultKey,
        entry: &Arc<Entry>,
        _: Instant,
    ) -> Option<Duration> {
        Some(self.left(entry))
    }

    fn expire_after_update(
        &self,
        _: &ResultKey,
        entry: &Arc<Entry>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(self.left(entry))
    }
}

/// The cache key. The length precedes every part, so two different requests never have the same
/// key, and neither does the same request under two configurations.
pub(super) fn key(generation: u64, token: &str, ask: &Ask<'_>) -> ResultKey {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&generation.to_le_bytes());
    let companions = &ask.companions;
    let room = ask.room.map(|room| room.to_string());
    let parts = [
        Some(token),
        ask.audience.map(Audience::as_str),
        companions.access_token,
        companions.original_access_token,
        companions.code,
        companions.state,
        room.as_deref(),
        ask.downscope.then_some("downscope"),
    ];
    for part in parts {
        match part {
            None => hash.update(&[0]),
            Some(text) => {
                hash.update(&[1]);
                hash.update(&text.len().to_le_bytes());
                hash.update(text.as_bytes());
            }
        }
    }
    let mut key = [0; 32];
    key.copy_from_slice(hash.finish().as_ref());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Companions;

    #[test]
    fn a_shortened_token_is_reused_for_half_its_life() {
        let at = UnixTime::from_secs;
        assert_eq!(fresh_until(at(1100), true, at(1000)), at(1050));
        assert_eq!(fresh_until(at(1100), false, at(1000)), at(1100));
        // A result that has expired is returned to nobody.
        assert_eq!(fresh_until(at(900), true, at(1000)), at(1000));
    }

    #[test]
    fn no_two_requests_share_a_key() {
        let ask = |access_token, code| Ask {
            companions: Companions { access_token, code, ..Companions::default() },
            ..Ask::default()
        };
        let keys = [
            key(0, "t", &Ask::default()),
            key(1, "t", &Ask::default()),
            key(0, "t", &ask(Some("x"), None)),
            key(0, "t", &ask(None, Some("x"))),
            key(0, "t", &ask(Some(""), Some("x"))),
            key(0, "t", &Ask { room: Some(7), ..Ask::default() }),
            key(0, "t", &Ask { downscope: true, ..Ask::default() }),
            key(0, "t2", &Ask::default()),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
