//! The ring in a directory: `keys.json`, mode 0600, in a directory of mode 0700, replaced whole: a
//! crash leaves the old ring or the new one.
//! Every change happens under a lock and compares the epoch, so two processes on one directory (an
//! upgrade, the `keys` command beside a running proxy) rotate once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::atomic;
use super::ring::{RingState, Seal};
use super::store::{Store, StoreError};
use crate::jose::names::Kid;

const RING: &str = "keys.json";
const LOCK: &str = "keys.lock";

/// See the module.
#[derive(Debug)]
pub struct FileStore {
    dir: Arc<PathBuf>,
}

/// The file's own mode protects the keys in it.
pub(super) struct Plain;

impl Seal for Plain {
    fn seal(&self, _: &Kid, pkcs8: &[u8]) -> Result<String, String> {
        Ok(STANDARD.encode(pkcs8))
    }

    fn open(&self, _: &Kid, text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let bytes =
            STANDARD.decode(text).map_err(|_| "the private key is not base64".to_owned())?;
        Ok(Zeroizing::new(bytes))
    }
}

impl FileStore {
    /// Makes the directory, if there is none, with mode 0700.
    ///
    /// # Errors
    /// [`StoreError`] naming the path.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|e| io_at(dir, &e))?;
        Ok(Self { dir: Arc::new(dir.to_owned()) })
    }
}

#[async_trait]
impl Store for FileStore {
    async fn load(&self, known: Option<Arc<RingState>>) -> Result<Option<RingState>, StoreError> {
        let dir = Arc::clone(&self.dir);
        blocking(move || read(&dir, known.as_deref())).await
    }

    async fn replace(&self, expected: u64, ring: Arc<RingState>) -> Result<bool, StoreError> {
        let dir = Arc::clone(&self.dir);
        blocking(move || {
            let _lock = lock(&dir)?;
            let there = read(&dir, Some(&ring))?.map_or(0, |ring| ring.epoch);
            if there != expected {
                return Ok(false);
            }
            write(&dir, &ring)?;
            Ok(true)
        })
        .await
    }

    async fn changed(&self, since: u64) {
        let path = self.dir.join(RING);
        let before = stamp(&path);
        let _ = since;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if stamp(&path) != before {
                return;
            }
        }
    }

    fn spread(&self) -> Duration {
        // Another process on the same directory serves a new key after one look at the file.
        Duration::from_secs(2)
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        format!("file:{}", self.dir.display())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(e) => Err(StoreError::Io { at: "the ring".to_owned(), why: e.to_string() }),
    }
}

fn read(dir: &Path, known: Option<&RingState>) -> Result<Option<RingState>, StoreError> {
    let path = dir.join(RING);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_at(&path, &e)),
    };
    let mode = file.metadata().map_err(|e| io_at(&path, &e))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(StoreError::Permissions {
            path: path.display().to_string(),
            mode: mode & 0o777,
        });
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(|e| io_at(&path, &e))?;
    let ring = RingState::from_text(&text, &Plain, known)
        .map_err(|e| StoreError::Ring { at: path.display().to_string(), why: e })?;
    Ok(Some(ring))
}

fn write(dir: &Path, ring: &RingState) -> Result<(), StoreError> {
    let text = ring
        .to_text(&Plain)
        .map_err(|e| StoreError::Ring { at: dir.display().to_string(), why: e })?;
    // Under the lock: what lies beside belongs to nobody any more.
    atomic::sweep(dir, Some(RING));
    atomic::replace(dir, RING, text.as_bytes()).map_err(|e| io_at(&dir.join(RING), &e))
}

/// Held until dropped; the kernel drops it with the process.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        // A link here would have a file made elsewhere.
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path)
        .map_err(|e| io_at(&path, &e))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
        .map_err(|e| io_at(&path, &e.into()))?;
    Ok(file)
}

/// Tells one state of a file from another: inode, size, times.
pub(crate) type Stamp = (u64, u64, i64, i64);

/// Changes whenever the file is replaced or written to, through symbolic links too, as Kubernetes
/// lays them.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}

fn io_at(path: &Path, e: &io::Error) -> StoreError {
    StoreError::Io { at: path.display().to_string(), why: e.to_string() }
}
