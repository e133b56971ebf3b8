//! Key sets: a document in, every usable public signature key out, and a report of what was done.

use std::collections::HashMap;

use super::alg::Alg;
use super::fault::DocumentRefusal;
use super::jwk::PublicJwk;
use super::names::{Kid, Limits};

/// Every usable public signature key of one issuer, whatever any profile publishes.
#[derive(Debug, Default, Clone)]
pub struct KeySet {
    keys: Vec<PublicJwk>,
    by_kid: HashMap<Kid, Vec<usize>>,
}

impl KeySet {
    pub fn new(keys: Vec<PublicJwk>) -> Self {
        let mut by_kid: HashMap<Kid, Vec<usize>> = HashMap::new();
        for (i, key) in keys.iter().enumerate() {
            if let Some(kid) = key.kid() {
                by_kid.entry(kid.clone()).or_default().push(i);
            }
        }
        Self { keys, by_kid }
    }

    pub fn keys(&self) -> &[PublicJwk] {
        &self.keys
    }

    pub fn has_kid(&self, kid: &str) -> bool {
        self.by_kid.contains_key(kid)
    }

    /// The keys that may have made a signature of `alg` under `kid`; every key that permits `alg`
    /// when the token names none.
    pub fn candidates<'a>(
        &'a self,
        kid: Option<&str>,
        alg: Alg,
    ) -> Box<dyn Iterator<Item = &'a PublicJwk> + 'a> {
        match kid {
            Some(kid) => {
                let hits = self.by_kid.get(kid).map(Vec::as_slice).unwrap_or_default();
                Box::new(hits.iter().map(|&i| &self.keys[i]).filter(move |k| k.permits(alg)))
            }
            None => Box::new(self.keys.iter().filter(move |k| k.permits(alg))),
        }
    }
}

/// A document read: the keys and what was done to get them.
#[derive(Debug)]
pub struct Normalized {
    pub keys: KeySet,
    pub report: Report,
}

/// What was changed and why, one entry a change; no secret ever stands in it.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    pub changes: Vec<Change>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// JSON path in the upstream document, `$.keys[2].n`.
    pub path: String,
    /// Stable code.
    pub code: &'static str,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// Reads a key set document of any known shape.
///
/// # Errors
/// [`DocumentRefusal`] when the document as a whole has no single reading.
pub fn normalize(_document: &[u8], _limits: &Limits) -> Result<Normalized, DocumentRefusal> {
    Err(DocumentRefusal::Empty)
}
