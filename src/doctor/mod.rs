//! Why a strict verifier refuses an issuer or a token: its own steps as checks that can say which
//! member is at fault. Pure: what was fetched goes in, findings come out. A test holds the verdict
//! equal to that of the crates the verifier uses, over the whole corpus.
//!
//! | file | reads |
//! |---|---|
//! | [`custom_jwt`] | the `customJwt` provider: [`strict`] key set, then the token |
//! | [`oidc`] | the OIDC provider: [`metadata`], [`lax`] key set, [`id_token`] |
//! | `generic` | a verifier by the RFCs: faults, and what libraries stumble over |
//! | [`exam`] | all of it for one case, told as [`finding`]s with cause and fix |
//! | [`headers`], [`address`] | what is not refused, but hurts: caching, addresses nobody can reach |

pub mod address;
mod check;
mod claims;
pub mod custom_jwt;
mod document;
pub mod exam;
pub mod finding;
mod fix;
mod generic;
pub mod headers;
mod id_token;
mod lax;
mod media;
mod metadata;
pub mod oidc;
mod said;
mod strict;

use serde::Serialize;

/// An HTTP answer, after redirects and decompression.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The address that answered.
    pub url: String,
    pub status: u16,
    pub content_type: Option<String>,
    /// All headers, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A refusal in the verifier's own words, and what is at fault in ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The verifier's short code; `Panic` where its server would panic.
    pub code: &'static str,
    pub message: String,
    pub causes: Vec<Cause>,
}

/// One thing at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Stable code.
    pub code: &'static str,
    /// `$.keys[2].n`, `header.typ`, `claims.aud`, `Content-Type`.
    pub place: String,
    pub text: String,
}

impl Cause {
    fn new(code: &'static str, place: &str, text: impl Into<String>) -> Self {
        Self { code, place: place.to_owned(), text: text.into() }
    }
}
