//! Decodes a token without trusting it: its content, its times in words, and what each profile's
//! verifier would do with it. No signature is verified, and nothing is stored.

mod judge;
pub mod words;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Serialize;

use crate::jose::names::UnixTime;
use crate::jose::tree::Json;

/// A longer text is not decoded.
pub const MAX_TOKEN: usize = 1024 * 1024;

/// The code of a note about JSON that this lenient parser accepts and verifiers refuse.
const UNREADABLE: &str = "json_unreadable";

/// Accepts base64url with or without padding, and with non-zero trailing bits: the token is only
/// displayed.
pub const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The decoded content of a token.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// `jws`, `jwe`, or `malformed`.
    pub form: Form,
    pub header: Option<Json>,
    pub claims: Option<Json>,
    /// The length of the signature in bytes.
    pub signature_bytes: Option<usize>,
    /// `exp`, `nbf`, `iat`, `auth_time`, `updated_at`, where they are numbers.
    pub times: Vec<Time>,
    /// Irregularities of the token that do not depend on the verifier.
    pub notes: Vec<Note>,
    pub profiles: Vec<ProfileView>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    Jws,
    Jwe,
    Malformed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Time {
    pub claim: &'static str,
    /// Seconds since the epoch.
    pub at: i64,
    /// `2026-11-24 11:30:48 UTC`; `None` outside the years 0 to 9999.
    pub utc: Option<String>,
    /// `in 9 minutes`.
    pub relative: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Stable code.
    pub code: &'static str,
    pub text: String,
}

impl Note {
    fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// What one profile's verifier would do with the token, if its signature is valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProfileView {
    pub profile: &'static str,
    pub outcome: Outcome,
    /// Why the verifier does not accept it unchanged.
    pub reasons: Vec<Note>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The verifier accepts it unchanged.
    AsItStands,
    /// The verifier refuses it, but accepts it once countersigned.
    Countersigned,
    /// It is refused, and must not be countersigned either.
    Refused,
}

impl Outcome {
    /// The outcome as text for the user.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::AsItStands => "accepted as it stands",
            Self::Countersigned => "refused as it stands, accepted once countersigned",
            Self::Refused => "refused, and never countersigned",
        }
    }
}

/// Removes white space, quotes, `Authorization:` and `Bearer` around a token, in any order.
pub fn bare(text: &str) -> &str {
    let mut token = text;
    loop {
        let before = token;
        token = token.trim_matches(|c: char| {
            c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | ';' | '\u{feff}')
        });
        for word in ["authorization:", "bearer"] {
            if let Some((head, rest)) = token.split_at_checked(word.len())
                && head.eq_ignore_ascii_case(word)
                && (word.ends_with(':') || rest.is_empty() || rest.starts_with(char::is_whitespace))
            {
                token = rest;
            }
        }
        if token.len() == before.len() {
            return token;
        }
    }
}

/// Decodes `token` as far as possible, after [`bare`].
pub fn inspect(token: &str, now: UnixTime) -> Inspection {
    let mut token = bare(token);
    let mut notes = Vec::new();
    if token.len() > MAX_TOKEN {
        notes.push(Note::new("too_large", format!("longer than {MAX_TOKEN} bytes, not decoded")));
        token = "";
    }
    let parts: Vec<&str> = token.split('.').collect();
    let form = match parts.len() {
        3 => Form::Jws,
        5 => Form::Jwe,
        _ => Form::Malformed,
    };
    if form == Form::Malformed && notes.is_empty() {
        let (n, s) = (parts.len(), if parts.len() == 1 { "" } else { "s" });
        let text = format!("{n} part{s}; a signed token has three, joined by dots (RFC 7515 §7.1)");
        notes.push(Note::new("format", text));
    }
    let header = section(&parts, 0, "header", &mut notes);
    let claims = if form == Form::Jwe {
        let text = "encrypted (JWE, RFC 7516): only the header can be read";
        notes.push(Note::new("encrypted", text));
        None
    } else {
        section(&parts, 1, "claims", &mut notes)
    };
    let signature = (form == Form::Jws).then(|| LENIENT.decode(parts[2]));
    if let Some(Err(_)) = signature {
        notes.push(Note::new("b64", "the signature is not base64url"));
    }
    if parts.iter().any(|p| p.ends_with('=')) {
        let text = "parts end in `=`; base64url in tokens has no padding (RFC 7515 §2)";
        notes.push(Note::new("padded", text));
    }
    let mut inspection = Inspection {
        form,
        times: claims.as_ref().map(|c| times(c, now)).unwrap_or_default(),
        header,
        claims,
        signature_bytes: signature.and_then(Result::ok).map(|s| s.len()),
        notes,
        profiles: Vec::new(),
    };
    inspection.profiles = judge::judge(&inspection, now);
    inspection
}

fn section(parts: &[&str], nth: usize, what: &str, notes: &mut Vec<Note>) -> Option<Json> {
    let part = parts.get(nth).filter(|p| !p.is_empty())?;
    let Ok(bytes) = LENIENT.decode(part) else {
        let is = if what == "header" { "is" } else { "are" };
        notes.push(Note::new("b64", format!("the {what} {is} not base64url")));
        return None;
    };
    let (code, text) = match Json::parse(&bytes) {
        Ok(tree @ Json::Object(_)) => {
            // This parser accepts lone surrogates and numbers that exceed a double, but few
            // verifiers do.
            if let Err(error) = serde_json::from_slice::<serde_json::Value>(&bytes) {
                notes.push(Note::new(UNREADABLE, format!("the {what}: {error}")));
            }
            return Some(tree);
        }
        Ok(other) => ("payload", format!("{}, not an object", other.kind())),
        Err(_) => ("not_json", "not JSON".to_owned()),
    };
    notes.push(Note::new(code, format!("the {what}: {text}")));
    None
}

fn times(claims: &Json, now: UnixTime) -> Vec<Time> {
    let time = |claim: &'static str| {
        let at = UnixTime::from_secs(claims.get(claim)?.seconds()?);
        let relative = words::relative(at, now);
        Some(Time { claim, at: at.secs(), utc: words::utc(at), relative })
    };
    ["iat", "nbf", "exp", "auth_time", "updated_at"].into_iter().filter_map(time).collect()
}
