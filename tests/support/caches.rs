//! Measurements of how verifiers cache key sets.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::recipe::file;

const KEPT: &str = "tests/verifiers/caches.json";
const LOST: &str = "tests/verifiers/lost.json";

/// The content of `name`, a file of the repository; the default value where it is missing.
pub fn read<T: DeserializeOwned + Default>(name: &str) -> T {
    let text = std::fs::read_to_string(file(name));
    text.map_or_else(|_| T::default(), |text| serde_json::from_str(&text).unwrap())
}

pub fn write(name: &str, kept: &impl Serialize) {
    let text = serde_json::to_string_pretty(kept).unwrap();
    std::fs::write(file(name), text + "\n").unwrap();
}

/// Times in seconds, each a step of the measurement. `None` means not within a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Whether the verifier reads the set once for two tokens of one key.
    pub keeps: bool,
    /// How long until a token of a new key, one not in the cached set, is accepted. `learns_again`
    /// is the same for a second new key right after.
    pub learns: Option<u64>,
    pub learns_again: Option<u64>,
    /// How long until a token of a removed key is no longer accepted.
    pub forgets: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caches {
    pub of: BTreeMap<String, Cache>,
}

impl Caches {
    pub fn read() -> Self {
        read(KEPT)
    }

    pub fn write(&self) {
        write(KEPT, self);
    }
}

/// Verifier → the kinds of key that make it refuse the whole set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    pub of: BTreeMap<String, Vec<String>>,
}

impl Lost {
    pub fn read() -> Self {
        read(LOST)
    }

    pub fn write(&self) {
        write(LOST, self);
    }
}
