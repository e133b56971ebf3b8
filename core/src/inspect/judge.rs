//! What each profile's verifier would do with a decoded token: the claim shape as a list of rules.

use super::{Form, Inspection, Note, Outcome, ProfileView, UNREADABLE};
use crate::jose::alg::Alg;
use crate::jose::names::UnixTime;
use crate::jose::standard_claims;
use crate::jose::tree::Json;
use crate::profile::{ClaimShape, Profile};

/// Clock skew allowed for `nbf` and `iat`, never for `exp`.
const LEEWAY: i64 = 5;

pub(super) fn judge(inspection: &Inspection, now: UnixTime) -> Vec<ProfileView> {
    let fatal = fatal(inspection, now);
    let view = |profile: Profile| {
        let (outcome, reasons) = match (&inspection.header, &inspection.claims) {
            (Some(header), Some(claims)) if fatal.is_empty() => shape(header, claims, &profile),
            _ => (Outcome::Refused, fatal.clone()),
        };
        ProfileView { profile: profile.name, outcome, reasons }
    };
    Profile::NAMES.iter().filter_map(|name| Profile::named(name)).map(view).collect()
}

/// Faults that no verifier may accept and countersigning cannot repair.
fn fatal(inspection: &Inspection, now: UnixTime) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |code, text: &str| notes.push(Note::new(code, text));
    if inspection.form != Form::Jws {
        note("format", "not a signed token");
        return notes;
    }
    let (Some(header), Some(claims)) = (&inspection.header, &inspection.claims) else {
        note("format", "header and claims must be JSON objects in base64url");
        return notes;
    };
    if inspection.notes.iter().any(|note| note.code == UNREADABLE) {
        note(UNREADABLE, "verifiers cannot read its JSON");
    }
    for (place, tree) in [("header", header), ("claims", claims)] {
        if let Some(name) = tree.duplicates().first() {
            let text = format!("the {place} name `{name}` twice; verifiers disagree");
            note("duplicate_member", &text);
        }
    }
    match header.get("alg").and_then(Json::text) {
        Some(name) if Alg::from_name(name).is_some() => {}
        Some(name) if name.eq_ignore_ascii_case("none") => {
            note("alg", "`alg` is none: it is not signed at all");
        }
        Some(name) => {
            note("alg", &format!("`alg` is {name}, which is not a signature algorithm here"));
        }
        None => note("alg", "the header has no `alg`"),
    }
    if header.get("crit").is_some() {
        note("crit", "`crit` requires extensions that are not supported (RFC 7515 §4.1.11)");
    }
    if header.get("b64").is_some_and(|v| *v == Json::Bool(false)) {
        note("b64_false", "`b64: false` is not allowed in a JWT (RFC 7797 §7)");
    }
    if claims.get("iss").and_then(Json::text).is_none() {
        note("iss_missing", "no `iss`: it is unknown whose keys verify it");
    }
    // Seconds, or the type that the claim has instead.
    let time = |name: &str| claims.present(name).map(|time| time.seconds().ok_or(time.kind()));
    match time("exp") {
        None => note("exp_missing", "no `exp`: it would never expire"),
        Some(Err(kind)) => note("exp_type", &format!("`exp` is {kind}, not a number")),
        Some(Ok(exp)) if exp <= now.secs() => note("expired", "`exp` has passed"),
        Some(Ok(_)) => {}
    }
    for name in ["nbf", "iat"] {
        match time(name) {
            Some(Err(kind)) => note("time_type", &format!("`{name}` is {kind}, not a number")),
            Some(Ok(at)) if at > now.secs().saturating_add(LEEWAY) => {
                note("not_yet", &format!("`{name}` lies ahead"));
            }
            _ => {}
        }
    }
    notes
}

