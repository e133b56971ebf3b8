//! Decides when an issuer's keys are fetched. State, event and time go in, an action comes out.
//! There is no clock and no network here; jitter is an argument.

use std::time::Duration;

use serde::Deserialize;

use crate::jose::names::UnixTime;
use crate::setting;

/// The first wait after a failed fetch. Each further failure doubles it.
const BACKOFF_FIRST: Duration = Duration::from_secs(5);
/// The longest wait between tries while an issuer fails, and so the longest delay after its
/// recovery.
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// The same waits while there is no set to serve. They are short because no user can log in
/// until the issuer answers, and one small request per wait is a negligible load.
const COLD_BACKOFF_FIRST: Duration = Duration::from_secs(1);
const COLD_BACKOFF_MAX: Duration = Duration::from_secs(8);
/// The longest `Retry-After` that is honoured while there is no set. Gateways send such values as a
/// guess while a server starts.
const COLD_RETRY_AFTER_MAX: Duration = Duration::from_secs(120);
/// The longest `Retry-After` that is honoured otherwise: an issuer must not stop refreshes for
/// days.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// A refresh starts at a random point between 75 % and 90 % of the set's age, so that many proxies
/// do not fetch at once, and a slow answer still arrives before the set is too old.
const REFRESH_FROM: f64 = 0.75;
const REFRESH_SPREAD: f64 = 0.15;

/// How an issuer's key set is kept fresh, `[issuer.refresh]`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RefreshSettings {
    /// Lower limit of the age that the issuer's `Cache-Control` gives the key set.
    #[serde(with = "setting::Duration")]
    pub min_age: Duration,
    /// Upper limit of the age that the issuer's `Cache-Control` gives the key set.
    #[serde(with = "setting::Duration")]
    pub max_age: Duration,
    /// Age of the key set if the issuer's answer states none.
    #[serde(with = "setting::Duration")]
    pub default_age: Duration,
    /// After a fetch, successful or not, an unknown kid starts no other fetch for this time.
    #[serde(with = "setting::Duration")]
    pub cooldown: Duration,
    /// How long a request waits for the fetch that an unknown kid started.
    #[serde(with = "setting::Duration")]
    pub unknown_kid_wait: Duration,
    /// How long the last good key set is served while the issuer fails.
    #[serde(with = "setting::Duration")]
    pub stale_max: Duration,
    /// How long a key that the issuer removed still verifies.
    #[serde(with = "setting::Duration")]
    pub removed_key_grace: Duration,
}

impl Default for RefreshSettings {
    fn default() -> Self {
        Self {
            min_age: Duration::from_secs(60),
            max_age: Duration::from_secs(3600),
            default_age: Duration::from_secs(300),
            cooldown: Duration::from_secs(30),
            unknown_kid_wait: Duration::from_secs(1),
            stale_max: Duration::from_secs(7 * 86_400),
            removed_key_grace: Duration::ZERO,
        }
    }
}

/// The history of one issuer's fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RefreshState {
    /// The time of the last successful fetch.
    pub fetched: Option<UnixTime>,
    /// When the scheduled refresh is due; `None` means now.
    pub due: Option<UnixTime>,
    /// The end of the last fetch, successful or not.
    pub tried: Option<UnixTime>,
    /// Failed fetches since the last successful one.
    pub failures: u32,
    /// No fetch before this time, because of backoff or the issuer's `Retry-After`.
    pub not_before: Option<UnixTime>,
}

/// Why a fetch is considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The timer of the schedule.
    Timer,
    /// A request needs keys, and there are none, or the set is too old to use.
    NoKeys,
    /// A token names a `kid` that is not in the set.
    UnknownKid,
}

/// The decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Fetch now.
    Fetch,
    /// Do nothing yet; the timer asks again after this long.
    Wait(Duration),
    /// Do not fetch; use the present keys.
    Hold,
}

/// The result of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchOutcome {
    /// A usable set, or `304`.
    Good {
        /// How long the set may be used, if the issuer's header fields state it.
        age: Option<Duration>,
    },
    /// No usable set.
    Bad {
        /// The issuer's `Retry-After`, if it sent one.
        retry_after: Option<Duration>,
    },
}

