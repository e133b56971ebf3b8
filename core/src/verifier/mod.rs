//! What a verifier says about an issuer and its tokens, and what is at fault when it refuses.
//!
//! | module | what |
//! |---|---|
//! | [`convex`] | the verdict: Convex's own steps, by the crates its backend verifies with |
//! | [`explain`] | the explanation: which key, member, claim or header field the verdict is about |
//!
//! The verdict never depends on the explanation. Nothing here decides what is signed.
//!
//! The two crates bring no I/O with them: `openidconnect` is built without a client, and of `http` it
//! uses the types alone.

pub mod convex;
pub mod explain;

use std::fmt;

use serde::Serialize;

pub use explain::Cause;

/// An HTTP answer, after redirects and decompression.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The address that answered.
    pub url: String,
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, as it came.
    pub content_type: Option<String>,
    /// All headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, its content codings undone.
    pub body: Vec<u8>,
}

impl Answer {
    /// A `200` of `application/json`.
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::of("application/json", body)
    }

    /// A `200` of a media type.
    pub fn of(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let content_type = Some(content_type.to_owned());
        Self { status: 200, content_type, body: body.into(), ..Self::default() }
    }
}

/// A refusal, in the verifier's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Convex's short code, `InvalidAuthHeader`; `Panic` where its server would panic.
    pub code: &'static str,
    /// The text a client of a development deployment is shown.
    pub message: String,
    /// What the crate said beneath it; stands in the server's log only.
    pub detail: Option<String>,
    /// What it is about, by the crate's own error types.
    pub reason: RefusalReason,
}

/// What a refusal is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusalReason {
    /// The provider's `domain` or `issuer` in `auth.config.ts` is not an address.
    Domain,
    /// The claims cannot be read.
    Payload,
    /// `iss` is missing.
    IssuerMissing,
    /// `iss` or `aud` fit no provider.
    Provider,
    /// A document could not be fetched.
    Fetch,
    /// A document came with another status than 200.
    Status,
    /// A document came with a media type that is not read.
    MediaType,
    /// The key set cannot be read.
    KeySet,
    /// A time that the verifier's clock cannot hold.
    TimeRange,
    /// The token has not the form of a signed one, or its header cannot be read.
    Token,
    /// The token has no `kid`.
    KidMissing,
    /// No key of the set has the `kid` of the token.
    KidUnknown,
    /// Several keys fit.
    KidAmbiguous,
    /// The token's algorithm, or the key's, is not the provider's.
    Algorithm,
    /// The key cannot be used.
    Key,
    /// The signature does not verify with the key.
    Signature,
    /// `exp` has passed.
    Expired,
    /// `nbf` lies ahead.
    NotYet,
    /// A claim that must be there is not.
    ClaimMissing(&'static str),
    /// More than one audience, or another one.
    Audience,
    /// `iss` is not an absolute URL, so that there is no discovery document.
    IssuerUrl,
    /// The discovery document cannot be read; the member it stopped at (empty: the document itself).
    Discovery(String),
    /// The document's `issuer` is not the token's `iss`.
    IssuerMismatch,
    /// The claims are not those of an ID token.
    IdToken,
    /// `typ`, `cty` or `crit`.
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

    fn because(mut self, cause: &dyn std::error::Error) -> Self {
        let mut text = cause.to_string();
        let mut source = cause.source();
        while let Some(error) = source {
            let said = error.to_string();
            if !text.ends_with(&said) {
                text = format!("{text}: {said}");
            }
            source = error.source();
        }
        self.detail = Some(text);
        self
    }

    fn because_of(mut self, cause: &str) -> Self {
        self.detail = Some(cause.to_owned());
        self
    }

    /// The text a client of a *production* deployment is shown in place of [`message`](Self::message),
    /// where it is another: production does not tell what it is configured with.
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

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

impl Serialize for Refusal {
    /// As it is shown.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
