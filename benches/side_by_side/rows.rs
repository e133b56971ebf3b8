//! One function for each row of the table.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use crate::load::{self, each_once, wrk};
use crate::plan::Plan;
use crate::process::{LOAD_CORE, SERVER_CORE};
use crate::report::{Goal, Report, at_least};
use crate::setting::{BIG, EXCHANGE, ISSUER, JWKS, Setting, binary};
use crate::stats::{Pair, Run, median, spread};
use crate::tokens::{Issuer, exchange_request};

pub(crate) type Row = fn(&Plan, &mut Report);

pub(crate) const ALL: &[(u32, Row)] = &[
    (1, jwks_from_memory),
    (3, pass_through),
    (4, large_bodies),
    (5, exchange_new),
    (6, exchange_beside_node),
    (7, exchange_seen),
    (8, token_answer_seen),
    (9, jwks_while_signing),
    (10, start),
    (11, memory),
    (12, size),
    (13, growth),
    (14, access_log),
    (15, pass_through_beside_nginx),
];

const CONNECTIONS: usize = 32;
const TOKENS_RULE: &str = "[[tokens]]\npath = \"/token\"\njson = [\"access_token\"]\n";

/// Rows 1 and 2: the set from memory, whole and as 304.
fn jwks_from_memory(plan: &Plan, report: &mut Report) {
    let setting = Setting::new();
    let ours = setting.countersign(setting.upstream_addr, "");
    let (_, body) = load::get(ours.addr, JWKS);
    let (_nginx, nginx) = setting.caching_nginx(&body);
    let (our_url, peer_url) = (setting.url(ours.addr, JWKS), setting.url(nginx, "/published.json"));
    let pair = Pair::alternate(
        plan.rounds,
        || wrk(&our_url, CONNECTIONS, plan.seconds, &[]),
        || wrk(&peer_url, CONNECTIONS, plan.seconds, &[]),
    );
    let work = format!("GET JWKS from memory ({} B, keep-alive, 32 connections)", body.len());
    let goal = Goal { rate: 1.5, p99: Some(0.8) };
    report.pair("1", &work, "nginx `proxy_cache` hit", "req/s", &pair, goal);

    let our_tag = format!("If-None-Match: {}", etag(ours.addr, JWKS));
    let peer_tag = format!("If-None-Match: {}", etag(nginx, "/published.json"));
    let pair = Pair::alternate(
        plan.rounds,
        || wrk(&our_url, CONNECTIONS, plan.seconds, &[&our_tag]),
        || wrk(&peer_url, CONNECTIONS, plan.seconds, &[&peer_tag]),
    );
    report.pair("2", "the same, If-None-Match → 304", "nginx", "req/s", &pair, at_least(1.0));
}

/// The `ETag` that a server sends, after a check that it answers 304 to it.
fn etag(addr: SocketAddr, path: &str) -> String {
    let out = Command::new("curl").args(["-sI", &format!("http://{addr}{path}")]).output().unwrap();
    let head = String::from_utf8_lossy(&out.stdout).into_owned();
    let tag = head.lines().find_map(|l| {
        l.to_ascii_lowercase().starts_with("etag:").then(|| l[5..].trim().to_owned())
    });
    let tag = tag.unwrap_or_else(|| panic!("no ETag: {head}"));
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tag}\r\n\r\n");
    assert_eq!(load::Connection::open(addr).send(request.as_bytes()), 304);
    tag
}

fn pass_through(plan: &Plan, report: &mut Report) {
    let setting = Setting::new();
    let ours = setting.countersign(setting.upstream_addr, "");
    let (_bare, bare) = setting.bare_proxy(setting.upstream_addr);
    let pair = Pair::alternate(
        plan.rounds,
        || wrk(&setting.url(ours.addr, "/1k"), CONNECTIONS, plan.seconds, &[]),
        || wrk(&setting.url(bare, "/1k"), CONNECTIONS, plan.seconds, &[]),
    );
    report.pair("3", "pass-through of 1 KiB", "bare pingora", "req/s", &pair, at_least(0.93));
}

/// Row 14: the same with an access line for each request, the default, into a file.
fn access_log(plan: &Plan, report: &mut Report) {
    let (on, off) = (Setting::new(), Setting::new());
    let (logged, silent) = (on.logging("info"), off.logging("info,countersign::access=off"));
    let pair = Pair::alternate(
        plan.rounds,
        || wrk(&on.url(logged.addr, "/1k"), CONNECTIONS, plan.seconds, &[]),
        || wrk(&off.url(silent.addr, "/1k"), CONNECTIONS, plan.seconds, &[]),
    );
    let lines = std::fs::read_to_string(on.log_path()).unwrap().lines().count();
    assert!(lines > 1000, "no access log was written: {lines} lines");
    let work = "pass-through of 1 KiB, access log on (the default)";
    report.pair("14", work, "access log off", "req/s", &pair, at_least(0.9));
}

