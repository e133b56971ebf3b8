//! Changes to a stored ring: load, edit, compare-and-set; again if another process was faster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::ring::{RingKey, RingState};
use super::store::{Store, StoreError};
use super::{KeyringError, KeyringSettings, admit};
use crate::clock::Clock;
use crate::jose::alg::Alg;
use crate::jose::names::{Kid, UnixTime};
use crate::jose::sign::SigningKey;
use crate::rotation::{self, KeyState, Rules, Transition};

/// How often a change is tried, if other processes keep being faster.
pub(super) const MAX_TRIES: u32 = 16;
/// The most time that rounding to seconds and rebuilding the set add between storing and serving.
const ROUNDING: Duration = Duration::from_secs(2);

/// A store with the rules that govern its ring.
pub(super) struct Engine {
    pub(super) algorithm: Alg,
    pub(super) rules: Rules,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    /// This process made the first key.
    pub(super) made_first_key: AtomicBool,
}

impl Engine {
    pub(super) fn new(settings: &KeyringSettings, store: Arc<dyn Store>, clock: Clock) -> Self {
        // Other replicas serve only the ring of a shared store.
        let outage = if store.is_shared() { settings.outage } else { Duration::ZERO };
        let rules = Rules {
            rotate_every: settings.rotate_every.filter(|_| store.rotates()),
            ahead: settings.max_age + settings.skew + store.propagation_delay() + ROUNDING + outage,
            outage,
            skew: settings.skew,
        };
        let algorithm = settings.algorithm;
        Self { algorithm, rules, store, clock, made_first_key: AtomicBool::new(false) }
    }

    /// # Errors
    /// [`StoreError::ReadOnly`] if keys are made and retired outside.
    pub(super) fn must_rotate(&self) -> Result<(), StoreError> {
        match self.store.rotates() {
            true => Ok(()),
            false => Err(StoreError::ReadOnly { at: self.store.describe() }),
        }
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
        let mut new_key: Option<Arc<SigningKey>> = None;
        for _ in 0..MAX_TRIES {
            let (stored, expected) = self.load(memory).await?;
            let now = self.clock.now();
            let mut ring = stored.clone();
            let caught_up = ring.catch_up(memory, now);
            let max_age_changed = ring.note_max_age(&self.rules, now);
            let mut due = rotation::due(&ring.times(), &self.rules, ring.asked, now);
            if !self.store.rotates() {
                // Keys come from outside: only those that are there change their state.
                due.retain(|t| matches!(t, Transition::Promote(_) | Transition::Remove(_)));
            }
            let is_behind = expected != stored.epoch;
            if due.is_empty() && !caught_up && !max_age_changed && !is_behind {
                return Ok(stored);
            }
            let first = due.contains(&Transition::First);
            let needs_key = first || due.contains(&Transition::Create);
            if needs_key && new_key.is_none() {
                // Make the key first, so that no slow work lies between load and replace.
                new_key = Some(make(self.algorithm).await?);
                continue;
            }
            let ring = Arc::new(ring.apply(&due, &self.rules, now, new_key.as_ref()));
            if self.store.replace(expected, Arc::clone(&ring)).await? {
                if first && let Some(key) = &new_key {
                    let (kid, store) = (key.kid(), self.store.describe());
                    self.made_first_key.store(true, Ordering::Relaxed);
                    tracing::info!(%kid, store, "the first signing key was made");
                }
                return Ok(Arc::unwrap_or_clone(ring));
            }
        }
        Err(KeyringError::Contended)
    }

    /// Edits the stored ring. Returns it, and whether it was changed: `edit` returns `None` if there is nothing
    /// to do.
    pub(super) async fn change(
        &self,
        memory: &Arc<RingState>,
        edit: impl Fn(&RingState, UnixTime) -> Result<Option<RingState>, KeyringError> + Send + Sync,
    ) -> Result<(RingState, bool), KeyringError> {
        for _ in 0..MAX_TRIES {
            let (stored, expected) = self.load(memory).await?;
            let Some(ring) = edit(&stored, self.clock.now())? else { return Ok((stored, false)) };
            let ring = Arc::new(ring);
            if self.store.replace(expected, Arc::clone(&ring)).await? {
                return Ok((Arc::unwrap_or_clone(ring), true));
            }
        }
        Err(KeyringError::Contended)
    }

