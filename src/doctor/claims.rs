//! The registered claims (RFC 7519 §4.1) as the strict verifier reads them before it trusts anything,
//! and the choice of a provider by them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Refusal, said};
use crate::inspect::tree::Tree;
use crate::jose::names::UnixTime;

/// What its clock can hold, in seconds: the years -262143 to 262142. Beyond, its server panics.
pub(super) const TIMES: std::ops::RangeInclusive<i64> = -8_334_601_228_800..=8_210_266_876_799;

/// Claims of the right JSON types; nothing about them has been verified.
#[derive(Debug, Clone)]
pub(super) struct Claims {
    pub(super) tree: Tree,
    pub(super) iss: String,
    /// `None`: no `aud`.
    pub(super) aud: Option<Vec<String>>,
    pub(super) exp: Option<i64>,
    pub(super) nbf: Option<i64>,
    pub(super) iat: Option<i64>,
}

/// A provider as the choice sees it.
pub(super) struct Candidate<'a> {
    pub(super) named: String,
    pub(super) issuer: &'a str,
    pub(super) application_id: Option<&'a str>,
}

pub(super) fn read(token: &str, provider: &Candidate<'_>) -> Result<Claims, Refusal> {
    let part = token.split('.').nth(1).unwrap_or("!");
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(part) else {
        let text = "the token has no second part in base64url without padding";
        return Err(said::payload().for_reason("b64", "claims", text));
    };
    let Ok(tree @ Tree::Object(_)) = Tree::parse(&bytes) else {
        return Err(said::payload().for_reason("payload", "claims", "not a JSON object"));
    };
    let claims = typed(tree)?;
    let app_id = provider.application_id;
    let audiences = claims.aud.as_deref().unwrap_or_default();
    let mut refusal = said::no_provider(&provider.named);
    if app_id.is_some_and(|id| !audiences.iter().any(|a| a == id)) {
        let text = match &claims.aud {
            None => "the token has no `aud`".to_owned(),
            Some(aud) => format!("the token's `aud` is {aud:?}"),
        };
        refusal = refusal.for_reason("audience", "claims.aud", text);
    }
    if !same_issuer(&claims.iss, provider.issuer) {
        let text = format!("the token's `iss` is {}", claims.iss);
        refusal = refusal.for_reason("issuer", "claims.iss", text);
    }
    if refusal.causes.is_empty() { Ok(claims) } else { Err(refusal) }
}

impl Claims {
    /// Is `exp` this very second and a fraction? Then it has not passed yet.
    pub(super) fn exp_has_fraction(&self, now: UnixTime) -> bool {
        let Some(Tree::Number(exp)) = self.tree.get("exp") else { return false };
        self.exp == Some(now.secs()) && exp.as_f64().is_some_and(|exp| exp.fract() > 0.0)
    }
}

fn typed(tree: Tree) -> Result<Claims, Refusal> {
    let fault = |name: &str, text: String| {
        Err(said::payload().for_reason("claim_type", &format!("claims.{name}"), text))
    };
    for name in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"] {
        if tree.all(name).nth(1).is_some() {
            return fault(name, format!("`{name}` stands there twice"));
        }
    }
    let present = |name: &str| tree.get(name).filter(|v| !v.is_null());
    for name in ["iss", "sub", "jti"] {
        if let Some(other) = present(name).filter(|v| v.text().is_none()) {
            return fault(name, format!("`{name}` is {}, not a string", other.kind()));
        }
    }
    let aud = match present("aud") {
        None => None,
        Some(Tree::Text(one)) => Some(vec![one.clone()]),
        Some(Tree::List(list)) if list.iter().all(|v| v.text().is_some()) => {
            Some(list.iter().filter_map(Tree::text).map(str::to_owned).collect())
        }
        Some(other) => {
            return fault("aud", format!("`aud` is {}, not a string or strings", other.kind()));
        }
    };
    let mut times = [None; 3];
    for (time, name) in times.iter_mut().zip(["exp", "nbf", "iat"]) {
        let Some(value) = present(name) else { continue };
        let Some(at) = value.seconds() else {
            return fault(name, format!("`{name}` is {}, not a number", value.kind()));
        };
        *time = Some(at);
    }
    if times.iter().flatten().any(|at| !TIMES.contains(at)) {
        let text = "times are in seconds (RFC 7519 §2), these are not";
        return Err(said::panics_on_time().for_reason("exp_range", "claims", text));
    }
    let Some(iss) = present("iss").and_then(Tree::text).map(str::to_owned) else {
        return Err(said::no_issuer().for_reason("iss_missing", "claims.iss", "there is no `iss`"));
    };
    let [exp, nbf, iat] = times;
    Ok(Claims { iss, aud, exp, nbf, iat, tree })
}

/// A missing scheme is `https`, trailing slashes do not count.
pub(super) fn same_issuer(token: &str, configured: &str) -> bool {
    let full = if token.starts_with("https://") || token.starts_with("http://") {
        token.to_owned()
    } else {
        format!("https://{token}")
    };
    full.trim_end_matches('/') == configured.trim_end_matches('/')
}

/// The issuer as the verifier stores what is configured.
pub(super) fn configured(text: &str) -> Result<String, Refusal> {
    let invalid = |why: &str| said::domain(text, why).for_reason("domain", "config", why);
    if text.starts_with('"') {
        return Err(invalid("starts with a double quote (\")"));
    }
    let word = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_alphanumeric() || c == '_');
    let has_scheme = text.split_once("://").is_some_and(|(scheme, _)| word(scheme));
    let full = if has_scheme { text.to_owned() } else { format!("https://{text}") };
    let url = url::Url::parse(&full).map_err(|e| invalid(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("scheme should be http or https"));
    }
    Ok(full)
}
