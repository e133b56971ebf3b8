//! The answers of this program, and the table that chooses a route by the path alone.

pub mod discovery;
pub mod discovery_cache;
pub(super) mod exchange;
mod form;
pub(super) mod issuer_name;
pub(super) mod jwks;
pub mod opaque;
pub(super) mod restore;
mod swap;
pub(super) mod tokens;

use std::sync::Arc;

use http::HeaderValue;

use super::settings::DiscoverySettings;
use crate::issuer::discovery::PATHS;
use crate::rewrite::{self, Place, TokenRule};

/// The path of the token exchange (RFC 8693).
pub const EXCHANGE: &str = "/_countersign/token";

/// The route table. A reload replaces it as a whole.
#[derive(Debug, Default)]
pub struct Routes {
    pub tokens: Vec<Arc<TokenRule>>,
    pub discovery: DiscoverySettings,
    pub exchange: bool,
}

#[derive(Debug, Clone)]
pub enum Route {
    Jwks,
    Exchange,
    Discovery,
    Token(Arc<TokenRule>),
    Forward,
}

impl Routes {
    /// `tokens` are configured or learned; the other arguments come from the configuration.
    pub fn new(tokens: Vec<TokenRule>, discovery: DiscoverySettings, exchange: bool) -> Self {
        Self { tokens: tokens.into_iter().map(Arc::new).collect(), discovery, exchange }
    }

    /// The route of a path. `is_jwks` says whether a key set is served there. Paths of this program
    /// come first.
    pub fn of(&self, path: &str, is_jwks: impl Fn(&str) -> bool) -> Route {
        if is_jwks(path) {
            return Route::Jwks;
        }
        if path == EXCHANGE && self.exchange {
            return Route::Exchange;
        }
        if is_discovery(path) {
            return Route::Discovery;
        }
        match self.tokens.iter().find(|rule| rule.path.matches(path)) {
            Some(rule) => Route::Token(rule.clone()),
            None => Route::Forward,
        }
    }
}

/// Whether a path is a discovery document's. OpenID Connect Discovery §4 appends the well-known
/// part to the issuer's path; RFC 8414 §3.1 inserts it before that path.
pub fn is_discovery(path: &str) -> bool {
    PATHS.iter().any(|known| {
        path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            || path.strip_suffix(known).is_some_and(|before| before.starts_with('/'))
    })
}

/// A field value with these edits; `None` where there are none.
fn spliced(value: &[u8], edits: Vec<(Place, String)>) -> Option<HeaderValue> {
    if edits.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(&rewrite::splice(value, edits)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_discovery_path_precedes_or_follows_the_issuers_path() {
        for path in [
            "/.well-known/openid-configuration",
            "/tenant/.well-known/openid-configuration",
            "/.well-known/oauth-authorization-server/tenant",
            "/.well-known/openid-configuration/tenant",
            "/a/b/.well-known/oauth-authorization-server",
        ] {
            assert!(is_discovery(path), "{path}");
        }
        for path in [
            "/.well-known/openid-configurationx",
            "x/.well-known/openid-configuration",
            "/.well-known/jwks.json",
            "/",
        ] {
            assert!(!is_discovery(path), "{path}");
        }
    }

    #[test]
    fn our_own_paths_come_first() {
        let routes = Routes { exchange: true, ..Routes::default() };
        let of = |path: &str| routes.of(path, |p| p == "/jwks");
        assert!(matches!(of("/jwks"), Route::Jwks));
        assert!(matches!(of(EXCHANGE), Route::Exchange));
        assert!(matches!(of("/_countersign/tokens"), Route::Forward));
        let off = Routes::default();
        assert!(matches!(off.of(EXCHANGE, |_| false), Route::Forward));
    }
}
