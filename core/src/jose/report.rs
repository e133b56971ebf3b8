//! What was done to a key set document, key by key. It never contains a secret: values of private
//! members are never read, and excerpts of others are short.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde::Serialize;

/// The changes and their reasons, one entry per change.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The differences between the document and the resulting set.
    pub changes: Vec<Change>,
    /// Facts that changed nothing.
    pub warnings: Vec<Change>,
    /// Secrets that the issuer publishes. A person must act on each.
    pub alarms: Vec<Alarm>,
}

/// Members of a JWK that a change may be about; any other last part of a path is a key's own name.
const MEMBERS: &[&str] =
    &["kty", "use", "alg", "kid", "crv", "n", "e", "x", "y", "x5c", "value", "key_ops", "oth"];

impl Report {
    /// The report for people: one line per key, alarms first.
    pub fn lines(&self) -> Vec<String> {
        let alarm = |a: &Alarm| format!("ALARM {}: {}: {}", a.path, a.code, a.members.join(", "));
        let mut lines: Vec<String> = self.alarms.iter().map(alarm).collect();
        let mut keys: Vec<(&str, Vec<String>)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for change in self.changes.iter().chain(&self.warnings) {
            let (key, member) = match change.path.rsplit_once('.') {
                Some((key, member)) if MEMBERS.contains(&member) => (key, Some(member)),
                _ => (change.path.as_str(), None),
            };
            let place = *places.entry(key).or_insert_with(|| {
                keys.push((key, Vec::new()));
                keys.len() - 1
            });
            keys[place].1.push(change.phrase(member));
        }
        lines.extend(
            keys.into_iter().map(|(key, phrases)| format!("{key}: {}", phrases.join("; "))),
        );
        lines
    }
}

impl Change {
    /// A change at `path`.
    pub fn new(path: impl Into<String>, code: &'static str, effect: Effect) -> Self {
        Self { path: path.into(), code, effect, before: None, after: None }
    }

    fn phrase(&self, member: Option<&str>) -> String {
        let effect = match self.effect {
            Effect::Repaired => "",
            Effect::Dropped => "dropped: ",
            Effect::LeftOut => "left out: ",
            Effect::Noted => "warning: ",
        };
        let mut out = format!("{effect}{}", self.code);
        if let Some(member) = member {
            let _ = write!(out, " {member}");
        }
        if let Some(before) = &self.before {
            let _ = write!(out, " {before:?}");
        }
        if let Some(after) = &self.after {
            let _ = write!(out, " -> {after:?}");
        }
        out
    }
}

/// One change or observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// JSON path in the upstream document, `$.keys[2].n`.
    pub path: String,
    /// Stable code.
    pub code: &'static str,
    /// The effect on the key.
    pub effect: Effect,
    /// An excerpt of the old value.
    pub before: Option<String>,
    /// An excerpt of the new value.
    pub after: Option<String>,
}

/// The effect of a change on its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The key is published, corrected.
    Repaired,
    /// The key is dropped.
    Dropped,
    /// The key verifies, but the profile does not publish it.
    LeftOut,
    /// Nothing was changed.
    Noted,
}

/// A leaked secret: its position and kind. Never the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// JSON path of the key.
    pub path: String,
    /// `private_key_leaked` or `secret_leaked`.
    pub code: &'static str,
    /// Names of the members that contain the secret.
    pub members: Vec<String>,
}

/// How many characters of the start and the end of a value a report shows: enough to recognise a
/// key and to see padding.
const HEAD: usize = 32;
const TAIL: usize = 16;

/// Text for a report line: shortened, control characters escaped.
pub fn excerpt(text: &str) -> String {
    let mut out = String::new();
    let mut push = |c: char| {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    };
    if text.chars().nth(HEAD + TAIL + 1).is_none() {
        text.chars().for_each(push);
        return out;
    }
    text.chars().take(HEAD).for_each(&mut push);
    push('…');
    let mut tail: Vec<_> = text.chars().rev().take(TAIL).collect();
    tail.reverse();
    tail.into_iter().for_each(push);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_one_line() {
        assert_eq!(excerpt("a\nb"), "a\\nb");
        assert_eq!(excerpt(&"é".repeat(1000)).chars().count(), HEAD + 1 + TAIL);
    }
}
