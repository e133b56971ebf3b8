//! `[exchange]`.

use std::time::Duration;

use url::Url;

use crate::jose::names::{Audience, Issuer, IssuerName};
use crate::rewrite::JsonPath;
use crate::setting::Secret;

/// `[exchange]`
#[derive(Debug, Clone)]
pub struct ExchangeSettings {
    /// `POST /_countersign/token` is answered [true].
    pub enabled: bool,
    pub cors: Cors,
    pub introspection: Vec<IntrospectionSettings>,
    pub session: Option<SessionSettings>,
}

impl Default for ExchangeSettings {
    fn default() -> Self {
        Self { enabled: true, cors: Cors::default(), introspection: Vec::new(), session: None }
    }
}

/// Which pages of other origins may read the exchange's answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cors {
    #[default]
    Off,
    /// `*`; safe only as long as the exchange takes no cookie, so refused together with a session.
    Any,
    /// Origins, `https://app.example.com`, without a trailing slash.
    Origins(Vec<String>),
}

impl Cors {
    /// Whether a page of `origin` (an `Origin` header) may read the answer.
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Off => false,
            Self::Any => true,
            Self::Origins(list) => list.iter().any(|allowed| allowed == origin),
        }
    }
}

/// `[[exchange.introspection]]`: opaque tokens by RFC 7662.
#[derive(Debug, Clone)]
pub struct IntrospectionSettings {
    /// The issuer whose policy the answer's claims are held to.
    pub issuer: IssuerName,
    pub url: Url,
    pub client_id: String,
    pub client_secret: Secret,
    /// Credentials go in the form instead of the `Authorization` header (RFC 6749 §2.3.1) [false].
    pub credentials_in_body: bool,
    /// The `aud` where the answer has none.
    pub audience: Option<Audience>,
    /// The new token lives at most this long; an answer without `exp` gets exactly this [300 s].
    pub lifetime: Duration,
}

/// `[exchange.session]`: a session cookie or opaque bearer, shown to a URL of the auth server whose
/// JSON answer becomes claims.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    pub url: Url,
    /// Cookies that are passed on; empty: none.
    pub cookies: Vec<String>,
    /// An opaque `subject_token` is passed on as `Authorization: Bearer` [true].
    pub bearer: bool,
    /// `iss` of the new token.
    pub issuer: Issuer,
    /// `aud` of the new token.
    pub audience: Audience,
    /// `exp` − now of the new token [300 s].
    pub lifetime: Duration,
    /// Claim and where its value stands in the answer; `sub` is always among them.
    pub claims: Vec<(String, JsonPath)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_compared_whole() {
        let cors = Cors::Origins(vec!["https://a.example".into()]);
        assert!(cors.allows("https://a.example"));
        for other in ["https://a.example.evil.com", "http://a.example", "null", ""] {
            assert!(!cors.allows(other), "{other}");
        }
        assert!(!Cors::Off.allows("https://a.example"));
    }
}
