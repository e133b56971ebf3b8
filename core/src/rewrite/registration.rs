//! Dynamic client registration (RFC 7591, OpenID Connect Registration 1.0). Clients register with
//! an algorithm from the discovery document. Our algorithm comes first there, but the server may be
//! unable to sign with it. So in the request our algorithm becomes one of the server's, and in the
//! answer the server's becomes ours, because that is what the client will receive.

use super::replace;
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
/// assert_eq!(new.as_deref(), Some(&br#"{"id_token_signed_response_alg":"ES384"}"#[..]));
/// ```
pub fn request(body: &[u8], ours: Alg, theirs: &[String]) -> Option<Vec<u8>> {
    if theirs.iter().any(|name| name == ours.name()) {
        return None;
    }
    let first = theirs.iter().find(|name| *name != "none")?;
    changed(body, |old| (old == ours.name()).then_some(first.as_str()))
}

/// The answer for the client; `None` where it is not changed. Every algorithm becomes `ours`,
/// except `none` and those for which `passes` is true: such tokens are passed on unchanged.
pub fn answer(body: &[u8], ours: Alg, passes: impl Fn(Alg) -> bool) -> Option<Vec<u8>> {
    let renamed = |old: &str| old != "none" && !Alg::from_name(old).is_some_and(&passes);
    changed(body, |old| renamed(old).then_some(ours.name()))
}

fn changed<'n>(body: &[u8], new: impl Fn(&str) -> Option<&'n str>) -> Option<Vec<u8>> {
    let object = Object::parse(std::str::from_utf8(body).ok()?.to_owned(), DEPTH).ok()?;
    let members = object.members().iter().filter(|m| SIGNED_HERE.contains(&&*m.name));
    let edits = members.filter_map(|member| {
        let old = json::string(&object.text()[member.value.clone()])?;
        let new = new(&old).filter(|new| *new != old)?;
        Some((member.value.clone(), json::quote(new).into()))
    });
    let edits: Vec<_> = edits.collect();
    (!edits.is_empty()).then(|| replace(body, &edits))
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
        assert_eq!(new, Some(body.replace("RS256", "ES384").into_bytes()));
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
    fn the_answer_names_the_algorithm_of_the_new_tokens() {
        let answer = |text: &str| {
            let body = format!(r#"{{"id_token_signed_response_alg":"{text}"}}"#);
            answer(body.as_bytes(), Alg::Rs256, |alg| alg == Alg::Es256)
        };
        let rs256 = br#"{"id_token_signed_response_alg":"RS256"}"#;
        for replaced in ["ES384", "ML-DSA-65"] {
            assert_eq!(answer(replaced).as_deref(), Some(&rs256[..]), "{replaced}");
        }
        for stays in ["RS256", "ES256", "none"] {
            assert_eq!(answer(stays), None, "{stays}");
        }
    }
}
