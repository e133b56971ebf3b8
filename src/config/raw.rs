//! The configuration as it is written. Every key is here and nowhere else; each is described for
//! editors by its comment. What the values mean is decided in `resolve`. None of it prints: secrets
//! are still plain text here.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, SeqAccess, Visitor};

/// Configuration of countersign.
#[derive(Default, Deserialize, JsonSchema)]
#[schemars(title = "countersign.toml")]
#[serde(default, deny_unknown_fields)]
pub struct RawConfig {
    /// Where last good key sets and, by default, the signing keys are kept.
    pub data_dir: Option<String>,
    pub server: RawServer,
    pub admin: RawAdmin,
    pub upstream: Option<RawUpstream>,
    pub profile: RawProfile,
    pub signing: RawSigning,
    /// Who signs the tokens. None: learnt from the upstream's discovery document.
    pub issuer: Vec<RawIssuer>,
    /// Where tokens stand. None: the endpoints of the upstream's discovery document.
    pub tokens: Vec<RawTokens>,
    pub discovery: RawDiscovery,
    pub exchange: RawExchange,
    pub bridge: RawBridge,
    pub limits: RawLimits,
    pub log: RawLog,
    pub otel: RawOtel,
}

/// The public listener.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawServer {
    /// Address of the public listener, `127.0.0.1:8080`.
    pub listen: Option<String>,
    /// What clients and verifiers call this proxy, `https://auth.example.com`.
    pub public_url: Option<String>,
    pub tls: Option<RawTls>,
    /// Proxy threads; one per core.
    pub threads: Option<usize>,
    /// `max-age` of the served key set, `300s`.
    pub max_age: Option<String>,
    /// How long running requests may take at a stop, `30s`.
    pub grace: Option<String>,
    pub limits: RawServerLimits,
}

/// PEM files.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTls {
    /// The certificate chain.
    pub cert: String,
    /// The private key.
    pub key: String,
}

/// Bounds of the public listener.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawServerLimits {
    /// Size of a request's header, `64KiB`.
    pub header: Option<String>,
    /// Size of a request body that is read, `256KiB`.
    pub body: Option<String>,
    /// Size of an answer that is searched for tokens, `1MiB`.
    pub answer: Option<String>,
    /// Client connections at once, 10000.
    pub connections: Option<usize>,
    /// A kept-alive connection without a request is closed, `60s`.
    pub idle_timeout: Option<String>,
    /// A client must have sent its header, then each part of its body, `30s`.
    pub read_timeout: Option<String>,
}

/// The admin listener: health, metrics, status page.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawAdmin {
    /// Address of the admin listener, `127.0.0.1:9090`, or `off`.
    pub listen: Option<String>,
    /// Names a browser may reach it by, beside addresses, names without a dot and `localhost`.
    pub hosts: Option<OneOrMany>,
}

/// The auth server.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawUpstream {
    /// Its address, `https://auth.internal:3001`, with a base path if it lives below one.
    pub url: Option<String>,
    /// The `Host` header it sees: the one the client used (`client`), its own name (`upstream`), or
    /// another name, `auth.example.com`.
    #[schemars(extend("examples" = ["client", "upstream", "auth.example.com"]))]
    pub host: Option<String>,
    #[serde(default)]
    pub tls: RawUpstreamTls,
    #[serde(default)]
    pub timeouts: RawTimeouts,
}

/// TLS towards the auth server.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawUpstreamTls {
    /// A PEM file with further CA certificates.
    pub ca: Option<String>,
    /// A PEM file with the client's certificate (mTLS).
    pub client_cert: Option<String>,
    /// A PEM file with the client's private key (mTLS).
    pub client_key: Option<String>,
    /// The name asked for and checked, instead of the URL's host.
    pub sni: Option<String>,
    /// Whether the certificate is checked; `false` for experiments only.
    pub verify: Option<bool>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawTimeouts {
    /// TCP and TLS, `5s`.
    pub connect: Option<String>,
    /// Between two reads, `60s`.
    pub read: Option<String>,
    /// Between two writes, `60s`.
    pub write: Option<String>,
    /// A pooled connection is kept, `60s`.
    pub idle: Option<String>,
}

/// The verifier to please.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawProfile {
    /// A verifier that is known by name.
    pub name: Option<String>,
    /// Algorithms whose tokens pass as they stand.
    pub accepts: Option<Vec<String>>,
    /// Algorithms whose keys are published.
    pub publish: Option<Vec<String>>,
    pub claims: RawShape,
}

/// The claims the verifier takes.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawShape {
    /// Exactly one audience, as a string.
    pub single_audience: Option<bool>,
    /// `typ` must be `JWT` or absent.
    pub typ_jwt: Option<bool>,
    /// `iat` must be there.
    pub needs_iat: Option<bool>,
    /// `sub` must be there.
    pub needs_sub: Option<bool>,
    /// Standard claims of the wrong JSON type are coerced where nothing is lost.
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
    /// Age at which a new key takes over, `90d`, or `never`.
    pub rotate_every: Option<String>,
    /// Clock skew granted to verifiers before a new key signs, `60s`.
    pub skew: Option<String>,
    /// How long a replica may be cut off from Redis without any verifier noticing, `10m`: new keys
    /// wait that much longer before they sign.
    pub outage: Option<String>,
    /// Base64 of 32 random bytes: encrypts private keys in Redis. Use `${VAR}`.
    pub encryption_key: Option<String>,
    /// A file with the same.
    pub encryption_key_file: Option<String>,
}

