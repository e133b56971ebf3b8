//! The registered claims of OpenID Connect (Core §5.1, §2) and JWT, and the JSON type each must have.
//! A strict reader refuses the whole token for one of the wrong type.

use super::edits::Edits;
use super::json;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    Number,
    List,
    Object,
}

#[rustfmt::skip]
const CLAIMS: [(&str, Kind); 33] = [
    ("name", Kind::Text), ("given_name", Kind::Text), ("family_name", Kind::Text),
    ("middle_name", Kind::Text), ("nickname", Kind::Text), ("preferred_username", Kind::Text),
    ("profile", Kind::Text), ("picture", Kind::Text), ("website", Kind::Text),
    ("email", Kind::Text), ("gender", Kind::Text), ("birthdate", Kind::Text),
    ("zoneinfo", Kind::Text), ("locale", Kind::Text), ("phone_number", Kind::Text),
    ("nonce", Kind::Text), ("acr", Kind::Text), ("azp", Kind::Text), ("jti", Kind::Text),
    ("sid", Kind::Text), ("client_id", Kind::Text), ("at_hash", Kind::Text),
    ("c_hash", Kind::Text), ("s_hash", Kind::Text), ("sub_jwk", Kind::Object),
    ("email_verified", Kind::Flag), ("phone_number_verified", Kind::Flag),
    ("auth_time", Kind::Number), ("updated_at", Kind::Number),
    ("amr", Kind::List),
    ("address", Kind::Object), ("cnf", Kind::Object), ("act", Kind::Object),
];

/// Claims that say for whom else, or with what, a token is good (RFC 7800, RFC 8693 §4.1). Without them
/// it would be good for more, so they stay even where no reader takes them.
const LIMITING: [&str; 2] = ["cnf", "act"];

/// Gives standard claims their type where nothing is lost by it, and leaves out the others: one claim
/// less is better than no login. `null` stands for "absent" and stays.
pub(super) fn coerce(edits: &mut Edits<'_>, notes: &mut Vec<&'static str>) {
    for name in edits.names() {
        // `family_name#ja-Hani-JP`, OpenID Connect Core §5.2.
        let base = name.split('#').next().unwrap_or(&name);
        let Some((_, kind)) = CLAIMS.iter().find(|(claim, _)| *claim == base) else { continue };
        let Some(value) = edits.get(&name) else { continue };
        if value == "null" || kind.is(value) {
            continue;
        }
        match kind.lossless(value) {
            Some(value) => {
                edits.put(&name, value);
                notes.push("claim_coerced");
            }
            // A time as ISO text is what some issuers send, and readers know it.
            None if LIMITING.contains(&base) => {}
            None if base == "updated_at" && json::string(value).is_some() => {}
            None => {
                edits.drop(&name);
                notes.push("claim_left_out");
            }
        }
    }
}

impl Kind {
    fn is(self, value: &str) -> bool {
        match self {
            Self::Text => value.starts_with('"'),
            Self::Flag => matches!(value, "true" | "false"),
            Self::Number => is_number(value),
            Self::List => serde_json::from_str::<Vec<String>>(value).is_ok(),
            Self::Object => value.starts_with('{'),
        }
    }

    /// The same value in this type, where another spelling of it is all that is wrong.
    fn lossless(self, value: &str) -> Option<String> {
        match self {
            Self::Text if is_number(value) => Some(json::quote(value)),
            Self::Flag => json::string(value)
                .filter(|text| matches!(&**text, "true" | "false"))
                .map(|text| text.into_owned()),
            Self::Number => json::string(value)
                .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
                .filter(|text| text.len() == 1 || !text.starts_with('0'))
                .map(|text| text.into_owned()),
            Self::List => value.starts_with('"').then(|| format!("[{value}]")),
            Self::Text | Self::Object => None,
        }
    }
}

fn is_number(value: &str) -> bool {
    value.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::json::Object;
    use super::*;

    #[test]
    fn each_kind_is_coerced_or_left_out() {
        for (before, after) in [
            (r#"{"email_verified":"true"}"#, r#"{"email_verified":true}"#),
            (r#"{"email_verified":"yes"}"#, "{}"),
            (r#"{"email_verified":1}"#, "{}"),
            (r#"{"auth_time":"1700000000"}"#, r#"{"auth_time":1700000000}"#),
            (r#"{"auth_time":"yesterday"}"#, "{}"),
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
            let mut edits = Edits::of(&object);
            coerce(&mut edits, &mut Vec::new());
            assert_eq!(edits.render(), after, "{before}");
        }
    }
}
