//! Every private key enters a ring here: a new one, an imported one, one supplied from outside, or one read
//! back from a store. [`SigningKey`] has checked when it was made that others can verify what it signs, so
//! nothing is left to check.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::jose::alg::Alg;
use crate::jose::sign::{SigningKey, SigningKeyError};

const OPTIONAL_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
/// Either alphabet, with or without padding: dashboards and shells produce both.
const BASE64: [GeneralPurpose; 2] = [
    GeneralPurpose::new(&alphabet::STANDARD, OPTIONAL_PADDING),
    GeneralPurpose::new(&alphabet::URL_SAFE, OPTIONAL_PADDING),
];

/// A new key.
///
/// # Errors
/// [`SigningKeyError`] for an algorithm we do not sign with, or when the system fails.
pub fn generate(alg: Alg) -> Result<Arc<SigningKey>, SigningKeyError> {
    SigningKey::generate(alg).map(Arc::new)
}

/// Reads a private key: PEM, JWK, or base64 of either, as environment variables need it.
///
/// # Errors
/// [`SigningKeyError`] for any other text. The error does not contain the text.
pub fn parse(text: &str) -> Result<Arc<SigningKey>, SigningKeyError> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if let Some(key) = parse_plain(text) {
        return key.map(Arc::new);
    }
    // Only once: nobody keeps a key as base64 of base64.
    let inner = decode_base64(text);
    let key = inner.as_deref().and_then(|text| parse_plain(text.trim()));
    key.unwrap_or(Err(SigningKeyError::NotPem)).map(Arc::new)
}

/// How many private keys a PEM file holds, also as base64 of it; [`parse`] reads the first.
pub fn count(text: &str) -> usize {
    let blocks = |text: &str| {
        text.match_indices("-----BEGIN ")
            .filter(|(at, start)| {
                let label = text[at + start.len()..].split("-----").next().unwrap_or_default();
                label.ends_with("PRIVATE KEY")
            })
            .count()
    };
    if text.contains("-----BEGIN ") {
        return blocks(text);
    }
    decode_base64(text).map_or(0, |text| blocks(&text))
}

/// The text that this base64 encodes.
fn decode_base64(text: &str) -> Option<Zeroizing<String>> {
    let base64: Zeroizing<String> =
        Zeroizing::new(text.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    let bytes = BASE64.iter().find_map(|engine| engine.decode(base64.as_bytes()).ok())?;
    let bytes = Zeroizing::new(bytes);
    std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned()))
}

/// The key of a JWK or PEM; `None` for any other text.
fn parse_plain(text: &str) -> Option<Result<SigningKey, SigningKeyError>> {
    if text.starts_with('{') {
        return Some(SigningKey::from_jwk(text));
    }
    // Dashboards and `.env` files write line ends as `\n`.
    let lines = || Zeroizing::new(text.replace("\\n", "\n"));
    text.contains("-----BEGIN ").then(|| SigningKey::from_pem(&lines()))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;

    fn pem(key: &SigningKey) -> String {
        let block = pem::Pem::new("PRIVATE KEY", key.to_pkcs8().unwrap().to_vec());
        pem::encode_config(&block, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
    }

    #[test]
    fn a_key_reads_however_it_was_packed() {
        // The key of RFC 7515, appendix A.3.1.
        let jwk = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
        let from_jwk = parse(jwk).unwrap();
        for text in [format!(" {jwk}\n"), STANDARD.encode(jwk), URL_SAFE_NO_PAD.encode(jwk)] {
            assert_eq!(parse(&text).unwrap().kid(), from_jwk.kid());
        }
        let key = generate(Alg::EdDsa).unwrap();
        let text = pem(&key);
        let wrapped: Vec<_> =
            STANDARD.encode(&text).as_bytes().chunks(20).map(|c| c.to_vec()).collect();
        let wrapped = String::from_utf8(wrapped.join(&b'\n')).unwrap();
        for text in [
            text.clone(),
            text.replace('\n', "\r\n"),
            text.replace('\n', "\\n"),
            format!("\u{feff}{text}"),
            STANDARD.encode(&text),
            STANDARD.encode(&text).trim_end_matches('=').to_owned(),
            wrapped,
        ] {
            assert_eq!(parse(&text).unwrap().kid(), key.kid(), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused_and_not_repeated() {
        let twice = STANDARD.encode(STANDARD.encode(pem(&generate(Alg::EdDsa).unwrap())));
        let pair = format!("{0}{0}", pem(&generate(Alg::EdDsa).unwrap()));
        assert_eq!((count(&pair), count(&STANDARD.encode(&pair)), count("hunter2")), (2, 2, 0));
        let parameters = format!("-----BEGIN EC PARAMETERS-----\nx\n{}", &pair[..pair.len() / 2]);
        assert_eq!(count(&parameters), 1);
        for text in ["", "hunter2", "aHVudGVyMg==", "{}", "-----BEGIN X", &twice] {
            let error = parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && !error.contains("aHVu"), "{error}");
        }
    }
}
