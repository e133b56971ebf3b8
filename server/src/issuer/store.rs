//! The last good set of each issuer on disk, so that a restart during an outage serves at once. We store
//! our own document of the public keys, never the issuer's, which may contain secrets. On loading it is
//! checked like a fetched one.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{IssuerSettings, Snapshot, Source};
use crate::jose::base64url;
use crate::jose::jwks::{self, Options};
use crate::jose::names::UnixTime;
use crate::keyring::atomic;

const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    /// Which source the keys came from; keys of another one are not loaded.
    source: String,
    fetched: UnixTime,
    document: Box<RawValue>,
}

/// The directory of the last good sets, made if there is none.
///
/// # Errors
/// [`io::Error`] of the file system.
pub(super) fn prepare(data_dir: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = data_dir.join("issuers");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
    // During a handover this may delete a set that the old process is writing. Its next write repairs that.
    atomic::sweep(&dir, None);
    Ok(dir)
}

/// Reads the last good set; `None`, with a warning in the log, for anything that is not one.
pub(super) fn load(dir: &Path, settings: &IssuerSettings, options: &Options) -> Option<Snapshot> {
    let name = settings.name();
    let path = dir.join(format!("{name}.json"));
    let ignored = |why: &dyn std::fmt::Display| {
        tracing::warn!(
            issuer = %name, path = %path.display(), error = %why,
            "the stored key set cannot be read and is ignored; the next good fetch replaces it"
        );
    };
    let bytes = std::fs::read(&path).inspect_err(|e| {
        if e.kind() != io::ErrorKind::NotFound {
            ignored(e);
        }
    });
    let bytes = bytes.ok()?;
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|e| ignored(&e)).ok()?;
    if stored.format != FORMAT || stored.source != fingerprint(&settings.source) {
        return None;
    }
    let read = jwks::normalize(stored.document.get().as_bytes(), options);
    let read = read.map_err(|e| ignored(&e)).ok()?;
    // With a time in the future the set would stay fresh too long.
    let fetched = options.now.map_or(stored.fetched, |now| now.min(stored.fetched));
    Some(Snapshot { keys: read.keys, epoch: 1, fetched, report: read.report })
}

/// Writes the set.
///
/// # Errors
/// [`io::Error`] of the file system; the old file is then still there.
pub(super) fn save(dir: &Path, settings: &IssuerSettings, snapshot: &Snapshot) -> io::Result<()> {
    let stored = Stored {
        format: FORMAT,
        source: fingerprint(&settings.source),
        fetched: snapshot.fetched,
        document: RawValue::from_string(snapshot.keys.to_document())?,
    };
    let text = serde_json::to_vec(&stored)?;
    atomic::replace(dir, &format!("{}.json", settings.name()), &text)
}

/// A hash that tells sources apart. A URL may contain a secret, so it is not stored as text.
fn fingerprint(source: &Source) -> String {
    let text = match source {
        Source::Url(url) => format!("url {url}"),
        Source::UrlPerKid(template) => format!("per-kid {template}"),
        Source::File(path) => format!("file {}", path.display()),
        // These are never stored.
        Source::Inline(_) | Source::Secrets => "configuration".to_owned(),
    };
    base64url::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()))
}
