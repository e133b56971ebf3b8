//! Makes a [`Config`] of a file, flags and the environment, and gives errors their line and column.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Config;
use super::error::ConfigError;
use super::overrides::RunOverrides;
use super::raw::RawConfig;
use super::resolve;
use crate::env::{self, Env, ExpandError};
use crate::setting::{Invalid, nearest, not_one_of};

/// Read from the working directory if no file is named.
const DEFAULT_FILE: &str = "countersign.toml";

/// The configuration file of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// `None`: no file was named, and there is none in the working directory.
    pub path: Option<PathBuf>,
    named: bool,
}

impl Found {
    /// Names a file that was found in the working directory, so that the source of a setting is clear.
    pub fn note(&self) -> Option<String> {
        let path = self.path.as_ref().filter(|_| !self.named)?;
        Some(format!("configuration: {}, found in this folder", path.display()))
    }
}

/// The file that was named (by a flag or its variable), else the one in the working directory.
pub fn find(named: Option<&Path>) -> Found {
    let named = named.filter(|path| !path.as_os_str().is_empty());
    let default = Some(Path::new(DEFAULT_FILE)).filter(|path| path.is_file());
    Found { path: named.or(default).map(Path::to_owned), named: named.is_some() }
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
        let invalid = Invalid::new(error).hint("`countersign init --upstream URL` writes one");
        ConfigError::new(file, None, None, invalid)
    })?;
    load_text(&text, file, overrides, env)
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
    let expanded = table.get_mut().iter_mut().try_for_each(|(_, value)| expand(value, env));
    expanded.map_err(|(span, error)| {
        let key = key_at(table.get_ref(), span.start);
        let hint = "set it, or write `$${` for a literal `${`";
        document.error(Some(span), key, Invalid::new(error).hint(hint))
    })?;
    put_flags(table.get_mut(), overrides);
    put_port(table.get_mut(), &document, env)?;
    let raw = RawConfig::deserialize(toml::Deserializer::from(table.clone()))
        .map_err(|error| document.toml(&error, Some(table.get_ref())))?;
    let base = file.and_then(Path::parent).unwrap_or(Path::new(""));
    resolve::config(raw, overrides, base, env).map_err(|fault| {
        let span = span_of(table.get_ref(), &fault.key);
        document.error(span, Some(fault.key), fault.invalid)
    })
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
            let value = DeValue::String(value.to_owned().into());
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
        let invalid = Invalid::new(format_args!("`{port}` is not a port"))
            .hint("unset it, or say where to listen with --listen (COUNTERSIGN_LISTEN)");
        document.error(None, Some("PORT".to_owned()), invalid)
    })?;
    let value = DeValue::String(format!(":{port}").into());
    server.insert(Spanned::new(NO_SPAN, "listen".into()), Spanned::new(NO_SPAN, value));
    Ok(())
}

struct ConfigText<'a> {
    text: &'a str,
    file: Option<&'a Path>,
    overrides: &'a RunOverrides,
}

impl ConfigText<'_> {
    fn error(
        &self,
        span: Option<Range<usize>>,
        key: Option<String>,
        invalid: Invalid,
    ) -> ConfigError {
        let flags = self.overrides.flags();
        let flag = flags.iter().enumerate().find(|(n, _)| span == Some(flag_span(*n)));
        let key = flag.map(|(_, flag)| flag.name.to_owned()).or(key);
        let in_text = span.filter(|span| span.start <= self.text.len());
        let position = in_text.map(|span| self.position(span.start));
        ConfigError::new(self.file, position, key, invalid)
    }

    fn position(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }

    /// An error of the TOML parser or of serde, put into words.
    fn toml(&self, error: &toml::de::Error, table: Option<&DeTable<'_>>) -> ConfigError {
        let span = error.span();
        let key = table.zip(span.as_ref()).and_then(|(table, span)| key_at(table, span.start));
        let invalid = in_words(error.message().trim_end(), key.as_deref().unwrap_or_default());
        self.error(span, key, invalid)
    }
}

/// A message of serde about `key`, in our own words.
fn in_words(message: &str, key: &str) -> Invalid {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") {
        let word = quoted.next().unwrap_or_default();
        let allowed: Vec<&str> = quoted.collect();
        let invalid = match key.ends_with(word) {
            true => Invalid::new("unknown key"),
            false => Invalid::new(format_args!("unknown key `{word}`")),
        };
        return match nearest(word, allowed.iter().copied()) {
            Some(meant) => invalid.hint(format_args!("did you mean `{meant}`?")),
            None if allowed.is_empty() => invalid.hint("nothing is allowed here"),
            None => invalid.hint(format_args!("allowed here: {}", allowed.join(", "))),
        };
    }
    if message.starts_with("unknown variant") {
        let word = quoted.next().unwrap_or_default();
        return not_one_of(word, &quoted.collect::<Vec<_>>());
    }
    if message.starts_with("missing field") {
        let field = quoted.next().unwrap_or_default();
        return Invalid::new(format_args!("`{field}` is missing"));
    }
    let Invalid { why, hint, meant } = Invalid::from_message(message);
    let hint = hint.or_else(|| type_hint(&why, key));
    Invalid { why: without_values(&why), hint, meant }
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
fn expand(
    value: &mut Spanned<DeValue<'_>>,
    env: &impl Env,
) -> Result<(), (Range<usize>, ExpandError)> {
    let span = value.span();
    match value.get_mut() {
        DeValue::String(text) if text.contains("${") => {
            *text = env::expand(text, env).map_err(|error| (span, error))?.into();
            Ok(())
        }
        DeValue::Array(array) => array.iter_mut().try_for_each(|item| expand(item, env)),
        DeValue::Table(table) => table.iter_mut().try_for_each(|(_, item)| expand(item, env)),
        _ => Ok(()),
    }
}

/// A value of the file: its key, and where its name and the value itself stand.
struct Place {
    key: String,
    name: Range<usize>,
    value: Range<usize>,
}

/// Every value of `table`, each before the values inside it.
fn places(table: &DeTable<'_>) -> Vec<Place> {
    let mut places = Vec::new();
    add_table("", table, &mut places);
    places
}

fn add_table(above: &str, table: &DeTable<'_>, places: &mut Vec<Place>) {
    for (name, value) in table {
        let dot = if above.is_empty() { "" } else { "." };
        let key = format!("{above}{dot}{}", name.get_ref());
        add_value(&key, name.span(), value, places);
    }
}

fn add_value(key: &str, name: Range<usize>, value: &Spanned<DeValue<'_>>, places: &mut Vec<Place>) {
    places.push(Place { key: key.to_owned(), name, value: value.span() });
    match value.get_ref() {
        DeValue::Table(table) => add_table(key, table, places),
        DeValue::Array(array) => {
            for (i, item) in array.iter().enumerate() {
                add_value(&format!("{key}[{i}]"), item.span(), item, places);
            }
        }
        _ => {}
    }
}

/// The innermost key whose name or value holds byte `at`. (The span of a `[table]` is its heading, without
/// its keys.)
fn key_at(table: &DeTable<'_>, at: usize) -> Option<String> {
    let holds = |place: &Place| place.name.contains(&at) || place.value.contains(&at);
    places(table).into_iter().rev().find(holds).map(|place| place.key)
}

/// The span of `issuer[1].jwks`: of its value, or of the nearest table around it in the file.
fn span_of(table: &DeTable<'_>, key: &str) -> Option<Range<usize>> {
    let holds = |place: &Place| {
        let rest = key.strip_prefix(&place.key);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    places(table).into_iter().rev().find(holds).map(|place| place.value)
}