/// Row 15: row 3 beside nginx. Both add the same header fields.
fn pass_through_beside_nginx(plan: &Plan, report: &mut Report) {
    let setting = Setting::new();
    let ours = setting.countersign(setting.upstream_addr, "");
    let (_nginx, nginx) = setting.passing_nginx();
    let (_bare, bare) = setting.bare_proxy(setting.upstream_addr);
    let run = |addr| wrk(&setting.url(addr, "/1k"), CONNECTIONS, plan.seconds, &[]);
    let pair = Pair::alternate(plan.rounds, || run(ours.addr), || run(nginx));
    let work = "pass-through of 1 KiB, the same header fields";
    report.reported("15", work, "nginx `proxy_pass`, keep-alive", "req/s", &pair);
    let pair = Pair::alternate(plan.rounds, || run(bare), || run(nginx));
    let work = "the same by bare pingora, which adds none";
    report.reported("15", work, "nginx `proxy_pass`, keep-alive", "req/s", &pair);
}

fn large_bodies(plan: &Plan, report: &mut Report) {
    let setting = Setting::new();
    let ours = setting.countersign(setting.upstream_addr, "");
    let (_bare, bare) = setting.bare_proxy(setting.upstream_addr);
    // A warm-up on both sides, so that the growth is that of the transfer and not of the first connection.
    for addr in [ours.addr, bare] {
        load::download(addr, "/100m.bin", BIG);
    }
    let before = ours.process.resident_mib();
    let pair = Pair::alternate(
        plan.rounds,
        || load::download(ours.addr, "/100m.bin", BIG),
        || load::download(bare, "/100m.bin", BIG),
    );
    let down = ours.process.resident_mib() - before;
    report.pair("4", "100 MiB down", "bare pingora", "MiB/s", &pair, at_least(0.95));
    drop(ours);

    let sink = crate::peers::sink();
    let ours = setting.countersign(sink, "");
    let (_bare, bare) = setting.bare_proxy(sink);
    load::upload(ours.addr, "/sink", BIG);
    let before = ours.process.resident_mib();
    let pair = Pair::alternate(
        plan.rounds,
        || load::upload(ours.addr, "/sink", BIG),
        || load::upload(bare, "/sink", BIG),
    );
    let up = ours.process.resident_mib() - before;
    report.pair("4", "100 MiB up", "bare pingora", "MiB/s", &pair, at_least(0.95));
    let growth = down.max(up);
    let cell = format!("down {down:.1} MiB, up {up:.1} MiB");
    report.row(
        "4",
        "memory growth over these",
        cell,
        "–".into(),
        String::new(),
        "< 4 MiB",
        growth < 4.0,
    );
}

/// Requests with tokens never seen before.
fn fresh(setting: &Setting, from: usize, count: usize) -> Vec<Vec<u8>> {
    (from..from + count)
        .map(|n| exchange_request(EXCHANGE, &setting.issuer.token(ISSUER, n)))
        .collect()
}

fn exchange_new(plan: &Plan, report: &mut Report) {
    let setting = Setting::new();
    let ours = setting.countersign(setting.upstream_addr, "");
    let per_round = 1500 * plan.seconds as usize;
    let mut from = 1;
    let mut round = |addr: SocketAddr| {
        let requests = fresh(&setting, from, per_round);
        from += per_round;
        each_once(addr, CONNECTIONS, &requests)
    };
    let pair = Pair::alternate(
        plan.rounds,
        || round(ours.addr),
        || bare_crypto("--bare-crypto", plan.seconds),
    );
    let work = "exchange ES384 → RS256, every token new";
    report.pair("5", work, "one thread of aws-lc verify + sign", "op/s", &pair, at_least(0.88));
    drop(ours);
    let (_least, addr) = setting.least_exchange();
    let least =
        Pair::alternate(plan.rounds, || round(addr), || bare_crypto("--bare-crypto", plan.seconds));
    report.note(format!(
        "Row 5, the most there is to reach: a server that reads a request, verifies, signs, writes, and \
         does nothing else has {} beside the bare loop's {}: {:.2}×.",
        Pair::describe(&least.ours, "op/s"),
        Pair::describe(&least.peer, "op/s"),
        least.ratio(),
    ));
    let same = Pair::alternate(
        plan.rounds,
        || bare_crypto("--bare-jsonwebtoken", plan.seconds),
        || bare_crypto("--bare-crypto", plan.seconds),
    );
    report.note(format!(
        "Row 5, what verification by jsonwebtoken costs: the bare loop with it has {} beside {}: {:.2}×. \
         It parses an EC key at each verification.",
        Pair::describe(&same.ours, "op/s"),
        Pair::describe(&same.peer, "op/s"),
        same.ratio(),
    ));
}

