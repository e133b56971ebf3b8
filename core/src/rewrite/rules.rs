//! Which places are searched on which path.

use serde::{Deserialize, Deserializer};

use super::discovery::{Discovered, bases};
use crate::jose::names::Audience;
use crate::setting::{self, OneOrMany};

/// Where the tokens are on one path.
///
/// For requests with a matching path, tokens in these places of the answer are countersigned, and tokens in
/// the `restore` places of the request are replaced by the originals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TokenRule {
    /// The request's path: exact, or with `*` (within a segment) and `**` (any).
    pub path: PathPattern,
    /// String values of a JSON answer, `access_token`, `sessions[*].token`.
    #[serde(with = "OneOrMany")]
    pub json: Vec<JsonPath>,
    /// Query and fragment parameters of a `Location`.
    #[serde(with = "OneOrMany")]
    pub redirect: Vec<String>,
    /// `Set-Cookie` names.
    #[serde(with = "OneOrMany")]
    pub cookies: Vec<String>,
    /// Header fields of the answer that hold a token, `set-auth-jwt`.
    #[serde(with = "OneOrMany")]
    pub headers: Vec<String>,
    /// Hidden inputs of an HTML answer.
    #[serde(with = "OneOrMany")]
    pub form_post: Vec<String>,
    /// The answer is one token (`application/jwt`).
    pub jwt_body: bool,
    /// `swap`: the request's bearer token is countersigned; `restore`: it becomes the original.
    pub bearer: Option<BearerMode>,
    /// Form fields of the request whose tokens become the originals.
    #[serde(with = "OneOrMany")]
    pub restore_form: Vec<String>,
    /// String values of a JSON request whose tokens become the originals.
    #[serde(with = "OneOrMany")]
    pub restore_json: Vec<JsonPath>,
    /// Query parameters of the request whose tokens become the originals.
    #[serde(with = "OneOrMany")]
    pub restore_query: Vec<String>,
    /// Cookies of the request whose tokens become the originals.
    #[serde(with = "OneOrMany")]
    pub restore_cookies: Vec<String>,
    /// The `aud` to keep if a token names several.
    pub audience: Option<Audience>,
    /// Set for the registration endpoint (RFC 7591), never configured: the algorithms with which the server
    /// itself signs ID tokens.
    #[serde(skip)]
    pub registration: Option<Vec<String>>,
}

/// What happens to `Authorization: Bearer` on the way to the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
#[serde(rename_all = "lowercase")]
pub enum BearerMode {
    /// Countersigns the issuer's token: for a gateway in front of a strict API.
    Swap,
    /// Replaces the countersigned token with the original: the upstream is the issuer itself.
    Restore,
}

impl TokenRule {
    /// A rule without any places yet.
    pub fn on(path: PathPattern) -> Self {
        Self { path, ..Self::default() }
    }

    /// Whether the answer's body is searched.
    pub fn reads_body(&self) -> bool {
        !self.json.is_empty()
            || !self.form_post.is_empty()
            || self.jwt_body
            || self.registration.is_some()
    }

    /// Whether the answer's header is searched.
    pub fn reads_header(&self) -> bool {
        !self.redirect.is_empty() || !self.cookies.is_empty() || !self.headers.is_empty()
    }

    /// Whether the rule may change the request.
    pub fn changes_request(&self) -> bool {
        self.bearer.is_some()
            || self.restores_body()
            || !self.restore_query.is_empty()
            || !self.restore_cookies.is_empty()
    }

    /// Whether the request's body is searched.
    pub fn restores_body(&self) -> bool {
        !self.restore_form.is_empty() || !self.restore_json.is_empty()
    }

    /// Restores these parameters of a request's body. The standards use a form; some servers also
    /// take them as JSON (Auth0, Ory).
    fn restoring(self, names: &[&str]) -> Self {
        Self { restore_form: texts(names), restore_json: json_paths(names), ..self }
    }

