//! The ring in memory: it does what the schedule says is due, and keeps working with what it has while the
//! store fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify, watch};

use super::engine::{self, Engine};
use super::ring::{RingKey, RingState};
use super::store::{Access, Store};
use super::{KeyView, KeyringError, KeyringSettings, KeyringStatus, Ring};
use crate::clock::Clock;
use crate::jose::names::UnixTime;
use crate::jose::sign::SigningKey;
use crate::rotation;
use crate::status::Fault;

/// `latest_exp` is stored this far ahead, so that not every token costs a write: a retired key stays
/// published this much longer than its last token needs.
const LATEST_EXP_STEP: Duration = Duration::from_secs(600);
/// Longest sleep of the rotation task.
const MAX_SLEEP: Duration = Duration::from_secs(30);
/// While the store fails, pending writes are tried again after this time.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How often to check which ring the running processes serve.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Our signing keys, shared by the whole process.
pub struct Keyring {
    engine: Engine,
    state: ArcSwap<RingState>,
    ring: ArcSwap<Ring>,
    /// The `exp` up to which the active key may sign without a write.
    stored_exp: AtomicI64,
    /// One change at a time in this process.
    change: Mutex<()>,
    fault: parking_lot::Mutex<Option<Fault>>,
    wake: Notify,
    epochs: watch::Sender<u64>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("ring", &self.ring.load().keys).finish_non_exhaustive()
    }
}

/// Whether the processes that run on a store serve a given ring, or a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uptake {
    /// How many processes run; `None` if the store cannot tell.
    pub running: Option<usize>,
    /// How many of them still serve an older ring.
    pub behind: usize,
}

impl Keyring {
    /// Opens the store, and makes the first key if there is none.
    ///
    /// # Errors
    /// [`KeyringError`]. A store that is corrupt, unreadable or unreachable is never replaced by a new one.
    pub async fn open(settings: KeyringSettings, clock: Clock) -> Result<Arc<Self>, KeyringError> {
        let store = settings.open_store(Access::Serve, &clock)?;
        Self::with_store(&settings, store, clock).await
    }

    /// Imports a key. In an empty ring it signs at once. Otherwise it is published as next, and signs once
    /// every cached copy without it has expired. False: the key was there already.
    ///
    /// # Errors
    /// [`KeyringError`] when it cannot be stored, another key is already next, or this one is retired.
    pub async fn import(
        settings: &KeyringSettings,
        key: Arc<SigningKey>,
        clock: Clock,
    ) -> Result<bool, KeyringError> {
        let store = settings.open_store(Access::Operate, &clock)?;
        let engine = Engine::new(settings, store, clock);
        engine.must_rotate()?;
        let edit = |ring: &RingState, now| engine::imported(ring, &key, &engine.rules, now);
        let (_, imported) = engine.change(&Arc::default(), edit).await?;
        Ok(imported)
    }

