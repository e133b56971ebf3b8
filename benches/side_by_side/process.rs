//! Child processes pinned to a core, stopped when dropped.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The core of the server under test.
pub(crate) const SERVER_CORE: &str = "0";
/// The core of the load, and of the upstream behind a proxy: the same for both sides of a pair.
pub(crate) const LOAD_CORE: &str = "1";

pub(crate) struct Pinned {
    child: Child,
    name: String,
}

impl Pinned {
    /// Starts `program` on `core`; its output goes to `log`.
    pub(crate) fn start(core: &str, program: &str, args: &[&str], log: &Path) -> Self {
        let file = std::fs::File::create(log).unwrap();
        let child = Command::new("taskset")
            .args(["-c", core, program])
            .args(args)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {program}: {e}"));
        Self { child, name: program.to_owned() }
    }

    pub(crate) fn wait_for(&mut self, addr: SocketAddr) {
        let patience = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(addr).is_err() {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended early: {status}", self.name);
            }
            assert!(Instant::now() < patience, "{} does not listen on {addr}", self.name);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib / 1024.0
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // TERM first: nginx's master must stop its workers.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        for _ in 0..100 {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Pins this process, which makes the load. Its threads inherit the core.
pub(crate) fn pin_self(core: &str) {
    let pid = std::process::id().to_string();
    let done =
        Command::new("taskset").args(["-a", "-cp", core, &pid]).stdout(Stdio::null()).status();
    assert!(done.is_ok_and(|s| s.success()), "taskset (util-linux) is needed");
}

pub(crate) fn version_of(program: &str, flag: &str) -> String {
    let out = Command::new(program).arg(flag).output();
    let Ok(out) = out else { return format!("{program}: missing") };
    let text = [out.stdout, out.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}
