//! Checks whether the signing keys outlive this container. With a new key in each container, every
//! verifier refuses tokens until its copy of the key set has expired.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::env::{Env as _, ProcessEnv};
use crate::keyring::StoreSettings;

/// Warns where the ring is a file on the container's own disk.
pub(super) fn warn_if_lost(store: &StoreSettings) {
    if let StoreSettings::File(dir) = store
        && is_container()
        && is_on_root(dir)
    {
        tracing::warn!(
            data_dir = %dir.display(),
            "the signing keys are not on a volume: a new container signs with a new key, and verifiers \
             refuse its tokens for minutes; mount a volume there, or give the key by a variable \
             (`[signing] store = \"env:NAME\"`)"
        );
    }
}

/// Docker and Podman create a file, Kubernetes sets a variable; other runtimes have a root of
/// layers.
fn is_container() -> bool {
    let marked = ["/.dockerenv", "/run/.containerenv"].iter().any(|file| Path::new(file).exists());
    let kubernetes = ProcessEnv.var("KUBERNETES_SERVICE_HOST").is_some();
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    marked || kubernetes || is_overlay(&mounts())
}

/// The filesystem of `/` in `/proc/self/mountinfo` (proc(5)): mount point fifth, type after ` - `.
fn is_overlay(mounts: &str) -> bool {
    mounts.lines().filter_map(|line| line.split_once(" - ")).any(|(mount, filesystem)| {
        let at_root = mount.split(' ').nth(4) == Some("/");
        at_root && ["overlay", "fuse-overlayfs"].iter().any(|kind| filesystem.starts_with(kind))
    })
}

/// Whether a directory, or the nearest above it that exists, is on the same device as `/`.
fn is_on_root(dir: &Path) -> bool {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let found = dir.ancestors().find_map(|dir| std::fs::metadata(dir).ok());
    let root = std::fs::metadata("/").ok();
    found.zip(root).is_some_and(|(dir, root)| dir.dev() == root.dev())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_of_layers_is_a_container() {
        let docker = "686 620 0:57 / / rw,relatime master:241 - overlay overlay rw,lowerdir=/a\n\
                      687 686 0:60 / /proc rw - proc proc rw\n";
        let machine = "25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                       90 25 0:57 / /var/lib/docker/overlay2/x rw - overlay overlay rw\n";
        assert!(is_overlay(docker));
        assert!(!is_overlay(machine));
        assert!(!is_overlay(""));
    }

    #[test]
    fn a_mount_is_another_device() {
        assert!(is_on_root(Path::new("/")));
        assert!(is_on_root(Path::new("/not/there/yet")));
        assert!(!is_on_root(Path::new("/proc")));
        assert!(!is_on_root(Path::new("/proc/not/there")));
    }
}
