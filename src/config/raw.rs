//! The configuration as written: one field for each table of the file. A flat table is the settings type
//! of the module that uses it. A table whose keys depend on each other, on other tables or on the
//! environment has a `Raw…` type here, from which `resolve` makes the settings. The comment on a key
//! describes it for editors.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::admin::AdminSettings;
use crate::bridge::BridgeSettings;
use crate::issuer::{FetchSettings, RefreshSettings};
use crate::jose::names::{Audience, Issuer, IssuerName, Limits};
use crate::jose::policy::ClaimRules;
use crate::log::LogSettings;
use crate::otel::OtelSettings;
use crate::proxy::settings::{
    Cors, ServerSettings, SessionSettings, UpstreamSettings, default_lifetime,
};
use crate::rewrite::TokenRule;
use crate::setting::{self, OneOrMany, Secret};

/// Configuration of countersign.
#[derive(Default, Deserialize, JsonSchema)]
#[schemars(title = "countersign.toml")]
#[serde(default, deny_unknown_fields)]
pub struct RawConfig {
    /// Where last good key sets and, by default, the signing keys are kept.
    pub data_dir: Option<String>,
    pub server: ServerSettings,
    pub admin: AdminSettings,
    pub upstream: Option<UpstreamSettings>,
    pub profile: RawProfile,
    pub signing: RawSigning,
    /// The issuers of the tokens. Default: the one in the upstream's discovery document.
    pub issuer: Vec<RawIssuer>,
    /// Where tokens are. Default: the endpoints of the upstream's discovery document.
    pub tokens: Vec<TokenRule>,
    pub discovery: RawDiscovery,
    pub exchange: RawExchange,
    pub bridge: BridgeSettings,
    pub limits: Limits,
    pub log: LogSettings,
    pub otel: OtelSettings,
}

/// The verifier to satisfy.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawProfile {
    /// Name of a known verifier.
    pub name: Option<String>,
    /// Algorithms whose tokens pass unchanged.
    pub accepts: Option<Vec<String>>,
    /// Algorithms whose keys are published: those that do the verifier no harm.
    pub publish: Option<Vec<String>>,
    /// Claims that change from token to token (`jti`, at the exchange `nonce` and `at_hash` too) are
    /// left out.
    pub stable_claims: bool,
    pub claims: RawShape,
}

/// The claims that the verifier accepts.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawShape {
    /// Exactly one audience, as a string.
    pub single_audience: Option<bool>,
    /// `typ` must be `JWT` or absent.
    pub typ_jwt: Option<bool>,
    /// `iat` is required.
    pub needs_iat: Option<bool>,
    /// `sub` is required.
    pub needs_sub: Option<bool>,
    /// Standard claims of the wrong JSON type are converted if nothing is lost.
    pub coerce_standard: Option<bool>,
}

/// Our own signing keys.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSigning {
    /// `RS256`, `ES256` or `EdDSA`.
    #[schemars(extend("enum" = ["RS256", "ES256", "EdDSA"]))]
    pub algorithm: Option<String>,
    /// `file:DIR`, `readonly:DIR` (PEM or JWK files mounted read-only), `env:NAME` (a private key in an
    /// environment variable, with `NAME_NEXT` and `NAME_PREVIOUS`) or `redis://HOST:PORT/DB`.
    pub store: Option<String>,
    /// Age at which a new key replaces the old one, `90d`, or `never`.
    pub rotate_every: Option<String>,
    /// Allowed clock skew of verifiers before a new key signs, `60s`.
    pub skew: Option<setting::Duration>,
    /// How long a replica may be cut off from Redis before a verifier can notice, `10m`. A new key waits
    /// that much longer before it signs.
    pub outage: Option<setting::Duration>,
    /// Base64 of 32 random bytes: encrypts private keys in Redis. Use `${VAR}`.
    pub encryption_key: Option<Secret>,
    /// A file with the same.
    pub encryption_key_file: Option<String>,
}

