//! The registered claims of OpenID Connect (Core §5.1, §2) and JWT, and the JSON type of each. A
//! typed reader refuses the whole token for one wrong type. This is the only table of them: signing
//! converts by it, `inspect` predicts by it, and doctor explains by it.

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
    /// Not measured so far; converted all the same.
    Other,
}

use ClaimType::{Address, Flag, List, Object, Text, Time};
use TypedReader::{IdToken, IdTokenTagged, Other};

#[rustfmt::skip]
const CLAIMS: [(&str, ClaimType, TypedReader); 34] = [
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
    let (base, tagged) = match name.split_once('#') {
        Some((base, _)) => (base, true),
        None => (name, false),
    };
    let (_, kind, reader) = CLAIMS.iter().find(|(claim, ..)| *claim == base)?;
    let typed = match reader {
        TypedReader::IdToken => !tagged,
        TypedReader::IdTokenTagged => true,
        TypedReader::Other => false,
    };
    (typed && !kind.fits(value)).then(|| kind.wanted())
}

/// Converts standard claims to their type if nothing is lost, and removes the others: a missing
/// claim is better than no login. `null` means "absent" and stays.
pub(super) fn coerce(edits: &mut ObjectEdits<'_>, notes: &mut Vec<&'static str>) {
    for name in edits.names() {
        let base = name.split('#').next().unwrap_or(&name);
        let Some((_, kind, _)) = CLAIMS.iter().find(|(claim, ..)| *claim == base) else { continue };
        let Some(value) = edits.get(&name) else { continue };
        if value == "null" || kind.is(value) {
            continue;
        }
        match kind.lossless(value) {
            Some(value) => {
                edits.put(&name, value);
                notes.push("claim_coerced");
            }
            None if LIMITING.contains(&base) => {}
            // Some issuers send a time as ISO text, and readers accept it.
            None if base == "updated_at" && json::string(value).is_some() => {}
            None => {
                edits.drop(&name);
                notes.push("claim_left_out");
            }
        }
    }
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

    fn wanted(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Flag => "a boolean",
            Self::Time => "a time in seconds",
            Self::List => "a list of strings",
            Self::Object => "an object",
            Self::Address => "an object of strings",
        }
    }

    fn is(self, value: &str) -> bool {
        match self {
            Self::Text => value.starts_with('"'),
            Self::Flag => matches!(value, "true" | "false"),
            Self::Time => json::is_number(value) && is_time(value),
            Self::List => serde_json::from_str::<Vec<String>>(value).is_ok(),
            Self::Object | Self::Address => value.starts_with('{'),
        }
    }

    /// The same value in this type, if only the spelling is wrong.
    fn lossless(self, value: &str) -> Option<String> {
        match self {
            Self::Text if json::is_number(value) => Some(json::quote(value)),
            Self::Flag => json::string(value)
                .filter(|text| matches!(&**text, "true" | "false"))
                .map(|text| text.into_owned()),
            Self::Time => json::string(value)
                .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
                .filter(|text| text.len() == 1 || !text.starts_with('0'))
                .map(|text| text.into_owned()),
            Self::List => value.starts_with('"').then(|| format!("[{value}]")),
            Self::Text | Self::Object | Self::Address => None,
        }
    }
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
