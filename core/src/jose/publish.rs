//! The key set that a verifier reads: our own keys first, then every key of the issuers that the
//! profile tolerates. It also verifies tokens that pass unchanged, and answers that nobody signs
//! again (logout tokens, JARM). Members have a fixed order, every `kid` is unique, and every key
//! has its `alg` unless the profile omits it: the same keys give the same bytes.

use std::collections::{HashMap, HashSet};

use super::alg::Alg;
use super::jwk::PublicJwk;
use super::keyset::KeySet;
use super::names::Kid;
use super::report::{Change, Effect};
use super::thumbprint::Thumbprint;
use crate::profile::{Profile, Tolerance};

/// The input of one served set.
pub struct Input<'a> {
    /// Our signing keys; they are first, under their own `kid`s, whatever the profile says.
    pub own: &'a [PublicJwk],
    /// The issuers' keys, one set each.
    pub upstream: &'a [&'a KeySet],
    /// The verifier.
    pub profile: &'a Profile,
    /// The key that was last published under a `kid`. If a `kid` now names another key, the
    /// thumbprint replaces it, so that a cache by `kid` stops using the old key.
    pub remembered: &'a HashMap<Kid, Thumbprint>,
}

/// A set ready to be served.
#[derive(Debug)]
pub struct PublishedDocument {
    /// `{"keys":[…]}`
    pub body: String,
    /// The keys in it, by name.
    pub kids: PublishedKids,
    /// Keys the profile does not tolerate, and members that were replaced or left out.
    pub left_out: Vec<Change>,
}

/// The names of the keys in a served set.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PublishedKids {
    by_kid: HashMap<Kid, (Thumbprint, Alg)>,
    by_key: HashMap<Thumbprint, Kid>,
}

impl PublishedKids {
    /// Whether a reader of the set finds exactly this key under `kid`.
    pub fn serves(&self, kid: &str, key: &Thumbprint) -> bool {
        self.by_kid.get(kid).is_some_and(|(served, _)| served == key)
    }

    /// The same, and the set gives this `alg` for the key, or no `alg` and the key has only this
    /// one. A verifier that honours the `alg` of a key (RFC 7517 §4.4) then accepts the token.
    pub fn serves_for(&self, kid: &str, key: &Thumbprint, alg: Alg) -> bool {
        self.by_kid.get(kid).is_some_and(|(served, of)| served == key && *of == alg)
    }

    /// The first `kid` this key is served under.
    pub fn kid_of(&self, key: &Thumbprint) -> Option<&Kid> {
        self.by_key.get(key)
    }

    /// The names that `keep` selects.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&Kid, &Thumbprint) -> bool) -> Self {
        let mut kept = self.clone();
        kept.by_kid.retain(|kid, (key, _)| keep(kid, key));
        kept.by_key.retain(|key, kid| keep(kid, key));
        kept
    }

    /// Whether no key is in the set.
    pub fn is_empty(&self) -> bool {
        self.by_kid.is_empty()
    }

    /// The number of names in the set.
    pub fn len(&self) -> usize {
        self.by_kid.len()
    }

    /// Every `kid`, its key, and the `alg` in the set.
    pub fn entries(&self) -> impl Iterator<Item = (&Kid, &Thumbprint, Alg)> {
        self.by_kid.iter().map(|(kid, (key, alg))| (kid, key, *alg))
    }
}

/// Builds the set. A `kid` names one key only. If two keys claim it, if one of our own has it, or
/// if it is the thumbprint of another key, the thumbprint replaces it.
pub fn publish(input: &Input<'_>) -> PublishedDocument {
    let mut set = SetWriter::default();
    for key in input.own {
        let kid = key.kid().unwrap_or_else(|| key.thumbprint().kid());
        if let Some(alg) = key.published_alg() {
            set.add(key, kid, alg, Tolerance::WithAlg);
        }
    }
    let mut left_out = Vec::new();
    let chosen = choose(input, &mut left_out);
    let chosen = one_alg_each(chosen, input.profile, &mut left_out);
    let claims = KidClaims::new(input, &chosen);
    for key in &chosen {
        let (kid, replaced) = claims.kid(key.jwk);
        if let Some(code) = replaced {
            left_out.push(Change {
                path: format!("{}.kid", key.path),
                code,
                effect: Effect::Repaired,
                before: key.jwk.kid().map(|kid| super::report::excerpt(kid.as_str())),
                after: Some(kid.to_string()),
            });
        }
        // A second entry without a name adds nothing to an existing key.
        let nameless = key.jwk.kid().is_none();
        if !(nameless && set.kids.by_key.contains_key(key.jwk.thumbprint())) {
            set.add(key.jwk, kid, key.alg, key.tolerance);
        }
    }
    let body = format!(r#"{{"keys":[{}]}}"#, set.jwks.join(","));
    PublishedDocument { body, kids: set.kids, left_out }
}

struct ChosenKey<'a> {
    jwk: &'a PublicJwk,
    alg: Alg,
    tolerance: Tolerance,
    path: &'a str,
}

