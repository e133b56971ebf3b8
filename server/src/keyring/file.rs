//! The ring in a directory: `keys.json`, mode 0600, in a directory of mode 0700. The file is replaced whole:
//! a crash leaves the old ring or the new one. Every change takes a lock and compares the epoch, so two
//! processes on one directory (an upgrade, the `keys` command while a proxy runs) rotate once.
//!
//! Whoever can replace the ring signs with keys they know. So the ring must be a plain file that belongs to
//! this user, in a folder that nobody else may write to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt as _, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::{Gid, getegid, geteuid, getgroups};
use zeroize::Zeroizing;

use super::atomic::{self, Rights};
use super::presence::{self, Presence};
use super::ring::RingState;
use super::store::{Access, Store, StoreError};
use super::stored::Seal;
use crate::jose::names::Kid;

const RING: &str = "keys.json";
const LOCK: &str = "keys.lock";
/// Some hundred times what 32 RSA keys take.
const MAX_RING_BYTES: u64 = 16 * 1024 * 1024;
/// A start that waits longer than this for the lock logs a warning.
const WARN_AFTER: Duration = Duration::from_secs(1);
/// How long a running proxy waits for the lock: tokens may be waiting for it.
const SERVING_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two tries to get the lock.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Debug)]
pub struct FileStore(Arc<StoreDir>);

#[derive(Debug)]
struct StoreDir {
    dir: PathBuf,
    access: Access,
    /// Tokens are being signed, so the wait for the lock is limited.
    serving: AtomicBool,
    presence: Mutex<Option<Presence>>,
}

/// The file's own mode protects the keys in it.
pub(super) struct PlainSeal;

impl Seal for PlainSeal {
    fn seal(&self, _: &Kid, pkcs8: &[u8]) -> Result<String, String> {
        Ok(STANDARD.encode(pkcs8))
    }

    fn open(&self, _: &Kid, text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let bytes = STANDARD.decode(text);
        bytes.map(Zeroizing::new).map_err(|_| "the private key is not base64".to_owned())
    }
}

impl FileStore {
    /// The store of a directory. If it does not exist, the first change creates it with mode 0700.
    pub fn new(dir: &Path, access: Access) -> Self {
        let (serving, presence) = (AtomicBool::new(false), Mutex::new(None));
        Self(Arc::new(StoreDir { dir: dir.to_owned(), access, serving, presence }))
    }

    /// Runs `work` on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&StoreDir) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(outcome) => outcome,
            Err(e) => Err(StoreError::Io { at: "the ring".to_owned(), why: e.to_string() }),
        }
    }
}

#[async_trait]
impl Store for FileStore {
    async fn load(&self, known: Option<Arc<RingState>>) -> Result<Option<RingState>, StoreError> {
        self.blocking(move |store| Ok(store.read(known.as_deref())?.map(|(ring, _)| ring))).await
    }

    async fn replace(&self, expected: u64, ring: Arc<RingState>) -> Result<bool, StoreError> {
        self.blocking(move |store| {
            let _lock = store.lock()?;
            let stored = store.read(Some(&ring))?;
            let (epoch, rights) =
                stored.map_or((0, None), |(ring, rights)| (ring.epoch, Some(rights)));
            if epoch != expected {
                return Ok(false);
            }
            store.write(&ring, rights)?;
            Ok(true)
        })
        .await
    }

    async fn changed(&self) {
        let path = self.0.dir.join(RING);
        wait_for_change(|| stamp(&path)).await;
    }

    fn propagation_delay(&self) -> Duration {
        // Another process on the same directory serves a new key after it has checked the file once.
        Duration::from_secs(2)
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        // Absolute, so that it is clear which folder is meant.
        let dir = std::path::absolute(&self.0.dir).unwrap_or_else(|_| self.0.dir.clone());
        format!("file:{}", dir.display())
    }

    async fn announce(&self, epoch: u64) -> Result<(), StoreError> {
        self.0.serving.store(true, Ordering::Relaxed);
        let mut presence = self.0.presence.lock();
        let announced = match &*presence {
            Some(presence) => presence.announce(epoch),
            None => Presence::new(&self.0.dir, epoch).map(|new| *presence = Some(new)),
        };
        announced.map_err(StoreError::io(&self.0.dir))
    }

    async fn withdraw(&self) {
        *self.0.presence.lock() = None;
    }

    async fn served(&self) -> Result<Option<Vec<u64>>, StoreError> {
        let epochs = |store: &StoreDir| {
            presence::served_epochs(&store.dir).map_err(StoreError::io(&store.dir))
        };
        self.blocking(epochs).await.map(Some)
    }
}

