//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::setting::Invalid;

/// Printed as `countersign.toml:3:7: server.lisen: unknown key`; the hint goes on a line of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub file: Option<PathBuf>,
    /// Line and column, from 1; the column counts characters.
    pub position: Option<(usize, usize)>,
    /// The key, `issuer[1].jwks`, or the flag, `--listen`.
    pub key: Option<String>,
    pub why: String,
    /// What is allowed, or what to do.
    pub hint: Option<String>,
}

impl ConfigError {
    /// Only here it is known whether a flag, a variable or a key of the file holds the value, so here the
    /// value that was meant becomes the line to write.
    pub(super) fn new(
        file: Option<&Path>,
        position: Option<(usize, usize)>,
        key: Option<String>,
        Invalid { why, hint, meant }: Invalid,
    ) -> Self {
        let line = meant.map(|value| {
            format!("write {}", assignment(key.as_deref().unwrap_or_default(), &value))
        });
        let hint = match (line, hint) {
            (Some(line), Some(hint)) => Some(format!("{line}; {hint}")),
            (line, hint) => line.or(hint),
        };
        Self { file: file.map(Path::to_owned), position, key, why, hint }
    }

    /// `countersign.toml:3:7`, as much of it as is known.
    pub fn place(&self) -> String {
        let file = self.file.as_ref().map_or("configuration".into(), |f| f.display().to_string());
        match self.position {
            Some((line, column)) => format!("{file}:{line}:{column}"),
            None => file,
        }
    }
}

/// How `value` is written for `key`.
fn assignment(key: &str, value: &str) -> String {
    let name = key.rsplit('.').next().unwrap_or(key);
    if let Some(flag) = key.strip_prefix("--") {
        let variable = flag.to_ascii_uppercase().replace('-', "_");
        return format!("`{key} {value}` (COUNTERSIGN_{variable})");
    }
    if name.is_empty() || name.ends_with(']') {
        return format!("`{value}`");
    }
    match name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
        true => format!("`{name}={value}`"),
        false => format!("`{name} = \"{value}\"`"),
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) if key.starts_with('-') => write!(f, "{key}: {}", self.why),
            Some(key) => write!(f, "{}: {key}: {}", self.place(), self.why),
            None => write!(f, "{}: {}", self.place(), self.why),
        }
    }
}

impl std::error::Error for ConfigError {}

/// An invalid value, before the file's name and the position are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SettingFault {
    pub key: String,
    pub invalid: Invalid,
}

impl SettingFault {
    pub(super) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.invalid = self.invalid.hint(hint);
        self
    }

    /// Returns this fault if `wrong`.
    pub(super) fn when(self, wrong: bool) -> Checked<()> {
        if wrong { Err(self) } else { Ok(()) }
    }

    /// The value that was probably meant.
    pub(super) fn meant(mut self, value: impl fmt::Display) -> Self {
        self.invalid = self.invalid.meant(value);
        self
    }
}

pub(super) type Checked<T> = Result<T, SettingFault>;
