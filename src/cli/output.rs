//! The only module that prints results, errors with cause and hint, and JSON for scripts.
//!
//! Much of the output repeats texts of servers and tokens, and a terminal obeys control characters. So a
//! character that would move its cursor, change its colours or reverse its lines is escaped, as in
//! `\u001b`: people can read that, and in JSON it means the same.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;

use serde::Serialize;

/// Why a command could not run. Printed as
/// ```text
/// error: <what>: <why>
/// hint: <hint>
/// ```
/// and never holds the text of a token or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct CliError {
    /// What failed: a file, an address, a stable code.
    pub what: String,
    pub why: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl CliError {
    pub fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { what: what.to_string(), why: without_errno(&why.to_string()), hint: None }
    }

    #[must_use]
    pub fn hint(self, hint: impl fmt::Display) -> Self {
        self.hint_if_any(Some(hint))
    }

    #[must_use]
    pub fn hint_if_any(mut self, hint: Option<impl fmt::Display>) -> Self {
        self.hint = hint.map(|hint| hint.to_string());
        self
    }
}

impl From<crate::config::ConfigError> for CliError {
    /// The file, line and column are what failed.
    fn from(error: crate::config::ConfigError) -> Self {
        let (what, why) = match &error.key {
            Some(key) if key.starts_with('-') => (key.clone(), error.why.clone()),
            Some(key) => (error.place(), format!("{key}: {}", error.why)),
            None => (error.place(), error.why.clone()),
        };
        Self { what, why: without_errno(&why), hint: error.hint }
    }
}

/// The text of a system's error without its number, which says nothing more: `… (os error 2)`.
pub(super) fn without_errno(text: &str) -> String {
    let number = text.rsplit_once(" (os error ").filter(|(_, rest)| rest.ends_with(')'));
    number.map_or(text, |(text, _)| text).to_owned()
}

/// Where a command writes. A closed pipe (`| head`) ends the writing, not the command.
pub struct Output {
    out: io::Stdout,
    err: io::Stderr,
    /// Whether stdout takes colours.
    pub(super) color: bool,
    /// Whether stderr takes colours.
    pub(super) err_color: bool,
}

impl Output {
    /// Stdout and stderr of the process. Colours only on a terminal, and not with `NO_COLOR`
    /// (no-color.org).
    pub fn system() -> Self {
        let allowed = crate::env::no_color().is_none();
        Self {
            color: allowed && io::stdout().is_terminal(),
            err_color: allowed && io::stderr().is_terminal(),
            out: io::stdout(),
            err: io::stderr(),
        }
    }

    /// One line on stdout: the command's result.
    pub fn line(&mut self, text: impl fmt::Display) {
        let _ = writeln!(self.out, "{}", harmless(&text.to_string()));
    }

    /// Text on stdout, without a further line end, flushed.
    pub fn text(&mut self, text: impl fmt::Display) {
        let _ = write!(self.out, "{}", harmless(&text.to_string()));
        let _ = self.out.flush();
    }

    /// Bytes on stdout, unchanged.
    ///
    /// # Errors
    /// The writer's error: these results must not be cut short unnoticed.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }

    /// One JSON value on one line of stdout.
    pub fn json(&mut self, value: &impl Serialize) {
        self.json_line(serde_json::to_string(value));
    }

    /// One JSON value on stdout, indented.
    pub fn json_pretty(&mut self, value: &impl Serialize) {
        self.json_line(serde_json::to_string_pretty(value));
    }

    fn json_line(&mut self, json: serde_json::Result<String>) {
        match json {
            Ok(text) => self.line(text),
            Err(error) => self.error(&CliError::new("json", error)),
        }
    }

    /// One line on stderr. Stdout holds only the result, for scripts.
    pub fn note(&mut self, text: impl fmt::Display) {
        let _ = writeln!(self.err, "{}", harmless(&text.to_string()));
    }

    /// `error: what: why`, and `hint: …` where there is one, on stderr.
    pub fn error(&mut self, error: &CliError) {
        self.labelled("1;31", "error:", &error.to_string());
        if let Some(hint) = &error.hint {
            self.labelled("1;36", "hint:", hint);
        }
    }

    fn labelled(&mut self, style: &str, word: &str, text: &str) {
        self.note(format_args!("{} {}", paint(self.err_color, style, word), one_line(text)));
    }
}

/// `text` in an ANSI style, `"1;31"` for bold red, if `color`. [`Output`] tells these escapes from those
/// that came with the text.
pub fn paint(color: bool, style: &str, text: &str) -> String {
    let mark = mark();
    if color { format!("{mark}[{style}m{text}{mark}[0m") } else { text.to_owned() }
}

/// Takes the place of ESC in our own styles until they are printed. It is random for each process, so no
/// server can send it.
fn mark() -> &'static str {
    static MARK: OnceLock<String> = OnceLock::new();
    MARK.get_or_init(|| {
        let mut random = [0; 8];
        // If this fails, the mark can be guessed, and a server could send terminal escapes.
        let _ = aws_lc_rs::rand::fill(&mut random);
        format!("\u{1b}{:016x}", u64::from_ne_bytes(random))
    })
}

