//! The ring in files: rights, crashes, several processes, a full disk, keys from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "a test stops at the first surprise"
)]

#[path = "support/parts.rs"]
mod parts;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use countersign::clock::Clock;
use countersign::jose::alg::Alg;
use countersign::jose::names::UnixTime;
use countersign::jose::sign::SigningKey;
use countersign::keyring::{Keyring, KeyringSettings, Office, StoreSettings};
use parts::{eventually, ring_settings};
use tokio::sync::watch;

async fn open(dir: &Path) -> Arc<Keyring> {
    Keyring::open(ring_settings(dir), Clock::system()).await.unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn offices(ring: &Keyring) -> Vec<(Office, String)> {
    ring.snapshot().keys.iter().map(|k| (k.office, k.kid.clone())).collect()
}

#[tokio::test]
async fn the_first_key_is_made_once_and_nobody_else_may_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("a/b");
    let kid = open(&place).await.snapshot().active.kid().clone();
    assert_eq!(mode(&place), 0o700);
    assert_eq!(mode(&place.join("keys.json")), 0o600);
    assert_eq!(*open(&place).await.snapshot().active.kid(), kid);
    fs::set_permissions(place.join("keys.json"), fs::Permissions::from_mode(0o640)).unwrap();
    let error = Keyring::open(ring_settings(&place), Clock::system()).await.unwrap_err();
    assert_eq!(error.code(), "store_permissions");
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[tokio::test]
async fn a_corrupt_ring_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).await;
    let file = dir.path().join("keys.json");
    let whole = fs::read_to_string(&file).unwrap();
    for text in ["", "{}", "{\"format\":1}", &whole[..whole.len() / 2], "\u{0}\u{0}\u{0}"] {
        fs::write(&file, text).unwrap();
        let error = Keyring::open(ring_settings(dir.path()), Clock::system()).await.unwrap_err();
        assert_eq!(error.code(), "store_corrupt", "{text:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "never replaced");
    }
}

#[tokio::test]
async fn a_new_key_is_published_first_and_an_old_one_stays_for_its_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::scaled(200.0);
    let ring = Keyring::open(ring_settings(dir.path()), clock.clone()).await.unwrap();
    let (stop, shutdown) = watch::channel(false);
    let task = tokio::spawn({
        let ring = Arc::clone(&ring);
        async move { ring.run(shutdown).await }
    });
    let first = ring.snapshot().active.kid().clone();
    let exp = clock.now().plus(Duration::from_secs(1200));
    ring.note_signed(exp).await;
    let before = clock.now();
    ring.rotate(false).await.unwrap();
    let snapshot = ring.snapshot();
    assert_eq!(*snapshot.active.kid(), first, "the new key does not sign yet");
    assert_eq!(snapshot.public.len(), 2, "but is published");
    eventually("it takes over", || *ring.snapshot().active.kid() != first).await;
    assert!(clock.now().since(before) >= parts::MAX_AGE + Duration::from_secs(5));
    let retired = offices(&ring).into_iter().find(|(o, _)| *o == Office::Retired);
    assert_eq!(retired.map(|(_, kid)| kid), Some(first.to_string()));
    eventually("it leaves", || offices(&ring).len() == 1).await;
    assert!(clock.now() > exp);
    stop.send(true).unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn the_horizon_of_a_token_is_on_disk_before_the_token_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let ring = open(dir.path()).await;
    let exp = UnixTime::from_secs(4_000_000_000);
    ring.note_signed(exp).await;
    // What a process that dies right now leaves behind.
    let after = open(dir.path()).await;
    assert!(after.snapshot().keys[0].horizon >= exp.secs());
    let epoch = ring.snapshot().epoch;
    for i in 0..500 {
        ring.note_signed(UnixTime::from_secs(exp.secs() + i)).await;
    }
    assert_eq!(ring.snapshot().epoch, epoch, "no write for tokens within the step");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_directory_rotate_once() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::scaled(500.0);
    let settings = KeyringSettings {
        rotate_every: Some(Duration::from_secs(1000)),
        max_age: Duration::from_secs(60),
        ..ring_settings(dir.path())
    };
    let (stop, shutdown) = watch::channel(false);
    let mut rings = Vec::new();
    for _ in 0..3 {
        let ring = Keyring::open(settings.clone(), clock.clone()).await.unwrap();
        let (one, shutdown) = (Arc::clone(&ring), shutdown.clone());
        tokio::spawn(async move { one.run(shutdown).await });
        rings.push(ring);
    }
    let mut seen = std::collections::BTreeSet::new();
    let start = clock.now();
    while clock.now().since(start) < Duration::from_secs(3600) {
        for ring in &rings {
            let snapshot = ring.snapshot();
            seen.insert(snapshot.active.kid().to_string());
            assert!(snapshot.public.len() <= 4, "{:?}", snapshot.keys);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send(true).unwrap();
    assert!((3..=5).contains(&seen.len()), "one key in each 1000 s: {}", seen.len());
}

/// Somebody who may write to the directory lays links where files are to be written.
#[tokio::test]
async fn a_private_key_is_never_written_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let (victim, bait) = (elsewhere.path().join("victim"), elsewhere.path().join("bait"));
    fs::write(&victim, "mine").unwrap();
    let ring = open(dir.path()).await;
    let temporary = dir.path().join("keys.json.tmp");
    symlink(&victim, &temporary).unwrap();
    ring.rotate(true).await.unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    assert!(temporary.is_symlink(), "it is not ours, and stays");
    // In the file's own place: replaced, not followed.
    let file = dir.path().join("keys.json");
    fs::rename(&file, &bait).unwrap();
    symlink(&bait, &file).unwrap();
    let before = fs::read(&bait).unwrap();
    ring.rotate(true).await.unwrap();
    assert_eq!(fs::read(&bait).unwrap(), before);
    assert!(!file.is_symlink() && mode(&file) == 0o600);
    // In the place of the lock: refused, and nothing is made where it points.
    let lock = dir.path().join("keys.lock");
    fs::remove_file(&lock).unwrap();
    let made = elsewhere.path().join("made");
    symlink(&made, &lock).unwrap();
    let error = ring.rotate(true).await.unwrap_err();
    assert_eq!(error.code(), "store_io");
    assert!(error.to_string().contains("keys.lock"), "{error}");
    assert!(!made.exists());
}

