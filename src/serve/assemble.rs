//! Builds everything that serves from a configuration.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

use super::discovery::{self, Discovery};
use crate::admin::StatusSource;
use crate::bridge::{Bridge, BridgeDeps};
use crate::clock::Clock;
use crate::config::Config;
use crate::dns::Resolver;
use crate::issuer::discovery::DiscoveryState;
use crate::issuer::{IssuerDeps, IssuerError, Issuers, Publisher};
use crate::jose::jwks;
use crate::keyring::{Keyring, KeyringError};
use crate::otel::Spans;
use crate::proxy::counters::Counters;
use crate::proxy::health::UpstreamHealth;
use crate::proxy::http::headers::Via;
use crate::proxy::http::memory::BodyMemory;
use crate::proxy::http::upstream::{Upstream, UpstreamError};
use crate::proxy::routes::discovery_cache;
use crate::proxy::routes::opaque::OpaqueExchange;
use crate::proxy::state::State;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("signing keys: {0}")]
    Keyring(#[from] KeyringError),
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error("upstream: {0}")]
    Upstream(#[from] UpstreamError),
    #[error("data directory {path}: {why}")]
    DataDir { path: String, why: std::io::Error },
    #[error("cannot read the system's resolver configuration: {0}")]
    Resolver(std::io::Error),
    #[error("exchange: {0}")]
    OpaqueExchange(String),
    #[error("otel: {0}")]
    Otel(String),
    #[error("cannot start threads: {0}")]
    Threads(std::io::Error),
}

/// Everything that lives as long as the server.
pub struct App {
    pub state: Arc<State>,
    pub issuers: Arc<Issuers>,
    pub publisher: Arc<Publisher>,
    pub keyring: Arc<Keyring>,
    pub bridge: Arc<Bridge>,
    pub clock: Clock,
    pub(super) discovery: Option<Arc<Discovery>>,
    /// The configuration of the start or of the last reload.
    pub(super) config: ArcSwap<Config>,
}

impl App {
    /// Builds the application; reads the disk, not the network.
    pub(super) async fn assemble(config: Config, clock: Clock) -> Result<Arc<Self>, StartError> {
        let resolver = Resolver::system().map_err(StartError::Resolver)?;
        let keyring = Keyring::open(config.keyring.clone(), clock.clone()).await?;
        let spans = Spans::start(config.otel.as_ref(), &resolver).map_err(StartError::Otel)?;
        let deps = IssuerDeps {
            clock: clock.clone(),
            resolver: resolver.clone(),
            data_dir: config.keyring.store.has_disk().then(|| config.data_dir.clone()),
            options: jwks::Options::default(),
        };
        let upstream = config.upstream.as_ref();
        let upstream =
            upstream.map(|settings| Upstream::new(settings, resolver.clone())).transpose()?;
        let discovery = Discovery::of(&config);
        let known = discovery.as_ref().and_then(|discovery| discovery.remembered());
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
        let bridge = Arc::new(bridge.map_err(StartError::Threads)?);
        let ca = config.upstream.as_ref().and_then(|upstream| upstream.tls.ca.as_deref());
        let opaque = OpaqueExchange::of(&config.server.exchange, ca, &resolver, &bridge, &clock);
        let opaque = opaque.map_err(StartError::OpaqueExchange)?;
        let limits = &config.server.limits;
        let permits = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        let state = Arc::new(State {
            upstream_requests: permits(limits.upstream_connections),
            connections: permits(limits.connections),
            bodies: BodyMemory::new(limits.body_memory),
            server: config.server.clone(),
            routes: ArcSwap::from_pointee(config.routes(tokens)),
            bridge: bridge.clone(),
            publisher: publisher.clone(),
            upstream,
            discovery: discovery_cache::new(),
            opaque,
            clock: clock.clone(),
            counters: Counters::default(),
            spans,
            via: Via::default(),
            health: UpstreamHealth::default(),
        });
        let app = Arc::new(Self {
            state,
            issuers,
            publisher,
            keyring,
            bridge,
            clock,
            discovery,
            config: ArcSwap::from_pointee(config),
        });
        if let Some(belief) = known.map(|known| known.learnt.belief) {
            let (state, text) =
                (DiscoveryState::Learnt, "the document of an earlier run".to_owned());
            app.issuers.set_discovery(discovery::status(&app, state, Some(belief), None, text));
        }
        Ok(app)
    }

    /// What the admin listener shows.
    pub(super) fn source(self: &Arc<Self>) -> StatusSource {
        let config = self.config.load();
        StatusSource {
            issuers: self.issuers.clone(),
            publisher: self.publisher.clone(),
            keyring: self.keyring.clone(),
            bridge: self.bridge.clone(),
            proxy: self.state.clone(),
            clock: self.clock.clone(),
            settings: config.admin.clone(),
        }
    }

    /// Starts the tasks that run beside the requests.
    pub(super) fn spawn(self: &Arc<Self>, runtime: &Runtime, stop: &watch::Receiver<bool>) {
        let (issuers, shutdown) = (self.issuers.clone(), stop.clone());
        runtime.spawn(async move { issuers.run(shutdown).await });
        let (keyring, shutdown) = (self.keyring.clone(), stop.clone());
        runtime.spawn(async move { keyring.run(shutdown).await });
        let (publisher, shutdown) = (self.publisher.clone(), stop.clone());
        runtime.spawn(async move { publisher.run(shutdown).await });
        let (app, shutdown) = (self.clone(), stop.clone());
        runtime.spawn(async move { super::probe::run(&app, shutdown).await });
        if let Some(discovery) = &self.discovery {
            let (discovery, app, shutdown) = (discovery.clone(), self.clone(), stop.clone());
            runtime.spawn(async move { discovery.run(&app, shutdown).await });
        }
    }
}
