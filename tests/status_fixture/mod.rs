//! One status with a bit of everything, and an attacker's text wherever text comes from outside.

use countersign::admin::status::{
    AlarmView, Bucket, CacheView, ChangeRow, Histogram, IssuerView, KeyRow, LastError, Outcome,
    ProfileView, QueueView, Ready, RefusalCount, ServedKey, SetView, SigningView, State, Status,
    StoreView, TokenCount, Tokens, Traffic,
};
use countersign::issuer::discovery::{Belief, DiscoveryState, DiscoveryStatus};

pub const NOW: i64 = 1_800_000_000;
/// Would run in the page if any value reached it as markup.
pub const EVIL: &str =
    r#"<img src=x onerror="globalThis.owned=1"><script>globalThis.owned=1</script>"#;

fn issuer(name: &str, state: State) -> IssuerView {
    IssuerView {
        name: name.into(),
        issuers: vec![format!("https://{name}.example/oidc")],
        source: format!("https://{name}.example/oidc/jwks"),
        state,
        fetched: Some(NOW - 120),
        next_refresh: Some(NOW + 180),
        last_error: None,
        fetches: vec![Outcome { outcome: "ok".into(), count: 12 }],
        keys: Vec::new(),
        alarms: Vec::new(),
    }
}

fn row(path: &str, kid: Option<&str>, effect: &'static str, changes: Vec<ChangeRow>) -> KeyRow {
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

fn change(path: &str, code: &str, before: Option<&str>, after: Option<&str>) -> ChangeRow {
    ChangeRow {
        path: path.into(),
        code: code.into(),
        before: before.map(Into::into),
        after: after.map(Into::into),
    }
}

pub fn status() -> Status {
    let mut login = issuer("login", State::Fresh);
    login.keys = vec![
        row("$.keys[0]", Some("2024-signing"), "same", vec![]),
        row(
            "$.keys[1]",
            Some("9f86d081"),
            "repaired",
            vec![
                change("$.keys[1].n", "padding", Some("hr20wSRX…=="), Some("hr20wSRX…")),
                change("$.keys[1].e", "integer", Some("65537"), Some("AQAB")),
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
    login.alarms = vec![AlarmView {
        path: "$.keys[1]".into(),
        code: "private_key_leaked".into(),
        members: vec!["d".into(), "p".into()],
    }];
    let mut down = issuer("down", State::Stale);
    down.last_error = Some(LastError {
        code: "connect".into(),
        text: "connection refused (os error 111)".into(),
        at: NOW - 30,
    });
    let mut evil = issuer("evil", State::Cold);
    evil.name = EVIL.into();
    evil.issuers = vec![EVIL.into(), "javascript:globalThis.owned=1".into()];
    evil.source = EVIL.into();
    evil.last_error = Some(LastError { code: EVIL.into(), text: EVIL.into(), at: NOW });
    evil.fetches = vec![Outcome { outcome: EVIL.into(), count: 1 }];
    evil.keys =
        vec![row(EVIL, Some(EVIL), "repaired", vec![change(EVIL, EVIL, Some(EVIL), Some(EVIL))])];
    evil.alarms =
        vec![AlarmView { path: EVIL.into(), code: EVIL.into(), members: vec![EVIL.into()] }];
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
        ready: Ready {
            ready: false,
            reasons: vec![format!("issuer {EVIL}: no key set yet"), "issuer down: stale".into()],
        },
        profile: ProfileView {
            name: "convex".into(),
            accepts: vec!["RS256"],
            publish: vec!["RS256", "ES256"],
        },
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
        store: StoreView { store: "file".into(), ..StoreView::default() },
        traffic: Traffic::default(),
        tokens: Tokens {
            countersigned: 12_345,
            passed: 678,
            refused: 9,
            restored: 3,
            by: vec![TokenCount {
                issuer: EVIL.into(),
                alg: "ES384".into(),
                outcome: "countersigned",
                count: 12_345,
            }],
            refusals: vec![RefusalCount {
                issuer: "login".into(),
                code: "expired".into(),
                count: 9,
            }],
            cache: CacheView { hits: 9000, misses: 1000, entries: 1000, bytes: 1 << 20 },
            queue: QueueView { depth: 0, limit: 64, threads: 2, overloaded: 0 },
            latency: Histogram {
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