/// The issuers' keys that the profile tolerates.
fn choose<'a>(input: &Input<'a>, left_out: &mut Vec<Change>) -> Vec<ChosenKey<'a>> {
    let mut chosen = Vec::new();
    for set in input.upstream {
        for (jwk, path) in set.with_paths() {
            let alg = set.published_alg(jwk);
            let tolerance = alg.map_or(Tolerance::None, |alg| input.profile.tolerance(alg));
            let Some(alg) = alg.filter(|_| tolerance != Tolerance::None) else {
                left_out.push(without_key(path, "alg_profile", alg));
                continue;
            };
            if tolerance == Tolerance::WithoutAlg && jwk.alg().is_some() {
                let change = Change::new(format!("{path}.alg"), "alg_left_out", Effect::Repaired);
                left_out.push(Change { before: Some(alg.name().to_owned()), ..change });
            }
            chosen.push(ChosenKey { jwk, alg, tolerance, path });
        }
    }
    chosen
}

/// Some servers list one key once per `alg`, under one `kid`. A reader finds one entry by `kid`, so
/// one is published: the one that the verifier accepts, RS256 before the others.
fn one_alg_each<'a>(
    chosen: Vec<ChosenKey<'a>>,
    profile: &Profile,
    left_out: &mut Vec<Change>,
) -> Vec<ChosenKey<'a>> {
    let rank = |alg: Alg| (!profile.accepts.contains(alg), alg != Alg::Rs256);
    let mut best: HashMap<(&Thumbprint, &Kid), (usize, Alg)> = HashMap::new();
    for (i, key) in chosen.iter().enumerate() {
        let Some(kid) = key.jwk.kid() else { continue };
        let first = best.entry((key.jwk.thumbprint(), kid)).or_insert((i, key.alg));
        if rank(key.alg) < rank(first.1) {
            *first = (i, key.alg);
        }
    }
    let mut kept = Vec::with_capacity(chosen.len());
    for (i, key) in chosen.into_iter().enumerate() {
        let id = key.jwk.kid().map(|kid| (key.jwk.thumbprint(), kid));
        match id.and_then(|id| best.get(&id)) {
            Some(&(best, alg)) if best != i => {
                // The same entry in two sets is one entry, and nothing is lost.
                if alg != key.alg {
                    left_out.push(without_key(key.path, "alg_repeated", Some(key.alg)));
                }
            }
            _ => kept.push(key),
        }
    }
    kept
}

/// A key that is not in the set.
fn without_key(path: &str, code: &'static str, alg: Option<Alg>) -> Change {
    let before = alg.map(|alg| alg.name().to_owned());
    Change { before, ..Change::new(path, code, Effect::LeftOut) }
}

/// The keys that claim each `kid`.
struct KidClaims<'a> {
    claimed: HashMap<&'a Kid, HashSet<&'a Thumbprint>>,
    thumbprints: HashSet<&'a Kid>,
    remembered: &'a HashMap<Kid, Thumbprint>,
}

impl<'a> KidClaims<'a> {
    fn new(input: &Input<'a>, chosen: &[ChosenKey<'a>]) -> Self {
        let mut claimed: HashMap<_, HashSet<_>> = HashMap::new();
        let mut thumbprints = HashSet::new();
        for jwk in input.own.iter().chain(chosen.iter().map(|key| key.jwk)) {
            thumbprints.insert(jwk.thumbprint().kid());
            if let Some(kid) = jwk.kid() {
                claimed.entry(kid).or_default().insert(jwk.thumbprint());
            }
        }
        Self { claimed, thumbprints, remembered: input.remembered }
    }

    /// The `kid` that a key is served under, and the code of the reason if it is not its own.
    fn kid<'k>(&self, jwk: &'k PublicJwk) -> (&'k Kid, Option<&'static str>) {
        let key = jwk.thumbprint();
        let Some(kid) = jwk.kid() else { return (key.kid(), None) };
        let reason = if self.claimed.get(kid).is_none_or(|keys| keys.len() > 1) {
            "duplicate_kid"
        } else if kid != key.kid() && self.thumbprints.contains(kid) {
            "kid_is_thumbprint"
        } else if self.remembered.get(kid).is_some_and(|last| last != key) {
            "kid_reused"
        } else {
            return (kid, None);
        };
        (key.kid(), Some(reason))
    }
}

#[derive(Default)]
struct SetWriter {
    jwks: Vec<String>,
    kids: PublishedKids,
}

impl SetWriter {
    fn add(&mut self, jwk: &PublicJwk, kid: &Kid, alg: Alg, tolerance: Tolerance) {
        if self.kids.by_kid.contains_key(kid) {
            return;
        }
        self.jwks.push(jwk.to_json(kid, (tolerance != Tolerance::WithoutAlg).then_some(alg)));
        let key = jwk.thumbprint();
        self.kids.by_kid.insert(kid.clone(), (key.clone(), alg));
        self.kids.by_key.entry(key.clone()).or_insert_with(|| kid.clone());
    }
}
