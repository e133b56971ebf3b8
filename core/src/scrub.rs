//! Blanks what looks like a secret in a finished line. This is the last measure, not the first:
//! nothing in this crate relies on it, but a library's error text may quote its input.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

/// Shortest run of base64url that counts as part of a token.
const MIN_TOKEN_PART: usize = 10;
/// Authentication schemes, and the shortest credentials that are blanked after one.
const SCHEMES: [&str; 3] = ["bearer", "basic", "dpop"];
const MIN_CREDENTIALS: usize = 8;
/// Form and query parameters whose value is a secret (RFC 6749, RFC 8693, OpenID Connect).
const PARAMETERS: &[&str] = &[
    "access_token",
    "actor_token",
    "assertion",
    "client_assertion",
    "client_secret",
    "code",
    "code_verifier",
    "device_code",
    "id_token",
    "id_token_hint",
    "password",
    "refresh_token",
    "subject_token",
    "token",
];
/// Private members of a JWK, RFC 7518 §6.2.2, §6.3.2, §6.4.1, RFC 8037 §2.
const PRIVATE_MEMBERS: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "k"];
const BEGIN: &[u8] = b"-----BEGIN ";

/// The line without tokens, credentials and private keys. Borrowed if there were none.
pub fn scrub(line: &str) -> Cow<'_, str> {
    let line = blank(line.into(), private_keys, "[private key]");
    let line = blank(line, tokens, "[token]");
    let line = blank(line, credentials, "[secret]");
    let line = blank(line, userinfo, "[secret]");
    blank(line, named_values, "[secret]")
}

/// Replaces the ranges that `find` finds: in order, without overlap.
fn blank<'a>(
    line: Cow<'a, str>,
    find: fn(&str) -> Vec<Range<usize>>,
    replacement: &str,
) -> Cow<'a, str> {
    let ranges = find(&line);
    if ranges.is_empty() {
        return line;
    }
    let mut out = String::with_capacity(line.len());
    let mut kept = 0;
    for range in ranges {
        out.push_str(&line[kept..range.start]);
        out.push_str(replacement);
        kept = range.end;
    }
    out.push_str(&line[kept..]);
    out.into()
}

/// PEM private keys, RFC 7468 §10 and its older forms, over all of their lines.
fn private_keys(line: &str) -> Vec<Range<usize>> {
    let behind = |from: usize, text: &str| {
        line[from..].find(text).map_or(line.len(), |at| from + at + text.len())
    };
    let mut end = 0;
    let blocks = memmem::find_iter(line.as_bytes(), BEGIN).filter_map(|start| {
        let label_end = behind(start + BEGIN.len(), "-----");
        if start < end || !line[start..label_end].contains("PRIVATE KEY") {
            return None;
        }
        end = behind(behind(start, "-----END"), "-----").max(label_end);
        Some(start..end)
    });
    blocks.collect()
}

/// Compact JWS and JWE.
fn tokens(line: &str) -> Vec<Range<usize>> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte);
    let mut next = 0;
    let runs = line.as_bytes().split(|byte| !is_part(*byte)).filter_map(|run| {
        let (start, end) = (next, next + run.len());
        next = end + 1;
        if run.len() < MIN_TOKEN_PART {
            return None;
        }
        // `value=eyJ…`: the name and the `=` before the token are kept.
        let start = memmem::find(run, b"=ey").map_or(start, |sign| start + sign + 1);
        is_token(&line[start..end]).then_some(start..end)
    });
    runs.collect()
}

/// Whether a part starts as a JSON object does, or there are three long parts.
fn is_token(run: &str) -> bool {
    let is_object = |part: &str| part.starts_with("eyJ") || part.starts_with("ewo");
    let long = |part: &&str| part.trim_end_matches('=').len() >= MIN_TOKEN_PART;
    run.split('.').any(|part| part.len() >= MIN_TOKEN_PART && is_object(part))
        || run.split('.').filter(long).count() >= 3
            && run.split('.').filter(|part| part.len() >= 20).count() >= 2
}

/// The credentials after `Bearer`, `Basic` and `DPoP` (RFC 6750 §2.1, RFC 7617 §2, RFC 9449 §7.1), if
/// they have at least [`MIN_CREDENTIALS`] bytes.
fn credentials(line: &str) -> Vec<Range<usize>> {
    let spaces = memchr::memchr_iter(b' ', line.as_bytes());
    let found = spaces.filter_map(|space| {
        let is_scheme = |name: &&str| {
            let start = space.checked_sub(name.len());
            start.is_some_and(|at| line.as_bytes()[at..space].eq_ignore_ascii_case(name.as_bytes()))
        };
        SCHEMES.iter().find(|name| is_scheme(name))?;
        let rest = &line[space + 1..];
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '\\');
        let value = &rest[..rest.find(ends).unwrap_or(rest.len())];
        let blanked = value == "[token]" || value.starts_with("[secret]");
        let is_secret = value.len() >= MIN_CREDENTIALS && !blanked;
        is_secret.then_some(space + 1..space + 1 + value.len())
    });
    found.collect()
}

/// `user:password` of `scheme://user:password@`.
fn userinfo(line: &str) -> Vec<Range<usize>> {
    let found = memmem::find_iter(line.as_bytes(), b"://").filter_map(|colon| {
        let start = colon + 3;
        let rest = &line[start..];
        let end = rest.find(|c: char| c.is_whitespace() || "/?#\"'<>)".contains(c));
        let len = rest[..end.unwrap_or(rest.len())].rfind('@')?;
        Some(start..start + len)
    });
    found.collect()
}

