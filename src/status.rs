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

/// A fault that is present or not; for modules with room for one in their status.
#[derive(Debug, Default)]
pub struct Lasting(std::sync::Mutex<Option<Fault>>);

impl Lasting {
    /// True if it is new, so that it is logged.
    pub fn set(&self, fault: Fault) -> bool {
        let mut held = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let new = held.as_ref().is_none_or(|old| old.code != fault.code);
        *held = Some(fault);
        new
    }

    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }

    pub fn get(&self) -> Option<Fault> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}
