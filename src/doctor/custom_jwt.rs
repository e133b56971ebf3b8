//! The strict verifier's `customJwt` provider, step by step.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::claims::{self, Candidate};
use super::strict::{self, Key, Material};
use super::{Answer, Refusal, check, media, said};
use crate::jose::names::UnixTime;

/// A `customJwt` provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomJwt {
    pub issuer: String,
    /// Where the key set is fetched.
    pub jwks: String,
    pub algorithm: Algorithm,
    pub application_id: Option<String>,
}

/// What a `customJwt` provider may be set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    #[default]
    Rs256,
    Es256,
}

impl Algorithm {
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

/// Is the answer of the JWKS address a set it reads?
///
/// # Errors
/// [`Refusal`] in the verifier's words, with every cause found.
pub fn key_set(answer: &Answer, jwks: &str) -> Result<(), Refusal> {
    read(answer, jwks).map(drop)
}

/// Are the two the same issuer to it? A missing scheme is `https`, trailing slashes do not count.
pub fn same_issuer(token: &str, configured: &str) -> bool {
    let full = claims::configured(configured);
    claims::same_issuer(token, full.as_deref().unwrap_or(configured))
}

/// What it says when the set cannot be fetched.
pub fn unfetched(jwks: &str, why: &str) -> Refusal {
    said::fetch_failed(jwks, why).for_reason("fetch", "url", why)
}

/// Does the set hold a key that a token signed with the provider's algorithm could name?
pub fn has_usable_key(answer: &Answer, provider: &CustomJwt) -> bool {
    let fits = |key: &Key| {
        let algorithm = provider.algorithm.name();
        let kind = match key.material {
            Material::Rsa { .. } => provider.algorithm == Algorithm::Rs256,
            Material::Ec { .. } => provider.algorithm == Algorithm::Es256,
            Material::Oct | Material::Okp => false,
        };
        kind && key.kid.is_some() && key.alg.as_deref().is_none_or(|alg| alg == algorithm)
    };
    read(answer, &provider.jwks).is_ok_and(|keys| keys.iter().any(fits))
}

/// Would it take this token?
///
/// # Errors
/// [`Refusal`] in the verifier's words, with the cause.
pub fn token(
    answer: &Answer,
    provider: &CustomJwt,
    token: &str,
    now: UnixTime,
) -> Result<(), Refusal> {
    let issuer = claims::configured(&provider.issuer)?;
    let app_id = provider.application_id.as_deref();
    let named = format!("CustomJWT(issuer={issuer}, app_id={})", app_id.unwrap_or("none"));
    let candidate = Candidate { named, issuer: &issuer, application_id: app_id };
    let claims = claims::read(token, &candidate)?;
    let keys = read(answer, &provider.jwks)?;
    signature(&keys, provider.algorithm, token)?;

    let now = now.secs();
    let late = |why: String, code, name: &str| {
        said::validate(&why).for_reason(code, &format!("claims.{name}"), why)
    };
    if let Some(exp) = claims.exp.filter(|exp| now - exp > 5) {
        return Err(late(format!("Token expired {} seconds ago", now - exp), "expired", "exp"));
    }
    for (name, time) in [("nbf", claims.nbf), ("iat", claims.iat)] {
        if let Some(at) = time.filter(|at| at - now > 5) {
            return Err(late(
                format!("Token will be valid in {} seconds", at - now),
                "not_yet",
                name,
            ));
        }
    }
    let has_sub = claims.tree.get("sub").is_some_and(|sub| !sub.is_null());
    for (present, name) in [(has_sub, "sub"), (claims.exp.is_some(), "exp")] {
        if !present {
            let text = format!("there is no `{name}`");
            return Err(said::claim().for_reason("claim_missing", &format!("claims.{name}"), text));
        }
    }
    Ok(())
}

fn read(answer: &Answer, jwks: &str) -> Result<Vec<Key>, Refusal> {
    if !jwks.starts_with("data:") {
        envelope(answer, jwks)?;
    }
    strict::read(&answer.body).map_err(|causes| Refusal { causes, ..said::body(jwks) })
}

fn envelope(answer: &Answer, jwks: &str) -> Result<(), Refusal> {
    if answer.status != 200 {
        let text = format!("it answers {}, and only 200 is taken", answer.status);
        return Err(said::status(jwks, answer.status).for_reason("status", "status", text));
    }
    let given = answer.content_type.as_deref().filter(|t| media::visible(t));
    let (code, text) = match given.map(|t| (t, media::parse(t))) {
        None => ("content_type", "there is no Content-Type".to_owned()),
        Some((_, Some((kind, charset)))) => match (kind.as_str(), charset.as_deref()) {
            ("application/json" | "application/jwk-set+json", None | Some("utf-8")) => {
                return Ok(());
            }
            ("application/json" | "application/jwk-set+json", Some(charset)) => {
                ("charset", format!("the charset {charset} is not utf-8"))
            }
            _ => ("content_type", format!("the Content-Type is {kind}")),
        },
        Some((given, None)) => ("content_type", format!("'{given}' is no media type")),
    };
    let given = given.unwrap_or("unknown");
    Err(said::content_type(jwks, given).for_reason(code, "Content-Type", text))
}

fn signature(keys: &[Key], algorithm: Algorithm, token: &str) -> Result<(), Refusal> {
    let parts: Vec<&str> = token.split('.').collect();
    let header = strict::header(parts[0]);
    let kid = header.as_ref().ok().and_then(|h| h.kid.clone());
    let refuse = |code, place: &str, text: String| {
        Err(said::decode(kid.as_deref()).for_reason(code, place, text))
    };
    let [_, _, last] = parts.as_slice() else {
        return refuse("format", "token", format!("{} parts, not three", parts.len()));
    };
    let Ok(signature) = URL_SAFE_NO_PAD.decode(last) else {
        return refuse("b64", "signature", "the signature is not base64url".to_owned());
    };
    let header = match header {
        Ok(header) => header,
        Err(cause) => return Err(said::decode(None).because(cause)),
    };
    let Some(kid) = &header.kid else {
        return refuse("kid_missing", "header.kid", "the token's header has no `kid`".to_owned());
    };
    let Some(key) = keys.iter().find(|key| key.kid.as_ref() == Some(kid)) else {
        let known: Vec<_> = keys.iter().filter_map(|k| k.kid.as_deref()).collect();
        let text = format!("no key has the `kid` {kid}; the set has {}", list(&known));
        return refuse("kid_unknown", "header.kid", text);
    };
    let wanted = algorithm.name();
    if header.alg != wanted {
        let text = format!("the token is signed with {}, the provider takes {wanted}", header.alg);
        return refuse("alg", "header.alg", text);
    }
    if let Some(stated) = key.alg.as_deref().filter(|stated| *stated != wanted) {
        let text = format!("the key {kid} states `alg` {stated}, the provider takes {wanted}");
        return refuse("key_alg", "header.kid", text);
    }
    let message = &token.as_bytes()[..token.len() - last.len() - 1];
    let good = match (&key.material, algorithm) {
        (Material::Rsa { .. }, Algorithm::Es256) | (Material::Oct, _) => {
            let text = "the key is of another kind than the algorithm";
            return Err(said::panics_on_key().for_reason("key_alg", "header.kid", text));
        }
        (Material::Rsa { n, e }, Algorithm::Rs256) => check::rs256(n, e, message, &signature),
        (Material::Ec { x, y }, Algorithm::Es256) => check::es256(x, y, message, &signature),
        (Material::Ec { .. }, Algorithm::Rs256) | (Material::Okp, _) => false,
    };
    if good {
        return Ok(());
    }
    refuse("signature", "signature", format!("the signature was not made by the key {kid}"))
}

fn list(kids: &[&str]) -> String {
    match kids {
        [] => "none with a `kid`".to_owned(),
        kids if kids.len() > 5 => format!("{} and {} more", kids[..5].join(", "), kids.len() - 5),
        kids => kids.join(", "),
    }
}