    /// The rules for a provider of OpenID Connect or OAuth 2.0, from its metadata. Endpoints count
    /// only below the upstream's address or on the issuer's origin; others are not proxied. Paths
    /// are those of the public listener, without the upstream's base path.
    pub fn defaults(found: &Discovered, upstream: &url::Url) -> Vec<Self> {
        let mut rules = Self::of_endpoints(found, upstream);
        // The same endpoints for clients with certificates (RFC 8705 §5).
        if let Some(aliases) = &found.mtls_endpoint_aliases {
            rules.extend(Self::of_endpoints(aliases, upstream));
        }
        // The first rule that matches a path applies, so patterns with wildcards come last.
        rules.sort_by_key(|rule| rule.path.0.contains('*'));
        let mut seen = std::collections::HashSet::new();
        rules.retain(|rule| seen.insert(rule.path.0.clone()));
        rules
    }

    fn of_endpoints(found: &Discovered, upstream: &url::Url) -> Vec<Self> {
        let (tokens, hint) = (["access_token", "id_token"], ["id_token_hint"]);
        let bases = bases(&found.issuer, upstream);
        let on = |endpoint: &Option<String>| {
            let endpoint = endpoint.as_deref()?;
            let path = bases.iter().find_map(|base| path_below(endpoint, base))?;
            // A `*` in the path would match as a wildcard, which is harmless.
            Some(Self::on(PathPattern(path)))
        };
        let mut rules = Vec::new();
        if let Some(rule) = on(&found.token_endpoint) {
            let restored = ["subject_token", "actor_token", "assertion", "refresh_token"];
            rules.push(Self { json: json_paths(&tokens), ..rule.restoring(&restored) });
        }
        if let Some(rule) = on(&found.authorization_endpoint) {
            let rule = Self {
                redirect: texts(&tokens),
                form_post: texts(&tokens),
                restore_query: texts(&hint),
                ..rule.restoring(&hint)
            };
            // After the login, many providers redirect to the client from a path below this one.
            let below = PathPattern::parse(&format!("{}/**", rule.path.0)).ok();
            let below = below.filter(|_| !rule.path.is_base());
            rules.extend(below.map(|path| Self { path, ..rule.clone() }));
            rules.push(rule);
        }
        if let Some(rule) = on(&found.userinfo_endpoint) {
            rules.push(Self {
                jwt_body: true,
                bearer: Some(BearerMode::Restore),
                restore_query: texts(&["access_token"]),
                ..rule.restoring(&["access_token"])
            });
        }
        for endpoint in [&found.introspection_endpoint, &found.revocation_endpoint] {
            rules.extend(on(endpoint).map(|rule| rule.restoring(&["token"])));
        }
        // These endpoints take parameters of the authorization endpoint's query (RFC 9126 §2.1,
        // OpenID CIBA §7.1).
        for endpoint in [
            &found.pushed_authorization_request_endpoint,
            &found.backchannel_authentication_endpoint,
        ] {
            rules.extend(on(endpoint).map(|rule| rule.restoring(&hint)));
        }
        if let Some(rule) = on(&found.registration_endpoint) {
            let algs = found.id_token_signing_algs.clone();
            rules.push(Self { registration: Some(algs), ..rule });
        }
        if let Some(rule) = on(&found.end_session_endpoint) {
            rules.push(Self { restore_query: texts(&hint), ..rule.restoring(&hint) });
        }
        rules
    }
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn json_paths(names: &[&str]) -> Vec<JsonPath> {
    names.iter().filter_map(|name| JsonPath::parse(name).ok()).collect()
}

/// The path of `address` on the public listener, if it is below `base`. Empty for `base` itself.
fn path_below(address: &str, base: &url::Url) -> Option<String> {
    let url = url::Url::parse(address).ok()?;
    let prefix = base.path().trim_end_matches('/');
    let path = url.path().strip_prefix(prefix)?;
    let below = path.is_empty() || path.starts_with('/');
    (url.origin() == base.origin() && below).then(|| path.to_owned())
}

/// Why a pattern or path is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not start with a slash.
    #[error("does not start with `/`")]
    NoSlash,
    /// It contains more than a path.
    #[error("contains a query, a fragment or white space")]
    Characters,
    /// A member name is missing or malformed, or there are too many.
    #[error("is not written like `session.tokens[*].value`, with at most 64 members")]
    Members,
    /// It is too long.
    #[error("is longer than 1024 bytes")]
    Length,
}

