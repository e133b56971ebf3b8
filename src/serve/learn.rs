//! With an upstream and no issuer configured, the issuer is learnt from the upstream's discovery
//! document. The last document is kept on disk, so that a restart while the upstream is down serves
//! at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};
use pingora::http::RequestHeader;
use tokio::sync::watch;

use super::assemble::App as Rooms;
use crate::config::{Config, DiscoveredFault, UpstreamSettings, issuer_from_discovery};
use crate::issuer::IssuerSettings;
use crate::keyring::atomic;
use crate::proxy::http::call::{self, Body};
use crate::rewrite::TokenRule;
use crate::rewrite::discovery::{self, Discovered};
use crate::status::Fault;

const PATHS: [&str; 2] =
    ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];
/// The last document, in the data directory.
const FILE: &str = "discovery.json";
/// Bytes of a document.
const LIMIT: usize = 256 * 1024;
/// A document once read is looked at again this often.
const AGAIN: Duration = Duration::from_secs(600);
/// While there is none, tries come this far apart at first, then twice as far each time.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Learner {
    config: Config,
    upstream: UpstreamSettings,
}

/// What a document teaches.
pub(super) struct Known {
    pub(super) issuers: Vec<IssuerSettings>,
    pub(super) tokens: Vec<TokenRule>,
}

enum Look {
    Found(Bytes),
    /// The upstream answers, but has no document.
    Nothing,
    /// It does not answer.
    Away,
}

impl Learner {
    /// One, if the configuration asks for it.
    pub(super) fn of(config: &Config) -> Option<Arc<Self>> {
        let upstream = config.upstream.clone().filter(|_| config.discover)?;
        Some(Arc::new(Self { config: config.clone(), upstream }))
    }

    /// `None`: nothing is kept on a disk.
    fn file(&self) -> Option<PathBuf> {
        self.config.keyring.store.has_disk().then(|| self.config.data_dir.join(FILE))
    }

    /// What the document of an earlier run taught.
    pub(super) fn remembered(&self) -> Option<Known> {
        let text = std::fs::read(self.file()?).ok()?;
        let (address, document) = split(&text)?;
        // Another upstream's document teaches nothing about this one.
        if address != self.upstream.url.as_str().as_bytes() {
            return None;
        }
        self.taught(discovery::read(document).ok().as_ref()).ok()
    }

    fn taught(&self, found: Option<&Discovered>) -> Result<Known, DiscoveredFault> {
        let issuer = issuer_from_discovery(found, &self.upstream, &self.config)?;
        let tokens = match found {
            _ if !self.config.tokens.is_empty() => self.config.tokens.clone(),
            Some(found) => TokenRule::defaults(found, &self.upstream.url),
            None => Vec::new(),
        };
        Ok(Known { issuers: vec![issuer], tokens })
    }

    /// Learns until told to stop.
    pub(super) async fn run(&self, rooms: &Rooms, mut stop: watch::Receiver<bool>) {
        let mut last = None;
        let mut retry = FIRST_RETRY;
        loop {
            let look = self.look(rooms).await;
            let wait = match look {
                Look::Found(document) => {
                    if last.as_ref() != Some(&document) {
                        self.apply(rooms, Some(&document));
                        last = Some(document);
                    }
                    AGAIN
                }
                Look::Nothing => {
                    if rooms.issuers.is_empty() {
                        self.apply(rooms, None);
                    }
                    AGAIN
                }
                Look::Away => {
                    let wait = retry;
                    retry = (retry * 2).min(LAST_RETRY);
                    wait
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn apply(&self, rooms: &Rooms, document: Option<&Bytes>) {
        let found = match document.map(|document| discovery::read(document)) {
            Some(Ok(found)) => Some(found),
            None => None,
            Some(Err(fault)) => return refused(rooms, fault.code(), &fault),
        };
        let known = match self.taught(found.as_ref()) {
            Ok(known) => known,
            Err(fault) => return refused(rooms, fault.code(), &fault),
        };
        if let Err(error) = rooms.issuers.reload(known.issuers) {
            return refused(rooms, "issuer_conflict", &error);
        }
        rooms.state.discovery_fault.clear();
        rooms.state.routes.store(Arc::new(self.config.routes(known.tokens)));
        rooms.state.discovery.clear();
        rooms.bridge.forget();
        if let Some(document) = document {
            self.remember(document);
        }
        match found {
            Some(found) => {
                tracing::info!(issuer = found.issuer, "the issuer was learnt from the upstream");
            }
            None => tracing::warn!(
                upstream = %self.upstream.url.origin().ascii_serialization(),
                "no discovery document: issuer and key set are guessed, the upstream's address and \
                 `/.well-known/jwks.json` below it; an [[issuer]] in the configuration says what they are"
            ),
        }
    }

    fn remember(&self, document: &Bytes) {
        if self.file().is_none() {
            return;
        }
        let text = [self.upstream.url.as_str().as_bytes(), b"\n", document].concat();
        if let Err(error) = atomic::replace(&self.config.data_dir, FILE, &text) {
            tracing::warn!(%error, "the discovery document could not be kept");
        }
    }

    async fn look(&self, rooms: &Rooms) -> Look {
        let mut answered = false;
        for path in PATHS {
            match self.fetch(rooms, path).await {
                Some((StatusCode::OK, body)) if discovery::read(&body).is_ok() => {
                    return Look::Found(body);
                }
                // A server that is just starting, or a gateway before one that is.
                Some((status, _)) if status.is_server_error() => {}
                Some(_) => answered = true,
                None => {}
            }
        }
        if answered { Look::Nothing } else { Look::Away }
    }

    async fn fetch(&self, rooms: &Rooms, path: &str) -> Option<(StatusCode, Bytes)> {
        let upstream = rooms.state.upstream.as_ref()?;
        let path = format!("{}{path}", upstream.base_path());
        let mut header = RequestHeader::build("GET", path.as_bytes(), Some(4)).ok()?;
        let public = self.config.server.public_url.as_ref();
        // A provider that builds its issuer from the request must hear the name clients use.
        let clients = public.map(|url| &url[url::Position::BeforeHost..url::Position::AfterPort]);
        let host = upstream.host_header().or(clients).unwrap_or_else(|| upstream.authority());
        header.insert_header(header::HOST, host).ok()?;
        if let Some(public) = public {
            let authority = &public[url::Position::BeforeHost..url::Position::AfterPort];
            header.insert_header("X-Forwarded-Proto", public.scheme()).ok()?;
            header.insert_header("X-Forwarded-Host", authority).ok()?;
        }
        header.insert_header(header::ACCEPT, "application/json").ok()?;
        header.insert_header(header::ACCEPT_ENCODING, "identity").ok()?;
        let reply = call::ask(&header, LIMIT, upstream, &rooms.state.connector).await.ok()?;
        match reply.body {
            Body::Whole(body) => Some((reply.header.status, body)),
            Body::Open(..) => None,
        }
    }
}

/// What was known before stays in use.
fn refused(rooms: &Rooms, code: &'static str, why: &dyn std::fmt::Display) {
    let fault = Fault { code, text: why.to_string(), at: rooms.clock.now().secs() };
    if rooms.state.discovery_fault.set(fault) {
        tracing::warn!(fault = %why, code, "the upstream's discovery document is refused");
    }
}

fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|b| *b == b'\n')?;
    Some((&text[..at], &text[at + 1..]))
}
