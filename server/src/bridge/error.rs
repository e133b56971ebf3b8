//! Why a token was not countersigned.

use crate::jose::refusal::Refusal;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BridgeError {
    #[error("the token is refused: {0}")]
    Refused(#[from] Refusal),
    /// A configured name that no longer exists in the configuration. An unknown `iss` of a token is
    /// a refusal.
    #[error("the token's issuer is not configured here")]
    IssuerUnknown,
    #[error("the issuer's keys could not be read")]
    KeysUnavailable,
    /// The status with which the introspection endpoint refused this program itself.
    #[error(
        "the introspection endpoint refused this proxy (status {0}); \
         check `client_id` and `client_secret`"
    )]
    IntrospectionRefused(u16),
    #[error("the signing queue is full; try again later")]
    Overloaded,
    /// The crypto threads have stopped.
    #[error("an internal error")]
    Stopped,
}

impl BridgeError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::IssuerUnknown => "issuer_unknown",
            Self::KeysUnavailable => "issuer_keys_unavailable",
            Self::IntrospectionRefused(_) => "introspection_refused",
            Self::Overloaded => "overloaded",
            Self::Stopped => "internal",
        }
    }
}
