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
    pub(super) fn file(path: &Path, why: impl fmt::Display) -> Self {
        let file = Some(path.to_owned());
        Self { file, position: None, key: None, why: why.to_string(), hint: None }
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
    pub why: String,
    pub hint: Option<String>,
}

impl SettingFault {
    pub(super) fn new(key: impl Into<String>, why: impl fmt::Display) -> Self {
        Self { key: key.into(), why: why.to_string(), hint: None }
    }

    pub(super) fn invalid(key: impl Into<String>, invalid: Invalid) -> Self {
        Self { key: key.into(), why: invalid.why, hint: invalid.hint }
    }

    pub(super) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }
}

pub(super) type Checked<T> = Result<T, SettingFault>;
