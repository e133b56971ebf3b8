//! The ring in files: permissions, crashes, several processes, a full disk, keys from outside.

use crate::support::parts;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::support::parts::{eventually, ring_settings};
use base64::Engine as _;
use countersign::clock::Clock;
use countersign::jose::alg::Alg;
use countersign::jose::names::UnixTime;
use countersign::jose::sign::SigningKey;
use countersign::keyring::outside::{self, VariableError};
use countersign::keyring::{KeySource, KeyState, Keyring, KeyringSettings, StoreSettings, Uptake};
use serde_json::{Value, json};
use tokio::sync::watch;

async fn open(dir: &Path) -> Arc<Keyring> {
    Keyring::open(ring_settings(dir), Clock::system()).await.unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn states(ring: &Keyring) -> Vec<(KeyState, String)> {
    ring.snapshot().keys.iter().map(|k| (k.state, k.kid.clone())).collect()
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
    let retired = states(&ring).into_iter().find(|(o, _)| *o == KeyState::Retired);
    assert_eq!(retired.map(|(_, kid)| kid), Some(first.to_string()));
    eventually("it leaves", || states(&ring).len() == 1).await;
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
    // The state on disk if the process died right now.
    let after = open(dir.path()).await;
    assert!(after.snapshot().keys[0].latest_exp >= exp.secs());
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

/// An attacker who may write to the directory places links where files will be written.
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
    // A link in the file's own place is replaced, not followed.
    let file = dir.path().join("keys.json");
    fs::rename(&file, &bait).unwrap();
    symlink(&bait, &file).unwrap();
    let before = fs::read(&bait).unwrap();
    ring.rotate(true).await.unwrap();
    assert_eq!(fs::read(&bait).unwrap(), before);
    assert!(!file.is_symlink() && mode(&file) == 0o600);
    // A link in the place of the lock is refused, and no file is created at its target.
    let lock = dir.path().join("keys.lock");
    fs::remove_file(&lock).unwrap();
    let made = elsewhere.path().join("made");
    symlink(&made, &lock).unwrap();
    let error = ring.rotate(true).await.unwrap_err();
    assert_eq!(error.code(), "store_io");
    assert!(error.to_string().contains("keys.lock"), "{error}");
    assert!(!made.exists());
}

/// No other user may read the temporary file even for a moment, or guess its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_beside_is_private_from_the_first_moment() {
    let dir = tempfile::tempdir().unwrap();
    let ring = open(dir.path()).await;
    // The next change removes the leftovers of a killed process.
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
    let mut exp = ring.snapshot().keys[0].latest_exp;
    for _ in 0..3000 {
        // Each call writes.
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
    ring.tick().await;
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
        store: StoreSettings::Supplied(KeySource::Directory(dir.path().to_owned())),
        ..ring_settings(dir.path())
    };
    let ring = Keyring::open(settings.clone(), clock.clone()).await.unwrap();
    assert_eq!(ring.snapshot().active.kid().as_str(), first);
    assert_eq!(ring.rotate(false).await.unwrap_err().code(), "store_read_only");
    let (_stop, shutdown) = watch::channel(false);
    let one = Arc::clone(&ring);
    tokio::spawn(async move { one.run(shutdown).await });
    // Another key in its place: published at once, and signing once every copy has expired.
    let (second, text) = pem();
    let changed = clock.now();
    fs::write(dir.path().join("new"), text).unwrap();
    fs::rename(dir.path().join("new"), dir.path().join("tls.key")).unwrap();
    eventually("it is published", || ring.snapshot().public.len() == 2).await;
    assert_eq!(ring.snapshot().active.kid().as_str(), first);
    eventually("it signs", || ring.snapshot().active.kid().as_str() == second).await;
    assert!(clock.now().since(changed) >= parts::MAX_AGE);
    // With no key or two keys, the ring in memory stays in use.
    fs::write(dir.path().join("other.pem"), pem().1).unwrap();
    eventually("it is told", || ring.status().error.is_some()).await;
    assert_eq!(ring.snapshot().active.kid().as_str(), second);
    let error = Keyring::open(settings, clock).await.unwrap_err();
    assert!(error.to_string().contains("2 key files that may sign"), "{error}");
    assert!(!dir.path().join("keys.json").exists(), "nothing is written");
}

