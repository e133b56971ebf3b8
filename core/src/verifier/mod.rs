//! What a verifier says about an issuer and its tokens, and the cause when it refuses.
//!
//! | module | what |
//! |---|---|
//! | [`convex`] | the verdict: Convex's own steps, with the crates of its backend |
//! | [`explain`] | the explanation: which key, member, claim or header field the verdict is about |
//!
//! The verdict never depends on the explanation. No decision about signing is made here.
//!
//! Neither crate does I/O: `openidconnect` is built without a client, and only the types of `http`
//! are used.

pub mod convex;
pub mod explain;

pub use explain::Cause;

/// An HTTP answer, after redirects and decompression.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The address that answered, after redirects.
    pub url: String,
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, unchanged.
    pub content_type: Option<String>,
    /// All headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, with its content codings removed.
    pub body: Vec<u8>,
}

/// A refusal, in the verifier's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}{}", detail.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
pub struct Refusal {
    /// Convex's short code, `InvalidAuthHeader`; `Panic` where its server would panic.
    pub code: &'static str,
    /// The text that a client of a development deployment gets.
    pub message: String,
    /// The crate's own error text, which Convex writes to the server's log only.
    pub detail: Option<String>,
    /// The subject of the refusal, from the crate's own error types.
    pub reason: RefusalReason,
}

/// The subject of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusalReason {
    /// The provider's `domain` or `issuer` in `auth.config.ts` is not an address.
    Domain,
    /// The claims cannot be read.
    Payload,
    /// `iss` is missing.
    IssuerMissing,
    /// No provider matches `iss` and `aud`.
    Provider,
    /// A document could not be fetched.
    Fetch,
    /// A document came with a status other than 200.
    Status,
    /// A document came with a media type that the verifier does not accept.
    MediaType,
    /// The key set cannot be read.
    KeySet,
    /// A time is out of range for the verifier's clock.
    TimeRange,
    /// The token is not in the form of a signed token, or its header cannot be read.
    Token,
    /// The token has no `kid`.
    KidMissing,
    /// No key of the set has the `kid` of the token.
    KidUnknown,
    /// Several keys match.
    KidAmbiguous,
    /// The algorithm of the token or of the key is not the provider's.
    Algorithm,
    /// The verifier cannot use the key.
    Key,
    /// The key does not verify the signature.
    Signature,
    /// `exp` has passed.
    Expired,
    /// `nbf` is in the future.
    NotYet,
    /// A required claim is missing.
    ClaimMissing(&'static str),
    /// There is more than one audience, or a wrong one.
    Audience,
    /// `iss` is not an absolute URL, so there is no discovery document.
    IssuerUrl,
    /// The discovery document cannot be read. The member where the parser stopped; empty for the
    /// whole document.
    Discovery(String),
    /// The document's `issuer` is not the token's `iss`.
    IssuerMismatch,
    /// The claims are not those of an ID token.
    IdToken,
    /// `typ`, `cty` or `crit` is not accepted.
    Header,
    /// Something else; [`Refusal::detail`] says what.
    Other,
}

impl Refusal {
    fn new(code: &'static str, reason: RefusalReason, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: None, reason }
    }

    fn auth_header(reason: RefusalReason, message: impl Into<String>) -> Self {
        Self::new("InvalidAuthHeader", reason, message)
    }

    fn panics(reason: RefusalReason, message: &str) -> Self {
        Self::new("Panic", reason, message)
    }

    fn because(self, cause: &dyn std::error::Error) -> Self {
        let mut detail = cause.to_string();
        let mut source = cause.source();
        while let Some(error) = source {
            let text = error.to_string();
            if !detail.ends_with(&text) {
                detail = format!("{detail}: {text}");
            }
            source = error.source();
        }
        Self { detail: Some(detail), ..self }
    }

    /// The text that a client of a *production* deployment gets, where it differs from
    /// [`message`](Self::message): production does not reveal its configuration.
    pub fn in_production(&self) -> Option<&'static str> {
        match self.reason {
            RefusalReason::Provider => Some("No auth provider found matching the given token"),
            RefusalReason::Token
            | RefusalReason::KidMissing
            | RefusalReason::KidUnknown
            | RefusalReason::Algorithm
            | RefusalReason::Key
            | RefusalReason::Signature
                if self.message.starts_with("Could not decode token.") =>
            {
                Some(
                    "Could not decode token. The JWT's 'kid' (key ID) header doesn't match any key in \
                     the provider's JWKS, or the JWT signature is invalid.",
                )
            }
            _ => None,
        }
    }
}
