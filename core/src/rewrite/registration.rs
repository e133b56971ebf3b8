//! Dynamic client registration (RFC 7591, OpenID Connect Registration 1.0). Clients register with
//! an algorithm from the discovery document. Our algorithm comes first there, but the server may be
//! unable to sign with it. So in the request our algorithm becomes one of the server's, and in the
//! answer the server's becomes ours, because that is what the client will receive.

use crate::jose::alg::Alg;
use crate::jose::json::{self, Object};

/// Members that name the algorithm of answers which the server signs and this program signs again.
const SIGNED_HERE: [&str; 3] = [
    "id_token_signed_response_alg",
    "userinfo_signed_response_alg",
    "introspection_signed_response_alg",
];
/// The deepest nesting accepted in a registration: a `jwks` with its keys, and a reserve.
const DEPTH: usize = 32;

/// The request for the server; `None` where it is not changed. `theirs` is the server's
/// `id_token_signing_alg_values_supported`.
///
/// ```
/// use countersign_core::jose::alg::Alg;
/// use countersign_core::rewrite::registration;
///
/// let body = br#"{"id_token_signed_response_alg":"RS256"}"#;
/// let new = registration::request(body, Alg::Rs256, &["ES384".to_owned()]);
/// assert_eq!(new.as_deref(), Some(r#"{"id_token_signed_response_alg":"ES384"}"#));
/// ```
pub fn request(body: &[u8], ours: Alg, theirs: &[String]) -> Option<String> {
    if theirs.iter().any(|name| name == ours.name()) {
        return None;
    }
    let first = theirs.iter().find(|name| *name != "none")?;
    changed(body, |old| (old == ours.name()).then_some(first.as_str()))
}

/// The answer for the client; `None` where it is not changed. Every algorithm becomes `ours`,
/// except `none` and those for which `passes` is true: such tokens are passed on unchanged.
pub fn answer(body: &[u8], ours: Alg, passes: impl Fn(Alg) -> bool) -> Option<String> {
    let renamed = |old: &str| old != "none" && !Alg::from_name(old).is_some_and(&passes);
    changed(body, |old| renamed(old).then_some(ours.name()))
}

fn changed<'n>(body: &[u8], new: impl Fn(&str) -> Option<&'n str>) -> Option<String> {
    let object = Object::parse(std::str::from_utf8(body).ok()?.to_owned(), DEPTH).ok()?;
    let mut out = String::with_capacity(body.len());
    let mut at = 0;
    for member in object.members().iter().filter(|m| SIGNED_HERE.contains(&&*m.name)) {
        let Some(old) = json::string(&object.text()[member.value.clone()]) else { continue };
        let Some(new) = new(&old).filter(|new| *new != old) else { continue };
        out.push_str(&object.text()[at..member.value.start]);
        out.push_str(&json::quote(new));
        at = member.value.end;
    }
    out.push_str(&object.text()[at..]);
    (at > 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEIRS: [&str; 2] = ["none", "ES384"];

    fn theirs() -> Vec<String> {
        THEIRS.map(str::to_owned).to_vec()
    }

    #[test]
    fn ours_becomes_one_of_the_servers() {
        let body = r#"{ "id_token_signed_response_alg" : "RS256", "x":1.0, "userinfo_signed_response_alg":"RS256" }"#;
        let new = request(body.as_bytes(), Alg::Rs256, &theirs());
        assert_eq!(new, Some(body.replace("RS256", "ES384")));
    }

    #[test]
    fn what_the_server_can_do_stays() {
        let body = br#"{"id_token_signed_response_alg":"RS256"}"#;
        assert_eq!(request(body, Alg::Rs256, &["ES384".into(), "RS256".into()]), None);
        assert_eq!(request(body, Alg::Rs256, &[]), None);
        assert_eq!(request(body, Alg::Rs256, &["none".into()]), None, "never unsigned");
        for other in [
            &br#"{"id_token_signed_response_alg":"EdDSA"}"#[..],
            br#"{"request_object_signing_alg":"RS256","token_endpoint_auth_signing_alg":"RS256"}"#,
            br#"{"id_token_signed_response_alg":7}"#,
            b"[]",
            b"",
            b"\xff",
        ] {
            assert_eq!(request(other, Alg::Rs256, &theirs()), None);
        }
    }

    #[test]
    fn the_client_is_told_what_it_will_see() {
        let told = |text: &str| {
            let body = format!(r#"{{"id_token_signed_response_alg":"{text}"}}"#);
            answer(body.as_bytes(), Alg::Rs256, |alg| alg == Alg::Es256)
        };
        assert_eq!(told("ES384").as_deref(), Some(r#"{"id_token_signed_response_alg":"RS256"}"#));
        assert_eq!(
            told("ML-DSA-65").as_deref(),
            Some(r#"{"id_token_signed_response_alg":"RS256"}"#)
        );
        for stays in ["RS256", "ES256", "none"] {
            assert_eq!(told(stays), None, "{stays}");
        }
    }
}
