//! Collects one [`Status`] from the status of every module. It only reads.

use super::status::{
    IssuerView, KeyRow, MAX_ISSUERS, ProfileStatus, ServedKey, SetView, SetupView, SigningView,
    Status,
};
use super::{StatusSource, health};
use crate::auth_config::{self, Provider};
use crate::issuer::publisher::COMMON_PATH;
use crate::issuer::{IssuerHandle, IssuerStatus};
use crate::jose::jwk::PublicJwk;
use crate::jose::jwks::{Change, Report};
use crate::jose::names::UnixTime;
use crate::jose::publish::PublishedKids;
use crate::jose::report::Effect;
use crate::keyring::{KeyState, KeyView, KeyringStatus};
use crate::profile::Tolerance;

/// Most providers in the block for `auth.config.ts`.
const MAX_PROVIDERS: usize = 20;
/// Most sets that are shown key by key.
const MAX_SETS: usize = 50;

/// The status now.
pub fn collect(source: &StatusSource, started: UnixTime) -> Status {
    let profile = source.proxy.bridge.profile();
    let ring = source.keyring.status();
    let mut handles: Vec<_> =
        source.issuers.iter().map(|handle| (handle.status(), handle)).collect();
    let issuers_total = handles.len();
    // Issuers with a fault first, so that none of them is cut off.
    handles.sort_by(|(a, _), (b, _)| (a.state, &a.name).cmp(&(b.state, &b.name)));
    let sets = sets(source, &handles, &ring);
    handles.truncate(MAX_ISSUERS);
    let setup = setup(source, &handles, &ring);
    let issuers = handles.into_iter().map(|(issuer, handle)| IssuerView {
        keys: keys(source, &handle, issuer.report.as_ref()),
        issuer,
    });
    Status {
        version: env!("CARGO_PKG_VERSION"),
        now: source.proxy.clock.now().secs(),
        started: started.secs(),
        profile: ProfileStatus {
            name: profile.name.to_string(),
            accepts: profile.accepts.iter().map(|alg| alg.name()).collect(),
            publish: {
                let all = profile.tolerates.iter().chain(profile.tolerates_bare.iter());
                all.map(|alg| alg.name()).collect()
            },
        },
        issuers: issuers.collect(),
        issuers_total,
        discovery: source.issuers.discovery().as_deref().cloned(),
        setup,
        sets,
        signing: ring.keys.iter().map(signing).collect(),
        store: ring,
        key_sets_in_memory: !source.issuers.keeps_sets(),
        ready: health::readiness(source),
        upstream: source.proxy.upstream_status(),
        tokens: source.proxy.bridge.status(),
        traffic: source.proxy.status(),
        log_lines_lost: crate::log::lost_lines(),
    }
}

/// The issuer's document, entry by entry: the keys read from it, and what was not read.
fn keys(source: &StatusSource, handle: &IssuerHandle, report: Option<&Report>) -> Vec<KeyRow> {
    let Some(snapshot) = handle.snapshot() else { return Vec::new() };
    let kids = source.proxy.publisher.kids_for(handle.name());
    let mut rest = report.map(|report| report.changes.clone()).unwrap_or_default();
    let mut rows: Vec<KeyRow> = Vec::new();
    for (key, path) in snapshot.keys.with_paths() {
        let of_key = |change: &mut Change| within(&change.path, path);
        let mut changes: Vec<Change> = rest.extract_if(.., of_key).collect();
        let served_as = kids.kid_of(key.thumbprint()).map(ToString::to_string);
        let effect = match (&served_as, changes.is_empty()) {
            (None, _) => "left_out",
            (Some(_), true) => "same",
            (Some(_), false) => "repaired",
        };
        changes.extend(left_out(source, key, path, &kids));
        let kid_before = key.kid().map(ToString::to_string);
        let alg = snapshot.keys.published_alg(key).map(|alg| alg.name());
        rows.push(KeyRow { path: path.to_owned(), kid_before, effect, served_as, alg, changes });
    }
    // The remaining changes are about dropped entries, or about the document as a whole.
    for change in rest {
        let path = entry(&change.path).to_owned();
        match rows.iter_mut().find(|row| row.path == path && row.served_as.is_none()) {
            Some(row) => row.changes.push(change),
            None => rows.push(KeyRow {
                path,
                effect: effect(change.effect),
                changes: vec![change],
                ..KeyRow::default()
            }),
        }
    }
    rows.sort_by_key(|row| position(&row.path));
    rows
}

