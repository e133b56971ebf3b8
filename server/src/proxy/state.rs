//! State shared by all requests. Routes are replaced atomically.

use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::connectors::http::Connector;
use tokio::sync::Semaphore;

use super::counters::{Counters, Kind, ProxyStatus};
use super::health::{UpstreamHealth, UpstreamStatus};
use super::http::connections::Connections;
use super::http::headers::Via;
use super::http::memory::BodyMemory;
use super::http::upstream::Upstream;
use super::routes::Routes;
use super::routes::discovery_cache::DiscoveryCache;
use super::routes::opaque::OpaqueExchange;
use super::settings::ServerSettings;
use crate::bridge::Bridge;
use crate::clock::Clock;
use crate::issuer::Publisher;
use crate::otel::Spans;

pub struct State {
    pub server: ServerSettings,
    pub routes: ArcSwap<Routes>,
    pub bridge: Arc<Bridge>,
    pub publisher: Arc<Publisher>,
    pub upstream: Option<Arc<Upstream>>,
    /// Makes connections to the upstream.
    pub connector: Connector,
    pub discovery: DiscoveryCache,
    /// The exchange of opaque tokens and sessions, where configured.
    pub opaque: Option<OpaqueExchange>,
    pub clock: Clock,
    pub counters: Counters,
    pub spans: Spans,
    pub connections: Arc<Connections>,
    /// The memory budget for bodies that are read whole.
    pub bodies: Arc<BodyMemory>,
    /// One permit for each request at the upstream.
    pub at_upstream: Arc<Semaphore>,
    pub via: Via,
    pub health: UpstreamHealth,
}

impl State {
    /// Counts a finished request. `code` is the code of our own error answer. `for_upstream`: the
    /// request got as far as the upstream's turn.
    pub fn finished(
        &self,
        kind: Kind,
        status: u16,
        code: Option<&'static str>,
        for_upstream: bool,
    ) {
        self.counters.request(kind, status);
        // Requests of other kinds may be answered without the upstream.
        let for_upstream = for_upstream && matches!(kind, Kind::Forward | Kind::Token);
        if for_upstream && (status > 0 || code.is_some()) {
            self.health.note(code, self.clock.now());
        }
    }

    /// `None` where there is no upstream.
    pub fn upstream_status(&self) -> Option<UpstreamStatus> {
        let address = self.upstream.as_ref()?.url().origin().ascii_serialization();
        Some(self.health.status(address, self.clock.now()))
    }

    pub fn status(&self) -> ProxyStatus {
        ProxyStatus {
            connections: self.connections.open(),
            body_memory: self.bodies.held(),
            ..self.counters.status()
        }
    }
}
