//! Every place that can hold a token, on real sockets, and the header fields that describe the
//! changed body.

use crate::support::signer;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use crate::support::proxy::{Proxy, RequestExt as _, Upstream, provider};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// The answer for every path, and the last request received.
#[derive(Default)]
struct Answer {
    status: u16,
    fields: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Sends the body in two chunks without `Content-Length`.
    chunked: bool,
    saw: HeaderMap,
    sent: Bytes,
}

#[derive(Clone)]
struct Api {
    url: String,
    answer: Arc<Mutex<Answer>>,
}

impl Api {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(Answer::default()));
        let app = Router::new().fallback(answered).with_state(answer.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, answer }
    }

    fn say(&self, status: u16, fields: &[(&'static str, &str)], body: impl Into<Vec<u8>>) {
        let mut answer = self.answer.lock().unwrap();
        answer.status = status;
        answer.fields = fields.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        answer.body = body.into();
        answer.chunked = false;
    }

    fn chunked(&self) {
        self.answer.lock().unwrap().chunked = true;
    }

    fn saw(&self, name: &str) -> Vec<String> {
        let answer = self.answer.lock().unwrap();
        answer.saw.get_all(name).iter().map(|v| v.to_str().unwrap().to_owned()).collect()
    }
}

async fn answered(State(answer): State<Arc<Mutex<Answer>>>, request: Request) -> Response {
    let saw = request.headers().clone();
    let sent = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let mut answer = answer.lock().unwrap();
    (answer.saw, answer.sent) = (saw, sent);
    let mut headers = HeaderMap::new();
    for (name, value) in &answer.fields {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    let body = Bytes::from(answer.body.clone());
    let body = if answer.chunked {
        let half = body.len() / 2;
        let parts = [Ok::<_, std::io::Error>(body.slice(..half)), Ok(body.slice(half..))];
        Body::from_stream(futures::stream::iter(parts))
    } else {
        Body::from(body)
    };
    (StatusCode::from_u16(answer.status).unwrap(), headers, body).into_response()
}

/// An issuer, an API that answers with its tokens, and the proxy between client and API.
struct Scene {
    issuer: Upstream,
    api: Api,
    proxy: Proxy,
    client: reqwest::Client,
}

const RULES: &str = r#"
[[tokens]]
path = "/json"
json = ["access_token", "id_token"]
[[tokens]]
path = "/api/**"
bearer = "swap"
[[tokens]]
path = "/login"
cookies = ["session"]
[[tokens]]
path = "/post"
form_post = ["access_token", "id_token"]
[[tokens]]
path = "/redirect"
redirect = ["access_token", "id_token"]
[[tokens]]
path = "/me"
jwt_body = true
[[tokens]]
path = "/back"
restore_cookies = ["session"]
[[tokens]]
path = "/fields"
headers = ["set-auth-jwt", "authorization"]
[[tokens]]
path = "/api-of-the-issuer"
restore_json = ["subject_token", "inputs[*].token"]
"#;

/// Fields that describe the bytes of the original body.
const OF_THE_BYTES: [(&str, &str); 5] = [
    ("etag", "\"of-the-old\""),
    ("digest", "sha-256=old"),
    ("content-digest", "sha-256=:old=:"),
    ("content-md5", "old"),
    ("accept-ranges", "bytes"),
];

impl Scene {
    async fn start(more: &str) -> Self {
        Self::with_issuer(more, "").await
    }

    /// `own` is added to the [[issuer]] table. `API` in the text stands for the API's address.
    async fn with_issuer(more: &str, own: &str) -> Self {
        provider();
        let issuer = Upstream::start().await;
        let api = Api::start().await;
        let more = more.replace("API", &api.url);
        let keys =
            format!("[[issuer]]\nissuer = \"{0}\"\njwks = \"{0}/jwks\"\n{own}", issuer.url());
        let proxy = Proxy::ready(&api.url, &format!("{more}{keys}{RULES}")).await;
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_gzip()
            .no_brotli()
            .build()
            .unwrap();
        Self { issuer, api, proxy, client }
    }

    fn token(&self) -> String {
        self.issuer.token(&self.issuer.claims())
    }

    async fn get(&self, path: &str) -> (HeaderMap, Bytes) {
        let answer = self.client.get(self.proxy.url(path)).send().await.unwrap();
        let fields = answer.headers().clone();
        (fields, answer.bytes().await.unwrap())
    }

    /// Checks that `new` has the claims of `old` and a signature of ours that the served set
    /// verifies.
    async fn is_ours(&self, new: &str, old: &str) {
        let (_, set) = self.get("/.well-known/jwks.json").await;
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&set).unwrap();
        let head = jsonwebtoken::decode_header(new).unwrap();
        assert_eq!(head.alg, jsonwebtoken::Algorithm::RS256);
        let key = set.find(&head.kid.unwrap()).unwrap();
        let mut wanted = jsonwebtoken::Validation::new(head.alg);
        wanted.set_audience(&["app"]);
        let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
        let read = jsonwebtoken::decode::<Value>(new, &key, &wanted).unwrap();
        let mut claims = read.claims;
        // Hash claims cover the new tokens, so they differ.
        for hash in ["at_hash", "c_hash", "s_hash"] {
            claims.as_object_mut().unwrap().remove(hash);
        }
        let mut expected = self.issuer.claims_of(old);
        for hash in ["at_hash", "c_hash", "s_hash"] {
            expected.as_object_mut().unwrap().remove(hash);
        }
        assert_eq!(claims, expected);
    }
}

/// A changed body has its own length, and no field describes the old bytes.
fn speaks_of(fields: &HeaderMap, body: &[u8]) {
    for gone in ["etag", "digest", "content-digest", "content-md5", "accept-ranges"] {
        assert!(!fields.contains_key(gone), "{gone}");
    }
    assert!(!fields.contains_key("content-encoding") && !fields.contains_key("transfer-encoding"));
    assert_eq!(fields["content-length"].to_str().unwrap(), body.len().to_string());
}

/// An unchanged body keeps all these fields.
fn untouched(fields: &HeaderMap) {
    for (name, value) in OF_THE_BYTES {
        assert_eq!(fields[name], value);
    }
}

fn with_media(media: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut fields = vec![("content-type", media), ("x-kept", "yes")];
    fields.extend(OF_THE_BYTES);
    fields
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn br(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    brotli::CompressorWriter::new(&mut out, 4096, 3, 20).write_all(bytes).unwrap();
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_swaps_the_bearer_and_judges_nothing() {
    let scene = Scene::start("").await;
    scene.api.say(200, &[], "fine");
    let send = async |path: &str, value: &str| {
        let get = scene.client.get(scene.proxy.url(path)).header("authorization", value);
        let answer = get.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.bytes().await.unwrap(), "fine");
        scene.api.saw("authorization")
    };
    let token = scene.token();
    for scheme in ["Bearer", "bearer"] {
        let saw = send("/api/a/b?c=d", &format!("{scheme} {token}")).await;
        assert_eq!(saw.len(), 1);
        let new = saw[0].strip_prefix("Bearer ").unwrap();
        scene.is_ours(new, &token).await;
    }
    scene.api.say(200, &[], "fine");
    // An unverifiable token is forwarded unchanged: the API refuses it, not the gateway.
    let mut old = scene.issuer.claims();
    old["exp"] = json!(1);
    let expired = scene.issuer.token(&old);
    let damaged = format!("{}A", &token[..token.len() - 1]);
    for passes in [format!("Bearer {expired}"), format!("Bearer {damaged}"), "Bearer op".into()] {
        assert_eq!(send("/api/x", &passes).await, [passes]);
    }
    // Where no rule applies, tokens are not swapped.
    let other = format!("Bearer {token}");
    assert_eq!(send("/other", &other).await, [other]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_keep_their_order_and_attributes() {
    let scene = Scene::start("").await;
    let token = scene.token();
    let fields = [
        ("set-cookie", format!("a={token}; Path=/")),
        ("set-cookie", format!("session={token}; Path=/; HttpOnly; SameSite=Lax; Secure")),
        ("set-cookie", "session=opaque; Path=/old; Max-Age=0".to_owned()),
    ];
    let mut all: Vec<(&'static str, &str)> = with_media("text/plain");
    all.extend(fields.iter().map(|(n, v)| (*n, v.as_str())));
    scene.api.say(200, &all, "body");
    let (head, body) = scene.get("/login").await;
    // The body is unchanged, and so are all fields that describe it.
    untouched(&head);
    assert_eq!(body, "body");
    let lines: Vec<_> = head.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect();
    assert_eq!((lines.len(), lines[0], lines[2]), (3, fields[0].1.as_str(), fields[2].1.as_str()));
    let new = lines[1].strip_prefix("session=").unwrap();
    let new = new.strip_suffix("; Path=/; HttpOnly; SameSite=Lax; Secure").unwrap();
    scene.is_ours(new, &token).await;
}

/// Browsers send cookies of other applications as the bytes that were set.
#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_restored_beside_one_of_other_bytes() {
    let scene = Scene::start("").await;
    let token = scene.token();
    scene.api.say(200, &[("set-cookie", &format!("session={token}"))], "");
    let (head, _) = scene.get("/login").await;
    let new = head["set-cookie"].to_str().unwrap();
    assert_ne!(new, format!("session={token}"));
    let cookies = format!("name=Jos\u{e9}; {new}; last=\u{1f600}");
    let sent = HeaderValue::from_bytes(cookies.as_bytes()).unwrap();
    let back = scene.client.get(scene.proxy.url("/back")).header("cookie", sent);
    assert_eq!(back.send().await.unwrap().status(), 200);
    let saw = scene.api.answer.lock().unwrap().saw["cookie"].as_bytes().to_vec();
    let expected = format!("name=Jos\u{e9}; session={token}; last=\u{1f600}");
    assert_eq!(String::from_utf8(saw).unwrap(), expected);
}

/// The body that the upstream received, and its `Content-Length`.
async fn sent_as(scene: &Scene, request: reqwest::RequestBuilder) -> (String, String) {
    scene.api.say(200, &[], "{}");
    assert_eq!(request.send().await.unwrap().status(), 200);
    let sent = String::from_utf8(scene.api.answer.lock().unwrap().sent.to_vec()).unwrap();
    (sent, scene.api.saw("content-length").concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_request_shows_the_originals() {
    let scene = Scene::start("[server.limits]\nbody = \"16KiB\"\n").await;
    let old = scene.token();
    scene.api.say(
        200,
        &[("content-type", "application/json")],
        format!(r#"{{"access_token":"{old}"}}"#),
    );
    let (_, body) = scene.get("/json").await;
    let new: Value = serde_json::from_slice(&body).unwrap();
    let new = new["access_token"].as_str().unwrap();
    assert_ne!(new, old);
    let text = |token: &str| {
        format!(
            "{{ \"n\":1.0e+2, \"subject_token\":\"{token}\",\"other\":\"{new}\",\"inputs\":[{{\"token\":\"{token}\"}},\
             {{\"token\":\"opaque\"}}] }}\n"
        )
    };
    let url = scene.proxy.url("/api-of-the-issuer");
    let send = |method: Method, media: &str, body: String| {
        scene.client.request(method, &url).header("content-type", media).body(body)
    };
    // Only the named values and the length change.
    for (method, media) in [
        (Method::POST, "application/json"),
        (Method::PUT, "Application/JSON; charset=utf-8"),
        (Method::PATCH, "application/scim+json"),
    ] {
        // A digest is of the bytes that the client sent.
        let request = send(method, media, text(new)).header("content-digest", "sha-256=:eA==:");
        let (sent, length) = sent_as(&scene, request).await;
        assert_eq!(sent, text(&old), "{media}");
        assert_eq!(length, text(&old).len().to_string());
        assert_eq!(scene.api.saw("content-digest").concat(), "");
    }
    let parts =
        [text(new)[..40].to_owned(), text(new)[40..].to_owned()].map(Ok::<_, std::io::Error>);
    let parts = reqwest::Body::wrap_stream(futures::stream::iter(parts));
    let chunked = scene.client.post(&url).header("content-type", "application/json").body(parts);
    assert_eq!(sent_as(&scene, chunked).await.0, text(&old));
    // Tokens of others, and bodies of other formats, are forwarded unchanged.
    let twice = format!(r#"{{"subject_token":"{new}","subject_token":"{new}"}}"#);
    let large = format!(r#"{{"subject_token":"{new}","more":"{}"}}"#, "x".repeat(16 * 1024));
    for (media, body) in [
        ("application/json", text(&old)),
        ("application/json", text(&format!("{new}A"))),
        ("application/json", twice),
        ("application/json", format!("{} x", text(new))),
        ("application/json", large),
        ("text/plain", text(new)),
        ("application/x-www-form-urlencoded", format!("subject_token={new}")),
    ] {
        let (sent, length) = sent_as(&scene, send(Method::POST, media, body.clone())).await;
        assert_eq!((sent, length), (body.clone(), body.len().to_string()), "{media}");
    }
    let encoded = send(Method::POST, "application/json", text(new)).header("content-encoding", "x");
    assert_eq!(sent_as(&scene, encoded).await.0, text(new));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issuer_sees_its_own_token_under_either_scheme() {
    let scene = Scene::start("").await;
    let old = scene.token();
    scene.api.say(200, &[("set-cookie", &format!("session={old}"))], "");
    let (head, _) = scene.get("/login").await;
    let new = head["set-cookie"].to_str().unwrap().strip_prefix("session=").unwrap();
    let send = async |path: &str, value: String| {
        let get = scene.client.get(scene.proxy.url(path)).header("authorization", value);
        assert_eq!(get.send().await.unwrap().status(), 200);
        scene.api.saw("authorization")
    };
    for scheme in ["Bearer", "DPoP"] {
        assert_eq!(send("/any", format!("{scheme} {new}")).await, [format!("{scheme} {old}")]);
    }
    // A gateway rule issues bearer tokens, so a DPoP token, which needs a proof, is forwarded
    // unchanged.
    assert_eq!(send("/api/x", format!("DPoP {old}")).await, [format!("DPoP {old}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_may_be_a_token_or_a_bearer_token() {
    let scene = Scene::start("").await;
    let token = scene.token();
    let bearer = format!("Bearer {token}");
    let fields =
        [("set-auth-jwt", &*token), ("authorization", &bearer), ("x-other", &token), ("x-a", "b")];
    scene.api.say(200, &fields, "body");
    let (head, body) = scene.get("/fields").await;
    let said = |name: &str| head[name].to_str().unwrap();
    assert_eq!((said("x-other"), said("x-a"), &body[..]), (&*token, "b", &b"body"[..]));
    scene.is_ours(said("set-auth-jwt"), &token).await;
    scene.is_ours(said("authorization").strip_prefix("Bearer ").unwrap(), &token).await;
}

/// A token that is refused here (it is too long) is passed on, and the client can still log in with
/// it.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_passes_verifies_by_what_we_serve() {
    let scene = Scene::start("").await;
    let mut claims = scene.issuer.claims();
    claims["groups"] = json!("x".repeat(17_000));
    let token = scene.issuer.token(&claims);
    scene.api.say(200, &[], format!(r#"{{"access_token":"{token}"}}"#));
    let (_, body) = scene.get("/json").await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["access_token"], token);
    let (_, set) = scene.get("/.well-known/jwks.json").await;
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&set).unwrap();
    let head = jsonwebtoken::decode_header(&token).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(set.find(&head.kid.unwrap()).unwrap()).unwrap();
    let mut wanted = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES384);
    wanted.set_audience(&["app"]);
    let read = jsonwebtoken::decode::<Value>(&token, &key, &wanted).unwrap();
    assert_eq!(read.claims, claims);
}

/// Browsers silently drop a cookie above 4,096 bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_never_grows_past_what_browsers_keep() {
    let scene = Scene::start("").await;
    let of_length = |length: usize| {
        let mut claims = scene.issuer.claims();
        claims["x"] = json!("");
        while scene.issuer.token(&claims).len() < length {
            let x = claims["x"].as_str().unwrap().to_owned() + "x";
            claims["x"] = json!(x);
        }
        scene.issuer.token(&claims)
    };
    for (length, carries, is_new) in
        [(3_000, true, true), (3_800, false, true), (4_050, false, false)]
    {
        let token = of_length(length);
        scene.api.say(200, &[("set-cookie", &format!("session={token}; HttpOnly"))], "");
        let (head, _) = scene.get("/login").await;
        let line = head["set-cookie"].to_str().unwrap();
        let new = line.strip_prefix("session=").unwrap().strip_suffix("; HttpOnly").unwrap();
        assert!("session".len() + new.len() <= 4096, "{length}");
        assert_eq!(new != token, is_new, "{length}");
        if is_new {
            scene.is_ours(new, &token).await;
            let head = countersign::jose::base64url::decode(new.split('.').next().unwrap());
            let head: Value = serde_json::from_slice(&head.unwrap()).unwrap();
            assert_eq!(head.get("cso").is_some(), carries, "{length}");
        }
    }
    let metrics = format!("http://{}/metrics", scene.proxy.handle.admin.unwrap());
    let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    let counted = metrics.lines().find(|line| line.contains("\"cookie_too_large\""));
    assert!(counted.is_some_and(|line| line.ends_with(" 1")), "{counted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_beside_a_shortened_token_is_its_own() {
    let scene = Scene::with_issuer("", "max_lifetime = \"100s\"\n").await;
    let token = scene.token();
    let text = |token: &str, life: u64| {
        format!(r#"{{"access_token":"{token}","expires_in": {life},"refresh_expires_in":3600}}"#)
    };
    scene.api.say(200, &[], text(&token, 3600));
    let (_, body) = scene.get("/json").await;
    let new: Value = serde_json::from_slice(&body).unwrap();
    let life = new["expires_in"].as_u64().unwrap();
    let claims = scene.issuer.claims_of(new["access_token"].as_str().unwrap());
    let whole = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert!(whole == 100 && (1..=100).contains(&life), "{whole} {life}");
    assert_eq!(body, text(new["access_token"].as_str().unwrap(), life));
}

/// Cookies of other applications may contain any bytes; the session's cookie is found among them.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_exchanged_beside_a_cookie_of_other_bytes() {
    let session = "[exchange.session]\nurl = \"API/session\"\ncookies = [\"sid\"]\n\
        issuer = \"https://app.example\"\naudience = \"app\"\n\
        [exchange.session.claims]\nsub = \"id\"\n";
    let scene = Scene::start(session).await;
    scene.api.say(200, &[], r#"{"id":"ada"}"#);
    let cookies = "name=Jos\u{e9}; sid=s1; last=\u{1f600}";
    let form = [("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")];
    let ask = scene.client.post(scene.proxy.url("/_countersign/token")).form(&form);
    let ask = ask.header("cookie", HeaderValue::from_bytes(cookies.as_bytes()).unwrap());
    let answer = ask.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let claims = scene.issuer.claims_of(answer["access_token"].as_str().unwrap());
    assert_eq!(claims["sub"], "ada");
    assert_eq!(scene.api.saw("cookie"), ["sid=s1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_may_hold_letters_beyond_ascii() {
    let scene = Scene::start("").await;
    let token = scene.token();
    let old = format!("https://app/caf\u{e9}?name=Jos\u{e9}&id_token={token}");
    scene.api.say(303, &[("location", &old)], "");
    let (head, _) = scene.get("/redirect").await;
    let new = String::from_utf8(head["location"].as_bytes().to_vec()).unwrap();
    let (before, new) = new.split_once("&id_token=").unwrap();
    assert_eq!(before, "https://app/caf\u{e9}?name=Jos\u{e9}");
    scene.is_ours(new, &token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_posts_itself_holds_the_new_tokens() {
    let scene = Scene::start("").await;
    let token = scene.token();
    let page = |access: &str, id: &str| {
        format!(
            "<!doctype html><!-- {token} --><form method=post action=\"https://app/cb\">\r\n\
             <input type=\"hidden\" name=\"access_token\" value=\"{access}\"/>\
             <INPUT TYPE=hidden name='id_token' value='{id}'><input name=\"id_token2\" value=\"\">\
             <input type=\"hidden\" name=\"code\" value=\"c&amp;d\"/>\u{e9}</form>"
        )
    };
    scene.api.say(200, &with_media("text/html; charset=utf-8"), page(&token, &token));
    let (head, body) = scene.get("/post").await;
    speaks_of(&head, &body);
    assert_eq!(head["x-kept"], "yes");
    let text = String::from_utf8(body.to_vec()).unwrap();
    let between = |start: &str, end: char| {
        let (_, rest) = text.split_once(start).unwrap();
        rest.split_once(end).unwrap().0.to_owned()
    };
    let access = between("name=\"access_token\" value=\"", '"');
    let id = between("name='id_token' value='", '\'');
    scene.is_ours(&access, &token).await;
    scene.is_ours(&id, &token).await;
    assert_eq!(text, page(&access, &id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_holds_them_in_query_and_fragment() {
    let scene = Scene::start("").await;
    let token = scene.token();
    let location = |a: &str, b: &str| {
        format!("https://app/cb?x=%20y&access_token={a}&z=#state=s%2F&id_token={b}&e=1")
    };
    let old = location(&token, &token);
    let mut fields = with_media("text/html");
    fields.push(("location", &old));
    scene.api.say(303, &fields, "moved");
    let answer = scene.client.get(scene.proxy.url("/redirect")).send().await.unwrap();
    assert_eq!(answer.status(), 303);
    let head = answer.headers().clone();
    untouched(&head);
    assert_eq!(answer.bytes().await.unwrap(), "moved");
    let new = head["location"].to_str().unwrap();
    let (_, rest) = new.split_once("&access_token=").unwrap();
    let access = rest.split_once('&').unwrap().0;
    let (_, rest) = new.split_once("&id_token=").unwrap();
    let id = rest.split_once('&').unwrap().0;
    assert_eq!(new, location(access, id));
    scene.is_ours(access, &token).await;
    scene.is_ours(id, &token).await;
}

/// The hash of OpenID Connect Core §3.1.3.6, made with code that is not under test.
fn left_half(of: &'static aws_lc_rs::digest::Algorithm, text: &str) -> String {
    let hash = aws_lc_rs::digest::digest(of, text.as_bytes());
    signer::b64(&hash.as_ref()[..hash.as_ref().len() / 2])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_speaks_of_the_access_token_the_client_gets() {
    use aws_lc_rs::digest::{SHA256, SHA384};
    let scene = Scene::start("").await;
    let answer = |access: &str, id: &str| {
        json!({ "access_token": access, "id_token": id, "token_type": "Bearer" }).to_string()
    };
    let id_token = |hash: Value| {
        let mut claims = scene.issuer.claims();
        claims["nonce"] = json!("n1");
        claims["at_hash"] = hash;
        scene.issuer.token(&claims)
    };
    let swapped = async |access: &str, id: &str| {
        scene.api.say(200, &with_media("application/json"), answer(access, id));
        let (_, body) = scene.get("/json").await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        (text("access_token"), text("id_token"))
    };
    let access = scene.token();
    // The original's hash covers the original access token; the new hash covers the new one.
    let id = id_token(json!(left_half(&SHA384, &access)));
    let (new_access, new_id) = swapped(&access, &id).await;
    scene.is_ours(&new_access, &access).await;
    scene.is_ours(&new_id, &id).await;
    assert_ne!(new_access, access);
    let claims = scene.issuer.claims_of(&new_id);
    assert_eq!(claims["at_hash"], left_half(&SHA256, &new_access));
    // An opaque access token is not changed and still gets its hash. So does a signed one that is
    // invalid.
    let expired = scene.issuer.token(&json!({"iss": scene.issuer.url(), "exp": 1}));
    for opaque in ["opaque-1", &expired] {
        let id = id_token(json!(left_half(&SHA384, opaque)));
        let (same, new_id) = swapped(opaque, &id).await;
        assert_eq!(same, opaque);
        let claims = scene.issuer.claims_of(&new_id);
        assert_eq!(claims["at_hash"], left_half(&SHA256, opaque));
        scene.is_ours(&new_id, &id).await;
    }
    // The ID token of another user, or an access token of another: no hash is made for that pair.
    let stranger = scene.issuer.token(&{
        let mut claims = scene.issuer.claims();
        claims["sub"] = json!("u2");
        claims
    });
    let wrong = [
        id_token(json!(left_half(&SHA384, &stranger))),
        id_token(json!(left_half(&SHA384, &new_access))),
        id_token(json!("")),
        id_token(json!(7)),
        id_token(Value::Null),
    ];
    for id in wrong {
        let (_, same) = swapped(&access, &id).await;
        assert_eq!(same, id, "the ID token is the issuer's still");
    }
    let metrics = format!("http://{}/metrics", scene.proxy.handle.admin.unwrap());
    let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    let counted = metrics.lines().find(|l| l.contains("place") && l.contains("\"hash\""));
    assert!(counted.is_some_and(|l| l.ends_with(" 5")), "{counted:?} in {metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn userinfo_may_be_one_token() {
    let scene = Scene::start("").await;
    let token = scene.token();
    scene.api.say(200, &with_media("application/jwt"), format!("{token}\n"));
    let (head, body) = scene.get("/me").await;
    speaks_of(&head, &body);
    assert_eq!(head["content-type"], "application/jwt");
    let text = String::from_utf8(body.to_vec()).unwrap();
    scene.is_ours(text.strip_suffix('\n').unwrap(), &token).await;
    // Plain JSON claims are not a token.
    scene.api.say(200, &with_media("application/json"), r#"{"sub":"u1"}"#);
    let (head, body) = scene.get("/me").await;
    untouched(&head);
    assert_eq!(body, r#"{"sub":"u1"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_any_coding_is_read_and_sent_plain() {
    let scene = Scene::start("").await;
    let token = scene.token();
    let json = |token: &str| format!(r#"{{"id_token":"{token}","n":1.0}}"#);
    let plain = json(&token).into_bytes();
    let codings: [(_, &[&str]); 5] = [
        (plain.clone(), &[]),
        (gzip(&plain), &["gzip"]),
        (br(&plain), &["br"]),
        (zstd::encode_all(&plain[..], 1).unwrap(), &["zstd"]),
        // Two field lines form one list.
        (gzip(&br(&plain)), &["br", "gzip"]),
    ];
    for (body, codings) in codings {
        for chunked in [false, true] {
            let mut fields = with_media("application/json");
            fields.extend(codings.iter().map(|coding| ("content-encoding", *coding)));
            scene.api.say(200, &fields, body.clone());
            if chunked {
                scene.api.chunked();
            }
            let (head, new) = scene.get("/json").await;
            assert_eq!(scene.api.saw("accept-encoding"), ["identity"]);
            speaks_of(&head, &new);
            let text = String::from_utf8(new.to_vec()).unwrap();
            let read: Value = serde_json::from_str(&text).unwrap();
            let new = read["id_token"].as_str().unwrap();
            assert_eq!(text, json(new), "{codings:?}");
            scene.is_ours(new, &token).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_or_no_json_passes_byte_for_byte() {
    let scene = Scene::start("[server.limits]\nanswer = \"16KiB\"\n").await;
    let token = scene.token();
    // This text does not compress, so the compressed body is over the limit too.
    let noise: String = (0..40_000u32)
        .map(|i| char::from(b'a' + (i.wrapping_mul(2_654_435_761) >> 13) as u8 % 26))
        .collect();
    let long = format!(r#"{{"id_token":"{token}","x":"{noise}"}}"#).into_bytes();
    // A small body on the wire that is large once decompressed.
    let bomb =
        gzip(format!(r#"{{"id_token":"{token}","x":"{}"}}"#, "y".repeat(1 << 20)).as_bytes());
    assert!(bomb.len() < 16 << 10);
    let html = format!("<html>{token}</html>").into_bytes();
    let broken = format!(r#"{{"id_token":"{token}""#).into_bytes();
    for (what, body, media, coding) in [
        ("long", long.clone(), "application/json", None),
        ("long, packed", gzip(&long), "application/json", Some("gzip")),
        ("bomb", bomb, "application/json", Some("gzip")),
        ("unknown coding", b"\x01\x02".to_vec(), "application/json", Some("x-own")),
        ("not what it says", b"not gzip".to_vec(), "application/json", Some("gzip")),
        ("page", html, "text/html", None),
        ("cut", broken, "application/json", None),
        ("no token", br#"{"id_token":5,"access_token":"opaque"}"#.to_vec(), "text/json", None),
        ("nothing", Vec::new(), "application/json", None),
    ] {
        for chunked in [false, true] {
            let mut fields = with_media(media);
            fields.extend(coding.map(|coding| ("content-encoding", coding)));
            scene.api.say(200, &fields, body.clone());
            if chunked {
                scene.api.chunked();
            }
            let (head, same) = scene.get("/json").await;
            untouched(&head);
            assert_eq!(head.get("content-encoding").map(|v| v.to_str().unwrap()), coding, "{what}");
            if let Some(length) = head.get("content-length") {
                assert_eq!(length.to_str().unwrap(), body.len().to_string(), "{what}");
            }
            assert!(same == body, "{what}, {chunked}: {} for {}", same.len(), body.len());
        }
    }
    // The connection can still be used for the next request.
    scene.api.say(200, &with_media("application/json"), format!(r#"{{"id_token":"{token}"}}"#));
    let (head, body) = scene.get("/json").await;
    speaks_of(&head, &body);
}

/// Byte positions of a partial answer refer to the whole one, so it is passed on unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_an_answer_passes() {
    let scene = Scene::start("").await;
    let token = scene.token();
    let part = format!(r#"{{"id_token":"{token}"}}"#);
    let range = format!("bytes 0-{}/9999", part.len() - 1);
    let mut fields = with_media("application/json");
    fields.push(("content-range", &range));
    scene.api.say(206, &fields, part.clone());
    let (head, body) = scene.get("/json").await;
    untouched(&head);
    assert_eq!(head["content-range"], range.as_str());
    assert_eq!(body, part);
}