/// One who signs tokens.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawIssuer {
    /// Short name for logs and metrics; the host of `issuer`.
    pub name: Option<String>,
    /// `iss` of its tokens, one spelling or several. `{name}` stands for a tenant.
    pub issuer: Option<OneOrMany>,
    /// Which tenants may log in, where `issuer` has a `{name}`.
    pub tenants: Option<RawTenants>,
    /// Its key set: a path at the upstream, a URL, a URL with `{kid}`, `file:PATH`, or the JSON.
    pub jwks: Option<String>,
    /// Paths of the public listener that answer with its set.
    pub jwks_path: Option<OneOrMany>,
    /// HMAC secrets for HS256, HS384 and HS512. Use `${VAR}`.
    pub secret: Option<OneOrMany>,
    /// A file with the secret; a line end after it is cut off.
    pub secret_file: Option<String>,
    /// `text`, `base64`, `base64url` or `hex`.
    #[schemars(extend("enum" = ["text", "base64", "base64url", "hex"]))]
    pub secret_encoding: Option<String>,
    /// Algorithms its tokens may be signed with; every one with a public key.
    pub algorithms: Option<OneOrMany>,
    /// Protected header parameters its tokens must have, with exactly these values. A URL with
    /// `{kid}` needs one. Its keys are then not published.
    pub required_headers: BTreeMap<String, String>,
    /// The token must name one of these; any.
    pub audience: Option<OneOrMany>,
    /// The `aud` set where a token has none.
    pub audience_when_missing: Option<RawMissingAudience>,
    /// What `iss` becomes.
    pub output_issuer: Option<String>,
    pub claims: RawClaims,
    /// ECDSA signatures in DER are accepted.
    pub accept_der: Option<bool>,
    /// Segments padded with `=` are accepted (AWS ALB).
    pub padded: Option<bool>,
    /// `typ: at+jwt` (RFC 9068) is countersigned too.
    pub access_tokens: Option<bool>,
    /// The new token lives at most this long, `1h`.
    pub max_lifetime: Option<String>,
    /// Clock skew granted to `nbf` and `iat`, `5s`; never to `exp`.
    pub leeway: Option<String>,
    /// The original's signature travels in the new token, so that the issuer can be shown the
    /// original again.
    pub carry_original: Option<bool>,
    pub refresh: RawRefresh,
    pub fetch: RawFetch,
}

/// Tenants of an issuer that signs for many.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTenants {
    /// The claim that must name the tenant as `iss` does, `tid`.
    pub claim: String,
    /// The tenants, or `any`: whoever opens one there.
    pub allow: OneOrMany,
    /// `iss` stays, with the tenant in it; without it `output_issuer` is needed.
    pub keep_issuer: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawMissingAudience {
    /// The `aud` to set.
    pub audience: String,
    /// `azp` or `client_id` must be one of these. Needed unless `required_headers` demands `client`.
    #[serde(default)]
    pub clients: Vec<String>,
}

/// Edits of the claims: rename, then set, then drop.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawClaims {
    /// Old name = new name.
    pub rename: BTreeMap<String, String>,
    /// Name = value.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub set: BTreeMap<String, toml::Value>,
    pub drop: Vec<String>,
    /// `exp`, `iat`, `nbf` as decimal strings are read.
    pub numeric_strings: Option<bool>,
    /// `exp`, `iat`, `nbf` in milliseconds are read.
    pub milliseconds: Option<bool>,
}

/// How its key set is kept fresh.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawRefresh {
    /// Its `Cache-Control` is honoured from this, `60s`,
    pub min_age: Option<String>,
    /// to this, `1h`.
    pub max_age: Option<String>,
    /// Age when it says nothing, `300s`.
    pub default_age: Option<String>,
    /// After a fetch, good or bad, an unknown kid starts no other for this long, `30s`.
    pub cooldown: Option<String>,
    /// How long a request waits for the fetch an unknown kid started, `1s`.
    pub unknown_kid_wait: Option<String>,
    /// The last good set is served this long while the issuer fails, `7d`.
    pub stale_max: Option<String>,
    /// A key the issuer removed still verifies for this long, `0s`.
    pub removed_key_grace: Option<String>,
}

/// How its key set is fetched.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawFetch {
    pub connect_timeout: Option<String>,
    pub total_timeout: Option<String>,
    /// Redirects followed within the origin, 3.
    pub redirects: Option<u8>,
    /// Status codes whose body is read, `[200]`.
    pub status: Option<Vec<u16>>,
    /// Link-local and cloud metadata addresses may be dialled.
    pub allow_link_local: Option<bool>,
    /// A PEM file with further CA certificates.
    pub ca: Option<String>,
    /// Header lines to send.
    pub headers: BTreeMap<String, String>,
}