/// `"d":"…"` in JSON (also inside a JSON string, where the quotes are escaped) and
/// `code=…&client_secret=…` in forms and queries.
fn named_values(line: &str) -> Vec<Range<usize>> {
    let bytes = line.as_bytes();
    let mut end = 0;
    let found = (0..bytes.len()).filter_map(|at| {
        if at < end || !matches!(bytes[at], b'"' | b'?' | b'&' | b'#' | b' ') {
            return None;
        }
        let rest = &line[at + 1..];
        let name = rest.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '_');
        let (name, rest) = rest.split_at(rest.len() - name.len());
        let value = value_of(name, bytes[at], rest)?;
        let start = value.as_ptr() as usize - line.as_ptr() as usize;
        end = start + value.len();
        let blanked = value.starts_with("[token]") || value.starts_with("[secret]");
        (!value.is_empty() && !blanked).then_some(start..end)
    });
    found.collect()
}

/// The secret value in the text after `name`.
fn value_of<'a>(name: &str, before: u8, after: &'a str) -> Option<&'a str> {
    let parameter = PARAMETERS.contains(&name);
    if let Some(value) = after.strip_prefix('=') {
        // A field of the log itself, ` code=expired`, is a word this program chose.
        let secret = parameter && !(name == "code" && before == b' ');
        let end = value.find(|c: char| c.is_whitespace() || "&\"',;)}\\".contains(c));
        return secret.then(|| &value[..end.unwrap_or(value.len())]);
    }
    if before != b'"' || name == "code" || !(parameter || PRIVATE_MEMBERS.contains(&name)) {
        return None;
    }
    // Quotes inside a JSON string are escaped; white space may surround the colon (RFC 8259 §2).
    let (escape, rest) = match after.strip_prefix('\\') {
        Some(rest) => ("\\", rest),
        None => ("", after),
    };
    let rest = rest.strip_prefix('"')?.trim_start().strip_prefix(':')?.trim_start();
    let value = rest.strip_prefix(escape)?.strip_prefix('"')?;
    Some(&value[..value.find(['"', '\\']).unwrap_or(value.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJhbGciOiJFUzM4NCJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlLW9mLXRoaXM";

    #[test]
    fn secrets_are_blanked() {
        for (line, clean) in [
            (format!("got {TOKEN}, then"), "got [token], then"),
            (format!("jwt={TOKEN}"), "jwt=[token]"),
            (format!("GET /cb?state=1&id_token={TOKEN} x"), "GET /cb?state=1&id_token=[token] x"),
            ("a.b eyJhbGciOiJIUzI1NiJ9 end".into(), "a.b [token] end"),
            ("authorization: Bearer opaque-secret-1".into(), "authorization: Bearer [secret]"),
            (
                "b\"Authorization: BASIC dXNlcjpwYXNz\\r\\n".into(),
                "b\"Authorization: BASIC [secret]\\r\\n",
            ),
            ("dPoP opaque-secret-1, Basic short".into(), "dPoP [secret], Basic short"),
            ("bearer bearer basic 12345678".into(), "bearer bearer basic [secret]"),
            ("POST code=abc".into(), "POST code=abc"),
            ("/cb?code=abc&state=2".into(), "/cb?code=[secret]&state=2"),
            ("body \"client_secret=s3&x=1\"".into(), "body \"client_secret=[secret]&x=1\""),
            ("redis://u:pw@db:6379/0 down".into(), "redis://[secret]@db:6379/0 down"),
            ("https://a@b/ and http://c/ x".into(), "https://[secret]@b/ and http://c/ x"),
            (r#"{"kty":"EC","d":"abc","x":"y"}"#.into(), r#"{"kty":"EC","d":"[secret]","x":"y"}"#),
            (
                r#""{\"k\":\"abc\",\"e\":\"AQAB\"}""#.into(),
                r#""{\"k\":\"[secret]\",\"e\":\"AQAB\"}""#,
            ),
            (r#"{"d" : "abc","p":  "x"}"#.into(), r#"{"d" : "[secret]","p":  "[secret]"}"#),
            ("{\"d\"\n:\t\"abc\"}".into(), "{\"d\"\n:\t\"[secret]\"}"),
            (r#"{"refresh_token": "abc"}"#.into(), r#"{"refresh_token": "[secret]"}"#),
            (
                "x -----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n y".into(),
                "x [private key]\n y",
            ),
            ("-----BEGIN EC PRIVATE KEY-----\\nMII".into(), "[private key]"),
        ] {
            assert_eq!(scrub(&line), clean);
        }
    }

    #[test]
    fn what_is_no_secret_stays_and_costs_no_copy() {
        for line in [
            "2026-01-02T03:04:05.678901Z  INFO countersign::access: request path=\"/token\" code=\"\"",
            "kid=9Xh2bJ_yS0oWmUbm0mQF3iJ7c2k1V8m4vKq9uTn1wEs fetched https://login.example.com/oidc/jwks",
            "countersign::issuer::fetch: issuer=logto-eu.1 seconds=0.123456789",
            "-----BEGIN CERTIFICATE-----",
            "a token was refused: expired",
        ] {
            assert!(matches!(scrub(line), Cow::Borrowed(_)), "{}", scrub(line));
        }
    }

    #[test]
    fn odd_text_does_not_break_it() {
        for line in
            ["", "é://@", "Bearer ", "\"d\":\"", "-----BEGIN ", "-----BEGIN PRIVATE KEY", "鍵eyJ鍵"]
        {
            let once = scrub(line).into_owned();
            assert_eq!(scrub(&once), once);
        }
    }

    #[test]
    fn scrubbing_twice_changes_nothing() {
        let line = format!("Bearer {TOKEN} ?code=1 redis://u:p@h \"d\":\"x\"");
        let once = scrub(&line).into_owned();
        assert_eq!(scrub(&once), once);
        assert!(!once.contains("eyJ"));
    }
}
