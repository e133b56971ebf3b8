//! Restores originals. A countersigned token may carry what restores the issuer's own token, in the
//! private header parameter `cso`, "countersigned original":
//!
//! - if the payload is unchanged, `<protected header>..<signature>` of the original, both as
//!   received: the payload is that of the new token (the detached form of RFC 7515, appendix F);
//! - otherwise the whole original compact JWS.
//!
//! There is no shared state: any replica that has our public keys can restore.

use super::jwk::{PublicJwk, SignatureForm};
use super::jws::{Envelope, ORIGINAL};
use super::names::Limits;

/// The value of `cso` for an original. It is shorter if the new token has the same payload bytes.
pub(super) fn record(original: &Envelope<'_>, same_payload: bool) -> String {
    let (header, payload, signature) = original.parts();
    // Padding would be lost: our own payload part has none.
    if same_payload && !payload.ends_with('=') {
        format!("{header}..{signature}")
    } else {
        original.text().to_owned()
    }
}

/// The original compact JWS of a token that *we* signed; `None` for every other token.
///
/// `exp` is not checked: the issuer checks its own token, and an `id_token_hint` may be old (OpenID
/// Connect RP-Initiated Logout §2).
pub fn restore(token: &str, own: &[PublicJwk], limits: &Limits) -> Option<String> {
    let jws = Envelope::parse(token, limits, false).ok()?;
    let header = jws.unverified_header();
    let record = header.string(ORIGINAL)?;
    let kid = header.kid.as_deref()?;
    let signed = own.iter().filter(|key| key.kid().is_some_and(|k| k.as_str() == kid)).any(|key| {
        key.verifies(header.alg, SignatureForm::Jose, jws.signing_input(), jws.signature())
    });
    if !signed {
        return None;
    }
    match record.split_once("..") {
        Some((header, signature)) => {
            let (_, payload, _) = jws.parts();
            Some(format!("{header}.{payload}.{signature}"))
        }
        None => Some(record.into_owned()),
    }
}