/// Places where tokens stand on one path.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawTokens {
    /// The request's path: exact, or with `*` (within a segment) and `**` (any).
    pub path: Option<String>,
    /// String values of a JSON answer, `access_token`, `sessions[*].token`.
    pub json: Option<OneOrMany>,
    /// Query and fragment parameters of a `Location`.
    pub redirect: Option<OneOrMany>,
    /// `Set-Cookie` names.
    pub cookies: Option<OneOrMany>,
    /// Hidden inputs of an HTML answer.
    pub form_post: Option<OneOrMany>,
    /// The answer is one token (`application/jwt`).
    pub jwt_body: Option<bool>,
    /// `swap`: the request's bearer token is countersigned; `restore`: it becomes the original.
    #[schemars(extend("enum" = ["swap", "restore"]))]
    pub bearer: Option<String>,
    /// Form fields of the request whose tokens become the originals.
    pub restore_form: Option<OneOrMany>,
    /// Query parameters of the request whose tokens become the originals.
    pub restore_query: Option<OneOrMany>,
    /// Cookies of the request whose tokens become the originals.
    pub restore_cookies: Option<OneOrMany>,
    /// The `aud` wanted where a token names several.
    pub audience: Option<String>,
}

/// The upstream's discovery document.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawDiscovery {
    /// What `issuer` becomes, and `iss` of the tokens with it.
    pub issuer: Option<String>,
    /// Endpoints below the upstream's URL become those below `public_url`.
    pub endpoints: Option<bool>,
}

/// `POST /_countersign/token`, RFC 8693.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawExchange {
    pub enabled: Option<bool>,
    /// Origins whose pages may read the answer, or `*`.
    pub cors_origins: Option<OneOrMany>,
    /// Opaque tokens by RFC 7662.
    pub introspection: Vec<RawIntrospection>,
    /// A session cookie or opaque bearer by a URL of the auth server.
    pub session: Option<RawSession>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawIntrospection {
    /// Name of the `[[issuer]]`; not needed with only one.
    pub issuer: Option<String>,
    pub url: String,
    pub client_id: String,
    /// Use `${VAR}`.
    pub client_secret: Option<String>,
    pub client_secret_file: Option<String>,
    /// `basic` or `body`.
    #[schemars(extend("enum" = ["basic", "body"]))]
    pub auth: Option<String>,
    /// The `aud` where the answer has none.
    pub audience: Option<String>,
    /// The new token lives at most this long, `300s`.
    pub lifetime: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSession {
    /// Answers with JSON about whoever shows the cookie.
    pub url: String,
    /// Cookies that are passed on.
    pub cookies: Option<OneOrMany>,
    /// An opaque `subject_token` is passed on as bearer.
    pub bearer: Option<bool>,
    /// `iss` of the new token.
    pub issuer: String,
    /// `aud` of the new token.
    pub audience: String,
    /// Life of the new token, `300s`.
    pub lifetime: Option<String>,
    /// Claim = where its value stands in the answer; `sub` must be among them.
    pub claims: BTreeMap<String, String>,
}

/// Verifying and signing.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawBridge {
    /// Size of the cache of countersigned tokens, `32MiB`; `0` for none.
    pub cache: Option<String>,
    /// Threads that verify and sign; half the cores.
    pub threads: Option<usize>,
    /// Tokens that wait for a thread, 1024.
    pub queue: Option<usize>,
}

/// Bounds on key sets and tokens.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawLimits {
    /// Size of a key set document, `512KiB`.
    pub document: Option<String>,
    /// Keys in one set, 100.
    pub keys: Option<usize>,
    /// JSON nesting, 32.
    pub depth: Option<usize>,
    /// Size of a token, `16KiB`.
    pub token: Option<String>,
    /// Keys tried for a token without a kid, 4.
    pub signature_checks: Option<u32>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawLog {
    /// `text` or `json`.
    #[schemars(extend("enum" = ["text", "json"]))]
    pub format: Option<String>,
    /// `error`, `warn`, `info`, `debug`, `trace`, `off`, or `target=level` pairs.
    pub level: Option<String>,
}

/// Spans of requests, exported by OTLP over HTTP; needs a binary built with the feature `otel`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawOtel {
    /// The collector, `http://127.0.0.1:4318`; `/v1/traces` is appended. None: nothing is exported.
    pub endpoint: Option<String>,
    /// `service.name` of the spans, `countersign`.
    pub service_name: Option<String>,
    /// Share of the requests that begin a trace here and are exported, 1.0.
    pub sample_ratio: Option<f64>,
    /// Header lines to send. Use `${VAR}` for credentials.
    pub headers: BTreeMap<String, String>,
    /// The same, each value in a file.
    pub header_files: BTreeMap<String, String>,
    /// A PEM file with further CA certificates.
    pub ca: Option<String>,
}

/// A string or a list of strings.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = seq.next_element()? {
                    all.push(one);
                }
                Ok(OneOrMany(all))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for OneOrMany {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }]
        })
    }
}
