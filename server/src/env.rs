//! The only reader of the environment.

use std::path::PathBuf;

/// Where variables come from: the process, or a table in a test.
pub trait Env {
    /// The value of `name`; `None` when it is unset or not UTF-8.
    fn var(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// No variable at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEnv;

impl Env for NoEnv {
    fn var(&self, _: &str) -> Option<String> {
        None
    }
}

impl<const N: usize> Env for [(&str, &str); N] {
    fn var(&self, name: &str) -> Option<String> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }
}

/// `NO_COLOR`, when it is set and not empty (no-color.org).
pub fn no_color() -> Option<String> {
    ProcessEnv.var("NO_COLOR").filter(|value| !value.is_empty())
}

/// The default folder for keys and last good sets: systemd's `STATE_DIRECTORY`, else the XDG state folder,
/// else a folder in the working directory.
pub fn default_data_dir(env: &impl Env) -> PathBuf {
    let set = |name| env.var(name).filter(|value| !value.is_empty());
    if let Some(dirs) = set("STATE_DIRECTORY") {
        // A colon-separated list when the unit names several (systemd.exec(5)).
        return PathBuf::from(dirs.split(':').next().unwrap_or(&dirs));
    }
    if let Some(state) = set("XDG_STATE_HOME") {
        return PathBuf::from(state).join("countersign");
    }
    match set("HOME") {
        Some(home) => PathBuf::from(home).join(".local/state/countersign"),
        None => PathBuf::from("countersign-data"),
    }
}

/// Replaces `${NAME}` by the variable's value, and `$${` by `${`. A single `$` stays.
///
/// # Errors
/// The name of a variable that is not set, or what is wrong with the braces.
pub fn expand(text: &str, env: &impl Env) -> Result<String, ExpandError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let end = inner.find('}').ok_or(ExpandError::Open)?;
        let name = &inner[..end];
        if !is_name(name) {
            return Err(ExpandError::Name(name.to_owned()));
        }
        out.push_str(&env.var(name).ok_or_else(|| ExpandError::Unset(name.to_owned()))?);
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

pub(crate) fn is_name(name: &str) -> bool {
    let head = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    head && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Why `${…}` has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    #[error("the environment variable {0} is not set")]
    Unset(String),
    #[error("`{0}` is not a valid variable name")]
    Name(String),
    #[error("`${{` without `}}`")]
    Open,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_expand_once() {
        let env = [("A", "${B}"), ("B", "b"), ("E", "")];
        let ok = |text| expand(text, &env).unwrap();
        assert_eq!(ok("x${B}y${B}"), "xbyb");
        // A value is not expanded again, so it cannot inject another variable.
        assert_eq!(ok("${A}"), "${B}");
        assert_eq!(ok("[${E}]"), "[]");
        assert_eq!(ok("$${B} $B $ 5$"), "${B} $B $ 5$");
        assert_eq!(ok("$$${B}"), "$${B}");
    }

    #[test]
    fn an_unset_variable_is_named() {
        let no = |text| expand(text, &NoEnv).unwrap_err();
        assert_eq!(no("a ${SECRET}"), ExpandError::Unset("SECRET".into()));
        assert_eq!(no("${a b}"), ExpandError::Name("a b".into()));
        assert_eq!(no("${"), ExpandError::Open);
        assert_eq!(no("${}"), ExpandError::Name(String::new()));
    }

    #[test]
    fn the_state_folder_is_where_the_system_says() {
        let at = |env: [(&str, &str); 2]| default_data_dir(&env).display().to_string();
        assert_eq!(at([("STATE_DIRECTORY", "/var/lib/a:/b"), ("HOME", "/h")]), "/var/lib/a");
        assert_eq!(at([("XDG_STATE_HOME", "/s"), ("HOME", "/h")]), "/s/countersign");
        assert_eq!(at([("", ""), ("HOME", "/h")]), "/h/.local/state/countersign");
        assert_eq!(default_data_dir(&NoEnv).display().to_string(), "countersign-data");
    }
}
