//! `at_hash`, `c_hash` (OpenID Connect Core §3.1.3.6, §3.3.2.11) and `s_hash` (FAPI 1.0 part 2 §5.1):
//! the left half of a hash whose function is that of the token's `alg`. A new algorithm, or a new
//! access token in the same answer, makes the old value wrong.

use aws_lc_rs::digest;

use super::alg::Alg;
use super::base64url;
use super::edits::ObjectEdits;
use super::refusal::Refusal;

/// The names of the hash claims.
pub(super) const NAMES: [&str; 3] = ["at_hash", "c_hash", "s_hash"];

/// The other values in a token's answer, which its hash claims refer to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Companions<'a> {
    /// The access token that the client gets, countersigned if that happened.
    pub access_token: Option<&'a str>,
    /// The access token from the issuer, if it differs.
    pub original_access_token: Option<&'a str>,
    /// The authorization code in the same response, for `c_hash`.
    pub code: Option<&'a str>,
    /// The `state` in the same response, for `s_hash`.
    pub state: Option<&'a str>,
}

/// The value of a hash claim: base64url of the left half of the hash of the ASCII text.
pub fn hash(alg: Alg, text: &str) -> String {
    let hash = digest::digest(alg.row().hash, text.as_bytes());
    let hash = hash.as_ref();
    base64url::encode(&hash[..hash.len() / 2])
}

/// Whether `stated` is a hash of `text`. Some issuers use SHA-256 whatever the `alg` is. A hash by
/// another function of the table binds the token as well.
fn is_hash(stated: &str, text: &str) -> bool {
    [Alg::Rs256, Alg::Rs384, Alg::Rs512].iter().any(|alg| hash(*alg, text) == stated)
}

/// Makes the hash claims correct for a token of the algorithm `new`. Removes one that cannot be
/// computed.
///
/// # Errors
/// `hash` if the other value does not match: somebody replaced it (OpenID Connect Core §3.1.3.8),
/// and a new hash would hide that.
pub(super) fn rebind(
    edits: &mut ObjectEdits<'_>,
    old: Alg,
    new: Alg,
    companions: &Companions<'_>,
    notes: &mut Vec<&'static str>,
) -> Result<(), Refusal> {
    let access_token = companions.access_token;
    let original = companions.original_access_token.or(access_token);
    let values = [
        (original, access_token),
        (companions.code, companions.code),
        (companions.state, companions.state),
    ];
    // SHA-512 of Ed25519 and of RS512 is one function; a pointer to the table's row identifies it.
    let same_function = std::ptr::eq(old.row().hash, new.row().hash);
    for (claim, (before, after)) in NAMES.into_iter().zip(values) {
        if edits.get(claim).is_none() {
            continue;
        }
        let stated = edits.string(claim);
        if let Some(before) = before
            && !stated.is_some_and(|stated| is_hash(&stated, before))
        {
            return Err(Refusal::HashClaim { claim });
        }
        match after {
            Some(after) => {
                if edits.put_string(claim, &hash(new, after)) {
                    notes.push("hash_recomputed");
                }
            }
            None if same_function => {}
            None => {
                edits.drop(claim);
                notes.push("hash_left_out");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::json::Object;
    use super::*;

    /// OpenID Connect Core, appendix A.3 and A.4.
    #[test]
    fn the_examples_of_the_specification() {
        let access_token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(hash(Alg::Rs256, access_token), "77QmUPtjPfzWtF2AnpK9RQ");
        let code = "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk";
        assert_eq!(hash(Alg::Rs256, code), "LDktKdoQak3Pk0cnXxCltA");
    }

    fn rebound(
        claims: &str,
        old: Alg,
        new: Alg,
        companions: Companions<'_>,
    ) -> Result<(String, Vec<&'static str>), Refusal> {
        let object = Object::parse(claims.into(), 8).unwrap();
        let mut edits = ObjectEdits::of(&object);
        let mut notes = Vec::new();
        rebind(&mut edits, old, new, &companions, &mut notes)?;
        Ok((edits.render(), notes))
    }

    #[test]
    fn follows_the_algorithm_and_the_new_access_token() {
        let claims = format!(r#"{{"at_hash":"{}"}}"#, hash(Alg::Es384, "old"));
        let companions = Companions {
            access_token: Some("new"),
            original_access_token: Some("old"),
            ..Companions::default()
        };
        let (out, notes) = rebound(&claims, Alg::Es384, Alg::Rs256, companions).unwrap();
        assert_eq!(out, format!(r#"{{"at_hash":"{}"}}"#, hash(Alg::Rs256, "new")));
        assert_eq!(notes, ["hash_recomputed"]);
    }

    #[test]
    fn a_hash_of_something_else_is_refused() {
        let companions = Companions {
            access_token: Some("new"),
            original_access_token: Some("old"),
            code: Some("code"),
            state: Some("state"),
        };
        let wrong = [
            ("at_hash", format!("\"{}\"", hash(Alg::Es384, "another"))),
            // Of the new token, which the issuer cannot have known.
            ("at_hash", format!("\"{}\"", hash(Alg::Es384, "new"))),
            ("at_hash", "null".to_owned()),
            ("at_hash", "\"\"".to_owned()),
            ("c_hash", format!("\"{}\"", hash(Alg::Es384, "old"))),
            ("s_hash", "[]".to_owned()),
        ];
        for (claim, value) in wrong {
            let claims = format!(r#"{{"{claim}":{value}}}"#);
            let refused = rebound(&claims, Alg::Es384, Alg::Rs256, companions);
            assert_eq!(refused, Err(Refusal::HashClaim { claim }), "{value}");
        }
    }

    #[test]
    fn an_issuer_that_always_takes_sha_256_is_understood() {
        let claims = format!(r#"{{"at_hash":"{}"}}"#, hash(Alg::Rs256, "old"));
        let companions = Companions { access_token: Some("old"), ..Companions::default() };
        let out = rebound(&claims, Alg::EdDsa, Alg::Es384, companions).unwrap().0;
        assert_eq!(out, format!(r#"{{"at_hash":"{}"}}"#, hash(Alg::Es384, "old")));
    }

    #[test]
    fn without_its_companion_only_the_same_function_keeps_it() {
        let claims = r#"{"at_hash":"x","c_hash":"y","s_hash":"z"}"#;
        let kept = rebound(claims, Alg::Ps256, Alg::Rs256, Companions::default()).unwrap();
        assert_eq!(kept, (claims.to_owned(), vec![]));
        let (out, notes) = rebound(claims, Alg::Es384, Alg::Rs256, Companions::default()).unwrap();
        assert_eq!(out, "{}");
        assert_eq!(notes, ["hash_left_out"; 3]);
    }
}
