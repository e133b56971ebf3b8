//! Finds tokens in an answer or a request, and replaces them. It is pure: bytes in, places and
//! spliced bytes out.
//!
//! A place is a byte range and the encoding of the token there. Bytes outside of places never
//! change. Every search is linear in the input, and its state is limited by the length of the
//! paths, so hostile nesting costs nothing.
//!
//! | place | where |
//! |---|---|
//! | [`json`] | string values at dotted paths of a JSON body |
//! | [`form`] | fields of an `application/x-www-form-urlencoded` body |
//! | [`redirect`] | query and fragment of a `Location` |
//! | [`cookie`] | `Set-Cookie` and `Cookie` values |
//! | [`form_post`] | hidden inputs of an HTML page (OAuth 2.0 Form Post Response Mode) |
//! | [`field`] | a header field that is a token, or `Bearer` and a token |
//! | [`issuer`] | `iss` of an authorization response (RFC 9207) |
//! | [`jwt_body`] | a body that is one token (`application/jwt`) |
//! | [`registration`] | algorithms of a client registration (RFC 7591) |
//! | [`discovery`] | the metadata of OpenID Connect Discovery and RFC 8414 |

pub mod cookie;
pub mod discovery;
pub mod expires_in;
pub mod field;
pub mod form;
pub mod form_post;
pub mod issuer;
pub mod json;
pub mod redirect;
pub mod registration;
mod rules;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

pub use rules::{BearerMode, JsonPath, PathPattern, PatternError, TokenRule, hidden};

/// One token found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The range of the encoded token in the input, without quotes.
    pub range: Range<usize>,
    /// The configured path, field, parameter or cookie where the token was found. The names
    /// `id_token` and `access_token` matter for the hash claims.
    pub name: String,
    /// The decoded token.
    pub token: String,
    /// How the token is encoded there.
    pub encoding: Encoding,
}

impl Place {
    /// The last member of [`Place::name`]: `access_token` of `session.access_token`.
    pub fn leaf(&self) -> &str {
        self.name.rsplit(['.', ']']).next().unwrap_or(&self.name)
    }

    /// Whether the token has the form of a compact JWS. Opaque tokens occur in the same places.
    pub fn is_jws(&self) -> bool {
        is_jws(&self.token)
    }
}

/// The unreserved characters of RFC 3986 §2.3, without `~`, which older encoders escape.
const UNRESERVED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// The characters of a compact JWS.
static JWS: Alphabet = Alphabet::of(b"-_.");
/// The characters of one of its parts, with padding allowed.
static PADDED: Alphabet = Alphabet::of(b"-_=");

/// A set of bytes as a lookup table: a token has thousands of bytes, and each is looked up.
struct Alphabet([bool; 256]);

impl Alphabet {
    /// ASCII letters, digits and `others`.
    const fn of(others: &[u8]) -> Self {
        let mut has = [false; 256];
        let mut byte = 0_usize;
        while byte < 128 {
            has[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let mut at = 0;
        while at < others.len() {
            has[others[at] as usize] = true;
            at += 1;
        }
        Self(has)
    }

    fn has_all(&self, text: &str) -> bool {
        text.bytes().all(|byte| self.0[usize::from(byte)])
    }
}

/// How a token is encoded at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Inside the quotes of a JSON string, RFC 8259 §7.
    Json,
    /// Percent-encoded (RFC 3986 §2.1): a form body, a query, a fragment, some cookies.
    Percent,
    /// In an HTML attribute value. Every character that could end the value is written as a
    /// reference.
    Html,
    /// Not encoded.
    Raw,
}

impl Encoding {
    /// Encodes `token`. A compact JWS has only characters that no encoding changes.
    pub fn encode(self, token: &str) -> Cow<'_, str> {
        if JWS.has_all(token) {
            return Cow::Borrowed(token);
        }
        match self {
            Self::Raw => Cow::Borrowed(token),
            Self::Json => {
                let quoted = serde_json::Value::from(token).to_string();
                Cow::Owned(quoted[1..quoted.len() - 1].to_owned())
            }
            Self::Percent => percent_encoding::utf8_percent_encode(token, UNRESERVED).into(),
            Self::Html => Cow::Owned(html_escape(token)),
        }
    }
}

fn html_escape(token: &str) -> String {
    let escape = |c: char| match c {
        '-' | '_' | '.' => c.to_string(),
        _ if c.is_alphanumeric() => c.to_string(),
        _ => format!("&#{};", u32::from(c)),
    };
    token.chars().map(escape).collect()
}

/// Puts new tokens in their places. If the new token equals the old one, its bytes do not change,
/// whatever their encoding. Places that overlap or are outside the input are skipped.
pub fn splice(input: &[u8], mut edits: Vec<(Place, String)>) -> Vec<u8> {
    edits.sort_by_key(|(place, _)| place.range.start);
    let changed = edits.iter().filter(|(place, new)| *new != place.token);
    let encoded = changed.map(|(place, new)| (place.range.clone(), place.encoding.encode(new)));
    replace(input, &encoded.collect::<Vec<_>>())
}

