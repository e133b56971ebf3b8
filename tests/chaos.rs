//! The long faults, in a short form here and a long one by `make chaos`. Each prints its figures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    dead_code,
    reason = "a test stops at the first surprise, and these print their figures"
)]

#[path = "support/fault_issuer.rs"]
mod fault_issuer;
#[path = "support/parts.rs"]
mod parts;
#[path = "support/signer.rs"]
mod signer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use countersign::clock::Clock;
use countersign::issuer::Source;
use countersign::issuer::publisher::COMMON_PATH;
use fault_issuer::{FaultIssuer, Reply};
use parts::{Parts, eventually};
use signer::Signer;

fn long() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    std::env::var("COUNTERSIGN_CHAOS").is_ok_and(|v| v == "long")
}

fn faults() -> Vec<Reply> {
    let html = Reply::html();
    vec![
        Reply::Reset,
        Reply::status(500),
        html,
        Reply::Stall,
        Reply::status(429).with("Retry-After: 7"),
        Reply::Trickle(Duration::from_millis(20)),
        Reply::ShortBody,
        Reply::Raw(200, vec![], br#"{"keys":[]}"#.to_vec()),
        Reply::StallBody,
        Reply::Raw(200, vec![], br#"{"error":"internal"}"#.to_vec()),
        Reply::Garbage,
        Reply::Raw(200, vec![], vec![b'x'; 600_000]),
        Reply::redirect("https://login.example/"),
        Reply::LongBody,
        Reply::Close,
    ]
}

/// Ten minutes of an issuer's faults: every JWKS read after the first good one succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_minutes_of_faults_cost_no_read() {
    let factor = if long() { 15.0 } else { 60.0 };
    let clock = Clock::scaled(factor);
    let dir = tempfile::tempdir().unwrap();
    let issuer = FaultIssuer::start(&[Signer::es256().jwk("k0")]).await;
    let mut settings = parts::issuer("one", Source::Url(issuer.url("/jwks")));
    settings.refresh.min_age = Duration::from_secs(5);
    settings.refresh.default_age = Duration::from_secs(5);
    settings.refresh.cooldown = Duration::from_secs(5);
    settings.fetch.total_timeout = Duration::from_millis(150);
    let parts = Arc::new(Parts::start(vec![settings], dir.path(), clock.clone()).await);
    eventually("the first set", || parts.publisher.for_path(COMMON_PATH).is_ok()).await;

    let (reads, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let over = Arc::new(AtomicBool::new(false));
    let reader = {
        let (parts, reads, failed) = (Arc::clone(&parts), Arc::clone(&reads), Arc::clone(&failed));
        let over = Arc::clone(&over);
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let set = parts.publisher.for_path(COMMON_PATH);
                let good = set.is_ok_and(|set| set.body.len() > 100);
                reads.fetch_add(1, Ordering::Relaxed);
                failed.fetch_add(usize::from(!good), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        })
    };

    let start = clock.now();
    let faults = faults();
    let mut turn = 0usize;
    let mut rotations = 0;
    while clock.now().since(start) < Duration::from_secs(600) {
        match turn % 8 {
            6 => issuer.refuse().await,
            // A good spell, with new keys.
            7 => {
                issuer.come_back().await;
                rotations += 1;
                issuer.serve_keys(&[Signer::es256().jwk(&format!("k{rotations}"))]);
                issuer.usually(Reply::ok());
            }
            n => {
                issuer.come_back().await;
                issuer.usually(faults[(turn / 8 * 6 + n) % faults.len()].clone());
            }
        }
        clock.sleep(Duration::from_secs(if turn % 8 == 7 { 20 } else { 7 })).await;
        turn += 1;
    }
    issuer.come_back().await;
    issuer.usually(Reply::ok());
    rotations += 1;
    issuer.serve_keys(&[Signer::es256().jwk("last")]);
    eventually("it is found again", || {
        let set = parts.publisher.for_path(COMMON_PATH).unwrap();
        String::from_utf8_lossy(&set.body).contains("\"last\"")
    })
    .await;
    over.store(true, Ordering::Relaxed);
    reader.await.unwrap();

    let status = parts.issuers.only().unwrap().status();
    let (reads, failed) = (reads.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    println!(
        "ten minutes of faults: {reads} reads, {failed} failed; {} fetches, {} good, failed: {:?}; \
         {rotations} rotations",
        issuer.requests(),
        status.fetches.good,
        status.fetches.failed
    );
    assert_eq!(failed, 0);
    assert!(reads > 1000);
    assert!(status.fetches.failed.len() >= 5, "{:?}", status.fetches.failed);
    assert!(status.fetches.good >= 3);
}
