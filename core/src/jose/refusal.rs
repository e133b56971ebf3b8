//! Why a token is not countersigned. Codes are stable: metric labels, and what scripts test.
//! Messages name the failed check, never the token's text.

/// Number of shown characters of an `iss`.
const SHOWN: usize = 200;

/// A refused token.
#[expect(missing_docs, reason = "its text says what each means")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the token is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the token is not a compact JWS of three parts (RFC 7515 §7.1)")]
    Format,
    #[error("a part of the token is not unpadded base64url (RFC 7515 §2)")]
    Base64,
    #[error("the protected header is not a JSON object of known members (RFC 7515 §4)")]
    Header,
    #[error("the payload is not a JSON object in UTF-8 (RFC 7519 §7.2)")]
    Payload,
    #[error("a member name occurs twice in one object, so that two readers may see two tokens")]
    DuplicateMember,
    #[error(
        "{} contains half a surrogate pair, which readers read differently (RFC 8259 §8.2)",
        named(member)
    )]
    Surrogate { member: Box<str> },
    #[error("`{member}` contains a number that no verifier can parse (RFC 8259 §6)")]
    Number { member: Box<str> },
    #[error("JSON nesting is deeper than {limit}")]
    Depth { limit: usize },
    #[error("the header has `crit` (RFC 7515 §4.1.11); no extension is understood")]
    Crit,
    #[error("the header has `b64` (RFC 7797); only base64url payloads are read")]
    B64False,
    #[error("the token is encrypted or contains another token (RFC 7519 §5.2, RFC 7516)")]
    Nested,
    #[error("`typ` is that of another kind of token (RFC 8725 §3.11)")]
    Typ,
    #[error("`alg` is not one this issuer's tokens may have, or does not fit its key")]
    Alg,
    #[error("no key of this issuer has the token's `kid`")]
    KidUnknown,
    #[error("several keys have the token's `kid`, so it does not say which one signed")]
    KidAmbiguous,
    #[error("more than {limit} keys would have to be tried")]
    TooManyKeys { limit: u32 },
    #[error("the signature is ASN.1 DER, not `r || s` (RFC 7518 §3.4)")]
    SignatureFormat,
    #[error("the signature does not verify with the issuer's keys")]
    Signature,
    #[error(
        "the header parameter `{name}` is missing or not the one this issuer's tokens must have"
    )]
    HeaderMismatch { name: String },
    #[error("`iss` is missing")]
    IssuerMissing,
    #[error("`iss` is not the issuer's")]
    Issuer,
    /// `near` is a configured spelling.
    #[error("the token's issuer `{iss}` is not configured here{}", hint(near.as_deref()))]
    IssuerUnknown { iss: Box<str>, near: Option<Box<str>> },
    #[error("`iss` and `{claim}` do not name one and the same tenant that may log in")]
    Tenant { claim: String },
    #[error("the key that signed is marked as another issuer's")]
    KeyIssuer,
    #[error("`exp` is missing (RFC 7519 §4.1.4)")]
    ExpiryMissing,
    #[error("`{claim}` is not a number (RFC 7519 §2, NumericDate)")]
    TimeType { claim: &'static str },
    #[error("`{claim}` is out of range; it is in seconds")]
    TimeRange { claim: &'static str },
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet (`nbf`)")]
    NotBefore,
    #[error("`iat` lies in the future")]
    IssuedInFuture,
    #[error("`aud` is missing")]
    AudienceMissing,
    #[error("`aud` is not a string or a list of strings")]
    AudienceType,
    #[error("`aud` names no accepted audience")]
    Audience,
    #[error("the requested audience is not one of the token's, or not accepted")]
    AudienceAsked,
    #[error("no `azp` or `client_id` names an accepted client")]
    Client,
    #[error("`sub` is missing")]
    SubjectMissing,
    #[error("`sub` is neither a string nor a number")]
    SubjectType,
    #[error("`{claim}` does not match the access token, code or `state` in the same response")]
    HashClaim { claim: &'static str },
    #[error("the authorization server says that the token is not active (RFC 7662 §2.2)")]
    Inactive,
    #[error(
        "the token is bound to a key of its sender (`cnf`); a bearer token made of it would not be"
    )]
    SenderConstrained,
    #[error("the new token could not be signed")]
    Signing,
}

fn named(member: &str) -> String {
    if member.is_empty() { "a member's name".to_owned() } else { format!("`{member}`") }
}

fn hint(near: Option<&str>) -> String {
    near.map(|near| format!("; `{near}` is, so add this spelling to `issuer`")).unwrap_or_default()
}