/// Why a good key is not in the served set.
fn left_out(
    source: &StatusSource,
    key: &PublicJwk,
    path: &str,
    kids: &PublishedKids,
) -> Option<Change> {
    let alg = key.published_alg()?;
    let outside = kids.kid_of(key.thumbprint()).is_none()
        && source.proxy.bridge.profile().tolerance(alg) == Tolerance::None;
    outside.then(|| Change {
        path: format!("{path}.alg"),
        code: "alg_profile",
        effect: Effect::LeftOut,
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

/// The entry of the document that contains a path: `$.keys[2]` of `$.keys[2].n`.
fn entry(path: &str) -> &str {
    path.find(']').map_or(path, |end| &path[..=end])
}

/// The position of an entry in the document. Changes of the whole document come first.
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

fn setup(
    source: &StatusSource,
    handles: &[(IssuerStatus, std::sync::Arc<IssuerHandle>)],
    ring: &KeyringStatus,
) -> SetupView {
    let public_url = source.proxy.server.public_url.as_ref().map(ToString::to_string);
    let public_url = public_url.map(|url| url.trim_end_matches('/').to_owned());
    let algorithm = ring.keys.iter().find(|key| key.kid == ring.active).map(|key| key.alg);
    let mut providers = Vec::new();
    // The template of a multi-tenant issuer is not an `iss`, so it gives no provider.
    for (_, handle) in handles {
        let settings = handle.settings();
        let policy = &settings.policy;
        let own = settings.jwks_paths.first().filter(|_| handles.len() > 1);
        let audiences = policy.audience.accept.iter().map(|one| Some(one.to_string()));
        let mut audiences: Vec<_> = audiences.collect();
        if audiences.is_empty() {
            let missing = policy.audience.when_missing.as_ref();
            audiences.push(missing.map(|missing| missing.audience.to_string()));
        }
        let issuers = match &policy.output_issuer {
            Some(issuer) => std::slice::from_ref(issuer),
            None => &policy.issuers,
        };
        for issuer in issuers {
            providers.extend(audiences.iter().map(|audience| Provider {
                issuer: issuer.to_string(),
                jwks_path: own.map_or(COMMON_PATH, String::as_str).to_owned(),
                algorithm: algorithm.unwrap_or("RS256").to_owned(),
                audience: audience.clone(),
            }));
        }
        if providers.len() >= MAX_PROVIDERS {
            break;
        }
    }
    providers.truncate(MAX_PROVIDERS);
    let issuer = providers.first().map(|one| one.issuer.clone());
    let issuer = issuer.filter(|issuer| providers.iter().all(|one| one.issuer == *issuer));
    let convex = source.proxy.bridge.profile().name == "convex" && !providers.is_empty();
    let auth_config = convex.then(|| auth_config::file(&providers, public_url.as_deref()));
    SetupView { public_url, issuer, auth_config }
}

fn sets(
    source: &StatusSource,
    handles: &[(IssuerStatus, std::sync::Arc<IssuerHandle>)],
    ring: &KeyringStatus,
) -> Vec<SetView> {
    let mut paths = vec![COMMON_PATH.to_owned()];
    for (_, handle) in handles {
        paths.extend(handle.settings().jwks_paths.iter().cloned());
    }
    let mut seen = std::collections::HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    paths.truncate(MAX_SETS);
    paths.into_iter().map(|path| set(source, path, ring)).collect()
}

fn set(source: &StatusSource, path: String, ring: &KeyringStatus) -> SetView {
    let Ok(set) = source.proxy.publisher.for_path(&path) else {
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
