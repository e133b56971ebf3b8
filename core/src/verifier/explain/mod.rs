//! Explains a refusal: the key and its member, the claim, or the header field. The verdict is final
//! before. Where no explanation is found, the message of the verifier's crate is used.

mod document;
pub mod key;
mod token;

use serde::Serialize;

use super::convex::{CustomJwt, Oidc};
use super::{Answer, Refusal, RefusalReason};
use crate::jose::tree::Json;

pub use document::{entries, unreadable};

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
        let taken = [provider.algorithm.name()];
        let view = token::View::of(token.unwrap_or_default(), &answer.body, &taken);
        let audience = provider.application_id.as_deref();
        view.causes(&refusal.reason, detail(refusal), &provider.issuer, audience)
    })
}

/// Why the address of the provider, or what `answer` came from, is refused.
fn of_answer(refusal: &Refusal, answer: &Answer) -> Option<Vec<Cause>> {
    Some(vec![match refusal.reason {
        RefusalReason::Domain => domain(refusal),
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
    // The fault is in the document that was read last.
    let last = keys.or(discovery).unwrap_or(&nothing);
    if let Some(causes) = of_answer(refusal, last) {
        return causes;
    }
    match &refusal.reason {
        RefusalReason::Discovery(member) => {
            vec![document::discovery(discovery.unwrap_or(&nothing), member, detail(refusal))]
        }
        RefusalReason::IssuerMismatch => {
            let stated = Json::parse(&discovery.unwrap_or(&nothing).body).ok();
            let stated = stated.as_ref().and_then(|d| d.get("issuer")?.text().map(str::to_owned));
            let iss = token.and_then(token::issuer).unwrap_or_else(|| provider.domain.clone());
            let text = match stated {
                Some(stated) => {
                    format!(
                        "the discovery document's `issuer` is {stated}, the token's `iss` {iss}"
                    )
                }
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

/// The keys that an OIDC provider silently skips in a set, and why.
pub fn skipped(set: &Answer) -> Vec<Cause> {
    document::skipped(&set.body)
}

fn detail(refusal: &Refusal) -> &str {
    refusal.detail.as_deref().unwrap_or(&refusal.message)
}

fn domain(refusal: &Refusal) -> Cause {
    Cause::new("domain", "auth.config.ts", refusal.message.as_str())
}

fn status(answer: &Answer) -> Cause {
    let text = match answer.url.as_str() {
        "" => format!("the status is {}; 200 alone is read", answer.status),
        url => format!("{url} answers {}; 200 alone is read", answer.status),
    };
    Cause::new("status", "status", text)
}

fn media_type(answer: &Answer) -> Cause {
    let at = match answer.url.as_str() {
        "" => String::new(),
        url => format!("{url}: "),
    };
    let Some(given) = answer.content_type.as_deref() else {
        return Cause::new("content_type", "Content-Type", format!("{at}there is no Content-Type"));
    };
    let essence = given.split(';').next().unwrap_or_default().to_ascii_lowercase();
    let known = ["application/json", "application/jwk-set+json"].contains(&essence.as_str());
    match known {
        // The media type itself is right, so a parameter is wrong.
        true => {
            let text = format!("{at}the Content-Type `{given}` names another charset than utf-8");
            Cause::new("charset", "Content-Type", text)
        }
        false => {
            let text = format!("{at}the Content-Type is `{given}`, not application/json");
            Cause::new("content_type", "Content-Type", text)
        }
    }
}
