//! `expires_in` of a token response (RFC 6749 §5.1): it must be the lifetime of the new access
//! token.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{Encoding, Place};

/// The edit that lowers `expires_in` of a token response to `seconds`; `None` where it is lower
/// already, or not a whole number. A number in a string remains a string.
///
/// ```
/// use countersign_core::rewrite::{expires_in, splice};
///
/// let body = br#"{"access_token":"t","expires_in":3600}"#;
/// let edit = expires_in::lowered(body, 60).map(|edit| vec![edit]);
/// let new = edit.map(|edits| splice(body, edits));
/// assert_eq!(new.as_deref(), Some(&br#"{"access_token":"t","expires_in":60}"#[..]));
/// assert_eq!(expires_in::lowered(body, 7200), None);
/// ```
pub fn lowered(body: &[u8], seconds: u64) -> Option<(Place, String)> {
    let members: BTreeMap<&str, &RawValue> = serde_json::from_slice(body).ok()?;
    let text = members.get("expires_in")?.get();
    let digits = text.trim_matches('"');
    let now: u64 = digits.parse().ok()?;
    if now <= seconds {
        return None;
    }
    let start = digits.as_ptr() as usize - body.as_ptr() as usize;
    let place = Place {
        range: start..start + digits.len(),
        name: "expires_in".to_owned(),
        token: digits.to_owned(),
        encoding: Encoding::Raw,
    };
    Some((place, seconds.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::splice;
    use super::*;

    fn lower(body: &str) -> Option<String> {
        let edit = lowered(body.as_bytes(), 8)?;
        String::from_utf8(splice(body.as_bytes(), vec![edit])).ok()
    }

    #[test]
    fn only_the_number_changes() {
        let new = lower("{ \"a\" : 1, \"expires_in\" : \"3600\", \"b\":[3600] }");
        assert_eq!(new.as_deref(), Some("{ \"a\" : 1, \"expires_in\" : \"8\", \"b\":[3600] }"));
        for same in
            ["{}", "{\"expires_in\":8}", "{\"expires_in\":1e9}", "{\"expires_in\":null}", "[]"]
        {
            assert_eq!(lower(same), None, "{same}");
        }
    }
}
