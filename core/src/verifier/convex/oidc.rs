//! An OIDC provider: discovery from the token's `iss` and keys from `jwks_uri`, both by
//! openidconnect.

use std::cell::RefCell;
use std::collections::HashMap;
use std::str::FromStr;

use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGenderClaim,
    CoreGrantType, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
    CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{
    AdditionalClaims, ClaimsVerificationError, ClientId, DiscoveryError,
    EmptyAdditionalProviderMetadata, HttpRequest, HttpResponse, IdToken, IdTokenVerifier,
    IssuerUrl, Nonce, ProviderMetadata, SignatureVerificationError,
};
use serde::{Deserialize, Serialize};

use super::super::{Answer, Refusal, RefusalReason};
use super::claims;
use super::oidc_key::{Key, can_check};
use crate::jose::names::UnixTime;

/// An OIDC provider of `auth.config.ts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// `domain`, from which the discovery document is read.
    pub domain: String,
    /// `applicationID`, which `aud` must contain.
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

type OidcToken =
    IdToken<AnyClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

/// Whether Convex accepts `token` with this provider. `fetch` gets an address, and returns the
/// answer of the issuer's server or why there is none.
///
/// # Errors
/// [`Refusal`] with Convex's own text, if it refuses.
pub async fn oidc(
    fetch: impl AsyncFn(String) -> Result<Answer, String>,
    provider: &Oidc,
    token: &str,
    now: UnixTime,
) -> Result<(), Refusal> {
    let domain = claims::configured_issuer(&provider.domain)?;
    let app_id = provider.application_id.as_str();
    let named = format!("OIDC(domain={domain}, app_id={app_id})");
    let issuer = claims::choose_provider(token, &domain, Some(app_id), &named)?;
    let metadata = discover(fetch, &issuer).await?;
    let now = claims::date_time(now)?;
    let (client, keys) = (ClientId::new(app_id.to_owned()), metadata.jwks().clone());
    let verifier = IdTokenVerifier::new_public_client(client, metadata.issuer().clone(), keys)
        .set_allowed_algs([
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            CoreJwsSigningAlgorithm::EdDsa,
        ])
        .require_issuer_match(true)
        .require_audience_match(true)
        .set_time_fn(|| now);
    let token = OidcToken::from_str(token).map_err(|e| {
        Refusal::auth_header(
            RefusalReason::IdToken,
            "Could not parse as OIDC ID token. Token might not be an OIDC-compliant JWT.",
        )
        .because(&e)
    })?;
    token.claims(&verifier, |_: Option<&Nonce>| Ok(())).map(drop).map_err(|e| {
        Refusal::new(
            "Unauthenticated",
            reason(&e),
            "Could not verify OIDC token claim. Check that the token signature is valid and the \
             token hasn't expired.",
        )
        .because(&e)
    })
}

/// Whether the issuer's key set has a key that can verify RS256 or EdDSA. `issuer` is the `iss` of
/// its tokens.
///
/// # Errors
/// [`Refusal`] with Convex's own text, if it cannot read the discovery document or the key set.
pub async fn oidc_discovery(
    fetch: impl AsyncFn(String) -> Result<Answer, String>,
    issuer: &str,
) -> Result<bool, Refusal> {
    let metadata = discover(fetch, issuer).await?;
    Ok(metadata.jwks().keys().iter().any(can_check))
}

/// The address of an issuer's discovery document (OpenID Connect Discovery §4.1), built as the
/// crate does. A query is kept after the path.
///
/// # Errors
/// When `issuer` is not an absolute URL.
pub fn discovery_url(issuer: &str) -> Result<String, url::ParseError> {
    let (path, query) = match issuer.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (issuer, None),
    };
    let slash = if path.ends_with('/') { "" } else { "/" };
    url::Url::parse(path)?;
    let mut url = url::Url::parse(&format!("{path}{slash}.well-known/openid-configuration"))?;
    url.set_query(query);
    Ok(url.into())
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct DocumentError(String);

