//! The ring in memory: performs what the schedule says is due, and goes on with what it has while the
//! store is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify, watch};

use super::engine::{self, Engine};
use super::open;
use super::ring::RingState;
use super::store::{Store, StoreError};
use super::{KeyView, KeyringError, KeyringSettings, KeyringStatus, Ring};
use crate::clock::Clock;
use crate::jose::names::UnixTime;
use crate::jose::sign::SigningKey;
use crate::rotation::{self, Rules};
use crate::status::Fault;

/// Horizons are written ahead in steps of this, so that a token costs no write: a retired key stays
/// published this much longer than its last token needs.
const HORIZON_STEP: Duration = Duration::from_secs(600);
/// What whole seconds and the rebuilding of the served set may cost between storing and serving.
const ROUNDING: Duration = Duration::from_secs(2);
/// Longest sleep of the rotation task: also how soon a failed write is tried again.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Our keys, for everybody in the process.
pub struct Keyring {
    engine: Engine,
    state: ArcSwap<RingState>,
    ring: ArcSwap<Ring>,
    /// The `exp` up to which the active key's horizon is stored.
    durable: AtomicI64,
    /// One change at a time in this process.
    turn: Mutex<()>,
    fault: std::sync::Mutex<Option<Fault>>,
    poke: Notify,
    epochs: watch::Sender<u64>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("ring", &self.ring.load().keys).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Opens the store; makes the first key where there is none.
    ///
    /// # Errors
    /// [`KeyringError`]: a store that is corrupt, unreadable or away is never replaced by a new one.
    pub async fn open(settings: KeyringSettings, clock: Clock) -> Result<Arc<Self>, KeyringError> {
        let store = open::store(&settings, &clock)?;
        Self::with_store(&settings, store, clock).await
    }

    /// Takes in a key made elsewhere. In an empty ring it signs at once; else it is published as next
    /// and signs when every cached copy without it has run out. False: the key was there already.
    ///
    /// # Errors
    /// [`KeyringError`] when it cannot be stored, or another key is already next.
    pub async fn import(
        settings: &KeyringSettings,
        key: SigningKey,
        clock: Clock,
    ) -> Result<bool, KeyringError> {
        let store = open::store(settings, &clock)?;
        if !store.rotates() {
            return Err(StoreError::ReadOnly { at: store.describe() }.into());
        }
        let rules = rules(settings, &*store);
        let engine = Engine { algorithm: settings.algorithm, rules, store, clock };
        let key = Arc::new(key);
        let memory = Arc::new(RingState::default());
        let before = engine.store.load(None).await?.unwrap_or_default();
        if before.get(key.kid()).is_some() {
            return Ok(false);
        }
        if before.next().is_some() {
            return Err(KeyringError::NextIsTaken);
        }
        engine.change(&memory, |ring, now| engine::imported(ring, &key, &rules, now)).await?;
        Ok(true)
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
        let rules = rules(settings, &*store);
        let engine = Engine { algorithm: settings.algorithm, rules, store, clock };
        let state = engine.settle(&Arc::new(RingState::default())).await?;
        let ring = Ring::of(&state)?;
        Ok(Arc::new(Self {
            engine,
            durable: AtomicI64::new(durable(&state)),
            epochs: watch::Sender::new(state.epoch),
            state: ArcSwap::from_pointee(state),
            ring: ArcSwap::from_pointee(ring),
            turn: Mutex::new(()),
            fault: std::sync::Mutex::default(),
            poke: Notify::new(),
        }))
    }

    /// The ring now: one atomic load.
    pub fn snapshot(&self) -> Arc<Ring> {
        self.ring.load_full()
    }

    /// How long after a change every copy of the set has it, where no replica is cut off.
    pub fn ahead(&self) -> Duration {
        self.engine.rules.ahead.saturating_sub(self.engine.rules.outage)
    }

    /// Whether other replicas may serve this ring too.
    pub fn is_shared(&self) -> bool {
        self.engine.store.is_shared()
    }