/// A pattern for request paths: an exact path, or one with `*` (any characters but `/`) and `**`
/// (any characters). The default is the upstream's base path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline, with = "String"))]
pub struct PathPattern(String);

impl PathPattern {
    /// # Errors
    /// [`PatternError`] unless it starts with `/` and is only a path.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with('/') {
            return Err(PatternError::NoSlash);
        }
        if text.len() > 1024 {
            return Err(PatternError::Length);
        }
        if text.chars().any(|c| matches!(c, '?' | '#') || c.is_whitespace() || c.is_control()) {
            return Err(PatternError::Characters);
        }
        Ok(Self(text.to_owned()))
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern is exactly the upstream's base path, without the slash that every
    /// request path starts with (WSO2: the issuer is the token endpoint).
    pub fn is_base(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this pattern matches every path that `other` matches. `true` is always correct.
    /// `false` may be wrong for some pairs, because only the wildcards are compared.
    pub fn covers(&self, other: &Self) -> bool {
        self.fits(&parts(&other.0))
    }

    /// Whether `path`, without its query, matches. It takes at most pattern × path steps.
    pub fn matches(&self, path: &str) -> bool {
        let Some((head, _)) = self.0.split_once('*') else {
            return self.0 == path || (self.is_base() && path == "/");
        };
        path.starts_with(head) && self.fits(&path.bytes().map(Part::Byte).collect::<Vec<_>>())
    }

    /// Matches without backtracking.
    fn fits(&self, other: &[Part]) -> bool {
        // reach[j]: the pattern up to here covers the first j parts of `other`.
        let mut reach = vec![false; other.len() + 1];
        reach[0] = true;
        for part in parts(&self.0) {
            match part {
                Part::Byte(_) => {
                    for j in (0..other.len()).rev() {
                        reach[j + 1] = reach[j] && other[j] == part;
                    }
                    reach[0] = false;
                }
                Part::Segment | Part::Any => {
                    let within = |other: &Part| {
                        part == Part::Any || !matches!(other, Part::Any | Part::Byte(b'/'))
                    };
                    for j in 0..other.len() {
                        reach[j + 1] |= reach[j] && within(&other[j]);
                    }
                }
            }
        }
        reach[other.len()]
    }
}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        setting::text(from, Self::parse)
    }
}

/// Pairs of rules whose second rule never applies, because the first matches all its paths. Returns
/// indices into the list; the hiding rule comes first.
pub fn hidden(rules: &[TokenRule]) -> Vec<(usize, usize)> {
    let hiding = |j: usize| rules[..j].iter().position(|first| first.path.covers(&rules[j].path));
    (0..rules.len()).filter_map(|j| Some((hiding(j)?, j))).collect()
}

/// A part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Byte(u8),
    /// `*`
    Segment,
    /// `**`
    Any,
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut bytes = pattern.bytes().peekable();
    let mut parts = Vec::with_capacity(pattern.len());
    while let Some(byte) = bytes.next() {
        parts.push(match byte {
            b'*' if bytes.next_if_eq(&b'*').is_some() => Part::Any,
            b'*' => Part::Segment,
            byte => Part::Byte(byte),
        });
    }
    parts
}

/// One step of a [`JsonPath`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Member(String),
    /// Every element of an array or member of an object.
    Any,
}

/// A place in a JSON document: `access_token`, `session.tokens[*].value`, `*.jwt`. A dot that is
/// part of a name is written `\.`. An array is stepped into by `[*]` or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline, with = "String"))]
pub struct JsonPath {
    text: String,
    pub(super) steps: Vec<Step>,
}

