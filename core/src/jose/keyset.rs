//! The keys of one issuer, found by the `kid` of a token.

use std::collections::HashMap;

use super::alg::{Alg, Family};
use super::jwk::PublicJwk;

/// Every usable public signature key of one issuer, whatever any profile publishes.
#[derive(Debug, Clone)]
pub struct KeySet {
    keys: Vec<PublicJwk>,
    /// JSON path each key was read from; shorter than `keys` where a key was not read from JSON.
    paths: Vec<Box<str>>,
    /// The `kid`s as the issuer writes them, unusable ones (empty, too long) included: a token has
    /// the same text.
    by_kid: HashMap<Box<str>, Vec<usize>>,
    /// Keys without a name from the issuer.
    nameless: Vec<usize>,
    rsa_alg: Alg,
}

impl Default for KeySet {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl KeySet {
    /// A set of these keys, each under its `kid`.
    pub fn new(keys: Vec<PublicJwk>) -> Self {
        let entries = keys.into_iter().map(|key| Entry {
            names: key.kid().map(|kid| kid.as_str().into()).into_iter().collect(),
            key,
            path: "".into(),
            order: 0,
        });
        Self::from_entries(entries, Alg::Rs256)
    }

    /// `rsa_alg` is what an RSA key without `alg` is published as.
    pub(super) fn from_entries(entries: impl IntoIterator<Item = Entry>, rsa_alg: Alg) -> Self {
        let mut set = Self {
            keys: Vec::new(),
            paths: Vec::new(),
            by_kid: HashMap::new(),
            nameless: Vec::new(),
            rsa_alg,
        };
        for (i, entry) in entries.into_iter().enumerate() {
            if entry.names.is_empty() {
                set.nameless.push(i);
            }
            for name in entry.names {
                set.by_kid.entry(name).or_default().push(i);
            }
            set.keys.push(entry.key);
            set.paths.push(entry.path);
        }
        set
    }

    /// In the order of the document.
    pub fn keys(&self) -> &[PublicJwk] {
        &self.keys
    }

    /// Whether the issuer gave a key this name. [`KeySet::candidates`] may find keys without it:
    /// those without a name.
    pub fn has_kid(&self, kid: &str) -> bool {
        self.by_kid.contains_key(kid)
    }

    /// The keys that may have made a signature of `alg` under `kid`. For a `kid` that the issuer
    /// does not publish: the keys without any name (a PEM file, a set without `kid`s). For a token
    /// without `kid`: every key that permits `alg`.
    pub fn candidates<'a>(
        &'a self,
        kid: Option<&str>,
        alg: Alg,
    ) -> Box<dyn Iterator<Item = &'a PublicJwk> + 'a> {
        match kid {
            Some(kid) => {
                let hits = self.by_kid.get(kid).unwrap_or(&self.nameless);
                Box::new(hits.iter().map(|&i| &self.keys[i]).filter(move |k| k.permits(alg)))
            }
            None => Box::new(self.keys.iter().filter(move |k| k.permits(alg))),
        }
    }

    /// Whether both hold the same keys under the same names, in the same order.
    pub fn same_keys(&self, other: &Self) -> bool {
        self.keys == other.keys && self.by_kid == other.by_kid
    }

    /// The set followed by `others`, each under its `kid`.
    #[must_use]
    pub fn and(self, others: Vec<PublicJwk>) -> Self {
        let rsa_alg = self.rsa_alg;
        let more = Self::new(others);
        Self::from_entries(self.into_entries().into_iter().chain(more.into_entries()), rsa_alg)
    }

    /// The set without the keys in `gone`.
    #[must_use]
    pub fn without(&self, gone: impl Fn(&PublicJwk) -> bool) -> Self {
        let entries = self.clone().into_entries().into_iter().filter(|entry| !gone(&entry.key));
        Self::from_entries(entries, self.rsa_alg)
    }

    /// The set as a document that reads back as the same set: the issuer's names and missing
    /// `alg`s, public members only.
    pub fn to_document(&self) -> String {
        let mut out = String::from(r#"{"keys":["#);
        for (i, entry) in self.clone().into_entries().iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            entry.key.write_kept(entry.names.first().map(|name| &**name), &mut out);
        }
        out.push_str("]}");
        out
    }

    fn into_entries(self) -> Vec<Entry> {
        let mut names: Vec<Vec<Box<str>>> = vec![Vec::new(); self.keys.len()];
        for (name, keys) in self.by_kid {
            for i in keys {
                names[i].push(name.clone());
            }
        }
        let mut paths = self.paths.into_iter();
        let entry =
            |(key, names)| Entry { key, path: paths.next().unwrap_or_default(), names, order: 0 };
        self.keys.into_iter().zip(names).map(entry).collect()
    }

    /// The `alg` a key of this set is published with.
    pub fn published_alg(&self, key: &PublicJwk) -> Option<Alg> {
        match (key.alg(), key.family()) {
            (None, Family::Rsa) => Some(self.rsa_alg),
            _ => key.published_alg(),
        }
    }

    /// Each key with the JSON path it was read from.
    pub fn with_paths(&self) -> impl Iterator<Item = (&PublicJwk, &str)> {
        self.keys.iter().zip(self.paths.iter().map(|path| &**path))
    }
}

/// A key read from a document.
pub(super) struct Entry {
    pub(super) key: PublicJwk,
    pub(super) path: Box<str>,
    /// Its position in the document.
    pub(super) order: usize,
    /// Every name that a token may use for it.
    pub(super) names: Vec<Box<str>>,
}
