//! With the feature: spans of `tracing` become spans of OpenTelemetry and are exported.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::global::{self, BoxedSpan};
use opentelemetry::trace::{SpanBuilder, TraceContextExt as _, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::level_filters::LevelFilter;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use url::Url;

use super::sender::{Sender, TIMEOUT};
use super::{ON, OtelSettings, Outgoing, TARGET, parent};
use crate::dns::Resolver;

/// How long a stop waits for the rest of the queue.
pub(super) const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Turns our spans, and no others, into spans of OpenTelemetry. It is part of the logger, which is
/// installed before the configuration says where spans go.
pub(crate) fn layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    tracing_opentelemetry::layer()
        .with_tracer(CurrentTracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_level(false)
        .with_target(false)
        .with_context_activation(false)
        .with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO))
}

/// The tracer of the provider that is installed when a span begins.
struct CurrentTracer;

impl Tracer for CurrentTracer {
    type Span = BoxedSpan;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> BoxedSpan {
        global::tracer("countersign").build_with_context(builder, parent)
    }
}

pub(super) fn start(
    endpoint: &Url,
    settings: &OtelSettings,
    resolver: &Resolver,
) -> Result<SdkTracerProvider, String> {
    let runtime = tokio::runtime::Handle::try_current().map_err(|e| e.to_string())?;
    let sender = Sender::new(headers(settings)?, settings.ca.as_deref(), resolver, runtime)?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint.as_str())
        .with_timeout(TIMEOUT)
        .with_http_client(sender)
        .build()
        .map_err(|e| e.to_string())?;
    let resource = Resource::builder()
        .with_service_name(settings.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    // The client's sampling decision applies to a request in its trace, as W3C says. The ratio
    // applies to a request that starts a trace.
    let root = Sampler::TraceIdRatioBased(settings.sample_ratio);
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(root)))
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build();
    global::set_tracer_provider(provider.clone());
    // A server inside a test, or inside another program, may have no logger.
    let _ = tracing_subscriber::registry().with(layer()).try_init();
    ON.store(true, Ordering::Relaxed);
    Ok(provider)
}

fn headers(settings: &OtelSettings) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let invalid = || format!("invalid header line `{name}`");
        let key = HeaderName::try_from(name).map_err(|_| invalid())?;
        let mut value = HeaderValue::try_from(value.expose()).map_err(|_| invalid())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// Makes the request's span a child of the client's, and starts it.
pub(super) fn attach(span: &Span, headers: &HeaderMap) -> Option<Outgoing> {
    let client = parent::of(headers);
    let fresh = client.is_none();
    if let Some(client) = client {
        let _ = span.set_parent(Context::new().with_remote_span_context(client));
    }
    let context = span.context();
    Some(Outgoing { traceparent: parent::written(context.span().span_context())?, fresh })
}

pub(super) fn adopt(span: &Span, parent: Option<&Context>) {
    if let Some(parent) = parent {
        let _ = span.set_parent(parent.clone());
    }
}

/// A started span keeps its name unless it is changed on the span itself.
pub(super) fn rename(span: &Span, name: String) {
    span.context().span().update_name(name);
}

pub(super) fn current() -> Option<Context> {
    let span = Span::current();
    (!span.is_none()).then(|| span.context())
}