/// What this profile's verifier makes of the token, and what it rejects.
fn shape(header: &Json, claims: &Json, profile: &Profile) -> (Outcome, Vec<Note>) {
    let shape: &ClaimShape = &profile.claims;
    let mut reasons = Vec::new();
    let mut reason = |code, text: &str| reasons.push(Note::new(code, text));
    let mut repairable = true;
    let alg = header.get("alg").and_then(Json::text).and_then(Alg::from_name);
    if let Some(alg) = alg.filter(|alg| !profile.accepts.contains(*alg)) {
        let accepted: Vec<_> = profile.accepts.iter().map(Alg::name).collect();
        reason("alg", &format!("signed with {alg}; accepted: {}", accepted.join(", ")));
    }
    if header.get("kid").and_then(Json::text).is_none() {
        reason("kid_missing", "the header has no `kid`, so no key is found");
    }
    if shape.typ_jwt
        && let Some(typ) = header.present("typ")
        && !typ.text().is_some_and(|t| t.eq_ignore_ascii_case("jwt"))
    {
        reason("typ", &format!("`typ` is {typ}; JWT or nothing is accepted"));
    }
    match claims.present("aud") {
        None if shape.single_audience => reason("aud_missing", "no `aud`"),
        Some(Json::Array(list)) if shape.single_audience && list.len() != 1 => {
            reason("aud_many", &format!("`aud` names {}; exactly one is accepted", list.len()));
        }
        _ => {}
    }
    if shape.needs_iat && claims.present("iat").is_none() {
        reason("iat_missing", "no `iat`");
    }
    if shape.needs_sub {
        match claims.get("sub") {
            Some(Json::String(_)) => {}
            Some(Json::Number(_)) => reason("sub_type", "`sub` is a number"),
            _ => {
                repairable = false;
                reason("sub_missing", "no `sub`: the token names no user");
            }
        }
    }
    if shape.coerce_standard {
        for (name, value) in claims.members() {
            if let Some(wanted) = standard_claims::mistyped(name, value) {
                reason("claim_type", &format!("`{name}` is {}, not {wanted}", value.kind()));
            }
        }
    }
    let time = |name: &str| claims.get(name).and_then(Json::seconds);
    if let (Some(life), Some(exp), Some(iat)) = (shape.longest_life, time("exp"), time("iat"))
        && exp.saturating_sub(iat) > i64::try_from(life.as_secs()).unwrap_or(i64::MAX)
    {
        reason("life", &format!("it lives longer than {} s", life.as_secs()));
    }
    for name in ["exp", "iat", "nbf"] {
        if time(name).is_some_and(|at| at > shape.latest_time) {
            repairable = false;
            let text = format!("`{name}` is out of range; is it in milliseconds or microseconds?");
            reason("exp_range", &text);
        }
    }
    let outcome = match (repairable, reasons.is_empty()) {
        (false, _) => Outcome::Refused,
        (true, true) => Outcome::AsItStands,
        (true, false) => Outcome::Countersigned,
    };
    (outcome, reasons)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::super::inspect;
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn token(header: &str, claims: &str) -> String {
        let b64 = |t: &str| URL_SAFE_NO_PAD.encode(t);
        format!("{}.{}.{}", b64(header), b64(claims), b64("signature"))
    }

    fn views(header: &str, claims: &str) -> Vec<(Outcome, Vec<&'static str>)> {
        let codes = |v: ProfileView| (v.outcome, v.reasons.iter().map(|r| r.code).collect());
        inspect(&token(header, claims), NOW).profiles.into_iter().map(codes).collect()
    }

    const GOOD: &str = r#"{"iss":"i","sub":"s","aud":"a","iat":1800000000,"exp":1800000600}"#;

    #[test]
    fn each_profile_says_its_own() {
        let good = views(r#"{"alg":"RS256","kid":"k"}"#, GOOD);
        assert_eq!(good[0], (Outcome::AsItStands, vec![]));
        let es384 = views(r#"{"alg":"ES384","typ":"at+jwt","kid":"k"}"#, GOOD);
        assert_eq!(es384[0], (Outcome::Countersigned, vec!["alg", "typ"]));
        assert_eq!(es384[1], (Outcome::AsItStands, vec![]));
    }

    #[test]
    fn nothing_mends_these() {
        for (header, claims, code) in [
            (r#"{"alg":"none"}"#, GOOD, "alg"),
            (r#"{"alg":"RS256","crit":["x"],"kid":"k"}"#, GOOD, "crit"),
            (r#"{"alg":"RS256","kid":"k"}"#, r#"{"iss":"i","sub":"s"}"#, "exp_missing"),
            (r#"{"alg":"RS256","kid":"k"}"#, r#"{"iss":"i","exp":1}"#, "expired"),
            (r#"{"alg":"RS256","alg":"RS256"}"#, GOOD, "duplicate_member"),
            (
                r#"{"alg":"RS256"}"#,
                r#"{"iss":"i","exp":1900000000,"x":"\ud83d"}"#,
                "json_unreadable",
            ),
            (r#"{"alg":"RS256"}"#, r#"{"iss":"i","exp":1900000000,"x":1e400}"#, "json_unreadable"),
        ] {
            for (outcome, codes) in views(header, claims) {
                assert_eq!(outcome, Outcome::Refused);
                assert!(codes.contains(&code), "{codes:?}");
            }
        }
    }

    #[test]
    fn hostile_text_is_only_looked_at() {
        for text in ["", ".", "..", "....", "a.b.c", "é.é.é", "Bearer x", &"[".repeat(2_000_000)]
        {
            let inspection = inspect(text, NOW);
            assert!(
                inspection.profiles.iter().all(|p| p.outcome == Outcome::Refused),
                "{text:.20}"
            );
        }
        let deep = token(&"[".repeat(5000), GOOD);
        assert_eq!(inspect(&deep, NOW).header, None);
        let huge = r#"{"iss":"i","exp":1e300,"nbf":-1e300}"#;
        assert_eq!(inspect(&token("{}", huge), NOW).times.len(), 2);
    }
}
