//! From the rooms' snapshots to one [`Status`]. Reads only; asks nobody to do anything.

use std::collections::BTreeMap;

use super::status::{
    AlarmView, Bucket, CacheView, ChangeRow, Histogram, IssuerView, KeyRow, LastError, MAX_ISSUERS,
    Outcome, ProfileView, QueueView, Ready, RefusalCount, RequestCount, RouteDuration, ServedKey,
    SetView, SigningView, State, Status, StoreView, TokenCount, Tokens, Traffic,
};
use crate::bridge::BridgeStatus;
use crate::histogram::Latency;
use crate::issuer::publisher::{COMMON_PATH, Publisher};
use crate::issuer::{IssuerHandle, Issuers, Source};
use crate::jose::jwk::PublicJwk;
use crate::jose::jwks::{Change, Report};
use crate::jose::names::UnixTime;
use crate::jose::publish::PublishedKids;
use crate::jose::report::Effect;
use crate::keyring::{KeyState, KeyView, Keyring, KeyringStatus};
use crate::profile::Profile;
use crate::proxy::counters::{ProxyStatus, RequestDurations};
use crate::refresh::Standing;

/// Sets shown key by key.
const MAX_SETS: usize = 50;

/// Where the picture is taken from.
pub struct Rooms<'a> {
    pub issuers: &'a Issuers,
    pub publisher: &'a Publisher,
    pub keyring: &'a Keyring,
    pub profile: &'a Profile,
    pub ready: Ready,
    pub tokens: Tokens,
    pub traffic: Traffic,
    pub started: UnixTime,
    pub now: UnixTime,
    pub keeps_sets: bool,
}

/// The bridge's counters.
pub fn tokens(bridge: BridgeStatus) -> Tokens {
    let mut all = Tokens {
        restored: bridge.restored,
        cache: CacheView {
            hits: bridge.cache_hits,
            misses: bridge.cache_misses,
            entries: bridge.cache_entries,
            bytes: bridge.cache_bytes,
        },
        queue: QueueView {
            depth: bridge.queue_depth as u64,
            threads: bridge.threads as u64,
            overloaded: bridge.overloaded,
            limit: 0,
        },
        latency: histogram(&bridge.latency),
        ..Tokens::default()
    };
    let mut by: BTreeMap<(String, &str, &'static str), u64> = BTreeMap::new();
    let mut refusals: BTreeMap<(&'static str, String), u64> = BTreeMap::new();
    for row in bridge.outcomes {
        let outcome = match row.outcome {
            "countersigned" | "as_it_stands" => row.outcome,
            code => {
                *refusals.entry((code, row.issuer.clone())).or_default() += row.count;
                "refused"
            }
        };
        match outcome {
            "countersigned" => all.countersigned += row.count,
            "as_it_stands" => all.passed += row.count,
            _ => all.refused += row.count,
        }
        *by.entry((row.issuer, row.alg, outcome)).or_default() += row.count;
    }
    all.by = by
        .into_iter()
        .map(|((issuer, alg, outcome), count)| TokenCount {
            issuer,
            alg: alg.to_owned(),
            outcome,
            count,
        })
        .collect();
    all.refusals = refusals
        .into_iter()
        .map(|((code, issuer), count)| RefusalCount { issuer, code: code.to_owned(), count })
        .collect();
    all
}

fn histogram(latency: &Latency) -> Histogram {
    let bound = |n| latency.buckets_us.get(n).map(|us| *us as f64 / 1e6);
    let buckets = latency.counts.iter().enumerate();
    Histogram {
        buckets: buckets.map(|(n, count)| Bucket { le: bound(n), count: *count }).collect(),
        sum: latency.sum_us as f64 / 1e6,
    }
}

/// The proxy's counters.
pub fn traffic(proxy: ProxyStatus) -> Traffic {
    let requests = proxy.requests.into_iter().map(|row| RequestCount {
        route: row.kind,
        status: row.status,
        count: row.count,
    });
    let duration = |row: &RequestDurations| RouteDuration {
        route: row.kind,
        duration: histogram(&row.latency),
    };
    let count = |(name, count): (&'static str, u64)| Outcome { outcome: name.to_owned(), count };
    Traffic {
        connections: proxy.connections as u64,
        requests: requests.collect(),
        durations: proxy.durations.iter().map(duration).collect(),
        failures: proxy.failures.into_iter().map(count).collect(),
        places: proxy.places.into_iter().map(count).collect(),
    }
}

/// The picture of this moment.
pub fn collect(rooms: Rooms<'_>) -> Status {
    let ring = rooms.keyring.status();
    let mut handles: Vec<_> = rooms.issuers.iter().map(|handle| (state(&handle), handle)).collect();
    let issuers_total = handles.len();
    // Those in trouble first, so that none of them is cut off.
    handles.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.name().cmp(y.name())));
    let sets = sets(&rooms, &handles, &ring);
    handles.truncate(MAX_ISSUERS);
    let issuers = handles.iter().map(|(state, handle)| issuer(&rooms, *state, handle)).collect();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        now: rooms.now.secs(),
        started: rooms.started.secs(),
        profile: ProfileView {
            name: rooms.profile.name.to_string(),
            accepts: rooms.profile.accepts.iter().map(|alg| alg.name()).collect(),
            publish: rooms.profile.publish.iter().map(|alg| alg.name()).collect(),
        },
        issuers,
        issuers_total,
        sets,
        signing: ring.keys.iter().map(signing).collect(),
        store: store(&ring, rooms.keeps_sets),
        ready: rooms.ready,
        tokens: rooms.tokens,
        traffic: rooms.traffic,
    }
}

