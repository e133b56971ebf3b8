//! An OIDC provider: discovery from the token's `iss`, keys from `jwks_uri`, both by openidconnect.

use std::collections::HashMap;
use std::future::Future;
use std::str::FromStr;
use std::sync::Mutex;

use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGenderClaim,
    CoreGrantType, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
    CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{
    AdditionalClaims, ClientId, DiscoveryError, EmptyAdditionalProviderMetadata, HttpRequest,
    HttpResponse, IdToken, IdTokenVerifier, IssuerUrl, Nonce, ProviderMetadata,
};
use serde::{Deserialize, Serialize};

use super::claims::{self, Candidate};
use super::oidc_key::Key;
use super::{Response, VerdictError};
use crate::jose::names::UnixTime;

/// An OIDC provider of `auth.config.ts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    pub domain: String,
    pub application_id: String,
}

type Metadata = ProviderMetadata<
    EmptyAdditionalProviderMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    Key,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct AnyClaims(HashMap<String, serde_json::Value>);
impl AdditionalClaims for AnyClaims {}

type Token =
    IdToken<AnyClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

/// Would Convex take `token` with this provider? `fetch` is given an address and answers as the
/// issuer's server does, or says why it could not.
///
/// # Errors
/// [`VerdictError`] with Convex's own text when it would not.
pub async fn oidc<F, Answer>(
    fetch: F,
    provider: &Oidc,
    token: &str,
    now: UnixTime,
) -> Result<(), VerdictError>
where
    F: Fn(String) -> Answer,
    Answer: Future<Output = Result<Response, String>>,
{
    let domain = claims::configured_issuer(&provider.domain)?;
    let issuer = claims::choose_provider(
        token,
        &Candidate {
            named: format!("OIDC(domain={domain}, app_id={})", provider.application_id),
            issuer: &domain,
            application_id: Some(&provider.application_id),
        },
    )?;
    let metadata = discover(fetch, &issuer).await?;
    verify(&metadata, provider, token, now)
}

/// Would Convex read this issuer's discovery document and key set? `issuer` is the `iss` of its tokens.
///
/// # Errors
/// [`VerdictError`] with Convex's own text when it would not.
pub async fn oidc_discovery<F, Answer>(fetch: F, issuer: &str) -> Result<(), VerdictError>
where
    F: Fn(String) -> Answer,
    Answer: Future<Output = Result<Response, String>>,
{
    discover(fetch, issuer).await.map(drop)
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct FetchError(String);

/// The crate's own discovery, asked again each time one more answer is at hand: it stays in charge of
/// what is fetched and how it is judged, and no client type of its leaks out.
async fn discover<F, Answer>(fetch: F, issuer: &str) -> Result<Metadata, VerdictError>
where
    F: Fn(String) -> Answer,
    Answer: Future<Output = Result<Response, String>>,
{
    let url = IssuerUrl::new(issuer.to_owned())
        .map_err(|e| VerdictError::new("Internal", e.to_string()))?;
    let mut known: Vec<Result<Response, String>> = Vec::new();
    loop {
        let wanted = Mutex::new(None);
        let asked = Mutex::new(0);
        let client = |request: HttpRequest| -> Result<HttpResponse, FetchError> {
            let poisoned = |_| FetchError("poisoned".to_owned());
            let mut asked = asked.lock().map_err(|_| poisoned(()))?;
            let nth = *asked;
            *asked += 1;
            match known.get(nth) {
                Some(Ok(answer)) => respond(answer, nth == 0),
                Some(Err(why)) => Err(FetchError(why.clone())),
                None => {
                    *wanted.lock().map_err(|_| poisoned(()))? = Some(request.uri().to_string());
                    Err(FetchError("not fetched yet".to_owned()))
                }
            }
        };
        let outcome = Metadata::discover(&url, &client);
        match wanted.into_inner().ok().flatten() {
            Some(address) => known.push(fetch(address).await),
            None => {
                let last = known.last().and_then(|answer| answer.as_ref().ok());
                return outcome.map_err(|e| refusal(issuer, &e, last));
            }
        }
    }
}

fn respond(answer: &Response, discovery: bool) -> Result<HttpResponse, FetchError> {
    let body =
        if discovery { fill_in(&answer.body) } else { None }.unwrap_or_else(|| answer.body.clone());
    let mut response = http::Response::builder().status(answer.status);
    if let Some(content_type) = &answer.content_type {
        response = response.header(http::header::CONTENT_TYPE, content_type);
    }
    response.body(body).map_err(|e| FetchError(e.to_string()))
}

/// The members the registry's crate insists on and Convex's fork does not. Put in as text, so that a
/// duplicate member stays the error it is.
fn fill_in(document: &[u8]) -> Option<Vec<u8>> {
    // The crate does not look at what follows the document either.
    let mut reader = serde_json::Deserializer::from_slice(document);
    let serde_json::Value::Object(mut members) = Deserialize::deserialize(&mut reader).ok()? else {
        return None;
    };
    let fillers = [
        ("authorization_endpoint", "\"https://filled.in/\""),
        ("response_types_supported", "[]"),
        ("subject_types_supported", "[]"),
        ("id_token_signing_alg_values_supported", "[]"),
    ];
    let mut document = document.to_vec();
    if members.get("authorization_endpoint").is_some_and(serde_json::Value::is_null) {
        members.remove("authorization_endpoint");
        document = serde_json::to_vec(&members).ok()?;
    }
    let open = document.iter().position(|b| *b == b'{')? + 1;
    let missing = fillers.iter().filter(|(name, _)| !members.contains_key(*name));
    let mut text = missing.map(|(n, v)| format!("\"{n}\":{v}")).collect::<Vec<_>>().join(",");
    if !text.is_empty() && !members.is_empty() {
        text.push(',');
    }
    document.splice(open..open, text.into_bytes());
    Some(document)
}

fn refusal(
    issuer: &str,
    error: &DiscoveryError<FetchError>,
    last: Option<&Response>,
) -> VerdictError {
    let long = format!("Auth provider discovery of {issuer} failed");
    let text = match error {
        DiscoveryError::Response(status, body, _) => {
            // As it was sent, without what was filled in.
            let body = last.map_or(body.as_slice(), |answer| &answer.body);
            format!("{long}: {status} {}", String::from_utf8_lossy(body))
        }
        _ => long,
    };
    VerdictError::new("AuthProviderDiscoveryFailed", text).because(error)
}

fn verify(
    metadata: &Metadata,
    provider: &Oidc,
    token: &str,
    now: UnixTime,
) -> Result<(), VerdictError> {
    let now = chrono::DateTime::from_timestamp(now.secs(), 0)
        .ok_or_else(|| VerdictError::new("Internal", "no such time"))?;
    let keys = metadata.jwks().clone();
    let client = ClientId::new(provider.application_id.clone());
    let verifier = IdTokenVerifier::new_public_client(client, metadata.issuer().clone(), keys)
        .set_allowed_algs([
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            CoreJwsSigningAlgorithm::EdDsa,
        ])
        .require_issuer_match(true)
        .require_audience_match(true)
        .set_time_fn(|| now);
    let token = Token::from_str(token).map_err(|e| {
        VerdictError::auth_header(
            "Could not parse as OIDC ID token. Token might not be an OIDC-compliant JWT.",
        )
        .because(&e)
    })?;
    token.claims(&verifier, |_: Option<&Nonce>| Ok(())).map(drop).map_err(|e| {
        VerdictError::new(
            "Unauthenticated",
            "Could not verify OIDC token claim. Check that the token signature is valid and the \
             token hasn't expired.",
        )
        .because(&e)
    })
}
