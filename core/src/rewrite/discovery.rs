//! The metadata document of OpenID Connect Discovery 1.0 §3 and RFC 8414 §2: read leniently, and
//! rewritten so that only the members that must change do.

use std::fmt;
use std::ops::Range;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use url::Url;

use crate::jose::alg::Alg;

/// What a document says. Only the issuer is always there; a member of another type than it should
/// have, or empty, is taken as missing.
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
    /// `id_token_signing_alg_values_supported`, as written.
    pub id_token_signing_algs: Vec<String>,
}

/// Why a document is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryFault {
    #[error("the discovery document is not a JSON object")]
    NotAnObject,
    #[error("`issuer` is missing in the discovery document")]
    IssuerMissing,
    /// RFC 8259 §4: readers disagree on which of the two counts.
    #[error("`{0}` stands twice in the discovery document")]
    Duplicate(&'static str),
}

impl DiscoveryFault {
    pub fn code(self) -> &'static str {
        match self {
            Self::NotAnObject => "discovery_not_json",
            Self::IssuerMissing => "discovery_issuer",
            Self::Duplicate(_) => "duplicate_member",
        }
    }
}

/// Members whose value is used or written here.
const KNOWN: [&str; 9] = [
    "issuer",
    "jwks_uri",
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "introspection_endpoint",
    "revocation_endpoint",
    "end_session_endpoint",
    "id_token_signing_alg_values_supported",
];
const SIGNED_USERINFO: &str = "userinfo_signing_alg_values_supported";
const SIGNED_INTROSPECTION: &str = "introspection_signing_alg_values_supported";
const ALGS: &str = "id_token_signing_alg_values_supported";

/// Reads a document, whatever its media type said.
///
/// # Errors
/// [`DiscoveryFault`]
pub fn read(document: &[u8]) -> Result<Discovered, DiscoveryFault> {
    let members = members(without_bom(document))?;
    let text = |name: &str| {
        let value = members.iter().find(|member| member.name == name)?.value;
        serde_json::from_str::<String>(value).ok().filter(|text| !text.is_empty())
    };
    let algs = members.iter().find(|member| member.name == ALGS);
    let algs = algs.and_then(|member| serde_json::from_str::<Vec<String>>(member.value).ok());
    Ok(Discovered {
        issuer: text("issuer").ok_or(DiscoveryFault::IssuerMissing)?,
        jwks_uri: text("jwks_uri"),
        authorization_endpoint: text("authorization_endpoint"),
        token_endpoint: text("token_endpoint"),
        userinfo_endpoint: text("userinfo_endpoint"),
        introspection_endpoint: text("introspection_endpoint"),
        revocation_endpoint: text("revocation_endpoint"),
        end_session_endpoint: text("end_session_endpoint"),
        id_token_signing_algs: algs.unwrap_or_default(),
    })
}

/// What a document is changed to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoveryRewrite {
    /// The address of the normalised set; `None` leaves it.
    pub jwks_uri: Option<String>,
    /// What ID tokens are signed with once they came through; empty leaves the list.
    pub algs: Vec<Alg>,
    pub issuer: Option<String>,
    pub endpoints: Option<EndpointRewrite>,
}

/// Addresses below one of `from` become the same below `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRewrite {
    /// Without trailing slashes.
    pub from: Vec<String>,
    /// Without a trailing slash.
    pub to: String,
}

impl EndpointRewrite {
    /// From what the upstream calls itself (its address, and the issuer's and our own origin with the
    /// upstream's base path) to `to`. Ours is among them because a provider may build its addresses from
    /// the host it is told, which is ours, and its own path.
    pub fn to_public(issuer: &str, upstream: &Url, to: &str) -> Self {
        let mut from = bases(issuer, upstream);
        if !upstream.path().trim_end_matches('/').is_empty() {
            from.extend(bases(to, upstream).pop());
        }
        let from = from.iter().map(|url| url.as_str().trim_end_matches('/').to_owned()).collect();
        Self { from, to: to.trim_end_matches('/').to_owned() }
    }

    fn apply(&self, address: &str) -> Option<String> {
        self.from.iter().find_map(|from| {
            let rest = address.strip_prefix(from.as_str())?;
            // `https://a.example` is no prefix of `https://a.example.evil`.
            let ends = rest.is_empty() || rest.starts_with(['/', '?', '#']);
            ends.then(|| format!("{}{rest}", self.to))
        })
    }
}

/// The addresses whose paths are served by the upstream: its own, and the issuer's origin with the
/// upstream's base path, as the upstream may be that host's inside.
pub(super) fn bases(issuer: &str, upstream: &Url) -> Vec<Url> {
    let mut bases = vec![upstream.clone()];
    if let Ok(mut issuer) = Url::parse(issuer)
        && issuer.has_host()
    {
        issuer.set_path(upstream.path());
        issuer.set_query(None);
        issuer.set_fragment(None);
        bases.push(issuer);
    }
    bases
}

