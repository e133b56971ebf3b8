//! The real program as a process: reloads, and errors that prevent a start. `restart.rs` tests
//! stops under load.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::support::process::{Place, free_port};
use crate::support::proxy::{RequestExt as _, ResponseExt as _, Upstream, provider};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn sighup_takes_a_good_file_and_keeps_the_old_over_a_bad_one() {
    provider();
    let upstream = Upstream::start().await;
    let issuer = |name: &str| {
        format!(
            "[[issuer]]\nname = \"{name}\"\nissuer = \"{0}/{name}\"\njwks = \"{0}/jwks\"\n",
            upstream.url()
        )
    };
    let place = Place::new(&upstream.url(), &issuer("a"));
    let mut process = place.running().await;
    let asked = async |name: &str| {
        let mut claims = upstream.claims();
        claims["iss"] = format!("{}/{name}", upstream.url()).into();
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("subject_token", &upstream.token(&claims)),
        ];
        let request = reqwest::Client::new().post(place.url("/_countersign/token")).form(&form);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    let good = (200, String::new());
    let unknown = (400, "issuer_unknown".to_owned());
    assert_eq!((asked("a").await, asked("b").await), (good.clone(), unknown.clone()));
    // An invalid configuration, then one that is not TOML: the old one is kept.
    let stays = "the old configuration stays in use";
    for (n, bad) in ["[[issuer]]\nname = \"b\"\n", "[[[\n"].iter().enumerate() {
        place.configure(&upstream.url(), bad);
        process.signal("HUP");
        for _ in 0..1500 {
            if process.log().matches(stays).count() > n {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(process.log().matches(stays).count(), n + 1, "{}", process.log());
        assert_eq!((asked("a").await, asked("b").await), (good.clone(), unknown.clone()));
    }
    assert!(process.log().contains("c.toml:"), "{}", process.log());
    place.configure(&upstream.url(), &issuer("b"));
    process.signal("HUP");
    process.says("the configuration was read again").await;
    assert_eq!((asked("b").await, asked("a").await), (good, unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_exit_2_and_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut place = Place::new("http://127.0.0.1:1", "");
    place.port = taken.local_addr().unwrap().port();
    place.configure("http://127.0.0.1:1", "");
    let (status, text) = place.refused();
    assert_eq!(status, Some(2));
    let port = place.port;
    one_error_line(&text, &format!("cannot listen on 127.0.0.1:{port}: address in use"));
    assert!(text.contains("hint: ") && text.contains("`--listen 127.0.0.1:"), "{text}");
    // The error came before any file was created.
    assert!(!place.dir.path().join("data/keys.json").exists());
}

#[test]
fn a_corrupt_key_file_is_exit_2_and_never_overwritten() {
    let place = Place::new("http://127.0.0.1:1", "");
    let data = place.dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o700)).unwrap();
    let file = data.join("keys.json");
    for text in ["", "{\"format\":1,", "rubbish\n"] {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (status, said) = place.refused();
        assert_eq!(status, Some(2), "{said}");
        one_error_line(&said, "keys.json");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
    // A key file that other users can read is refused.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (status, said) = place.refused();
    assert_eq!(status, Some(2), "{said}");
    one_error_line(&said, "chmod 600");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "rubbish\n");
}

/// A start that must wait says why after a second, and continues when it can.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_for_the_lock_says_so() {
    let place = Place::new("http://127.0.0.1:1", "");
    let data = place.dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let lock = std::fs::File::create(data.join("keys.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let mut process = place.start("log", &[]);
    process.says("another process holds the lock of the signing keys").await;
    assert!(process.log().contains("keys.lock"), "{}", process.log());
    assert!(!process.log().contains("listening"), "{}", process.log());
    drop(lock);
    process.says("listening").await;
}

/// `PORT`, as platforms set it, makes the program listen on every address, unless another setting
/// gives the address.
#[tokio::test(flavor = "multi_thread")]
async fn the_variable_port_is_where_it_listens() {
    let place = Place::new("http://127.0.0.1:1", "");
    let port = free_port();
    let start = |name: &str, args: &[&str], vars: &[(&str, &str)]| {
        let args =
            [&["run", "--upstream", "http://127.0.0.1:1", "--data-dir", "data"], args].concat();
        place.started(name, &args, vars)
    };
    let port_text = port.to_string();
    let mut process = start("one", &["--admin", "off"], &[("PORT", &port_text)]);
    process.says("listening").await;
    let log = process.log();
    assert!(log.contains(&format!("0.0.0.0:{port}")) && !log.contains("Some("), "{log}");
    for at in ["127.0.0.1", "127.0.0.2"] {
        std::net::TcpStream::connect((at, port)).unwrap();
    }
    if std::net::UdpSocket::bind("[::1]:0").is_ok() {
        std::net::TcpStream::connect(("::1", port)).unwrap();
    }
    // A flag, its variable or the file take precedence. `PORT` does not affect the admin listener.
    let other = format!("127.0.0.1:{}", free_port());
    let listen = ("COUNTERSIGN_LISTEN", other.as_str());
    let mut process = start("two", &["--admin", "off"], &[("PORT", &port_text), listen]);
    process.says(&format!("public=\"{other}\"")).await;
    let mut process = start("three", &["--admin", "off"], &[("PORT", "http")]);
    assert_eq!(process.ends().await, Some(2));
    assert!(process.log().contains("PORT: `http` is not a port"), "{}", process.log());
}

/// The log names the addresses for clients, the verifier and the operator, and says that a key was
/// made.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_says_where_to_go_next() {
    let place = Place::new("http://127.0.0.1:1", "");
    let mut process = place.start("log", &["--public-url", "https://login.example.com"]);
    process.says("listening").await;
    let log = process.log();
    for part in [
        "the first signing key was made",
        "url=\"https://login.example.com\"",
        "jwks=\"https://login.example.com/.well-known/jwks.json\"",
        "admin=\"off\"",
        "store=\"file:",
    ] {
        assert!(log.contains(part), "{part}\n{log}");
    }
    process.signal("TERM");
    assert_eq!(process.ends().await, Some(0));
    let mut process = place.start("again", &[]);
    process.says("listening").await;
    assert!(!process.log().contains("key was made"), "{}", process.log());
}

#[test]
fn a_data_directory_that_is_none_is_exit_2() {
    let place = Place::new("http://127.0.0.1:1", "");
    let data = place.dir.path().join("data");
    // A file at the path of the folder: that fails for every user, including root.
    std::fs::write(&data, "mine").unwrap();
    let (status, said) = place.refused();
    assert_eq!(status, Some(2), "{said}");
    one_error_line(&said, "data");
    assert_eq!(std::fs::read_to_string(&data).unwrap(), "mine");
    // The same for a key file that cannot be read because it is a directory.
    std::fs::remove_file(&data).unwrap();
    std::fs::create_dir_all(data.join("keys.json")).unwrap();
    let (status, said) = place.refused();
    assert_eq!(status, Some(2), "{said}");
    one_error_line(&said, "keys.json");
    assert!(data.join("keys.json").is_dir());
}

fn one_error_line(said: &str, part: &str) {
    let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.len() == 1 && errors[0].contains(part), "{said}");
    assert!(said.lines().all(|l| l.starts_with("error: ") || l.starts_with("hint: ")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_the_upstream_hears_its_own_name_is_said_once() {
    provider();
    let said = "the upstream receives its own name";
    for (more, times) in [("", 1), ("host = \"upstream\"\n", 1), ("host = \"client\"\n", 0)] {
        let place = Place::new(&format!("https://localhost:{}", free_port()), more);
        let mut process = place.start("log", &[]);
        process.says("listening").await;
        process.signal("TERM");
        assert_eq!(process.ends().await, Some(0));
        assert_eq!(process.log().matches(said).count(), times, "{}", process.log());
    }
}

/// New connections get a renewed certificate; open connections continue.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_used_at_once_and_a_broken_one_never() {
    provider();
    let upstream = Upstream::start().await;
    let mut place = Place::with_tls(&upstream.url(), "");
    let mut process = place.running().await;
    let url = place.url("/seen");
    let reads = async |client: &reqwest::Client| match client.get(&url).send().await {
        Ok(answer) => {
            let whole = answer.status() == 200 && answer.bytes().await.is_ok();
            assert!(whole);
            true
        }
        Err(error) => {
            assert!(error.is_connect(), "{error:?}");
            false
        }
    };
    let (old, fresh_old) = (place.client().build().unwrap(), place.client().build().unwrap());
    assert!(reads(&old).await);
    // First after SIGHUP, then without a signal.
    for round in 0..2 {
        let before = place.client();
        place.renew_certificate();
        if round == 0 {
            process.signal("HUP");
        }
        for _ in 0..1500 {
            if process.log().matches("the certificate was renewed").count() > round {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(process.log().matches("the certificate was renewed").count(), round + 1);
        assert!(reads(&place.client().build().unwrap()).await, "new connections see it");
        assert!(!reads(&before.build().unwrap()).await, "and not the old one");
        assert!(reads(&old).await, "the open connection goes on");
    }
    assert!(!reads(&fresh_old).await);
    // A key that does not match the certificate.
    std::fs::write(place.dir.path().join("k.pem"), "rubbish").unwrap();
    process.signal("HUP");
    process.says("the old certificate stays in use").await;
    assert!(reads(&place.client().build().unwrap()).await);
}
