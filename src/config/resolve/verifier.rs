//! `[profile]`.

use super::super::error::{Checked, Fault};
use super::super::raw::RawProfile;
use super::place::At;
use crate::jose::alg::Family;
use crate::profile::Profile;

pub(super) fn resolve(raw: &RawProfile) -> Checked<Profile> {
    let at = At::root("profile");
    let mut profile = match raw.name.as_deref() {
        None => Profile::default(),
        Some(name) => {
            Profile::named(name).ok_or_else(|| at.key("name").choice(name, Profile::NAMES))?
        }
    };
    for (key, names, set) in [
        ("accepts", &raw.accepts, &mut profile.accepts),
        ("publish", &raw.publish, &mut profile.publish),
    ] {
        let Some(names) = names else { continue };
        let at = at.key(key);
        *set = at.algs(names.iter().map(String::as_str))?;
        if let Some(secret) = set.iter().find(|alg| alg.family() == Family::Secret) {
            return Err(secret_alg(&at, secret.name()));
        }
    }
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

fn secret_alg(at: &At, name: &str) -> Fault {
    at.fault(format_args!("{name} has no public key, so a verifier cannot be shown one"))
}
