//! The proxy on real sockets: key sets, discovery, tokens in answers, and forwarding.

use crate::support::client::{raw, status};
use crate::support::proxy::{Proxy, RequestExt as _, ResponseExt as _, Upstream, provider};
use serde_json::{Value, json};

fn payload(token: &str) -> Value {
    use base64::Engine;
    let part = token.split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn header(token: &str) -> Value {
    use base64::Engine;
    let part = token.split('.').next().unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

async fn started() -> (Upstream, Proxy) {
    provider();
    let upstream = Upstream::start().await;
    let proxy = Proxy::ready(&upstream.url(), "").await;
    (upstream, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_set_is_normalised_negotiated_and_revalidated() {
    let (_upstream, proxy) = started().await;
    let client = reqwest::Client::new();
    for path in ["/.well-known/jwks.json", "/jwks", "/jwks?x=1"] {
        let answer = client.get(proxy.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let field = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(field("content-type"), "application/jwk-set+json");
        assert_eq!(field("vary"), "Accept");
        assert_eq!(field("cache-control"), "public, max-age=300");
        assert_eq!(field("access-control-allow-origin"), "*");
        assert!(answer.headers().get("set-cookie").is_none());
        let etag = field("etag");
        let set: Value = answer.json().await.unwrap();
        // Our key comes first. The issuer's key does the verifier no harm, and other clients need
        // it.
        let algs: Vec<_> = set["keys"].as_array().unwrap().iter().map(|k| &k["alg"]).collect();
        assert_eq!(algs, ["RS256", "ES384"]);
        let again = client.get(proxy.url(path)).header("if-none-match", format!("W/{etag}, \"x\""));
        let again = again.send().await.unwrap();
        assert_eq!(again.status(), 304);
        assert_eq!(again.headers()["etag"].to_str().unwrap(), etag);
        let json = client.get(proxy.url(path)).header("accept", "application/json");
        let json = json.send().await.unwrap();
        assert_eq!(json.headers()["content-type"], "application/json");
    }
    let head = client.head(proxy.url("/jwks")).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_ne!(head.headers()["content-length"], "0");
    let preflight = client.request(reqwest::Method::OPTIONS, proxy.url("/jwks")).send().await;
    assert_eq!(preflight.unwrap().status(), 204);
    let wrong = client.delete(proxy.url("/jwks")).send().await.unwrap();
    assert_eq!(wrong.status(), 405);
    assert_eq!(wrong.headers()["allow"], "GET, HEAD, OPTIONS");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_short_way_and_pingoras_give_the_same_answer() {
    let (_upstream, proxy) = started().await;
    let http1 = reqwest::Client::new().get(proxy.url("/jwks")).send().await.unwrap();
    let http2 = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let http2 = http2.get(proxy.url("/jwks")).send().await.unwrap();
    assert_eq!(http2.version(), reqwest::Version::HTTP_2);
    for name in ["content-type", "content-length", "cache-control", "etag", "vary"] {
        assert_eq!(http1.headers()[name], http2.headers()[name], "{name}");
    }
    assert_eq!(http1.bytes().await.unwrap(), http2.bytes().await.unwrap());
    // Two pipelined requests in one write are answered in order on one connection.
    let two = "GET /jwks HTTP/1.1\r\nHost: a\r\n\r\nGET /seen HTTP/1.1\r\nHost: a\r\n\r\n";
    let answers = raw(proxy.handle.public, two.as_bytes()).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_says_what_holds_behind_the_proxy() {
    let (_upstream, proxy) = started().await;
    let answer = reqwest::get(proxy.url("/.well-known/openid-configuration")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let document: Value = answer.json().await.unwrap();
    assert_eq!(document["jwks_uri"], proxy.url("/jwks"));
    assert_eq!(document["id_token_signing_alg_values_supported"], json!(["RS256", "ES384"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_in_an_answer_are_countersigned_and_the_rest_stays() {
    let (upstream, proxy) = started().await;
    let token = upstream.token(&upstream.claims());
    let body = format!(r#"{{ "access_token":"{token}" , "x":1.50,"id_token":"{token}"}}"#);
    let gzip = {
        use std::io::Write;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(body.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    for (bytes, coding) in [(body.clone().into_bytes(), None), (gzip, Some("gzip"))] {
        upstream.tell(|told| {
            told.token = bytes;
            told.token_coding = coding;
        });
        let client = reqwest::Client::builder().no_gzip().build().unwrap();
        let answer = client.post(proxy.url("/token")).body("grant_type=x").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-kept"], "yes");
        for gone in ["etag", "digest", "content-encoding"] {
            assert!(answer.headers().get(gone).is_none(), "{gone}");
        }
        let length: usize = answer.headers()["content-length"].to_str().unwrap().parse().unwrap();
        let text = answer.text().await.unwrap();
        assert_eq!(text.len(), length);
        let new: Value = serde_json::from_str(&text).unwrap();
        let new = new["id_token"].as_str().unwrap().to_owned();
        assert_eq!(header(&new)["alg"], "RS256");
        assert_eq!(payload(&new), upstream.claims_of(&token));
        assert!(text.contains(r#" , "x":1.50,"#), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_read_passes_unchanged() {
    let (upstream, proxy) = started().await;
    let mut old = upstream.claims();
    old["exp"] = json!(1);
    let expired = format!(r#"{{"id_token":"{}"}}"#, upstream.token(&old)).into_bytes();
    let long = format!(r#"{{"x":"{}"}}"#, "y".repeat(3 << 20)).into_bytes();
    for (body, media) in [
        (b"not json".to_vec(), "application/json"),
        (expired, "application/json"),
        (long, "application/json"),
        (b"<html>".to_vec(), "text/html"),
        (Vec::new(), "application/json"),
    ] {
        upstream.tell(|told| {
            told.token = body.clone();
            told.token_type = media;
        });
        let answer = reqwest::Client::new().post(proxy.url("/token")).body("a=b").send().await;
        let answer = answer.unwrap();
        assert_eq!(answer.headers()["etag"], "\"upstream\"");
        assert_eq!(answer.bytes().await.unwrap(), body);
    }
    let places = proxy.handle.app().state.status().places;
    assert_eq!(places["expired"], 1);
    assert_eq!(places["answer_too_large"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_tokens_become_the_issuers_own_on_the_way_back() {
    let (upstream, proxy) = started().await;
    let original = upstream.token(&upstream.claims());
    upstream.tell(|told| told.token = format!(r#"{{"access_token":"{original}"}}"#).into_bytes());
    let client = reqwest::Client::new();
    let answer: Value =
        client.post(proxy.url("/token")).body("a=b").send().await.unwrap().json().await.unwrap();
    let ours = answer["access_token"].as_str().unwrap();
    assert_ne!(ours, original);
    let saw: Value = client
        .get(proxy.url("/userinfo"))
        .bearer_auth(ours)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let bearer = json!(["authorization", format!("Bearer {original}")]);
    assert!(saw["fields"].as_array().unwrap().contains(&bearer), "{saw}");
    let hint = client.get(proxy.url(&format!("/logout?a=1&id_token_hint={ours}&b=2")));
    let saw: Value = hint.send().await.unwrap().json().await.unwrap();
    assert_eq!(saw["target"], format!("/logout?a=1&id_token_hint={original}&b=2"));
    let form = client.post(proxy.url("/introspect")).form(&[("token", ours), ("x", "y")]);
    let saw: Value = form.send().await.unwrap().json().await.unwrap();
    assert_eq!(saw["body"], format!("token={original}&x=y"));
    // A token that we did not sign, or a damaged one, is forwarded unchanged.
    let damaged = format!("{}x", &ours[..ours.len() - 1]);
    let saw: Value = client
        .get(proxy.url("/userinfo"))
        .bearer_auth(&damaged)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let bearer = json!(["authorization", format!("Bearer {damaged}")]);
    assert!(saw["fields"].as_array().unwrap().contains(&bearer));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_in_a_redirect_are_countersigned() {
    let (upstream, proxy) = started().await;
    let token = upstream.token(&upstream.claims());
    upstream.tell(|told| told.location = format!("https://app/cb#id_token={token}&state=s"));
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.build().unwrap();
    // With an upgrade request for a WebSocket that the upstream does not open, the answer is the
    // same.
    for fields in [&[][..], &[("connection", "Upgrade"), ("upgrade", "websocket")]] {
        let mut request = client.get(proxy.url("/authorize?x=y"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 302);
        let location = answer.headers()["location"].to_str().unwrap();
        let new = location.strip_prefix("https://app/cb#id_token=").unwrap();
        let new = new.strip_suffix("&state=s").unwrap();
        assert_eq!(header(new)["alg"], "RS256");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forwarded_says_where_it_came_from() {
    provider();
    let upstream = Upstream::start().await;
    let proxy = Proxy::ready(&upstream.url(), "").await;
    let answer = reqwest::Client::new()
        .get(proxy.url("/seen?q=%20x"))
        .header("host", "auth.example")
        .header("x-forwarded-for", "1.2.3.4")
        .header("x-request-id", "abc")
        .header("te", "trailers")
        .send()
        .await
        .unwrap();
    let saw: Value = answer.json().await.unwrap();
    assert_eq!(saw["target"], "/seen?q=%20x");
    let all = saw["fields"].as_array().unwrap();
    let field = |name: &str| {
        let found: Vec<_> = all.iter().filter(|f| f[0] == name).map(|f| f[1].clone()).collect();
        assert!(found.len() <= 1, "{name} stands twice");
        found.first().cloned().unwrap_or_default()
    };
    assert_eq!(field("host"), "auth.example");
    assert_eq!(field("x-forwarded-for"), "1.2.3.4, 127.0.0.1");
    assert_eq!(field("x-forwarded-proto"), "http");
    assert_eq!(field("x-forwarded-host"), "auth.example");
    assert_eq!(field("x-request-id"), "abc");
    assert_eq!(field("te"), Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_down_is_a_502_and_no_key_set_is_never_an_empty_one() {
    provider();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let toml = format!(
        "[[issuer]]\nname = \"a\"\nissuer = \"http://a\"\njwks = \"http://{address}/jwks\"\n"
    );
    let proxy = Proxy::start(&format!("http://{address}"), &toml);
    for (path, code) in [("/x", "upstream_unreachable"), ("/.well-known/jwks.json", "no_key_set")] {
        let answer = reqwest::get(proxy.url(path)).await.unwrap();
        assert_eq!(answer.status(), 502, "{path}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["code"], code, "{path}");
    }
    let admin = proxy.handle.admin.unwrap();
    let ready = reqwest::get(format!("http://{admin}/readyz")).await.unwrap();
    assert_eq!(ready.status(), 503);
    let alive = reqwest::get(format!("http://{admin}/healthz")).await.unwrap();
    assert_eq!(alive.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_two_lengths_is_refused() {
    let (_upstream, proxy) = started().await;
    let public = proxy.handle.public;
    for request in [
        "POST /seen HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /jwks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "POST /seen HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST /seen HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /seen HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
        "GET /seen HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /seen HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /jwks HTTP/1.1\r\n\r\n",
    ] {
        let answer = raw(public, request.as_bytes()).await;
        assert_eq!(status(&answer), 400, "{request}\n{answer}");
    }
    let long = format!("GET /seen HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(70_000));
    assert_eq!(status(&raw(public, long.as_bytes()).await), 431);
    // A request shorter than the HTTP/2 preface is answered at once.
    let short = raw(public, b"GET / HTTP/1.0\r\n\r\n").await;
    assert_ne!(status(&short), 0);
}