    /// Told of every new ring, by its epoch.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.epochs.subscribe()
    }

    /// To be awaited before a token that expires at `exp` leaves the process: its key stays published
    /// until then, also after a crash. As a rule one atomic load; about once in ten minutes a write.
    /// A store that fails does not stop the token: the horizon is kept in memory and written later.
    pub async fn note_signed(&self, exp: UnixTime) {
        if exp.secs() <= self.durable.load(Ordering::Acquire) {
            return;
        }
        let _turn = self.turn.lock().await;
        if exp.secs() <= self.durable.load(Ordering::Acquire) {
            return;
        }
        let kid = self.ring.load().active.kid().clone();
        let to = exp.plus(HORIZON_STEP);
        let memory = self.state.load_full();
        let edit = |ring: &RingState, now| engine::raise(ring, &kid, to, now);
        match self.engine.change(&memory, edit).await {
            Ok(state) => self.adopt(state),
            Err(e) => {
                self.complain(&e);
                if let Some(state) = engine::raise(&memory, &kid, to, self.engine.clock.now()) {
                    // Same epoch: the store has not changed, and the next write that succeeds puts
                    // the horizon there.
                    self.state.store(Arc::new(RingState { epoch: memory.epoch, ..state }));
                }
            }
        }
        self.durable.fetch_max(to.secs(), Ordering::AcqRel);
    }

    /// Asks for a rotation. The new key is published at once and signs when every cached copy
    /// without it has run out; with `at_once` it signs now, which verifiers that cache may notice.
    ///
    /// # Errors
    /// [`KeyringError`] when it cannot be stored; nothing has changed then.
    pub async fn rotate(&self, at_once: bool) -> Result<(), KeyringError> {
        if !self.engine.store.rotates() {
            return Err(StoreError::ReadOnly { at: self.engine.store.describe() }.into());
        }
        let fresh = engine::make(self.engine.algorithm).await?;
        let _turn = self.turn.lock().await;
        let rules = self.engine.rules;
        let edit =
            |ring: &RingState, now| Some(engine::rotated(ring, &fresh, at_once, &rules, now));
        let state = self.engine.change(&self.state.load_full(), edit).await?;
        self.adopt(state);
        self.poke.notify_one();
        Ok(())
    }

    /// Looks at the store again (`SIGHUP`).
    pub fn reload(&self) {
        self.poke.notify_one();
    }

    /// Keeps the ring turning until `shutdown` turns true.
    pub async fn run(&self, mut shutdown: watch::Receiver<bool>) {
        while !*shutdown.borrow() {
            self.turn_once().await;
            let wait = self.until_due();
            tokio::select! {
                () = self.engine.clock.sleep(wait) => {}
                () = self.engine.store.changed(self.state.load().epoch) => {}
                () = self.poke.notified() => {}
                _ = shutdown.changed() => {}
            }
        }
    }

    /// Does what is due now, and reads what others did.
    pub async fn turn_once(&self) {
        let _turn = self.turn.lock().await;
        match self.engine.settle(&self.state.load_full()).await {
            Ok(state) => {
                self.adopt(state);
                *self.fault() = None;
            }
            Err(e) => self.complain(&e),
        }
    }

    pub fn status(&self) -> KeyringStatus {
        let state = self.state.load();
        let ring = self.ring.load();
        let engine = &self.engine;
        let times = state.times();
        let next = rotation::next_due(&times, &engine.rules, state.asked, engine.clock.now());
        KeyringStatus {
            store: engine.store.describe(),
            epoch: ring.epoch,
            active: ring.active.kid().to_string(),
            keys: state.keys.iter().map(KeyView::of).collect(),
            next_change: next.map(UnixTime::secs),
            rotation_asked: state.asked,
            full: state.keys.len() >= rotation::MAX_KEYS,
            error: self.fault().clone(),
        }
    }

    fn until_due(&self) -> Duration {
        let state = self.state.load();
        let now = self.engine.clock.now();
        let due = rotation::next_due(&state.times(), &self.engine.rules, state.asked, now);
        let wait = due.map_or(LONGEST_SLEEP, |at| at.since(now));
        wait.clamp(Duration::from_secs(1), LONGEST_SLEEP)
    }

    /// Makes a stored ring the one in memory.
    fn adopt(&self, state: RingState) {
        let before = self.state.load_full();
        let ring = match Ring::of(&state) {
            Ok(ring) => ring,
            Err(error) => return self.complain(&error),
        };
        let active = ring.active.kid() == self.ring.load().active.kid();
        let same = before.epoch == state.epoch && active;
        if !same {
            for key in state.keys.iter().filter(|k| changed_office(&before, k)) {
                let (kid, office) = (&key.times.kid, key.times.office);
                tracing::info!(%kid, ?office, epoch = state.epoch, "signing key changed office");
            }
        }
        let durable = durable(&state);
        let epoch = state.epoch;
        self.state.store(Arc::new(state));
        if active {
            self.durable.fetch_max(durable, Ordering::AcqRel);
        } else {
            // Another key signs from here on; its own horizon counts.
            self.durable.store(durable, Ordering::Release);
        }
        if !same {
            self.ring.store(Arc::new(ring));
            self.epochs.send_replace(epoch);
        }
    }

    fn complain(&self, error: &KeyringError) {
        let mut fault = self.fault();
        if fault.as_ref().is_none_or(|old| old.code != error.code()) {
            let at = self.engine.clock.now().secs();
            tracing::error!(code = error.code(), %error, "the key store failed; signing goes on");
            *fault = Some(Fault { code: error.code(), text: error.to_string(), at });
        }
    }

    fn fault(&self) -> std::sync::MutexGuard<'_, Option<Fault>> {
        self.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn rules(settings: &KeyringSettings, store: &dyn Store) -> Rules {
    // Nobody else serves the ring of a store that is not shared.
    let outage = if store.is_shared() { settings.outage } else { Duration::ZERO };
    Rules {
        rotate_every: settings.rotate_every.filter(|_| store.rotates()),
        ahead: settings.max_age + settings.skew + store.spread() + ROUNDING + outage,
        outage,
        skew: settings.skew,
    }
}

fn changed_office(before: &RingState, key: &super::ring::RingKey) -> bool {
    before.get(&key.times.kid).map(|k| k.times.office) != Some(key.times.office)
}

fn durable(state: &RingState) -> i64 {
    state.active().map_or(0, |key| key.times.horizon.secs())
}