    /// Opens a ring kept in `store`.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub async fn with_store(
        settings: &KeyringSettings,
        store: Arc<dyn Store>,
        clock: Clock,
    ) -> Result<Arc<Self>, KeyringError> {
        let engine = Engine::new(settings, store, clock);
        let state = engine.reconcile(&Arc::default()).await?;
        let ring = Ring::of(&state)?;
        warn_if_full(&RingState::default(), &state);
        Ok(Arc::new(Self {
            engine,
            stored_exp: AtomicI64::new(latest_exp(&state)),
            epochs: watch::Sender::new(state.epoch),
            state: ArcSwap::from_pointee(state),
            ring: ArcSwap::from_pointee(ring),
            change: Mutex::default(),
            fault: parking_lot::Mutex::default(),
            wake: Notify::new(),
        }))
    }

    /// The current ring: one atomic load.
    pub fn snapshot(&self) -> Arc<Ring> {
        self.ring.load_full()
    }

    /// How long after a change every copy of the set has it, if no replica is cut off.
    pub fn propagation_time(&self) -> Duration {
        self.engine.rules.ahead.saturating_sub(self.engine.rules.outage)
    }

    /// Whether other replicas may serve this ring too.
    pub fn is_shared(&self) -> bool {
        self.engine.store.is_shared()
    }

    /// Whether the first key was made when the ring was opened.
    pub fn created_first_key(&self) -> bool {
        self.engine.made_first_key.load(Ordering::Relaxed)
    }

    /// Receives the epoch of every new ring.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.epochs.subscribe()
    }

    /// Must be awaited before a token that expires at `exp` leaves the process. It first stores that the
    /// key stays published until then, so that this holds after a crash too. Usually one atomic load; about
    /// once in ten minutes a write.
    ///
    /// If the store fails, the token is issued all the same. Then only memory has the new `exp`; the write
    /// is tried again each second and at the end of [`Keyring::run`], and the status says so. No key is
    /// retired meanwhile, since that is a write too. Only a process that is killed before the store works
    /// again loses the `exp`: its key, once retired, may leave the set before the last of these tokens has
    /// expired.
    pub async fn note_signed(&self, exp: UnixTime) {
        if exp.secs() <= self.stored_exp.load(Ordering::Acquire) {
            return;
        }
        let _change = self.change.lock().await;
        if exp.secs() <= self.stored_exp.load(Ordering::Acquire) {
            return;
        }
        let kid = self.ring.load().active.kid().clone();
        let to = exp.plus(LATEST_EXP_STEP);
        let memory = self.state.load_full();
        let edit = |ring: &RingState, now| Ok(engine::raise(ring, &kid, to, now));
        match self.engine.change(&memory, edit).await {
            Ok((state, _)) => self.adopt(state),
            Err(e) => {
                self.record_fault(&e);
                if let Some(state) = engine::raise(&memory, &kid, to, self.engine.clock.now()) {
                    // Same epoch: the store has not changed. The next write that succeeds stores it.
                    self.state.store(Arc::new(RingState { epoch: memory.epoch, ..state }));
                }
                self.wake.notify_one();
            }
        }
        self.stored_exp.fetch_max(to.secs(), Ordering::AcqRel);
    }

    /// Asks for a rotation. The new key is published at once, and signs once every cached copy without it has
    /// expired. With `at_once` it signs now, and verifiers with a cached copy may refuse its tokens.
    ///
    /// # Errors
    /// [`KeyringError`] when it cannot be stored, or the ring is full. With `at_once` a full ring is no
    /// obstacle: a compromised key must go. Nothing has changed after an error.
    pub async fn rotate(&self, at_once: bool) -> Result<(), KeyringError> {
        self.engine.must_rotate()?;
        let new_key = engine::make(self.engine.algorithm).await?;
        let _change = self.change.lock().await;
        let rules = &self.engine.rules;
        let edit = |ring: &RingState, now| {
            if !at_once {
                engine::check_space(ring)?;
            }
            Ok(Some(engine::rotated(ring, &new_key, at_once, rules, now)))
        };
        let (state, _) = self.engine.change(&self.state.load_full(), edit).await?;
        self.adopt(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Reads the store again (`SIGHUP`).
    pub fn reload(&self) {
        self.wake.notify_one();
    }

    /// Does what is due, when it is due, until `shutdown` turns true.
    pub async fn run(&self, mut shutdown: watch::Receiver<bool>) {
        while !*shutdown.borrow() {
            self.tick().await;
            // Only `keys rotate` waits for this, and it polls.
            let _ = self.engine.store.announce(self.ring.load().epoch).await;
            let wait = self.until_due();
            tokio::select! {
                () = self.engine.clock.sleep(wait) => {}
                () = self.engine.store.changed() => {}
                () = self.wake.notified() => {}
                changed = shutdown.changed() => {
                    // The sender of the shutdown signal is gone.
                    if changed.is_err() {
                        break;
                    }
                }
            }
        }
        if self.fault.lock().is_some() {
            // Store pending changes, if the store works again.
            self.tick().await;
        }
        self.engine.store.withdraw().await;
    }

    /// Does what is due now, and reads what other processes changed.
    pub async fn tick(&self) {
        let _change = self.change.lock().await;
        match self.engine.reconcile(&self.state.load_full()).await {
            Ok(state) => {
                self.adopt(state);
                if self.fault.lock().take().is_some() {
                    tracing::info!("the key store works again; pending changes are stored");
                }
            }
            Err(e) => self.record_fault(&e),
        }
    }

    /// Waits until every process that runs on the store serves this ring, at most `timeout`.
    ///
    /// # Errors
    /// [`KeyringError`] when the store cannot be read.
    pub async fn wait_until_served(&self, timeout: Duration) -> Result<Uptake, KeyringError> {
        let epoch = self.state.load().epoch;
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let epochs = self.engine.store.served().await?;
            let running = epochs.as_ref().map(Vec::len);
            let behind = epochs.iter().flatten().filter(|served| **served < epoch).count();
            if behind == 0 || tokio::time::Instant::now() >= deadline {
                return Ok(Uptake { running, behind });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    pub fn status(&self) -> KeyringStatus {
        let state = self.state.load();
        let ring = self.ring.load();
        KeyringStatus {
            store: self.engine.store.describe(),
            epoch: ring.epoch,
            active: ring.active.kid().to_string(),
            keys: state.keys.iter().map(KeyView::of).collect(),
            next_change: self.next_change(self.engine.clock.now()).map(UnixTime::secs),
            rotation_asked: state.asked,
            full: state.is_full(),
            error: self.fault.lock().clone(),
        }
    }

    fn until_due(&self) -> Duration {
        if self.fault.lock().is_some() {
            return RETRY_INTERVAL;
        }
        let now = self.engine.clock.now();
        let wait = self.next_change(now).map_or(MAX_SLEEP, |at| at.since(now));
        wait.clamp(Duration::from_secs(1), MAX_SLEEP)
    }

    fn next_change(&self, now: UnixTime) -> Option<UnixTime> {
        let state = self.state.load();
        rotation::next_due(&state.times(), &self.engine.rules, state.asked, now)
    }

    /// Makes a stored ring the one in memory.
    fn adopt(&self, state: RingState) {
        let before = self.state.load_full();
        let ring = match Ring::of(&state) {
            Ok(ring) => ring,
            Err(error) => return self.record_fault(&error),
        };
        let same_active = ring.active.kid() == self.ring.load().active.kid();
        let same = before.epoch == state.epoch && same_active;
        if !same {
            for RingKey { times, .. } in &state.keys {
                let (kid, now) = (&times.kid, times.state);
                if before.get(kid).is_none_or(|key| key.times.state != now) {
                    let epoch = state.epoch;
                    tracing::info!(%kid, state = now.name(), epoch, "a signing key changed state");
                }
            }
            warn_if_full(&before, &state);
        }
        let latest_exp = latest_exp(&state);
        let epoch = state.epoch;
        self.state.store(Arc::new(state));
        if same_active {
            self.stored_exp.fetch_max(latest_exp, Ordering::AcqRel);
        } else {
            // Another key signs from now on, so its own `latest_exp` counts.
            self.stored_exp.store(latest_exp, Ordering::Release);
        }
        if !same {
            self.ring.store(Arc::new(ring));
            self.epochs.send_replace(epoch);
        }
    }

    fn record_fault(&self, error: &KeyringError) {
        let mut fault = self.fault.lock();
        if fault.as_ref().is_none_or(|old| old.code != error.code()) {
            let at = self.engine.clock.now().secs();
            tracing::error!(code = error.code(), %error, "the key store failed; signing continues");
            *fault = Some(Fault { code: error.code(), text: error.to_string(), at });
        }
    }
}

/// Logs once when the ring becomes full.
fn warn_if_full(before: &RingState, now: &RingState) {
    if now.is_full() && !before.is_full() {
        tracing::warn!(
            code = "key_ring_full",
            keys = now.keys.len(),
            "the ring of signing keys is full: rotation waits until a retired key's last token has expired"
        );
    }
}

fn latest_exp(state: &RingState) -> i64 {
    state.active().map_or(0, |key| key.times.latest_exp.secs())
}
