//! The ring as a value, which stores keep and the schedule changes. A change makes a new ring with the next
//! epoch; no ring is changed in place.

use std::sync::Arc;

use crate::jose::names::{Kid, UnixTime};
use crate::jose::sign::SigningKey;
use crate::rotation::{self, KeyState, KeyTimes, Rules, Transition};

/// One key, with its state and times.
#[derive(Debug, Clone)]
pub struct RingKey {
    pub times: KeyTimes,
    pub key: Arc<SigningKey>,
}

/// All keys at one moment.
#[derive(Debug, Clone, Default)]
pub struct RingState {
    /// Grows by one with every change. Compare-and-set compares it.
    pub epoch: u64,
    pub keys: Vec<RingKey>,
    /// A rotation was asked for and has not happened yet.
    pub asked: bool,
    /// Seconds: the `max-age`, with skew, of the copies served until now.
    pub ahead: u64,
    /// When the last copy with a longer `max-age`, from before it was lowered, expires.
    pub copies_until: i64,
}

impl RingState {
    pub fn times(&self) -> Vec<KeyTimes> {
        self.keys.iter().map(|key| key.times.clone()).collect()
    }

    pub fn active(&self) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.times.state == KeyState::Active)
    }

    pub fn next(&self) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.times.state == KeyState::Next)
    }

    /// It has no space for a new key: rotation waits until one is removed.
    pub fn is_full(&self) -> bool {
        self.keys.len() >= rotation::MAX_KEYS
    }

    pub fn get(&self, kid: &Kid) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.times.kid == *kid)
    }

    /// The ring after `transitions`, with the next epoch. `new_key` is the key to add; without it none is
    /// added.
    #[must_use]
    pub fn apply(
        &self,
        transitions: &[Transition],
        rules: &Rules,
        now: UnixTime,
        new_key: Option<&Arc<SigningKey>>,
    ) -> Self {
        let mut ring = self.clone();
        for transition in transitions {
            match (transition, new_key) {
                (Transition::First, Some(key)) => ring.add(key, KeyState::Active, rules, now),
                (Transition::Create, Some(key)) => ring.add(key, KeyState::Next, rules, now),
                (Transition::First | Transition::Create, None) => {}
                (Transition::Promote(kid), _) => ring.promote(kid, now),
                (Transition::Remove(kid), _) => ring.keys.retain(|key| key.times.kid != *kid),
            }
        }
        ring.epoch += 1;
        ring
    }

    /// Adds a key that is published from now on.
    pub fn add(&mut self, key: &Arc<SigningKey>, state: KeyState, rules: &Rules, now: UnixTime) {
        let copies = UnixTime::from_secs(self.copies_until);
        let waits = now.plus(rules.ahead).max(copies);
        let usable = if state == KeyState::Active { now } else { waits };
        let times = KeyTimes::new(key.kid().clone(), state, usable, now);
        self.keys.push(RingKey { times, key: Arc::clone(key) });
    }

    fn promote(&mut self, kid: &Kid, now: UnixTime) {
        for key in &mut self.keys {
            if key.times.state == KeyState::Active {
                key.times.state = KeyState::Retired;
                key.times.retired = Some(now);
            }
            if key.times.kid == *kid {
                key.times.state = KeyState::Active;
                key.times.activated = Some(now);
            }
        }
        self.asked = false;
    }

    /// Notes the `max-age` now served. If it is shorter than before, copies that live longer still exist: a
    /// key made soon after must wait for those too. True if the `max-age` changed.
    pub fn note_max_age(&mut self, rules: &Rules, now: UnixTime) -> bool {
        let ahead = rules.ahead.as_secs();
        if self.ahead == ahead {
            return false;
        }
        let old = now.plus(std::time::Duration::from_secs(self.ahead)).secs();
        self.copies_until = self.copies_until.max(old);
        self.ahead = ahead;
        true
    }

    /// Adds from `other`, which was served too, what tokens signed under it still need: missing keys, as
    /// retired, and later `latest_exp`s. True if this ring changed.
    pub fn catch_up(&mut self, other: &Self, now: UnixTime) -> bool {
        let mut changed = false;
        for theirs in &other.keys {
            let latest_exp = theirs.times.latest_exp;
            let own = self.keys.iter_mut().find(|key| key.times.kid == theirs.times.kid);
            match own {
                Some(own) if own.times.latest_exp < latest_exp => {
                    own.times.latest_exp = latest_exp;
                    changed = true;
                }
                None if theirs.times.state != KeyState::Next && latest_exp >= now => {
                    let mut lost = theirs.clone();
                    lost.times.state = KeyState::Retired;
                    lost.times.retired.get_or_insert(now);
                    self.keys.push(lost);
                    changed = true;
                }
                _ => {}
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::engine;
    use super::super::stored::RingError;
    use super::*;
    use crate::jose::alg::Alg;
    use crate::rotation::{due, next_due};

    const SKEW: u64 = 5;
    const OUTAGE: u64 = 600;

    fn key() -> Arc<SigningKey> {
        Arc::new(SigningKey::generate(Alg::Es256).unwrap())
    }

    fn at(secs: i64) -> UnixTime {
        UnixTime::from_secs(1_000_000 + secs)
    }

    fn rules(max_age: u64, rotate_every: Option<u64>) -> Rules {
        Rules {
            rotate_every: rotate_every.map(Duration::from_secs),
            ahead: Duration::from_secs(max_age + SKEW),
            outage: Duration::ZERO,
            skew: Duration::from_secs(SKEW),
        }
    }

    fn shared(max_age: u64, rotate_every: Option<u64>) -> Rules {
        let alone = rules(max_age, rotate_every);
        let outage = Duration::from_secs(OUTAGE);
        Rules { ahead: alone.ahead + outage, outage, ..alone }
    }

    /// Does what the engine does at one moment.
    fn reconcile(ring: &mut RingState, rules: &Rules, now: UnixTime) {
        let changed = ring.note_max_age(rules, now);
        let due = due(&ring.times(), rules, ring.asked, now);
        if changed || !due.is_empty() {
            *ring = ring.apply(&due, rules, now, Some(&key()));
        }
    }

    #[test]
    fn the_first_key_signs_at_once_and_the_second_waits() {
        let rules = rules(300, Some(86_400));
        let mut ring = RingState::default();
        reconcile(&mut ring, &rules, at(0));
        let first = ring.active().unwrap().times.kid.clone();
        assert_eq!(next_due(&ring.times(), &rules, false, at(0)), Some(at(86_400 - 305)));
        reconcile(&mut ring, &rules, at(86_400 - 306));
        assert!(ring.next().is_none());
        reconcile(&mut ring, &rules, at(86_400 - 305));
        let second = ring.next().unwrap().times.kid.clone();
        reconcile(&mut ring, &rules, at(86_399));
        assert_eq!(ring.active().unwrap().times.kid, first);
        reconcile(&mut ring, &rules, at(86_400));
        assert_eq!(ring.active().unwrap().times.kid, second);
        // No token that it signed is still valid. It stays a minute for signatures under way.
        reconcile(&mut ring, &rules, at(86_400 + 60 + 5));
        assert!(ring.get(&first).is_some());
        reconcile(&mut ring, &rules, at(86_400 + 60 + 6));
        assert!(ring.get(&first).is_none());
    }

    #[test]
    fn a_lower_max_age_does_not_shorten_the_life_of_old_copies() {
        let (slow, fast) = (rules(3600, None), rules(60, None));
        let mut ring = RingState::default();
        reconcile(&mut ring, &slow, at(0));
        ring.asked = true;
        reconcile(&mut ring, &fast, at(10));
        assert_eq!(ring.next().unwrap().times.usable, at(10 + 3605));
    }

    #[test]
    fn what_was_stored_reads_back_and_anything_else_is_refused() {
        let rules = rules(300, None);
        let mut ring = RingState::default();
        reconcile(&mut ring, &rules, at(0));
        ring.asked = true;
        reconcile(&mut ring, &rules, at(1));
        let seal = super::super::file::PlainSeal;
        let text = ring.to_text(&seal).unwrap();
        let back = RingState::from_text(&text, &seal, None).unwrap();
        assert_eq!(back.times(), ring.times());
        assert_eq!((back.epoch, back.asked, back.ahead), (ring.epoch, true, ring.ahead));
        for cut in 0..text.len() - 2 {
            assert!(RingState::from_text(&text[..cut], &seal, None).is_err(), "cut at {cut}");
        }
        let twice = text.replace("\"next\"", "\"active\"");
        assert!(RingState::from_text(&twice, &seal, None).is_err());
        let newer = text.replace("\"format\": 1", "\"format\": 2");
        assert_eq!(RingState::from_text(&newer, &seal, None).unwrap_err(), RingError::Format(2));
        let kids: Vec<_> = ring.keys.iter().map(|k| k.times.kid.to_string()).collect();
        let swapped = text.replacen(&kids[0], "x", 1).replacen(&kids[1], &kids[0], 1);
        assert!(RingState::from_text(&swapped, &seal, None).is_err(), "a key under another's kid");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Wait(i64),
        /// A token that lives this long.
        Sign(i64),
        Ask,
        /// A restart with another `max-age`.
        MaxAge(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1i64..400).prop_map(Step::Wait),
            1 => (400i64..5000).prop_map(Step::Wait),
            4 => (1i64..4000).prop_map(Step::Sign),
            1 => Just(Step::Ask),
            1 => prop_oneof![Just(30u64), Just(300), Just(1200)].prop_map(Step::MaxAge),
        ]
    }

    /// Steps of two replicas, one of which may be cut off.
    #[derive(Debug, Clone)]
    enum ReplicaStep {
        Wait(i64),
        Cut,
        Back,
        Ask,
        /// Whether the replica that may be cut off signs.
        Sign(i64, bool),
    }

    fn replica_step() -> impl Strategy<Value = ReplicaStep> {
        prop_oneof![
            4 => (1i64..400).prop_map(ReplicaStep::Wait),
            1 => (400i64..5000).prop_map(ReplicaStep::Wait),
            2 => ((1i64..100), any::<bool>()).prop_map(|(life, far)| ReplicaStep::Sign(life, far)),
            1 => (1i64..4000).prop_map(|life| ReplicaStep::Sign(life, true)),
            2 => Just(ReplicaStep::Cut),
            1 => Just(ReplicaStep::Back),
            1 => Just(ReplicaStep::Ask),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        /// A verifier that follows `max-age` can verify every token, whenever it fetched its copy, whatever
        /// the schedule, the requests and the restarts.
        #[test]
        fn no_verifier_meets_a_key_it_cannot_have(
            steps in proptest::collection::vec(step(), 1..120),
            rotate_every in prop_oneof![Just(None), (700u64..4000).prop_map(Some)],
        ) {
            let mut max_age = 300;
            let mut rules_now = rules(max_age, rotate_every);
            let mut ring = RingState::default();
            let mut now = 0;
            reconcile(&mut ring, &rules_now, at(now));
            // For each set: from when it was served, with which `max-age`, and its kids.
            let mut served: Vec<(i64, u64, Vec<Kid>)> = Vec::new();
            let mut tokens: Vec<(i64, i64, Kid)> = Vec::new();
            for step in steps {
                match step {
                    Step::Wait(secs) => now += secs,
                    Step::Sign(life) => {
                        let kid = ring.active().unwrap().times.kid.clone();
                        let exp = now + life;
                        // Stored ahead in steps, as the keyring does.
                        if at(exp) > ring.get(&kid).unwrap().times.latest_exp
                            && let Some(raised) = engine::raise(&ring, &kid, at(exp + 600), at(now))
                        {
                            ring = raised;
                        }
                        tokens.push((now, exp, kid));
                    }
                    Step::Ask => ring.asked = true,
                    Step::MaxAge(secs) => {
                        max_age = secs;
                        rules_now = rules(max_age, rotate_every);
                    }
                }
                reconcile(&mut ring, &rules_now, at(now));
                let kids = ring.keys.iter().map(|k| k.times.kid.clone()).collect();
                served.push((now, max_age, kids));
            }
            for (signed, exp, kid) in &tokens {
                for (i, (from, age, kids)) in served.iter().enumerate() {
                    // This set was served until the next one. Its last copy lives `age` longer.
                    let until = served.get(i + 1).map_or(i64::MAX / 2, |next| next.0);
                    if until == *from {
                        continue;
                    }
                    let last_copy = until - 1 + i64::try_from(*age).unwrap();
                    let in_use = last_copy >= *signed && from <= exp;
                    prop_assert!(
                        !in_use || kids.contains(kid),
                        "token of {signed}..{exp}, set of {from}..{until} for {age}"
                    );
                }
            }
        }

        /// The same if a replica is cut off from the store for as long as is allowed: it serves the ring it
        /// had, signs with it, and cannot tell the others.
        #[test]
        fn a_replica_cut_off_is_noticed_by_no_verifier(
            steps in proptest::collection::vec(replica_step(), 1..120),
            rotate_every in prop_oneof![Just(None), (2000u64..6000).prop_map(Some)],
        ) {
            let max_age = 300;
            let rules = shared(max_age, rotate_every);
            let outage = i64::try_from(OUTAGE).unwrap();
            let mut ring = RingState::default();
            let mut now = 0;
            reconcile(&mut ring, &rules, at(now));
            let mut there = ring.clone();
            let mut cut: Option<i64> = None;
            // The sets served by the connected replicas, and by the one that may be cut off.
            let mut served = [Vec::new(), Vec::new()];
            let mut tokens: Vec<(i64, i64, Kid)> = Vec::new();
            for step in steps {
                match step {
                    ReplicaStep::Wait(secs) => now += cut.map_or(secs, |at| secs.min(at + outage - now)),
                    ReplicaStep::Cut => cut = cut.or(Some(now)),
                    ReplicaStep::Back => cut = None,
                    ReplicaStep::Ask => ring.asked = true,
                    ReplicaStep::Sign(life, far) => {
                        let of = if far { &mut there } else { &mut ring };
                        let kid = of.active().unwrap().times.kid.clone();
                        let exp = now + life;
                        if at(exp) > of.get(&kid).unwrap().times.latest_exp
                            && let Some(raised) = engine::raise(of, &kid, at(exp), at(now))
                        {
                            // A replica that cannot write keeps it in memory, under the same epoch.
                            *of = RingState { epoch: of.epoch, ..raised };
                        }
                        tokens.push((now, exp, kid));
                    }
                }
                if cut.is_some_and(|at| now >= at + outage) {
                    cut = None;
                }
                if cut.is_none() {
                    ring.catch_up(&there, at(now));
                }
                reconcile(&mut ring, &rules, at(now));
                if cut.is_none() {
                    there = ring.clone();
                }
                for (served, of) in served.iter_mut().zip([&ring, &there]) {
                    let kids: Vec<_> = of.keys.iter().map(|k| k.times.kid.clone()).collect();
                    served.push((now, kids));
                }
            }
            for (signed, exp, kid) in &tokens {
                for (who, served) in served.iter().enumerate() {
                    for (i, (from, kids)) in served.iter().enumerate() {
                        let until = served.get(i + 1).map_or(i64::MAX / 2, |next| next.0);
                        if until == *from {
                            continue;
                        }
                        let last_copy = until - 1 + i64::try_from(max_age).unwrap();
                        let in_use = last_copy >= *signed && from <= exp;
                        prop_assert!(
                            !in_use || kids.contains(kid),
                            "token of {signed}..{exp}, set of {who}, {from}..{until}"
                        );
                    }
                }
            }
        }
    }
}