impl JsonPath {
    /// # Errors
    /// [`PatternError::Members`] for an empty member, [`PatternError::Length`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > 1024 {
            return Err(PatternError::Length);
        }
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let step;
            (step, rest) = first_step(rest)?;
            steps.push(step);
            while let Some(tail) = rest.strip_prefix("[*]").or_else(|| rest.strip_prefix("[]")) {
                steps.push(Step::Any);
                rest = tail;
            }
            match rest.strip_prefix('.') {
                Some(tail) => rest = tail,
                None if rest.is_empty() => break,
                None => return Err(PatternError::Members),
            }
        }
        if steps.len() > 64 {
            return Err(PatternError::Members);
        }
        Ok(Self { text: text.to_owned(), steps })
    }

    /// Whether it names a single value, not every element of an array or object.
    pub fn is_single(&self) -> bool {
        !self.steps.contains(&Step::Any)
    }

    /// The value at this path; `None` where there is none, or the path names several.
    pub fn find<'a>(&self, value: &'a serde_json::Value) -> Option<&'a serde_json::Value> {
        self.steps.iter().try_fold(value, |value, step| match step {
            Step::Member(name) => value.as_object()?.get(name),
            Step::Any => None,
        })
    }
}

impl<'de> Deserialize<'de> for JsonPath {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        setting::text(from, Self::parse)
    }
}