/// Runs the crate's own discovery: it decides what is fetched and how an answer is judged.
async fn discover(
    fetch: impl AsyncFn(String) -> Result<Answer, String>,
    issuer: &str,
) -> Result<Metadata, Refusal> {
    let url = IssuerUrl::new(issuer.to_owned())
        .map_err(|e| Refusal::new("Internal", RefusalReason::IssuerUrl, e.to_string()))?;
    // The discovery document, then the key set.
    let answers = RefCell::new(Vec::new());
    let client = |request: HttpRequest| {
        let (fetch, answers) = (&fetch, &answers);
        async move {
            let answer = fetch(request.uri().to_string()).await.map_err(DocumentError)?;
            let response = respond(&answer, answers.borrow().is_empty());
            answers.borrow_mut().push(answer);
            response
        }
    };
    let outcome = Metadata::discover_async(url, &client).await;
    outcome.map_err(|error| refusal(issuer, &error, &answers.borrow()))
}

fn respond(answer: &Answer, is_discovery: bool) -> Result<HttpResponse, DocumentError> {
    let filled = if is_discovery { fill_in(&answer.body) } else { None };
    let mut response = openidconnect::http::Response::builder().status(answer.status);
    if let Some(content_type) = &answer.content_type {
        response = response.header(openidconnect::http::header::CONTENT_TYPE, content_type);
    }
    let body = filled.unwrap_or_else(|| answer.body.clone());
    response.body(body).map_err(|e| DocumentError(e.to_string()))
}

/// Adds the members that the published crate requires and Convex's fork does not. They are inserted
/// as text, so that a duplicate member is still an error.
fn fill_in(document: &[u8]) -> Option<Vec<u8>> {
    // Like the crate, ignore what follows the document.
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

fn refusal(issuer: &str, error: &DiscoveryError<DocumentError>, answers: &[Answer]) -> Refusal {
    let long = format!("Auth provider discovery of {issuer} failed");
    let (reason, text) = match error {
        DiscoveryError::Response(status, body, _) => {
            // Show the body as the server sent it, without the added members.
            let body = answers.last().map_or(body, |answer| &answer.body);
            let reason = match status.as_u16() {
                200 => RefusalReason::MediaType,
                _ => RefusalReason::Status,
            };
            (reason, format!("{long}: {status} {}", String::from_utf8_lossy(body)))
        }
        DiscoveryError::Request(_) => (RefusalReason::Fetch, long),
        DiscoveryError::Parse(_) if answers.len() > 1 => (RefusalReason::KeySet, long),
        DiscoveryError::Parse(error) => {
            let stopped = member(&error.path().to_string(), &error.inner().to_string());
            (RefusalReason::Discovery(stopped), long)
        }
        DiscoveryError::Validation(_) => (RefusalReason::IssuerMismatch, long),
        DiscoveryError::UrlParse(_) => (RefusalReason::IssuerUrl, long),
        _ => (RefusalReason::Other, long),
    };
    Refusal::new("AuthProviderDiscoveryFailed", reason, text).because(error)
}

/// The member where a parser stopped. If it is missing, only the error message names it.
fn member(path: &str, text: &str) -> String {
    let name = match path {
        "." | "" => text.split('`').nth(1),
        path => path.split(['.', '[', '?']).next(),
    };
    name.unwrap_or_default().to_owned()
}

fn reason(error: &ClaimsVerificationError) -> RefusalReason {
    use SignatureVerificationError as Failure;
    match error {
        ClaimsVerificationError::Expired(_) => RefusalReason::Expired,
        ClaimsVerificationError::InvalidAudience(_) => RefusalReason::Audience,
        ClaimsVerificationError::InvalidIssuer(_) => RefusalReason::IssuerMismatch,
        ClaimsVerificationError::Unsupported(_) => RefusalReason::Header,
        ClaimsVerificationError::SignatureVerification(failure) => match failure {
            Failure::NoMatchingKey => RefusalReason::KidUnknown,
            Failure::AmbiguousKeyId(_) => RefusalReason::KidAmbiguous,
            Failure::DisallowedAlg(_) | Failure::UnsupportedAlg(_) => RefusalReason::Algorithm,
            Failure::InvalidKey(_) => RefusalReason::Key,
            Failure::CryptoError(_) | Failure::NoSignature => RefusalReason::Signature,
            _ => RefusalReason::Other,
        },
        _ => RefusalReason::Other,
    }
}
