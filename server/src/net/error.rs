//! Why our own request returned no usable answer. Every case has a stable code.

use std::error::Error;
use std::time::Duration;

use super::address::AddressRefused;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("the server answered {status}")]
    Status { status: u16, retry_after: Option<Duration> },
    #[error("no complete answer within {limit:?}")]
    Timeout { limit: Duration },
    #[error("no connection: {why}")]
    Connect { why: String },
    /// The resolver's own text is a page long.
    #[error("the name was not resolved")]
    Dns { why: String },
    #[error("TLS: {why}")]
    Tls { why: String },
    #[error(transparent)]
    Address(#[from] AddressRefused),
    #[error("the document is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("more than {limit} redirects")]
    Redirects { limit: u8 },
    #[error("a redirect to another origin, {to}")]
    RedirectCrossOrigin { to: String },
    #[error("a redirect without a usable `Location`")]
    RedirectLocation,
    #[error("the body cannot be read, and its content coding `{0}` is unknown")]
    Encoding(String),
    #[error("the body does not decode as its content coding says")]
    Corrupt,
    #[error("the body is empty")]
    Empty,
    #[error("the answer broke off: {why}")]
    Broken { why: String },
    #[error("the request cannot be made: {why}")]
    Request { why: String },
}

impl FetchError {
    /// A stable name: metric label, status field.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Timeout { .. } => "timeout",
            Self::Connect { .. } => "connect",
            Self::Dns { .. } => "dns",
            Self::Tls { .. } => "tls",
            Self::Address(refused) => refused.code(),
            Self::TooLarge { .. } => "too_large",
            Self::Redirects { .. } => "redirects",
            Self::RedirectCrossOrigin { .. } => "redirect_cross_origin",
            Self::RedirectLocation => "redirect_location",
            Self::Encoding(_) | Self::Corrupt => "encoding",
            Self::Empty => "empty",
            Self::Broken { .. } => "broken",
            Self::Request { .. } => "request",
        }
    }

    /// The status code, if that was the error.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the server was not reached at all: another path would fail too.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Timeout { .. }
                | Self::Connect { .. }
                | Self::Dns { .. }
                | Self::Tls { .. }
                | Self::Address(_)
                | Self::Request { .. }
        )
    }

    /// Maps reqwest's error to one of our codes; `limit` is the limit that a timeout exceeded. The
    /// causes are types of other crates, so only this code searches the chain.
    pub(super) fn of(error: &reqwest::Error, limit: Duration) -> Self {
        let why = chain(error);
        if let Some(refused) = find::<AddressRefused>(error) {
            return Self::Address(*refused);
        }
        if error.is_timeout() {
            return Self::Timeout { limit };
        }
        if error.is_connect() {
            let tls = find::<rustls::Error>(error).is_some();
            let dns = why.contains("dns error");
            return match (tls, dns) {
                (true, _) => Self::Tls { why },
                (_, true) => Self::Dns { why },
                _ => Self::Connect { why },
            };
        }
        if error.is_builder() {
            return Self::Request { why };
        }
        Self::Broken { why }
    }
}

fn find<E: Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    let itself: &(dyn Error + 'static) = error;
    std::iter::once(itself).chain(causes(error)).find_map(|cause| {
        // `io::Error` hides its cause from `source`.
        let hidden = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause.downcast_ref().or_else(|| hidden.and_then(|hidden| hidden.downcast_ref()))
    })
}

/// The causes in one line, without the address: it may contain a password.
fn chain(error: &reqwest::Error) -> String {
    let mut parts: Vec<_> = causes(error).map(ToString::to_string).collect();
    // They say only that it was a connection, which the caller says too.
    parts.retain(|part| !["client error (Connect)", "tcp connect error"].contains(&part.as_str()));
    if parts.is_empty() { "the request failed".to_owned() } else { parts.join(": ") }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}
