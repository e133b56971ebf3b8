//! The metadata document of OpenID Connect Discovery 1.0 §3 and RFC 8414 §2.

/// What a document says; only the issuer is always there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovered {
    pub issuer: String,
    pub jwks_uri: Option<String>,
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    pub userinfo_endpoint: Option<String>,
    pub introspection_endpoint: Option<String>,
    pub revocation_endpoint: Option<String>,
    pub end_session_endpoint: Option<String>,
    pub id_token_signing_algs: Vec<String>,
}
