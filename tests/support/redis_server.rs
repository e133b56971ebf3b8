//! Debian's `redis-server` on a free port, for one test.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub struct RedisServer {
    pub port: u16,
    child: Child,
    dir: tempfile::TempDir,
}

impl RedisServer {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = spawn(port, dir.path());
        let server = Self { port, child, dir };
        server.ready().await;
        server
    }

    /// A new server that replicates this one.
    pub async fn replica(&self) -> Self {
        let replica = Self::start().await;
        replica.say(&format!("REPLICAOF 127.0.0.1 {}", self.port)).await;
        for _ in 0..500 {
            if replica.say("INFO replication").await.contains("master_link_status:up") {
                return replica;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the replica does not follow");
    }

    /// Turns a replica into an independent server.
    pub async fn promote(&self) {
        self.say("REPLICAOF NO ONE").await;
    }

    /// From now on, clients must know this password.
    pub async fn demand(&self, password: &str) {
        assert!(self.say(&format!("CONFIG SET requirepass {password}")).await.starts_with("+OK"));
    }

    /// Sends one command and returns the answer.
    async fn say(&self, command: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Kills the server as a crash would. Its data is lost.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Restarts it on the same port without data.
    pub async fn restart(&mut self) {
        self.kill();
        self.child = spawn(self.port, self.dir.path());
        self.ready().await;
    }

    async fn ready(&self) {
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("redis-server does not answer");
    }
}

fn spawn(port: u16, dir: &std::path::Path) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "no", "--dir"])
        .arg(dir)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server (Debian package redis-server)")
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
