//! Why a token is not countersigned. Codes are stable; messages name the failed check, never the
//! token's text.

/// A refused token. Ranked, so that of several candidates the most telling one is reported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the token is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the token is not a compact JWS of three parts (RFC 7515 §7.1)")]
    Format,
}

impl Refusal {
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::Format => "format",
        }
    }
}
