//! base64url without padding, RFC 7515 §2 and RFC 4648 §5: one text for one byte string. Padding,
//! other alphabets and stray trailing bits are errors; `repair.rs` has the lenient readers, by
//! name.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, Engine as _};

/// # Errors
/// Padding, a character outside the alphabet, or non-zero trailing bits.
pub fn decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, DecodeError> {
    URL_SAFE_NO_PAD.decode(text)
}

/// Unpadded base64url, RFC 7515 §2.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The same, appended to `out`.
pub fn encode_into(bytes: impl AsRef<[u8]>, out: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_text_decodes() {
        assert_eq!(decode("AQAB"), Ok(vec![1, 0, 1]));
        for bad in ["AQAB=", "AQ AB", "+/+/", "AR", "A"] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }
}