/// Runs a command in the folder of a ring, without any variable of this process.
fn countersign(dir: &Path, args: &[&str], vars: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .envs(vars.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn keys(dir: &Path, args: &[&str]) -> Output {
    let place = ["--data-dir", dir.to_str().unwrap()];
    countersign(dir.parent().unwrap(), &[&["keys"], args, &place].concat(), &[])
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&text(output)).unwrap()
}

/// The error text of a command that could not run.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_command_lists_rotates_imports_and_exports() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("data");
    let store = format!("file:{}", place.display());
    for args in [&["list"][..], &["rotate"], &["rotate", "--now"], &["export"]] {
        let said = refused(&keys(&place, args));
        assert!(said.contains(&format!("error: {store}: there are no keys yet")), "{said}");
        assert!(said.contains("hint: if your proxy uses another store"), "{said}");
        assert!(!place.exists(), "nothing was made by {args:?}");
    }
    let (kid, private) = pem();
    fs::write(dir.path().join("mine.pem"), &private).unwrap();
    let file = dir.path().join("mine.pem").display().to_string();
    let said = text(&keys(&place, &["import", &file]));
    assert!(said.contains(&kid) && said.contains(&store), "{said}");
    assert!(text(&keys(&place, &["import", &file])).contains("already"));
    let list = text(&keys(&place, &["list"]));
    assert!(list.starts_with(&format!("store: {store}\n")), "{list}");
    assert!(list.contains(&kid) && list.contains("active"), "{list}");
    let said = text(&keys(&place, &["rotate"]));
    assert!(said.contains(&store) && said.contains("signs in 6 min"), "{said}");
    assert!(said.contains("no proxy runs on this store now"), "{said}");
    let list = json(&keys(&place, &["list", "--json"]));
    assert_eq!((&list["store"], &list["rotation_asked"]), (&json!(store), &json!(true)));
    assert_eq!(list["keys"].as_array().unwrap().len(), 2);
    assert_eq!(list["keys"][0]["state"], "active");
    let rotated = json(&keys(&place, &["rotate", "--now", "--json"]));
    assert_eq!((&rotated["store"], &rotated["running"]), (&json!(store), &json!(0)));
    assert_eq!((&rotated["state"], &rotated["kid"]), (&json!("active"), &list["keys"][1]["kid"]));
    let bad = keys(&place, &["import", "/dev/null"]);
    assert_eq!(bad.status.code(), Some(2));
}