    /// The stored ring and its stored epoch. A store that was lost, or was reset to an older state, is
    /// corrected from memory: this process has already served those keys.
    async fn load(&self, memory: &Arc<RingState>) -> Result<(RingState, u64), StoreError> {
        let stored = self.store.load(Some(Arc::clone(memory))).await?.unwrap_or_default();
        let epoch = stored.epoch;
        if epoch >= memory.epoch {
            return Ok((stored, epoch));
        }
        let mut ring = RingState::clone(memory);
        ring.catch_up(&stored, self.clock.now());
        Ok((ring, epoch))
    }
}

/// A new key. RSA takes a tenth of a second, so not on a thread that serves requests.
pub(super) async fn make(alg: Alg) -> Result<Arc<SigningKey>, KeyringError> {
    let failed = |e: &dyn std::fmt::Display| KeyringError::Make(e.to_string());
    let made = tokio::task::spawn_blocking(move || admit::generate(alg)).await;
    made.map_err(|e| failed(&e))?.map_err(|e| failed(&e))
}

/// The ring after a key signed a token that expires at `to`; `None` if a later `exp` was known. Keys retired
/// within the last minute are raised too: signatures begun before may still be under way.
pub(super) fn raise(ring: &RingState, kid: &Kid, to: UnixTime, now: UnixTime) -> Option<RingState> {
    // An issuer's `exp` may be any number.
    let to = to.min(UnixTime::LAST);
    let must_rise = |key: &RingKey| {
        let just_retired =
            key.times.retired.is_some_and(|at| now.since(at) <= rotation::IN_FLIGHT_GRACE);
        (key.times.kid == *kid || just_retired) && key.times.latest_exp < to
    };
    if !ring.keys.iter().any(must_rise) {
        return None;
    }
    let mut ring = RingState { epoch: ring.epoch + 1, ..ring.clone() };
    ring.keys.iter_mut().filter(|k| must_rise(k)).for_each(|k| k.times.latest_exp = to);
    Some(ring)
}

/// Whether the ring has space for one more key.
///
/// # Errors
/// [`KeyringError::Full`].
pub(super) fn check_space(ring: &RingState) -> Result<(), KeyringError> {
    if ring.is_full() && ring.next().is_none() {
        return Err(KeyringError::Full(ring.keys.len()));
    }
    Ok(())
}

/// The ring with a key from outside; `None` if it has the key already.
///
/// # Errors
/// [`KeyringError`] if the key cannot be added.
pub(super) fn imported(
    ring: &RingState,
    key: &Arc<SigningKey>,
    rules: &Rules,
    now: UnixTime,
) -> Result<Option<RingState>, KeyringError> {
    match ring.get(key.kid()).map(|known| known.times.state) {
        Some(KeyState::Retired) => return Err(KeyringError::Retired),
        Some(KeyState::Active | KeyState::Next) => return Ok(None),
        None if ring.next().is_some() => return Err(KeyringError::NextIsTaken),
        None => check_space(ring)?,
    }
    let first = ring.active().is_none();
    let mut ring = RingState { epoch: ring.epoch + 1, asked: !first, ..ring.clone() };
    ring.note_max_age(rules, now);
    ring.add(key, if first { KeyState::Active } else { KeyState::Next }, rules, now);
    Ok(Some(ring))
}

/// The ring with a rotation asked for. `new_key` is used if there is no next key yet. With `at_once` the next
/// key signs now.
pub(super) fn rotated(
    ring: &RingState,
    new_key: &Arc<SigningKey>,
    at_once: bool,
    rules: &Rules,
    now: UnixTime,
) -> RingState {
    let mut ring = ring.clone();
    let kid = match ring.next() {
        Some(next) => next.times.kid.clone(),
        None => {
            ring.add(new_key, KeyState::Next, rules, now);
            new_key.kid().clone()
        }
    };
    ring.asked = true;
    let promotion = at_once.then_some(Transition::Promote(kid));
    ring.apply(promotion.as_slice(), rules, now, None)
}
