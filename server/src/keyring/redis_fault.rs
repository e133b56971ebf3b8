//! What an error of Redis means for whoever runs it. Its text names the host at most, never the password.

use std::io;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::store::StoreError;

const ADDRESS: &str = "write `store = \"redis://HOST:6379/0\"`, with a password \
    `redis://:PASSWORD@HOST:6379/0` or `redis://USER:PASSWORD@HOST:6379/0`, with TLS `rediss://`";
const REFUSED: &str =
    "does it run there, is the port right? `redis-cli -h HOST -p PORT ping` asks it";
const NAME: &str = "is the host in `[signing] store` (--store, COUNTERSIGN_STORE) spelled right?";
const PASSWORD: &str = "in `[signing] store` (--store, COUNTERSIGN_STORE) write \
    `redis://:PASSWORD@HOST:PORT/0`, or `redis://USER:PASSWORD@HOST:PORT/0` if Redis has users; in both \
    write `@` as `%40`, `/` as `%2F`, `:` as `%3A`, `%` as `%25`";
const NO_TLS: &str =
    "does Redis speak TLS at this port? A port without TLS is `redis://` with one `s`";
const TLS: &str = "a port with TLS is `rediss://` with two `s`; and `protected-mode` of Redis lets in \
    nobody from another machine without a password";
const CERTIFICATE: &str = "this machine must trust the CA of that certificate (SSL_CERT_FILE names a \
    file of CAs), and the host of the address must be one of its names";
const SILENT: &str = "does a firewall or a network policy drop the connection? `redis-cli -h HOST -p PORT \
    ping` from this machine answers PONG";
const DATABASE: &str = "the number at the end of the address is the database, 0 to 15 unless Redis is \
    configured otherwise: `redis://HOST:PORT/0`";
const REPLICA: &str = "name the primary in `[signing] store` (--store, COUNTERSIGN_STORE)";
const RIGHTS: &str = "its ACL must let this user run scripts (`+@scripting`, `+@hash`, `+time`, `+expire`) \
    and listen (`+@pubsub`) on `RING:*`; the ring is `countersign` unless `?ring=` says otherwise";
const CLUSTER: &str = "name a Redis that is no cluster: the ring is one value, on one server";
const OTHER: &str = "the log of Redis says more; nothing was changed";

/// The configured address is invalid.
pub(super) fn invalid_address(place: &str, why: impl std::fmt::Display) -> StoreError {
    let why = format!("is no address of a Redis: {why}");
    StoreError::Away { at: place.to_owned(), why, hint: ADDRESS }
}

pub(super) fn remote_error(place: &str, error: &RedisError) -> StoreError {
    let (why, hint) = why_and_hint(error, place.starts_with("rediss:"));
    StoreError::Away { at: place.to_owned(), why, hint }
}

fn why_and_hint(error: &RedisError, tls: bool) -> (String, &'static str) {
    let detail = error.to_string();
    match (error.kind(), error.code()) {
        (_, Some("NOAUTH")) => {
            ("asks for a password, and the address has none".to_owned(), PASSWORD)
        }
        (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS")) => {
            ("refuses the password of the address".to_owned(), PASSWORD)
        }
        (ErrorKind::InvalidClientConfig, _) => {
            (format!("is no address of a Redis: {detail}"), ADDRESS)
        }
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) => {
            (format!("refuses a command: {detail}"), RIGHTS)
        }
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => {
            ("is a replica, which does not accept writes".to_owned(), REPLICA)
        }
        (ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask), _) => {
            ("is part of a cluster".to_owned(), CLUSTER)
        }
        (ErrorKind::Server(_), _) if detail.contains("switch database") => {
            (format!("refuses the database: {detail}"), DATABASE)
        }
        (ErrorKind::Parse, _) => ("answers, but not as a Redis does".to_owned(), REFUSED),
        (ErrorKind::Io, _) => connection_fault(error, &detail, tls),
        _ => (format!("answers with an error: {detail}"), OTHER),
    }
}

fn connection_fault(error: &RedisError, detail: &str, tls: bool) -> (String, &'static str) {
    if detail.contains("certificate") {
        return (format!("has a certificate that is not trusted: {detail}"), CERTIFICATE);
    }
    let handshake = format!("the TLS handshake failed: {detail}");
    let (why, hint) = match (error.is_timeout(), tls) {
        _ if error.is_connection_refusal() => ("connection refused", REFUSED),
        _ if detail.contains("failed to lookup address") => ("its host has no address", NAME),
        (true, true) => ("no answer to the TLS handshake", NO_TLS),
        (true, false) => ("no answer", SILENT),
        // A server without TLS may also answer in its own protocol, or close the connection.
        (false, true) => (&*handshake, NO_TLS),
        (false, false) if closed(error) => ("it closed the connection", TLS),
        (false, false) => (detail, OTHER),
    };
    (format!("cannot be reached: {why}"), hint)
}

fn closed(error: &RedisError) -> bool {
    let early = |kind| matches!(kind, io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData);
    let source = std::error::Error::source(error);
    let io = source.and_then(|source| source.downcast_ref::<io::Error>());
    error.is_connection_dropped() || io.is_some_and(|io| early(io.kind()))
}
