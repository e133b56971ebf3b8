//! What verifiers were measured to keep of a key set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::recipe::file;

const KEPT: &str = "tests/verifiers/caches.json";
const LOST: &str = "tests/verifiers/lost.json";

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
        let text = std::fs::read_to_string(file(KEPT));
        text.map_or_else(|_| Self::default(), |text| serde_json::from_str(&text).unwrap())
    }

    pub fn write(&self) {
        let text = serde_json::to_string_pretty(self).unwrap();
        std::fs::write(file(KEPT), text + "\n").unwrap();
    }
}

/// Verifier → the kinds of key for which it loses a set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    pub of: BTreeMap<String, Vec<String>>,
}

impl Lost {
    pub fn read() -> Self {
        let text = std::fs::read_to_string(file(LOST));
        text.map_or_else(|_| Self::default(), |text| serde_json::from_str(&text).unwrap())
    }

    pub fn write(&self) {
        let text = serde_json::to_string_pretty(self).unwrap();
        std::fs::write(file(LOST), text + "\n").unwrap();
    }
}