fn bare_crypto(mode: &str, seconds: u32) -> Run {
    let me = std::env::current_exe().unwrap();
    let out = Command::new("taskset")
        .args(["-c", SERVER_CORE, &me.display().to_string(), mode, &seconds.to_string()])
        .output()
        .unwrap();
    Run { rate: String::from_utf8_lossy(&out.stdout).trim().parse().unwrap(), p99: 0.0 }
}

fn exchange_beside_node(plan: &Plan, report: &mut Report) {
    let setting = Setting::new();
    let ours = setting.countersign(setting.upstream_addr, "");
    let (_node, node) = setting.node();
    let per_round = 1000 * plan.seconds as usize;
    let from = std::cell::Cell::new(1);
    let round = |addr: SocketAddr| {
        let requests = fresh(&setting, from.get(), per_round);
        from.set(from.get() + per_round);
        each_once(addr, CONNECTIONS, &requests)
    };
    // Node's compiler needs its warm-up; the first round is not counted.
    round(node);
    let pair = Pair::alternate(plan.rounds, || round(ours.addr), || round(node));
    let goal = Goal { rate: 1.9, p99: Some(0.5) };
    report.pair("6", "the same", "Node + `jose`", "op/s", &pair, goal);
}

fn exchange_seen(plan: &Plan, report: &mut Report) {
    let setting = Setting::new();
    let ours = setting.countersign(setting.upstream_addr, "");
    let (_bare, bare) = setting.bare_proxy(setting.upstream_addr);
    let requests = vec![exchange_request(EXCHANGE, &setting.token); 8000 * plan.seconds as usize];
    let get = b"GET /1k HTTP/1.1\r\nHost: bench\r\n\r\n".to_vec();
    let gets = vec![get; requests.len()];
    let pair = Pair::alternate(
        plan.rounds,
        || each_once(ours.addr, CONNECTIONS, &requests),
        || each_once(bare, CONNECTIONS, &gets),
    );
    report.pair(
        "7",
        "exchange, token seen before",
        "row 3's bare pingora",
        "req/s",
        &pair,
        at_least(1.5),
    );
}

fn token_answer_seen(plan: &Plan, report: &mut Report) {
    let setting = Setting::new();
    let ours = setting.countersign(setting.upstream_addr, TOKENS_RULE);
    let (_bare, bare) = setting.bare_proxy(setting.upstream_addr);
    let (_, rewritten) = load::get(ours.addr, "/token");
    let (_, original) = load::get(bare, "/token");
    assert_ne!(rewritten, original, "the answer is not rewritten");
    let pair = Pair::alternate(
        plan.rounds,
        || wrk(&setting.url(ours.addr, "/token"), CONNECTIONS, plan.seconds, &[]),
        || wrk(&setting.url(bare, "/1k"), CONNECTIONS, plan.seconds, &[]),
    );
    let work = "token answer rewritten, token seen before";
    report.pair("8", work, "row 3's bare pingora", "req/s", &pair, at_least(0.85));
}

/// Few connections: with 32 in a closed loop, the percentile would measure their own queue.
fn jwks_while_signing(plan: &Plan, report: &mut Report) {
    const READERS: usize = 2;
    let setting = Setting::new();
    let ours = setting.countersign(setting.upstream_addr, "");
    let url = setting.url(ours.addr, JWKS);
    let requests = fresh(&setting, 1, 2500 * (plan.seconds as usize + 2) * plan.rounds);
    let per_round = requests.len() / plan.rounds;
    let mut rounds = requests.chunks(per_round);
    let pair = Pair::alternate(
        plan.rounds,
        || {
            let load = rounds.next().unwrap();
            std::thread::scope(|scope| {
                let signing = scope.spawn(|| each_once(ours.addr, CONNECTIONS, load));
                let run = wrk(&url, READERS, plan.seconds, &[]);
                assert!(!signing.is_finished(), "the signing load ended before the measurement");
                run
            })
        },
        || wrk(&url, READERS, plan.seconds, &[]),
    );
    let ratio = pair.p99_ratio();
    report.row(
        "9",
        "JWKS p99 while row 5 saturates signing, same core",
        Pair::describe(&pair.ours, "req/s"),
        format!("alone: {}", Pair::describe(&pair.peer, "req/s")),
        format!("p99 {ratio:.2}×"),
        "p99 ≤ 2×",
        ratio <= 2.0,
    );
}