/// How far the last good set may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Freshness {
    /// There is no set yet.
    None,
    /// The set is within its age.
    Fresh,
    /// The last fetch failed; the set is still served.
    Stale,
    /// The set is older than `stale_max` and is not served.
    Expired,
}

/// Decides what to do on `event`.
pub fn decide(
    state: &RefreshState,
    event: Event,
    refresh: &RefreshSettings,
    now: UnixTime,
) -> Action {
    let backoff = state.not_before.map_or(Duration::ZERO, |t| until(t, now, RETRY_AFTER_MAX));
    match event {
        Event::Timer => {
            let longest = refresh.max_age.max(refresh.default_age);
            let due = state.due.map_or(Duration::ZERO, |t| until(t, now, longest));
            match backoff.max(due) {
                Duration::ZERO => Action::Fetch,
                wait => Action::Wait(wait),
            }
        }
        // There is no set, or it is too old to use. Backoff limits the tries; after a successful
        // fetch there is no backoff, so this fetches at once.
        Event::NoKeys if backoff.is_zero() => Action::Fetch,
        // The cooldown counts from the last try, successful or not, so that a failing issuer is not
        // flooded.
        Event::UnknownKid if backoff.is_zero() && is_cooldown_over(state, refresh, now) => {
            Action::Fetch
        }
        Event::NoKeys | Event::UnknownKid => Action::Hold,
    }
}

/// The state after a fetch that ended at `now`. `jitter` is in `0.0..1.0`.
pub fn after(
    state: &RefreshState,
    outcome: FetchOutcome,
    refresh: &RefreshSettings,
    jitter: f64,
    now: UnixTime,
) -> RefreshState {
    match outcome {
        FetchOutcome::Good { age } => {
            let age = lifetime(age, refresh);
            let wait = age.mul_f64(REFRESH_FROM + REFRESH_SPREAD * jitter.clamp(0.0, 1.0));
            RefreshState {
                fetched: Some(now),
                due: Some(now.plus(at_least_a_second(wait))),
                tried: Some(now),
                failures: 0,
                not_before: None,
            }
        }
        FetchOutcome::Bad { retry_after } => {
            let failures = state.failures.saturating_add(1);
            let served =
                matches!(freshness(state, refresh, now), Freshness::Fresh | Freshness::Stale);
            let (first, max, retry_after_max) = match served {
                true => (BACKOFF_FIRST, BACKOFF_MAX, RETRY_AFTER_MAX),
                false => (COLD_BACKOFF_FIRST, COLD_BACKOFF_MAX, COLD_RETRY_AFTER_MAX),
            };
            let own = backoff(first, max, failures, jitter);
            let wait = retry_after.map_or(own, |stated| stated.min(retry_after_max).max(own));
            RefreshState { failures, tried: Some(now), not_before: Some(now.plus(wait)), ..*state }
        }
    }
}

/// How far the last good set may be trusted at `now`.
pub fn freshness(state: &RefreshState, refresh: &RefreshSettings, now: UnixTime) -> Freshness {
    match state.fetched {
        None => Freshness::None,
        Some(fetched) if now.since(fetched) > refresh.stale_max => Freshness::Expired,
        // A refresh starts before the set's age ends. So a first failure comes while the set is
        // still within its age, but no caller needs that distinction.
        Some(_) if state.failures > 0 => Freshness::Stale,
        Some(_) => Freshness::Fresh,
    }
}

/// The lifetime that the issuer gave (RFC 9111 §4.2.1), limited to the configured range.
pub fn lifetime(stated: Option<Duration>, refresh: &RefreshSettings) -> Duration {
    let floor = refresh.min_age.min(refresh.max_age);
    stated.unwrap_or(refresh.default_age).clamp(floor, refresh.max_age.max(floor))
}