/// Rewrites a document. Everything but the changed values, and a byte order mark, stays byte for
/// byte; `jwks_uri` is added where it is missing.
///
/// # Errors
/// [`DiscoveryFault`]
pub fn rewrite(document: &[u8], to: &DiscoveryRewrite) -> Result<Vec<u8>, DiscoveryFault> {
    let document = without_bom(document);
    let members = members(document)?;
    if !members.iter().any(|member| member.name == "issuer") {
        return Err(DiscoveryFault::IssuerMissing);
    }
    let mut out = Vec::with_capacity(document.len() + 256);
    let mut at = 0;
    for member in &members {
        let old: Option<serde_json::Value> = serde_json::from_str(member.value).ok();
        let Some(new) = changed(&member.name, old.as_ref(), to) else { continue };
        if old.as_ref() == Some(&new) {
            continue;
        }
        out.extend_from_slice(&document[at..member.range.start]);
        out.extend_from_slice(new.to_string().as_bytes());
        at = member.range.end;
    }
    let missing = |name: &str| !members.iter().any(|member| member.name == name);
    let added = to.jwks_uri.as_ref().filter(|_| missing("jwks_uri"));
    let close = document.trim_ascii_end().len().saturating_sub(1);
    if let (Some(uri), true) = (added, at <= close) {
        out.extend_from_slice(&document[at..close]);
        let member = format!(",\"jwks_uri\":{}", serde_json::Value::from(uri.as_str()));
        out.extend_from_slice(member.as_bytes());
        at = close;
    }
    out.extend_from_slice(&document[at..]);
    Ok(out)
}

/// A document for an issuer whose server has none: what a relying party that only verifies tokens
/// needs, and the members that OpenID Connect Discovery §3 requires. `base` is where we are found,
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

/// The new value of a member, where it has one.
fn changed(
    name: &str,
    old: Option<&serde_json::Value>,
    to: &DiscoveryRewrite,
) -> Option<serde_json::Value> {
    match name {
        "jwks_uri" => to.jwks_uri.as_deref().map(Into::into),
        "issuer" => to.issuer.as_deref().map(Into::into),
        ALGS if !to.algs.is_empty() => Some(to.algs.iter().map(|alg| alg.name()).collect()),
        // Signed userinfo and introspection answers come through here too (OpenID Connect Core
        // §5.3.2, RFC 9701 §5); `none`, an unsigned answer, stays possible where it was.
        SIGNED_USERINFO | SIGNED_INTROSPECTION if !to.algs.is_empty() => {
            let unsigned = old?.as_array()?.iter().any(|alg| alg == "none");
            let names = to.algs.iter().map(|alg| alg.name());
            Some(names.chain(unsigned.then_some("none")).collect())
        }
        _ if name.ends_with("_endpoint") || name == "check_session_iframe" => {
            to.endpoints.as_ref()?.apply(old?.as_str()?).map(Into::into)
        }
        _ => None,
    }
}

fn without_bom(document: &[u8]) -> &[u8] {
    document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document)
}

struct Member<'a> {
    name: String,
    /// The value's text, and where it stands.
    value: &'a str,
    range: Range<usize>,
}

/// The members of the top-level object, in order.
fn members(document: &[u8]) -> Result<Vec<Member<'_>>, DiscoveryFault> {
    struct Members<'a>(&'a str);

    impl<'de> Visitor<'de> for Members<'de> {
        type Value = Vec<Member<'de>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some((name, raw)) = map.next_entry::<String, &'de RawValue>()? {
                let value = raw.get();
                // A borrowed raw value is a part of the document; its address says which.
                let start = (value.as_ptr() as usize).wrapping_sub(self.0.as_ptr() as usize);
                members.push(Member { name, value, range: start..start + value.len() });
            }
            Ok(members)
        }
    }

    let text = std::str::from_utf8(document).map_err(|_| DiscoveryFault::NotAnObject)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let members = reader.deserialize_map(Members(text)).and_then(|members| {
        reader.end()?;
        Ok(members)
    });
    let members = members.map_err(|_| DiscoveryFault::NotAnObject)?;
    for known in KNOWN {
        if members.iter().filter(|member| member.name == known).count() > 1 {
            return Err(DiscoveryFault::Duplicate(known));
        }
    }
    Ok(members)
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
            .replace("ES384", "RS256")
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

    #[test]
    fn a_base_path_is_cut_off() {
        let upstream = Url::parse("http://10.0.0.1/auth/").unwrap();
        let to = EndpointRewrite::to_public("https://a.example/auth", &upstream, "https://p");
        assert_eq!(to.apply("https://a.example/auth/token").as_deref(), Some("https://p/token"));
        assert_eq!(to.apply("http://10.0.0.1/auth/token").as_deref(), Some("https://p/token"));
        assert_eq!(to.apply("https://a.example/authx"), None);
        assert_eq!(to.apply("https://b.example/auth/token"), None);
        // Built from the host that we told it.
        assert_eq!(to.apply("https://p/auth/token").as_deref(), Some("https://p/token"));
        assert_eq!(to.apply("https://p/token"), None);
    }
}
