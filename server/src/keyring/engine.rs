//! Changes to a stored ring: load, edit, compare-and-set; again if another process was faster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ring::{RingKey, RingState};
use super::store::{Store, StoreError};
use super::{KeyringError, admit};
use crate::clock::Clock;
use crate::jose::alg::Alg;
use crate::jose::names::{Kid, UnixTime};
use crate::jose::sign::SigningKey;
use crate::rotation::{self, KeyState, Rules, Transition};

/// How often a change is tried, if other processes keep being faster.
pub(super) const TRIES: u32 = 16;

/// A store with the rules that govern its ring.
pub(super) struct Engine {
    pub(super) algorithm: Alg,
    pub(super) rules: Rules,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    /// This process made the first key.
    pub(super) made: AtomicBool,
}

impl Engine {
    pub(super) fn new(algorithm: Alg, rules: Rules, store: Arc<dyn Store>, clock: Clock) -> Self {
        Self { algorithm, rules, store, clock, made: AtomicBool::new(false) }
    }

    /// Does everything that is due, and returns the stored ring. `memory` is the ring that this process
    /// serves; if the store has lost keys of it, they are put back.
    ///
    /// # Errors
    /// [`KeyringError`]. `memory` then stays valid.
    pub(super) async fn reconcile(
        &self,
        memory: &Arc<RingState>,
    ) -> Result<RingState, KeyringError> {
        let mut fresh: Option<Arc<SigningKey>> = None;
        for _ in 0..TRIES {
            let (stored, expected) = self.load(memory).await?;
            let now = self.clock.now();
            let mut ring = stored.clone();
            let caught_up = ring.catch_up(memory, now);
            let slower = ring.serve_with(&self.rules, now);
            let due = self.due(&ring, now);
            let refill = expected != stored.epoch;
            if due.is_empty() && !caught_up && !slower && !refill {
                return Ok(stored);
            }
            let first = due.contains(&Transition::First);
            let needs_key = first || due.contains(&Transition::Create);
            if needs_key && fresh.is_none() {
                // Make the key first, so that no slow work lies between load and replace.
                fresh = Some(make(self.algorithm).await?);
                continue;
            }
            let ring = Arc::new(ring.apply(&due, &self.rules, now, fresh.as_ref()));
            if self.store.replace(expected, Arc::clone(&ring)).await? {
                if first && let Some(key) = &fresh {
                    let (kid, store) = (key.kid(), self.store.describe());
                    self.made.store(true, Ordering::Relaxed);
                    tracing::info!(%kid, store, "the first signing key was made");
                }
                return Ok(Arc::unwrap_or_clone(ring));
            }
        }
        Err(KeyringError::Contended)
    }

    fn due(&self, ring: &RingState, now: UnixTime) -> Vec<Transition> {
        let mut due = rotation::due(&ring.times(), &self.rules, ring.asked, now);
        if !self.store.rotates() {
            // Keys come from outside: only those that are there change their state.
            due.retain(|t| matches!(t, Transition::Promote(_) | Transition::Remove(_)));
        }
        due
    }

    /// Edits the stored ring. `edit` returns `None` if there is nothing to do.
    pub(super) async fn change(
        &self,
        memory: &Arc<RingState>,
        edit: impl Fn(&RingState, UnixTime) -> Option<RingState> + Send + Sync,
    ) -> Result<RingState, KeyringError> {
        for _ in 0..TRIES {
            let (stored, expected) = self.load(memory).await?;
            let Some(ring) = edit(&stored, self.clock.now()) else { return Ok(stored) };
            let ring = Arc::new(ring);
            if self.store.replace(expected, Arc::clone(&ring)).await? {
                return Ok(Arc::unwrap_or_clone(ring));
            }
        }
        Err(KeyringError::Contended)
    }

    /// The stored ring and its stored epoch. A store that was lost, or was reset to an older state, is
    /// corrected from memory: this process has already served those keys.
    async fn load(&self, memory: &Arc<RingState>) -> Result<(RingState, u64), StoreError> {
        let there = self.store.load(Some(Arc::clone(memory))).await?;
        let epoch = there.as_ref().map_or(0, |ring| ring.epoch);
        Ok(match there {
            Some(stored) if stored.epoch >= memory.epoch => (stored, epoch),
            Some(older) => {
                let mut ring = RingState::clone(memory);
                ring.catch_up(&older, self.clock.now());
                (ring, epoch)
            }
            None => (RingState::clone(memory), epoch),
        })
    }
}

/// A new key. RSA takes a tenth of a second, so not on a thread that serves requests.
pub(super) async fn make(alg: Alg) -> Result<Arc<SigningKey>, KeyringError> {
    let made = tokio::task::spawn_blocking(move || admit::generate(alg)).await;
    match made {
        Ok(Ok(key)) => Ok(key),
        Ok(Err(e)) => Err(KeyringError::Make(e.to_string())),
        Err(e) => Err(KeyringError::Make(e.to_string())),
    }
}

/// The ring after a key signed a token that expires at `to`; `None` if a later `exp` was known. Keys retired
/// within the last minute are raised too: signatures begun before may still be under way.
pub(super) fn raise(ring: &RingState, kid: &Kid, to: UnixTime, now: UnixTime) -> Option<RingState> {
    // An issuer's `exp` may be any number.
    let to = to.min(UnixTime::LAST);
    let concerned = |key: &RingKey| {
        let late = key.times.retired.is_some_and(|at| now.since(at) <= rotation::IN_FLIGHT_GRACE);
        (key.times.kid == *kid || late) && key.times.latest_exp < to
    };
    if !ring.keys.iter().any(concerned) {
        return None;
    }
    let mut ring = ring.clone();
    ring.keys.iter_mut().filter(|k| concerned(k)).for_each(|k| k.times.latest_exp = to);
    ring.epoch += 1;
    Some(ring)
}

/// Whether the ring has space for one more key.
///
/// # Errors
/// [`KeyringError::Full`].
pub(super) fn has_place(ring: &RingState, rules: &Rules) -> Result<(), KeyringError> {
    if ring.keys.len() < rotation::MAX_KEYS || ring.next().is_some() {
        return Ok(());
    }
    let until = rotation::next_leaves(&ring.times(), rules).map(UnixTime::secs);
    Err(KeyringError::Full { keys: ring.keys.len(), until })
}

/// The ring with a key from outside; `None` if it cannot be added.
pub(super) fn imported(
    ring: &RingState,
    key: &Arc<SigningKey>,
    rules: &Rules,
    now: UnixTime,
) -> Option<RingState> {
    if ring.get(key.kid()).is_some() || ring.next().is_some() {
        return None;
    }
    let first = ring.active().is_none();
    let mut ring = ring.clone();
    ring.serve_with(rules, now);
    ring.add(key, if first { KeyState::Active } else { KeyState::Next }, rules, now);
    ring.asked = !first;
    ring.epoch += 1;
    Some(ring)
}

/// The ring with a rotation asked for. `fresh` is used if there is no next key yet. With `at_once` the next
/// key signs now.
pub(super) fn rotated(
    ring: &RingState,
    fresh: &Arc<SigningKey>,
    at_once: bool,
    rules: &Rules,
    now: UnixTime,
) -> RingState {
    let mut ring = ring.clone();
    let kid = match ring.next() {
        Some(next) => next.times.kid.clone(),
        None => {
            ring.add(fresh, KeyState::Next, rules, now);
            fresh.kid().clone()
        }
    };
    ring.asked = true;
    let steps = if at_once { vec![Transition::Promote(kid)] } else { Vec::new() };
    ring.apply(&steps, rules, now, None)
}
