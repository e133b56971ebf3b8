//! `claims` of an `[[issuer]]`.

use super::super::error::Checked;
use super::super::raw::RawClaims;
use super::place::At;
use crate::jose::policy::ClaimRules;

/// The rules. `at` is their place.
pub(super) fn rules(raw: &RawClaims, at: &At) -> Checked<ClaimRules> {
    for (from, to) in &raw.rename {
        for name in [from, to] {
            unprotected(name, &at.key("rename").key(from))?;
        }
    }
    for name in raw.set.keys() {
        let at = at.key("set").key(name);
        unprotected(name, &at)?;
        if name == "sub" {
            return Err(at.fault("`sub` must not be a constant: every user would be the same one"));
        }
    }
    for name in &raw.drop {
        unprotected(name, &at.key("drop"))?;
        if name == "sub" {
            return Err(at.key("drop").fault("a token without `sub` names no user"));
        }
    }
    let mut set = Vec::new();
    for (name, value) in &raw.set {
        let json =
            serde_json::to_value(value).map_err(|error| at.key("set").key(name).fault(error))?;
        set.push((name.clone(), json));
    }
    Ok(ClaimRules {
        rename: raw.rename.iter().map(|(from, to)| (from.clone(), to.clone())).collect(),
        set,
        drop: raw.drop.clone(),
        numeric_strings: raw.numeric_strings.unwrap_or(false),
        milliseconds: raw.milliseconds.unwrap_or(false),
    })
}

/// A rule must not touch a claim that the proxy itself checks or sets.
fn unprotected(name: &str, at: &At) -> Checked<()> {
    if ClaimRules::is_protected(name) {
        return Err(at
            .fault(format_args!(
                "a rule cannot change `{name}`: the proxy checks it, and other settings control it"
            ))
            .hint("see `output_issuer`, `audience`, `audience_when_missing` and `max_lifetime`"));
    }
    Ok(())
}
