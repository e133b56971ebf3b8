//! The only printer: what a command says, its errors with cause and hint, JSON for scripts.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use clap::builder::StyledStr;
use serde::Serialize;

/// Why a command could not run. Printed as
/// ```text
/// error: <what>: <why>
/// hint: <hint>
/// ```
/// and never holds the text of a token or a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliError {
    /// What failed: a file, an address, a stable code.
    pub what: String,
    pub why: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl CliError {
    pub fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { what: what.to_string(), why: why.to_string(), hint: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl std::error::Error for CliError {}

impl From<crate::config::ConfigError> for CliError {
    /// The file, line and column are what failed.
    fn from(error: crate::config::ConfigError) -> Self {
        let (what, why) = match &error.key {
            Some(key) if key.starts_with('-') => (key.clone(), error.why.clone()),
            Some(key) => (error.place(), format!("{key}: {}", error.why)),
            None => (error.place(), error.why.clone()),
        };
        Self { what, why, hint: error.hint }
    }
}

/// Where a command writes. A closed pipe (`| head`) ends the writing, not the command.
pub struct Output {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    out_color: bool,
    err_color: bool,
}

impl Output {
    /// Stdout and stderr of the process. Colours only where a person looks, and not under
    /// `NO_COLOR` (no-color.org).
    pub fn system() -> Self {
        let allowed = crate::config::env::no_color().is_none();
        Self {
            out_color: allowed && io::stdout().is_terminal(),
            err_color: allowed && io::stderr().is_terminal(),
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
        }
    }

    /// Writers of a test, without colours.
    pub fn to(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self { out, err, out_color: false, err_color: false }
    }

    /// Whether stdout takes colours.
    pub fn color(&self) -> bool {
        self.out_color
    }

    /// One line on stdout: the command's result.
    pub fn line(&mut self, text: impl fmt::Display) {
        let _ = writeln!(self.out, "{text}");
    }

    /// Text on stdout as it stands, without a line end, flushed.
    pub fn text(&mut self, text: impl fmt::Display) {
        let _ = write!(self.out, "{text}");
        let _ = self.out.flush();
    }

    /// Bytes on stdout as they stand.
    ///
    /// # Errors
    /// What the writer says; for results that must not be lost in part.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }

    /// One JSON value on one line of stdout.
    pub fn json(&mut self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.line(text),
            Err(error) => self.error(&CliError::new("json", error)),
        }
    }

    /// One JSON value on stdout, indented.
    pub fn json_pretty(&mut self, value: &impl Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.line(text),
            Err(error) => self.error(&CliError::new("json", error)),
        }
    }

    /// One line on stderr: said beside the result, so that stdout stays a script's.
    pub fn note(&mut self, text: impl fmt::Display) {
        let _ = writeln!(self.err, "{text}");
    }

    /// `warning: …` on stderr.
    pub fn warning(&mut self, text: impl fmt::Display) {
        let word = paint(self.err_color, "1;33", "warning:");
        let _ = writeln!(self.err, "{word} {text}");
    }

    /// `error: what: why`, and `hint: …` where there is one, on stderr.
    pub fn error(&mut self, error: &CliError) {
        let word = paint(self.err_color, "1;31", "error:");
        let _ = writeln!(self.err, "{word} {error}");
        if let Some(hint) = &error.hint {
            let word = paint(self.err_color, "1;36", "hint:");
            let _ = writeln!(self.err, "{word} {hint}");
        }
    }

    pub(super) fn styled(&mut self, text: &StyledStr) {
        let _ = match self.out_color {
            true => write!(self.out, "{}", text.ansi()),
            false => write!(self.out, "{text}"),
        };
    }

    pub(super) fn styled_error(&mut self, text: &StyledStr) {
        let _ = match self.err_color {
            true => write!(self.err, "{}", text.ansi()),
            false => write!(self.err, "{text}"),
        };
    }
}

/// `text` in an ANSI style, `"1;31"` for bold red, where `color` says so.
pub fn paint(color: bool, style: &str, text: &str) -> String {
    if color { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_what_why_and_hint() {
        let error = CliError::new("listen", "address in use").hint("stop the other one");
        assert_eq!(error.to_string(), "listen: address in use");
        assert_eq!(error.hint.as_deref(), Some("stop the other one"));
    }

    #[test]
    fn colours_only_where_wanted() {
        assert_eq!(paint(false, "1;31", "x"), "x");
        assert_eq!(paint(true, "1;31", "x"), "\u{1b}[1;31mx\u{1b}[0m");
    }
}
