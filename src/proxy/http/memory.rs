//! One memory budget for all request and answer bodies that are held whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::answer::Failure;

/// Bytes of bodies held now, and the limit.
#[derive(Debug)]
pub struct BodyMemory {
    held: AtomicUsize,
    most: usize,
}

impl BodyMemory {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { held: AtomicUsize::new(0), most })
    }

    pub fn held(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }

    /// A share of the budget for one request, empty at first.
    pub fn share(self: &Arc<Self>) -> Share {
        Share { memory: self.clone(), bytes: 0 }
    }
}

/// The memory that one request holds. Dropping it returns the bytes.
#[derive(Debug)]
pub struct Share {
    memory: Arc<BodyMemory>,
    bytes: usize,
}

impl Share {
    /// Adds `bytes` to the share.
    ///
    /// # Errors
    /// [`Failure::BodyMemory`] when the budget is used up.
    pub fn take(&mut self, bytes: usize) -> Result<(), Failure> {
        let BodyMemory { held, most } = &*self.memory;
        let fits = |held: usize| held.checked_add(bytes).filter(|held| held <= most);
        held.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits)
            .map_err(|_| Failure::BodyMemory)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_bounded_together_and_come_back() {
        let memory = BodyMemory::new(10);
        let (mut one, mut two) = (memory.share(), memory.share());
        one.take(6).unwrap();
        assert_eq!(two.take(5), Err(Failure::BodyMemory));
        two.take(4).unwrap();
        assert_eq!(one.take(usize::MAX), Err(Failure::BodyMemory));
        assert_eq!(memory.held(), 10);
        drop(one);
        assert_eq!(memory.held(), 4);
    }
}