fn state(handle: &IssuerHandle) -> State {
    if matches!(handle.settings().source, Source::File(_) | Source::Inline(_) | Source::Secrets) {
        return State::Fixed;
    }
    let status = handle.status();
    match status.standing {
        Standing::None | Standing::Expired => State::Cold,
        Standing::Stale => State::Stale,
        Standing::Fresh if status.failures > 0 => State::Failing,
        Standing::Fresh => State::Fresh,
    }
}

fn issuer(rooms: &Rooms<'_>, state: State, handle: &IssuerHandle) -> IssuerView {
    let status = handle.status();
    let mut fetches: BTreeMap<&str, u64> = status.fetches.failed.clone();
    fetches.insert("ok", status.fetches.good);
    fetches.insert("not_modified", status.fetches.not_modified);
    fetches.retain(|_, count| *count > 0);
    let alarms = status.report.as_ref().map(|report| report.alarms.as_slice()).unwrap_or_default();
    IssuerView {
        keys: keys(rooms, handle, status.report.as_ref()),
        alarms: alarms
            .iter()
            .map(|alarm| AlarmView {
                path: alarm.path.clone(),
                code: alarm.code.to_owned(),
                members: alarm.members.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        name: status.name,
        issuers: status.issuers,
        source: status.source,
        state,
        fetched: status.fetched,
        next_refresh: status.next_refresh,
        last_error: status.last_error.map(|error| LastError {
            code: error.code.to_owned(),
            text: error.text,
            at: error.at,
        }),
        fetches: fetches
            .into_iter()
            .map(|(outcome, count)| Outcome { outcome: outcome.to_owned(), count })
            .collect(),
    }
}

/// The issuer's document, entry by entry: the keys that came out of it, then what did not.
fn keys(rooms: &Rooms<'_>, handle: &IssuerHandle, report: Option<&Report>) -> Vec<KeyRow> {
    let Some(snapshot) = handle.snapshot() else { return Vec::new() };
    let kids = rooms.publisher.kids_for(handle.name());
    let mut changes: Vec<&Change> = report.map(|r| r.changes.iter().collect()).unwrap_or_default();
    let mut rows: Vec<KeyRow> = Vec::new();
    for (key, path) in snapshot.keys.with_paths() {
        let (own, rest) = changes.into_iter().partition(|change| within(&change.path, path));
        changes = rest;
        let served = kids.kid_of(key.thumbprint()).map(ToString::to_string);
        let own: Vec<&Change> = own;
        rows.push(KeyRow {
            path: path.to_owned(),
            kid_before: key.kid().map(ToString::to_string),
            effect: match (&served, own.is_empty()) {
                (None, _) => "left_out",
                (Some(_), true) => "same",
                (Some(_), false) => "repaired",
            },
            alg: snapshot.keys.published_alg(key).map(|alg| alg.name()),
            changes: own.into_iter().map(change).chain(left_out(rooms, key, path, &kids)).collect(),
            served_as: served,
        });
    }
    // What is left belongs to no key that survived: dropped ones, and the document as a whole.
    for one in changes {
        let path = entry(&one.path);
        match rows.iter_mut().find(|row| row.path == path && row.served_as.is_none()) {
            Some(row) => row.changes.push(change(one)),
            None => rows.push(KeyRow {
                path: path.to_owned(),
                kid_before: None,
                effect: effect(one.effect),
                served_as: None,
                alg: None,
                changes: vec![change(one)],
            }),
        }
    }
    rows.sort_by_key(|row| position(&row.path));
    rows
}

/// Why a good key is not in the served set.
fn left_out(
    rooms: &Rooms<'_>,
    key: &PublicJwk,
    path: &str,
    kids: &PublishedKids,
) -> Option<ChangeRow> {
    let alg = key.published_alg()?;
    let outside = kids.kid_of(key.thumbprint()).is_none() && !rooms.profile.publish.contains(alg);
    outside.then(|| ChangeRow {
        path: format!("{path}.alg"),
        code: "alg_profile".to_owned(),
        before: Some(alg.name().to_owned()),
        after: None,
    })
}

/// Whether `path` is `key` itself or lies below it: `$.keys[1].n` below `$.keys[1]`, not `$.keys[10]`.
fn within(path: &str, key: &str) -> bool {
    !key.is_empty()
        && path
            .strip_prefix(key)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The entry of the document a path lies in: `$.keys[2]` of `$.keys[2].n`.
fn entry(path: &str) -> &str {
    path.find(']').map_or(path, |end| &path[..=end])
}

/// Where an entry stands in the document; what is about all of it comes first.
fn position(path: &str) -> usize {
    let number = entry(path).trim_end_matches(']').rsplit('[').next();
    number.and_then(|number| number.parse::<usize>().ok()).map_or(0, |number| number + 1)
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Repaired => "repaired",
        Effect::Dropped => "dropped",
        Effect::LeftOut => "left_out",
        Effect::Noted => "noted",
    }
}

fn change(change: &Change) -> ChangeRow {
    ChangeRow {
        path: change.path.clone(),
        code: change.code.to_owned(),
        before: change.before.clone(),
        after: change.after.clone(),
    }
}

fn sets(
    rooms: &Rooms<'_>,
    handles: &[(State, std::sync::Arc<IssuerHandle>)],
    ring: &KeyringStatus,
) -> Vec<SetView> {
    let mut paths = vec![COMMON_PATH.to_owned()];
    for (_, handle) in handles {
        paths.extend(handle.settings().jwks_paths.iter().cloned());
    }
    let mut seen = std::collections::HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    paths.truncate(MAX_SETS);
    paths.into_iter().map(|path| set(rooms, path, ring)).collect()
}

fn set(rooms: &Rooms<'_>, path: String, ring: &KeyringStatus) -> SetView {
    let Ok(set) = rooms.publisher.for_path(&path) else {
        return SetView { path, max_age: 0, keys: Vec::new() };
    };
    let document: serde_json::Value = serde_json::from_slice(&set.body).unwrap_or_default();
    let text = |key: &serde_json::Value, member: &str| {
        key[member].as_str().map(ToOwned::to_owned).unwrap_or_default()
    };
    let entries = document["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let keys = entries.iter().map(|key| {
        let kid = text(key, "kid");
        let own = ring.keys.iter().any(|one| one.kid == kid);
        let curve = text(key, "crv");
        ServedKey {
            kind: if curve.is_empty() { text(key, "kty") } else { curve },
            alg: text(key, "alg"),
            origin: if own { "own" } else { "issuer" }.to_owned(),
            kid,
        }
    });
    SetView { keys: keys.collect(), path, max_age: set.max_age }
}

fn signing(key: &KeyView) -> SigningView {
    let retired = key.state == KeyState::Retired;
    SigningView {
        kid: key.kid.clone(),
        alg: key.alg,
        state: key.state.name(),
        published: Some(key.published),
        signs_from: Some(key.activated.unwrap_or(key.usable)),
        signs_until: key.retired,
        leaves: retired.then_some(key.latest_exp),
    }
}

fn store(ring: &KeyringStatus, keeps_sets: bool) -> StoreView {
    StoreView {
        store: ring.store.clone(),
        error: ring.error.as_ref().map(|fault| LastError {
            code: fault.code.to_owned(),
            text: fault.text.clone(),
            at: fault.since,
        }),
        next_change: ring.next_change,
        rotation_asked: ring.rotation_asked,
        full: ring.full,
        key_sets_in_memory: !keeps_sets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_belongs_to_one_key_only() {
        assert!(within("$.keys[1].n", "$.keys[1]"));
        assert!(within("$.keys[1]", "$.keys[1]"));
        assert!(!within("$.keys[10].n", "$.keys[1]"));
        assert!(!within("$.keys[1]", "$.keys[1].n"));
        assert!(!within("$.keys[1]", ""));
        assert_eq!(entry("$.keys[1].x5c[0]"), "$.keys[1]");
        assert_eq!((position("$"), position("$[0].n"), position("$.keys[10]")), (0, 1, 11));
    }
}
