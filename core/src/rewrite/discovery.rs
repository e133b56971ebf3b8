//! The metadata document of OpenID Connect Discovery 1.0 §3 and RFC 8414 §2. It is read leniently,
//! and rewritten so that only the necessary members change.

use std::borrow::Cow;

use serde_json::Value;
use url::Url;

use super::replace;
use crate::jose::alg::Alg;
use crate::jose::json;

/// The members of a document that are used here. Only `issuer` is required; another member that is
/// empty or has the wrong type counts as missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub struct Discovered {
    /// The issuer's identifier, which tokens repeat in `iss`.
    pub issuer: String,
    /// The address of its key set.
    pub jwks_uri: Option<String>,
    /// RFC 6749 §3.1.
    pub authorization_endpoint: Option<String>,
    /// RFC 6749 §3.2.
    pub token_endpoint: Option<String>,
    /// OpenID Connect Core §5.3.
    pub userinfo_endpoint: Option<String>,
    /// RFC 7662 §2.
    pub introspection_endpoint: Option<String>,
    /// RFC 7009 §2.
    pub revocation_endpoint: Option<String>,
    /// RP-Initiated Logout §2.1.
    pub end_session_endpoint: Option<String>,
    /// RFC 7591 §3.
    pub registration_endpoint: Option<String>,
    /// RFC 9126 §5.
    pub pushed_authorization_request_endpoint: Option<String>,
    /// OpenID CIBA §4.
    pub backchannel_authentication_endpoint: Option<String>,
    /// The endpoints for mutual TLS (RFC 8705 §5). Their `issuer` is the document's.
    #[serde(skip)]
    pub mtls_endpoint_aliases: Option<Box<Discovered>>,
    /// `iss` of the access tokens of AD FS, where it differs from `iss` of the ID tokens.
    pub access_token_issuer: Option<String>,
    /// `id_token_signing_alg_values_supported`, as written.
    #[serde(skip)]
    pub id_token_signing_algs: Vec<String>,
}

/// Why a document cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryFault {
    /// It is not JSON, or is another JSON value.
    #[error("the discovery document is not a JSON object")]
    NotAnObject,
    /// Some servers wrap the document in a list.
    #[error("the discovery document is inside a JSON list, where no client looks for it")]
    List,
    /// It does not name its issuer.
    #[error("`issuer` is missing in the discovery document")]
    IssuerMissing,
    /// Parsers disagree on which of two equal names counts (RFC 8259 §4).
    #[error("`{0}` occurs twice in the discovery document")]
    Duplicate(&'static str),
}

impl DiscoveryFault {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotAnObject | Self::List => "discovery_not_json",
            Self::IssuerMissing => "discovery_issuer",
            Self::Duplicate(_) => "duplicate_member",
        }
    }
}

/// Members that are read or changed here.
const KNOWN: [&str; 13] = [
    "issuer",
    "access_token_issuer",
    "jwks_uri",
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "introspection_endpoint",
    "revocation_endpoint",
    "end_session_endpoint",
    "registration_endpoint",
    "pushed_authorization_request_endpoint",
    "backchannel_authentication_endpoint",
    ALGS,
];
const ALGS: &str = "id_token_signing_alg_values_supported";
/// Lists of the algorithms with which the server signs answers that this program signs again: ID
/// tokens, userinfo (OpenID Connect Core §5.3.2), introspection (RFC 9701 §5). The other
/// `*_signing_alg_values_supported` list what the server accepts from clients, or what it signs
/// that is passed on unchanged (JARM).
const SIGNED_HERE: [&str; 3] =
    [ALGS, "userinfo_signing_alg_values_supported", "introspection_signing_alg_values_supported"];
const ALIASES: &str = "mtls_endpoint_aliases";

