//! The one place that turns an error into HTTP: status, code, JSON body.
//!
//! The body has the shape of RFC 6749 §5.2, `{"error", "error_description", "code"}`, in every
//! error answer of this program. `code` is the stable name for scripts and metrics. The body never
//! contains text of a token.

use bytes::Bytes;
use serde_json::json;

use crate::bridge::BridgeError;
use crate::issuer::NoSet;
use crate::jose::refusal::Refusal;

/// Why this program answers a request with an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    NoKeySet(NoSet),
    #[error("no upstream is configured for this path")]
    NoUpstream,
    #[error("the upstream could not be reached")]
    UpstreamUnreachable,
    #[error("the upstream did not answer in time")]
    UpstreamTimeout,
    #[error("the upstream's answer is not valid HTTP")]
    UpstreamInvalid,
    #[error("the upstream does not speak HTTP/2, which gRPC needs")]
    UpstreamHttp2,
    #[error("the method is not allowed here; send {allow}")]
    MethodNotAllowed { allow: &'static str },
    #[error("the request header is larger than {limit} bytes")]
    HeaderTooLarge { limit: usize },
    #[error("the request body is larger than {limit} bytes")]
    BodyTooLarge { limit: usize },
    #[error("the length of the request's body is ambiguous (RFC 9112 §6.3)")]
    Framing,
    #[error("the `Host` field must be one host with an optional port (RFC 9110 §7.2)")]
    InvalidHost,
    #[error("the request target is not valid (RFC 9112 §3.2)")]
    InvalidTarget,
    #[error("the request came back to this proxy: the upstream leads to the proxy itself")]
    Loop,
    #[error("the request is not valid HTTP")]
    BadRequest,
    #[error("the request did not arrive in time")]
    Slow,
    #[error("too many requests are waiting; try again later")]
    Overloaded,
    #[error("the memory for bodies is full; try again later")]
    BodyMemory,
    #[error("an internal error")]
    Internal,
    #[error(transparent)]
    Exchange(#[from] ExchangeFailure),
}

/// Why the token exchange refuses (RFC 8693 §2.2.2, RFC 6749 §5.2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeFailure {
    #[error("the content type must be application/x-www-form-urlencoded")]
    MediaType,
    #[error("the body is not a valid form")]
    Form,
    #[error("the parameter `{0}` is missing")]
    Missing(&'static str),
    #[error("the parameter `{0}` occurs more than once")]
    Repeated(&'static str),
    #[error("the grant type must be urn:ietf:params:oauth:grant-type:token-exchange")]
    GrantType,
    #[error("the subject token type is not one of jwt, id_token, access_token")]
    SubjectTokenType,
    #[error("the requested token type is not issued here")]
    RequestedTokenType,
    #[error("actor tokens are not supported")]
    ActorToken,
    #[error("the audience is not a valid name")]
    Audience,
    #[error("the subject token is an access token (`typ: at+jwt`), not an ID token")]
    TokenKind,
    #[error(transparent)]
    Bridge(#[from] BridgeError),
}

impl ExchangeFailure {
    /// Whether the requested audience is the reason, so that another one may work.
    pub fn is_target(&self) -> bool {
        self.oauth().0 == "invalid_target"
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MediaType => "media_type",
            Self::Form => "form",
            Self::Missing(_) => "parameter_missing",
            Self::Repeated(_) => "parameter_repeated",
            Self::GrantType => "grant_type",
            Self::SubjectTokenType => "subject_token_type",
            Self::RequestedTokenType => "requested_token_type",
            Self::ActorToken => "actor_token",
            Self::Audience => "audience",
            Self::TokenKind => "token_type",
            Self::Bridge(error) => error.code(),
        }
    }

    /// The `error` of RFC 6749 §5.2 and the HTTP status.
    fn oauth(&self) -> (&'static str, u16) {
        match self {
            Self::MediaType => ("invalid_request", 415),
            Self::Form
            | Self::Missing(_)
            | Self::Repeated(_)
            | Self::SubjectTokenType
            | Self::RequestedTokenType
            | Self::TokenKind
            | Self::ActorToken => ("invalid_request", 400),
            Self::GrantType => ("unsupported_grant_type", 400),
            Self::Audience => ("invalid_target", 400),
            Self::Bridge(BridgeError::Refused(refusal)) => match refusal.exchange_error() {
                error @ "server_error" => (error, 500),
                error => (error, 400),
            },
            Self::Bridge(BridgeError::IssuerUnknown) => ("invalid_request", 400),
            Self::Bridge(BridgeError::Stopped) => ("server_error", 500),
            Self::Bridge(
                BridgeError::KeysUnavailable
                | BridgeError::IntrospectionRefused(_)
                | BridgeError::Overloaded,
            ) => ("temporarily_unavailable", 503),
        }
    }
}

impl Failure {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKeySet(_) => "no_key_set",
            Self::NoUpstream => "no_upstream",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamInvalid => "upstream_invalid",
            Self::UpstreamHttp2 => "upstream_http2",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::HeaderTooLarge { .. } => "header_too_large",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::Framing => "framing",
            Self::InvalidHost => "invalid_host",
            Self::InvalidTarget => "invalid_request_target",
            Self::Loop => "loop_detected",
            Self::BadRequest => "bad_request",
            Self::Slow => "request_timeout",
            Self::Overloaded => "overloaded",
            Self::BodyMemory => "body_memory",
            Self::Internal => "internal",
            Self::Exchange(e) => e.code(),
        }
    }

    fn oauth(&self) -> (&'static str, u16) {
        match self {
            Self::NoKeySet(_) | Self::UpstreamUnreachable | Self::UpstreamInvalid => {
                ("temporarily_unavailable", 502)
            }
            Self::UpstreamHttp2 => ("server_error", 502),
            Self::UpstreamTimeout => ("temporarily_unavailable", 504),
            Self::NoUpstream => ("not_found", 404),
            Self::MethodNotAllowed { .. } => ("invalid_request", 405),
            Self::HeaderTooLarge { .. } => ("invalid_request", 431),
            Self::BodyTooLarge { .. } => ("invalid_request", 413),
            Self::Framing | Self::InvalidHost | Self::InvalidTarget | Self::BadRequest => {
                ("invalid_request", 400)
            }
            Self::Loop => ("server_error", 508),
            Self::Slow => ("invalid_request", 408),
            Self::Overloaded | Self::BodyMemory => ("temporarily_unavailable", 503),
            Self::Internal => ("server_error", 500),
            Self::Exchange(e) => e.oauth(),
        }
    }
}