/// Public keys by default. Private keys go into a new file that no other user may read, and nowhere else.
#[test]
fn private_keys_are_exported_into_a_file_alone() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("data");
    fs::write(dir.path().join("mine.pem"), pem().1).unwrap();
    let file = dir.path().join("mine.pem").display().to_string();
    text(&keys(&place, &["import", &file]));
    text(&keys(&place, &["rotate", "--now"]));

    let public = text(&keys(&place, &["export"]));
    let set: Value = serde_json::from_str(&public).unwrap();
    assert_eq!(set["keys"].as_array().unwrap().len(), 2);
    assert!(!public.contains("\"d\""), "{public}");
    assert_eq!(text(&keys(&place, &["export", "--public"])), public);
    let uri = text(&keys(&place, &["export", "--data-uri"]));
    let body = uri.trim().strip_prefix("data:application/json;charset=utf-8;base64,").unwrap();
    let decoded = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&decoded).unwrap(), set);

    let backup = dir.path().join("backup.pem");
    let out = keys(&place, &["export", "--private", backup.to_str().unwrap()]);
    let said = text(&out);
    assert!(said.contains("2 private keys written to") && !said.contains("PRIVATE KEY"), "{said}");
    assert_eq!(mode(&backup), 0o600);
    let pems = fs::read_to_string(&backup).unwrap();
    assert_eq!(pems.matches("BEGIN PRIVATE KEY").count(), 2);
    // Never over an existing file, and never to a terminal.
    for other in [backup.to_str().unwrap(), "-", "/dev/stdout", "/dev/stderr"] {
        let said = refused(&keys(&place, &["export", "--private", other]));
        assert!(said.contains("a new file of mode 0600"), "{said}");
    }
    assert_eq!(fs::read_to_string(&backup).unwrap(), pems);

    // Only one of two keys would be imported.
    let restored = dir.path().join("restored");
    let said = refused(&keys(&restored, &["import", backup.to_str().unwrap()]));
    assert!(
        said.contains("it holds 2 private keys") && said.contains("openssl pkey -in"),
        "{said}"
    );
    assert!(!restored.exists(), "nothing was made");
    // A key that was taken out of use stays out of use.
    let retired = dir.path().join("retired.pem");
    fs::write(&retired, pems.split_inclusive("-----END PRIVATE KEY-----\n").nth(1).unwrap())
        .unwrap();
    let said = refused(&keys(&place, &["import", retired.to_str().unwrap()]));
    assert!(said.contains("the ring has retired this key"), "{said}");
    assert!(said.contains("hint: `countersign keys rotate` makes a new key"), "{said}");

    // A backup brings the ring back.
    let copy = dir.path().join("one.pem");
    fs::write(&copy, pems.split_inclusive("-----END PRIVATE KEY-----\n").next().unwrap()).unwrap();
    text(&keys(&restored, &["import", &copy.display().to_string()]));
    let active = |place: &Path| {
        let list = json(&keys(place, &["list", "--json"]));
        let keys = list["keys"].as_array().unwrap().clone();
        keys.into_iter().find(|k| k["state"] == "active").unwrap()["kid"].clone()
    };
    assert_eq!(active(&restored), active(&place));
}

/// Makes a ring in a folder, and returns its file.
async fn ring_in(dir: &tempfile::TempDir) -> std::path::PathBuf {
    open(dir.path()).await;
    dir.path().join("keys.json")
}

/// Anything else in the place of the ring is refused, by the proxy and by each command, at once and with a
/// line that says what it is. It is not changed.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_ring_of_ours_is_refused_and_never_replaced() {
    type Spoil = fn(&Path);
    fn edit(file: &Path, change: impl FnOnce(&mut Value)) {
        let mut ring: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        change(&mut ring);
        fs::write(file, ring.to_string()).unwrap();
    }
    let cases: [(&str, &str, Spoil); 11] = [
        ("store_not_a_file", "is a named pipe, not a file", |file| {
            fs::remove_file(file).unwrap();
            let made = Command::new("mkfifo").args(["-m", "600"]).arg(file).status().unwrap();
            assert!(made.success());
        }),
        ("store_not_a_file", "is a link that leads nowhere", |file| {
            fs::remove_file(file).unwrap();
            symlink("/nonexistent/keys.json", file).unwrap();
        }),
        ("store_not_a_file", "is a device, not a file", |file| {
            fs::remove_file(file).unwrap();
            symlink("/dev/zero", file).unwrap();
        }),
        ("store_not_a_file", "is a folder, not a file", |file| {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
        }),
        ("store_corrupt", "has no key", |file| edit(file, |r| r["keys"] = json!([]))),
        ("store_corrupt", "impossible epoch 18446744073709551615", |file| {
            edit(file, |r| r["epoch"] = u64::MAX.into());
        }),
        ("store_corrupt", "impossible epoch 0", |file| edit(file, |r| r["epoch"] = 0.into())),
        ("store_corrupt", "the time `usable` cannot be 9223372036854775807", |file| {
            edit(file, |r| r["keys"][0]["usable"] = i64::MAX.into());
        }),
        ("store_corrupt", "it occurs twice", |file| {
            edit(file, |r| {
                let twin = r["keys"][0].clone();
                r["keys"].as_array_mut().unwrap().push(twin);
            });
        }),
        ("store_permissions", "may be written by others (mode 777); `chmod 700` it", |file| {
            fs::set_permissions(file.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
        }),
        ("store_permissions", "may be read by others (mode 640); `chmod 600` it", |file| {
            fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap();
        }),
    ];
    for (code, why, spoil) in cases {
        let dir = tempfile::tempdir().unwrap();
        let file = ring_in(&dir).await;
        spoil(&file);
        let seen = || (fs::symlink_metadata(&file).unwrap().ino(), fs::read_link(&file).ok());
        let before = (
            seen(),
            fs::metadata(&file).ok().filter(|m| m.is_file()).map(|_| fs::read(&file).unwrap()),
        );
        let opening = Keyring::open(ring_settings(dir.path()), Clock::system());
        let error = tokio::time::timeout(Duration::from_secs(20), opening).await.expect(why);
        let error = error.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(why), "{error}");
        for args in [&["list"][..], &["rotate", "--now"], &["export"]] {
            let said = refused(&keys(dir.path(), args));
            assert!(said.contains(why) && said.contains("hint: "), "{args:?} {said}");
        }
        let after = (
            seen(),
            fs::metadata(&file).ok().filter(|m| m.is_file()).map(|_| fs::read(&file).unwrap()),
        );
        assert_eq!(after, before, "{why}");
    }
}