/// Reads a document, whatever its media type is.
///
/// # Errors
/// [`DiscoveryFault`]
pub fn read(document: &[u8]) -> Result<Discovered, DiscoveryFault> {
    let (_, members) = members(document)?;
    let found = texts(&members);
    if found.issuer.is_empty() {
        return Err(DiscoveryFault::IssuerMissing);
    }
    let raw = |name| members.iter().find(|(own, _)| own == name).map(|(_, value)| *value);
    // Aliases that cannot be parsed are ignored; the other members are still used.
    let aliases = raw(ALIASES).and_then(|text| self::members(text.as_bytes()).ok());
    let aliases = aliases.map(|(_, aliases)| {
        Box::new(Discovered { issuer: found.issuer.clone(), ..texts(&aliases) })
    });
    let algs = raw(ALGS).and_then(|text| serde_json::from_str(text).ok());
    Ok(Discovered {
        mtls_endpoint_aliases: aliases,
        id_token_signing_algs: algs.unwrap_or_default(),
        ..found
    })
}

/// The members that are strings. An empty one counts as missing.
fn texts(members: &Members<'_>) -> Discovered {
    let texts = members.iter().filter_map(|(name, value)| {
        let text: String = serde_json::from_str(value).ok()?;
        (!text.is_empty()).then(|| (name.to_string(), text.into()))
    });
    // Every field is a string or skipped, so this cannot fail.
    serde_json::from_value(Value::Object(texts.collect())).unwrap_or_default()
}

/// The changes to a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoveryRewrite {
    /// The address of the normalised key set; `None` does not change it.
    pub jwks_uri: Option<String>,
    /// The algorithms of the tokens that this program signs; empty does not change the lists. They
    /// are put first in each list. The server's own follow, because tokens may be passed on
    /// unchanged, and clients register with what the server supports.
    pub algs: Vec<Alg>,
    /// The new issuer; `None` does not change it.
    pub issuer: Option<String>,
    /// Where endpoints move; `None` does not change them.
    pub endpoints: Option<EndpointRewrite>,
}

/// Moves addresses below one of `from` to the same paths below `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRewrite {
    /// Base addresses without trailing slashes.
    pub from: Vec<String>,
    /// The new base address, without a trailing slash.
    pub to: String,
}

impl EndpointRewrite {
    /// Moves all names of the upstream to `to`: its address, and the issuer's and our own origin
    /// with the upstream's base path. Our origin is included because a provider may build its
    /// addresses from the `Host` that it receives, which is ours, and its own path.
    pub fn to_public(issuer: &str, upstream: &Url, to: &str) -> Self {
        let mut from = bases(issuer, upstream);
        if !upstream.path().trim_end_matches('/').is_empty() {
            from.extend(bases(to, upstream).into_iter().skip(1));
        }
        let from = from.iter().map(|url| url.as_str().trim_end_matches('/').to_owned()).collect();
        Self { from, to: to.trim_end_matches('/').to_owned() }
    }

    fn apply(&self, address: &str) -> Option<String> {
        self.from.iter().find_map(|from| {
            let rest = address.strip_prefix(from.as_str())?;
            // `https://a.example` must not match `https://a.example.evil`.
            let ends = rest.is_empty() || rest.starts_with(['/', '?', '#']);
            ends.then(|| format!("{}{rest}", self.to))
        })
    }
}

/// The base addresses of the upstream: its own, and the issuer's origin with the upstream's base
/// path, because the upstream may be the internal server of that host. Both `http:` and `https:`
/// are included: a server behind a TLS terminator may use either in its members.
pub(super) fn bases(issuer: &str, upstream: &Url) -> Vec<Url> {
    let mut bases = vec![upstream.clone()];
    if let Ok(mut issuer) = Url::parse(issuer)
        && issuer.has_host()
    {
        issuer.set_path(upstream.path());
        issuer.set_query(None);
        issuer.set_fragment(None);
        let other = if issuer.scheme() == "https" { "http" } else { "https" };
        let mut copy = issuer.clone();
        let copy = (issuer.port().is_none() && copy.set_scheme(other).is_ok()).then_some(copy);
        bases.push(issuer);
        bases.extend(copy);
    }
    bases
}

