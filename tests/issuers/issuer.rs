//! An issuer's keys over time: one fetch whatever the load, outages, restarts, rotations, and what verifiers
//! see of it.

use crate::support::parts;
use std::sync::Arc;
use std::time::Duration;

use crate::support::fault_issuer::{FaultIssuer, Reply};
use crate::support::parts::{Parts, eventually, issuer, issuers};
use crate::support::signer::Signer;
use countersign::clock::Clock;
use countersign::issuer::publisher::COMMON_PATH;
use countersign::issuer::{IssuerHandle, NoSet, Source};
use countersign::jose::names::{Issuer, IssuerName};
use countersign::jose::thumbprint::Thumbprint;
use serde_json::Value;

fn key(kid: &str) -> Value {
    Signer::es256().jwk(kid)
}

fn kids(handle: &IssuerHandle) -> Vec<String> {
    let keys = handle.snapshot().unwrap();
    keys.keys.keys().iter().filter_map(|k| k.kid().map(ToString::to_string)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_on_a_cold_start_are_one_fetch() {
    let source = FaultIssuer::start(&[key("a")]).await;
    source.usually(Reply::Slow(Duration::from_millis(300)));
    let all =
        issuers(vec![issuer("one", Source::Url(source.url("/jwks")))], None, &Clock::system());
    let handle = all.by_iss("https://one.example").unwrap();
    let requests = (0..10_000).map(|i| {
        let handle = Arc::clone(&handle);
        tokio::spawn(async move {
            let kid = if i % 2 == 0 { Some("a") } else { None };
            handle.fresh_for(kid).await.is_some_and(|set| set.keys.has_kid("a"))
        })
    });
    for request in futures::future::join_all(requests).await {
        assert!(request.unwrap());
    }
    assert_eq!(source.requests(), 1);
    assert!(all.by_iss("https://other.example").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_kids_costs_one_fetch_a_cooldown_failing_or_not() {
    for failing in [false, true] {
        let source = FaultIssuer::start(&[key("a")]).await;
        let mut settings = issuer("one", Source::Url(source.url("/jwks")));
        settings.refresh.cooldown = Duration::from_secs(3600);
        let all = issuers(vec![settings], None, &Clock::system());
        let handle = all.only().unwrap();
        assert!(handle.fresh_for(Some("a")).await.is_some());
        assert_eq!(source.requests(), 1);
        if failing {
            source.usually(Reply::status(500));
        }
        let flood = (0..2000).map(|i| {
            let handle = Arc::clone(&handle);
            tokio::spawn(async move { handle.fresh_for(Some(&format!("random-{i}"))).await })
        });
        for one in futures::future::join_all(flood).await {
            let set = one.unwrap().unwrap();
            assert!(set.keys.has_kid("a"), "what is there is the answer");
        }
        // The cooldown counts from the first fetch.
        assert_eq!(source.requests(), 1, "failing: {failing}");
    }
}

#[tokio::test]
async fn an_unknown_kid_waits_for_one_refetch_and_no_longer_than_it_may() {
    let source = FaultIssuer::start(&[key("a")]).await;
    let mut settings = issuer("one", Source::Url(source.url("/jwks")));
    settings.refresh.cooldown = Duration::ZERO;
    settings.refresh.unknown_kid_wait = Duration::from_millis(200);
    let all = issuers(vec![settings], None, &Clock::system());
    let handle = all.only().unwrap();
    let before = handle.fresh_for(Some("a")).await.unwrap();
    source.serve_keys(&[key("a"), key("b")]);
    let after = handle.fresh_for(Some("b")).await.unwrap();
    assert!(after.keys.has_kid("b"));
    assert!(after.epoch > before.epoch);
    assert_eq!(source.requests(), 2);
    source.usually(Reply::Stall);
    let still = handle.fresh_for(Some("c")).await.unwrap();
    assert!(still.keys.has_kid("b") && !still.keys.has_kid("c"));
}

#[tokio::test]
async fn a_restart_in_an_outage_serves_the_last_good_set_while_it_is_young_enough() {
    let dir = tempfile::tempdir().unwrap();
    let source = FaultIssuer::start(&[key("a")]).await;
    let settings = issuer("one", Source::Url(source.url("/jwks")));
    let clock = Clock::system();
    let first = issuers(vec![settings.clone()], Some(dir.path()), &clock).only().unwrap();
    first.fresh_for(None).await.unwrap();
    let file = dir.path().join("issuers/one.json");
    eventually("it is on disk", || file.exists()).await;
    source.refuse().await;

    let second = issuers(vec![settings.clone()], Some(dir.path()), &clock).only().unwrap();
    assert_eq!(kids(&second), ["a"], "no network was needed");
    let set = second.fresh_for(Some("nonsense")).await.unwrap();
    assert!(set.keys.has_kid("a"));

    // Keys from another source do not count.
    let mut moved = settings.clone();
    moved.source = Source::Url(source.url("/elsewhere"));
    let third = issuers(vec![moved], Some(dir.path()), &clock).only().unwrap();
    assert!(third.snapshot().is_none());

    let old: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let aged = |secs: i64| {
        let mut old = old.clone();
        old["fetched"] = (old["fetched"].as_i64().unwrap() - secs).into();
        std::fs::write(&file, old.to_string()).unwrap();
        issuers(vec![settings.clone()], Some(dir.path()), &clock).only().unwrap()
    };
    assert!(aged(7 * 86_400 - 60).snapshot().is_some());
    assert!(aged(7 * 86_400 + 60).snapshot().is_none());
    for nonsense in ["", "{}", "[1]", r#"{"format":1,"source":"","fetched":0,"document":{}}"#] {
        std::fs::write(&file, nonsense).unwrap();
        let fresh = issuers(vec![settings.clone()], Some(dir.path()), &clock).only().unwrap();
        assert!(fresh.snapshot().is_none(), "{nonsense}");
    }
}

#[tokio::test]
async fn what_an_issuer_leaks_is_not_written_to_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut leaking = key("a");
    leaking["d"] = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I".into();
    let source = FaultIssuer::start(&[leaking, key("b")]).await;
    let settings = issuer("one", Source::Url(source.url("/jwks")));
    let all = issuers(vec![settings], Some(dir.path()), &Clock::system());
    all.only().unwrap().fresh_for(None).await.unwrap();
    let file = dir.path().join("issuers/one.json");
    eventually("it is on disk", || file.exists()).await;
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains("c2VjcmV0") && text.contains("\"b\""), "{text}");
}

#[tokio::test]
async fn an_etag_saves_the_body_and_keeps_the_epoch() {
    let source = FaultIssuer::start(&[key("a")]).await;
    source.usually(Reply::Tagged("\"one\"".into()));
    let mut settings = issuer("one", Source::Url(source.url("/jwks")));
    settings.refresh.min_age = Duration::from_secs(1);
    settings.refresh.default_age = Duration::from_secs(1);
    let all = issuers(vec![settings], None, &Clock::system());
    let handle = all.only().unwrap();
    let before = handle.fresh_for(None).await.unwrap();
    eventually("it was asked again", || handle.status().fetches.contains_key("not_modified")).await;
    assert!(source.last_head().contains("if-none-match: \"one\""));
    assert_eq!(before.epoch, handle.snapshot().unwrap().epoch);
    assert_eq!(handle.status().fetches["ok"], 1);
}

#[tokio::test]
async fn the_same_kid_with_new_material_is_a_new_set_under_a_new_name() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (Signer::es256(), Signer::es256());
    let source = FaultIssuer::start(&[old.jwk("a")]).await;
    let mut settings = issuer("one", Source::Url(source.url("/jwks")));
    settings.refresh.cooldown = Duration::ZERO;
    let parts = Parts::start(vec![settings], dir.path(), Clock::system()).await;
    let handle = parts.issuers.only().unwrap();
    let first = parts.publisher.wait_for_path(COMMON_PATH).await.unwrap();
    let epoch = handle.snapshot().unwrap().epoch;
    source.serve_keys(&[new.jwk("a")]);
    handle.fresh_for(Some("x")).await.unwrap();
    assert_eq!(handle.snapshot().unwrap().epoch, epoch + 1);
    eventually("it is published", || {
        parts.publisher.for_path(COMMON_PATH).unwrap().etag != first.etag
    })
    .await;
    let set = parts.publisher.for_path(COMMON_PATH).unwrap();
    let key = handle.snapshot().unwrap().keys.keys()[0].thumbprint().clone();
    assert!(!set.kids.serves("a", &key), "a cache keyed on kid would go on using the old key");
    assert!(set.kids.serves(key.as_str(), &key));
}

fn thumbprint(handle: &IssuerHandle, kid: &str) -> Thumbprint {
    let set = handle.snapshot().unwrap();
    let found = set.keys.keys().iter().find(|k| k.kid().is_some_and(|k| k.as_str() == kid));
    found.unwrap().thumbprint().clone()
}

/// A verifier keeps its copy for `max-age`. A token of a key that is not in the copy must not pass
/// unchanged.
#[tokio::test]
async fn a_new_key_of_the_issuer_counts_as_served_only_when_every_copy_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::scaled(100.0);
    let source = FaultIssuer::start(&[key("a")]).await;
    let mut settings = issuer("one", Source::Url(source.url("/jwks")));
    settings.refresh.cooldown = Duration::ZERO;
    let name = IssuerName::parse("one").unwrap();
    let parts = Parts::start(vec![settings.clone()], dir.path(), clock.clone()).await;
    parts.publisher.wait_for_path(COMMON_PATH).await.unwrap();
    let handle = parts.issuers.only().unwrap();
    let a = thumbprint(&handle, "a");
    assert!(parts.publisher.kids_for(&name).serves("a", &a), "no copy can lack the first ones");
    let (from, old) = (clock.now(), key("b"));
    source.serve_keys(&[key("a2"), old.clone()]);
    assert!(handle.fresh_for(Some("b")).await.unwrap().keys.has_kid("b"));
    let b = thumbprint(&handle, "b");
    eventually("it is published", || {
        parts.publisher.for_path(COMMON_PATH).unwrap().kids.serves("b", &b)
    })
    .await;
    assert!(!parts.publisher.kids_for(&name).serves("b", &b), "but not in every copy");
    eventually("it has settled", || parts.publisher.kids_for(&name).serves("b", &b)).await;
    assert!(clock.now().since(from) >= parts::MAX_AGE);

    // Copies outlive the process, so the history of what is in them must too.
    eventually("it is on disk", || dir.path().join("issuers/published.json").exists()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    parts.stop();
    source.serve_keys(&[old, key("c")]);
    let again = Parts::start(vec![settings], dir.path(), clock).await;
    let handle = again.issuers.only().unwrap();
    handle.fresh_for(Some("c")).await.unwrap();
    let c = thumbprint(&handle, "c");
    eventually("both are published", || {
        again.publisher.for_path(COMMON_PATH).is_ok_and(|set| set.kids.serves("c", &c))
    })
    .await;
    let settled = again.publisher.kids_for(&name);
    assert!(settled.serves("b", &b) && !settled.serves("c", &c));
}

#[tokio::test]
async fn a_removed_key_stays_only_for_the_grace_it_was_given() {
    let clock = Clock::scaled(100.0);
    for grace in [0u64, 600] {
        let source = FaultIssuer::start(&[key("a"), key("b")]).await;
        let mut settings = issuer("one", Source::Url(source.url("/jwks")));
        settings.refresh.cooldown = Duration::ZERO;
        settings.refresh.removed_key_grace = Duration::from_secs(grace);
        settings.refresh.min_age = Duration::from_secs(20);
        settings.refresh.default_age = Duration::from_secs(20);
        let all = issuers(vec![settings], None, &clock);
        let handle = all.only().unwrap();
        handle.fresh_for(None).await.unwrap();
        source.serve_keys(&[key("c")]);
        let removed = clock.now();
        handle.fresh_for(Some("c")).await.unwrap();
        if grace == 0 {
            assert_eq!(kids(&handle), ["c"]);
            continue;
        }
        assert_eq!(kids(&handle), ["c", "a", "b"]);
        eventually("the grace ends", || kids(&handle) == ["c"]).await;
        assert!(clock.now().since(removed) >= Duration::from_secs(600));
    }
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes_whatever_the_schedule_says() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jwks.json");
    let write = |kid: &str| {
        let text = serde_json::json!({ "keys": [key(kid)] }).to_string();
        std::fs::write(dir.path().join("new"), text).unwrap();
        std::fs::rename(dir.path().join("new"), &file).unwrap();
    };
    write("a");
    let all = issuers(vec![issuer("one", Source::File(file.clone()))], None, &Clock::scaled(20.0));
    let handle = all.only().unwrap();
    handle.fresh_for(None).await.unwrap();
    assert_eq!(kids(&handle), ["a"]);
    write("b");
    eventually("the change is seen", || kids(&handle) == ["b"]).await;
    std::fs::write(&file, "half a docu").unwrap();
    eventually("it is told", || handle.status().last_error.is_some()).await;
    assert_eq!(kids(&handle), ["b"], "the last good one stays");
    write("c");
    eventually("the repair is seen", || kids(&handle) == ["c"]).await;
}

#[tokio::test]
async fn keys_that_stand_one_by_one_are_fetched_by_kid() {
    let source = FaultIssuer::start(&[]).await;
    let pem_of = |signer: &Signer| {
        let jwk = signer.jwk("x");
        serde_json::to_vec(&jwk).unwrap()
    };
    source.usually(Reply::status(404));
    for kid in ["k-1", "k-2"] {
        source.at(&format!("/keys/{kid}"), Reply::Raw(200, vec![], pem_of(&Signer::es256())));
    }
    let mut settings = issuer("one", Source::UrlPerKid(source.url("/keys/").to_string() + "{kid}"));
    settings.refresh.cooldown = Duration::from_secs(3600);
    let all = issuers(vec![settings], None, &Clock::system());
    let handle = all.only().unwrap();
    let (one, two) = tokio::join!(handle.fresh_for(Some("k-1")), handle.fresh_for(Some("k-2")));
    assert!(one.unwrap().keys.has_kid("k-1"));
    assert!(two.unwrap().keys.has_kid("k-2"));
    // The first fetch may be the timer's, which has no kid to ask for.
    let before = source.requests();
    assert!(before <= 2, "{before}");
    for bad in ["../admin", "a/b", "k-1?x=1", "%2e%2e"] {
        handle.fresh_for(Some(bad)).await.unwrap();
    }
    assert_eq!(source.requests(), before, "nothing of that is asked for");
    for i in 0..50 {
        handle.fresh_for(Some(&format!("no-{i}"))).await.unwrap();
    }
    assert!(source.requests() <= before + 1, "one miss, then the cooldown");
}

#[tokio::test]
async fn no_set_is_an_error_with_the_issuers_code_and_never_an_empty_set() {
    let dir = tempfile::tempdir().unwrap();
    let source = FaultIssuer::start(&[key("a")]).await;
    source.usually(Reply::status(500));
    let settings = issuer("one", Source::Url(source.url("/jwks")));
    let parts = Parts::start(vec![settings], dir.path(), Clock::system()).await;
    let error = parts.publisher.wait_for_path(COMMON_PATH).await.unwrap_err();
    assert_eq!(error.code(), "upstream_status");
    assert_eq!(parts.publisher.for_path("/nowhere").unwrap_err(), NoSet::NotAPath);
}

#[tokio::test]
async fn before_any_issuer_is_learnt_there_is_no_set() {
    // A verifier would cache our own keys alone for a whole max-age, without the issuer's.
    let dir = tempfile::tempdir().unwrap();
    let parts = Parts::start(Vec::new(), dir.path(), Clock::system()).await;
    assert_eq!(parts.publisher.for_path(COMMON_PATH).unwrap_err(), NoSet::NoIssuer(None));
    let source = FaultIssuer::start(&[key("a")]).await;
    let settings = issuer("one", Source::Url(source.url("/jwks")));
    parts.issuers.reload(vec![settings]).unwrap();
    eventually("the learnt issuer's set", || {
        let set = parts.publisher.for_path(COMMON_PATH);
        set.is_ok_and(|set| String::from_utf8_lossy(&set.body).contains(r#""kid":"a""#))
    })
    .await;
}

#[tokio::test]
async fn keys_strangers_share_are_not_served() {
    // With these keys a verifier could not tell our load balancer's tokens from a stranger's.
    let dir = tempfile::tempdir().unwrap();
    let source = FaultIssuer::start(&[key("a")]).await;
    let mut settings = issuer("one", Source::Url(source.url("/jwks")));
    settings.jwks_paths = vec!["/one/jwks".into()];
    let open = settings.clone();
    settings.policy.headers = vec![("signer".into(), "me".into())];
    let parts = Parts::start(vec![settings.clone()], dir.path(), Clock::system()).await;
    let own = parts.keyring.snapshot().active.kid().to_string();
    let handle = parts.issuers.only().unwrap();
    let served = async |path: &str| {
        let set = parts.publisher.wait_for_path(path).await.unwrap();
        let set: Value = serde_json::from_slice(&set.body).unwrap();
        let keys = set["keys"].as_array().unwrap();
        keys.iter().map(|k| k["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for path in [COMMON_PATH, "/one/jwks"] {
        assert_eq!(served(path).await, [own.as_str()], "{path}");
    }
    assert_eq!(kids(&handle), ["a"], "verified with, not served");
    // A reload can add and remove the requirement.
    for (settings, count) in [(open, 2), (settings, 1)] {
        parts.issuers.reload(vec![settings]).unwrap();
        let mut left = 500;
        while served(COMMON_PATH).await.len() != count {
            assert!(left > 0, "the set still has not {count}");
            left -= 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// As when a start with another `public_url` finds another `jwks_uri` than the stored document had.
#[tokio::test]
async fn what_a_reload_replaces_is_not_fetched_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (FaultIssuer::start(&[key("a")]).await, FaultIssuer::start(&[key("b")]).await);
    old.usually(Reply::status(500));
    let settings = |source: &FaultIssuer| issuer("one", Source::Url(source.url("/jwks")));
    let parts = Parts::start(vec![settings(&old)], dir.path(), Clock::system()).await;
    let replaced = Arc::downgrade(&parts.issuers.only().unwrap());
    eventually("the old source was asked", || old.requests() > 0).await;
    parts.issuers.reload(vec![settings(&new)]).unwrap();
    eventually("the old issuer is gone", || replaced.strong_count() == 0).await;
    eventually("the new source was asked", || new.requests() > 0).await;
}

#[tokio::test]
async fn keys_of_two_issuers_never_stand_in_one_set() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (FaultIssuer::start(&[key("a")]).await, FaultIssuer::start(&[key("b")]).await);
    let mut first = issuer("one", Source::Url(one.url("/jwks")));
    first.jwks_paths = vec!["/one/jwks".into()];
    let mut second = issuer("two", Source::Url(two.url("/jwks")));
    second.jwks_paths = vec!["/two/jwks".into()];
    let parts = Parts::start(vec![first, second.clone()], dir.path(), Clock::system()).await;
    let own = parts.keyring.snapshot().active.kid().to_string();
    let mut seen = Vec::new();
    for path in [COMMON_PATH, "/one/jwks", "/two/jwks"] {
        let set = parts.publisher.wait_for_path(path).await.unwrap();
        let set: Value = serde_json::from_slice(&set.body).unwrap();
        let kids: Vec<_> =
            set["keys"].as_array().unwrap().iter().map(|k| k["kid"].clone()).collect();
        seen.push(kids);
    }
    assert_eq!(seen[0], std::slice::from_ref(&own));
    assert_eq!(seen[1], [own.clone(), "a".into()]);
    assert_eq!(seen[2], [own.clone(), "b".into()]);
    // Only one issuer is left: it has the common path.
    parts.issuers.reload(vec![second]).unwrap();
    eventually("the paths follow the configuration", || {
        !parts.publisher.is_jwks_path("/one/jwks")
            && parts
                .publisher
                .for_path(COMMON_PATH)
                .is_ok_and(|set| String::from_utf8_lossy(&set.body).contains("\"b\""))
    })
    .await;
    assert_eq!(two.requests(), 1, "the keys of an issuer that stays are kept");
}

#[tokio::test]
async fn a_reload_is_all_or_nothing() {
    let clock = Clock::system();
    let all = issuers(vec![issuer("one", Source::Inline(set("a")))], None, &clock);
    let broken = vec![issuer("two", Source::Inline(set("b"))), issuer("two", Source::Secrets)];
    assert!(all.reload(broken).is_err());
    let broken = vec![issuer("two", Source::Inline("<html>".into()))];
    assert!(all.reload(broken).is_err());
    let mut twin = issuer("two", Source::Secrets);
    twin.policy.issuers = issuer("one", Source::Secrets).policy.issuers;
    assert!(all.reload(vec![issuer("one", Source::Secrets), twin]).is_err());
    assert_eq!(kids(&all.by_iss("https://one.example").unwrap()), ["a"]);
}

/// A multi-tenant issuer.
fn many(name: &str, template: &str) -> countersign::issuer::IssuerSettings {
    use countersign::jose::tenants::{Allowed, IssuerTemplate, Tenants};
    let mut one = issuer(name, Source::Secrets);
    let templates = vec![IssuerTemplate::parse(template).unwrap()];
    one.policy.issuers.clear();
    one.policy.tenants = Some(Tenants { templates, claim: "tid".into(), allow: Allowed::Any });
    one
}

#[tokio::test]
async fn a_tenant_finds_its_issuer_among_ten_thousand() {
    let mut settings: Vec<_> = (0..10_000)
        .map(|i| many(&format!("i{i}"), &format!("https://i{i}.example/{{t}}/v2")))
        .collect();
    settings.push(many("first", "https://two.example/{t}/b"));
    settings.push(many("second", "https://two.example/a/{t}"));
    let mut plain = issuer("plain", Source::Secrets);
    plain.policy.issuers = vec![Issuer::parse("https://i1.example/own/v2").unwrap()];
    settings.push(plain);
    let all = issuers(settings, None, &Clock::system());
    let name = |iss: &str| all.by_iss(iss).map(|handle| handle.name().to_string());
    assert_eq!(name("https://i7777.example/some-tenant/v2").as_deref(), Some("i7777"));
    // An exact `iss` comes before a pattern.
    assert_eq!(name("https://i1.example/own/v2").as_deref(), Some("plain"));
    assert_eq!(name("https://i1.example/other/v2").as_deref(), Some("i1"));
    assert_eq!(name("https://two.example/x/b").as_deref(), Some("first"));
    assert_eq!(name("https://two.example/a/x").as_deref(), Some("second"));
    // If two patterns match, there is no issuer.
    assert_eq!(name("https://two.example/a/b"), None);
    for other in [
        "https://i7777.example/{t}/v2",
        "https://i7777.example/{}/v2",
        "https://i7777.example/a/b/v2",
        "https://i7777.example/a%2f/v2",
        "https://i7777.example//v2",
        "https://i7777.example/v2",
        "https://i7777.example/a/v2/",
        "https://i7777.example.evil/a/v2",
    ] {
        assert_eq!(name(other), None, "{other}");
    }
    let twins = vec![many("a", "https://a.example/{x}"), many("b", "https://a.example/{y}")];
    assert!(all.reload(twins).is_err());
    assert_eq!(name("https://i7777.example/t/v2").as_deref(), Some("i7777"));
}

fn set(kid: &str) -> String {
    serde_json::json!({ "keys": [key(kid)] }).to_string()
}

#[tokio::test]
async fn ten_thousand_issuers_fetch_nothing_until_somebody_asks() {
    let dir = tempfile::tempdir().unwrap();
    let source = FaultIssuer::start(&[key("a")]).await;
    let settings: Vec<_> = (0..10_000)
        .map(|i| {
            let mut one = issuer(&format!("i{i}"), Source::Url(source.url(&format!("/{i}/jwks"))));
            one.jwks_paths = vec![format!("/i{i}/jwks")];
            one
        })
        .collect();
    let parts = Parts::start(settings, dir.path(), Clock::system()).await;
    let handle = parts.issuers.by_iss("https://i7777.example").unwrap();
    assert!(handle.fresh_for(Some("a")).await.is_some());
    assert!(parts.publisher.wait_for_path("/i4242/jwks").await.is_ok());
    assert_eq!(source.requests(), 2);
}

/// Tomcat answers 400 to a malformed tag, other servers 412 to any.
#[tokio::test]
async fn after_a_refused_condition_the_next_fetch_has_none() {
    for status in [400, 412] {
        let source = FaultIssuer::start(&[key("a")]).await;
        let mut settings = issuer("one", Source::Url(source.url("/jwks")));
        settings.refresh.min_age = Duration::from_secs(1);
        source.usually(Reply::Set(vec!["ETag: abc".into(), "Cache-Control: max-age=0".into()]));
        let clock = Clock::system();
        let all = issuers(vec![settings], None, &clock);
        let handle = all.only().unwrap();
        handle.fresh_for(None).await.unwrap();
        source.serve_keys(&[key("a"), key("b")]);
        source.next([Reply::status(status)]);
        eventually("the condition was refused", || handle.status().last_error.is_some()).await;
        assert!(source.last_head().contains("if-none-match: abc"));
        eventually("the new key is there", || kids(&handle) == ["a", "b"]).await;
        assert!(!source.last_head().contains("if-none-match"), "{}", source.last_head());
    }
}

/// A tag derived from the configuration, or from a file's time and size, stays when the keys change.
#[tokio::test]
async fn a_kid_is_looked_for_without_a_condition() {
    let source = FaultIssuer::start(&[key("a")]).await;
    let mut settings = issuer("one", Source::Url(source.url("/jwks")));
    settings.refresh.cooldown = Duration::ZERO;
    source.usually(Reply::Tagged("\"conf\"".into()));
    let all = issuers(vec![settings], None, &Clock::system());
    let handle = all.only().unwrap();
    handle.fresh_for(Some("a")).await.unwrap();
    source.serve_keys(&[key("b")]);
    let set = handle.fresh_for(Some("b")).await.unwrap();
    assert!(set.keys.has_kid("b"));
    assert!(!source.last_head().contains("if-none-match"), "{}", source.last_head());
}