impl StoreDir {
    /// The ring, and the owner and mode of its file.
    fn read(&self, known: Option<&RingState>) -> Result<Option<(RingState, Rights)>, StoreError> {
        self.check_folder()?;
        let path = self.dir.join(RING);
        // Otherwise a named pipe would block, and a terminal would become our controlling terminal.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return check_absent(&path).map(|()| None);
            }
            Err(e) => return Err(StoreError::io(&path)(e)),
        };
        let meta = file.metadata().map_err(StoreError::io(&path))?;
        if let Some(what) = other_kind(&meta) {
            return Err(StoreError::NotAFile { path: path.display().to_string(), what });
        }
        self.check_owner(&path, meta.uid(), false)?;
        if meta.mode() & 0o077 != 0 {
            let mode = meta.mode() & 0o777;
            return Err(StoreError::Permissions { path: path.display().to_string(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_RING_BYTES).read_to_string(&mut text).map_err(StoreError::io(&path))?;
        let ring = RingState::from_text(&text, &PlainSeal, known)
            .map_err(StoreError::ring(path.display()))?;
        let owner = geteuid().is_root().then_some((meta.uid(), meta.gid()));
        Ok(Some((ring, Rights { owner, mode: meta.mode() & 0o777 })))
    }

    fn check_folder(&self) -> Result<(), StoreError> {
        let path = || self.dir.display().to_string();
        let meta = match fs::metadata(&self.dir) {
            Ok(meta) => meta,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return check_absent(&self.dir),
            Err(e) => return Err(StoreError::io(&self.dir)(e)),
        };
        if !meta.is_dir() {
            return Err(StoreError::NotAFolder { path: path() });
        }
        self.check_owner(&self.dir, meta.uid(), true)?;
        let by_group = meta.mode() & 0o020 != 0 && !is_own_group(&meta);
        if meta.mode() & 0o002 != 0 || by_group {
            return Err(StoreError::Folder { path: path(), mode: meta.mode() & 0o777 });
        }
        Ok(())
    }

    /// Root may own the folder too: root can read the ring anyway.
    fn check_owner(&self, path: &Path, owner: u32, folder: bool) -> Result<(), StoreError> {
        let user = geteuid();
        let operates = self.access == Access::Operate && user.is_root();
        if owner == user.as_raw() || operates || (folder && owner == 0) {
            return Ok(());
        }
        Err(StoreError::Owner { path: path.display().to_string(), owner, user: user.as_raw() })
    }

    fn write(&self, ring: &RingState, rights: Option<Rights>) -> Result<(), StoreError> {
        let text = ring.to_text(&PlainSeal).map_err(StoreError::ring(self.dir.display()))?;
        // We hold the lock, so no process still writes a temporary file.
        atomic::sweep(&self.dir, Some(RING));
        let rights = rights.unwrap_or_else(|| Rights { owner: self.owner_if_root(), mode: 0o600 });
        atomic::replace_as(&self.dir, RING, text.as_bytes(), rights)
            .map_err(StoreError::io(&self.dir.join(RING)))
    }

    /// The owner of new files if root makes them in another user's folder: that user.
    fn owner_if_root(&self) -> Option<(u32, u32)> {
        let meta = fs::metadata(&self.dir).ok().filter(|_| geteuid().is_root())?;
        Some((meta.uid(), meta.gid()))
    }

    /// The lock is held until the file is dropped; the kernel releases it when the process ends.
    fn lock(&self) -> Result<File, StoreError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.map_err(StoreError::io(&self.dir))?;
        let path = self.dir.join(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            // Otherwise a link could make us create a file elsewhere, and a named pipe would block.
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(&path)
            .map_err(StoreError::io(&path))?;
        if let Some(owner) = self.owner_if_root() {
            // The proxy runs as that user and must be able to open it.
            atomic::set_rights(&file, Rights { owner: Some(owner), mode: 0o600 })
                .map_err(StoreError::io(&path))?;
        }
        self.wait_for_lock(&file, &path)?;
        Ok(file)
    }

    fn wait_for_lock(&self, file: &File, path: &Path) -> Result<(), StoreError> {
        let io = |e: rustix::io::Errno| StoreError::io(path)(e.into());
        let serving = self.serving.load(Ordering::Relaxed);
        let timeout = if serving { SERVING_TIMEOUT } else { WARN_AFTER };
        for _ in 0..timeout.as_millis() / RETRY_INTERVAL.as_millis() {
            match flock(file, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(RETRY_INTERVAL),
                done => return done.map_err(io),
            }
        }
        let path = path.display().to_string();
        if serving {
            return Err(StoreError::Locked { path });
        }
        tracing::warn!(%path, "another process holds the lock of the signing keys; waiting for it");
        flock(file, FlockOperation::LockExclusive).map_err(io)
    }
}

/// There is no ring. A broken link is an error: it shows that there was one.
fn check_absent(path: &Path) -> Result<(), StoreError> {
    if fs::symlink_metadata(path).is_ok() {
        let what = "a link that leads nowhere";
        return Err(StoreError::NotAFile { path: path.display().to_string(), what });
    }
    Ok(())
}

/// What a path is, if it is not a plain file.
fn other_kind(meta: &fs::Metadata) -> Option<&'static str> {
    let kind = meta.file_type();
    match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("a folder, not a file"),
        () if kind.is_fifo() => Some("a named pipe, not a file"),
        () if kind.is_socket() => Some("a socket, not a file"),
        () => Some("a device, not a file"),
    }
}

/// Whether a folder's group belongs to this process alone, as far as can be seen: it is the private group of
/// the owner, or one that root gave to this process (the `fsGroup` of Kubernetes).
fn is_own_group(meta: &fs::Metadata) -> bool {
    let is_in = |groups: Vec<Gid>| groups.iter().any(|one| one.as_raw() == meta.gid());
    let ours = || getegid().as_raw() == meta.gid() || getgroups().is_ok_and(is_in);
    (meta.uid() == meta.gid() || (meta.uid() == 0 && !geteuid().is_root())) && ours()
}

/// Identifies one state of a file: inode, size, times.
pub(crate) type Stamp = (u64, u64, i64, i64);

/// Changes whenever the file is replaced or written to, also behind symbolic links, which Kubernetes uses.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}

/// Returns once `read` gives another value than at first; reads every second.
pub(super) async fn wait_for_change<T: PartialEq>(read: impl Fn() -> T) {
    let before = read();
    while read() == before {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
