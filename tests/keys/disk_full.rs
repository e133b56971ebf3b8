//! A disk that is really full: a small tmpfs, mounted in a namespace of this test.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::parts::eventually;
use crate::support::proxy::{RequestExt as _, ResponseExt as _, Upstream, config, provider};
use crate::support::signer::Signer;
use countersign::clock::Clock;
use countersign::jose::names::UnixTime;
use countersign::keyring::KeyState;
use countersign::serve::{Handle, start_with_clock};
use serde_json::Value;

const INSIDE: &str = "COUNTERSIGN_TEST_INSIDE";
/// Exit status of the inner run if it may not mount.
const NOT_HERE: i32 = 77;

/// Runs the test again in a mount namespace of its own, with a tmpfs of 256 KiB. `None`: this is the outer
/// run, and the inner one is done.
fn on_a_small_disk(name: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "set by the outer run, below")]
    let inside = std::env::var_os(INSIDE);
    if let Some(dir) = inside {
        let dir = PathBuf::from(dir);
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs"])
            .arg(&dir)
            .output();
        if mount.as_ref().is_ok_and(|mount| mount.status.success()) {
            return Some(dir);
        }
        println!("{mount:?}");
        std::process::exit(NOT_HERE);
    }
    let dir = tempfile::tempdir().unwrap();
    let inner = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, dir.path())
        .output();
    let said = match &inner {
        Ok(inner) => {
            String::from_utf8_lossy(&[&inner.stdout[..], &inner.stderr].concat()).into_owned()
        }
        Err(error) => error.to_string(),
    };
    let code = inner.ok().and_then(|inner| inner.status.code());
    println!("{said}");
    // `unshare` itself ends with 1; a test that failed, with 101.
    let refused =
        said.contains("unshare") && said.contains("failed") || said.contains("No such file");
    if code == Some(NOT_HERE) || (code != Some(0) && code != Some(101) && refused) {
        println!("SKIPPED {name}: no tmpfs can be mounted here (it takes root, or CAP_SYS_ADMIN)");
        return None;
    }
    assert_eq!(code, Some(0), "{said}");
    None
}

/// Writes until nothing more fits.
fn fill(dir: &Path) -> PathBuf {
    let path = dir.join("filler");
    let mut file = File::create(&path).unwrap();
    for size in [4096, 1] {
        loop {
            match file.write_all(&vec![b'x'; size]) {
                Ok(()) => {}
                Err(error) => break assert_eq!(error.kind(), ErrorKind::StorageFull),
            }
        }
    }
    path
}

/// Every file with its bytes, except the filler and the presence files, which are written in place.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("filler")
            && !entry.file_name().to_string_lossy().starts_with("served.")
        {
            found.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// A client that makes requests all the time.
struct Client<'a> {
    http: reqwest::Client,
    base: String,
    upstream: &'a Upstream,
    tokens: i64,
    reads: usize,
}

impl Client<'_> {
    async fn served(&mut self) -> BTreeSet<String> {
        let url = format!("{}/.well-known/jwks.json", self.base);
        let answer = self.http.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        self.reads += 1;
        let set: Value = answer.json().await.unwrap();
        let keys = set["keys"].as_array().unwrap().clone();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    /// Exchanges a token that expires later than any before, so that the ring must be written. The new
    /// token's key was in the set before the request. Returns its kid.
    async fn exchange(&mut self) -> String {
        let served = self.served().await;
        let mut claims = self.upstream.claims();
        self.tokens += 1;
        let exp = claims["exp"].as_i64().unwrap() + 100_000 + self.tokens * 700;
        claims["exp"] = exp.into();
        let token = self.upstream.token(&claims);
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("subject_token", token.as_str()),
        ];
        let url = format!("{}/_countersign/token", self.base);
        let answer = self.http.post(url).form(&form).send().await.unwrap();
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(status, 200, "{answer}");
        let jwt = answer["access_token"].as_str().unwrap();
        let kid = jsonwebtoken::decode_header(jwt).unwrap().kid.unwrap();
        assert!(served.contains(&kid), "{kid} signs and is not in {served:?}");
        kid
    }
}

/// Time runs this much faster for the proxy.
const FASTER: f64 = 40.0;
const ROTATES: Duration = Duration::from_secs(300);
const TOML: &str = "[server]\nmax_age = \"20s\"\n\
                    [signing]\nalgorithm = \"ES256\"\nrotate_every = \"5m\"\nskew = \"10s\"\n";

