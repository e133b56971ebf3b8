//! Spans of requests and of key set fetches, made by `tracing`. With the cargo feature `otel` they
//! are sent by OTLP over HTTP. Without it, or without configuration, a request costs one branch. A
//! finished span goes into a bounded queue, and a separate thread sends them. A full queue loses
//! spans and delays nothing.
//!
//! A span contains only names of this program, names of configured issuers, methods of RFC 9110,
//! and numbers. Nothing from a client, a token or an upstream becomes part of one. Spans have their
//! own target: no span of another crate is sent, and none of these is logged.

#[cfg(feature = "otel")]
mod export;
#[cfg(feature = "otel")]
mod parent;
#[cfg(feature = "otel")]
mod sender;
mod settings;

use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tracing::field::{Empty, display};
use tracing::instrument::{Instrument as _, Instrumented};
use tracing::{Span, info_span};
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan as _;

#[cfg(feature = "otel")]
pub(crate) use self::export::layer;
pub use self::settings::OtelSettings;
use crate::dns::Resolver;
use crate::jose::names::IssuerName;

/// Target of every span.
pub(crate) const TARGET: &str = "otel_span";
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Whether this process makes spans.
static ON: AtomicBool = AtomicBool::new(false);

fn on() -> bool {
    cfg!(feature = "otel") && ON.load(Ordering::Relaxed)
}

/// The spans of one server; off by default.
#[derive(Debug, Clone, Default)]
pub struct Spans {
    enabled: bool,
    #[cfg(feature = "otel")]
    provider: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

impl Spans {
    /// Starts the thread that exports, if an endpoint is configured. Call it on the runtime that should send.
    ///
    /// # Errors
    /// What is wrong with the settings, as text.
    #[cfg_attr(not(feature = "otel"), expect(unused_variables, reason = "nothing is exported"))]
    pub fn start(settings: &OtelSettings, resolver: &Resolver) -> Result<Self, String> {
        #[cfg(feature = "otel")]
        if let Some(endpoint) = &settings.endpoint {
            let provider = Some(export::start(&endpoint.0, settings, resolver)?);
            return Ok(Self { enabled: true, provider });
        }
        Ok(Self::default())
    }

    /// Sends the rest, within a time limit. Blocks.
    pub fn shutdown(&self) {
        #[cfg(feature = "otel")]
        if let Some(provider) = &self.provider {
            let _ = provider.shutdown_with_timeout(export::FLUSH_TIMEOUT);
        }
    }

    /// The span of a request that has just arrived.
    #[inline]
    pub fn request(&self, headers: &HeaderMap) -> RequestSpan {
        if !self.enabled {
            return RequestSpan::default();
        }
        let span = info_span!(
            target: TARGET, parent: None, "request", otel.kind = "server",
            otel.status_description = Empty, http.request.method = Empty,
            http.response.status_code = Empty, countersign.route = Empty,
            countersign.issuer = Empty, "error.type" = Empty,
        );
        #[cfg(feature = "otel")]
        let outgoing = export::attach(&span, headers);
        #[cfg(not(feature = "otel"))]
        let outgoing = headers.get(TRACEPARENT).and(None);
        RequestSpan { span, outgoing }
    }
}

/// A request's span; none if exporting is off.
#[derive(Debug)]
pub struct RequestSpan {
    span: Span,
    outgoing: Option<Outgoing>,
}

impl Default for RequestSpan {
    fn default() -> Self {
        Self { span: Span::none(), outgoing: None }
    }
}

impl RequestSpan {
    /// The headers for the upstream, instead of the client's `traceparent`.
    #[inline]
    pub fn outgoing(&self) -> Option<Outgoing> {
        self.outgoing.clone()
    }

    /// Runs `work` as part of this request: its spans become children.
    #[inline]
    pub fn within<F>(&self, work: F) -> Instrumented<F> {
        work.instrument(self.span.clone())
    }

