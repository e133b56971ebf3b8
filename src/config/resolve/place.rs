//! Where in the configuration a value is written, so that its error can say so.

use std::time::Duration;

use url::Url;

use super::super::error::{Checked, Fault};
use super::super::value;
use crate::jose::alg::{Alg, AlgSet};

/// A key, `issuer[1].refresh`.
#[derive(Debug, Clone)]
pub(super) struct At(String);

impl At {
    pub(super) fn root(key: &str) -> Self {
        Self(key.to_owned())
    }

    pub(super) fn key(&self, key: &str) -> Self {
        Self(format!("{}.{key}", self.0))
    }

    pub(super) fn index(&self, i: usize) -> Self {
        Self(format!("{}[{i}]", self.0))
    }

    pub(super) fn fault(&self, why: impl std::fmt::Display) -> Fault {
        Fault::new(self.0.clone(), why)
    }

    pub(super) fn duration(&self, key: &str, text: Option<&str>) -> Checked<Option<Duration>> {
        text.map(|text| value::duration(text).map_err(|why| self.key(key).fault(why))).transpose()
    }

    pub(super) fn size(&self, key: &str, text: Option<&str>) -> Checked<Option<usize>> {
        text.map(|text| value::size(text).map_err(|why| self.key(key).fault(why))).transpose()
    }

    pub(super) fn between(&self, key: &str, n: usize, low: usize, high: usize) -> Checked<()> {
        if (low..=high).contains(&n) {
            return Ok(());
        }
        Err(self.key(key).fault(format_args!("{n} is not between {low} and {high}")))
    }

    /// A word that is none of `allowed`.
    pub(super) fn choice(&self, word: &str, allowed: &[&str]) -> Fault {
        choice(self.0.clone(), word, allowed)
    }

    /// A name that must not be empty, over a newtype's parser.
    pub(super) fn name<T, E: std::fmt::Display>(
        &self,
        text: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Checked<T> {
        parse(text).map_err(|why| self.fault(why))
    }

    /// An `http` or `https` URL without credentials and fragment.
    pub(super) fn url(&self, text: &str) -> Checked<Url> {
        let hint = "write it like `https://auth.example.com`";
        let url = Url::parse(text).map_err(|why| match why {
            url::ParseError::RelativeUrlWithoutBase => self.fault("is no absolute URL").hint(hint),
            why => self.fault(why).hint(hint),
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(self
                .fault(format_args!("`{}:` is neither `http:` nor `https:`", url.scheme()))
                .hint(hint));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(self.fault("a URL must not carry a user name or password"));
        }
        if url.fragment().is_some() {
            return Err(self.fault("a URL must not carry a fragment (`#…`)"));
        }
        Ok(url)
    }

    /// Algorithm names; never `none`.
    pub(super) fn algs<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Checked<AlgSet> {
        let mut algs = Vec::new();
        for name in names {
            match Alg::from_name(name) {
                Some(alg) => algs.push(alg),
                None if name.eq_ignore_ascii_case("none") => {
                    return Err(self
                        .fault("`none` means unsigned tokens, which are never accepted")
                        .hint("list the algorithms the issuer really signs with"));
                }
                None => {
                    let known: Vec<&str> = Alg::all().map(Alg::name).collect();
                    return Err(self.choice(name, &known));
                }
            }
        }
        if algs.is_empty() {
            return Err(self.fault("the list is empty").hint("leave the key out for the default"));
        }
        Ok(algs.into_iter().collect())
    }
}

fn choice(key: String, word: &str, allowed: &[&str]) -> Fault {
    let list = allowed.iter().map(|a| format!("`{a}`")).collect::<Vec<_>>().join(", ");
    let fault = Fault::new(key, format_args!("`{word}` is not one of {list}"));
    match value::nearest(word, allowed.iter().copied()) {
        Some(meant) => fault.hint(format_args!("did you mean `{meant}`?")),
        None => fault,
    }
}

/// A value that a flag (or its environment variable) gives, or else the file.
pub(super) struct Given<'a> {
    text: Option<&'a str>,
    key: String,
}

impl<'a> Given<'a> {
    pub(super) fn of(
        flag: &'a Option<String>,
        flag_name: &str,
        file: &'a Option<String>,
        at: &At,
    ) -> Self {
        match flag {
            Some(text) => Self { text: Some(text), key: flag_name.to_owned() },
            None => Self { text: file.as_deref(), key: at.0.clone() },
        }
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.text
    }

    pub(super) fn at(&self) -> At {
        At(self.key.clone())
    }

    pub(super) fn fault(&self, why: impl std::fmt::Display) -> Fault {
        Fault::new(self.key.clone(), why)
    }

    pub(super) fn choice(&self, word: &str, allowed: &[&str]) -> Fault {
        choice(self.key.clone(), word, allowed)
    }
}
