//! Which places are looked at on which path.

use std::fmt;

use super::discovery::{Discovered, bases};
use crate::jose::names::Audience;

/// One `[[tokens]]`, checked: on requests whose path fits, tokens in these places of the answer are
/// countersigned, and those in the `restore` places of the request become the originals again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRule {
    pub path: PathPattern,
    /// String values of a JSON answer.
    pub json: Vec<JsonPath>,
    /// Query and fragment parameters of a `Location`.
    pub redirect: Vec<String>,
    /// `Set-Cookie` names.
    pub cookies: Vec<String>,
    /// Hidden inputs of an HTML answer.
    pub form_post: Vec<String>,
    /// The answer is one token (`application/jwt`).
    pub jwt_body: bool,
    /// What happens to `Authorization: Bearer` of the request.
    pub bearer: Option<BearerMode>,
    /// Form fields of the request whose countersigned tokens become the originals.
    pub restore_form: Vec<String>,
    /// Query parameters of the request, likewise.
    pub restore_query: Vec<String>,
    /// Cookies of the request, likewise.
    pub restore_cookies: Vec<String>,
    /// The `aud` wanted where a token names several.
    pub audience: Option<Audience>,
}

/// What happens to `Authorization: Bearer` on the way to the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
#[serde(rename_all = "lowercase")]
pub enum BearerMode {
    /// The issuer's token becomes a countersigned one: a gateway before a strict API.
    Swap,
    /// The countersigned token becomes the original: the upstream is the issuer itself.
    Restore,
}

impl TokenRule {
    /// A rule that looks nowhere yet.
    pub fn on(path: PathPattern) -> Self {
        Self {
            path,
            json: Vec::new(),
            redirect: Vec::new(),
            cookies: Vec::new(),
            form_post: Vec::new(),
            jwt_body: false,
            bearer: None,
            restore_form: Vec::new(),
            restore_query: Vec::new(),
            restore_cookies: Vec::new(),
            audience: None,
        }
    }

    /// Whether the answer's body is searched.
    pub fn reads_body(&self) -> bool {
        !self.json.is_empty() || !self.form_post.is_empty() || self.jwt_body
    }

    /// Whether the answer's header is searched.
    pub fn reads_header(&self) -> bool {
        !self.redirect.is_empty() || !self.cookies.is_empty()
    }

    /// Whether the request is changed.
    pub fn changes_request(&self) -> bool {
        self.bearer.is_some()
            || !self.restore_form.is_empty()
            || !self.restore_query.is_empty()
            || !self.restore_cookies.is_empty()
    }

    /// Where tokens stand at a provider of OpenID Connect and OAuth 2.0, from its metadata. Its
    /// endpoints must be below the upstream's address or on the issuer's origin; others are not
    /// proxied, so nothing stands there. Paths are those of the public listener: the upstream's base
    /// path is cut off.
    pub fn defaults(found: &Discovered, upstream: &url::Url) -> Vec<Self> {
        let text = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let tokens = ["access_token", "id_token"];
        let bases = bases(&found.issuer, upstream);
        let on = |endpoint: &Option<String>| {
            let endpoint = endpoint.as_deref()?;
            let path = bases.iter().find_map(|base| path_below(endpoint, base))?;
            Some(Self::on(PathPattern::exact(&path)))
        };
        let mut rules = Vec::new();
        if let Some(mut rule) = on(&found.token_endpoint) {
            rule.json = tokens.iter().filter_map(|name| JsonPath::parse(name).ok()).collect();
            rule.restore_form =
                text(&["subject_token", "actor_token", "assertion", "refresh_token"]);
            rules.push(rule);
        }
        if let Some(mut rule) = on(&found.authorization_endpoint) {
            rule.redirect = text(&tokens);
            rule.form_post = text(&tokens);
            rule.restore_query = text(&["id_token_hint"]);
            rule.restore_form = text(&["id_token_hint"]);
            // Many providers go back to the client from a path below it, once the login is done.
            let below = PathPattern::parse(&format!("{}/**", rule.path.0));
            rules.extend(below.ok().map(|path| Self { path, ..rule.clone() }));
            rules.push(rule);
        }
        if let Some(mut rule) = on(&found.userinfo_endpoint) {
            rule.bearer = Some(BearerMode::Restore);
            rule.restore_form = text(&["access_token"]);
            rule.jwt_body = true;
            rules.push(rule);
        }
        for endpoint in [&found.introspection_endpoint, &found.revocation_endpoint] {
            if let Some(mut rule) = on(endpoint) {
                rule.restore_form = text(&["token"]);
                rules.push(rule);
            }
        }
        if let Some(mut rule) = on(&found.end_session_endpoint) {
            rule.restore_query = text(&["id_token_hint"]);
            rule.restore_form = text(&["id_token_hint"]);
            rules.push(rule);
        }
        rules
    }
}

