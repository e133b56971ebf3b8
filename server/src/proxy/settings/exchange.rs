//! `[exchange]`.

use std::time::Duration;

use url::Url;

use crate::jose::names::{Audience, Issuer, IssuerName};
use crate::rewrite::JsonPath;
use crate::setting::Secret;

/// `[exchange]`
#[derive(Debug, Clone)]
pub struct ExchangeSettings {
    /// Whether `POST /_countersign/token` is served [true].
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

/// Which web origins may read the exchange's answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cors {
    #[default]
    Off,
    /// `*`. It is safe only while the exchange accepts no cookie, so it is refused together with a
    /// session.
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

/// `[[exchange.introspection]]`: introspection of opaque tokens (RFC 7662).
#[derive(Debug, Clone)]
pub struct IntrospectionSettings {
    /// The issuer whose policy applies to the claims of the answer.
    pub issuer: IssuerName,
    pub url: Url,
    pub client_id: String,
    pub client_secret: Secret,
    /// Sends the credentials in the form instead of the `Authorization` header (RFC 6749 §2.3.1)
    /// [false].
    pub credentials_in_body: bool,
    /// The `aud` to use where the answer has none.
    pub audience: Option<Audience>,
    /// The longest lifetime of the new token, and its lifetime where the answer has no `exp`
    /// [300 s].
    pub lifetime: Duration,
}

/// `[exchange.session]`: a session cookie or an opaque bearer token is sent to a URL of the auth
/// server, and its JSON answer becomes the claims.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    pub url: Url,
    /// The names of the cookies that are sent. Empty: no cookies.
    pub cookies: Vec<String>,
    /// Sends an opaque `subject_token` as `Authorization: Bearer` [true].
    pub bearer: bool,
    /// `iss` of the new token.
    pub issuer: Issuer,
    /// `aud` of the new token.
    pub audience: Audience,
    /// `exp` − now of the new token [300 s].
    pub lifetime: Duration,
    /// Claims, and where their values are in the answer. `sub` is always among them.
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
