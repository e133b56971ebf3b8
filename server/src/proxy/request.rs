//! The state of one request across pingora's phases.

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

/// Where the handler leaves an HTTP/1 session at the end of its request. The session may hold early
/// bytes of the next request, and pingora does not return them in any other way.
pub type ServedSlot = Arc<Mutex<Option<Served>>>;

/// A session whose request has been answered.
pub struct Served {
    pub session: Box<ServerSession>,
    /// The answer was written completely.
    pub complete: bool,
}

/// The state of one request.
#[derive(Default)]
pub struct Ctx {
    pub(super) began: Began,
    pub(super) kind: Kind,
    pub(super) changes: Changes,
    /// The rule whose header fields hold tokens.
    pub(super) rule: Option<Arc<TokenRule>>,
    pub(super) span: RequestSpan,
    /// Why no connection to the upstream was made.
    pub(super) failure: Option<Failure>,
    /// Why an answer broke off after it had begun.
    pub(super) broken: Option<&'static str>,
    /// Failed connections to the upstream.
    pub(super) connects: usize,
    /// Interim answers of the upstream.
    pub(super) interim: usize,
    /// The client asks to upgrade to a WebSocket.
    pub(super) websocket: bool,
    /// A gRPC call: it is forwarded over HTTP/2, with its trailers.
    pub(super) grpc: bool,
    /// An error answer was written completely, or an answer after which the rest of the upload is
    /// not needed.
    pub(super) complete: bool,
    /// The client sends its body only after `100 Continue` (RFC 9110 §10.1.1), which has not
    /// arrived yet.
    pub(super) awaits_continue: bool,
    pub(super) slot: Option<ServedSlot>,
    /// Bytes of the request's body received so far.
    pub(super) received: u64,
    /// Permission for one request at the upstream.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// When the request arrived.
pub(super) struct Began(pub(super) Instant);

impl Default for Began {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Ctx {
    pub(super) fn id(&self) -> &str {
        self.changes.id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or("-")
    }
}