/// Nobody else may read the file for a moment either, nor guess its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_beside_is_private_from_the_first_moment() {
    let dir = tempfile::tempdir().unwrap();
    let ring = open(dir.path()).await;
    // What a process killed in the middle leaves, goes with the next change.
    let left = dir.path().join("keys.json.0123456789abcdef.tmp");
    fs::write(&left, "a private key").unwrap();
    ring.rotate(true).await.unwrap();
    assert!(!left.exists());

    let seen = Arc::new(std::sync::Mutex::new(std::collections::BTreeMap::new()));
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let watching = std::thread::spawn({
        let (dir, seen, over) = (dir.path().to_owned(), seen.clone(), over.clone());
        move || {
            while !over.load(std::sync::atomic::Ordering::SeqCst) {
                for entry in fs::read_dir(&dir).unwrap().flatten() {
                    let name = entry.file_name().into_string().unwrap();
                    if let (true, Ok(meta)) = (name.ends_with(".tmp"), entry.metadata()) {
                        seen.lock().unwrap().insert(name, meta.permissions().mode() & 0o777);
                    }
                }
            }
        }
    });
    let mut exp = ring.snapshot().keys[0].horizon;
    for _ in 0..3000 {
        // Each a write.
        exp += 10_000;
        ring.note_signed(UnixTime::from_secs(exp)).await;
        if seen.lock().unwrap().len() >= 3 {
            break;
        }
    }
    over.store(true, std::sync::atomic::Ordering::SeqCst);
    watching.join().unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.len() >= 3, "{seen:?}");
    assert!(seen.values().all(|mode| *mode == 0o600), "{seen:?}");
}

#[tokio::test]
async fn a_ring_that_was_deleted_is_written_again_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    let ring = open(dir.path()).await;
    let kid = ring.snapshot().active.kid().clone();
    fs::remove_file(dir.path().join("keys.json")).unwrap();
    ring.turn_once().await;
    assert_eq!(*open(dir.path()).await.snapshot().active.kid(), kid);
}

fn pem() -> (String, String) {
    let key = SigningKey::generate(Alg::Es256).unwrap();
    let block = pem::Pem::new("PRIVATE KEY", key.to_pkcs8().unwrap().to_vec());
    (key.kid().to_string(), pem::encode(&block))
}