    /// Ends it.
    #[inline]
    pub fn end(&mut self, ended: &Ended<'_>) {
        let span = std::mem::replace(&mut self.span, Span::none());
        if span.is_disabled() {
            return;
        }
        let method = method(ended.method);
        #[cfg(feature = "otel")]
        export::rename(&span, format!("{method} {}", ended.route));
        span.record("http.request.method", method);
        span.record("countersign.route", ended.route);
        if ended.status > 0 {
            span.record("http.response.status_code", i64::from(ended.status));
        }
        if let Some(code) = ended.code {
            span.record("error.type", code);
        }
        // A refused token is the client's error, not this server's.
        let broken = ended.code.is_some() && ended.status < 400;
        if ended.status >= 500 || broken {
            span.record("otel.status_description", ended.code.unwrap_or("upstream"));
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    pub method: &'a Method,
    /// The route that answered.
    pub route: &'static str,
    /// 0: no answer was written.
    pub status: u16,
    /// Why this program refused it, or could not forward it.
    pub code: Option<&'static str>,
}

/// A client may send any word as a method; only known ones are recorded.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

/// Trace headers for the upstream.
#[derive(Debug, Clone)]
pub struct Outgoing {
    traceparent: HeaderValue,
    /// A root.
    fresh: bool,
}

impl Outgoing {
    /// Sets `traceparent`. `tracestate` belongs to the trace it came with, and is removed with it.
    ///
    /// # Errors
    /// None that a valid value could cause.
    pub fn write(&self, header: &mut pingora::http::RequestHeader) -> pingora::Result<()> {
        header.remove_header(&TRACEPARENT);
        header.insert_header(TRACEPARENT, self.traceparent.clone())?;
        if self.fresh {
            header.remove_header(&TRACESTATE);
        }
        Ok(())
    }
}

/// The request that a task works for, if there is one and spans are made. Not the span itself: a
/// span that is held does not end.
#[derive(Debug, Clone, Default)]
pub struct Parent {
    #[cfg(feature = "otel")]
    context: Option<opentelemetry::Context>,
}

impl Parent {
    #[inline]
    pub fn current() -> Self {
        Self {
            #[cfg(feature = "otel")]
            context: on().then(export::current).flatten(),
        }
    }
}

/// A piece of work, inside a request or as a root.
pub struct Work(Span);

impl Work {
    /// Verifying a token and signing it again, inside a request.
    pub fn countersign() -> Self {
        if !on() || Span::current().is_none() {
            return Self(Span::none());
        }
        Self(info_span!(
            target: TARGET, "countersign", otel.status_description = Empty,
            countersign.issuer = Empty, countersign.outcome = Empty, "error.type" = Empty,
        ))
    }

    /// The fetch of a key set: a child of the request that started it, or a root.
    pub fn fetch(parent: &Parent) -> Self {
        if !on() {
            return Self(Span::none());
        }
        let span = info_span!(
            target: TARGET, parent: None, "fetch key set", otel.kind = "client",
            otel.status_description = Empty, countersign.issuer = Empty,
            countersign.outcome = Empty, "error.type" = Empty,
        );
        #[cfg(feature = "otel")]
        export::adopt(&span, parent.context.as_ref());
        #[cfg(not(feature = "otel"))]
        let Parent {} = parent;
        Self(span)
    }

    pub fn end(self, outcome: &Outcome<'_>) {
        let Self(span) = self;
        if let Some(issuer) = outcome.issuer {
            span.record("countersign.issuer", display(issuer));
        }
        span.record("countersign.outcome", outcome.code);
        if outcome.failed {
            span.record("error.type", outcome.code);
            span.record("otel.status_description", outcome.code);
        }
    }
}

/// The outcome of a piece of work.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    pub issuer: Option<&'a IssuerName>,
    /// A word of this program.
    pub code: &'static str,
    pub failed: bool,
}

/// Records the issuer of the request's token; the first one counts.
#[inline]
pub fn issuer(name: &IssuerName) {
    struct Noted;

    if !on() {
        return;
    }
    let span = Span::current();
    let first = span.with_subscriber(|(id, subscriber)| {
        let data = subscriber.downcast_ref::<Registry>()?.span(id)?;
        data.extensions_mut().replace(Noted).is_none().then_some(())
    });
    if first.flatten().is_some() {
        span.record("countersign.issuer", display(name));
    }
}
