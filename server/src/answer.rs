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
        self.parts().1 == "invalid_target"
    }

    /// The stable code, the `error` of RFC 6749 §5.2, and the HTTP status.
    fn parts(&self) -> (&'static str, &'static str, u16) {
        match self {
            Self::MediaType => ("media_type", "invalid_request", 415),
            Self::Form => ("form", "invalid_request", 400),
            Self::Missing(_) => ("parameter_missing", "invalid_request", 400),
            Self::Repeated(_) => ("parameter_repeated", "invalid_request", 400),
            Self::GrantType => ("grant_type", "unsupported_grant_type", 400),
            Self::SubjectTokenType => ("subject_token_type", "invalid_request", 400),
            Self::RequestedTokenType => ("requested_token_type", "invalid_request", 400),
            Self::ActorToken => ("actor_token", "invalid_request", 400),
            Self::Audience => ("audience", "invalid_target", 400),
            Self::TokenKind => ("token_type", "invalid_request", 400),
            Self::Bridge(error) => {
                let (oauth, status) = match error {
                    BridgeError::Refused(refusal) => match refusal.exchange_error() {
                        oauth @ "server_error" => (oauth, 500),
                        oauth => (oauth, 400),
                    },
                    BridgeError::IssuerUnknown => ("invalid_request", 400),
                    BridgeError::Stopped => ("server_error", 500),
                    BridgeError::KeysUnavailable
                    | BridgeError::IntrospectionRefused(_)
                    | BridgeError::Overloaded => ("temporarily_unavailable", 503),
                };
                (error.code(), oauth, status)
            }
        }
    }
}

impl Failure {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.parts().0
    }

    /// The stable code, the `error` of RFC 6749 §5.2, and the HTTP status.
    fn parts(&self) -> (&'static str, &'static str, u16) {
        match self {
            Self::NoKeySet(_) => ("no_key_set", "temporarily_unavailable", 502),
            Self::NoUpstream => ("no_upstream", "not_found", 404),
            Self::UpstreamUnreachable => ("upstream_unreachable", "temporarily_unavailable", 502),
            Self::UpstreamTimeout => ("upstream_timeout", "temporarily_unavailable", 504),
            Self::UpstreamInvalid => ("upstream_invalid", "temporarily_unavailable", 502),
            Self::UpstreamHttp2 => ("upstream_http2", "server_error", 502),
            Self::MethodNotAllowed { .. } => ("method_not_allowed", "invalid_request", 405),
            Self::HeaderTooLarge { .. } => ("header_too_large", "invalid_request", 431),
            Self::BodyTooLarge { .. } => ("body_too_large", "invalid_request", 413),
            Self::Framing => ("framing", "invalid_request", 400),
            Self::InvalidHost => ("invalid_host", "invalid_request", 400),
            Self::InvalidTarget => ("invalid_request_target", "invalid_request", 400),
            Self::Loop => ("loop_detected", "server_error", 508),
            Self::BadRequest => ("bad_request", "invalid_request", 400),
            Self::Slow => ("request_timeout", "invalid_request", 408),
            Self::Overloaded => ("overloaded", "temporarily_unavailable", 503),
            Self::BodyMemory => ("body_memory", "temporarily_unavailable", 503),
            Self::Internal => ("internal", "server_error", 500),
            Self::Exchange(failure) => failure.parts(),
        }
    }
}

/// An error answer ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub code: &'static str,
    pub fields: Vec<(&'static str, String)>,
    pub body: Bytes,
}

/// The HTTP answer for `failure`.
pub fn http(failure: &Failure) -> Answer {
    let (code, error, status) = failure.parts();
    let damaged = Failure::Exchange(BridgeError::Refused(Refusal::Base64).into());
    let hint =
        if *failure == damaged { "; are there quotes, or `Bearer`, in front of it?" } else { "" };
    let body = json!({
        "error": error,
        "error_description": described(&format!("{code}: {failure}{hint}")),
        "code": code,
    });
    let body = Bytes::from(format!("{body}\n"));
    let mut fields = vec![
        ("Content-Type", "application/json".to_owned()),
        ("Content-Length", body.len().to_string()),
        ("Cache-Control", "no-store".to_owned()),
    ];
    if status == 503 {
        // The queue is full or the issuer is unreachable: a retry after a second may help.
        fields.push(("Retry-After", "1".to_owned()));
    }
    if let Failure::MethodNotAllowed { allow } = failure {
        fields.push(("Allow", (*allow).to_owned()));
    }
    Answer { status, code, fields, body }
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

    fn field<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
        answer.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

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
        assert_eq!((answer.status, field(&answer, "Retry-After")), (503, Some("1")));
        assert_eq!(body(&answer)["error"], "temporarily_unavailable");
    }

    #[test]
    fn a_refused_method_lists_the_allowed() {
        let answer = http(&Failure::MethodNotAllowed { allow: "GET, HEAD, OPTIONS" });
        assert_eq!((answer.status, field(&answer, "Allow")), (405, Some("GET, HEAD, OPTIONS")));
        let text = body(&answer)["error_description"].to_string();
        assert!(text.contains("send GET, HEAD, OPTIONS"), "{text}");
        let quoted = Failure::Exchange(BridgeError::Refused(Refusal::Base64).into());
        let text = body(&http(&quoted))["error_description"].to_string();
        assert!(text.contains("quotes, or `Bearer`, in front"), "{text}");
    }
}