/// The user of this process, by `id -u`: Rust's own call would be unsafe.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

const SERVICE: u32 = 12_345;

/// A ring that belongs to another user, in that user's folder.
fn of_another_user(dir: &Path) -> std::path::PathBuf {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    let place = dir.join("data");
    fs::write(dir.join("mine.pem"), pem().1).unwrap();
    text(&keys(&place, &["import", dir.join("mine.pem").to_str().unwrap()]));
    for entry in fs::read_dir(&place).unwrap() {
        chown(entry.unwrap().path(), Some(SERVICE), Some(SERVICE)).unwrap();
    }
    chown(&place, Some(SERVICE), Some(SERVICE)).unwrap();
    place
}

/// After `sudo countersign keys rotate` the service must still own the ring.
#[test]
fn what_root_changes_stays_the_services() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let place = of_another_user(dir.path());
    let ring = place.join("keys.json");
    fs::set_permissions(&ring, fs::Permissions::from_mode(0o400)).unwrap();
    // A lock that root left behind earlier.
    let lock = place.join("keys.lock");
    chown(&lock, Some(0), Some(0)).unwrap();
    text(&keys(&place, &["rotate", "--now"]));
    text(&keys(&place, &["rotate"]));
    let meta = fs::metadata(&ring).unwrap();
    assert_eq!((meta.uid(), meta.gid(), mode(&ring)), (SERVICE, SERVICE, 0o400));
    assert_eq!(fs::metadata(&lock).unwrap().uid(), SERVICE);
    // Without a ring, the owner of the folder becomes its owner.
    let pems = dir.path().join("mine.pem");
    fs::remove_file(&ring).unwrap();
    text(&keys(&place, &["import", pems.to_str().unwrap()]));
    let meta = fs::metadata(&ring).unwrap();
    assert_eq!((meta.uid(), meta.gid(), mode(&ring)), (SERVICE, SERVICE, 0o600));
    // The service can still use it.
    let binary = dir.path().join("countersign");
    fs::copy(env!("CARGO_BIN_EXE_countersign"), &binary).unwrap();
    let output = Command::new(&binary)
        .args(["keys", "rotate", "--data-dir"])
        .arg(&place)
        .current_dir("/")
        .env_clear()
        .uid(SERVICE)
        .gid(SERVICE)
        .output()
        .unwrap();
    assert!(text(&output).contains("signs in"), "{output:?}");
}

/// Whoever owns the ring knows its keys.
#[tokio::test]
async fn the_proxy_does_not_sign_with_another_users_ring() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let place = of_another_user(dir.path());
    let ours =
        || async { Keyring::open(ring_settings(&place), Clock::system()).await.unwrap_err() };
    let error = ours().await;
    assert_eq!(error.code(), "store_owner");
    assert!(
        error.to_string().contains("data belongs to user 12345, and this process is user 0"),
        "{error}"
    );
    chown(&place, Some(0), Some(0)).unwrap();
    let error = ours().await;
    assert!(error.to_string().contains("keys.json belongs to user 12345"), "{error}");
}

