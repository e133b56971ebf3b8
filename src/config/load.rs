//! Makes a [`Config`] of a file, flags and the environment, and gives errors their line and column.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Config;
use super::error::{ConfigError, SettingFault};
use super::overrides::RunOverrides;
use super::raw::RawConfig;
use super::resolve;
use crate::env::{Env, expand};
use crate::setting::{Invalid, nearest, not_one_of};

/// Read from the working directory if no file is named.
const DEFAULT_FILE: &str = "countersign.toml";

/// The configuration file of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Named(PathBuf),
    /// `./countersign.toml`, found and not named.
    Here(PathBuf),
    Nothing,
}

impl Found {
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Named(path) | Self::Here(path) => Some(path),
            Self::Nothing => None,
        }
    }

    /// Tells which file was found, so that the source of a setting is clear.
    pub fn note(&self) -> Option<String> {
        match self {
            Self::Here(path) => {
                Some(format!("configuration: {}, found in this folder", path.display()))
            }
            Self::Named(_) | Self::Nothing => None,
        }
    }
}

/// The file that was named (by a flag or its variable), else the one in the working directory.
pub fn find(named: Option<&Path>) -> Found {
    let here = Path::new(DEFAULT_FILE);
    match named.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => Found::Named(path.to_owned()),
        None if here.is_file() => Found::Here(here.to_owned()),
        None => Found::Nothing,
    }
}

/// The configuration of this process.
///
/// # Errors
/// The first [`ConfigError`] found.
pub fn load(
    file: Option<&Path>,
    overrides: &RunOverrides,
    env: &impl Env,
) -> Result<Config, ConfigError> {
    let Some(path) = file else { return load_text("", None, overrides, env) };
    let text = std::fs::read_to_string(path).map_err(|error| {
        let mut failed = ConfigError::file(path, error);
        failed.hint = Some("`countersign init --upstream URL` writes one".to_owned());
        failed
    })?;
    load_text(&text, Some(path), overrides, env)
}

/// Like [`load`], for a text. Relative paths in it start at the folder of `file`.
///
/// # Errors
/// The first [`ConfigError`] found.
pub fn load_text(
    text: &str,
    file: Option<&Path>,
    overrides: &RunOverrides,
    env: &impl Env,
) -> Result<Config, ConfigError> {
    let document = ConfigText { text, file, overrides };
    let mut table = DeTable::parse(text).map_err(|error| document.toml(&error, None))?;
    expand_strings(&mut table, &document, env)?;
    put_flags(table.get_mut(), overrides);
    put_port(table.get_mut(), &document, env)?;
    let raw = RawConfig::deserialize(toml::Deserializer::from(table.clone()))
        .map_err(|error| document.toml(&error, Some(&table)))?;
    let base = file.and_then(Path::parent).unwrap_or(Path::new(""));
    resolve::config(raw, overrides, base, env).map_err(|fault| document.fault(fault, &table))
}

/// The span of a table that only flags fill: beyond the end of any text.
const NO_SPAN: Range<usize> = usize::MAX..usize::MAX;

/// The span of the value of flag `n`.
fn flag_span(n: usize) -> Range<usize> {
    let end = usize::MAX - n;
    end - 1..end
}

/// A table of the file, created if it is missing. `None`: the name has a value that is not a table.
fn section<'t, 'a>(table: &'t mut DeTable<'a>, name: &'static str) -> Option<&'t mut DeTable<'a>> {
    let section = table
        .entry(Spanned::new(NO_SPAN, name.into()))
        .or_insert_with(|| Spanned::new(NO_SPAN, DeValue::Table(DeTable::new())));
    match section.get_mut() {
        DeValue::Table(section) => Some(section),
        _ => None,
    }
}

/// Flags override the file: their values replace those in the table.
fn put_flags(table: &mut DeTable<'_>, overrides: &RunOverrides) {
    for (n, flag) in overrides.flags().into_iter().enumerate() {
        let Some(value) = flag.value else { continue };
        // `--upstream-host` alone does not configure an upstream.
        if flag.key == "host" && !table.contains_key(flag.table) {
            continue;
        }
        if let Some(section) = section(table, flag.table) {
            let value = DeValue::String(value.clone().into());
            let key = Spanned::new(flag_span(n), flag.key.into());
            section.insert(key, Spanned::new(flag_span(n), value));
        }
    }
}

