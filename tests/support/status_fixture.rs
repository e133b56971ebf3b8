//! A status with a sample of everything, and an attacker's text wherever text comes from outside.

use std::collections::BTreeMap;

use countersign::admin::health::Readiness;
use countersign::admin::status::{
    IssuerView, KeyRow, ProfileStatus, ServedKey, SetView, SetupView, SigningView, Status,
};
use countersign::bridge::{BridgeStatus, CacheStatus, QueueStatus, RefusalCount, TokenCount};
use countersign::histogram::{Bucket, Distribution};
use countersign::issuer::discovery::{Belief, DiscoveryState, DiscoveryStatus};
use countersign::issuer::{IssuerState, IssuerStatus};
use countersign::jose::jwks::{Change, Report};
use countersign::jose::report::{Alarm, Effect};
use countersign::keyring::KeyringStatus;
use countersign::proxy::counters::ProxyStatus;
use countersign::proxy::health::UpstreamStatus;
use countersign::status::Fault;

pub const NOW: i64 = 1_800_000_000;
/// Markup that would run in the page if a value were inserted unescaped.
pub const EVIL: &str =
    r#"<img src=x onerror="globalThis.owned=1"><script>globalThis.owned=1</script>"#;

fn issuer(name: &str, state: IssuerState) -> IssuerView {
    let issuer = IssuerStatus {
        name: name.into(),
        issuers: vec![format!("https://{name}.example/oidc")],
        source: format!("https://{name}.example/oidc/jwks"),
        state,
        fetched: Some(NOW - 120),
        next_refresh: Some(NOW + 180),
        last_error: None,
        fetches: BTreeMap::from([("ok", 12)]),
        store_error: None,
        report: None,
    };
    IssuerView { issuer, keys: Vec::new() }
}

fn alarm(path: &str, code: &'static str, members: &[&str]) -> Option<Report> {
    let members = members.iter().map(ToString::to_string).collect();
    Some(Report { alarms: vec![Alarm { path: path.into(), code, members }], ..Report::default() })
}

fn row(path: &str, kid: Option<&str>, effect: &'static str, changes: Vec<Change>) -> KeyRow {
    let served = matches!(effect, "same" | "repaired");
    KeyRow {
        path: path.into(),
        kid_before: kid.map(Into::into),
        effect,
        served_as: served.then(|| kid.unwrap_or("tYfhs8vPjkU0Sg3aN6RzX2").into()),
        alg: served.then_some("RS256"),
        changes,
    }
}

fn change(path: &str, code: &'static str, before: Option<&str>, after: Option<&str>) -> Change {
    Change {
        path: path.into(),
        code,
        effect: Effect::Repaired,
        before: before.map(Into::into),
        after: after.map(Into::into),
    }
}

pub fn status() -> Status {
    let mut login = issuer("login", IssuerState::Fresh);
    login.keys = vec![
        row("$.keys[0]", Some("2024-signing"), "same", vec![]),
        row(
            "$.keys[1]",
            Some("9f86d081"),
            "repaired",
            vec![
                change("$.keys[1].n", "b64_padding", Some("hr20wSRX…=="), Some("hr20wSRX…")),
                change("$.keys[1].e", "e_integer", Some("65537"), Some("AQAB")),
            ],
        ),
        row(
            "$.keys[2]",
            Some("es384"),
            "left_out",
            vec![change("$.keys[2]", "alg_profile", Some("ES384"), None)],
        ),
        row("$.keys[3]", None, "dropped", vec![change("$.keys[3]", "rsa_small", None, None)]),
    ];
    login.issuer.report = alarm("$.keys[1]", "private_key_leaked", &["d", "p"]);
    let mut down = issuer("down", IssuerState::Stale);
    down.issuer.last_error = Some(Fault {
        code: "connect",
        text: "connection refused (os error 111)".into(),
        at: NOW - 30,
    });
    let mut evil = issuer("evil", IssuerState::Cold);
    evil.issuer.name = EVIL.into();
    evil.issuer.issuers = vec![EVIL.into(), "javascript:globalThis.owned=1".into()];
    evil.issuer.source = EVIL.into();
    evil.issuer.last_error = Some(Fault { code: EVIL, text: EVIL.into(), at: NOW });
    evil.issuer.fetches = BTreeMap::from([(EVIL, 1)]);
    evil.keys =
        vec![row(EVIL, Some(EVIL), "repaired", vec![change(EVIL, EVIL, Some(EVIL), Some(EVIL))])];
    evil.issuer.report = alarm(EVIL, EVIL, &[EVIL]);
    let key = |kid: &str, alg: &str, origin: &str| ServedKey {
        kid: kid.into(),
        kind: "RSA".into(),
        alg: alg.into(),
        origin: origin.into(),
    };
    let ring = |kid: &str, state, published, from, until, leaves| SigningView {
        kid: kid.into(),
        alg: "RS256",
        state,
        published,
        signs_from: from,
        signs_until: until,
        leaves,
    };
    Status {
        version: "0.1.0",
        now: NOW,
        started: NOW - 90_000,
        ready: Readiness {
            ready: false,
            degraded: true,
            reasons: vec![format!("issuer {EVIL}: no key set yet"), "issuer down: stale".into()],
        },
        profile: ProfileStatus {
            name: "convex".into(),
            accepts: vec!["RS256"],
            publish: vec!["RS256", "ES256"],
        },
        upstream: Some(UpstreamStatus {
            address: EVIL.into(),
            last_answer: Some(NOW - 50),
            failing_since: Some(NOW - 42),
            recent_failures: 7,
            last_error: Some(Fault { code: EVIL, text: EVIL.into(), at: NOW - 1 }),
        }),
        log_lines_lost: 2,
        issuers: vec![login, down, evil],
        issuers_total: 3,
        discovery: Some(DiscoveryStatus {
            state: DiscoveryState::Learnt,
            issuer: Some(EVIL.into()),
            belief: Some(Belief::PrivateUpstream),
            keys: Some(EVIL.into()),
            reason: None,
            text: EVIL.into(),
            looked: NOW,
        }),
        setup: SetupView {
            public_url: Some(EVIL.into()),
            issuer: Some(EVIL.into()),
            auth_config: Some(EVIL.into()),
        },
        sets: vec![
            SetView {
                path: "/.well-known/jwks.json".into(),
                max_age: 300,
                keys: vec![
                    key("Yk3vS0oWmUbm0mQF3iJ7c2k1V8m4vKq9uTn1wEs9Xhg", "RS256", "own"),
                    key(EVIL, EVIL, EVIL),
                ],
            },
            SetView { path: "/oidc/jwks".into(), max_age: 300, keys: vec![] },
        ],
        signing: vec![
            ring("n-Xt-key", "next", Some(NOW - 60), Some(NOW + 300), None, None),
            ring("Yk3vS0oWmUbm0mQF3iJ7", "active", Some(NOW - 4000), Some(NOW - 3600), None, None),
            ring(
                EVIL,
                "retired",
                Some(NOW - 9000),
                Some(NOW - 8600),
                Some(NOW - 3600),
                Some(NOW + 900),
            ),
        ],
        key_sets_in_memory: false,
        store: KeyringStatus {
            store: "file".into(),
            epoch: 3,
            active: "Yk3vS0oWmUbm0mQF3iJ7".into(),
            keys: Vec::new(),
            next_change: None,
            rotation_asked: false,
            full: true,
            error: None,
        },
        traffic: ProxyStatus::default(),
        tokens: BridgeStatus {
            countersigned: 12_345,
            passed: 678,
            refused: 9,
            restored: 3,
            by: vec![TokenCount {
                issuer: EVIL.into(),
                alg: "ES384",
                outcome: "countersigned",
                count: 12_345,
            }],
            refusals: vec![RefusalCount { issuer: "login".into(), code: "expired", count: 9 }],
            cache: CacheStatus { hits: 9000, misses: 1000, entries: 1000, bytes: 1 << 20 },
            queue: QueueStatus { depth: 0, limit: 64, threads: 2, overloaded: 0 },
            latency: Distribution {
                buckets: vec![
                    Bucket { le: Some(0.0005), count: 10 },
                    Bucket { le: Some(0.001), count: 400 },
                    Bucket { le: Some(0.005), count: 30 },
                    Bucket { le: None, count: 1 },
                ],
                sum: 0.4,
            },
        },
    }
}

