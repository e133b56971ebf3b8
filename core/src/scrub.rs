//! Blanks what looks like a secret in a finished line. This is the last measure, not the first:
//! nothing in this crate relies on it, but a library's error text may quote its input.

use std::borrow::Cow;

use memchr::memmem;

/// Shortest run of base64url that counts as part of a token.
const TOKEN_PART: usize = 10;
/// Authentication schemes, and the shortest credentials that are blanked after one.
const SCHEMES: [&str; 3] = ["bearer", "basic", "dpop"];
const CREDENTIALS: usize = 8;
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

/// The line without tokens, credentials and private keys. Borrowed if there were none.
pub fn scrub(line: &str) -> Cow<'_, str> {
    let mut line = Cow::Borrowed(line);
    for pass in [pem, tokens, schemes, userinfo, named] {
        if let Some(clean) = pass(&line) {
            line = Cow::Owned(clean);
        }
    }
    line
}

/// Compact JWS and JWE: a base64url run that starts as a JSON object does, or three dotted runs.
fn tokens(line: &str) -> Option<String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte);
    replace_runs(line, is_token, |run| {
        let looks_so = |part: &str| part.starts_with("eyJ") || part.starts_with("ewo");
        let long = |part: &&str| part.trim_end_matches('=').len() >= TOKEN_PART;
        let dotted = run.split('.').filter(long).count();
        let dense = run.split('.').filter(|part| part.len() >= 20).count();
        (run.split('.').any(|part| looks_so(part) && part.len() >= TOKEN_PART)
            || (dotted >= 3 && dense >= 2))
            .then_some("[token]")
    })
}

/// `Bearer x` and `Basic x`, RFC 6750 §2.1, RFC 7617 §2, at least [`CREDENTIALS`] bytes of it.
fn schemes(line: &str) -> Option<String> {
    let mut out = String::new();
    let mut kept = 0;
    for space in memchr::memchr_iter(b' ', line.as_bytes()) {
        let is_scheme = |name: &&str| {
            let start = space.checked_sub(name.len());
            start.is_some_and(|at| line.as_bytes()[at..space].eq_ignore_ascii_case(name.as_bytes()))
        };
        if space < kept || !SCHEMES.iter().any(is_scheme) {
            continue;
        }
        let rest = &line[space + 1..];
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '\\');
        let value = &rest[..rest.find(ends).unwrap_or(rest.len())];
        if value.len() >= CREDENTIALS && value != "[token]" && !value.starts_with("[secret]") {
            out.push_str(&line[kept..=space]);
            out.push_str("[secret]");
            kept = space + 1 + value.len();
        }
    }
    (kept > 0).then(|| out + &line[kept..])
}

/// `scheme://user:password@`.
fn userinfo(line: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = memmem::find(rest.as_bytes(), b"://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end = tail.find(|c: char| c.is_whitespace() || "/?#\"'<>)".contains(c));
        let authority = &tail[..end.unwrap_or(tail.len())];
        rest = tail;
        if let Some(at) = authority.rfind('@') {
            out.push_str("[secret]");
            rest = &tail[at..];
        }
    }
    let changed = out.len() + rest.len() != line.len() || out.contains("[secret]@");
    changed.then(|| out + rest)
}

/// `"d":"…"` in JSON (also inside a JSON string, where the quotes are escaped) and
/// `code=…&client_secret=…` in forms and queries, in one pass.
fn named(line: &str) -> Option<String> {
    let mut out = String::new();
    let mut kept = 0;
    let mut from = 0;
    let begins = |b: &u8| matches!(b, b'"' | b'?' | b'&' | b'#' | b' ');
    while let Some(at) = line.as_bytes()[from..].iter().position(begins) {
        let before = line.as_bytes()[from + at];
        let start = from + at + 1;
        from = start;
        let name_len = line[start..].bytes().take_while(|b| b.is_ascii_lowercase() || *b == b'_');
        let name_end = start + name_len.count();
        let name = &line[start..name_end];
        let Some((value_start, value_len)) = value_of(name, before, &line[name_end..]) else {
            continue;
        };
        let (value_start, value_end) = (name_end + value_start, name_end + value_start + value_len);
        let value = &line[value_start..value_end];
        from = value_end;
        if value.is_empty() || value.starts_with("[secret]") || value.starts_with("[token]") {
            continue;
        }
        out.push_str(&line[kept..value_start]);
        out.push_str("[secret]");
        kept = value_end;
    }
    (kept > 0).then(|| out + &line[kept..])
}

/// The position of the secret value in the text after `name`: offset and length.
fn value_of(name: &str, before: u8, after: &str) -> Option<(usize, usize)> {
    let parameter = PARAMETERS.contains(&name);
    if let Some(value) = after.strip_prefix('=') {
        // A field of the log itself, ` code=expired`, is a word this program chose.
        let secret = parameter && !(name == "code" && before == b' ');
        let end = value.find(|c: char| c.is_whitespace() || "&\"',;)}\\".contains(c));
        return secret.then(|| (1, end.unwrap_or(value.len())));
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
    let start = after.len() - value.len();
    Some((start, value.find(['"', '\\']).unwrap_or(value.len())))
}

/// A PEM private key, RFC 7468 §10 and its older forms, over all of its lines.
fn pem(line: &str) -> Option<String> {
    const END: &str = "-----END";
    let mut out = String::new();
    let mut rest = line;
    let mut changed = false;
    while let Some(at) = memmem::find(rest.as_bytes(), b"-----BEGIN ") {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        let label_end = tail[11..].find("-----").map_or(tail.len(), |end| 11 + end + 5);
        let body_end = tail.find(END).map_or(tail.len(), |end| {
            tail[end + END.len()..].find("-----").map_or(tail.len(), |n| end + END.len() + n + 5)
        });
        if tail[..label_end].contains("PRIVATE KEY") {
            out.push_str("[private key]");
            rest = &tail[body_end.max(label_end)..];
            changed = true;
        } else {
            out.push_str(&tail[..label_end]);
            rest = &tail[label_end..];
        }
    }
    changed.then(|| out + rest)
}

/// Replaces each run of at least [`TOKEN_PART`] bytes that `is_part` accepts, if `with` says so.
fn replace_runs(
    line: &str,
    is_part: impl Fn(u8) -> bool,
    with: impl Fn(&str) -> Option<&'static str>,
) -> Option<String> {
    let mut out = String::new();
    let mut kept = 0;
    let mut at = 0;
    let bytes = line.as_bytes();
    while at < bytes.len() {
        if !is_part(bytes[at]) {
            at += 1;
            continue;
        }
        let end = at + bytes[at..].iter().take_while(|byte| is_part(**byte)).count();
        if end - at < TOKEN_PART {
            at = end;
            continue;
        }
        // `value=eyJ…`: the name and the `=` before the token are kept.
        let named = memmem::find(&bytes[at..end], b"=ey");
        let start = named.map_or(at, |sign| at + sign + 1);
        if let Some(blank) = with(&line[start..end]) {
            out.push_str(&line[kept..start]);
            out.push_str(blank);
            kept = end;
        }
        at = end;
    }
    (kept > 0).then(|| out + &line[kept..])
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
