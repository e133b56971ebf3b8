//! The place of a value in the configuration, for its error.

use super::super::error::{Checked, SettingFault};
use crate::jose::alg::{Alg, AlgSet};
use crate::setting::{Invalid, Secret, not_one_of};

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

    pub(super) fn fault(&self, why: impl std::fmt::Display) -> SettingFault {
        self.invalid(Invalid::new(why))
    }

    pub(super) fn invalid(&self, invalid: Invalid) -> SettingFault {
        SettingFault { key: self.0.clone(), invalid }
    }

    pub(super) fn between(&self, key: &str, n: usize, low: usize, high: usize) -> Checked<()> {
        self.key(key)
            .fault(format_args!("{n} is not between {low} and {high}"))
            .when(!(low..=high).contains(&n))
    }

    pub(super) fn header_line(&self, name: &str, value: &Secret) -> Checked<()> {
        let valid = http::HeaderName::try_from(name).is_ok()
            && http::HeaderValue::try_from(value.expose()).is_ok();
        self.fault("invalid header line").when(!valid)
    }

    /// The fault for a word that is not in `allowed`.
    pub(super) fn choice(&self, word: &str, allowed: &[&str]) -> SettingFault {
        self.invalid(not_one_of(word, allowed))
    }

    /// Parses a value with the parser of its newtype.
    pub(super) fn name<T, E: std::fmt::Display>(
        &self,
        text: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Checked<T> {
        parse(text).map_err(|why| self.fault(why))
    }

    pub(super) fn not_empty(&self, names: &[String]) -> Checked<()> {
        self.fault("a name is empty").when(names.iter().any(String::is_empty))
    }

    /// Algorithm names; never `none`.
    pub(super) fn algs(&self, names: &[String]) -> Checked<AlgSet> {
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
        self.fault("the list is empty")
            .hint("leave the key out for the default")
            .when(algs.is_empty())?;
        Ok(algs.into_iter().collect())
    }
}