/// An answer ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub code: &'static str,
    /// Seconds, if a later retry helps.
    pub retry_after: Option<u32>,
    pub allow: Option<&'static str>,
    pub body: Bytes,
}

/// Seconds that a client should wait when the queue is full or the issuer is unreachable.
const RETRY_AFTER: u32 = 1;

/// The HTTP answer for `failure`.
pub fn http(failure: &Failure) -> Answer {
    let (error, status) = failure.oauth();
    let code = failure.code();
    let damaged = Failure::Exchange(ExchangeFailure::Bridge(BridgeError::Refused(Refusal::Base64)));
    let next =
        if *failure == damaged { "; are there quotes, or `Bearer`, in front of it?" } else { "" };
    let body = json!({
        "error": error,
        "error_description": described(&format!("{code}: {failure}{next}")),
        "code": code,
    });
    let mut text = body.to_string();
    text.push('\n');
    Answer {
        status,
        code,
        retry_after: (status == 503).then_some(RETRY_AFTER),
        allow: match failure {
            Failure::MethodNotAllowed { allow } => Some(*allow),
            _ => None,
        },
        body: Bytes::from(text),
    }
}

/// RFC 6749 §5.2: a description contains only `%x20-21 / %x23-5B / %x5D-7E`.
fn described(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '§' => out.push_str("section "),
            '"' => out.push('\''),
            ' '..='~' if c != '\\' => out.push(c),
            _ => out.push('?'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(answer: &Answer) -> serde_json::Value {
        serde_json::from_slice(&answer.body).unwrap()
    }

    #[test]
    fn a_refused_token_is_an_invalid_request_that_names_the_check() {
        let refusal = Refusal::Format;
        let answer = http(&Failure::Exchange(BridgeError::Refused(refusal.clone()).into()));
        assert_eq!((answer.status, answer.code), (400, refusal.code()));
        let body = body(&answer);
        assert_eq!(body["error"], "invalid_request");
        assert_eq!(body["code"], refusal.code());
        let text = body["error_description"].as_str().unwrap();
        assert!(text.starts_with(refusal.code()), "{text}");
        // RFC 6749 §5.2 allows %x20-21 / %x23-5B / %x5D-7E only.
        let allowed = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
        assert!(text.chars().all(allowed), "{text}");
    }

    #[test]
    fn overload_says_when_to_come_back() {
        let answer = http(&Failure::Exchange(BridgeError::Overloaded.into()));
        assert_eq!((answer.status, answer.retry_after), (503, Some(1)));
        assert_eq!(body(&answer)["error"], "temporarily_unavailable");
    }

    #[test]
    fn a_refused_method_lists_the_allowed() {
        let answer = http(&Failure::MethodNotAllowed { allow: "GET, HEAD, OPTIONS" });
        assert_eq!((answer.status, answer.allow), (405, Some("GET, HEAD, OPTIONS")));
        let text = body(&answer)["error_description"].to_string();
        assert!(text.contains("send GET, HEAD, OPTIONS"), "{text}");
        let quoted = Failure::Exchange(BridgeError::Refused(Refusal::Base64).into());
        let text = body(&http(&quoted))["error_description"].to_string();
        assert!(text.contains("quotes, or `Bearer`, in front"), "{text}");
    }
}
