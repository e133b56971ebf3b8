//! What verifiers were measured to keep of a key set.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::recipe::file;

const KEPT: &str = "tests/verifiers/caches.json";
const LOST: &str = "tests/verifiers/lost.json";

/// What is kept in `name`, a file of the repository; nothing where there is none.
pub fn read<T: DeserializeOwned + Default>(name: &str) -> T {
    let text = std::fs::read_to_string(file(name));
    text.map_or_else(|_| T::default(), |text| serde_json::from_str(&text).unwrap())
}

pub fn write(name: &str, kept: &impl Serialize) {
    let text = serde_json::to_string_pretty(kept).unwrap();
    std::fs::write(file(name), text + "\n").unwrap();
}

/// Times in seconds, one of the steps of the measurement; none: not within a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Two tokens of one key, one reading of the set.
    pub keeps: bool,
    /// A token of a key that was not in the set it has is taken, this much later; once more, at once after.
    pub learns: Option<u64>,
    pub learns_again: Option<u64>,
    /// A token of a key that left the set is no longer taken, this much later.
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

/// Verifier → the kinds of key for which it loses a set.
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
