//! What is known of one request while pingora's phases go by.

use std::sync::Arc;

use parking_lot::Mutex;
use pingora::protocols::http::ServerSession;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::counters::Kind;
use super::outbound::Changes;
use crate::answer::Failure;
use crate::otel::RequestSpan;
use crate::rewrite::TokenRule;

/// Where the handler leaves a session of HTTP/1 at the end of its request: bytes of the next request
/// that came early are in it, and pingora gives them to nobody else.
pub type ServedSlot = Arc<Mutex<Option<Served>>>;

/// A session whose request was answered.
pub struct Served {
    pub session: Box<ServerSession>,
    /// The answer was written whole.
    pub complete: bool,
}

/// What is known of one request.
pub struct Ctx {
    pub(super) began: Instant,
    pub(super) kind: Kind,
    pub(super) changes: Changes,
    /// The rule whose header fields hold tokens.
    pub(super) rule: Option<Arc<TokenRule>>,
    pub(super) span: RequestSpan,
    /// Why no connection was made.
    pub(super) failure: Option<Failure>,
    /// Why an answer that had begun broke off.
    pub(super) broken: Option<&'static str>,
    pub(super) connects: usize,
    pub(super) interim: usize,
    /// The client asks for a WebSocket.
    pub(super) websocket: bool,
    /// A call of gRPC, which goes on over HTTP/2 with its trailers.
    pub(super) grpc: bool,
    /// An error answer was written whole, or an answer that makes the upload superfluous.
    pub(super) told: bool,
    /// The client sends its body only after `100 Continue`, which has not come (RFC 9110 §10.1.1).
    pub(super) awaits_continue: bool,
    pub(super) slot: Option<ServedSlot>,
    /// Bytes of the request's body that have come.
    pub(super) received: u64,
    /// The right to one request at the upstream.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

impl Ctx {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            kind: Kind::default(),
            changes: Changes::default(),
            rule: None,
            span: RequestSpan::default(),
            failure: None,
            broken: None,
            connects: 0,
            interim: 0,
            websocket: false,
            grpc: false,
            told: false,
            awaits_continue: false,
            slot: None,
            received: 0,
            permit: None,
        }
    }

    pub(super) fn id(&self) -> &str {
        self.changes.id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or("-")
    }
}