/// Replaces ranges of `input`. They come in their order; one that overlaps the one before it or is
/// outside the input is skipped.
fn replace(input: &[u8], edits: &[(Range<usize>, Cow<'_, str>)]) -> Vec<u8> {
    let added: usize = edits.iter().map(|(_, new)| new.len()).sum();
    let mut out = Vec::with_capacity(input.len() + added);
    let mut at = 0;
    for (Range { start, end }, new) in edits {
        if *start < at || end < start || *end > input.len() {
            continue;
        }
        out.extend_from_slice(&input[at..*start]);
        out.extend_from_slice(new.as_bytes());
        at = *end;
    }
    out.extend_from_slice(&input[at..]);
    out
}

/// The places whose name occurs once: parsers disagree on which value of a repeated name counts.
/// `found` has each occurrence of a name, and its place if the value could be decoded.
fn unrepeated<'n>(found: impl Iterator<Item = (&'n str, Option<Place>)>) -> Vec<Place> {
    let found: Vec<_> = found.collect();
    let mut count = HashMap::new();
    for (name, _) in &found {
        *count.entry(*name).or_insert(0) += 1;
    }
    let once = found.into_iter().filter(|(name, _)| count[name] == 1);
    once.filter_map(|(_, place)| place).collect()
}

/// Whether `text` has the form of a compact JWS (RFC 7515 §7.1): three parts of base64url, padding
/// allowed. The content of the parts is not checked.
pub fn is_jws(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && PADDED.has_all(part);
    text.split('.').count() == 3 && text.split('.').all(is_part)
}

/// A body that is one compact JWS, apart from white space around it (`application/jwt`,
/// RFC 7519 §10.3.1: signed userinfo and introspection answers).
pub fn jwt_body(body: &[u8]) -> Option<Place> {
    let text = std::str::from_utf8(body).ok()?;
    let token = text.trim_ascii();
    let start = text.len() - text.trim_ascii_start().len();
    is_jws(token).then(|| Place {
        range: start..start + token.len(),
        name: "body".to_owned(),
        token: token.to_owned(),
        encoding: Encoding::Raw,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `input` with `new` applied to the token at each place.
    pub(super) fn replace_all(
        input: &str,
        places: Vec<Place>,
        new: impl Fn(&str) -> String,
    ) -> String {
        let edits = places.into_iter().map(|place| {
            let new = new(&place.token);
            (place, new)
        });
        String::from_utf8(splice(input.as_bytes(), edits.collect())).unwrap()
    }

    fn place(range: Range<usize>, token: &str, encoding: Encoding) -> Place {
        Place { range, name: "t".into(), token: token.into(), encoding }
    }

    #[test]
    fn splicing_touches_nothing_else() {
        let input = b"aXbYc";
        let edits = vec![
            (place(3..4, "Y", Encoding::Raw), "22".into()),
            (place(1..2, "X", Encoding::Raw), "1".into()),
        ];
        assert_eq!(splice(input, edits), b"a1b22c");
        assert_eq!(splice(input, vec![]), input);
    }

    #[test]
    fn bad_places_are_left_alone() {
        let input = b"abcdef";
        let edits = vec![
            (place(0..3, "abc", Encoding::Raw), "1".into()),
            (place(2..4, "cd", Encoding::Raw), "2".into()),
            (place(5..9, "f", Encoding::Raw), "3".into()),
        ];
        assert_eq!(splice(input, edits), b"1def");
    }

    #[test]
    fn the_same_token_keeps_its_spelling() {
        let edits = vec![(place(1..7, "a", Encoding::Json), "a".into())];
        assert_eq!(splice(br#""\u0061""#, edits), br#""\u0061""#);
    }

    #[test]
    fn each_encoding_writes_what_its_reader_reads() {
        assert_eq!(Encoding::Json.encode("a\"\n="), "a\\\"\\n=");
        assert_eq!(Encoding::Percent.encode("a=b c"), "a%3Db%20c");
        assert_eq!(Encoding::Html.encode("a=\"<"), "a&#61;&#34;&#60;");
        assert_eq!(Encoding::Percent.encode("ey.J-_9"), "ey.J-_9");
    }

    #[test]
    fn a_jws_has_three_parts() {
        assert!(is_jws("eyJh.eyJi.c2ln"));
        assert!(is_jws("eyJh==.eyJi=.c2ln="));
        for no in ["", "a.b", "a.b.c.d", "a..c", ".b.c", "a.b.", "a.b.c d", "opaque"] {
            assert!(!is_jws(no), "{no}");
        }
    }

    #[test]
    fn a_body_may_be_a_token() {
        let found = jwt_body(b"\n eyJh.eyJi.c2ln \r\n").unwrap();
        assert_eq!((found.range, found.token.as_str()), (2..16, "eyJh.eyJi.c2ln"));
        assert_eq!(jwt_body(b"{\"a\":1}"), None);
        assert_eq!(jwt_body(b"\xff\xfe"), None);
    }

    #[test]
    fn the_leaf_is_the_last_member() {
        let name = |name: &str| Place { name: name.into(), ..place(0..0, "", Encoding::Raw) };
        assert_eq!(name("session.access_token").leaf(), "access_token");
        assert_eq!(name("id_token").leaf(), "id_token");
    }
}
