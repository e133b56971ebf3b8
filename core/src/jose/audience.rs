//! `aud` (RFC 7519 §4.1.3): parses it, checks it against the operator's list, and chooses one of
//! several.

use super::json::{self, Object};
use super::names::Audience;
use super::policy::AudienceRule;
use super::refusal::Refusal;

/// The audiences of a token, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Audiences {
    pub list: Vec<Audience>,
    /// They came from the configuration; the token had none.
    pub configured: bool,
}

impl Audiences {
    /// `bound` is the client that a verified header names. Check the issuer before: its `iss` may
    /// name the client.
    ///
    /// # Errors
    /// `aud_type`; `aud` if none is accepted; `aud_missing`, or `client` if an `aud` would be set
    /// but the token was made for another client.
    pub(super) fn check(
        claims: &Object,
        rule: &AudienceRule,
        bound: Option<&str>,
    ) -> Result<Self, Refusal> {
        let Some(value) = claims.get("aud") else {
            let missing = rule.when_missing.as_ref().ok_or(Refusal::AudienceMissing)?;
            let bound = bound.or_else(|| missing.named_client(claims));
            check_client(claims, &missing.clients, bound)?;
            return Ok(Self::configured(missing.audience.clone()));
        };
        let list = read(value)?;
        if !rule.accept.is_empty() && !list.iter().any(|aud| rule.accept.contains(aud)) {
            return Err(Refusal::Audience);
        }
        Ok(Self { list, configured: false })
    }

    /// An audience the operator configured for claims that never have one.
    pub(super) fn configured(audience: Audience) -> Self {
        Self { list: vec![audience], configured: true }
    }

    /// The one audience of the new token: the requested one; else, of several, the first that the
    /// operator accepts, the client that the token was made for (`azp`), or the first. It is always
    /// one of the token's own, so the new token works nowhere that the original did not.
    ///
    /// # Errors
    /// `aud_asked` if the requested one is not the token's, or not accepted.
    pub(super) fn choose(
        &self,
        azp: Option<&str>,
        rule: &AudienceRule,
        requested: Option<&Audience>,
    ) -> Result<Audience, Refusal> {
        if let Some(requested) = requested {
            let any = self.configured || rule.accept.is_empty();
            let accepted = any || rule.accept.contains(requested);
            let found = self.list.iter().find(|aud| *aud == requested && accepted);
            return found.cloned().ok_or(Refusal::AudienceAsked);
        }
        let preferred = rule.accept.iter().find(|aud| self.list.contains(aud));
        let client = || self.list.iter().find(|aud| Some(aud.as_str()) == azp);
        let chosen = preferred.or_else(client).or_else(|| self.list.first());
        chosen.cloned().ok_or(Refusal::AudienceType)
    }
}

fn read(value: &str) -> Result<Vec<Audience>, Refusal> {
    let one = |text: &str| Audience::parse(text).map_err(|_| Refusal::AudienceType);
    if let Some(text) = json::string(value) {
        return Ok(vec![one(&text)?]);
    }
    let texts: Vec<String> = serde_json::from_str(value).map_err(|_| Refusal::AudienceType)?;
    if texts.is_empty() {
        return Err(Refusal::AudienceType);
    }
    let mut list = Vec::with_capacity(texts.len());
    for text in texts {
        let audience = one(&text)?;
        if !list.contains(&audience) {
            list.push(audience);
        }
    }
    Ok(list)
}

/// Checks that each of `azp` and `client_id` that is present is one of `clients` or the bound one.
/// One must be present, unless a client is bound. A claim `client` is ignored: its value is whatever
/// the identity provider lets a user write.
fn check_client(claims: &Object, clients: &[String], bound: Option<&str>) -> Result<(), Refusal> {
    let mut seen = bound.is_some();
    for name in ["azp", "client_id"] {
        let Some(value) = claims.get(name) else { continue };
        let client = json::string(value).ok_or(Refusal::Client)?;
        if bound != Some(&*client) && !clients.iter().any(|known| *known == client) {
            return Err(Refusal::Client);
        }
        seen = true;
    }
    if seen { Ok(()) } else { Err(Refusal::Client) }
}