/// The command says "signs now" only once the running proxy has taken the ring.
#[tokio::test(flavor = "multi_thread")]
async fn rotate_waits_until_the_running_proxy_has_the_ring() {
    let dir = tempfile::tempdir().unwrap();
    let ring = open(dir.path()).await;
    let (stop, shutdown) = watch::channel(false);
    let running = tokio::spawn({
        let ring = Arc::clone(&ring);
        async move { ring.run(shutdown).await }
    });
    let served = || {
        fs::read_dir(dir.path()).unwrap().flatten().any(|entry| {
            let name = entry.file_name().into_string().unwrap();
            name.starts_with("served.") && !name.ends_with(".new")
        })
    };
    eventually("it says that it runs", served).await;
    let command = async |args: &'static [&'static str]| {
        let place = dir.path().to_owned();
        tokio::task::spawn_blocking(move || keys(&place, args)).await.unwrap()
    };
    let said = text(&command(&["rotate", "--now"]).await);
    // It holds immediately: the command has waited for it.
    let active = ring.snapshot().active.kid().to_string();
    assert!(said.contains(&format!("{active} signs now, in the running proxy")), "{said}");
    let said = json(&command(&["rotate", "--json"]).await);
    assert_eq!((&said["running"], &said["behind"]), (&json!(1), &json!(0)));
    assert!(ring.snapshot().keys.iter().any(|key| said["kid"] == key.kid), "{said}");
    stop.send(true).unwrap();
    running.await.unwrap();
    assert!(!served(), "it takes its word back");
    assert!(text(&command(&["rotate", "--now"]).await).contains("no proxy runs on this store"));
}

/// The command reports a running proxy that does not take the ring.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_does_not_take_the_ring_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let ring = open(dir.path()).await;
    // Like a process that hangs: its file is locked and has an old epoch.
    let file = fs::File::create(dir.path().join("served.0123456789abcdef")).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    fs::write(dir.path().join("served.0123456789abcdef"), "1\n").unwrap();
    ring.rotate(true).await.unwrap();
    let short = Duration::from_millis(300);
    let behind = Uptake { running: Some(1), behind: 1 };
    assert_eq!(ring.wait_until_served(short).await.unwrap(), behind);
    let place = dir.path().to_owned();
    let command = tokio::task::spawn_blocking(move || keys(&place, &["rotate", "--now"]));
    let said = refused(&command.await.unwrap());
    assert!(said.contains("1 of 1 running proxies did not take it"), "{said}");
    drop(file);
    assert_eq!(
        ring.wait_until_served(short).await.unwrap(),
        Uptake { running: Some(0), behind: 0 }
    );
}

/// While the store fails, tokens are signed. The pending writes are made soon after it works again.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_owed_to_a_failing_store_is_written_when_it_is_well() {
    let dir = tempfile::tempdir().unwrap();
    let ring = open(dir.path()).await;
    let (stop, shutdown) = watch::channel(false);
    let running = tokio::spawn({
        let ring = Arc::clone(&ring);
        async move { ring.run(shutdown).await }
    });
    let mode = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
    let on_disk = || {
        let text = fs::read(dir.path().join("keys.json")).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()["keys"][0]["horizon"].as_i64().unwrap()
    };
    mode(0o777);
    let exp = UnixTime::from_secs(4_000_000_000);
    ring.note_signed(exp).await;
    assert_eq!(ring.status().error.unwrap().code, "store_permissions");
    assert!(on_disk() < exp.secs());
    mode(0o700);
    eventually("it is written", || on_disk() >= exp.secs()).await;
    eventually("the fault is over", || ring.status().error.is_none()).await;
    // And at the end of the process.
    mode(0o777);
    let later = UnixTime::from_secs(4_100_000_000);
    ring.note_signed(later).await;
    mode(0o700);
    stop.send(true).unwrap();
    running.await.unwrap();
    assert!(on_disk() >= later.secs());
    // An issuer's `exp` may be any number, and the ring must stay readable.
    ring.note_signed(UnixTime::from_secs(i64::MAX)).await;
    assert!(open(dir.path()).await.snapshot().keys[0].latest_exp >= later.secs());
}