impl AsRef<str> for JsonPath {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

/// Takes one member name from the front of `text`. The rest starts at its `.` or `[`.
fn first_step(text: &str) -> Result<(Step, &str), PatternError> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    let end = loop {
        match chars.next() {
            None => break text.len(),
            Some((at, '.' | '[')) => break at,
            Some((_, '\\')) => name.push(chars.next().ok_or(PatternError::Members)?.1),
            Some((_, c)) => name.push(c),
        }
    };
    let (written, rest) = text.split_at(end);
    match (written, rest.strip_prefix("[*]")) {
        ("*", _) => Ok((Step::Any, rest)),
        // A path may start with `[*]`, for a document that is an array.
        ("", Some(tail)) => Ok((Step::Any, tail)),
        ("", None) => Err(PatternError::Members),
        _ => Ok((Step::Member(name), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::parse(pattern).unwrap().matches(path)
    }

    #[test]
    fn a_path_is_exact_unless_starred() {
        assert!(matches("/oauth/token", "/oauth/token"));
        for other in ["/oauth/token/", "/oauth/tokens", "/OAUTH/token", "/x/oauth/token", ""] {
            assert!(!matches("/oauth/token", other), "{other}");
        }
    }

    #[test]
    fn stars_stay_in_their_segment() {
        assert!(matches("/api/*/token", "/api/v1/token"));
        assert!(!matches("/api/*/token", "/api/v1/x/token"));
        assert!(matches("/api/**/token", "/api/v1/x/token"));
        assert!(matches("/api/**", "/api/"));
        assert!(matches("/a*b*c", "/aXbYbZc"));
        assert!(!matches("/a*b", "/aXbX"));
        assert!(matches("/**", "/"));
    }

    #[test]
    fn a_hostile_path_costs_no_more_than_its_length() {
        let pattern = format!("/{}b", "*a".repeat(200));
        assert!(!matches(&pattern, &format!("/{}", "a".repeat(5000))));
    }

    #[test]
    fn a_pattern_covers_what_it_fits() {
        let covers = |a: &str, b: &str| {
            PathPattern::parse(a).unwrap().covers(&PathPattern::parse(b).unwrap())
        };
        for (wide, narrow) in [
            ("/**", "/a"),
            ("/**", "/a/**"),
            ("/a/*", "/a/b"),
            ("/a/*", "/a/*"),
            ("/a/**", "/a/*/b"),
            ("/a/**", "/a/"),
            ("/a*", "/ab*"),
            ("/a", "/a"),
        ] {
            assert!(covers(wide, narrow), "{wide} {narrow}");
        }
        for (wide, narrow) in [
            ("/a", "/b"),
            ("/a/*", "/a/**"),
            ("/a/*", "/a/b/c"),
            ("/a/**", "/a"),
            ("/a/**/b", "/a/**"),
            ("/ab*", "/a*"),
        ] {
            assert!(!covers(wide, narrow), "{wide} {narrow}");
        }
        let rules = ["/x", "/a/**", "/a/b", "/**"]
            .map(|path| TokenRule::on(PathPattern::parse(path).unwrap()));
        assert_eq!(hidden(&rules), [(1, 2)]);
    }

    #[test]
    fn defaults_follow_the_metadata() {
        let upstream = url::Url::parse("http://10.0.0.1:3000").unwrap();
        let found = super::super::discovery::read(
            br#"{"issuer":"https://a.example","token_endpoint":"https://a.example/oauth/token",
            "authorization_endpoint":"https://a.example/oauth",
            "userinfo_endpoint":"https://a.example/oauth/me",
            "pushed_authorization_request_endpoint":"https://a.example/par",
            "backchannel_authentication_endpoint":"https://a.example/ciba",
            "mtls_endpoint_aliases":{"token_endpoint":"https://a.example/mtls/token",
              "userinfo_endpoint":"https://mtls.a.example/me"}}"#,
        );
        let rules = TokenRule::defaults(&found.unwrap(), &upstream);
        let at = |path: &str| rules.iter().find(|rule| rule.path.matches(path)).unwrap();
        assert_eq!(at("/par").restore_form, ["id_token_hint"]);
        assert_eq!(at("/ciba").restore_form, ["id_token_hint"]);
        assert_eq!(at("/ciba").restore_json, [JsonPath::parse("id_token_hint").unwrap()]);
        assert_eq!(at("/oauth/me").restore_query, ["access_token"]);
        assert!(at("/oauth/me").jwt_body, "the wide rule of the login does not hide it");
        assert!(at("/mtls/token").reads_body());
        assert!(!rules.iter().any(|rule| rule.path.matches("/me")), "on another host");
        assert_eq!(hidden(&rules), []);
    }

    #[test]
    fn an_endpoint_may_be_the_base_path_itself() {
        let upstream = url::Url::parse("http://10.0.0.1/oauth2/token").unwrap();
        let found = super::super::discovery::read(
            br#"{"issuer":"https://a.example/oauth2/token",
            "token_endpoint":"https://a.example/oauth2/token",
            "authorization_endpoint":"https://a.example/oauth2/token",
            "userinfo_endpoint":"https://a.example/oauth2/userinfo",
            "revocation_endpoint":"https://a.example/oauth2/token/"}"#,
        );
        let rules = TokenRule::defaults(&found.unwrap(), &upstream);
        let at = |path: &str| rules.iter().find(|rule| rule.path.matches(path));
        assert!(at("/").is_some_and(|rule| rule.path.is_base() && !rule.json.is_empty()));
        for other in ["/x", "/userinfo", "/oauth2/token"] {
            assert_eq!(at(other), None, "{other}");
        }
        let root = PathPattern::parse("/").unwrap();
        assert!(root.matches("/") && !root.is_base());
    }

    #[test]
    fn a_pattern_is_only_a_path() {
        assert_eq!(PathPattern::parse("token"), Err(PatternError::NoSlash));
        assert_eq!(PathPattern::parse("/a?b"), Err(PatternError::Characters));
        assert_eq!(PathPattern::parse("/a b"), Err(PatternError::Characters));
    }

    #[test]
    fn json_paths() {
        let steps = |text| JsonPath::parse(text).unwrap().steps;
        let m = |name: &str| Step::Member(name.into());
        assert_eq!(steps("access_token"), [m("access_token")]);
        assert_eq!(steps("a.b[*].c"), [m("a"), m("b"), Step::Any, m("c")]);
        assert_eq!(steps("a.*.c"), [m("a"), Step::Any, m("c")]);
        assert_eq!(steps("[*].t"), [Step::Any, m("t")]);
        assert_eq!(steps(r"https://x\.y/t"), [m("https://x.y/t")]);
        assert_eq!(steps(r"\*"), [m("*")]);
        for bad in ["", ".", "a.", ".a", "a..b", "a[0]", "a[*]b", "a[*", "\\"] {
            assert!(JsonPath::parse(bad).is_err(), "{bad}");
        }
    }
}
