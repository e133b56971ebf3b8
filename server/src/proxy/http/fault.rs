//! What a pingora error means to the client, and what the log shows of it.

use std::fmt;

use pingora::{Error, ErrorSource, ErrorType};

use crate::answer::Failure;

/// An error for the log: its source, its type, and the system's message. pingora's context is left
/// out: for a head that it cannot parse it quotes the bytes, which may hold tokens.
pub struct Redacted<'a>(pub &'a Error);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(error) = self;
        let source = match error.esource() {
            ErrorSource::Upstream => "upstream: ",
            ErrorSource::Downstream => "client: ",
            ErrorSource::Internal | ErrorSource::Unset => "",
        };
        write!(f, "{source}{}", error.etype().as_str())?;
        match error.cause.as_ref().and_then(|cause| cause.downcast_ref::<std::io::Error>()) {
            Some(system) => write!(f, ": {system}"),
            None => Ok(()),
        }
    }
}

/// The answer to the client for an error.
pub fn failure(error: &Error) -> Failure {
    use ErrorType as T;
    let timed_out = matches!(
        error.etype(),
        T::ConnectTimedout | T::TLSHandshakeTimedout | T::ReadTimedout | T::WriteTimedout
    );
    match (error.esource(), error.etype()) {
        (ErrorSource::Downstream, _) if timed_out => Failure::Slow,
        (ErrorSource::Downstream, _) => Failure::BadRequest,
        _ if timed_out => Failure::UpstreamTimeout,
        (
            _,
            T::ConnectRefused
            | T::ConnectNoRoute
            | T::ConnectError
            | T::ConnectProxyFailure
            | T::BindError
            | T::SocketError
            | T::TLSHandshakeFailure
            | T::TLSWantX509Lookup
            | T::InvalidCert
            | T::HandshakeError,
        ) => Failure::UpstreamUnreachable,
        (ErrorSource::Upstream, _) => Failure::UpstreamInvalid,
        (ErrorSource::Internal | ErrorSource::Unset, _) => Failure::Internal,
    }
}

/// Whether the client closed the connection or stopped reading. Then nobody can read an answer, and
/// the upstream did not fail.
pub fn is_client_gone(error: &Error) -> bool {
    use ErrorType as T;
    let ended = matches!(
        error.etype(),
        T::WriteError | T::WriteTimedout | T::ReadError | T::ConnectionClosed | T::H2Error
    );
    *error.esource() == ErrorSource::Downstream && ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_the_message_are_not_shown() {
        let bytes = "buf: HTTP/1.1 200 OK\r\nSet-Cookie: session=secret\r\n";
        let system = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let error = Error::because(ErrorType::InvalidHTTPHeader, bytes, system).into_up();
        let shown = Redacted(&error).to_string();
        assert_eq!(shown, "upstream: InvalidHTTPHeader: connection reset");
        assert!(error.to_string().contains("secret"), "there is something to leave out");
    }

    #[test]
    fn the_source_of_an_error_counts_before_its_type() {
        for (error, code) in [
            (Error::new_down(ErrorType::ReadTimedout), Failure::Slow),
            (Error::new_down(ErrorType::ConnectError), Failure::BadRequest),
            (Error::new_up(ErrorType::WriteTimedout), Failure::UpstreamTimeout),
            (Error::new_up(ErrorType::ConnectRefused), Failure::UpstreamUnreachable),
            (Error::new(ErrorType::TLSHandshakeFailure), Failure::UpstreamUnreachable),
            (Error::new_up(ErrorType::InvalidHTTPHeader), Failure::UpstreamInvalid),
            (Error::new(ErrorType::InvalidHTTPHeader), Failure::Internal),
        ] {
            assert_eq!(failure(&error).code(), code.code(), "{error}");
        }
    }

    #[test]
    fn a_client_that_is_gone_is_not_a_failure() {
        let reset = ErrorType::H2Error;
        assert!(is_client_gone(&Error::new_down(reset.clone())));
        assert!(!is_client_gone(&Error::new_up(reset)));
        // Half a head may have been written already, so no second one may follow.
        assert!(is_client_gone(&Error::new_down(ErrorType::WriteTimedout)));
        assert!(!is_client_gone(&Error::new_down(ErrorType::ReadTimedout)));
    }
}
