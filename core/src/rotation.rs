//! Decides when this program's own keys change state: next → active → retired → gone. It is pure:
//! the ring and the time go in, the changes that are due come out.
//!
//! A verifier that respects `max-age` holds a copy of the set that is up to `max-age` old. So a key
//! signs only when every copy still in use was made after the key was published: [`Rules::ahead`]
//! after [`KeyTimes::published`]. The very first key may sign at once: no set was served before it,
//! so no copy without it exists. A retired key is published until the last token that it signed has
//! expired.
//!
//! A replica that loses its connection to a shared store serves the ring that it had, and signs
//! with the key that was active in it. An outage of up to [`Rules::outage`] must not show. So a new
//! key waits that much longer before it signs, and an old key is published that much longer. By
//! then the replica is connected again, has the new key, and has reported what it signed meanwhile.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::jose::names::{Kid, UnixTime};

/// The most keys in one ring. A flood of long-lived tokens must not grow the served set without
/// end. At the limit, rotation waits, and the status shows it.
pub const MAX_KEYS: usize = 32;
/// Signatures that began before a key was retired may finish up to this much later.
pub const IN_FLIGHT_GRACE: Duration = Duration::from_secs(60);

/// The stage of a key's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// It is published, but does not sign yet.
    Next,
    /// It signs.
    Active,
    /// It is published until its last token has expired.
    Retired,
}

impl KeyState {
    /// The name that is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

/// The times of one key's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTimes {
    /// The key's ID.
    pub kid: Kid,
    /// The current state.
    pub state: KeyState,
    /// When the key was first in the served set.
    pub published: UnixTime,
    /// When the last copy of the set without this key has passed its `max-age`.
    pub usable: UnixTime,
    /// When the key became active.
    pub activated: Option<UnixTime>,
    /// When the key was retired.
    pub retired: Option<UnixTime>,
    /// The latest `exp` of a token that the key may have signed.
    pub latest_exp: UnixTime,
}

impl KeyTimes {
    /// A key that is published from `now` on.
    pub fn new(kid: Kid, state: KeyState, usable: UnixTime, now: UnixTime) -> Self {
        let at = |own| (state == own).then_some(now);
        let (activated, retired) = (at(KeyState::Active), at(KeyState::Retired));
        Self { kid, state, published: now, usable, activated, retired, latest_exp: now }
    }
}

/// The rules of the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The age at which a new key takes over. `None` means only on request.
    pub rotate_every: Option<Duration>,
    /// The served `max-age`, plus skew, plus the time until a replica has learned of a new key,
    /// which includes `outage`.
    pub ahead: Duration,
    /// How long a replica may be disconnected from the store.
    pub outage: Duration,
    /// The clock skew of verifiers that is allowed for before a retired key is removed.
    pub skew: Duration,
}

/// A change that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// Create the first key, which signs at once.
    First,
    /// Create a key and publish it as next.
    Create,
    /// The next key becomes active, and the active key is retired.
    Promote(Kid),
    /// Remove the key from the set.
    Remove(Kid),
}

/// All changes that are due at `now`, in the order in which to make them. `requested` means that a
/// rotation was requested and has not happened yet.
pub fn due(keys: &[KeyTimes], rules: &Rules, requested: bool, now: UnixTime) -> Vec<Transition> {
    let mut out: Vec<_> = keys
        .iter()
        .filter(|key| removable(key, rules).is_some_and(|at| at <= now))
        .map(|key| Transition::Remove(key.kid.clone()))
        .collect();
    let has_room = keys.len() - out.len() < MAX_KEYS;
    if let Some((at, change)) = next_signing_key(keys, rules, requested, now)
        && at <= now
        && (has_room || change != Transition::Create)
    {
        out.push(change);
    }
    out
}

/// When the next retired key leaves the ring; `None` where no key is retired.
pub fn next_leaves(keys: &[KeyTimes], rules: &Rules) -> Option<UnixTime> {
    keys.iter().filter_map(|key| removable(key, rules)).min()
}

/// When the next change is due; `None` means not before a rotation is requested.
pub fn next_due(
    keys: &[KeyTimes],
    rules: &Rules,
    requested: bool,
    now: UnixTime,
) -> Option<UnixTime> {
    let change = next_signing_key(keys, rules, requested, now).map(|(at, _)| at);
    next_leaves(keys, rules).into_iter().chain(change).min()
}

/// The next step towards another active key, and when it is due.
fn next_signing_key(
    keys: &[KeyTimes],
    rules: &Rules,
    requested: bool,
    now: UnixTime,
) -> Option<(UnixTime, Transition)> {
    let find = |state| keys.iter().find(|key| key.state == state);
    let promote = |next: &KeyTimes| Transition::Promote(next.kid.clone());
    let next = find(KeyState::Next);
    let Some(active) = find(KeyState::Active) else {
        // A ring without an active key has never signed, or was imported. Its oldest next key
        // becomes active; without one, the first key is created.
        return Some((now, next.map_or(Transition::First, promote)));
    };
    let activated = active.activated.unwrap_or(active.published);
    let rotates_at = rules.rotate_every.map(|age| activated.plus(age));
    match next {
        Some(next) if requested => Some((next.usable, promote(next))),
        Some(next) => Some((rotates_at?.max(next.usable), promote(next))),
        None if requested => Some((now, Transition::Create)),
        // The successor is published early enough to take over in time.
        None => Some((rotates_at?.minus(rules.ahead), Transition::Create)),
    }
}

/// The first second at which no verifier needs a retired key any more.
fn removable(key: &KeyTimes, rules: &Rules) -> Option<UnixTime> {
    let retired = key.retired.filter(|_| key.state == KeyState::Retired)?;
    let last = key.latest_exp.max(retired.plus(IN_FLIGHT_GRACE).plus(rules.outage));
    Some(last.plus(rules.skew).plus(Duration::from_secs(1)))
}
