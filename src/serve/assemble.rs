//! Builds everything that serves from a configuration.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

use super::RunError;
use super::discovery::{self, Discovery};
use crate::admin::StatusSource;
use crate::bridge::{Bridge, BridgeDeps};
use crate::clock::Clock;
use crate::config::Config;
use crate::dns::Resolver;
use crate::issuer::discovery::DiscoveryState;
use crate::issuer::{IssuerDeps, Issuers, Publisher};
use crate::jose::jwks;
use crate::keyring::Keyring;
use crate::otel::Spans;
use crate::proxy::counters::Counters;
use crate::proxy::health::UpstreamHealth;
use crate::proxy::http::headers::Via;
use crate::proxy::http::memory::BodyMemory;
use crate::proxy::http::upstream::Upstream;
use crate::proxy::routes::discovery_cache;
use crate::proxy::routes::opaque::OpaqueExchange;
use crate::proxy::state::State;

/// Everything that lives as long as the server.
pub struct App {
    pub state: Arc<State>,
    pub issuers: Arc<Issuers>,
    pub keyring: Arc<Keyring>,
    pub(super) discovery: Option<Arc<Discovery>>,
    /// The configuration of the start or of the last reload.
    pub(super) config: ArcSwap<Config>,
}

impl App {
    /// Builds the application; reads the disk, not the network.
    pub(super) async fn assemble(config: Config, clock: Clock) -> Result<Arc<Self>, RunError> {
        let resolver = Resolver::system().map_err(RunError::Resolver)?;
        let keyring = Keyring::open(config.keyring.clone(), clock.clone()).await?;
        let spans = Spans::start(&config.otel, &resolver).map_err(RunError::Otel)?;
        let deps = IssuerDeps {
            clock: clock.clone(),
            resolver: resolver.clone(),
            data_dir: config.keyring.store.has_disk().then(|| config.data_dir.clone()),
            options: jwks::Options::default(),
        };
        let upstream = config.upstream.as_ref();
        let upstream = upstream.map(|settings| Upstream::new(settings, resolver.clone()));
        let upstream = upstream.transpose()?;
        let discovery = Discovery::of(&config);
        let known = discovery.as_ref().and_then(|discovery| discovery.stored());
        let (settings, tokens) = match &known {
            Some(known) => (vec![known.learnt.issuer.clone()], known.tokens.clone()),
            None => (config.issuers.clone(), config.tokens.clone()),
        };
        let issuers = Issuers::new(settings, deps)?;
        let publisher = Publisher::new(
            issuers.clone(),
            keyring.clone(),
            config.profile.clone(),
            std::time::Duration::from_secs(config.server.max_age.into()),
            clock.clone(),
        );
        let bridge = Bridge::new(BridgeDeps {
            issuers: issuers.clone(),
            publisher: publisher.clone(),
            keyring: keyring.clone(),
            profile: config.profile.clone(),
            clock: clock.clone(),
            settings: config.bridge.clone(),
        });
        let bridge = Arc::new(bridge.map_err(RunError::Threads)?);
        let ca = config.upstream.as_ref().and_then(|upstream| upstream.tls.ca.as_deref());
        let opaque = OpaqueExchange::of(&config.server.exchange, ca, &resolver, &bridge, &clock);
        let opaque = opaque.map_err(RunError::OpaqueExchange)?;
        let limits = &config.server.limits;
        let permits = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        let state = Arc::new(State {
            upstream_requests: permits(limits.upstream_connections),
            connections: permits(limits.connections),
            bodies: BodyMemory::new(limits.body_memory),
            server: config.server.clone(),
            routes: ArcSwap::from_pointee(config.routes(tokens)),
            bridge,
            publisher,
            upstream,
            discovery: discovery_cache::new(),
            opaque,
            clock,
            counters: Counters::default(),
            spans,
            via: Via::default(),
            health: UpstreamHealth::default(),
        });
        let app = Arc::new(Self {
            state,
            issuers,
            keyring,
            discovery,
            config: ArcSwap::from_pointee(config),
        });
        if let Some(belief) = known.map(|known| known.learnt.belief) {
            let text = "the document of an earlier run".to_owned();
            let state = DiscoveryState::Learnt;
            app.issuers.set_discovery(discovery::status(&app, state, Some(belief), None, text));
        }
        Ok(app)
    }

    /// What the admin listener shows.
    pub(super) fn source(self: &Arc<Self>) -> StatusSource {
        StatusSource {
            issuers: self.issuers.clone(),
            keyring: self.keyring.clone(),
            proxy: self.state.clone(),
            settings: self.config.load().admin.clone(),
        }
    }

    /// Starts the tasks that run beside the requests.
    pub(super) fn spawn(self: &Arc<Self>, runtime: &Runtime, stop: &watch::Receiver<bool>) {
        let (issuers, shutdown) = (self.issuers.clone(), stop.clone());
        runtime.spawn(async move { issuers.run(shutdown).await });
        let (keyring, shutdown) = (self.keyring.clone(), stop.clone());
        runtime.spawn(async move { keyring.run(shutdown).await });
        let (publisher, shutdown) = (self.state.publisher.clone(), stop.clone());
        runtime.spawn(async move { publisher.run(shutdown).await });
        let (app, shutdown) = (self.clone(), stop.clone());
        runtime.spawn(async move { super::probe::run(&app, shutdown).await });
        if let Some(discovery) = &self.discovery {
            let (discovery, app, shutdown) = (discovery.clone(), self.clone(), stop.clone());
            runtime.spawn(async move { discovery.run(&app, shutdown).await });
        }
    }
}
