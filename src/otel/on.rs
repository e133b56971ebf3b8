//! The feature switched on.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as Polling, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use opentelemetry::trace::{
    SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, trace::Span as _};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span};
use parking_lot::Mutex;
use pin_project_lite::pin_project;

use super::parent::{self, TRACEPARENT, TRACESTATE};
use super::sender::{PATIENCE, Sender};
use super::{Ended, OtelSettings, Outcome};
use crate::dns::Resolver;
use crate::jose::names::IssuerName;

/// A stop waits this long for what is still in the queue.
const LAST_WORDS: Duration = Duration::from_secs(2);

tokio::task_local! {
    /// The span of the request this task works for.
    static CURRENT: Arc<Live>;
}

/// Where spans are made; off unless configured.
#[derive(Clone, Default)]
pub struct Spans(Option<Arc<Made>>);

struct Made {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl std::fmt::Debug for Spans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Spans").field(&self.0.is_some()).finish()
    }
}

impl Spans {
    /// Starts the thread that exports; call it on the runtime that shall send.
    ///
    /// # Errors
    /// What is wrong with the settings, as text.
    pub fn start(settings: Option<&OtelSettings>, resolver: &Resolver) -> Result<Self, String> {
        let Some(settings) = settings else { return Ok(Self(None)) };
        let runtime = tokio::runtime::Handle::try_current().map_err(|e| e.to_string())?;
        let headers = headers(settings)?;
        let sender = Sender::new(headers, settings.ca.as_deref(), resolver, runtime)?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(settings.endpoint.as_str())
            .with_timeout(PATIENCE)
            .with_http_client(sender)
            .build()
            .map_err(|e| e.to_string())?;
        let resource = Resource::builder()
            .with_service_name(settings.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        // A client that takes part in a trace decides for it, as W3C has it; a request that begins
        // one is sampled by the ratio.
        let root = Sampler::TraceIdRatioBased(settings.sample_ratio);
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(root)))
            .with_resource(resource)
            .with_batch_exporter(exporter)
            .build();
        let tracer = provider.tracer("countersign");
        Ok(Self(Some(Arc::new(Made { provider, tracer }))))
    }

    /// The span of a request that has just come.
    #[inline]
    pub fn request(&self, headers: &HeaderMap) -> RequestSpan {
        RequestSpan(self.0.as_ref().map(|made| made.request(headers)))
    }

    /// The span of a key set's fetch: a child of the request that started it, or one by itself.
    pub fn fetch(&self, parent: &Parent) -> Work {
        let context = parent.0.as_ref().map(|live| live.context.clone());
        Work(self.0.as_ref().map(|made| made.work("fetch key set", SpanKind::Client, context)))
    }

    /// Sends what is left, for a bounded time. Blocks.
    pub fn shutdown(&self) {
        if let Some(made) = &self.0 {
            let _ = made.provider.shutdown_with_timeout(LAST_WORDS);
        }
    }
}

fn headers(settings: &OtelSettings) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let bad = |_| format!("the header `{name}` is no header line");
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|e| bad(e.to_string()))?;
        let value = HeaderValue::from_str(value.expose()).map_err(|e| bad(e.to_string()));
        let mut value = value?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

impl Made {
    fn request(self: &Arc<Self>, headers: &HeaderMap) -> Arc<Live> {
        let parent = parent::of(headers);
        let fresh = parent.is_none();
        let span = self.start("request", SpanKind::Server, parent);
        let context = span.span_context().clone();
        let made = self.clone();
        Arc::new(Live { made, span: Mutex::new(span), context, fresh, issuer: OnceLock::new() })
    }

    fn work(&self, name: &'static str, kind: SpanKind, parent: Option<SpanContext>) -> Box<Span> {
        Box::new(self.start(name, kind, parent))
    }

    fn start(&self, name: &'static str, kind: SpanKind, parent: Option<SpanContext>) -> Span {
        let context = Context::new();
        let context = match parent {
            Some(parent) => context.with_remote_span_context(parent),
            None => context,
        };
        let builder = SpanBuilder::from_name(name).with_kind(kind);
        self.tracer.build_with_context(builder, &context)
    }
}

/// A request that is not answered yet.
struct Live {
    made: Arc<Made>,
    span: Mutex<Span>,
    context: SpanContext,
    /// Nobody's child.
    fresh: bool,
    /// Whose token it was about; the first one.
    issuer: OnceLock<IssuerName>,
}