/// Rewrites a document. It keeps every byte except the changed values and a byte order mark, and
/// adds `jwks_uri` where it is missing.
///
/// # Errors
/// [`DiscoveryFault`]
pub fn rewrite(document: &[u8], to: &DiscoveryRewrite) -> Result<Vec<u8>, DiscoveryFault> {
    let (document, members) = members(document)?;
    let missing = |name: &str| !members.iter().any(|(own, _)| own == name);
    if missing("issuer") {
        return Err(DiscoveryFault::IssuerMissing);
    }
    let mut edits = Vec::new();
    for (name, value) in &members {
        let old: Option<Value> = serde_json::from_str(value).ok();
        let new = new_value(name, old.as_ref(), to).filter(|new| old.as_ref() != Some(new));
        edits.extend(new.map(|new| (json::range(document, value), new.to_string().into())));
    }
    if let Some(uri) = to.jwks_uri.as_ref().filter(|_| missing("jwks_uri")) {
        // Before the closing brace.
        let end = document.trim_ascii_end().len().saturating_sub(1);
        edits.push((end..end, format!(",\"jwks_uri\":{}", json::quote(uri)).into()));
    }
    Ok(replace(document.as_bytes(), &edits))
}

/// A document for an issuer whose server has none. It has what a relying party needs to verify
/// tokens, and the members that OpenID Connect Discovery §3 requires. `base` is our public URL
/// without a trailing slash.
pub fn minimal(issuer: &str, base: &str, jwks_uri: &str, algs: &[Alg]) -> String {
    serde_json::json!({
        "issuer": issuer,
        "jwks_uri": jwks_uri,
        "authorization_endpoint": format!("{base}/authorize"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algs.iter().map(|a| a.name()).collect::<Vec<_>>(),
    })
    .to_string()
}

/// The new value of a member; `None` where it is not changed.
fn new_value(name: &str, old: Option<&Value>, to: &DiscoveryRewrite) -> Option<Value> {
    match name {
        "jwks_uri" => to.jwks_uri.as_deref().map(Into::into),
        "issuer" => to.issuer.as_deref().map(Into::into),
        _ if SIGNED_HERE.contains(&name) => with_ours_first(&to.algs, old?.as_array()?),
        _ => public_form(name, old?, to.endpoints.as_ref()?),
    }
}

/// A list of algorithms with `ours` first; `None` where it is not changed.
fn with_ours_first(ours: &[Alg], old: &[Value]) -> Option<Value> {
    let ours: Vec<&str> = ours.iter().map(|alg| alg.name()).collect();
    let theirs = old.iter().filter(|name| name.as_str().is_none_or(|name| !ours.contains(&name)));
    let new = ours.iter().map(|name| (*name).into()).chain(theirs.cloned());
    (!ours.is_empty()).then(|| new.collect())
}

/// Whether a member holds an address, judged by its name. Other members may hold identifiers that
/// look like addresses (a scope, a resource, `access_token_issuer`).
fn is_address(name: &str) -> bool {
    ["_endpoint", "_uri", "_url", "_iframe"].iter().any(|end| name.ends_with(end))
        || name == "service_documentation"
}

/// The public form of an address, or of an object that contains addresses; `None` for another
/// value, or an address that is not ours.
fn public_form(name: &str, old: &Value, endpoints: &EndpointRewrite) -> Option<Value> {
    match old {
        Value::String(address) if is_address(name) => endpoints.apply(address).map(Into::into),
        Value::Object(members) => {
            let new = members.iter().map(|(name, old)| {
                let new = public_form(name, old, endpoints);
                (name.clone(), new.unwrap_or_else(|| old.clone()))
            });
            Some(Value::Object(new.collect()))
        }
        _ => None,
    }
}

type Members<'a> = Vec<(Cow<'a, str>, &'a str)>;

/// The document as text, and the members of its top-level object in order.
fn members(document: &[u8]) -> Result<(&str, Members<'_>), DiscoveryFault> {
    let document = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
    let text = std::str::from_utf8(document).map_err(|_| DiscoveryFault::NotAnObject)?;
    let members = json::members::<Cow<'_, str>>(text).map_err(|_| {
        match serde_json::from_str::<[Value; 1]>(text) {
            Ok([Value::Object(_)]) => DiscoveryFault::List,
            _ => DiscoveryFault::NotAnObject,
        }
    })?;
    for known in KNOWN {
        if members.iter().filter(|(name, _)| name == known).count() > 1 {
            return Err(DiscoveryFault::Duplicate(known));
        }
    }
    Ok((text, members))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{ "issuer" : "https://auth.example/oidc",
  "token_endpoint":"https:\/\/auth.example\/oidc\/token", "jwks_uri": "https://auth.example/oidc/jwks",
  "id_token_signing_alg_values_supported" : ["ES384"],
  "scopes_supported":"openid", "authorization_endpoint":"", "x": 1.0e2,
  "other_endpoint": "https://auth.example.evil/x" }
