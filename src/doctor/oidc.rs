//! The strict verifier's OIDC provider, step by step: discovery from the token's `iss`, its key set,
//! then the token.

use base64::Engine as _;
use url::Url;

use super::claims::{self, Candidate};
use super::lax::{self, BASE64, Key};
use super::{Answer, Cause, Refusal, id_token, metadata, said};
use crate::jose::names::UnixTime;

/// An OIDC provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    pub domain: String,
    pub application_id: String,
}

/// What was fetched for it; `Err` says why a fetch came to nothing.
#[derive(Debug, Clone)]
pub struct Fetched {
    pub discovery: Result<Answer, String>,
    /// `None` where discovery gave no address to fetch.
    pub jwks: Option<Result<Answer, String>>,
}

/// The address of the discovery document of an issuer (OpenID Connect Discovery §4.1).
///
/// # Errors
/// When `issuer` is no absolute URL.
pub fn discovery_url(issuer: &str) -> Result<String, url::ParseError> {
    let slash = if issuer.ends_with('/') { "" } else { "/" };
    Url::parse(issuer)?;
    Url::parse(&format!("{issuer}{slash}.well-known/openid-configuration")).map(String::from)
}

/// The `jwks_uri` of a discovery answer the verifier would accept for `issuer`.
///
/// # Errors
/// [`Refusal`] in the verifier's words, with the cause.
pub fn jwks_uri(answer: &Result<Answer, String>, issuer: &str) -> Result<String, Refusal> {
    let answer = fetched(answer, issuer)?;
    status_and_type(answer, issuer, &["application/json"])?;
    let metadata = metadata::read(&answer.body)
        .map_err(|causes| Refusal { causes, ..said::discovery(issuer) })?;
    if metadata.issuer != issuer {
        let text = format!("`issuer` is {}, the token's `iss` {issuer}", metadata.issuer);
        return Err(said::discovery(issuer).for_reason("issuer_mismatch", "$.issuer", text));
    }
    Ok(metadata.jwks_uri)
}

/// Are discovery document and key set ones it reads? `issuer` is the `iss` of the tokens.
///
/// # Errors
/// [`Refusal`] in the verifier's words, with the cause.
pub fn discovery(fetched: &Fetched, issuer: &str) -> Result<(), Refusal> {
    keys(fetched, issuer).map(drop)
}

/// What it skips in the key set, silently.
pub fn skipped(fetched: &Fetched, issuer: &str) -> Vec<Cause> {
    keys(fetched, issuer).map(|(_, skipped)| skipped).unwrap_or_default()
}

/// Does the set hold a key it could check an RS256 or EdDSA signature with?
pub fn has_usable_key(fetched: &Fetched, issuer: &str) -> bool {
    let fits =
        |key: &Key| ["RS256", "EdDSA"].iter().any(|alg| key.fits(alg) && key.lost(alg).is_none());
    keys(fetched, issuer).is_ok_and(|(keys, _)| keys.iter().any(fits))
}

