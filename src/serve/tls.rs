//! The public listener's certificate, read again when its files change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;

use crate::proxy::settings::TlsFiles;

/// How often the files are checked. A certificate is renewed days before it expires.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Why a certificate and its key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the certificate {cert}: {why}")]
pub struct TlsError {
    cert: String,
    why: String,
}

/// The certificate in use.
pub struct Certificate {
    files: TlsFiles,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// # Errors
    /// [`TlsError`] if a file cannot be read or the two do not match.
    pub fn load(files: &TlsFiles) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from(Arc::new(read(files)?));
        Ok(Arc::new(Self { files: files.clone(), current }))
    }

    /// Reads the files again; an unusable pair leaves the old one in use.
    pub fn reload(&self) {
        match read(&self.files) {
            Ok(new) if new.cert != self.current.load().cert => {
                tracing::info!(cert = %self.files.cert.display(), "the certificate was renewed");
                self.current.store(Arc::new(new));
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the old certificate stays in use"),
        }
    }

    /// Checks for changed files until told to stop.
    pub async fn watch(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut seen = self.stamps();
        loop {
            tokio::select! {
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let now = self.stamps();
            if now != seen {
                seen = now;
                self.reload();
            }
        }
    }

    fn stamps(&self) -> [Option<(std::time::SystemTime, u64)>; 2] {
        let stamp = |path: &Path| {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        };
        [stamp(&self.files.cert), stamp(&self.files.key)]
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificate({})", self.files.cert.display())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let fault = |why: &dyn std::fmt::Display| TlsError {
        cert: files.cert.display().to_string(),
        why: why.to_string(),
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(|e| fault(&e))?;
    if chain.is_empty() {
        return Err(fault(&"it holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|e| fault(&format_args!("key {}: {e}", files.key.display())))?;
    let provider = rustls::crypto::ring::default_provider();
    // Also checks that the key is the certificate's.
    CertifiedKey::from_der(chain, key, &provider).map_err(|e| fault(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str) -> (TlsFiles, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let files = TlsFiles { cert: dir.join("cert.pem"), key: dir.join("key.pem") };
        std::fs::write(&files.cert, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        (files, made.cert.der().clone())
    }

    #[test]
    fn a_renewed_pair_is_taken_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (files, first) = write(dir.path(), "a.example");
        let certificate = Certificate::load(&files).unwrap();
        assert_eq!(certificate.current.load().cert[0], first);
        let (_, second) = write(dir.path(), "b.example");
        certificate.reload();
        assert_eq!(certificate.current.load().cert[0], second);
        let other = tempfile::tempdir().unwrap();
        let (stranger, _) = write(other.path(), "c.example");
        std::fs::copy(&stranger.key, &files.key).unwrap();
        certificate.reload();
        assert_eq!(certificate.current.load().cert[0], second);
        assert!(Certificate::load(&files).is_err());
    }
}