#[tokio::test]
async fn keys_laid_down_from_outside_follow_the_same_rules() {
    let dir = tempfile::tempdir().unwrap();
    let (first, text) = pem();
    fs::write(dir.path().join("tls.key"), text).unwrap();
    let clock = Clock::scaled(500.0);
    let settings = KeyringSettings {
        store: StoreSettings::ReadOnly(dir.path().to_owned()),
        ..ring_settings(dir.path())
    };
    let ring = Keyring::open(settings.clone(), clock.clone()).await.unwrap();
    assert_eq!(ring.snapshot().active.kid().as_str(), first);
    assert_eq!(ring.rotate(false).await.unwrap_err().code(), "store_read_only");
    let (_stop, shutdown) = watch::channel(false);
    let one = Arc::clone(&ring);
    tokio::spawn(async move { one.run(shutdown).await });
    // Another key in its place: published at once, signing when every copy has run out.
    let (second, text) = pem();
    let changed = clock.now();
    fs::write(dir.path().join("new"), text).unwrap();
    fs::rename(dir.path().join("new"), dir.path().join("tls.key")).unwrap();
    eventually("it is published", || ring.snapshot().public.len() == 2).await;
    assert_eq!(ring.snapshot().active.kid().as_str(), first);
    eventually("it signs", || ring.snapshot().active.kid().as_str() == second).await;
    assert!(clock.now().since(changed) >= parts::MAX_AGE);
    // No key, two keys: the ring in memory goes on.
    fs::write(dir.path().join("other.pem"), pem().1).unwrap();
    eventually("it is told", || ring.status().error.is_some()).await;
    assert_eq!(ring.snapshot().active.kid().as_str(), second);
    let error = Keyring::open(settings, clock).await.unwrap_err();
    assert!(error.to_string().contains("2 key files that may sign"), "{error}");
    assert!(!dir.path().join("keys.json").exists(), "nothing is written");
}

fn keys(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_countersign"))
        .arg("keys")
        .args(args)
        .arg("--data-dir")
        .arg(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_command_lists_rotates_imports_and_exports() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("data");
    let none = keys(&place, &["list"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&none.stderr).contains("hint: "), "{none:?}");
    let (kid, private) = pem();
    fs::write(dir.path().join("mine.pem"), &private).unwrap();
    let file = dir.path().join("mine.pem").display().to_string();
    assert!(text(&keys(&place, &["import", &file])).contains(&kid));
    assert!(text(&keys(&place, &["import", &file])).contains("already"));
    let list = text(&keys(&place, &["list"]));
    assert!(list.contains(&kid) && list.contains("active"), "{list}");
    assert!(text(&keys(&place, &["rotate"])).contains("signs in 6 min"));
    let views: serde_json::Value =
        serde_json::from_str(&text(&keys(&place, &["list", "--json"]))).unwrap();
    assert_eq!(views.as_array().unwrap().len(), 2);
    assert_eq!(views[0]["office"], "active");
    assert!(text(&keys(&place, &["rotate", "--now"])).contains("signs now"));

    let public = text(&keys(&place, &["export", "--public"]));
    let set: serde_json::Value = serde_json::from_str(&public).unwrap();
    assert_eq!(set["keys"].as_array().unwrap().len(), 2);
    assert!(!public.contains("\"d\""), "{public}");
    let uri = text(&keys(&place, &["export", "--public", "--data-uri"]));
    let body = uri.trim().strip_prefix("data:application/json;charset=utf-8;base64,").unwrap();
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&decoded).unwrap(), set);

    // A backup brings the ring back.
    let backup = text(&keys(&place, &["export"]));
    assert_eq!(backup.matches("BEGIN PRIVATE KEY").count(), 2);
    let copy = dir.path().join("backup.pem");
    fs::write(&copy, backup.split_inclusive("-----END PRIVATE KEY-----\n").next().unwrap())
        .unwrap();
    let restored = dir.path().join("restored");
    text(&keys(&restored, &["import", &copy.display().to_string()]));
    let active = |place: &Path| {
        let views: serde_json::Value =
            serde_json::from_str(&text(&keys(place, &["list", "--json"]))).unwrap();
        views.as_array().unwrap().iter().find(|k| k["office"] == "active").unwrap()["kid"].clone()
    };
    assert_eq!(active(&restored), active(&place));
    let bad = keys(&place, &["import", "/dev/null"]);
    assert_eq!(bad.status.code(), Some(2));
}
