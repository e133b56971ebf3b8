//! When our own keys change state: next → active → retired → gone. Pure: the ring and the time go
//! in, the changes that are due come out.
//!
//! A verifier that follows our `max-age` holds a copy of the set that is up to `max-age` old. So a
//! key signs only when every copy still in use was made after the key was published:
//! [`Rules::ahead`] after [`KeyTimes::published`]. The very first key may sign at once: before it no
//! set was ever served, so no copy without it exists. A retired key stays until the last token it
//! signed has expired.
//!
//! A replica that is cut off from a shared store serves the ring it had, and signs with the key that
//! was active in it. So that nobody notices for as long as [`Rules::outage`], a new key waits that
//! much longer, and an old one stays that much longer: until then the replica is back, has the new
//! key, and has told what it signed meanwhile.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::jose::names::{Kid, UnixTime};

/// Keys in one ring at most. A flood of long-lived tokens must not grow the served set without end;
/// at the bound rotation waits and the status says so.
pub const MAX_KEYS: usize = 32;
/// After a key was retired, signatures begun with it may still be on their way.
pub const LATE: Duration = Duration::from_secs(60);

/// Where a key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Published, does not sign yet.
    Next,
    /// Signs.
    Active,
    /// Published until its last token has expired.
    Retired,
}

impl KeyState {
    /// As it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

/// One key's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTimes {
    /// Its name.
    pub kid: Kid,
    /// What it is for now.
    pub state: KeyState,
    /// When it first stood in the served set.
    pub published: UnixTime,
    /// When the last copy of the set without it has run out of its `max-age`.
    pub usable: UnixTime,
    /// When it became active.
    pub activated: Option<UnixTime>,
    /// When it was retired.
    pub retired: Option<UnixTime>,
    /// The latest `exp` it may have signed.
    pub latest_exp: UnixTime,
}

/// What governs the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Age at which a new key takes over; `None`: by hand only.
    pub rotate_every: Option<Duration>,
    /// `max-age` served, plus skew, plus what a replica needs to hear of a new key, `outage` included.
    pub ahead: Duration,
    /// How long a replica may be cut off from the store.
    pub outage: Duration,
    /// Clock skew granted to verifiers when a retired key leaves.
    pub skew: Duration,
}

/// A change that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// Make the first key and let it sign at once.
    First,
    /// Make a key and publish it as next.
    Create,
    /// The next key becomes active, the active one retires.
    Promote(Kid),
    /// The key leaves the set.
    Remove(Kid),
}

/// Everything due at `now`, in the order in which it is to be done. `asked`: somebody asked for a
/// rotation that has not happened yet.
pub fn due(keys: &[KeyTimes], rules: &Rules, asked: bool, now: UnixTime) -> Vec<Transition> {
    let mut out: Vec<_> = keys
        .iter()
        .filter(|key| removable(key, rules).is_some_and(|at| at <= now))
        .map(|key| Transition::Remove(key.kid.clone()))
        .collect();
    let Some(active) = find(keys, KeyState::Active) else {
        // A ring without an active key has never signed, or was imported: the oldest next key
        // becomes active, or a first one is made.
        out.push(match find(keys, KeyState::Next) {
            Some(next) => Transition::Promote(next.kid.clone()),
            None => Transition::First,
        });
        return out;
    };
    match find(keys, KeyState::Next) {
        Some(next) if takes_over(active, next, rules, asked).is_some_and(|at| at <= now) => {
            out.push(Transition::Promote(next.kid.clone()));
        }
        None if wanted(active, rules, asked, now).is_some_and(|at| at <= now)
            && keys.len() - out.len() < MAX_KEYS =>
        {
            out.push(Transition::Create);
        }
        _ => {}
    }
    out
}

/// When the next key leaves the ring; `None`: none is retired.
pub fn next_leaves(keys: &[KeyTimes], rules: &Rules) -> Option<UnixTime> {
    keys.iter().filter_map(|key| removable(key, rules)).min()
}

/// When something is due next; `None`: nothing until somebody asks.
pub fn next_due(keys: &[KeyTimes], rules: &Rules, asked: bool, now: UnixTime) -> Option<UnixTime> {
    let leaves = next_leaves(keys, rules);
    let Some(active) = find(keys, KeyState::Active) else { return Some(now) };
    let turns = match find(keys, KeyState::Next) {
        Some(next) => takes_over(active, next, rules, asked),
        None => wanted(active, rules, asked, now),
    };
    [leaves, turns].into_iter().flatten().min()
}

/// When `next` may take over from `active`, and should.
fn takes_over(active: &KeyTimes, next: &KeyTimes, rules: &Rules, asked: bool) -> Option<UnixTime> {
    let may = next.usable;
    if asked {
        return Some(may);
    }
    Some(retires(active, rules)?.max(may))
}

/// When the successor of `active` should be published: early enough that it can take over in time.
fn wanted(active: &KeyTimes, rules: &Rules, asked: bool, now: UnixTime) -> Option<UnixTime> {
    if asked {
        return Some(now);
    }
    Some(retires(active, rules)?.minus(rules.ahead))
}

fn retires(active: &KeyTimes, rules: &Rules) -> Option<UnixTime> {
    Some(active.activated.unwrap_or(active.published).plus(rules.rotate_every?))
}

/// The first second at which a retired key is needed by nobody.
fn removable(key: &KeyTimes, rules: &Rules) -> Option<UnixTime> {
    let retired = key.retired.filter(|_| key.state == KeyState::Retired)?;
    let last = key.latest_exp.max(retired.plus(LATE).plus(rules.outage));
    Some(last.plus(rules.skew).plus(Duration::from_secs(1)))
}

fn find(keys: &[KeyTimes], state: KeyState) -> Option<&KeyTimes> {
    keys.iter().find(|key| key.state == state)
}
