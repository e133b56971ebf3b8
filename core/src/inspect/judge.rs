//! What each profile's verifier would do with a decoded token: the claim shape as a list of rules.

use super::{Form, Inspection, Note, Outcome, ProfileView, UNREADABLE};
use crate::jose::alg::Alg;
use crate::jose::names::UnixTime;
use crate::jose::standard_claims;
use crate::jose::tree::Json;
use crate::profile::{ClaimShape, Profile};

/// Clock skew allowed for `nbf` and `iat`, never for `exp`.
const LEEWAY: i64 = 5;

pub(super) fn judge(inspection: &mut Inspection, now: UnixTime) {
    let fatal = fatal(inspection, now);
    let profiles = Profile::NAMES.iter().filter_map(|name| Profile::named(name));
    inspection.profiles = profiles
        .map(|profile| {
            let mut reasons = fatal.clone();
            let outcome = match (&inspection.header, &inspection.claims) {
                (Some(header), Some(claims)) if fatal.is_empty() => {
                    let never = shape(header, claims, &profile, &mut reasons);
                    if never {
                        Outcome::Refused
                    } else if reasons.is_empty() {
                        Outcome::AsItStands
                    } else {
                        Outcome::Countersigned
                    }
                }
                _ => Outcome::Refused,
            };
            ProfileView { profile: profile.name, outcome, reasons }
        })
        .collect();
}

/// Faults that no verifier may accept and countersigning cannot repair.
fn fatal(inspection: &Inspection, now: UnixTime) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut say = |code, text: String| notes.push(Note::new(code, text));
    if inspection.form != Form::Jws {
        say("format", "not a signed token".to_owned());
        return notes;
    }
    let (Some(header), Some(claims)) = (&inspection.header, &inspection.claims) else {
        say("format", "header and claims must be JSON objects in base64url".to_owned());
        return notes;
    };
    if inspection.notes.iter().any(|note| note.code == UNREADABLE) {
        say(UNREADABLE, "verifiers cannot read its JSON".to_owned());
    }
    for (place, tree) in [("header", header), ("claims", claims)] {
        if let Some(name) = tree.duplicates().first() {
            say("duplicate_member", format!("the {place} name `{name}` twice; verifiers disagree"));
        }
    }
    match header.get("alg").and_then(Json::text) {
        Some(name) if Alg::from_name(name).is_some() => {}
        Some(name) if name.eq_ignore_ascii_case("none") => {
            say("alg", "`alg` is none: it is not signed at all".to_owned());
        }
        Some(name) => {
            say("alg", format!("`alg` is {name}, which is not a signature algorithm here"));
        }
        None => say("alg", "the header has no `alg`".to_owned()),
    }
    if header.get("crit").is_some() {
        say(
            "crit",
            "`crit` requires extensions that are not supported (RFC 7515 §4.1.11)".to_owned(),
        );
    }
    if header.get("b64").is_some_and(|v| *v == Json::Bool(false)) {
        say("b64_false", "`b64: false` is not allowed in a JWT (RFC 7797 §7)".to_owned());
    }
    if claims.get("iss").and_then(Json::text).is_none() {
        say("iss_missing", "no `iss`: nobody can tell whose keys to check it with".to_owned());
    }
    match claims.get("exp") {
        None | Some(Json::Null) => say("exp_missing", "no `exp`: it would never end".to_owned()),
        Some(exp) => match exp.seconds() {
            None => say("exp_type", format!("`exp` is {}, not a number", exp.kind())),
            Some(exp) if exp <= now.secs() => {
                say("expired", "`exp` has passed".to_owned());
            }
            Some(_) => {}
        },
    }
    for name in ["nbf", "iat"] {
        match claims.get(name) {
            None | Some(Json::Null) => {}
            Some(time) => match time.seconds() {
                None => say("time_type", format!("`{name}` is {}, not a number", time.kind())),
                Some(at) if at > now.secs().saturating_add(LEEWAY) => {
                    say("not_yet", format!("`{name}` lies ahead"));
                }
                Some(_) => {}
            },
        }
    }
    notes
}

/// Collects what this profile's verifier rejects. Returns `true` if countersigning cannot repair
/// it.
fn shape(header: &Json, claims: &Json, profile: &Profile, reasons: &mut Vec<Note>) -> bool {
    let shape: &ClaimShape = &profile.claims;
    let mut never = false;
    let alg = header.get("alg").and_then(Json::text).and_then(Alg::from_name);
    if let Some(alg) = alg.filter(|alg| !profile.accepts.contains(*alg)) {
        let accepted: Vec<_> = profile.accepts.iter().map(Alg::name).collect();
        let text = format!("signed with {alg}; accepted: {}", accepted.join(", "));
        reasons.push(Note::new("alg", text));
    }
    if header.get("kid").and_then(Json::text).is_none() {
        reasons.push(Note::new("kid_missing", "the header has no `kid`, so no key is found"));
    }
    if shape.typ_jwt
        && let Some(typ) = header.get("typ").filter(|v| !v.is_null())
        && !typ.text().is_some_and(|t| t.eq_ignore_ascii_case("jwt"))
    {
        reasons.push(Note::new("typ", format!("`typ` is {typ}; JWT or nothing is accepted")));
    }
    match claims.get("aud") {
        None | Some(Json::Null) if shape.single_audience => {
            reasons.push(Note::new("aud_missing", "no `aud`"));
        }
        Some(Json::Array(list)) if shape.single_audience && list.len() != 1 => {
            let text = format!("`aud` names {}; exactly one is accepted", list.len());
            reasons.push(Note::new("aud_many", text));
        }
        _ => {}
    }
    if shape.needs_iat && claims.get("iat").is_none_or(Json::is_null) {
        reasons.push(Note::new("iat_missing", "no `iat`"));
    }
    if shape.needs_sub {
        match claims.get("sub") {
            Some(Json::String(_)) => {}
            Some(Json::Number(_)) => reasons.push(Note::new("sub_type", "`sub` is a number")),
            _ => {
                never = true;
                reasons.push(Note::new("sub_missing", "no `sub`: whose login is it?"));
            }
        }
    }
    if shape.coerce_standard {
        for (name, value) in claims.members() {
            if let Some(wanted) = standard_claims::mistyped(name, value) {
                let text = format!("`{name}` is {}, not {wanted}", value.kind());
                reasons.push(Note::new("claim_type", text));
            }
        }
    }
    let time = |name: &str| claims.get(name).and_then(Json::seconds);
    if let (Some(life), Some(exp), Some(iat)) = (shape.longest_life, time("exp"), time("iat"))
        && exp.saturating_sub(iat) > i64::try_from(life.as_secs()).unwrap_or(i64::MAX)
    {
        let text = format!("it lives longer than {} s", life.as_secs());
        reasons.push(Note::new("life", text));
    }
    for name in ["exp", "iat", "nbf"] {
        let at = claims.get(name).and_then(Json::seconds);
        if at.is_some_and(|at| at > shape.latest_time) {
            never = true;
            let text = format!("`{name}` is out of range; is it in milliseconds or microseconds?");
            reasons.push(Note::new("exp_range", text));
        }
    }
    never
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