/// A process that never releases the lock delays no token.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_held_by_another_stalls_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let ring = open(dir.path()).await;
    let (stop, shutdown) = watch::channel(false);
    let running = tokio::spawn({
        let ring = Arc::clone(&ring);
        async move { ring.run(shutdown).await }
    });
    let served = || fs::read_dir(dir.path()).unwrap().count() > 2;
    eventually("it runs", served).await;
    let lock = fs::File::open(dir.path().join("keys.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let noted = ring.note_signed(UnixTime::from_secs(4_000_000_000));
    tokio::time::timeout(Duration::from_secs(20), noted).await.expect("it does not wait for ever");
    assert_eq!(ring.status().error.unwrap().code, "store_locked");
    drop(lock);
    eventually("it is well again", || ring.status().error.is_none()).await;
    stop.send(true).unwrap();
    running.await.unwrap();
}

/// The ring is full of keys whose tokens have not expired.
#[tokio::test]
async fn a_full_ring_says_so_and_a_compromised_key_goes_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let ring = open(dir.path()).await;
    for _ in 0..31 {
        assert!(!ring.status().full);
        ring.note_signed(UnixTime::from_secs(4_000_000_000)).await;
        ring.rotate(true).await.unwrap();
    }
    assert!(ring.status().full);
    let error = ring.rotate(false).await.unwrap_err();
    assert_eq!(error.code(), "key_ring_full");
    let said = refused(&keys(dir.path(), &["rotate"]));
    assert!(said.contains("the ring is full: 32 keys wait"), "{said}");
    assert!(said.contains(" WARN "), "the log is written to the end: {said}");
    let mine = dir.path().join("mine.pem");
    fs::write(&mine, pem().1).unwrap();
    assert!(refused(&keys(dir.path(), &["import", mine.to_str().unwrap()])).contains("full"));
    assert_eq!(json(&keys(dir.path(), &["list", "--json"]))["full"], true);
    let before = ring.snapshot().active.kid().clone();
    ring.rotate(true).await.unwrap();
    assert_ne!(*ring.snapshot().active.kid(), before);
}

/// A key in a variable is published before and after it signs, by the order of deployments.
#[tokio::test]
async fn keys_in_variables_rotate_by_redeploys() {
    let key = || SigningKey::generate(Alg::Es256).unwrap();
    let pem = |key: &SigningKey| {
        pem::encode(&pem::Pem::new("PRIVATE KEY", key.to_pkcs8().unwrap().to_vec()))
    };
    let (first, second) = (key(), key());
    let (one, two) = (pem(&first), base64::engine::general_purpose::STANDARD.encode(pem(&second)));
    let dir = tempfile::tempdir().unwrap();
    let deployed = async |vars: &[(&str, &str)]| {
        let read = |name: &str| vars.iter().find(|v| v.0 == name).map(|v| v.1.to_owned());
        let keys = outside::from_variables("KEY", read)?;
        let store = StoreSettings::Supplied(KeySource::Variables { name: "KEY".to_owned(), keys });
        let settings = KeyringSettings { store, ..ring_settings(dir.path()) };
        Ok::<_, VariableError>(Keyring::open(settings, Clock::system()).await.unwrap())
    };
    let (a, b) = (first.kid().to_string(), second.kid().to_string());
    let seen = |ring: &Keyring| {
        let mut states = states(ring);
        states.sort_by_key(|(state, _)| state.name());
        states
    };
    let active = |kid: &str| (KeyState::Active, kid.to_owned());
    let ring = deployed(&[("KEY", &one)]).await.unwrap();
    assert_eq!(seen(&ring), [active(&a)]);
    let ring = deployed(&[("KEY", &one), ("KEY_NEXT", &two)]).await.unwrap();
    assert_eq!(seen(&ring), [active(&a), (KeyState::Next, b.clone())]);
    let ring = deployed(&[("KEY", &two), ("KEY_PREVIOUS", &one), ("KEY_NEXT", "")]).await.unwrap();
    assert_eq!(seen(&ring), [active(&b), (KeyState::Retired, a.clone())]);
    // It stays for as long as the variable is set, and is never removed otherwise.
    let retired = ring.snapshot().keys.iter().find(|k| k.kid == a).unwrap().latest_exp;
    assert!(retired > Clock::system().now().secs() + 365 * 86_400);
    assert_eq!(ring.rotate(true).await.unwrap_err().code(), "store_read_only");
    ring.note_signed(UnixTime::from_secs(4_000_000_000)).await;
    ring.tick().await;
    assert!(ring.status().error.is_none());
    assert_eq!(ring.status().store, "env:KEY");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is written");

    for (vars, why) in [
        (&[][..], "variable KEY is not set"),
        (&[("KEY", " "), ("KEY_NEXT", &one)], "variable KEY is not set"),
        (&[("KEY", "hunter2")], "variable KEY does not hold a signing key"),
        (&[("KEY", &one), ("KEY_PREVIOUS", "hunter2")], "KEY_PREVIOUS does not hold"),
        (&[("KEY", &one), ("KEY_NEXT", &one)], "KEY and KEY_NEXT hold the same key"),
    ] {
        let error = deployed(vars).await.unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
    }
    assert!(outside::from_variables("A B", |_| None).is_err());
}