/// An issuer of tokens.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawIssuer {
    /// Short name for logs and metrics; default: the host of `issuer`.
    pub name: Option<IssuerName>,
    /// `iss` of its tokens, one spelling or several. `{name}` is the tenant.
    pub issuer: OneOrMany,
    /// Which tenants may log in, if `issuer` has a `{name}`.
    pub tenants: Option<RawTenants>,
    /// Its key set: a path at the upstream, a URL, a URL with `{kid}`, `file:PATH`, or the JSON.
    pub jwks: Option<String>,
    /// Paths of the public listener that serve its key set.
    pub jwks_path: OneOrMany,
    /// HMAC secrets for HS256, HS384 and HS512. Use `${VAR}`.
    pub secret: OneOrMany<Secret>,
    /// A file with the secret; a line break at its end is removed.
    pub secret_file: Option<String>,
    /// `text`, `base64`, `base64url` or `hex`.
    pub secret_encoding: SecretEncoding,
    /// Algorithms that its tokens may have; default: every one with a public key.
    pub algorithms: Option<OneOrMany>,
    /// Protected header parameters its tokens must have, with exactly these values. A URL with
    /// `{kid}` needs one. Its keys are then not published.
    pub required_headers: BTreeMap<String, String>,
    /// The token must name one of these; default: any.
    pub audience: OneOrMany<Audience>,
    /// The `aud` to set if a token has none.
    pub audience_when_missing: Option<RawMissingAudience>,
    /// The new value of `iss`; default: unchanged.
    pub output_issuer: Option<Issuer>,
    /// Tokens without `iss` also belong to this issuer, and get `output_issuer`. Only with one
    /// `[[issuer]]`.
    pub issuer_when_missing: bool,
    pub claims: ClaimRules,
    /// ECDSA signatures in DER are accepted.
    pub accept_der: bool,
    /// Segments padded with `=` are accepted (AWS ALB).
    pub padded: bool,
    /// `typ: at+jwt` (RFC 9068) is countersigned too.
    pub access_tokens: Option<bool>,
    /// Tokens bound to a key of their sender (`cnf`: DPoP, mTLS) become bearer tokens.
    pub accept_sender_constrained: bool,
    /// The new token lives at most this long, `1h`.
    pub max_lifetime: Option<setting::Duration>,
    /// Allowed clock skew for `nbf` and `iat`, `5s`; never for `exp`.
    pub leeway: Option<setting::Duration>,
    /// The new token carries the original's signature, so that the proxy can restore the original for the
    /// issuer.
    pub carry_original: Option<bool>,
    pub refresh: RefreshSettings,
    pub fetch: FetchSettings,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum SecretEncoding {
    #[default]
    Text,
    Base64,
    Base64url,
    Hex,
}

/// Tenants of an issuer that signs for many.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTenants {
    /// The claim that must name the tenant as `iss` does, `tid`.
    pub claim: String,
    /// The tenants that may log in, or `any`: every tenant, and anybody may open one at the issuer.
    pub allow: OneOrMany,
    /// `iss` stays, with the tenant in it; without it `output_issuer` is needed.
    #[serde(default)]
    pub keep_issuer: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawMissingAudience {
    /// The `aud` to set.
    pub audience: Audience,
    /// `azp` or `client_id` must be one of these. Needed unless `required_headers` requires `client`.
    #[serde(default)]
    pub clients: Vec<String>,
    /// What names the client of a token that has neither claim. `iss`: a segment in the path of its
    /// `iss`. `jwks`: the address of the key set, or keys from a file, inline keys or a secret.
    #[serde(default)]
    pub vouched_by: OneOrMany,
}

/// The upstream's discovery document.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawDiscovery {
    /// The new value of `issuer`, and of `iss` in the tokens.
    pub issuer: Option<Issuer>,
    /// Rewrite endpoints below the upstream's URL to `public_url`.
    pub endpoints: Option<bool>,
}

/// `POST /_countersign/token`, RFC 8693.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawExchange {
    pub enabled: Option<bool>,
    /// Origins whose pages may read the answer, or `*`.
    pub cors_origins: Cors,
    /// Opaque tokens by RFC 7662.
    pub introspection: Vec<RawIntrospection>,
    /// A session cookie or opaque bearer by a URL of the auth server.
    pub session: Option<SessionSettings>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawIntrospection {
    /// Name of the `[[issuer]]`; not needed with only one.
    pub issuer: Option<String>,
    pub url: setting::Url,
    pub client_id: String,
    /// Use `${VAR}`.
    pub client_secret: Option<Secret>,
    pub client_secret_file: Option<String>,
    /// `basic` or `body`.
    #[serde(default)]
    pub auth: ClientAuth,
    /// The `aud` if the answer has none.
    pub audience: Option<Audience>,
    /// The new token lives at most this long.
    #[serde(default = "default_lifetime", with = "setting::Duration")]
    pub lifetime: Duration,
}

/// How the client sends its credentials (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ClientAuth {
    #[default]
    Basic,
    Body,
}
