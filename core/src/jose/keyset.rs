//! The keys of one issuer, found by the `kid` of a token.

use std::collections::HashMap;

use super::alg::Alg;
use super::jwk::PublicJwk;

/// Every usable public signature key of one issuer, also those that no profile publishes.
#[derive(Debug, Clone)]
pub struct KeySet {
    keys: Vec<PublicJwk>,
    /// Of each key, in the same order.
    sources: Vec<KeySource>,
    /// The `kid`s as the issuer writes them, unusable ones (empty, too long) included: a token has
    /// the same text.
    by_kid: HashMap<Box<str>, Vec<usize>>,
    /// Keys without a name from the issuer.
    nameless: Vec<usize>,
    rsa_alg: Alg,
}

/// A key read from a document.
pub(super) struct ReadKey {
    pub(super) key: PublicJwk,
    pub(super) source: KeySource,
}

/// Where a key was read, and what the issuer calls it.
#[derive(Debug, Clone)]
pub(super) struct KeySource {
    /// JSON path; empty where the key was not read from JSON.
    pub(super) path: Box<str>,
    /// Every name that a token may use for the key. The first is its `kid`, if it has one.
    pub(super) names: Vec<Box<str>>,
}

impl Default for KeySet {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl KeySet {
    /// A set of these keys, each under its `kid`.
    pub fn new(keys: Vec<PublicJwk>) -> Self {
        Self::from_entries(keys.into_iter().map(ReadKey::named_by_kid), Alg::Rs256)
    }

    /// `rsa_alg` is what an RSA key without `alg` is published as.
    pub(super) fn from_entries(entries: impl IntoIterator<Item = ReadKey>, rsa_alg: Alg) -> Self {
        let (keys, sources): (_, Vec<_>) =
            entries.into_iter().map(|entry| (entry.key, entry.source)).unzip();
        let mut by_kid: HashMap<_, Vec<_>> = HashMap::new();
        for (i, source) in sources.iter().enumerate() {
            for name in &source.names {
                by_kid.entry(name.clone()).or_default().push(i);
            }
        }
        let nameless = (0..sources.len()).filter(|i| sources[*i].names.is_empty()).collect();
        Self { keys, sources, by_kid, nameless, rsa_alg }
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
    pub fn and(&self, others: Vec<PublicJwk>) -> Self {
        let others = others.into_iter().map(ReadKey::named_by_kid);
        Self::from_entries(self.entries().chain(others), self.rsa_alg)
    }

    /// The set without the keys in `gone`.
    #[must_use]
    pub fn without(&self, gone: impl Fn(&PublicJwk) -> bool) -> Self {
        Self::from_entries(self.entries().filter(|entry| !gone(&entry.key)), self.rsa_alg)
    }

    /// The set as a document that reads back as the same set: the issuer's names and missing
    /// `alg`s, public members only. Of several names of a key, the first is kept.
    pub fn to_document(&self) -> String {
        let stored = |(key, source): (&PublicJwk, &KeySource)| {
            key.to_stored_json(source.names.first().map(|name| &**name))
        };
        let keys: Vec<_> = self.keys.iter().zip(&self.sources).map(stored).collect();
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    }

    fn entries(&self) -> impl Iterator<Item = ReadKey> {
        let entry = |(key, source): (&PublicJwk, &KeySource)| ReadKey {
            key: key.clone(),
            source: source.clone(),
        };
        self.keys.iter().zip(&self.sources).map(entry)
    }

    /// The `alg` a key of this set is published with.
    pub fn published_alg(&self, key: &PublicJwk) -> Option<Alg> {
        key.alg_or_default(self.rsa_alg)
    }

    /// Each key with the JSON path it was read from.
    pub fn with_paths(&self) -> impl Iterator<Item = (&PublicJwk, &str)> {
        self.keys.iter().zip(self.sources.iter().map(|source| &*source.path))
    }
}

impl ReadKey {
    /// A key that no document names differently.
    fn named_by_kid(key: PublicJwk) -> Self {
        let names = key.kid().map(|kid| kid.as_str().into()).into_iter().collect();
        Self { key, source: KeySource { path: "".into(), names } }
    }
}

#[cfg(test)]
mod tests {
    use super::super::jwks::{Options, normalize};

    /// The names in the map are lost, but the `kid` must not be one of them.
    #[test]
    fn a_stored_key_keeps_its_kid() {
        let read =
            |document: String| normalize(document.as_bytes(), &Options::default()).unwrap().keys;
        let entry = |i: u8| {
            format!(
                r#""map-{i}":{{"kty":"OKP","crv":"Ed25519","kid":"own-{i}",
                "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#
            )
        };
        let entries: Vec<_> = (0..16).map(entry).collect();
        let set = read(format!(r#"{{"keys":{{{}}}}}"#, entries.join(",")));
        let stored = read(set.to_document());
        for i in 0..16 {
            assert!(set.has_kid(&format!("map-{i}")) && set.has_kid(&format!("own-{i}")));
            assert!(stored.has_kid(&format!("own-{i}")), "{i}");
        }
    }
}
