//! One memory budget for all request and answer bodies that are held whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::answer::Failure;

/// A share up to this size may use the whole budget: a login's form and its answer. Larger shares
/// leave a quarter free, so that a few clients with large bodies do not stop every login.
const SMALL_SHARE: usize = 32 * 1024;

/// Bytes of bodies held now, and the limit.
#[derive(Debug)]
pub struct BodyMemory {
    held: AtomicUsize,
    limit: usize,
}

impl BodyMemory {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { held: AtomicUsize::new(0), limit })
    }

    /// The smallest budget in which a request of `bytes` fits.
    pub fn least(bytes: usize) -> usize {
        if bytes > SMALL_SHARE { bytes.div_ceil(3).saturating_mul(4) } else { bytes }
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
        let BodyMemory { held, limit } = &*self.memory;
        let small = self.bytes.saturating_add(bytes) <= SMALL_SHARE;
        let limit = if small { *limit } else { limit - limit / 4 };
        let fits = |held: usize| held.checked_add(bytes).filter(|held| *held <= limit);
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

    #[test]
    fn large_shares_leave_room_for_small_ones() {
        let memory = BodyMemory::new(8 * SMALL_SHARE);
        let mut large = memory.share();
        large.take(6 * SMALL_SHARE).unwrap();
        assert_eq!(memory.share().take(SMALL_SHARE + 1), Err(Failure::BodyMemory));
        let (mut one, mut two) = (memory.share(), memory.share());
        one.take(SMALL_SHARE).unwrap();
        assert_eq!(one.take(1), Err(Failure::BodyMemory));
        two.take(SMALL_SHARE).unwrap();
        assert_eq!(memory.share().take(1), Err(Failure::BodyMemory));
        for bytes in [SMALL_SHARE, SMALL_SHARE + 1, 10 * SMALL_SHARE] {
            assert_eq!(BodyMemory::new(BodyMemory::least(bytes)).share().take(bytes), Ok(()));
        }
    }
}
