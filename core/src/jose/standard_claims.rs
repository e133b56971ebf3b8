//! The registered claims of OpenID Connect (Core §5.1, §2) and JWT, and the JSON type of each. A
//! typed reader refuses the whole token for one wrong type. This is the only table of them: signing
//! converts claims to these types, `inspect` and `doctor` report other types.

use std::collections::HashSet;

use super::edits::ObjectEdits;
use super::json;
use super::tree::Json;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClaimType {
    Text,
    Flag,
    /// Seconds, or a time as ISO text, which typed readers accept too.
    Time,
    List,
    Object,
    /// OpenID Connect Core §5.1.1: its members are strings.
    Address,
}

/// Which readers require the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TypedReader {
    /// A parser of ID tokens (measured on openidconnect).
    IdToken,
    /// The same, and the name may have a language tag: `family_name#ja-Hani-JP` (Core §5.2).
    IdTokenTagged,
    /// Not measured so far, but converted too.
    Other,
}

use ClaimType::{Address, Flag, List, Object, Text, Time};
use TypedReader::{IdToken, IdTokenTagged, Other};

#[rustfmt::skip]
static CLAIMS: [(&str, ClaimType, TypedReader); 34] = [
    ("name", Text, IdTokenTagged), ("given_name", Text, IdTokenTagged),
    ("family_name", Text, IdTokenTagged), ("middle_name", Text, IdTokenTagged),
    ("nickname", Text, IdTokenTagged), ("profile", Text, IdTokenTagged),
    ("picture", Text, IdTokenTagged), ("website", Text, IdTokenTagged),
    ("preferred_username", Text, IdToken), ("email", Text, IdToken), ("gender", Text, IdToken),
    ("birthdate", Text, IdToken), ("birthday", Text, IdToken), ("zoneinfo", Text, IdToken),
    ("locale", Text, IdToken), ("phone_number", Text, IdToken), ("nonce", Text, IdToken),
    ("acr", Text, IdToken), ("azp", Text, IdToken), ("at_hash", Text, IdToken),
    ("c_hash", Text, IdToken),
    ("email_verified", Flag, IdToken), ("phone_number_verified", Flag, IdToken),
    ("auth_time", Time, IdToken), ("updated_at", Time, IdToken),
    ("amr", List, IdToken), ("address", Address, IdToken),
    ("jti", Text, Other), ("sid", Text, Other), ("client_id", Text, Other), ("s_hash", Text, Other),
    ("sub_jwk", Object, Other), ("cnf", Object, Other), ("act", Object, Other),
];

/// Claims that restrict a token (RFC 7800, RFC 8693 §4.1). Without them it would be valid for more,
/// so they stay even if no reader accepts them.
const LIMITING: [&str; 2] = ["cnf", "act"];

/// The type that a parser of ID tokens requires for the claim `name` instead of `value`; `None` if
/// the type is right, the value is `null`, or the claim is not typed.
pub(crate) fn mistyped(name: &str, value: &Json) -> Option<&'static str> {
    let (_, kind, reader) = find(name)?;
    let typed = match reader {
        TypedReader::IdToken => !name.contains('#'),
        TypedReader::IdTokenTagged => true,
        TypedReader::Other => false,
    };
    (typed && !kind.fits(value)).then(|| kind.expected())
}

/// The row of a claim, whose name may have a language tag.
fn find(name: &str) -> Option<&'static (&'static str, ClaimType, TypedReader)> {
    let base = name.split('#').next()?;
    CLAIMS.iter().find(|(claim, ..)| *claim == base)
}

/// Converts standard claims to their type if nothing is lost, and removes the others: a missing
/// claim is better than no login. `null` means "absent" and stays.
pub(super) fn coerce(edits: &mut ObjectEdits<'_>, notes: &mut Vec<&'static str>) {
    let mut left_out = HashSet::new();
    for name in edits.names() {
        let Some((claim, kind, _)) = find(&name) else { continue };
        let Some(text) = edits.get(&name) else { continue };
        let Ok(value) = Json::parse(text.as_bytes()) else { continue };
        if kind.fits(&value) {
            continue;
        }
        match kind.convert(&value) {
            Some(converted) => {
                edits.put(&name, converted);
                notes.push("claim_coerced");
            }
            None if LIMITING.contains(claim) => {}
            None => {
                left_out.insert(name);
                notes.push("claim_left_out");
            }
        }
    }
    edits.drop_where(|name| left_out.contains(name));
}

impl ClaimType {
    fn fits(self, value: &Json) -> bool {
        const PARTS: [&str; 6] =
            ["formatted", "street_address", "locality", "region", "postal_code", "country"];
        match (self, value) {
            (_, Json::Null)
            | (Self::Text, Json::String(_))
            | (Self::Flag, Json::Bool(_))
            | (Self::Object, Json::Object(_)) => true,
            (Self::Time, Json::Number(text)) => is_time(text),
            (Self::Time, Json::String(text)) => is_iso_time(text),
            (Self::List, value) => value.texts().is_some(),
            (Self::Address, Json::Object(_)) => PARTS.iter().all(|part| {
                value.all(part).count() < 2
                    && value.present(part).is_none_or(|v| v.text().is_some())
            }),
            _ => false,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Flag => "a boolean",
            Self::Time => "a time in seconds",
            Self::List => "a list of strings",
            Self::Object => "an object",
            Self::Address => "an object of strings",
        }
    }