/// A platform that sets `PORT` sends requests from outside, so the proxy listens at every address, unless
/// a flag or the file says where to listen.
fn put_port(
    table: &mut DeTable<'_>,
    document: &ConfigText<'_>,
    env: &impl Env,
) -> Result<(), ConfigError> {
    let Some(port) = env.var("PORT").filter(|port| !port.is_empty()) else { return Ok(()) };
    let server = section(table, "server");
    let Some(server) = server.filter(|server| !server.contains_key("listen")) else {
        return Ok(());
    };
    let port: u16 = port.trim().parse().map_err(|_| {
        let why = format!("`{port}` is not a port");
        let hint = "unset it, or say where to listen with --listen (COUNTERSIGN_LISTEN)".to_owned();
        ConfigError { hint: Some(hint), ..document.error(None, Some("PORT".to_owned()), why) }
    })?;
    let value = DeValue::String(format!(":{port}").into());
    server.insert(Spanned::new(NO_SPAN, "listen".into()), Spanned::new(NO_SPAN, value));
    Ok(())
}

type ConfigTable<'a> = Spanned<DeTable<'a>>;

struct ConfigText<'a> {
    text: &'a str,
    file: Option<&'a Path>,
    overrides: &'a RunOverrides,
}

impl ConfigText<'_> {
    fn error(&self, span: Option<Range<usize>>, key: Option<String>, why: String) -> ConfigError {
        let flags = self.overrides.flags();
        let flag = span.as_ref().and_then(|span| {
            let given = |(n, _): &(usize, _)| flag_span(*n) == *span;
            flags.iter().enumerate().find(given).map(|(_, flag)| flag.name.to_owned())
        });
        let in_text = span.filter(|span| span.start <= self.text.len());
        let position = in_text.map(|span| self.position(span.start));
        let file = self.file.map(Path::to_owned);
        ConfigError { file, position, key: flag.or(key), why, hint: None }
    }

    fn position(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }

    /// An error of the TOML parser or of serde, put into words.
    fn toml(&self, error: &toml::de::Error, table: Option<&ConfigTable<'_>>) -> ConfigError {
        let span = error.span();
        let key = table.zip(span.as_ref()).and_then(|(table, span)| {
            let mut key = String::new();
            find_key(table.get_ref(), span.start, &mut key);
            (!key.is_empty()).then_some(key)
        });
        let message = error.message().trim_end();
        let mut words = message.split('`').skip(1).step_by(2);
        if message.starts_with("unknown field") {
            let word = words.next().unwrap_or_default().to_owned();
            let allowed: Vec<&str> = words.collect();
            let named = key.as_deref().is_some_and(|key| key.ends_with(&word));
            let why =
                if named { "unknown key".to_owned() } else { format!("unknown key `{word}`") };
            let mut found = self.error(span, key, why);
            found.hint = Some(match nearest(&word, allowed.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None if allowed.is_empty() => "nothing is allowed here".to_owned(),
                None => format!("allowed here: {}", allowed.join(", ")),
            });
            return found;
        }
        if message.starts_with("unknown variant") {
            let word = words.next().unwrap_or_default().to_owned();
            let invalid = not_one_of(&word, &words.collect::<Vec<_>>());
            return self.error(span, key, String::new()).told(invalid);
        }
        if message.starts_with("missing field") {
            let why = format!("`{}` is missing", words.next().unwrap_or_default());
            return self.error(span, key, why);
        }
        let mut invalid = Invalid::from_message(message);
        let by_type = || type_hint(&invalid.why, key.as_deref().unwrap_or_default());
        invalid.hint = invalid.hint.clone().or_else(by_type);
        invalid.why = without_values(&invalid.why);
        self.error(span, key, String::new()).told(invalid)
    }

    fn fault(&self, fault: SettingFault, table: &ConfigTable<'_>) -> ConfigError {
        let span = span_of(table, &fault.key);
        self.error(span, Some(fault.key), String::new()).told(fault.invalid)
    }
}

/// A hint how to write a value of the wrong TOML type, for known cases.
fn type_hint(message: &str, key: &str) -> Option<String> {
    let name = key.rsplit('.').next().unwrap_or(key);
    if message.starts_with("invalid type: map, expected a sequence") {
        return Some(format!("write `[[{key}]]`: there may be several"));
    }
    let number = message.strip_prefix("invalid type: integer `")?;
    let (number, expected) = number.split_once("`, expected ")?;
    if !expected.starts_with("a string") {
        return None;
    }
    Some(match name {
        "listen" => {
            format!("write `listen = \"127.0.0.1:{number}\"`, or \":{number}\" for every address")
        }
        _ if name.ends_with("age") || name.ends_with("timeout") || name.ends_with("lifetime") => {
            format!("write it with its unit, in quotes: `{name} = \"{number}s\"`")
        }
        _ => format!("write it in quotes: `{name} = \"{number}\"`"),
    })
}

