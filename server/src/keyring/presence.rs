//! Which processes serve the ring of a directory, and which epoch of it. Each keeps a small file there with
//! its epoch, locked for as long as the process lives. The file of a dead process is not locked, and the
//! next reader removes it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::atomic;

const PREFIX: &str = "served.";

/// This process's file, removed on drop.
#[derive(Debug)]
pub(super) struct Presence {
    file: File,
    path: PathBuf,
}

impl Presence {
    /// # Errors
    /// [`io::Error`] where the directory cannot be written.
    pub(super) fn new(dir: &Path, epoch: u64) -> io::Result<Self> {
        let name = format!("{PREFIX}{}", atomic::random()?);
        let path = dir.join(&name);
        // Locked before the rename, so that it is not taken for the file of a dead process.
        let temporary = dir.join(format!("{name}.new"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let mut presence = Self { file, path: temporary };
        flock(&presence.file, FlockOperation::NonBlockingLockExclusive)?;
        presence.announce(epoch)?;
        fs::rename(&presence.path, &path)?;
        presence.path = path;
        Ok(presence)
    }

    /// Writes the epoch that is served: in place and of constant length, so that a full disk does not matter.
    ///
    /// # Errors
    /// [`io::Error`].
    pub(super) fn announce(&self, epoch: u64) -> io::Result<()> {
        self.file.write_all_at(format!("{epoch:020}\n").as_bytes(), 0)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The epochs that living processes serve from `dir`.
///
/// # Errors
/// [`io::Error`] where the directory cannot be read.
pub(super) fn served_epochs(dir: &Path) -> io::Result<Vec<u64>> {
    let mut epochs = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let ours = entry.file_name().to_str().is_some_and(|name| {
            name.strip_prefix(PREFIX).is_some_and(|id| id.bytes().all(|b| b.is_ascii_hexdigit()))
        });
        if ours {
            epochs.extend(epoch_if_alive(&entry.path()));
        }
    }
    Ok(epochs)
}

/// The epoch in the file of a living process; that of a dead one is removed.
fn epoch_if_alive(path: &Path) -> Option<u64> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        let _ = fs::remove_file(path);
        return None;
    }
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_process_is_seen_with_its_epoch_and_a_dead_one_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        assert!(served_epochs(dir.path()).unwrap().is_empty());
        let one = Presence::new(dir.path(), 7).unwrap();
        assert_eq!(served_epochs(dir.path()).unwrap(), [7]);
        one.announce(u64::MAX).unwrap();
        assert_eq!(served_epochs(dir.path()).unwrap(), [u64::MAX]);
        let other = Presence::new(dir.path(), 1).unwrap();
        assert_eq!(served_epochs(dir.path()).unwrap().len(), 2);
        drop(one);
        assert_eq!(served_epochs(dir.path()).unwrap(), [1]);
        // As after a kill: the file is there, the lock is not.
        flock(&other.file, FlockOperation::Unlock).unwrap();
        assert!(served_epochs(dir.path()).unwrap().is_empty());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
