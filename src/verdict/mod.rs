//! What Convex says about a key set and a token, with the two crates its backend verifies with.
//!
//! A replica of `validate_id_token` (get-convex/convex-backend, `crates/authentication`), kept here so
//! that `countersign demo` can show a refusal and an acceptance that are not our own opinion, and so
//! that the doctor's checks can be held against them. The error texts are Convex's own, word for word:
//! they are what people search for.
//!
//! Convex builds forks of both crates. Where the registry's releases behave differently:
//!
//! | fork | release | here |
//! |---|---|---|
//! | biscuit reads a fractional `exp` | whole seconds only | own claims type ([`claims`]) |
//! | biscuit panics on a time past chrono's end | the same | refused before it gets there, code `Panic` |
//! | biscuit reaches `unreachable!` on an RSA key for ES256, on an `oct` key | the same | likewise |
//! | openidconnect needs `issuer` and `jwks_uri` only | six members | the rest is filled in |
//! | openidconnect checks RS256 with AWS-LC, 2048 to 8192 bits | crate `rsa`, up to 4096 | AWS-LC |
//!
//! Nothing here panics on hostile input, and nothing here is used to decide what is signed.

pub mod claims;
mod custom_jwt;
mod oidc;
mod oidc_key;

use std::fmt;

pub use custom_jwt::{Algorithm, CustomJwt, custom_jwt, custom_jwt_key_set};
pub use oidc::{Oidc, oidc, oidc_discovery};

/// An HTTP answer, as far as Convex looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

impl Response {
    /// A `200` of `application/json`.
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::of("application/json", body)
    }

    /// A `200` of a media type.
    pub fn of(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, content_type: Some(content_type.to_owned()), body: body.into() }
    }
}

/// A refusal, in Convex's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictError {
    /// Convex's short code, `InvalidAuthHeader`; `Panic` where its server would panic.
    pub code: &'static str,
    /// The text the client is shown.
    pub message: String,
    /// What lay beneath it; stands in the server's log only.
    pub cause: Option<String>,
}

impl VerdictError {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), cause: None }
    }

    fn auth_header(message: impl Into<String>) -> Self {
        Self::new("InvalidAuthHeader", message)
    }

    fn panics(message: &str) -> Self {
        Self::new("Panic", message)
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
        self.cause = Some(text);
        self
    }

    fn because_of(mut self, cause: &str) -> Self {
        self.cause = Some(cause.to_owned());
        self
    }
}

impl fmt::Display for VerdictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for VerdictError {}