/// The path of `address` on the public listener, when it is below `base`.
fn path_below(address: &str, base: &url::Url) -> Option<String> {
    let url = url::Url::parse(address).ok()?;
    let prefix = base.path().trim_end_matches('/');
    let path = url.path().strip_prefix(prefix)?;
    (url.origin() == base.origin() && path.starts_with('/')).then(|| path.to_owned())
}

/// Why a pattern or path is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("does not start with `/`")]
    NoSlash,
    #[error("holds a query, a fragment or white space")]
    Characters,
    #[error("is not written like `session.tokens[*].value`, with at most 64 members")]
    Members,
    #[error("is longer than 1024 bytes")]
    Length,
}

/// A request path: exact, or with `*` (any characters but `/`) and `**` (any characters).
#[derive(Clone, PartialEq, Eq)]
pub struct PathPattern(String);

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl PathPattern {
    /// # Errors
    /// [`PatternError`]: it starts with `/` and is only a path.
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

    /// A path as it stands; a `*` in it is no wildcard of ours, but matching it as one is harmless.
    fn exact(path: &str) -> Self {
        Self(path.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path itself, when it has no wildcard: for a hash table of exact routes.
    pub fn literal(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(&*self.0)
    }

    /// Whether `path` (without query) fits. Time: pattern × path at worst.
    pub fn matches(&self, path: &str) -> bool {
        let Some((head, _)) = self.0.split_once('*') else { return self.0 == path };
        if !path.starts_with(head) {
            return false;
        }
        // reach[j]: the pattern so far fits the first j bytes. No backtracking.
        let path = path.as_bytes();
        let mut reach = vec![false; path.len() + 1];
        reach[0] = true;
        let mut pattern = self.0.bytes().peekable();
        while let Some(b) = pattern.next() {
            if b == b'*' {
                let deep = pattern.next_if_eq(&b'*').is_some();
                for j in 0..path.len() {
                    reach[j + 1] |= reach[j] && (deep || path[j] != b'/');
                }
            } else {
                for j in (0..path.len()).rev() {
                    reach[j + 1] = reach[j] && path[j] == b;
                }
                reach[0] = false;
            }
        }
        reach[path.len()]
    }
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
#[derive(Clone, PartialEq, Eq)]
pub struct JsonPath {
    text: String,
    pub(super) steps: Vec<Step>,
}

impl fmt::Debug for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
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
            let (step, tail) = step(rest)?;
            steps.push(step);
            rest = tail;
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

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it names one place, not each element of an array or object.
    pub fn is_single(&self) -> bool {
        !self.steps.contains(&Step::Any)
    }

    /// The value at this place; `None` where there is none, or the path names several.
    pub fn find<'a>(&self, value: &'a serde_json::Value) -> Option<&'a serde_json::Value> {
        self.steps.iter().try_fold(value, |value, step| match step {
            Step::Member(name) => value.as_object()?.get(name),
            Step::Any => None,
        })
    }
}

/// One member name off the front of `text`, and the rest from its `.` or `[`.
fn step(text: &str) -> Result<(Step, &str), PatternError> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.push(chars.next().ok_or(PatternError::Members)?.1),
            '.' | '[' => {
                end = at;
                break;
            }
            c => name.push(c),
        }
    }
    match (name.is_empty(), &text[..end]) {
        (_, "*") => Ok((Step::Any, &text[end..])),
        // A path may start with `[*]`: the document is an array.
        (true, "") if text.starts_with("[*]") => Ok((Step::Any, &text[3..])),
        (true, _) => Err(PatternError::Members),
        (false, _) => Ok((Step::Member(name), &text[end..])),
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