/// Would it take this token?
///
/// # Errors
/// [`Refusal`] in the verifier's words, with the cause.
pub fn token(
    fetched: &Fetched,
    provider: &Oidc,
    token: &str,
    now: UnixTime,
) -> Result<(), Refusal> {
    let domain = claims::configured(&provider.domain)?;
    let claims = claims::read(
        token,
        &Candidate {
            named: format!("OIDC(domain={domain}, app_id={})", provider.application_id),
            issuer: &domain,
            application_id: Some(&provider.application_id),
        },
    )?;
    let (keys, _) = keys(fetched, &claims.iss)?;
    let header = id_token::header(token).map_err(|cause| said::id_token().because(cause))?;
    id_token::claims(&claims.tree).map_err(|cause| said::id_token().because(cause))?;
    let signature = token.rsplit('.').next().unwrap_or_default();
    let Ok(bytes) = BASE64.decode(signature) else {
        let text = "the signature is not base64url";
        return Err(said::id_token().for_reason("b64", "signature", text));
    };

    let refuse =
        |code, place: &str, text: String| Err(said::id_token_claim().for_reason(code, place, text));
    if let Some(cause) = header.unsupported() {
        return Err(said::id_token_claim().because(cause));
    }
    let audiences = claims.aud.clone().unwrap_or_default();
    if audiences.iter().any(|aud| *aud != provider.application_id) {
        let text = format!("`aud` is {audiences:?}; exactly one audience is taken");
        return refuse("aud_many", "claims.aud", text);
    }
    let alg = header.alg.as_str();
    if !["RS256", "EdDSA"].contains(&alg) {
        let text = format!("the token is signed with {alg}; RS256 and EdDSA are taken");
        return refuse("alg", "header.alg", text);
    }
    let named = |key: &&Key| header.kid.is_none() || key.kid == header.kid;
    let fitting: Vec<_> = keys.iter().filter(|k| named(k) && k.fits(alg)).collect();
    let key = match fitting.as_slice() {
        [key] => key,
        [] => {
            let text = match &header.kid {
                Some(kid) => format!("no key for {alg} signatures has the `kid` {kid}"),
                None => format!("the set has no key for {alg} signatures"),
            };
            return refuse("kid_unknown", "header.kid", text);
        }
        many => {
            let text = format!("{} keys fit, and it takes none of several", many.len());
            return refuse("kid_ambiguous", "header.kid", text);
        }
    };
    if let Some(cause) = key.lost(alg) {
        return Err(said::id_token_claim().because(cause));
    }
    let message = &token.as_bytes()[..token.len() - signature.len() - 1];
    if !key.verify(alg, message, &bytes) {
        let text = "the signature was not made by the key it names";
        return refuse("signature", "signature", text.to_owned());
    }
    if claims.exp.is_some_and(|exp| now.secs() >= exp) && !claims.exp_has_fraction(now) {
        return refuse("expired", "claims.exp", "`exp` has passed; there is no leeway".to_owned());
    }
    Ok(())
}

fn keys(fetched: &Fetched, issuer: &str) -> Result<(Vec<Key>, Vec<Cause>), Refusal> {
    if let Err(error) = Url::parse(issuer) {
        let refusal = Refusal { code: "Internal", message: error.to_string(), causes: Vec::new() };
        let text = "`iss` must be an absolute URL to find the discovery document by";
        return Err(refusal.for_reason("issuer_url", "claims.iss", text));
    }
    jwks_uri(&fetched.discovery, issuer)?;
    let unfetched = Err("it was not fetched".to_owned());
    let answer = self::fetched(fetched.jwks.as_ref().unwrap_or(&unfetched), issuer)?;
    status_and_type(answer, issuer, &["application/json", "application/jwk-set+json"])?;
    lax::read(&answer.body).map_err(|cause| said::discovery(issuer).because(cause))
}

fn fetched<'a>(answer: &'a Result<Answer, String>, issuer: &str) -> Result<&'a Answer, Refusal> {
    answer.as_ref().map_err(|why| said::discovery(issuer).for_reason("fetch", "url", why.as_str()))
}

fn status_and_type(answer: &Answer, issuer: &str, taken: &[&str]) -> Result<(), Refusal> {
    let refuse = |code, place: &str, text: String| {
        let said = said::discovery_answer(issuer, answer.status, &answer.body);
        Err(said.for_reason(code, place, text))
    };
    if answer.status != 200 {
        let text = format!("{} answers {}, and only 200 is taken", answer.url, answer.status);
        return refuse("status", "status", text);
    }
    // Up to the first `;`, not trimmed; no header at all is fine.
    let Some(given) = answer.content_type.as_deref() else { return Ok(()) };
    let essence = given.split(';').next().unwrap_or(given).to_lowercase();
    if super::media::visible(given) && taken.contains(&essence.as_str()) {
        return Ok(());
    }
    refuse("content_type", "Content-Type", format!("{} answers with '{given}'", answer.url))
}