/// On a platform without a volume: the key from `keys generate`, and only variables.
#[test]
fn the_commands_find_keys_in_variables() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key.pem");
    let generate = ["keys", "generate", "--algorithm", "ES256", "--base64", "--output", "key.pem"];
    let said = text(&countersign(dir.path(), &generate, &[]));
    assert!(said.contains("(ES256) written to key.pem"), "{said}");
    assert_eq!(mode(&file), 0o600);
    let key = fs::read_to_string(&file).unwrap();
    assert_eq!(key.trim().lines().count(), 1);
    assert!(refused(&countersign(dir.path(), &generate, &[])).contains("File exists"));
    let vars = [("COUNTERSIGN_STORE", "env:MY_KEY"), ("MY_KEY", key.as_str())];
    let list = json(&countersign(dir.path(), &["keys", "list", "--json"], &vars));
    assert_eq!(list["store"], "env:MY_KEY");
    assert!(said.starts_with(list["keys"][0]["kid"].as_str().unwrap()), "{said}");
    let uri = text(&countersign(dir.path(), &["keys", "export", "--data-uri"], &vars));
    assert!(uri.starts_with("data:application/json"), "{uri}");
    let said = refused(&countersign(dir.path(), &["keys", "rotate"], &vars));
    assert!(said.contains("error: env:MY_KEY: ") && said.contains("MY_KEY_NEXT"), "{said}");
    let check = ["run", "--check", "--upstream", "http://127.0.0.1:1"];
    assert_eq!(countersign(dir.path(), &check, &vars).status.code(), Some(0));
    let said = refused(&countersign(dir.path(), &check, &vars[..1]));
    assert!(said.contains("the environment variable MY_KEY is not set"), "{said}");
    assert!(said.contains("hint: `countersign keys generate"), "{said}");
    let rsa = countersign(dir.path(), &["keys", "generate", "-o", "rsa.pem", "--json"], &[]);
    assert_eq!(json(&rsa)["alg"], "RS256");
}

