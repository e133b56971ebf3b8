//! Shapes that the status types of several modules share. Each module has one status type,
//! serialised once: `/api/status`, the page, `/metrics` and `/readyz` read the same.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeSeq as _, Serializer};

/// A fault: the current one, or the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub code: &'static str,
    pub text: String,
    /// Seconds since 1970.
    pub at: i64,
}

/// Counts by the name of the outcome.
pub type Counts = BTreeMap<&'static str, u64>;

/// [`Counts`] as `[{"outcome": "ok", "count": 1}]`; for serde's `serialize_with`.
///
/// # Errors
/// The serializer's own.
pub fn counts<S: Serializer>(counts: &Counts, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct CountRow {
        outcome: &'static str,
        count: u64,
    }
    let mut list = to.serialize_seq(Some(counts.len()))?;
    for (outcome, count) in counts {
        list.serialize_element(&CountRow { outcome, count: *count })?;
    }
    list.end()
}

/// A fault that is present or not, for modules whose status has one.
#[derive(Debug, Default)]
pub struct Lasting(parking_lot::Mutex<Option<Fault>>);

impl Lasting {
    /// True if it is new and should be logged.
    pub fn set(&self, fault: Fault) -> bool {
        let mut held = self.0.lock();
        let new = held.as_ref().is_none_or(|old| old.code != fault.code);
        *held = Some(fault);
        new
    }

    pub fn clear(&self) {
        *self.0.lock() = None;
    }

    pub fn get(&self) -> Option<Fault> {
        self.0.lock().clone()
    }
}