/// Removes string values from a message of serde: they may be expanded secrets.
fn without_values(message: &str) -> String {
    let mut message = message.replace('\n', ", ");
    for number in ["usize", "u32", "u16", "u8"] {
        message = message.replace(&format!("expected {number}"), "expected a whole number");
    }
    match (message.split_once("string \""), message.rsplit_once('"')) {
        (Some((before, _)), Some((_, after))) => format!("{before}a string{after}"),
        _ => message,
    }
}

/// Expands `${VAR}` in every string value, not in keys. It does so after parsing, so that a variable
/// cannot add TOML.
fn expand_strings(
    table: &mut ConfigTable<'_>,
    document: &ConfigText<'_>,
    env: &impl Env,
) -> Result<(), ConfigError> {
    let mut key = Vec::new();
    let span = table.span();
    let mut root = DeValue::Table(std::mem::take(table.get_mut()));
    let done = expand_value(&mut root, &span, &mut key, document, env);
    if let DeValue::Table(filled) = root {
        *table.get_mut() = filled;
    }
    done
}

fn expand_value(
    value: &mut DeValue<'_>,
    span: &Range<usize>,
    key: &mut Vec<String>,
    document: &ConfigText<'_>,
    env: &impl Env,
) -> Result<(), ConfigError> {
    match value {
        DeValue::String(text) if text.contains("${") => match expand(text, env) {
            Ok(expanded) => *text = expanded.into(),
            Err(error) => {
                let mut failed =
                    document.error(Some(span.clone()), Some(key.concat()), error.to_string());
                failed.hint = Some("set it, or write `$${` for a literal `${`".to_owned());
                return Err(failed);
            }
        },
        DeValue::Array(array) => {
            for (i, item) in array.iter_mut().enumerate() {
                let span = item.span();
                key.push(format!("[{i}]"));
                expand_value(item.get_mut(), &span, key, document, env)?;
                key.pop();
            }
        }
        DeValue::Table(table) => {
            for (name, item) in table.iter_mut() {
                let span = item.span();
                let dot = if key.is_empty() { "" } else { "." };
                key.push(format!("{dot}{}", name.get_ref()));
                expand_value(item.get_mut(), &span, key, document, env)?;
                key.pop();
            }
        }
        _ => {}
    }
    Ok(())
}

/// The innermost key whose name or value holds byte `at`.
fn find_key(table: &DeTable<'_>, at: usize, key: &mut String) -> bool {
    for (name, value) in table {
        let before = key.len();
        if !key.is_empty() {
            key.push('.');
        }
        key.push_str(name.get_ref());
        if find_in_value(value, at, key) || name.span().contains(&at) {
            return true;
        }
        key.truncate(before);
    }
    false
}

fn find_in_value(value: &Spanned<DeValue<'_>>, at: usize, key: &mut String) -> bool {
    match value.get_ref() {
        // The span of a `[table]` is its heading. Its keys are outside that span.
        DeValue::Table(table) => find_key(table, at, key) || value.span().contains(&at),
        DeValue::Array(array) => {
            for (i, item) in array.iter().enumerate() {
                let before = key.len();
                key.push_str(&format!("[{i}]"));
                if find_in_value(item, at, key) {
                    return true;
                }
                key.truncate(before);
            }
            value.span().contains(&at)
        }
        _ => value.span().contains(&at),
    }
}

/// The span of `issuer[1].jwks`: of its value, or of the nearest table around it in the file.
fn span_of(table: &ConfigTable<'_>, key: &str) -> Option<Range<usize>> {
    let mut span = None;
    let mut here: Option<&DeTable<'_>> = Some(table.get_ref());
    let mut list = None;
    for part in key.split(['.', '[']) {
        let next = match (part.strip_suffix(']'), list, here) {
            (Some(index), Some(array), _) => {
                let array: &toml::de::DeArray<'_> = array;
                array.get(index.parse::<usize>().ok()?)
            }
            (_, _, Some(table)) => table.get(part),
            _ => None,
        };
        let Some(next) = next else { break };
        span = Some(next.span());
        here = next.get_ref().as_table();
        list = next.get_ref().as_array();
    }
    span
}
