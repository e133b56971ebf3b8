//! Explains a refusal: the key and its member, the claim, or the header field. The verdict is final
//! before. Where no explanation is found, the message of the verifier's crate is used.

mod document;
pub mod key;
mod token;

use serde::Serialize;

use super::convex::{CustomJwt, Oidc};
use super::{Answer, Refusal, RefusalReason};
use crate::jose::tree::Json;

pub use document::{entries, skipped};
pub use token::{CLAIMS, HEADER, section, text_member};

/// One cause of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Stable code.
    pub code: &'static str,
    /// Where it is: `$.keys[2].n`, `header.typ`, `claims.aud`, `Content-Type`.
    pub place: String,
    /// A sentence for the user.
    pub text: String,
}

impl Cause {
    /// A cause with its stable code, its place and its sentence.
    pub fn new(code: &'static str, place: &str, text: impl Into<String>) -> Self {
        Self { code, place: place.to_owned(), text: text.into() }
    }
}

/// Why a `customJwt` provider refuses the key set or the token. `answer` came from its JWKS
/// address.
pub fn custom_jwt(
    refusal: &Refusal,
    answer: &Answer,
    provider: &CustomJwt,
    token: Option<&str>,
) -> Vec<Cause> {
    of_answer(refusal, answer).unwrap_or_else(|| {
        let algorithms = [provider.algorithm.name()];
        let view = token::View::of(token.unwrap_or_default(), &answer.body, &algorithms);
        let audience = provider.application_id.as_deref();
        view.causes(&refusal.reason, detail(refusal), &provider.issuer, audience)
    })
}

/// Why the address of the provider, or what `answer` came from, is refused.
fn of_answer(refusal: &Refusal, answer: &Answer) -> Option<Vec<Cause>> {
    Some(vec![match refusal.reason {
        RefusalReason::Domain => Cause::new("domain", "auth.config.ts", refusal.message.as_str()),
        RefusalReason::Fetch => Cause::new("fetch", "url", detail(refusal)),
        RefusalReason::Status => status(answer),
        RefusalReason::MediaType => media_type(answer),
        RefusalReason::KeySet => return Some(document::key_set(&answer.body, detail(refusal))),
        _ => return None,
    }])
}

/// Why an OIDC provider refuses the discovery document, the key set or the token. `keys` is `None`
/// if discovery gave no address to fetch.
pub fn oidc(
    refusal: &Refusal,
    discovery: Option<&Answer>,
    keys: Option<&Answer>,
    provider: &Oidc,
    token: Option<&str>,
) -> Vec<Cause> {
    let nothing = Answer::default();
    let discovery = discovery.unwrap_or(&nothing);
    // The fault is in the document that was read last.
    if let Some(causes) = of_answer(refusal, keys.unwrap_or(discovery)) {
        return causes;
    }
    match &refusal.reason {
        RefusalReason::Discovery(member) => {
            vec![document::discovery(discovery, member, detail(refusal))]
        }
        RefusalReason::IssuerMismatch => {
            let document = Json::parse(&discovery.body).ok();
            let iss = token.and_then(|token| text_member(token, CLAIMS, "iss"));
            let iss = iss.unwrap_or_else(|| provider.domain.clone());
            let text = match document.as_ref().and_then(|document| document.get("issuer")?.text()) {
                Some(issuer) => format!(
                    "the discovery document's `issuer` is {issuer}, the token's `iss` {iss}"
                ),
                None => detail(refusal).to_owned(),
            };
            vec![Cause::new("issuer_mismatch", "$.issuer", text)]
        }
        reason => {
            let body = keys.map(|answer| answer.body.as_slice()).unwrap_or_default();
            let view = token::View::of(token.unwrap_or_default(), body, &["RS256", "EdDSA"]);
            let audience = Some(provider.application_id.as_str());
            view.causes(reason, detail(refusal), &provider.domain, audience)
        }
    }
}

fn detail(refusal: &Refusal) -> &str {
    refusal.detail.as_deref().unwrap_or(&refusal.message)
}

fn status(answer: &Answer) -> Cause {
    let text = match answer.url.as_str() {
        "" => format!("the status is {}; only 200 is read", answer.status),
        url => format!("{url} answers {}; only 200 is read", answer.status),
    };
    Cause::new("status", "status", text)
}

fn media_type(answer: &Answer) -> Cause {
    let is_json = |given: &str| {
        let essence = given.split(';').next().unwrap_or_default().to_ascii_lowercase();
        ["application/json", "application/jwk-set+json"].contains(&essence.as_str())
    };
    let (code, text) = match answer.content_type.as_deref() {
        None => ("content_type", "there is no Content-Type".to_owned()),
        // The media type itself is right, so a parameter is wrong.
        Some(given) if is_json(given) => {
            ("charset", format!("the Content-Type `{given}` names another charset than utf-8"))
        }
        Some(given) => {
            ("content_type", format!("the Content-Type is `{given}`, not application/json"))
        }
    };
    let text = match answer.url.as_str() {
        "" => text,
        url => format!("{url}: {text}"),
    };
    Cause::new(code, "Content-Type", text)
}
