//! Secrets, from `${VAR}` or a file. The text of a public key is refused.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::super::error::Checked;
use super::super::raw::SecretEncoding;
use super::place::At;
use crate::jose::alg::{AlgSet, Family};
use crate::jose::base64url;
use crate::jose::policy::{HmacSecret, SecretError};
use crate::setting::Secret;

/// A secret given as text in `key` or by a file in `key`_file, not both.
pub(super) fn text_or_file(
    at: &At,
    key: &str,
    text: Option<Secret>,
    file: Option<&str>,
    base: &Path,
) -> Checked<Option<Secret>> {
    match (text, file) {
        (Some(_), Some(_)) => {
            Err(at.fault(format_args!("`{key}` and `{key}_file` are both given")))
        }
        (text, None) => Ok(text),
        (None, Some(file)) => {
            from_file(&at.key(&format!("{key}_file")), &base.join(file)).map(Some)
        }
    }
}

/// The text of a file without the line end after it.
pub(super) fn from_file(at: &At, path: &Path) -> Checked<Secret> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| at.fault(format_args!("{}: {error}", path.display())))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Base64 of 32 bytes.
pub(super) fn key_32(at: &At, text: &Secret) -> Checked<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(STANDARD.decode(text.expose().trim()).unwrap_or_default());
    let key: Option<[u8; 32]> = bytes.as_slice().try_into().ok();
    key.map(Zeroizing::new).ok_or_else(|| {
        at.fault("it is not the base64 of 32 bytes").hint("`openssl rand -base64 32` makes one")
    })
}

/// The secrets for every HMAC algorithm in `algorithms`.
pub(super) fn hmac(
    at: &At,
    texts: &[Secret],
    encoding: SecretEncoding,
    algorithms: AlgSet,
) -> Checked<Vec<HmacSecret>> {
    let mut secrets = Vec::new();
    for text in texts {
        let bytes = decode(at, text.expose(), encoding)?;
        for alg in algorithms.iter().filter(|alg| alg.family() == Family::Secret) {
            let secret = HmacSecret::new(alg, bytes.clone()).map_err(|why| {
                let fault = at.key("secret").fault(format_args!("for {alg} it {why}"));
                match why {
                    SecretError::PublicKey => fault.hint("give public keys by `jwks`"),
                    _ => fault.hint("is it encoded? see `secret_encoding`"),
                }
            })?;
            secrets.push(secret);
        }
    }
    Ok(secrets)
}

fn decode(at: &At, text: &str, encoding: SecretEncoding) -> Checked<Zeroizing<Vec<u8>>> {
    let bytes = match encoding {
        SecretEncoding::Text => Some(text.as_bytes().to_vec()),
        SecretEncoding::Base64 => STANDARD.decode(text.trim()).ok(),
        SecretEncoding::Base64url => base64url::decode(text.trim().trim_end_matches('=')).ok(),
        SecretEncoding::Hex => hex(text.trim()),
    };
    bytes
        .map(Zeroizing::new)
        .ok_or_else(|| at.key("secret").fault("it does not decode as `secret_encoding` says"))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::SecretEncoding::{Base64, Hex, Text};
    use super::*;
    use crate::jose::alg::Alg;

    fn hs(text: &str, encoding: SecretEncoding, alg: Alg) -> Checked<Vec<HmacSecret>> {
        let texts = [Secret::new(text.to_owned())];
        hmac(&At::root("issuer[0]"), &texts, encoding, AlgSet::of(&[alg]))
    }

    #[test]
    fn a_secret_is_as_long_as_the_hash() {
        assert!(hs(&"s".repeat(32), Text, Alg::Hs256).is_ok());
        assert!(hs(&"s".repeat(31), Text, Alg::Hs256).is_err());
        assert!(hs(&"s".repeat(63), Text, Alg::Hs512).is_err());
        // 64 hex digits are only 32 bytes.
        assert!(hs(&"ab".repeat(32), Hex, Alg::Hs512).is_err());
        assert_eq!(hs(&"ab".repeat(32), Hex, Alg::Hs256).unwrap().len(), 1);
    }

    #[test]
    fn public_key_text_is_no_secret() {
        let pem = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----";
        let jwk = r#" {"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiA","e":"AQAB"}"#;
        for text in [pem, jwk] {
            let fault = hs(text, Text, Alg::Hs256).unwrap_err();
            assert!(fault.invalid.why.contains("public key"), "{fault:?}");
        }
    }

    #[test]
    fn encodings() {
        assert!(hs("!!", Base64, Alg::Hs256).is_err());
        assert!(hs("zz", Hex, Alg::Hs256).is_err());
        assert!(hs("abc", Hex, Alg::Hs256).is_err());
    }

    #[test]
    fn no_fault_shows_the_secret() {
        let fault = hs("hunter2", Text, Alg::Hs256).unwrap_err();
        assert!(!format!("{fault:?}").contains("hunter2"));
    }
}
