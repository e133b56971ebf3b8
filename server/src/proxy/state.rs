//! State shared by all requests. Routes are replaced atomically.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use super::counters::{Counters, ProxyStatus};
use super::health::{UpstreamHealth, UpstreamStatus};
use super::http::headers::Via;
use super::http::memory::BodyMemory;
use super::http::upstream::Upstream;
use super::routes::Routes;
use super::routes::discovery_cache::DiscoveryCache;
use super::routes::opaque::OpaqueExchange;
use super::settings::ServerSettings;
use crate::answer::Failure;
use crate::bridge::{Bridge, BridgeError, Bridged};
use crate::clock::Clock;
use crate::issuer::Publisher;
use crate::otel::Spans;
use crate::pipeline::Ask;

pub struct State {
    pub server: ServerSettings,
    pub routes: ArcSwap<Routes>,
    pub bridge: Arc<Bridge>,
    pub publisher: Arc<Publisher>,
    pub upstream: Option<Upstream>,
    pub discovery: DiscoveryCache,
    /// The exchange of opaque tokens and sessions, where configured.
    pub opaque: Option<OpaqueExchange>,
    pub clock: Clock,
    pub counters: Counters,
    pub spans: Spans,
    /// One permit for each client connection.
    pub connections: Arc<Semaphore>,
    /// The memory budget for bodies that are read whole.
    pub bodies: Arc<BodyMemory>,
    /// One permit for each request at the upstream.
    pub upstream_requests: Arc<Semaphore>,
    pub via: Via,
    pub health: UpstreamHealth,
}

impl State {
    /// # Errors
    /// [`Failure::NoUpstream`] where none is configured.
    pub fn upstream(&self) -> Result<&Upstream, Failure> {
        self.upstream.as_ref().ok_or(Failure::NoUpstream)
    }

    /// Countersigns a token that a proxied message holds, and counts the outcome.
    pub(super) async fn countersign(
        &self,
        token: &str,
        ask: &Ask<'_>,
    ) -> Result<Bridged, BridgeError> {
        let result = self.bridge.countersign(token, ask).await;
        self.counters.place(result.as_ref().map_or_else(BridgeError::code, Bridged::outcome));
        result
    }

    /// `None` where there is no upstream.
    pub fn upstream_status(&self) -> Option<UpstreamStatus> {
        let address = self.upstream.as_ref()?.url.origin().ascii_serialization();
        Some(self.health.status(address, self.clock.now()))
    }

    pub fn open_connections(&self) -> usize {
        let limit = self.server.limits.connections.min(Semaphore::MAX_PERMITS);
        limit - self.connections.available_permits()
    }

    pub fn status(&self) -> ProxyStatus {
        self.counters.status(self.open_connections(), self.bodies.held())
    }
}