"#;

    #[test]
    fn reading_is_lenient_but_for_what_it_uses() {
        let found = read(DOCUMENT.as_bytes()).unwrap();
        assert_eq!(found.issuer, "https://auth.example/oidc");
        assert_eq!(found.token_endpoint.as_deref(), Some("https://auth.example/oidc/token"));
        assert_eq!(found.authorization_endpoint, None);
        assert_eq!(found.id_token_signing_algs, ["ES384"]);
        assert_eq!(read(format!("\u{feff}{DOCUMENT}").as_bytes()), Ok(found));
        assert_eq!(read(br#"{"issuer":"a","jwks_uri":7}"#).unwrap().jwks_uri, None);
    }

    #[test]
    fn what_is_no_document() {
        let no = |text: &str| read(text.as_bytes()).unwrap_err();
        assert_eq!(no("[]"), DiscoveryFault::NotAnObject);
        assert_eq!(no(r#"[{"issuer":"a"}]"#), DiscoveryFault::List);
        assert_eq!(no("<html>"), DiscoveryFault::NotAnObject);
        assert_eq!(no("{\"issuer\":\"a\"} x"), DiscoveryFault::NotAnObject);
        assert_eq!(no("{}"), DiscoveryFault::IssuerMissing);
        assert_eq!(no("{\"issuer\":7}"), DiscoveryFault::IssuerMissing);
        let twice = r#"{"issuer":"https://a","iss\u0075er":"https://b"}"#;
        assert_eq!(no(twice), DiscoveryFault::Duplicate("issuer"));
        assert_eq!(rewrite(twice.as_bytes(), &DiscoveryRewrite::default()), Err(no(twice)));
        assert_eq!(read(b"{\"issuer\":\"\xff\"}"), Err(DiscoveryFault::NotAnObject));
    }

    #[test]
    fn only_what_must_change_does() {
        let upstream = Url::parse("http://127.0.0.1:3001").unwrap();
        let to = DiscoveryRewrite {
            jwks_uri: Some("https://p.example/oidc/jwks".into()),
            algs: vec![Alg::Rs256],
            issuer: Some("https://p.example".into()),
            endpoints: Some(EndpointRewrite::to_public(
                "https://auth.example/oidc",
                &upstream,
                "https://p.example/",
            )),
        };
        let new = String::from_utf8(rewrite(DOCUMENT.as_bytes(), &to).unwrap()).unwrap();
        let expected = DOCUMENT
            .replace(
                r#""https:\/\/auth.example\/oidc\/token""#,
                r#""https://p.example/oidc/token""#,
            )
            .replace("https://auth.example/oidc/jwks", "https://p.example/oidc/jwks")
            .replace(r#"["ES384"]"#, r#"["RS256","ES384"]"#)
            .replace("\"https://auth.example/oidc\"", "\"https://p.example\"");
        assert_eq!(new, expected);
        let nothing = rewrite(DOCUMENT.as_bytes(), &DiscoveryRewrite::default()).unwrap();
        assert_eq!(nothing, DOCUMENT.as_bytes());
    }

    #[test]
    fn a_missing_jwks_uri_is_added() {
        let to = DiscoveryRewrite { jwks_uri: Some("https://p/j".into()), ..Default::default() };
        let new = rewrite(b"{\"issuer\":\"a\" }\n", &to).unwrap();
        assert_eq!(new, b"{\"issuer\":\"a\" ,\"jwks_uri\":\"https://p/j\"}\n");
    }

    fn rewritten(document: &str) -> serde_json::Value {
        let upstream = Url::parse("http://127.0.0.1:3001").unwrap();
        let to = DiscoveryRewrite {
            algs: vec![Alg::Rs256],
            endpoints: Some(EndpointRewrite::to_public(
                "https://auth.example",
                &upstream,
                "https://p",
            )),
            ..Default::default()
        };
        serde_json::from_slice(&rewrite(document.as_bytes(), &to).unwrap()).unwrap()
    }

    /// Lists of what the server signs and this program signs again get both algorithms. Lists of
    /// what clients sign keep the server's alone: otherwise clients would sign with algorithms that
    /// the server refuses.
    #[test]
    fn ours_stands_first_in_what_is_signed_here() {
        let new = rewritten(
            r#"{"issuer":"https://auth.example",
            "id_token_signing_alg_values_supported":["ES384","EdDSA","ML-DSA-65","none"],
            "userinfo_signing_alg_values_supported":["none","RS256","ES384"],
            "introspection_signing_alg_values_supported":"ES384",
            "authorization_signing_alg_values_supported":["ES384"],
            "request_object_signing_alg_values_supported":["ES384"],
            "token_endpoint_auth_signing_alg_values_supported":["ES256"],
            "dpop_signing_alg_values_supported":["ES256"]}"#,
        );
        let of = |name: &str| new[format!("{name}_signing_alg_values_supported")].to_string();
        assert_eq!(of("id_token"), r#"["RS256","ES384","EdDSA","ML-DSA-65","none"]"#);
        assert_eq!(of("userinfo"), r#"["RS256","none","ES384"]"#);
        assert_eq!(of("introspection"), r#""ES384""#, "not a list: not understood");
        for others in ["authorization", "request_object"] {
            assert_eq!(of(others), r#"["ES384"]"#);
        }
        for clients in ["token_endpoint_auth", "dpop"] {
            assert_eq!(of(clients), r#"["ES256"]"#);
        }
    }

    #[test]
    fn addresses_follow_wherever_they_stand() {
        let document = r#"{"issuer":"https://auth.example",
            "token_endpoint":"http://auth.example/token",
            "mtls_endpoint_aliases":{"token_endpoint":"http://127.0.0.1:3001/token","x":["a"]},
            "service_documentation":"https://auth.example/docs",
            "op_policy_uri":"https://auth.example/policy","op_tos_uri":"https://auth.example/tos",
            "check_session_iframe":"https://auth.example/session",
            "access_token_issuer":"https://auth.example/trust",
            "scopes_supported":["https://auth.example/scope"],
            "resource":"https://auth.example/api",
            "nested":{"deeper":{"a_endpoint":"https://auth.example/a","b":"https://auth.example/b"}}}"#;
        let new = rewritten(document);
        assert_eq!(new["token_endpoint"], "https://p/token");
        let aliases = serde_json::json!({"token_endpoint": "https://p/token", "x": ["a"]});
        assert_eq!(new["mtls_endpoint_aliases"], aliases);
        for (name, path) in [
            ("service_documentation", "docs"),
            ("op_policy_uri", "policy"),
            ("op_tos_uri", "tos"),
            ("check_session_iframe", "session"),
        ] {
            assert_eq!(new[name], format!("https://p/{path}"), "{name}");
        }
        let nested =
            serde_json::json!({"a_endpoint": "https://p/a", "b": "https://auth.example/b"});
        assert_eq!(new["nested"]["deeper"], nested);
        // These are identifiers, not addresses.
        assert_eq!(new["access_token_issuer"], "https://auth.example/trust");
        assert_eq!(new["scopes_supported"][0], "https://auth.example/scope");
        assert_eq!(new["resource"], "https://auth.example/api");
        let found = read(document.as_bytes()).unwrap();
        let aliases = found.mtls_endpoint_aliases.unwrap();
        assert_eq!(aliases.token_endpoint.as_deref(), Some("http://127.0.0.1:3001/token"));
        assert_eq!(found.access_token_issuer.as_deref(), Some("https://auth.example/trust"));
    }

    #[test]
    fn a_base_path_is_cut_off() {
        let upstream = Url::parse("http://10.0.0.1/auth/").unwrap();
        let to = EndpointRewrite::to_public("https://a.example/auth", &upstream, "https://p");
        assert_eq!(to.apply("https://a.example/auth/token").as_deref(), Some("https://p/token"));
        assert_eq!(to.apply("http://10.0.0.1/auth/token").as_deref(), Some("https://p/token"));
        assert_eq!(to.apply("https://a.example/authx"), None);
        assert_eq!(to.apply("https://b.example/auth/token"), None);
        // The upstream built this address from the `Host` that we sent.
        assert_eq!(to.apply("https://p/auth/token").as_deref(), Some("https://p/token"));
        assert_eq!(to.apply("https://p/token"), None);
    }
}
