//! The one reader of a token argument: the token itself, `@FILE`, the name of a file, or `-` for stdin.
//! It removes what editors, shells and copied headers add around a token, and repairs nothing inside.
//! No error holds the token's text.

use std::fs::File;
use std::io::IsTerminal as _;
use std::path::Path;

use base64::Engine as _;

use super::output::{CliError, Output};
use super::source::bounded;
use crate::inspect::{LENIENT, bare};

const HOW_TO_GIVE: &str =
    "give the token itself, @FILE, the name of a file, or - to read it from stdin";

const JWT_FORM: &str = "a JWT has three parts, joined by dots: use the ID token";

/// The token of an argument, at most `limit` bytes of it.
///
/// # Errors
/// [`CliError`] when there is nothing to read, or it does not have the form of a token.
pub fn read(argument: &str, limit: usize) -> Result<String, CliError> {
    let file = argument.strip_prefix('@').or(Path::new(argument).is_file().then_some(argument));
    let given = argument != "-" && file.is_none();
    // Some bytes more than the limit, for what `bare` removes.
    let limit_read = limit.saturating_add(63);
    let (what, bytes) = match file {
        _ if argument == "-" => ("stdin", bounded(std::io::stdin().lock(), limit_read)),
        Some(file) => (file, File::open(file).and_then(|file| bounded(file, limit_read))),
        None => ("token", Ok(argument.as_bytes().to_vec())),
    };
    let bytes = bytes.map_err(|why| CliError::new(what, why).hint(HOW_TO_GIVE))?;
    // A person who gave a file needs no word about how to give one.
    let hint = if given { HOW_TO_GIVE } else { JWT_FORM };
    let fault = |why: &str| CliError::new(what, why).hint(hint);
    let text = String::from_utf8(bytes).map_err(|_| fault("not a token: it is not text"))?;
    let token = bare(&text);
    if token.len() > limit {
        return Err(fault(&format!("longer than {limit} bytes")));
    }
    if token.starts_with('{') {
        return Err(fault("not a token but JSON").hint(
            "give the value of its `id_token` or `access_token`: `jq -r .id_token FILE` prints one",
        ));
    }
    if token.is_empty() {
        return Err(fault(if given { "there is none" } else { "it is empty" }));
    }
    // A compact JWS or JWE (RFC 7515 §7.1, RFC 7516 §7.1).
    let (head, n) = (token.split('.').next().unwrap_or_default(), token.split('.').count());
    if ![3, 5].contains(&n) {
        let parts = if n == 1 { "1 part".to_owned() } else { format!("{n} parts") };
        return Err(fault(&match given {
            true => format!(
                "neither a token nor the name of a file: {parts}, where a token has three, joined by dots"
            ),
            false => format!("not a JWT ({parts}): an opaque token or a session ID?"),
        }));
    }
    let header = LENIENT.decode(head).unwrap_or_default();
    match header.trim_ascii_start().first() {
        Some(b'{') => Ok(token.to_owned()),
        _ => Err(fault("not a token: its first part is not a JSON object in base64url")),
    }
}

/// Says on a terminal that the command waits for a token.
pub fn prompt(argument: &str, out: &mut Output) {
    if argument == "-" && std::io::stdin().is_terminal() {
        out.note("paste the token, then press Enter and Ctrl-D");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first example of RFC 7515, appendix A.1.
    const TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn what_stands_around_a_token_is_taken_off() {
        for text in [
            format!("{TOKEN}\r\n"),
            format!("\u{feff}  {TOKEN}\t"),
            format!("\"{TOKEN}\","),
            format!("'Bearer {TOKEN}'"),
            format!("Authorization: Bearer {TOKEN}\n"),
            format!("authorization:bearer  {TOKEN}"),
            format!("\"Authorization: Bearer '{TOKEN}'\";"),
        ] {
            assert_eq!(read(&text, 4096).unwrap(), TOKEN, "{text}");
        }
    }

    #[test]
    fn a_file_may_be_named_with_and_without_an_at() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("Bearer {TOKEN}\n")).unwrap();
        let name = file.path().to_str().unwrap();
        assert_eq!(read(name, 4096).unwrap(), TOKEN);
        assert_eq!(read(&format!("@{name}"), 4096).unwrap(), TOKEN);
    }

    #[test]
    fn of_a_file_it_says_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("t").display().to_string();
        for (content, why, next) in [
            ("", "it is empty", "three parts"),
            ("opaque-secret\n", "not a JWT (1 part): an opaque token or a session ID?", "ID token"),
            ("{\"access_token\":\"opaque-secret\"}", "not a token but JSON", "`access_token`"),
        ] {
            std::fs::write(&name, content).unwrap();
            for argument in [name.clone(), format!("@{name}")] {
                let error = read(&argument, 4096).unwrap_err();
                assert_eq!(error.why, why);
                let hint = error.hint.unwrap();
                assert!(hint.contains(next) && !hint.contains("opaque-secret"), "{hint}");
            }
        }
    }

    #[test]
    fn what_is_not_a_token_is_refused_and_never_repeated() {
        let parts: Vec<_> = TOKEN.split('.').collect();
        for (text, why) in [
            (String::new(), "there is none"),
            ("Bearer ".to_owned(), "there is none"),
            ("hunter2".to_owned(), "neither a token nor the name of a file: 1 part,"),
            (format!("{}.{}", parts[0], parts[1]), "2 parts"),
            (format!("hunter2.{}.{}", parts[1], parts[2]), "not a JSON object"),
            (format!("@/nowhere/{}", "x".repeat(20)), "No such file"),
            ("x".repeat(5000), "longer than 4096 bytes"),
        ] {
            let error = read(&text, 4096).unwrap_err();
            let said = format!("{error} {:?}", error.hint);
            assert!(said.contains(why), "{why}: {said}");
            for secret in ["hunter2", parts[1], parts[2]] {
                assert!(!said.contains(secret), "{said}");
            }
        }
    }
}
