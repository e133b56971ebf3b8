//! `keys list`: the keys, their states and times.

use serde::Serialize;

use super::super::Exit;
use super::super::output::{CliError, Output};
use super::load;
use crate::clock::Clock;
use crate::jose::names::UnixTime;
use crate::keyring::{KeyView, KeyringSettings};
use crate::rotation::{KeyState, MAX_KEYS};

/// What `--json` prints.
#[derive(Serialize)]
struct KeyList<'a> {
    store: &'a str,
    epoch: u64,
    /// A rotation was asked for and waits until every cache has the next key.
    rotation_asked: bool,
    full: bool,
    keys: Vec<KeyView>,
}

pub(super) fn run(
    settings: &KeyringSettings,
    json: bool,
    out: &mut Output,
) -> Result<Exit, CliError> {
    let (ring, store) = load(settings)?;
    let full = ring.keys.len() >= MAX_KEYS;
    let keys: Vec<_> = ring.keys.iter().map(KeyView::of).collect();
    if json {
        let (epoch, rotation_asked) = (ring.epoch, ring.asked);
        out.json_pretty(&KeyList { store: &store, epoch, rotation_asked, full, keys });
        return Ok(Exit::Good);
    }
    out.line(format_args!("store: {store}"));
    out.line(format_args!("{:<43}  {:<5}  {:<7}  TIMES", "KID", "ALG", "STATE"));
    let now = Clock::system().now();
    for key in keys {
        let times = times(&key, now);
        out.line(format_args!("{:<43}  {:<5}  {:<7}  {times}", key.kid, key.alg, key.state.name()));
    }
    if full {
        out.note("the ring is full: rotation waits until a retired key's last token has expired");
    }
    Ok(Exit::Good)
}

fn times(key: &KeyView, now: UnixTime) -> String {
    let ago = |t: i64| span(now.secs() - t);
    match key.state {
        KeyState::Next if key.usable > now.secs() => {
            format!("may sign in {}", span(key.usable - now.secs()))
        }
        KeyState::Next => "may sign".to_owned(),
        KeyState::Active => {
            format!("signs since {} ago", ago(key.activated.unwrap_or(key.published)))
        }
        KeyState::Retired => {
            let left = (key.latest_exp - now.secs()).max(0);
            format!("retired {} ago, published {} more", ago(key.retired.unwrap_or(0)), span(left))
        }
    }
}

/// A time span in words, its two largest units.
pub(super) fn span(secs: i64) -> String {
    let secs = secs.max(0);
    match (secs / 86_400, secs / 3600 % 24, secs / 60 % 60) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, m) => format!("{m} min"),
        (0, h, m) => format!("{h} h {m} min"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}