impl Refusal {
    /// The refusal of a token with an unknown `iss`. `known` says whether a spelling is configured;
    /// it is called for a dozen similar ones.
    pub fn issuer_unknown(iss: &str, known: impl Fn(&str) -> bool) -> Self {
        let lower = iss.to_ascii_lowercase();
        let bare = |text: &str| {
            let text = text.trim_end_matches('/');
            let rest = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
            rest.unwrap_or(text).to_owned()
        };
        let near = [bare(iss), bare(&lower)].iter().find_map(|bare| {
            ["https://", "http://", ""].iter().find_map(|scheme| {
                ["", "/"].iter().find_map(|slash| {
                    let near = format!("{scheme}{bare}{slash}");
                    (!bare.is_empty() && near != iss && known(&near)).then(|| near.into())
                })
            })
        });
        let shown: String = iss.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        let cut = if shown.len() < iss.len() { "…" } else { "" };
        Self::IssuerUnknown { iss: format!("{shown}{cut}").into(), near }
    }

    /// The `error` in the token exchange's answer.
    pub fn exchange_error(&self) -> &'static str {
        match self {
            // RFC 8693 §2.2.2.
            Self::AudienceAsked => "invalid_target",
            // RFC 6749 §4.1.2.1: not caused by the token.
            Self::Signing => "server_error",
            // RFC 8693 §2.2.2, for a subject token that is unacceptable for any reason.
            // `invalid_grant` belongs to another grant (RFC 6749 §5.2).
            _ => "invalid_request",
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::Format => "format",
            Self::Base64 => "b64",
            Self::Header => "header",
            Self::DuplicateMember => "duplicate_member",
            Self::Depth { .. } => "depth",
            Self::Surrogate { .. } => "surrogate",
            Self::Number { .. } => "number",
            Self::Crit => "crit",
            Self::B64False => "b64_false",
            Self::Nested => "nested",
            Self::Payload => "payload",
            Self::Alg => "alg",
            Self::Typ => "typ",
            Self::KidUnknown => "kid_unknown",
            Self::KidAmbiguous => "kid_ambiguous",
            Self::TooManyKeys { .. } => "too_many_keys",
            Self::SignatureFormat => "sig_format",
            Self::Signature => "signature",
            Self::Inactive => "inactive",
            Self::HeaderMismatch { .. } => "header_mismatch",
            Self::IssuerMissing => "iss_missing",
            Self::Issuer => "iss",
            Self::IssuerUnknown { .. } => "issuer_unknown",
            Self::Tenant { .. } => "tenant",
            Self::KeyIssuer => "key_issuer",
            Self::ExpiryMissing => "exp_missing",
            Self::TimeType { .. } => "exp_type",
            Self::TimeRange { .. } => "exp_range",
            Self::Expired => "expired",
            Self::NotBefore => "nbf",
            Self::IssuedInFuture => "iat_future",
            Self::AudienceMissing => "aud_missing",
            Self::AudienceType => "aud_type",
            Self::Audience => "aud",
            Self::AudienceAsked => "aud_asked",
            Self::Client => "client",
            Self::SubjectMissing => "sub_missing",
            Self::SubjectType => "sub_type",
            Self::HashClaim { .. } => "hash",
            Self::SenderConstrained => "sender_constrained",
            Self::Signing => "signing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_issuer_is_named_with_its_near_spelling() {
        let known = |text: &str| ["https://a.example/", "b.example"].contains(&text);
        let text = |iss: &str| Refusal::issuer_unknown(iss, known).to_string();
        let near = "`https://a.example/` is, so add this spelling to `issuer`";
        for iss in ["https://a.example", "http://a.example/", "https://A.example", "a.example"] {
            let expected = format!("the token's issuer `{iss}` is not configured here; {near}");
            assert_eq!(text(iss), expected);
        }
        assert!(text("https://b.example/").contains("`b.example` is"));
        let other = "the token's issuer `https://c.example` is not configured here";
        assert_eq!(text("https://c.example"), other);
        assert_eq!(text("/"), "the token's issuer `/` is not configured here");
        let long = text(&format!("https://{}", "x".repeat(2000)));
        assert!(long.len() < 300 && long.contains("x…`"), "{long}");
        let code = Refusal::issuer_unknown("x", |_| false);
        assert_eq!((code.code(), code.exchange_error()), ("issuer_unknown", "invalid_request"));
    }

    #[test]
    fn the_exchange_answers_by_rfc_8693() {
        for (refusal, error) in [
            (Refusal::Expired, "invalid_request"),
            (Refusal::Signature, "invalid_request"),
            (Refusal::Audience, "invalid_request"),
            (Refusal::SenderConstrained, "invalid_request"),
            (Refusal::AudienceAsked, "invalid_target"),
            (Refusal::Signing, "server_error"),
        ] {
            assert_eq!(refusal.exchange_error(), error, "{refusal}");
        }
    }
}
