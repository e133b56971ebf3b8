//! Mistakes in the address of a Redis: each has a message of its own, with what to do, and without the
//! password.

use std::process::Stdio;
use std::time::Duration;

use crate::support::process::free_port;
use crate::support::redis_server::RedisServer;

const PASSWORD: &str = "hunter2-of-redis";

/// What `keys list` and the start of a proxy say about this store.
async fn refused(store: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "[upstream]\nurl = \"http://127.0.0.1:1\"\n[server]\nlisten = \"127.0.0.1:0\"\n[admin]\n\
         listen = \"off\"\n[signing]\nalgorithm = \"ES256\"\nencryption_key = \"{}=\"\nstore = \"{store}\"\n",
        "A".repeat(43)
    );
    std::fs::write(dir.path().join("countersign.toml"), config).unwrap();
    let mut said = String::new();
    for args in [&["keys", "list"][..], &["run"]] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(args).current_dir(dir.path()).env_clear().stdin(Stdio::null());
        command.kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
        let output = output.unwrap().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        let error = text.lines().find(|line| line.starts_with("error: ")).unwrap();
        let hint = text.lines().find(|line| line.starts_with("hint: ")).unwrap();
        // A data directory has nothing to do with it, and the store is named once.
        assert!(!hint.contains("--data-dir"), "{hint}");
        assert_eq!(error.matches("127.0.0.1:").count(), 1, "{error}");
        said.push_str(&format!("{error}\n{hint}\n"));
    }
    assert!(!said.contains("hunter2"), "{said}");
    said
}

/// Both commands say each of these.
fn has(said: &str, parts: &[&str]) {
    for part in parts {
        assert_eq!(said.matches(part).count(), 2, "{part:?}:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_missing_or_wrong_is_told_apart() {
    let server = RedisServer::start().await;
    server.demand(PASSWORD).await;
    let port = server.port;
    let said = refused(&format!("redis://127.0.0.1:{port}/0")).await;
    has(&said, &["asks for a password, and the address has none", "redis://:PASSWORD@HOST:PORT"]);
    let said = refused(&format!("redis://:{PASSWORD}-not@127.0.0.1:{port}/0")).await;
    has(&said, &["refuses the password of the address", "write `@` as `%40`"]);
    let said = refused(&format!("redis://:{PASSWORD}@127.0.0.1:{port}/99")).await;
    has(&said, &["refuses the database", "0 to 15"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_not_reached_is_told_apart() {
    let said = refused(&format!("redis://127.0.0.1:{}/0", free_port())).await;
    has(&said, &["cannot be reached: connection refused", "redis-cli -h HOST -p PORT ping"]);
    let server = RedisServer::start().await;
    let said = refused(&format!("rediss://:{PASSWORD}@127.0.0.1:{}/0", server.port)).await;
    has(&said, &["no answer to the TLS handshake", "A port without TLS is `redis://`"]);
    // A port that closes the connection at the first byte that is no TLS.
    let closing = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closing.local_addr().unwrap().port();
    tokio::spawn(async move { while closing.accept().await.is_ok() {} });
    let said = refused(&format!("redis://:{PASSWORD}@127.0.0.1:{port}/0")).await;
    has(&said, &["it closed the connection", "a port with TLS is `rediss://`"]);
}
