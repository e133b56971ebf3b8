//! Counts and limits client connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Connections open now, and the limit.
#[derive(Debug)]
pub struct Connections {
    open: AtomicUsize,
    most: usize,
}

impl Connections {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), most })
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    pub(super) fn enter(self: &Arc<Self>) -> Option<Entered> {
        if self.open.fetch_add(1, Ordering::AcqRel) >= self.most {
            self.open.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Entered(self.clone()))
    }
}

/// Counts one connection until it is dropped.
pub(super) struct Entered(Arc<Connections>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_connections_is_bounded_and_comes_back() {
        let connections = Connections::new(1);
        let first = connections.enter().unwrap();
        assert!(connections.enter().is_none());
        assert_eq!(connections.open(), 1);
        drop(first);
        assert_eq!(connections.open(), 0);
    }
}