/// The status one minute after a start without a reachable auth server.
pub fn empty() -> Status {
    Status {
        started: NOW - 60,
        ready: Readiness {
            ready: false,
            degraded: true,
            reasons: vec!["no issuer is known: not looked yet".into()],
        },
        upstream: Some(UpstreamStatus {
            address: "https://auth.example.com".into(),
            last_answer: None,
            failing_since: None,
            recent_failures: 0,
            last_error: None,
        }),
        issuers: Vec::new(),
        issuers_total: 0,
        discovery: None,
        setup: SetupView::default(),
        sets: Vec::new(),
        signing: Vec::new(),
        store: KeyringStatus { full: false, ..status().store },
        tokens: BridgeStatus::default(),
        ..status()
    }
}

/// The status after the auth server became unreachable.
pub fn down() -> Status {
    let text = "no connection to the auth server";
    let reason =
        format!("auth server https://auth.example.com: {text}; nothing but failures for 42 s");
    let mut login = status().issuers.remove(0);
    login.issuer.report = None;
    login.issuer.state = IssuerState::Failing;
    login.issuer.last_error =
        Some(Fault { code: "status", text: "the server answered 502".into(), at: NOW - 30 });
    let mut signing = status().signing;
    signing.pop();
    let mut tokens = status().tokens;
    tokens.by[0].issuer = "login".into();
    let own = ServedKey {
        kid: "Yk3vS0oWmUbm0mQF3iJ7c2k1V8m4vKq9uTn1wEs9Xhg".into(),
        kind: "RSA".into(),
        alg: "RS256".into(),
        origin: "own".into(),
    };
    let set = |path: &str| SetView { path: path.into(), max_age: 300, keys: vec![own.clone()] };
    let provider = countersign::auth_config::Provider {
        issuer: "https://auth.example.com".into(),
        jwks_path: "/.well-known/jwks.json".into(),
        algorithm: "RS256".into(),
        audience: Some("my-app".into()),
    };
    let public_url = "https://login.example.com";
    Status {
        ready: Readiness { ready: true, degraded: true, reasons: vec![reason] },
        upstream: Some(UpstreamStatus {
            address: "https://auth.example.com".into(),
            last_answer: Some(NOW - 44),
            failing_since: Some(NOW - 42),
            recent_failures: 7,
            last_error: Some(Fault {
                code: "upstream_unreachable",
                text: text.into(),
                at: NOW - 1,
            }),
        }),
        issuers: vec![login],
        issuers_total: 1,
        discovery: None,
        setup: SetupView {
            public_url: Some(public_url.into()),
            issuer: Some(provider.issuer.clone()),
            auth_config: Some(countersign::auth_config::file(&[provider], Some(public_url))),
        },
        sets: vec![set("/.well-known/jwks.json"), set("/oidc/jwks")],
        signing,
        store: KeyringStatus { full: false, ..status().store },
        tokens,
        ..status()
    }
}
