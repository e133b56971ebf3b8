//! Values as a configuration file writes them; see [`countersign_core::setting`]. What needs a socket
//! address, a path or a secret is here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use countersign_core::setting::*;
use zeroize::Zeroizing;

/// `127.0.0.1:8080`, `[::]:8080`, `localhost:8080`, or `:8080` for every interface.
///
/// # Errors
/// How an address is written.
pub fn listen_addr(text: &str) -> Result<SocketAddr, Invalid> {
    let port = |port: &str| port.parse::<u16>().ok();
    let addr = if let Some(text) = text.strip_prefix(':') {
        port(text).map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
    } else if let Some(text) = text.strip_prefix("localhost:") {
        port(text).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    } else {
        text.parse().ok()
    };
    addr.ok_or_else(|| match text.parse::<IpAddr>() {
        Ok(_) => Invalid::new(format_args!("`{text}` lacks a port"))
            .hint(format_args!("write `{text}:8080`")),
        Err(_) => Invalid::new(format_args!("invalid address `{text}`"))
            .hint("write `127.0.0.1:8080` or `0.0.0.0:8080`"),
    })
}

/// The candidate nearest to `word`, when it is near enough to have been meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let distance = |candidate: &str| strsim::levenshtein(&word, &candidate.to_ascii_lowercase());
    candidates
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A secret from the configuration: never printed, wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(****)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let at = |text| listen_addr(text).unwrap().to_string();
        assert_eq!(at(":8080"), "0.0.0.0:8080");
        assert_eq!(at("localhost:1"), "127.0.0.1:1");
        assert_eq!(at("[::]:8080"), "[::]:8080");
        assert!(listen_addr("127.0.0.1").unwrap_err().why.contains("lacks a port"));
        for bad in ["", "example.com:80", "127.0.0.1:99999", "::1:80:", "8080"] {
            assert!(listen_addr(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_typing_error_finds_its_word() {
        let keys = ["listen", "public_url", "threads"];
        assert_eq!(nearest("lisen", keys), Some("listen"));
        assert_eq!(nearest("public-url", keys), Some("public_url"));
        assert_eq!(nearest("zebra", keys), None);
        assert_eq!(nearest(&"x".repeat(100), keys), None);
    }

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter2".into());
        assert!(!format!("{secret:?}").contains("hunter"));
        assert_eq!(secret.expose(), "hunter2");
    }
}
