//! The admin listener's answers. Snapshots only, never a command.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, Response, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use super::health;
use crate::bridge::Bridge;
use crate::clock::Clock;
use crate::issuer::{Issuers, Publisher};
use crate::keyring::Keyring;
use crate::proxy::state::State;

/// The rooms the admin listener looks into.
#[derive(Clone)]
pub struct StatusSource {
    pub issuers: Arc<Issuers>,
    pub publisher: Arc<Publisher>,
    pub keyring: Arc<Keyring>,
    pub bridge: Arc<Bridge>,
    pub proxy: Arc<State>,
    pub clock: Clock,
}

/// What the admin listener runs.
pub struct App {
    source: StatusSource,
}

impl App {
    pub fn new(source: StatusSource) -> Self {
        Self { source }
    }

    fn answer(&self, path: &str) -> Option<(u16, &'static str, Vec<u8>)> {
        const JSON: &str = "application/json";
        match path {
            "/healthz" => Some((200, "text/plain; charset=utf-8", b"ok\n".to_vec())),
            "/readyz" => {
                let state = health::readiness(&self.source);
                let body = serde_json::to_vec(&state).unwrap_or_default();
                Some((if state.ready { 200 } else { 503 }, JSON, body))
            }
            _ => None,
        }
    }
}

#[async_trait]
impl ServeHttp for App {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let (head, read) = (request.method == Method::HEAD, request.method == Method::GET);
        let (status, media, body) = match (head || read, self.answer(request.uri.path())) {
            (_, None) => (404, "text/plain; charset=utf-8", b"not found\n".to_vec()),
            (false, Some(_)) => (405, "text/plain; charset=utf-8", b"GET only\n".to_vec()),
            (true, Some(answer)) => answer,
        };
        let mut response = Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, media)
            .header(header::CONTENT_LENGTH, body.len());
        if status == 405 {
            response = response.header(header::ALLOW, "GET, HEAD");
        }
        for (name, value) in super::page::HARDENING {
            response = response.header(name, value);
        }
        let body = if head { Vec::new() } else { body };
        response.body(body).unwrap_or_default()
    }
}