/// The configuration is found as `run` finds it, and a note says so if `--config` is not given.
#[test]
fn the_ring_is_found_as_the_proxy_finds_it() {
    let dir = tempfile::tempdir().unwrap();
    let mine = dir.path().join("mine.pem");
    fs::write(&mine, pem().1).unwrap();
    // Without an upstream, which a container gets by a variable.
    fs::write(dir.path().join("countersign.toml"), "[signing]\nstore = \"file:here\"\n").unwrap();
    fs::write(dir.path().join("other.toml"), "[signing]\nstore = \"file:there\"\n").unwrap();
    let at = |folder: &str| json!(format!("file:{}", dir.path().join(folder).display()));
    let import = ["keys", "import", "mine.pem", "--json"];
    let output = countersign(dir.path(), &import, &[]);
    assert_eq!(json(&output)["store"], at("here"));
    let note = String::from_utf8_lossy(&output.stderr);
    assert!(note.contains("configuration: countersign.toml, found in this folder"), "{note}");
    let output = countersign(dir.path(), &import, &[("COUNTERSIGN_CONFIG", "other.toml")]);
    assert_eq!(json(&output)["store"], at("there"));
    assert!(output.stderr.is_empty(), "{output:?}");
    let data = [("COUNTERSIGN_DATA_DIR", "elsewhere"), ("COUNTERSIGN_CONFIG", "")];
    let list = json(&countersign(dir.path(), &["keys", "list", "--json"], &data));
    assert_eq!(list["store"], at("here"), "the file's store wins over a data folder");
}

/// `docs/operations.md` has one command for each way of installing. Each is run here unchanged, in a folder
/// laid out as that way lays it out.
#[test]
fn the_command_of_each_way_of_installing_finds_its_ring() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let page = fs::read_to_string(page).unwrap();
    let rows = page.lines().skip_while(|line| *line != "| installed | rotate by |").skip(2);
    let rows: Vec<_> = rows.take_while(|line| line.starts_with("| ")).collect();
    // Way, where its ring is, the variables of its image or unit (Dockerfile, deploy/).
    let image = ("COUNTERSIGN_DATA_DIR", "ROOT/data");
    let ways = [
        ("on a laptop", "ROOT/laptop", &[][..]),
        ("systemd", "ROOT/var/lib/countersign", &[]),
        ("Docker", "ROOT/data", &[image]),
        (
            "Compose",
            "ROOT/data",
            &[image, ("COUNTERSIGN_CONFIG", "ROOT/etc/countersign/countersign.toml")],
        ),
        ("Helm", "ROOT/data", &[image]),
        ("Kubernetes sidecar", "ROOT/data", &[image]),
    ];
    assert_eq!(rows.len(), ways.len(), "{rows:#?}");
    for (row, (way, ring, vars)) in rows.iter().zip(ways) {
        assert!(row.starts_with(&format!("| {way}")), "{row}");
        let command = row.split('`').rev().nth(1).unwrap();
        let (_, args) = command.split_once("countersign keys ").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        let etc = dir.path().join("etc/countersign");
        fs::create_dir_all(&etc).unwrap();
        fs::write(etc.join("countersign.toml"), "[upstream]\nurl = \"http://127.0.0.1:3001\"\n")
            .unwrap();
        if way == "on a laptop" {
            let text = "data_dir = \"laptop\"\n[upstream]\nurl = \"http://127.0.0.1:3001\"\n";
            fs::write(dir.path().join("countersign.toml"), text).unwrap();
        }
        let here = |text: &str| text.replace("ROOT", root);
        let args = args
            .replace("/etc/", &format!("{root}/etc/"))
            .replace("/var/", &format!("{root}/var/"));
        let args: Vec<_> = std::iter::once("keys").chain(args.split(' ')).collect();
        let vars: Vec<_> = vars.iter().map(|(name, value)| (*name, here(value))).collect();
        let vars: Vec<_> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let store = format!("file:{}", here(ring));
        let said = refused(&countersign(dir.path(), &args, &vars));
        assert!(said.contains(&format!("error: {store}: there are no keys yet")), "{way}: {said}");
        fs::write(dir.path().join("mine.pem"), pem().1).unwrap();
        let import = ["keys", "import", "mine.pem", "--store", &store];
        text(&countersign(dir.path(), &import, &vars));
        let said = text(&countersign(dir.path(), &args, &vars));
        assert!(
            said.starts_with(&format!("{store}: ")) && said.contains("signs in"),
            "{way}: {said}"
        );
    }
}