/// A request's span; none while exporting is off.
#[derive(Default)]
pub struct RequestSpan(Option<Arc<Live>>);

impl std::fmt::Debug for RequestSpan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RequestSpan").field(&self.0.is_some()).finish()
    }
}

impl RequestSpan {
    /// What the upstream hears instead of the client's `traceparent`.
    #[inline]
    pub fn outgoing(&self) -> Option<Outgoing> {
        let live = self.0.as_ref()?;
        Some(Outgoing { traceparent: parent::written(&live.context)?, fresh: live.fresh })
    }

    /// `work` as a part of this request: what it does becomes a child.
    #[inline]
    pub fn within<F>(&self, work: F) -> Within<F> {
        Within { work, live: self.0.clone() }
    }

    /// Ends it.
    #[inline]
    pub fn end(&mut self, ended: &Ended<'_>) {
        if let Some(live) = self.0.take() {
            live.end(ended);
        }
    }
}

impl Live {
    fn end(&self, ended: &Ended<'_>) {
        let mut span = self.span.lock();
        let method = method(ended.method);
        span.update_name(format!("{method} {}", ended.route));
        span.set_attribute(KeyValue::new("http.request.method", method));
        span.set_attribute(KeyValue::new("countersign.route", ended.route));
        if ended.status > 0 {
            let status = i64::from(ended.status);
            span.set_attribute(KeyValue::new("http.response.status_code", status));
        }
        if let Some(issuer) = self.issuer.get() {
            span.set_attribute(KeyValue::new("countersign.issuer", issuer.to_string()));
        }
        if let Some(code) = ended.code {
            span.set_attribute(KeyValue::new("error.type", code));
        }
        // A refused token is the client's error, not this server's.
        let broken = ended.code.is_some() && ended.status < 400;
        if ended.status >= 500 || broken {
            span.set_status(Status::error(ended.code.unwrap_or("upstream")));
        }
        span.end();
    }
}

/// A client may send any word as a method; only known ones are said.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "_OTHER",
    }
}

/// What is said to the upstream.
#[derive(Debug, Clone)]
pub struct Outgoing {
    traceparent: HeaderValue,
    fresh: bool,
}

impl Outgoing {
    /// Sets `traceparent`. `tracestate` belongs to the trace it came with, and goes with it.
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

pin_project! {
    /// See [`RequestSpan::within`].
    pub struct Within<F> {
        #[pin]
        work: F,
        live: Option<Arc<Live>>,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<F::Output> {
        let this = self.project();
        match this.live {
            None => this.work.poll(polling),
            Some(live) => CURRENT.sync_scope(live.clone(), || this.work.poll(polling)),
        }
    }
}

/// The request a task works for, if it does and spans are made.
#[derive(Clone, Default)]
pub struct Parent(Option<Arc<Live>>);

impl Parent {
    #[inline]
    pub fn current() -> Self {
        Self(CURRENT.try_with(Arc::clone).ok())
    }

    /// `work` as a part of that request, in a task of its own.
    #[inline]
    pub fn within<F>(self, work: F) -> Within<F> {
        Within { work, live: self.0 }
    }
}

/// A piece of work within a request.
pub struct Work(Option<Box<Span>>);

impl Work {
    /// Verifying a token and signing it anew.
    pub fn countersign() -> Self {
        let made = |live: &Arc<Live>| {
            let parent = Some(live.context.clone());
            live.made.work("countersign", SpanKind::Internal, parent)
        };
        Self(CURRENT.try_with(made).ok())
    }

    pub fn end(self, outcome: &Outcome<'_>) {
        let Some(mut span) = self.0 else { return };
        if let Some(issuer) = outcome.issuer {
            span.set_attribute(KeyValue::new("countersign.issuer", issuer.to_string()));
        }
        span.set_attribute(KeyValue::new("countersign.outcome", outcome.code));
        if outcome.failed {
            span.set_attribute(KeyValue::new("error.type", outcome.code));
            span.set_status(Status::error(outcome.code));
        }
        span.end();
    }
}

/// Notes whose token the request is about.
#[inline]
pub fn issuer(name: &IssuerName) {
    let _ = CURRENT.try_with(|live| live.issuer.set(name.clone()));
}
