//! The real program with a log that nobody reads: it keeps answering requests, counts and reports the lost
//! lines, and still stops when told.

use std::io::{BufRead as _, BufReader, PipeReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::support::live::LiveIssuer;
use crate::support::process::free_port;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const FORM: &str = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
                    &subject_token_type=urn:ietf:params:oauth:token-type:id_token&subject_token=";
/// More lines than the pipe and the queue hold together.
const MANY: usize = 6000;

struct Program {
    child: Child,
    public: String,
    admin: String,
    client: reqwest::Client,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both outputs go into one pipe, whose reading end is returned unread.
async fn start(folder: &Path, issuer: &str) -> (Program, PipeReader) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (reader, writer) = std::io::pipe().unwrap();
    let [public, admin] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
    let child = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["run", "--log-format", "json", "--upstream", issuer])
        .args(["--listen", &public, "--admin", &admin, "--data-dir"])
        .arg(folder)
        .current_dir(folder)
        .env("COUNTERSIGN_TEST_LOGS", "")
        .stdin(Stdio::null())
        .stdout(writer.try_clone().unwrap())
        .stderr(writer)
        .spawn()
        .unwrap();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let url = |address| format!("http://{address}");
    let program = Program { child, public: url(public), admin: url(admin), client };
    for _ in 0..600 {
        let answer = program.client.get(format!("{}/readyz", program.admin)).send().await;
        if answer.is_ok_and(|answer| answer.status() == 200) {
            return (program, reader);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it does not become ready");
}

impl Program {
    async fn exchange(&self, token: &str) -> u16 {
        let url = format!("{}/_countersign/token", self.public);
        let request = self.client.post(url).body(format!("{FORM}{token}"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        answer.bytes().await.unwrap();
        status
    }

    async fn text(&self, path: &str) -> String {
        let answer = self.client.get(format!("{}{path}", self.admin)).send().await.unwrap();
        String::from_utf8(answer.bytes().await.unwrap().to_vec()).unwrap()
    }

    async fn lost(&self) -> u64 {
        let status: Value = serde_json::from_str(&self.text("/api/status").await).unwrap();
        status["log_lines_lost"].as_u64().unwrap()
    }

    /// Like [`Self::lost`], once it no longer grows: the access line of a request follows its answer.
    async fn lost_in_all(&self) -> u64 {
        let mut lost = self.lost().await;
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = self.lost().await;
            if now == lost {
                return lost;
            }
            lost = now;
        }
        panic!("lines go on being lost");
    }

    async fn ends(&mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not stop");
    }
}

/// Enough exchanges to fill the pipe and the queue; each is answered.
async fn flood(program: Program, token: String) -> Program {
    let program = Arc::new(program);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (program, token) = (Arc::clone(&program), token.clone());
        asked.spawn(async move {
            for _ in 0..MANY / 16 {
                assert_eq!(program.exchange(&token).await, 200);
            }
        });
    }
    while let Some(done) = asked.join_next().await {
        done.unwrap();
    }
    Arc::into_inner(program).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn exchanges_go_on_and_the_reader_is_told_what_it_missed() {
    let issuer = LiveIssuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (program, unread) = start(folder.path(), &issuer.url).await;
    let mut program = flood(program, issuer.token(600)).await;
    let lost = program.lost_in_all().await;
    assert!(lost > 0, "all {MANY} lines found a place");
    let metrics = program.text("/metrics").await;
    assert!(metrics.contains(&format!("countersign_log_lines_lost_total {lost}\n")), "{metrics}");

    // The reader comes back.
    let (say, said) = std::sync::mpsc::channel::<Value>();
    let reading = std::thread::spawn(move || {
        for line in BufReader::new(unread).lines() {
            let _ = say.send(serde_json::from_str(&line.unwrap()).unwrap());
        }
    });
    let lines = tokio::task::spawn_blocking(move || {
        let mut access = 0;
        loop {
            let line = said.recv_timeout(Duration::from_secs(30)).expect("the word of lost lines");
            access += u64::from(line["target"] == "countersign::access");
            if line["message"].as_str().is_some_and(|m| m.starts_with("log lines were lost")) {
                assert_eq!(line["level"], "WARN");
                return (line["lines"].as_u64().unwrap(), access, said);
            }
        }
    });
    let (told, access, said) = lines.await.unwrap();
    assert_eq!(told, lost);
    assert!(access > 4096 / 2, "{access}");
    assert_eq!(program.lost().await, lost, "nothing is lost any more");

    assert!(program.ends().await.success());
    reading.join().unwrap();
    let last = said.try_iter().last().unwrap();
    assert_eq!(last["message"], "stopped", "what waited was written at the stop: {last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_reader_that_does_not_read() {
    let issuer = LiveIssuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (program, unread) = start(folder.path(), &issuer.url).await;
    let mut program = flood(program, issuer.token(600)).await;
    assert!(program.lost().await > 0);
    assert!(program.ends().await.success());
    drop(unread);
}

/// pingora logged an `error` for the first connections of a process, which was not an error.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_not_used_again_is_no_error() {
    let issuer = LiveIssuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (mut program, unread) = start(folder.path(), &issuer.url).await;
    let reading = std::thread::spawn(move || {
        BufReader::new(unread).lines().map(Result::unwrap).collect::<Vec<_>>()
    });
    let address = program.public.strip_prefix("http://").unwrap();
    let request = format!("GET /anything HTTP/1.1\r\nHost: {address}\r\n\r\n");
    for _ in 0..50 {
        // The second request takes the upstream's connection at the moment the first returns it to the pool.
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request.repeat(4).as_bytes()).await.unwrap();
        let mut answers = Vec::new();
        while answers.windows(4).filter(|at| at == b"fine").count() < 4 {
            assert!(stream.read_buf(&mut answers).await.unwrap() > 0);
        }
    }
    assert!(program.ends().await.success());
    let lines = reading.join().unwrap();
    assert!(lines.len() > 200);
    for line in lines {
        assert!(!line.contains(r#""level":"ERROR""#), "{line}");
    }
}
