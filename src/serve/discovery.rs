//! With an upstream and no configured issuer, the proxy reads the issuer from the upstream's
//! discovery document. The last document is kept on disk, so that a restart while the upstream is
//! down serves at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use url::Url;

use super::assemble::App;
use crate::config::{Config, Learnt, fetch_settings, issuer_from_discovery};
use crate::issuer::discovery::{Belief, DiscoveryState, DiscoveryStatus, Lookup, look};
use crate::issuer::{FetchSettings, Forwarded, Reason, forwarded};
use crate::keyring::atomic;
use crate::proxy::settings::UpstreamSettings;
use crate::rewrite::TokenRule;
use crate::rewrite::discovery::{self, Discovered};

/// The last document, in the data directory.
const FILE: &str = "discovery.json";
/// How often a document is read again after a success.
const REFRESH_INTERVAL: Duration = Duration::from_secs(600);
/// How often it is requested if there was none: there may be one later.
const GUESS_INTERVAL: Duration = Duration::from_secs(60);
/// Until a key set has been read, the first retries are this far apart; each pause doubles.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(8);
/// Once a key set has been read, a failed request is repeated after this time.
const FAILED_INTERVAL: Duration = Duration::from_secs(60);
/// Maximum of a `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

/// Reads the issuer from the upstream's discovery document.
pub(super) struct Discovery {
    config: Config,
    upstream: UpstreamSettings,
    fetch: FetchSettings,
}

/// The result of a document, or of its absence.
pub(super) struct Known {
    pub(super) learnt: Learnt,
    pub(super) tokens: Vec<TokenRule>,
}

/// The fault of a document: a code and words.
struct DocumentFault {
    reason: Reason,
    text: String,
}

/// The accepted issuer, and the last request's result.
#[derive(Default)]
struct Progress {
    /// The document in use.
    applied: Option<Bytes>,
    last_logged: String,
    retry: Option<Duration>,
}

impl Progress {
    /// Whether `text` differs from the last logged one: a message is logged again only when it changes.
    fn is_news(&mut self, text: &str) -> bool {
        let is_news = self.last_logged != text;
        if is_news {
            text.clone_into(&mut self.last_logged);
        }
        is_news
    }
}

impl Discovery {
    /// Starts discovery if the configuration asks for it.
    pub(super) fn of(config: &Config) -> Option<Arc<Self>> {
        let upstream = config.upstream.clone().filter(|_| config.discover)?;
        let fetch = fetch_settings(&upstream.url, &upstream, config);
        Some(Arc::new(Self { config: config.clone(), upstream, fetch }))
    }

    /// `None` if nothing is kept on a disk.
    fn file(&self) -> Option<PathBuf> {
        self.config.keyring.store.has_disk().then(|| self.config.data_dir.join(FILE))
    }

    /// The result of an earlier run's document.
    pub(super) fn stored(&self) -> Option<Known> {
        let text = std::fs::read(self.file()?).ok()?;
        let end = text.iter().position(|b| *b == b'\n')?;
        let (line, document) = (&text[..end], &text[end + 1..]);
        // Another upstream's document says nothing about this one.
        let mark = line.strip_prefix(self.upstream.url.as_str().as_bytes())?;
        if !mark.is_empty() && mark != PRIVATE.as_bytes() {
            return None;
        }
        let private = !mark.is_empty();
        let known = self.read(document, private).inspect_err(|DocumentFault { reason, text }| {
            let code = reason.code;
            tracing::warn!(fault = text, code, "the stored discovery document is refused");
        });
        known.ok()
    }

    fn read(&self, document: &[u8], private: bool) -> Result<Known, DocumentFault> {
        let fault = |code, text: String| DocumentFault { reason: Reason::of(code), text };
        let found = discovery::read(document).map_err(|e| fault(e.code(), e.to_string()))?;
        let learnt = issuer_from_discovery(Some(&found), &self.upstream, &self.config, private)
            .map_err(|e| fault(e.code(), e.to_string()))?;
        let tokens = match self.config.tokens.as_slice() {
            [] => TokenRule::defaults(&self.at_upstream(found), &self.upstream.url),
            configured => configured.to_vec(),
        };
        Ok(Known { learnt, tokens })
    }

