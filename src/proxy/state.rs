//! What every request sees. Read-only but for what is swapped whole.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::connectors::http::Connector;

use super::connections::Connections;
use super::counters::{Counters, Kind, ProxyStatus};
use super::discovery_cache::DiscoveryCache;
use super::health::{UpstreamHealth, UpstreamStatus};
use super::jwks::Ready;
use super::routes::Routes;
use super::settings::ServerSettings;
use super::upstream::Upstream;
use super::vouch::Vouching;
use crate::bridge::Bridge;
use crate::clock::Clock;
use crate::issuer::Publisher;
use crate::otel::Spans;
use crate::status::Lasting;

pub struct State {
    pub server: ServerSettings,
    pub routes: ArcSwap<Routes>,
    pub bridge: Arc<Bridge>,
    pub publisher: Arc<Publisher>,
    pub upstream: Option<Arc<Upstream>>,
    /// To the upstream.
    pub connector: Connector,
    pub discovery: DiscoveryCache,
    /// Other ways in at the exchange.
    pub vouching: Option<Vouching>,
    pub clock: Clock,
    pub counters: Counters,
    pub spans: Spans,
    pub connections: Arc<Connections>,
    pub health: UpstreamHealth,
    /// Why the upstream's discovery document is of no use, while it is.
    pub discovery_fault: Lasting,
    ready: ArcSwap<HashMap<String, Arc<Ready>>>,
}

/// The parts of a [`State`].
pub struct Parts {
    pub server: ServerSettings,
    pub routes: Routes,
    pub bridge: Arc<Bridge>,
    pub publisher: Arc<Publisher>,
    pub upstream: Option<Arc<Upstream>>,
    pub vouching: Option<Vouching>,
    pub clock: Clock,
    pub spans: Spans,
}

impl State {
    pub fn new(parts: Parts) -> Self {
        Self {
            connections: Connections::new(parts.server.limits.connections),
            connector: Upstream::connector(128),
            server: parts.server,
            routes: ArcSwap::from_pointee(parts.routes),
            bridge: parts.bridge,
            publisher: parts.publisher,
            upstream: parts.upstream,
            discovery: DiscoveryCache::default(),
            vouching: parts.vouching,
            clock: parts.clock,
            counters: Counters::default(),
            spans: parts.spans,
            health: UpstreamHealth::default(),
            discovery_fault: Lasting::default(),
            ready: ArcSwap::default(),
        }
    }

    /// The set served at `path` (a query does not matter), its answers made ready; `None` where no
    /// set is served there, or none yet.
    pub fn ready(&self, path: &str) -> Option<Arc<Ready>> {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        if !self.publisher.is_jwks_path(path) {
            return None;
        }
        let set = self.publisher.for_path(path).ok()?;
        let known = self.ready.load();
        if let Some(ready) = known.get(path)
            && Arc::ptr_eq(&ready.set, &set)
        {
            return Some(ready.clone());
        }
        // Seldom: the set has changed. Two threads may both do it; one of the equal results stays.
        let ready = Arc::new(Ready::new(set));
        let mut map = HashMap::clone(&known);
        map.insert(path.to_owned(), ready.clone());
        self.ready.store(Arc::new(map));
        Some(ready)
    }

    /// Counts a finished request; `code` is that of our own error answer.
    pub fn finished(&self, kind: Kind, status: u16, code: Option<&'static str>) {
        self.counters.request(kind, status);
        // Others may be answered without the upstream.
        if matches!(kind, Kind::Forward | Kind::Token) && (status > 0 || code.is_some()) {
            self.health.note(code, self.clock.now());
        }
    }

    /// `None`: there is no upstream.
    pub fn upstream_status(&self) -> Option<UpstreamStatus> {
        let address = self.upstream.as_ref()?.url().origin().ascii_serialization();
        Some(self.health.status(address, self.clock.now()))
    }

    pub fn status(&self) -> ProxyStatus {
        ProxyStatus { connections: self.connections.open(), ..self.counters.status() }
    }
}
