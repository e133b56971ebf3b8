//! Replaces whole files: it writes a temporary file, syncs it, renames it and syncs the directory. A crash
//! or a full disk leaves the old file.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

/// Hexadecimal digits of the random part of a temporary name.
const RANDOM_DIGITS: usize = 16;
const SUFFIX: &str = ".tmp";

/// The owner and the mode of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights {
    /// User and group; `None`: those a new file gets.
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) mode: u32,
}

/// Replaces `name` in `dir`, with mode 0600 from the first moment.
///
/// The temporary file is created, never opened, and under a random name. So a user who may write to the
/// directory can place neither a link there, which would send a private key elsewhere, nor a file of
/// their own, from which they could read it.
///
/// # Errors
/// [`io::Error`] of the first step that failed; nothing is left behind.
pub fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    replace_as(dir, name, bytes, Rights { owner: None, mode: 0o600 })
}

/// Like [`replace`], but sets `rights` before the rename: when root changes another user's file, it stays
/// that user's.
///
/// # Errors
/// [`io::Error`] of the first step that failed, also when the owner cannot be set.
pub(crate) fn replace_as(dir: &Path, name: &str, bytes: &[u8], rights: Rights) -> io::Result<()> {
    let from = dir.join(temporary_name(name)?);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&from)?;
    let mut write = || {
        file.write_all(bytes)?;
        set_rights(&file, rights)?;
        file.sync_all()?;
        fs::rename(&from, dir.join(name))?;
        File::open(dir)?.sync_all()
    };
    write().inspect_err(|_| drop(fs::remove_file(&from)))
}

/// Sets the owner and mode of an open file of ours.
///
/// # Errors
/// [`io::Error`]: only root may give files away.
pub(crate) fn set_rights(file: &File, rights: Rights) -> io::Result<()> {
    let now = file.metadata()?;
    if let Some((user, group)) = rights.owner.filter(|owner| *owner != (now.uid(), now.gid())) {
        fchown(file, Some(user), Some(group))?;
    }
    if now.mode() & 0o777 != rights.mode {
        file.set_permissions(Permissions::from_mode(rights.mode))?;
    }
    Ok(())
}

/// Removes the temporary files of `name`, or of every file with `None`, that a process which died in
/// [`replace`] left behind. It also removes one that is being written, and that write fails: callers must
/// ensure that there is none, or that it does not matter.
pub(crate) fn sweep(dir: &Path, name: Option<&str>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let file = entry.file_name();
        let target = file.to_str().and_then(target_of);
        if target.is_some_and(|target| name.is_none_or(|name| target == name)) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

fn temporary_name(name: &str) -> io::Result<String> {
    Ok(format!("{name}.{}{SUFFIX}", random()?))
}

/// A random part of a name, so that nobody can guess it.
pub(super) fn random() -> io::Result<String> {
    let mut random = [0; RANDOM_DIGITS / 2];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("no random bytes"))?;
    Ok(format!("{:0RANDOM_DIGITS$x}", u64::from_ne_bytes(random)))
}

/// The name of the file that a temporary name belongs to.
fn target_of(temporary: &str) -> Option<&str> {
    let (name, random) = temporary.strip_suffix(SUFFIX)?.rsplit_once('.')?;
    let is_ours = random.len() == RANDOM_DIGITS && random.bytes().all(|b| b.is_ascii_hexdigit());
    is_ours.then_some(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_in_the_place_of_the_file_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        fs::write(&other, "mine").unwrap();
        symlink(&other, dir.path().join("keys.json")).unwrap();
        replace(dir.path(), "keys.json", b"secret").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"mine");
        let file = dir.path().join("keys.json");
        let meta = fs::symlink_metadata(&file).unwrap();
        assert!(meta.is_file());
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read(&file).unwrap(), b"secret");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside");
    }

    #[test]
    fn a_name_is_never_used_twice_and_leftovers_are_known_by_it() {
        let (one, two) =
            (temporary_name("keys.json").unwrap(), temporary_name("keys.json").unwrap());
        assert_ne!(one, two);
        assert_eq!(target_of(&one), Some("keys.json"));
        for not in ["keys.json", "keys.json.tmp", "keys.json.0123.tmp", "a.0123456789abcdeg.tmp"] {
            assert_eq!(target_of(not), None);
        }
        let dir = tempfile::tempdir().unwrap();
        for name in [one.as_str(), "keys.json", "a.json.0123456789abcdef.tmp"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        sweep(dir.path(), Some("keys.json"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        sweep(dir.path(), None);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(dir.path().join("keys.json").exists());
    }

    #[test]
    fn what_fails_leaves_the_old_file_and_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        // A directory that is not empty cannot be replaced by a file.
        fs::create_dir_all(dir.path().join("keys.json/x")).unwrap();
        replace(dir.path(), "keys.json", b"secret").unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
