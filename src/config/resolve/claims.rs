//! `claims` of an `[[issuer]]`.

use super::super::error::Checked;
use super::place::At;
use crate::jose::policy::ClaimRules;

/// `at` is the place of the rules.
pub(super) fn check(rules: &ClaimRules, at: &At) -> Checked<()> {
    for (from, to) in &rules.rename {
        for name in [from, to] {
            unprotected(name, &at.key("rename").key(from))?;
        }
    }
    for name in rules.set.keys() {
        let at = at.key("set").key(name);
        unprotected(name, &at)?;
        at.fault("`sub` must not be a constant: every user would be the same one")
            .when(name == "sub")?;
    }
    for name in &rules.drop {
        unprotected(name, &at.key("drop"))?;
        at.key("drop").fault("a token without `sub` names no user").when(name == "sub")?;
    }
    Ok(())
}

/// A rule must not touch a claim that the proxy itself checks or sets.
fn unprotected(name: &str, at: &At) -> Checked<()> {
    at.fault(format_args!(
        "a rule cannot change `{name}`: the proxy checks it, and other settings control it"
    ))
    .hint("see `output_issuer`, `audience`, `audience_when_missing` and `max_lifetime`")
    .when(ClaimRules::is_protected(name))
}
