//! Shapes that the status types of several rooms share. Each room has one status type, serialised
//! once: `/api/status`, the page, `/metrics` and `/readyz` read the same.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeSeq as _, Serializer};

/// A fault: the one that lasts, or the last one there was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub code: &'static str,
    pub text: String,
    /// Seconds since 1970.
    pub at: i64,
}

/// How often each outcome came, by its name.
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

/// A fault that is there or not; for parts whose status has room for one.
#[derive(Debug, Default)]
pub struct Lasting(parking_lot::Mutex<Option<Fault>>);

impl Lasting {
    /// True: it is new, so the log hears of it.
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