fn start(upstream: &Upstream, data: &Path) -> (Handle, Clock) {
    let clock = Clock::scaled(FASTER);
    (start_with_clock(config(&upstream.url(), TOML, data), clock.clone()).unwrap(), clock)
}

#[test]
fn a_full_disk_stops_no_token_and_no_unpublished_key_signs() {
    let name = "a_full_disk_stops_no_token_and_no_unpublished_key_signs";
    let Some(dir) = on_a_small_disk(name) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(full_and_empty_again(&dir));
}

async fn full_and_empty_again(dir: &Path) {
    provider();
    let upstream = Upstream::start().await;
    let (handle, clock) = start(&upstream, dir);
    let admin = format!("http://{}", handle.admin.unwrap());
    let base = format!("http://{}", handle.public);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ready = async || {
        let answer = http.get(format!("{admin}/readyz")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    while ready().await.0 != 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut client = Client { http: http.clone(), base, upstream: &upstream, tokens: 0, reads: 0 };
    let keyring = handle.app().keyring.clone();
    let first = client.exchange().await;
    let issuer_file = dir.join("issuers");
    eventually("the issuer's set is kept", || {
        std::fs::read_dir(&issuer_file).is_ok_and(|files| files.count() >= 2)
    })
    .await;

    let filler = fill(dir);
    let before = files(dir);
    let from = clock.now();
    // The issuer's keys rotate too. They are served, though they cannot be stored.
    upstream.tell(|told| {
        told.jwks =
            serde_json::json!({"keys": [upstream.signer.jwk("e1"), Signer::es256().jwk("e2")]})
                .to_string();
    });
    // More than one rotation is due meanwhile.
    while clock.now().since(from) < 2 * ROTATES {
        assert_eq!(client.exchange().await, first, "rotation waits");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let during = client.tokens;
    handle.app().issuers.only().unwrap().fresh_for(Some("e2")).await.unwrap();
    while !client.served().await.contains("e2") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let status = keyring.status();
    let error = status.error.expect("it is told");
    assert_eq!(error.code, "store_io");
    assert!(error.text.contains("keys.json") && error.text.contains("No space left"), "{error:?}");
    assert_eq!(status.keys.len(), 1, "no key was made that is not stored");
    let (code, said) = ready().await;
    assert_eq!(code, 200, "{said}");
    assert!(said.contains("signing key store: store_io"), "{said}");
    let metrics = http.get(format!("{admin}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("countersign_key_store_up 0"), "{metrics}");
    assert_eq!(files(dir), before, "nothing is half written, nothing is left beside");

    // A rotation by hand, and a start without a ring.
    let command = |data: &Path, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        let output = command.args(args).arg("--data-dir").arg(data).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let other = dir.join("other");
    let starts =
        ["run", "--upstream", &upstream.url(), "--listen", "127.0.0.1:0", "--admin", "off"];
    for (data, args) in [(dir, &["keys", "rotate"][..]), (&other, &starts[..])] {
        let (code, said) = command(data, args);
        assert_eq!(code, Some(2), "{said}");
        let clear = said
            .lines()
            .any(|line| line.starts_with("error: ") && line.contains("No space left on device"));
        assert!(clear, "{said}");
    }
    assert!(!other.join("keys.json").exists());
    let _ = std::fs::remove_dir_all(&other);
    assert_eq!(files(dir), before);

    std::fs::remove_file(filler).unwrap();
    eventually("the store is well", || keyring.status().error.is_none()).await;
    let mut signed = BTreeSet::new();
    while signed.len() < 3 {
        signed.insert(client.exchange().await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let last = upstream.claims()["exp"].as_i64().unwrap() + 100_000 + during * 700;
    let ring = keyring.status();
    println!(
        "a full disk for {:?} of the proxy's time: {during} tokens and {} reads, 0 failed; {} \
         rotations once there was room",
        2 * ROTATES,
        client.reads,
        signed.len() - 1
    );
    handle.stop();

    // The pending write is on disk: the first key stays until the last token it signed has expired.
    let (again, _) = start(&upstream, dir);
    let after = again.app().keyring.snapshot();
    assert!(signed.iter().all(|kid| after.keys.iter().any(|key| key.kid == *kid)), "{ring:?}");
    let old = after.keys.iter().find(|key| key.kid == first).unwrap();
    assert_eq!(old.state, KeyState::Retired);
    assert!(
        UnixTime::from_secs(old.latest_exp + 60) >= UnixTime::from_secs(last),
        "{old:?} {last}"
    );
}