    /// The document, with endpoints at our own public address rewritten to the upstream's. A
    /// provider that builds them from the request writes the name that we sent, and its own base
    /// path.
    fn at_upstream(&self, mut found: Discovered) -> Discovered {
        let Some(public) = &self.config.server.public_url else { return found };
        for endpoint in [
            &mut found.authorization_endpoint,
            &mut found.token_endpoint,
            &mut found.userinfo_endpoint,
            &mut found.introspection_endpoint,
            &mut found.revocation_endpoint,
            &mut found.end_session_endpoint,
        ] {
            let url = endpoint.as_deref().and_then(|text| Url::parse(text).ok());
            if let Some(mut url) = url.filter(|url| url.origin() == public.origin()) {
                let prefix = public.path().trim_end_matches('/');
                let rest = url.path().strip_prefix(prefix).filter(|rest| rest.starts_with('/'));
                if let Some(rest) = rest.map(str::to_owned) {
                    url.set_path(&rest);
                }
                *endpoint = Some(forwarded::below(&self.upstream.url, &url).into());
            }
        }
        found
    }

    /// Requests the document until told to stop.
    pub(super) async fn run(&self, app: &App, mut stop: watch::Receiver<bool>) {
        let mut progress = Progress::default();
        loop {
            let wait = self.reconcile(app, &mut progress).await;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// One request and its consequences; returns the time until the next.
    async fn reconcile(&self, app: &App, progress: &mut Progress) -> Duration {
        let private = app.issuers.fetcher().resolver.leads_inside(&self.upstream.url).await;
        let enough = |body: &[u8]| self.read(body, private).is_ok();
        let (fetcher, now) = (app.issuers.fetcher(), app.state.clock.now());
        let look = look(fetcher, &self.upstream.url, &self.fetch, now, enough).await;
        let mut refused = None;
        for document in look.documents() {
            let used = self.read(document, private).and_then(|known| {
                self.accept(app, progress, known, document, private, look.describe())
            });
            match used {
                Ok(()) => return pause(app, progress, REFRESH_INTERVAL, None),
                Err(fault) => refused = refused.or(Some(fault)),
            }
        }
        let none = refused.is_none() && look.says_none();
        let own_name = none && self.answers_to_own_name(app).await;
        let interval = if none && self.guess(app, progress, &look, own_name) {
            GUESS_INTERVAL
        } else {
            self.record_fault(app, progress, &look, refused);
            FAILED_INTERVAL
        };
        pause(app, progress, interval, look.retry_after())
    }

    /// Uses a document's issuer.
    fn accept(
        &self,
        app: &App,
        progress: &mut Progress,
        known: Known,
        document: &Bytes,
        private: bool,
        text: String,
    ) -> Result<(), DocumentFault> {
        let belief = known.learnt.belief;
        if progress.applied.as_ref() != Some(document) {
            self.apply(app, known)?;
            progress.applied = Some(document.clone());
            self.remember(document, private && belief == Belief::PrivateUpstream);
        }
        let status = status(app, DiscoveryState::Learnt, Some(belief), None, text);
        if progress.is_news(&format!("{:?} {:?} {belief:?}", status.issuer, status.keys)) {
            tracing::info!(
                issuer = status.issuer,
                keys = status.keys,
                because = belief.describe(),
                "the issuer was read from the discovery document"
            );
        }
        app.issuers.set_discovery(status);
        Ok(())
    }

    /// The upstream has no document. Returns false if no guess is in use: an accepted document is
    /// not discarded when the document disappears.
    fn guess(&self, app: &App, progress: &mut Progress, look: &Lookup, own_name: bool) -> bool {
        let in_force = match app.issuers.discovery().and_then(|known| known.belief) {
            Some(belief) => belief == Belief::Guess,
            None => issuer_from_discovery(None, &self.upstream, &self.config, false)
                .map(|learnt| Known { learnt, tokens: self.config.tokens.clone() })
                .is_ok_and(|known| self.apply(app, known).is_ok()),
        };
        if !in_force {
            return false;
        }
        let mut text = format!("no discovery document: {}", look.describe());
        if own_name {
            text.push_str(ASK_BY_OWN_NAME);
        }
        if progress.is_news(&text) {
            tracing::warn!(
                upstream = %self.upstream.url.origin().ascii_serialization(),
                "{text}; issuer and key set are guessed: the upstream's address, and \
                 `/.well-known/jwks.json` below it; an [[issuer]] in the configuration says what they are: \
                 `countersign init --from {}` writes one",
                self.upstream.url
            );
        }
        let belief = Some(Belief::Guess);
        let status = status(app, DiscoveryState::Guessed, belief, look.reason(), text);
        app.issuers.set_discovery(status);
        true
    }

    /// There is an unusable document, or the upstream gives no clear answer.
    fn record_fault(
        &self,
        app: &App,
        progress: &mut Progress,
        look: &Lookup,
        refused: Option<DocumentFault>,
    ) {
        let (state, reason, text) = match refused {
            Some(DocumentFault { reason, text }) => {
                let text = format!("the discovery document cannot be used: {text} ({reason})");
                (DiscoveryState::Refused, Some(reason), text)
            }
            None => {
                let text = format!("the discovery document cannot be read: {}", look.describe());
                (DiscoveryState::Waiting, look.reason(), text)
            }
        };
        if progress.is_news(&text) {
            let code = reason.map(|reason| reason.code);
            let upstream = self.upstream.url.origin().ascii_serialization();
            let next = match code {
                Some("connect") => {
                    "; is the server up, is the port right? The proxy retries until it answers"
                }
                Some("dns") => "; is the host spelled right? The proxy retries until it answers",
                _ => "",
            };
            tracing::warn!(upstream, code, "{text}{next}");
        }
        let belief = app.issuers.discovery().and_then(|known| known.belief);
        app.issuers.set_discovery(status(app, state, belief, reason, text));
    }

    /// Uses the issuer, unless its settings contradict each other.
    fn apply(&self, app: &App, known: Known) -> Result<(), DocumentFault> {
        app.issuers.reload(vec![known.learnt.issuer]).map_err(|error| DocumentFault {
            reason: Reason::of("issuer_conflict"),
            text: error.to_string(),
        })?;
        app.state.routes.store(Arc::new(self.config.routes(known.tokens)));
        app.state.discovery.invalidate_all();
        app.state.bridge.forget();
        Ok(())
    }

    fn remember(&self, document: &Bytes, private: bool) {
        if self.file().is_none() {
            return;
        }
        let mark = if private { PRIVATE } else { "" };
        let line = format!("{}{mark}\n", self.upstream.url);
        let text = [line.as_bytes(), document].concat();
        if let Err(error) = atomic::replace(&self.config.data_dir, FILE, &text) {
            tracing::warn!(%error, "the discovery document could not be stored");
        }
    }

    /// Whether the upstream has a document under its own name but none under ours.
    async fn answers_to_own_name(&self, app: &App) -> bool {
        let own = forwarded::authority(&self.upstream.url);
        let forwarded = self.fetch.forwarded.as_deref().filter(|sent| sent.host != own);
        let Some(forwarded) = forwarded else { return false };
        let renamed = Forwarded { host: own.to_owned(), ..forwarded.clone() };
        let fetch = FetchSettings { forwarded: Some(Arc::new(renamed)), ..self.fetch.clone() };
        let (fetcher, now) = (app.issuers.fetcher(), app.state.clock.now());
        let look = look(fetcher, &self.upstream.url, &fetch, now, |_| true).await;
        look.documents().next().is_some()
    }
}

/// The time until the next request: `interval`, if there is a key set to work with.
fn pause(
    app: &App,
    progress: &mut Progress,
    interval: Duration,
    retry_after: Option<Duration>,
) -> Duration {
    if app.issuers.iter().any(|issuer| issuer.snapshot().is_some()) {
        progress.retry = None;
        return interval;
    }
    let retry = progress.retry.map_or(FIRST_RETRY, |retry| (retry * 2).min(LAST_RETRY));
    progress.retry = Some(retry);
    retry_after.map_or(retry, |asked| asked.min(RETRY_AFTER_MAX).max(retry))
}

const ASK_BY_OWN_NAME: &str = "; there is one for the upstream's own name as `Host`: set \
     `--upstream-host upstream`, or `host = \"upstream\"` in [upstream]";

/// Appended to the address of a kept document: the upstream's name resolved to private addresses,
/// and the document was accepted for that reason.
const PRIVATE: &str = " private";

/// The state: the issuer in use, whatever this request returned.
pub(super) fn status(
    app: &App,
    state: DiscoveryState,
    belief: Option<Belief>,
    reason: Option<Reason>,
    text: String,
) -> DiscoveryStatus {
    let settings = app.issuers.only().map(|issuer| issuer.settings());
    let first = settings.as_ref().and_then(|settings| settings.policy.issuers.first());
    DiscoveryStatus {
        state,
        issuer: first.map(ToString::to_string),
        belief,
        keys: settings.as_ref().map(|settings| settings.source.describe()),
        reason,
        text,
        looked: app.state.clock.now().secs(),
    }
}