    /// The same value in this type, as JSON text, if only the spelling is wrong.
    fn convert(self, value: &Json) -> Option<String> {
        match (self, value) {
            (Self::Text, Json::Number(text)) => Some(json::quote(text)),
            (Self::Flag, Json::String(text)) if matches!(&**text, "true" | "false") => {
                Some(text.to_string())
            }
            (Self::Time, Json::String(text)) if is_whole(text) && is_time(text) => {
                Some(text.to_string())
            }
            (Self::List, Json::String(_)) => Some(format!("[{value}]")),
            _ => None,
        }
    }
}

/// Decimal digits without a leading zero, as JSON requires.
fn is_whole(text: &str) -> bool {
    text.parse::<u64>().is_ok_and(|number| number.to_string() == text)
}

/// The range of seconds in a calendar: typed readers refuse values outside (measured on chrono, the
/// years -262143 to 262142).
fn is_time(number: &str) -> bool {
    let seconds = number.parse::<f64>();
    seconds.is_ok_and(|at| (-8_334_601_228_800.0..=8_210_266_876_799.0).contains(&at))
}

/// `2026-11-24T11:00:00Z`, by its form only: the verifier checks the content.
fn is_iso_time(text: &str) -> bool {
    let shape: Vec<u8> = text.bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b }).collect();
    shape.len() >= 20 && shape.starts_with(b"0000-00-00") && shape[11..].starts_with(b"00:00:00")
}

#[cfg(test)]
mod tests {
    use super::super::json::Object;
    use super::*;

    #[test]
    fn a_parser_of_id_tokens_wants_types() {
        for (name, value, wanted) in [
            ("email_verified", "\"true\"", Some("a boolean")),
            ("email_verified", "null", None),
            ("name#de", "7", Some("a string")),
            ("email#de", "7", None),
            ("updated_at", "\"2026-01-01T00:00:00Z\"", None),
            ("updated_at", "\"yesterday\"", Some("a time in seconds")),
            ("auth_time", "[]", Some("a time in seconds")),
            ("auth_time", "1800000000000000", Some("a time in seconds")),
            ("amr", "[\"pwd\",1]", Some("a list of strings")),
            ("address", "{\"country\":7}", Some("an object of strings")),
            ("address", "{\"country\":null,\"house\":7}", None),
            ("cnf", "7", None),
            ("mine", "7", None),
        ] {
            let value = Json::parse(value.as_bytes()).unwrap();
            assert_eq!(mistyped(name, &value), wanted, "{name} {value}");
        }
    }

    #[test]
    fn each_kind_is_coerced_or_left_out() {
        for (before, after) in [
            (r#"{"email_verified":"true"}"#, r#"{"email_verified":true}"#),
            (r#"{"email_verified":"yes"}"#, "{}"),
            (r#"{"email_verified":1}"#, "{}"),
            (r#"{"auth_time":"1700000000"}"#, r#"{"auth_time":1700000000}"#),
            (r#"{"auth_time":"yesterday"}"#, "{}"),
            (r#"{"auth_time":1800000000000000,"updated_at":1e300}"#, "{}"),
            (r#"{"auth_time":"007"}"#, "{}"),
            (
                r#"{"updated_at":"2026-01-01T00:00:00Z"}"#,
                r#"{"updated_at":"2026-01-01T00:00:00Z"}"#,
            ),
            // A verifier refuses a token with one of these.
            (r#"{"updated_at":"yesterday","auth_time":"1800000000000000"}"#, "{}"),
            (r#"{"address":{"country":7}}"#, "{}"),
            (r#"{"address":{"country":"X","x":7}}"#, r#"{"address":{"country":"X","x":7}}"#),
            (r#"{"phone_number":49}"#, r#"{"phone_number":"49"}"#),
            (r#"{"acr":1}"#, r#"{"acr":"1"}"#),
            (r#"{"nonce":5}"#, r#"{"nonce":"5"}"#),
            (r#"{"amr":"pwd"}"#, r#"{"amr":["pwd"]}"#),
            (r#"{"amr":["pwd","otp"]}"#, r#"{"amr":["pwd","otp"]}"#),
            (r#"{"amr":[1]}"#, "{}"),
            (r#"{"address":"x"}"#, "{}"),
            (r#"{"cnf":"x","act":[]}"#, r#"{"cnf":"x","act":[]}"#),
            (r#"{"name":null}"#, r#"{"name":null}"#),
            (r#"{"name#de":5,"name":"a"}"#, r#"{"name#de":"5","name":"a"}"#),
            (r#"{"mine":"true","roles":7}"#, r#"{"mine":"true","roles":7}"#),
        ] {
            let object = Object::parse(before.into(), 8).unwrap();
            let mut edits = ObjectEdits::of(&object);
            coerce(&mut edits, &mut Vec::new());
            assert_eq!(edits.render(), after, "{before}");
        }
    }
}
