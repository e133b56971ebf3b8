//! The answers of the admin listener. They only show state; none of them is a command.
//!
//! | request | answer | to whom |
//! |---|---|---|
//! | `GET /healthz` | the process answers | anyone |
//! | `GET /readyz` | 200 or 503, with reasons | anyone |
//! | `GET /metrics` | Prometheus text | hosts [`guard`] admits |
//! | `GET /`, `GET /api/status` | the page, its data | hosts [`guard`] admits |
//! | `POST /api/inspect` | a pasted token, decoded | hosts [`guard`] admits, same site |

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Method, header};
use pingora::ErrorType;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;

use super::collect;
use super::{AdminSettings, guard, health, metrics, page};
use crate::inspect::{self, MAX_TOKEN};
use crate::issuer::Issuers;
use crate::jose::names::UnixTime;
use crate::keyring::Keyring;
use crate::proxy::state::State;

/// How long a pasted token may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(10);
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// The modules whose status the admin listener shows.
#[derive(Clone)]
pub struct StatusSource {
    pub issuers: Arc<Issuers>,
    pub keyring: Arc<Keyring>,
    pub proxy: Arc<State>,
    pub settings: AdminSettings,
}

/// The application of the admin listener.
pub struct App {
    source: StatusSource,
    started: UnixTime,
}

/// An answer before it is written.
struct AdminAnswer {
    status: u16,
    media: &'static str,
    body: Vec<u8>,
}

impl AdminAnswer {
    fn new(status: u16, media: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, media, body: body.into() }
    }

    fn json(status: u16, body: &impl serde::Serialize) -> Self {
        Self::new(status, JSON, serde_json::to_vec(body).unwrap_or_default())
    }

    fn error(status: u16, code: &str, text: &str) -> Self {
        let body = serde_json::json!({ "error": code, "error_description": text });
        Self::json(status, &body)
    }
}

impl App {
    pub fn new(source: StatusSource) -> Self {
        let started = source.proxy.clock.now();
        Self { source, started }
    }

    fn get(&self, path: &str) -> AdminAnswer {
        let status = || collect::collect(&self.source, self.started);
        match path {
            "/healthz" => AdminAnswer::new(200, TEXT, "ok\n"),
            "/readyz" => {
                let state = health::readiness(&self.source);
                AdminAnswer::json(if state.ready { 200 } else { 503 }, &state)
            }
            "/metrics" => AdminAnswer::new(200, metrics::CONTENT_TYPE, metrics::render(&status())),
            "/api/status" => AdminAnswer::json(200, &status()),
            "/" => AdminAnswer::new(200, "text/html; charset=utf-8", page::HTML),
            _ => AdminAnswer::new(404, TEXT, "not found\n"),
        }
    }

    async fn answer(&self, session: &mut ServerSession) -> AdminAnswer {
        let request = session.req_header();
        let path = request.uri.path().to_owned();
        let is_read = request.method == Method::GET || request.method == Method::HEAD;
        // HTTP/2 has the host in `:authority`, HTTP/1.1 in `Host`.
        let host = request.uri.host().or_else(|| text(&request.headers, header::HOST.as_str()));
        let is_probe = matches!(path.as_str(), "/healthz" | "/readyz");
        if !is_probe && !guard::admits_host(host, &self.source.settings.hosts) {
            let hint = "call it by its address or `localhost`, or list the name in [admin] hosts";
            return AdminAnswer::error(421, "host_refused", hint);
        }
        match path.as_str() {
            "/api/inspect" if request.method == Method::POST => self.inspect(session).await,
            "/api/inspect" => AdminAnswer::error(405, "method", "POST only"),
            _ if is_read => self.get(&path),
            _ => AdminAnswer::error(405, "method", "GET only"),
        }
    }

    async fn write(&self, session: &mut ServerSession) -> pingora::Result<()> {
        let is_head = session.req_header().method == Method::HEAD;
        let answer = self.answer(session).await;
        let mut header = ResponseHeader::build_no_case(answer.status, None)?;
        header.insert_header(header::CONTENT_TYPE, answer.media)?;
        header.insert_header(header::CONTENT_LENGTH, answer.body.len())?;
        header.insert_header(header::CONTENT_SECURITY_POLICY, page::CSP.as_str())?;
        if answer.status == 405 {
            header.insert_header(header::ALLOW, "GET, HEAD, POST")?;
        }
        for (name, value) in page::HARDENING {
            header.insert_header(name, value)?;
        }
        session.write_response_header(Box::new(header)).await?;
        let body = if is_head { Vec::new() } else { answer.body };
        session.write_response_body(body.into(), true).await
    }

    /// Decodes what was pasted. It is neither kept nor logged.
    async fn inspect(&self, session: &mut ServerSession) -> AdminAnswer {
        let headers = &session.req_header().headers;
        let media = text(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
        // A form cannot send this type, and a script of another site needs a CORS preflight, which fails.
        if !media.eq_ignore_ascii_case("application/jwt") {
            return AdminAnswer::error(415, "media_type", "send the token as application/jwt");
        }
        if !guard::same_site(text(headers, "sec-fetch-site")) {
            return AdminAnswer::error(403, "cross_site", "the request comes from another site");
        }
        let Ok(Some(body)) = tokio::time::timeout(TIMEOUT, body(session)).await else {
            let why = "the token is too large or came too slowly";
            return AdminAnswer::error(413, "too_large", why);
        };
        let token = zeroize::Zeroizing::new(String::from_utf8_lossy(&body).into_owned());
        AdminAnswer::json(200, &inspect::inspect(&token, self.source.proxy.clock.now()))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The request's body; `None` when it is too large or breaks off.
async fn body(session: &mut ServerSession) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    let mut all = zeroize::Zeroizing::new(Vec::new());
    while let Some(part) = session.read_request_body().await.ok()? {
        if all.len() + part.len() > MAX_TOKEN {
            return None;
        }
        all.extend_from_slice(&part);
    }
    Some(all)
}

#[async_trait]
impl HttpServerApp for App {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        match session.read_request().await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => {
                // Two `Host` lines, a user name in one, a target that names another host, or not HTTP.
                if *error.etype() == ErrorType::InvalidHTTPHeader {
                    let hint = "the request names no host, more than one, or is not valid HTTP";
                    let body = AdminAnswer::error(400, "bad_request", hint).body;
                    let _ = session.respond_error_with_body(400, body.into()).await;
                    session.shutdown().await;
                }
                return None;
            }
        }
        session.set_keepalive(if *shutdown.borrow() { None } else { Some(60) });
        self.write(&mut session).await.ok()?;
        let settings = HttpPersistentSettings::for_session(&session);
        let stream = session.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }
}
