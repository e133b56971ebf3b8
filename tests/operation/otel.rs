//! Spans at a real collector on a real socket: their parents, and the secrets that they must not contain.
#![cfg(feature = "otel")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::proxy::{Proxy, RequestExt as _, ResponseExt as _, Upstream, provider};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use serde_json::Value;

type Posts = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A collector that keeps what it is sent.
struct Collector {
    url: String,
    posts: Posts,
}

impl Collector {
    async fn start() -> Self {
        async fn keep(State(posts): State<Posts>, headers: HeaderMap, body: Bytes) {
            posts.lock().unwrap().push((headers, body));
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/otlp", listener.local_addr().unwrap());
        let posts = Posts::default();
        let app = axum::Router::new().route("/otlp/v1/traces", post(keep));
        let app = app.with_state(posts.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, posts }
    }

    fn bodies(&self) -> Vec<Bytes> {
        self.posts.lock().unwrap().iter().map(|(_, body)| body.clone()).collect()
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        self.bodies().into_iter().map(|b| ExportTraceServiceRequest::decode(b).unwrap()).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let resources = self.requests().into_iter().flat_map(|request| request.resource_spans);
        resources.flat_map(|r| r.scope_spans).flat_map(|s| s.spans).collect()
    }
}

fn toml(upstream: &Upstream, endpoint: &str) -> String {
    format!(
        "[[issuer]]\nname = \"login\"\nissuer = \"{}\"\njwks = \"/jwks\"\n\
         [otel]\nendpoint = \"{endpoint}\"\nheaders = {{ \"x-api-key\" = \"otel-credential\" }}\n",
        upstream.url()
    )
}

/// An attribute of a span, as text.
fn said(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|a| a.key == key)?;
    match found.value.clone()?.value? {
        Any::StringValue(text) => Some(text),
        Any::IntValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn stopped(proxy: Proxy) {
    let stop = tokio::task::spawn_blocking(move || proxy.handle.stop());
    tokio::time::timeout(Duration::from_secs(60), stop).await.expect("a stop is bounded").unwrap();
}

/// What the upstream saw of a header.
fn seen(answer: &Value, name: &str) -> Vec<String> {
    let fields = answer["fields"].as_array().unwrap();
    let found = fields.iter().filter(|field| field[0] == name);
    found.map(|field| field[1].as_str().unwrap().to_owned()).collect()
}

async fn exchange(proxy: &Proxy, token: &str, traceparent: &str) -> u16 {
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", token),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
    ];
    let request = reqwest::Client::new().post(proxy.url("/_countersign/token"));
    let request = request.header("traceparent", traceparent).form(&form);
    request.send().await.unwrap().status().as_u16()
}

fn trace(n: u8, sampled: bool) -> String {
    format!("00-{}-{}-0{}", hex(&[n; 16]), hex(&[n; 8]), u8::from(sampled))
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_arrive_as_children_and_say_nothing_secret() {
    provider();
    let (upstream, collector) = (Upstream::start().await, Collector::start().await);
    let proxy = Proxy::ready(&upstream.url(), &toml(&upstream, &collector.url)).await;
    let good = upstream.token(&upstream.claims());
    let mut expired = upstream.claims();
    expired["exp"] = 1000.into();
    let expired = upstream.token(&expired);
    assert_eq!(exchange(&proxy, &good, &trace(1, true)).await, 200);
    assert_eq!(exchange(&proxy, &good, &trace(2, true)).await, 200);
    assert_eq!(exchange(&proxy, &expired, &trace(3, true)).await, 400);

    let client = reqwest::Client::new();
    let ask = |method: &str, traceparent: Vec<String>| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = client
            .request(method, proxy.url("/seen?code=query-secret"))
            .header("cookie", "sid=cookie-secret")
            .header("authorization", "Bearer bearer-secret")
            .header("user-agent", "agent-secret")
            .header("x-request-id", "id-in-no-span")
            .header("tracestate", "vendor=state-secret");
        for value in traceparent {
            request = request.header("traceparent", value);
        }
        async move { request.send().await.unwrap().json::<Value>().await.unwrap() }
    };
    let child = ask("GET", vec![trace(4, true)]).await;
    let quiet = ask("GET", vec![trace(5, false)]).await;
    let alone = ask("METHOD-SECRET", vec![]).await;
    let wrong = ask("GET", vec!["00-parent-secret-01".into()]).await;
    let twice = ask("GET", vec![trace(6, true), trace(6, true)]).await;
    stopped(proxy).await;

    let spans = collector.spans();
    let in_trace = |n: u8| -> Vec<_> { spans.iter().filter(|s| s.trace_id == [n; 16]).collect() };
    let server = |n: u8| {
        let of = in_trace(n);
        let server: Vec<_> = of.iter().filter(|s| s.kind == SpanKind::Server as i32).collect();
        assert_eq!(server.len(), 1, "trace {n}: {spans:#?}");
        let server = (**server[0]).clone();
        assert_eq!(server.parent_span_id, [n; 8]);
        assert!(server.end_time_unix_nano >= server.start_time_unix_nano);
        server
    };

    let first = server(1);
    assert_eq!(first.name, "POST exchange");
    let work = in_trace(1).into_iter().find(|span| span.name == "countersign").unwrap();
    assert_eq!(work.parent_span_id, first.span_id);
    assert_eq!(said(work, "countersign.outcome").unwrap(), "countersigned");
    // The second answer came from the cache.
    assert_eq!(in_trace(2).len(), 1);
    for (span, status, code) in
        [(&first, "200", None), (&server(2), "200", None), (&server(3), "400", Some("expired"))]
    {
        assert_eq!(said(span, "http.request.method").unwrap(), "POST");
        assert_eq!(said(span, "countersign.route").unwrap(), "exchange");
        assert_eq!(said(span, "countersign.issuer").unwrap(), "login");
        assert_eq!(said(span, "http.response.status_code").unwrap(), status);
        assert_eq!(said(span, "error.type").as_deref(), code);
    }
    let refused = in_trace(3).into_iter().find(|span| span.name == "countersign").unwrap();
    assert_eq!(said(refused, "error.type").unwrap(), "expired");

    // The upstream's parent is our span, in the client's trace.
    let ours = server(4);
    let heard = format!("00-{}-{}-01", hex(&[4; 16]), hex(&ours.span_id));
    assert_eq!(seen(&child, "traceparent"), [heard]);
    assert_eq!(seen(&child, "tracestate"), ["vendor=state-secret"]);
    assert_eq!(ours.name, "GET forward");
    // For a client that does not sample, no span is exported, and the upstream gets the flag unset.
    assert!(in_trace(5).is_empty());
    let [heard] = &seen(&quiet, "traceparent")[..] else { panic!("{quiet}") };
    assert!(heard.starts_with(&trace(5, false)[..36]) && heard.ends_with("-00"), "{heard}");
    assert_ne!(*heard, trace(5, false));
    // Without a parent, or with two, a new trace begins, and the `tracestate` of another is not passed on.
    for (answer, name) in
        [(&alone, "_OTHER forward"), (&wrong, "GET forward"), (&twice, "GET forward")]
    {
        let [heard] = &seen(answer, "traceparent")[..] else { panic!("{answer}") };
        let span = spans.iter().find(|s| hex(&s.span_id) == heard[36..52]).unwrap();
        assert_eq!(hex(&span.trace_id), heard[3..35]);
        assert!(span.parent_span_id.is_empty() && span.name == name, "{span:?}");
        assert!(seen(answer, "tracestate").is_empty());
    }
    assert!(in_trace(6).is_empty());

    let fetch = spans.iter().find(|span| span.name == "fetch key set").unwrap();
    assert_eq!(said(fetch, "countersign.issuer").unwrap(), "login");
    assert_eq!(said(fetch, "countersign.outcome").unwrap(), "ok");
    let resource = collector.requests()[0].resource_spans[0].resource.clone().unwrap();
    let name = resource.attributes.iter().find(|a| a.key == "service.name").unwrap();
    let name = name.value.clone().unwrap().value;
    assert_eq!(name, Some(Any::StringValue("countersign".into())));
    for (headers, _) in collector.posts.lock().unwrap().iter() {
        assert_eq!(headers["x-api-key"], "otel-credential");
        assert_eq!(headers["content-type"], "application/x-protobuf");
    }

    let mut secrets: Vec<String> =
        ["-secret", "-SECRET", "id-in-no-span", "eyJ", "otel-credential"].map(Into::into).into();
    secrets.extend(good.split('.').chain(expired.split('.')).map(ToOwned::to_owned));
    let bodies = collector.bodies();
    assert!(!bodies.is_empty());
    for body in bodies {
        for secret in &secrets {
            let there = body.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
            assert!(!there, "{secret} is in {}", String::from_utf8_lossy(&body));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_upstream_is_told_by_its_code() {
    provider();
    let (upstream, collector) = (Upstream::start().await, Collector::start().await);
    // No server listens there.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let toml = toml(&upstream, &collector.url)
        .replace("\"/jwks\"", &format!("\"{}/jwks\"", upstream.url()));
    let proxy = Proxy::ready(&format!("http://{gone}"), &toml).await;
    let answer = reqwest::Client::new().get(proxy.url("/seen"));
    let answer = answer.header("traceparent", trace(9, true)).send().await.unwrap();
    assert_eq!(answer.status(), 502);
    stopped(proxy).await;
    let spans = collector.spans();
    let span = spans.iter().find(|span| span.trace_id == [9; 16]).unwrap();
    assert_eq!(said(span, "error.type").unwrap(), "upstream_unreachable");
    assert_eq!(span.status.clone().unwrap().code, 2);
}

/// A collector that is down, or that accepts a connection and never answers, delays no request.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_collector_slows_nobody() {
    provider();
    let upstream = Upstream::start().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [gone, silent.local_addr().unwrap()] {
        let toml = toml(&upstream, &format!("http://{address}"));
        let proxy = Proxy::ready(&upstream.url(), &toml).await;
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        // More spans than the queue holds: the surplus is lost, and no request waits.
        for _ in 0..24 {
            let requests = (0..100).map(|_| client.get(proxy.url("/big/1")).send());
            for answer in futures::future::join_all(requests).await {
                assert_eq!(answer.unwrap().status(), 200);
            }
        }
        assert_eq!(exchange(&proxy, &upstream.token(&upstream.claims()), "x").await, 200);
        stopped(proxy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_traces_pass_untouched() {
    provider();
    let upstream = Upstream::start().await;
    let proxy = Proxy::ready(&upstream.url(), "").await;
    let request = reqwest::Client::new().get(proxy.url("/seen"));
    let request = request.header("traceparent", trace(7, true)).header("tracestate", "a=b");
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(seen(&answer, "traceparent"), [trace(7, true)]);
    assert_eq!(seen(&answer, "tracestate"), ["a=b"]);
}
