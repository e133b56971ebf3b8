//! `[profile]`.

use super::super::error::Checked;
use super::super::raw::RawProfile;
use super::place::At;
use crate::jose::alg::{Alg, Family};
use crate::profile::Profile;

pub(super) fn resolve(raw: &RawProfile) -> Checked<Profile> {
    let at = At::root("profile");
    let mut profile = match raw.name.as_deref() {
        None => Profile::default(),
        Some(name) => {
            Profile::named(name).ok_or_else(|| at.key("name").choice(name, Profile::NAMES))?
        }
    };
    let algs =
        |key, names: &Option<Vec<String>>| {
            let Some(names) = names else { return Ok(None) };
            let at = at.key(key);
            let set = at.algs(names)?;
            match set.iter().find(|alg| alg.family() == Family::Secret) {
                Some(secret) => Err(at
                    .fault(format_args!("{secret} is symmetric: it has no public key to publish"))),
                None => Ok(Some(set)),
            }
        };
    profile.accepts = algs("accepts", &raw.accepts)?.unwrap_or(profile.accepts);
    if let Some(publish) = algs("publish", &raw.publish)? {
        // A key that the verifier takes only without `alg` is published without it, even if listed here.
        let bare = |alg: &Alg| profile.tolerates_bare.contains(*alg);
        profile.tolerates = publish.iter().filter(|alg| !bare(alg)).collect();
        profile.tolerates_bare = publish.iter().filter(bare).collect();
    }
    profile.claims.stable = raw.stable_claims;
    let shape = &mut profile.claims;
    for (given, set) in [
        (raw.claims.single_audience, &mut shape.single_audience),
        (raw.claims.typ_jwt, &mut shape.typ_jwt),
        (raw.claims.needs_iat, &mut shape.needs_iat),
        (raw.claims.needs_sub, &mut shape.needs_sub),
        (raw.claims.coerce_standard, &mut shape.coerce_standard),
    ] {
        *set = given.unwrap_or(*set);
    }
    Ok(profile)
}