/// Escapes the characters that a terminal obeys, except line ends, tabs and the styles of [`paint`].
fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_active) {
        return Cow::Borrowed(text);
    }
    let mark = mark();
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(mark) {
            out.push('\u{1b}');
            rest = after;
            continue;
        }
        if is_active(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
        rest = &rest[c.len_utf8()..];
    }
    Cow::Owned(out)
}

/// Control characters (C0, DEL, C1), and Unicode characters that change the direction of text or end a
/// line (UAX #9 §2, UAX #14 BK).
fn is_active(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}' => {
            true
        }
        _ => c.is_control(),
    }
}

/// Escapes line ends and tabs, so that a server's text stays on one line.
pub(super) fn one_line(text: &str) -> String {
    text.replace('\n', "\\u000a").replace('\t', "\\u0009")
}

/// `text` as one word of a shell's command line, quoted if needed.
pub(super) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@%+,".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// At most `length` characters of a text, which may repeat the whole answer of a server.
#[cfg(feature = "verifier")]
pub(super) fn shortened(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Lines of at most `width` characters, broken between words, and inside one that is longer than a line.
#[cfg(any(test, feature = "verifier"))]
pub(super) fn wrap<'a>(words: impl Iterator<Item = &'a str>, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in words {
        let letters: Vec<char> = word.chars().collect();
        for (i, piece) in letters.chunks(width).enumerate() {
            let space = if i == 0 && used > 0 { " " } else { "" };
            if used > 0 && used + space.len() + piece.len() > width {
                lines.push(piece.iter().collect());
                used = piece.len();
            } else if let Some(line) = lines.last_mut() {
                line.push_str(space);
                line.extend(piece);
                used += space.len() + piece.len();
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_no_wider_than_asked() {
        let wrapped = |text: &'static str, width| wrap(text.split(' '), width);
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("a bbbbbbb c", 4), ["a", "bbbb", "bbb", "c"]);
        assert_eq!(wrapped("", 5), [""]);
        assert_eq!(wrapped("one line", usize::MAX), ["one line"]);
        let demo = |text: &'static str, width| wrap(text.split_whitespace(), width);
        assert_eq!(demo("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(demo("a bbbbbbb c", 4), ["a", "bbbb", "bbb", "c"]);
        assert_eq!(demo("", 5), [""]);
    }

    #[test]
    fn what_is_to_be_copied_is_one_word() {
        assert_eq!(shell_word("https://a.example/jwks"), "https://a.example/jwks");
        assert_eq!(shell_word("https://a/k?p=1&q"), "'https://a/k?p=1&q'");
        assert_eq!(shell_word("a'; rm"), "'a'\\''; rm'");
    }

    #[test]
    fn an_error_has_what_why_and_hint() {
        let system = CliError::new("x.toml", std::io::Error::from_raw_os_error(2));
        assert_eq!(system.to_string(), "x.toml: No such file or directory");
        let error = CliError::new("listen", "address in use").hint("stop the other one");
        assert_eq!(error.to_string(), "listen: address in use");
        assert_eq!(error.hint.as_deref(), Some("stop the other one"));
    }

    #[test]
    fn colours_only_where_wanted() {
        assert_eq!(paint(false, "1;31", "x"), "x");
        assert_eq!(harmless(&paint(true, "1;31", "x")), "\u{1b}[1;31mx\u{1b}[0m");
    }

    #[test]
    fn what_a_terminal_obeys_is_spelled_out() {
        for (hostile, shown) in [
            ("\u{1b}[2J\u{1b}]0;owned\u{7}", "\\u001b[2J\\u001b]0;owned\\u0007"),
            ("\u{9b}2J\u{85}\u{7f}\r\u{8}", "\\u009b2J\\u0085\\u007f\\u000d\\u0008"),
            ("\u{202e}txt.\u{2066}\u{2069}\u{61c}", "\\u202etxt.\\u2066\\u2069\\u061c"),
            ("a\u{2028}b\u{200f}", "a\\u2028b\\u200f"),
        ] {
            assert_eq!(harmless(hostile), shown);
            // Within our own colours too.
            let painted = harmless(&paint(true, "1", hostile)).into_owned();
            assert_eq!(painted, format!("\u{1b}[1m{shown}\u{1b}[0m"));
        }
        for fine in ["plain", "é 鍵 👩\u{200d}💻 ✓\n\tnext", "a\\u001b"] {
            assert!(matches!(harmless(fine), Cow::Borrowed(_)), "{fine}");
        }
        assert_eq!(one_line("a\n  ✓ all is well"), "a\\u000a  ✓ all is well");
    }

    #[test]
    fn json_means_the_same() {
        let value = "\u{1b}\u{9b}\u{202e}\u{7f}\n";
        let text = serde_json::to_string(value).unwrap();
        let shown = harmless(&text);
        assert!(shown.is_ascii(), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), value);
    }
}