fn is_cooldown_over(state: &RefreshState, refresh: &RefreshSettings, now: UnixTime) -> bool {
    // A last try in the future means that the clock was set back, which must not block fetches
    // until then.
    state.tried.is_none_or(|tried| tried > now || now.since(tried) >= refresh.cooldown)
}

fn backoff(first: Duration, max: Duration, failures: u32, jitter: f64) -> Duration {
    let full = first.saturating_mul(1 << failures.saturating_sub(1).min(10));
    // Half fixed, half random: many proxies never retry at the same time, and none retries at once.
    at_least_a_second(full.min(max).mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0)))
}

/// The time until `t`. Zero if `t` is further ahead than any time that is set here, which means
/// that the clock was set back.
fn until(t: UnixTime, now: UnixTime, longest: Duration) -> Duration {
    let wait = t.since(now);
    if wait > longest { Duration::ZERO } else { wait }
}

/// [`UnixTime`] counts whole seconds: a shorter wait would be none.
fn at_least_a_second(d: Duration) -> Duration {
    Duration::from_secs(d.as_secs_f64().ceil() as u64).max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: i64) -> UnixTime {
        UnixTime::from_secs(1_000_000 + secs)
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn good(now: UnixTime) -> RefreshState {
        after(&RefreshState::default(), FetchOutcome::Good { age: None }, &rules(), 0.5, now)
    }

    fn rules() -> RefreshSettings {
        RefreshSettings::default()
    }

    #[test]
    fn a_cold_start_fetches_at_once() {
        for event in [Event::Timer, Event::NoKeys, Event::UnknownKid] {
            assert_eq!(decide(&RefreshState::default(), event, &rules(), at(0)), Action::Fetch);
        }
    }

    #[test]
    fn the_issuers_age_is_kept_between_floor_and_cap() {
        assert_eq!(lifetime(Some(secs(0)), &rules()), secs(60));
        assert_eq!(lifetime(Some(secs(31_536_000)), &rules()), secs(3600));
        assert_eq!(lifetime(Some(secs(600)), &rules()), secs(600));
        assert_eq!(lifetime(None, &rules()), secs(300));
    }

    #[test]
    fn a_refresh_runs_ahead_of_the_end_whatever_the_jitter() {
        for jitter in [0.0, 0.3, 1.0, 7.0, -1.0] {
            let s = after(
                &RefreshState::default(),
                FetchOutcome::Good { age: None },
                &rules(),
                jitter,
                at(0),
            );
            let action = decide(&s, Event::Timer, &rules(), at(0));
            let ahead = |wait: Duration| wait >= secs(225) && wait < secs(300);
            assert!(matches!(action, Action::Wait(wait) if ahead(wait)), "{jitter}: {action:?}");
        }
    }

    #[test]
    fn a_flood_of_kids_costs_one_fetch_a_cooldown_also_while_fetches_fail() {
        let mut state = good(at(0));
        let mut fetches = 0;
        for t in 0..600 {
            for _ in 0..100 {
                if decide(&state, Event::UnknownKid, &rules(), at(t)) == Action::Fetch {
                    fetches += 1;
                    let bad = FetchOutcome::Bad { retry_after: None };
                    state = after(&state, bad, &rules(), 0.0, at(t));
                }
            }
        }
        assert!((2..=20).contains(&fetches), "{fetches}");
        let mut state = good(at(0));
        let mut fetches = 0;
        for t in 1..=600 {
            if decide(&state, Event::UnknownKid, &rules(), at(t)) == Action::Fetch {
                fetches += 1;
                state = after(&state, FetchOutcome::Good { age: None }, &rules(), 0.0, at(t));
            }
        }
        assert_eq!(fetches, 20);
    }

    #[test]
    fn an_outage_is_asked_about_at_growing_intervals_and_served_through() {
        let mut state = good(at(0));
        let mut tries = Vec::new();
        for t in 300..300 + 7200 {
            if decide(&state, Event::Timer, &rules(), at(t)) == Action::Fetch {
                tries.push(t);
                let bad = FetchOutcome::Bad { retry_after: None };
                state = after(&state, bad, &rules(), 1.0, at(t));
                assert_eq!(freshness(&state, &rules(), at(t)), Freshness::Stale);
            }
        }
        let gaps: Vec<_> = tries.windows(2).map(|w| w[1] - w[0]).collect();
        assert_eq!(gaps[..7], [5, 10, 20, 40, 80, 160, 300]);
        assert!(gaps.iter().all(|g| *g <= 300));
        assert_eq!(freshness(&state, &rules(), at(7 * 86_400)), Freshness::Stale);
        assert_eq!(freshness(&state, &rules(), at(7 * 86_400 + 1)), Freshness::Expired);
        let back = after(&state, FetchOutcome::Good { age: None }, &rules(), 0.0, at(8000));
        assert_eq!(freshness(&back, &rules(), at(8000)), Freshness::Fresh);
        assert_eq!(back.failures, 0);
    }

    #[test]
    fn an_issuer_never_read_is_asked_again_within_seconds() {
        let mut state = RefreshState::default();
        let mut tries = Vec::new();
        for t in 0..600 {
            if decide(&state, Event::Timer, &rules(), at(t)) == Action::Fetch {
                tries.push(t);
                let bad = FetchOutcome::Bad { retry_after: None };
                state = after(&state, bad, &rules(), 1.0, at(t));
                assert_eq!(freshness(&state, &rules(), at(t)), Freshness::None);
            }
        }
        let gaps: Vec<_> = tries.windows(2).map(|w| w[1] - w[0]).collect();
        assert_eq!(gaps[..4], [1, 2, 4, 8]);
        assert!(gaps.iter().all(|gap| *gap <= 8), "{gaps:?}");
        // The issuer's `Retry-After` is honoured, within limits.
        let asked = |s| FetchOutcome::Bad { retry_after: Some(secs(s)) };
        let state = after(&RefreshState::default(), asked(30), &rules(), 0.0, at(0));
        assert_eq!(decide(&state, Event::Timer, &rules(), at(0)), Action::Wait(secs(30)));
        let state = after(&RefreshState::default(), asked(3600), &rules(), 0.0, at(0));
        assert_eq!(decide(&state, Event::Timer, &rules(), at(0)), Action::Wait(secs(120)));
        // A set that is too old to be served counts as none.
        let old = good(at(-8 * 86_400));
        let state = after(&old, FetchOutcome::Bad { retry_after: None }, &rules(), 1.0, at(0));
        assert_eq!(decide(&state, Event::Timer, &rules(), at(0)), Action::Wait(secs(1)));
    }

    #[test]
    fn retry_after_is_kept_by_every_event_up_to_an_hour() {
        let bad = |s| FetchOutcome::Bad { retry_after: Some(secs(s)) };
        let state = after(&good(at(0)), bad(60), &rules(), 0.0, at(100));
        for event in [Event::Timer, Event::NoKeys, Event::UnknownKid] {
            assert_ne!(decide(&state, event, &rules(), at(159)), Action::Fetch);
        }
        assert_eq!(decide(&state, Event::NoKeys, &rules(), at(160)), Action::Fetch);
        let state = after(&good(at(0)), bad(10_000_000), &rules(), 0.0, at(1000));
        assert_eq!(decide(&state, Event::Timer, &rules(), at(1000)), Action::Wait(secs(3600)));
    }

    #[test]
    fn a_clock_set_back_or_forward_stops_nothing() {
        let state = good(at(0));
        let long_ago = at(-1_000_000);
        assert_eq!(decide(&state, Event::Timer, &rules(), long_ago), Action::Fetch);
        assert_eq!(decide(&state, Event::UnknownKid, &rules(), long_ago), Action::Fetch);
        let failed = after(&state, FetchOutcome::Bad { retry_after: None }, &rules(), 0.0, at(10));
        assert_eq!(decide(&failed, Event::NoKeys, &rules(), long_ago), Action::Fetch);
        assert_eq!(decide(&state, Event::Timer, &rules(), at(86_400)), Action::Fetch);
        assert_eq!(freshness(&state, &rules(), long_ago), Freshness::Fresh);
    }
}