fn start(plan: &Plan, report: &mut Report) {
    let setting = Setting::new();
    let first = setting.countersign(setting.upstream_addr, "");
    let (config, addr) = (setting.config_path(), first.addr);
    drop(first);
    let times: Vec<f64> = (0..plan.rounds.max(5))
        .map(|_| setting.start_again(&config, addr).started.as_secs_f64() * 1000.0)
        .collect();
    let (lo, hi) = spread(times.iter().copied());
    let mid = median(times);
    let cell = format!("{mid:.1} ms ({lo:.1}–{hi:.1})");
    let work = "start to first JWKS answer, keys and last good set on disk";
    report.row("10", work, cell, "–".into(), String::new(), "≤ 30 ms", mid <= 30.0);
}

fn memory(plan: &Plan, report: &mut Report) {
    let setting = Setting::with_issuer(Issuer::es256(), 2);
    let ours = setting.countersign(setting.upstream_addr, "[bridge]\ncache = \"64MiB\"\n");
    let idle = ours.process.resident_mib();
    report.row(
        "11",
        "resident memory, idle",
        format!("{idle:.1} MiB"),
        "–".into(),
        String::new(),
        "≤ 18 MiB",
        idle <= 18.0,
    );
    const BATCH: usize = 20_000;
    for from in (0..plan.million).step_by(BATCH) {
        each_once(
            ours.addr,
            CONNECTIONS,
            &fresh(&setting, from + 1, BATCH.min(plan.million - from)),
        );
    }
    let after = ours.process.resident_mib();
    let work = format!("after {} exchanges at 64 MiB cache", plan.million);
    report.row(
        "11",
        &work,
        format!("{after:.1} MiB"),
        "–".into(),
        String::new(),
        "≤ 120 MiB",
        after <= 120.0,
    );
}

/// What users get: the static binary, which is all that the image contains.
fn size(_plan: &Plan, report: &mut Report) {
    let binary = std::fs::metadata(binary()).unwrap().len() as f64 / 1_048_576.0;
    let made = std::env::var("BENCH_BINARY").map_or("as the benches build it", |_| "static");
    for (work, most) in [("binary, stripped", 18.0), ("image: the binary on nothing", 18.0)] {
        let cell = format!("{binary:.1} MiB, {made}");
        let reach = format!("≤ {most} MiB");
        report.row("12", work, cell, "–".into(), String::new(), &reach, binary <= most);
    }
}

/// Row 13: nothing on the request path grows with issuers, keys or connections.
fn growth(plan: &Plan, report: &mut Report) {
    let small = Setting::new();
    let base = small.countersign(small.upstream_addr, "");
    let base_url = small.url(base.addr, JWKS);
    let grow = |report: &mut Report, work: &str, pair: &Pair| {
        report.pair("13", work, "the same at 1", "op/s", pair, at_least(0.95));
    };

    let many = Setting::new();
    let others: String = (0..9_999)
        .map(|n| format!("[[issuer]]\nname = \"i{n}\"\nissuer = \"http://other{n}.bench\"\njwks = \"http://127.0.0.1:9/{n}\"\n"))
        .collect();
    let crowd = many.countersign(many.upstream_addr, &others);
    let per_round = 1000 * plan.seconds as usize;
    let from = std::cell::Cell::new(1);
    let exchange = |setting: &Setting, addr: SocketAddr| {
        let requests = fresh(setting, from.get(), per_round);
        from.set(from.get() + per_round);
        each_once(addr, CONNECTIONS, &requests)
    };
    let pair = Pair::alternate(
        plan.rounds,
        || exchange(&many, crowd.addr),
        || exchange(&small, base.addr),
    );
    grow(report, "exchange, 10,000 issuers", &pair);
    drop(crowd);

    let wide = Setting::with_issuer(Issuer::es384(), 999);
    let keys = wide.countersign(wide.upstream_addr, "");
    let pair =
        Pair::alternate(plan.rounds, || exchange(&wide, keys.addr), || exchange(&small, base.addr));
    grow(report, "exchange, 1,000 keys in the set", &pair);
    drop(keys);

    let pair = Pair::alternate(
        plan.rounds,
        || {
            let idle = idle_connections(base.addr, 10_000);
            let run = wrk(&base_url, CONNECTIONS, plan.seconds, &[]);
            drop(idle);
            run
        },
        || wrk(&base_url, CONNECTIONS, plan.seconds, &[]),
    );
    grow(report, "GET JWKS, 10,000 open connections beside", &pair);
    report.note(format!(
        "Row 13's connections are held by the load on core {LOAD_CORE}; each has sent one request."
    ));
}

fn idle_connections(addr: SocketAddr, count: usize) -> Vec<TcpStream> {
    use std::io::{Read as _, Write as _};
    let request = format!("GET {JWKS} HTTP/1.1\r\nHost: x\r\n\r\n");
    (0..count)
        .map(|_| {
            let mut stream =
                TcpStream::connect(addr).expect("too few file descriptors (ulimit -n)?");
            stream.write_all(request.as_bytes()).unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            stream
        })
        .collect()
}
