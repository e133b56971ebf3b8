//! `at_hash`, `c_hash` (OpenID Connect Core §3.1.3.6, §3.3.2.11) and `s_hash` (FAPI 1.0 part 2 §5.1):
//! the left half of a hash whose function is that of the token's `alg`. A new algorithm, or a new
//! access token beside it, makes the old value wrong.

use aws_lc_rs::digest;

use super::alg::Alg;
use super::base64url;
use super::edits::Edits;

/// What stands beside a token in the same answer, which its hash claims speak of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Companions<'a> {
    /// The access token the client gets, countersigned already if it was.
    pub access_token: Option<&'a str>,
    /// The access token as the issuer sent it, where it differs.
    pub original_access_token: Option<&'a str>,
    pub code: Option<&'a str>,
    pub state: Option<&'a str>,
}

/// The value of a hash claim: base64url of the left half of the hash of the ASCII text.
pub fn hash(alg: Alg, text: &str) -> String {
    let hash = digest::digest(alg.row().hash, text.as_bytes());
    let hash = hash.as_ref();
    base64url::encode(&hash[..hash.len() / 2])
}

/// Makes the hash claims true for `new`, where they were true for `old`. One that was wrong stays as
/// it is, so that the client's own check still fails; one that cannot be computed is left out.
pub(super) fn rebind(
    edits: &mut Edits<'_>,
    old: Alg,
    new: Alg,
    companions: &Companions<'_>,
    notes: &mut Vec<&'static str>,
) {
    let access_token = companions.access_token;
    let original = companions.original_access_token.or(access_token);
    let claims = [
        ("at_hash", original, access_token),
        ("c_hash", companions.code, companions.code),
        ("s_hash", companions.state, companions.state),
    ];
    // SHA-512 of Ed25519 and of RS512 is one function; a pointer to the table's row says so.
    let same_function = std::ptr::eq(old.row().hash, new.row().hash);
    for (claim, before, after) in claims {
        let Some(stated) = edits.string(claim) else { continue };
        match (before, after) {
            (Some(before), Some(_)) if stated != hash(old, before) => notes.push("hash_was_wrong"),
            (_, Some(after)) => {
                if edits.put_string(claim, &hash(new, after)) {
                    notes.push("hash_recomputed");
                }
            }
            (_, None) if same_function => {}
            (_, None) => {
                edits.drop(claim);
                notes.push("hash_left_out");
            }
        }
    }
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
    ) -> (String, Vec<&'static str>) {
        let object = Object::parse(claims.into(), 8).unwrap();
        let mut edits = Edits::of(&object);
        let mut notes = Vec::new();
        rebind(&mut edits, old, new, &companions, &mut notes);
        (edits.render(), notes)
    }

    #[test]
    fn follows_the_algorithm_and_the_new_access_token() {
        let claims = format!(r#"{{"at_hash":"{}"}}"#, hash(Alg::Es384, "old"));
        let companions = Companions {
            access_token: Some("new"),
            original_access_token: Some("old"),
            ..Companions::default()
        };
        let (out, notes) = rebound(&claims, Alg::Es384, Alg::Rs256, companions);
        assert_eq!(out, format!(r#"{{"at_hash":"{}"}}"#, hash(Alg::Rs256, "new")));
        assert_eq!(notes, ["hash_recomputed"]);
    }

    #[test]
    fn a_hash_that_was_wrong_is_not_made_right() {
        let claims = format!(r#"{{"at_hash":"{}"}}"#, hash(Alg::Es384, "another"));
        let companions = Companions { access_token: Some("old"), ..Companions::default() };
        let (out, notes) = rebound(&claims, Alg::Es384, Alg::Rs256, companions);
        assert_eq!(out, claims);
        assert_eq!(notes, ["hash_was_wrong"]);
    }

    #[test]
    fn without_its_companion_only_the_same_function_keeps_it() {
        let claims = r#"{"at_hash":"x","c_hash":"y","s_hash":"z"}"#;
        let kept = rebound(claims, Alg::Ps256, Alg::Rs256, Companions::default());
        assert_eq!(kept, (claims.to_owned(), vec![]));
        let (out, notes) = rebound(claims, Alg::Es384, Alg::Rs256, Companions::default());
        assert_eq!(out, "{}");
        assert_eq!(notes, ["hash_left_out"; 3]);
    }
}
