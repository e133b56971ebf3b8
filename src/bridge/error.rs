//! Why a token was not countersigned.

use crate::jose::refusal::Refusal;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BridgeError {
    #[error("the token is refused: {0}")]
    Refused(#[from] Refusal),
    /// A name of the configuration that no longer stands in it; a token's `iss` is a refusal.
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
    #[error("too much work is waiting")]
    Overloaded,
    /// The crypto threads are gone.
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
