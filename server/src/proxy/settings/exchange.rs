//! `[exchange]`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::jose::names::{Audience, Issuer, IssuerName};
use crate::rewrite::JsonPath;
use crate::setting::{self, Invalid, OneOrMany, Secret};

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
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(with = "OneOrMany")]
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

impl<'de> Deserialize<'de> for Cors {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let origins = OneOrMany::<String>::deserialize(from)?;
        match origins.as_slice() {
            [] => return Ok(Self::Off),
            [any] if any == "*" => return Ok(Self::Any),
            _ => {}
        }
        let is_origin = |text: &&String| {
            Url::parse(text).is_ok_and(|url| {
                url.origin().is_tuple() && url.origin().ascii_serialization() == **text
            })
        };
        match origins.iter().find(|text| !is_origin(text)) {
            None => Ok(Self::Origins(origins)),
            Some(wrong) => Err(D::Error::custom(
                Invalid::new(format_args!("invalid origin `{wrong}`"))
                    .hint("write scheme, host and port alone: `https://app.example.com`"),
            )),
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

/// `[exchange.session]`: a session cookie or an opaque bearer token is sent to a URL of the auth server, and
/// its JSON answer becomes the claims.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionSettings {
    /// An address of the auth server that answers with JSON about the owner of the cookie or bearer.
    #[serde(with = "setting::Url")]
    pub url: Url,
    /// Cookies to forward.
    #[serde(default, with = "OneOrMany")]
    pub cookies: Vec<String>,
    /// An opaque `subject_token` is forwarded as bearer.
    #[serde(default = "yes")]
    pub bearer: bool,
    /// `iss` of the new token.
    pub issuer: Issuer,
    /// `aud` of the new token.
    pub audience: Audience,
    /// Life of the new token.
    #[serde(default = "default_lifetime", with = "setting::Duration")]
    pub lifetime: Duration,
    /// Claim = the place of its value in the answer; `sub` is required.
    pub claims: BTreeMap<String, JsonPath>,
}

fn yes() -> bool {
    true
}

/// The lifetime of a token made from an introspection answer or a session.
pub fn default_lifetime() -> Duration {
    Duration::from_secs(300)
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
