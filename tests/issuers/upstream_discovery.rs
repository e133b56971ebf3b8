//! How the issuer is learnt from the upstream's discovery document: which addresses are tried, how, what is
//! believed, and how soon a late server is used.

use crate::support::proxy;
use std::io::Write as _;
use std::time::Duration;

use crate::support::fault_issuer::{FaultIssuer, Reply};
use crate::support::proxy::{Proxy, RequestExt as _, ResponseExt as _, provider};
use crate::support::signer::Signer;
use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, Uri, header};
use axum::response::IntoResponse as _;
use serde_json::{Value, json};

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const PUBLIC: &str = "https://login.example.com";

struct Scene {
    server: FaultIssuer,
    signer: Signer,
}

impl Scene {
    /// A server that answers nothing yet.
    async fn new() -> Self {
        provider();
        let signer = Signer::es384();
        let server = FaultIssuer::start(&[signer.jwk("g")]).await;
        server.usually(Reply::status(404));
        Self { server, signer }
    }

    fn base(&self) -> String {
        self.server.url("").as_str().trim_end_matches('/').to_owned()
    }

    fn document(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.base());
        json!({
            "issuer": self.base(), "jwks_uri": at("/jwks"), "token_endpoint": at("/token"),
            "authorization_endpoint": at("/auth"), "id_token_signing_alg_values_supported": ["ES384"],
        })
    }

    fn serve(&self, path: &str, document: &Value) {
        self.server.at(path, Reply::Raw(200, vec![], document.to_string().into_bytes()));
    }

    /// Makes the server answer correctly.
    fn sound(&self) {
        self.serve(OPENID, &self.document());
        self.server.at("/jwks", Reply::ok());
    }

    fn token(&self, iss: &str) -> String {
        let now = countersign::clock::Clock::system().now().secs();
        let claims = json!({"iss": iss, "sub": "u", "aud": "app", "iat": now, "exp": now + 300});
        self.signer.token(&json!({"alg": "ES384", "kid": "g"}), &claims)
    }
}

async fn read(proxy: &Proxy, path: &str) -> (u16, String) {
    let answer = reqwest::get(proxy.url(path)).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn admin(proxy: &Proxy, path: &str) -> Value {
    let admin = proxy.handle.admin.unwrap();
    reqwest::get(format!("http://{admin}{path}")).await.unwrap().json().await.unwrap()
}

/// Waits for a set with the issuer's key; panics with the last answer.
async fn served(proxy: &Proxy, what: &str) {
    let mut last = (0, String::new());
    for _ in 0..1500 {
        last = read(proxy, "/.well-known/jwks.json").await;
        if last.0 == 200 && last.1.contains("\"kid\":\"g\"") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: {last:?}, {}", admin(proxy, "/readyz").await);
}

async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..1500 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

async fn exchange(proxy: &Proxy, token: &str) -> (u16, Value) {
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", token),
    ];
    let ask = reqwest::Client::new().post(proxy.url("/_countersign/token")).form(&form);
    let answer = ask.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// The profile that publishes the issuer's own ES384 key.
const STANDARD: &str = "[profile]\nname = \"standard\"\n";

fn with_public(public: &str) -> String {
    format!("[server]\npublic_url = \"{public}\"\n{STANDARD}")
}

/// The most common ways in which a server is not ready yet. Each once cost ten minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_ready_at_our_start_is_at_work_soon_after_it_is() {
    let json = |text: &str| Reply::Raw(200, vec![], text.as_bytes().to_vec());
    let waits = [
        ("404", Reply::status(404)),
        ("401", Reply::status(401)),
        ("429", Reply::status(429).with("Retry-After: 1")),
        ("503", Reply::status(503)),
        ("a page", Reply::html()),
        ("{}", json("{}")),
        ("no answer", Reply::Close),
    ];
    let each = waits.map(|(name, reply)| async move {
        let scene = Scene::new().await;
        scene.server.usually(reply);
        let proxy = Proxy::start(&scene.base(), STANDARD);
        eventually("it was looked for twice", || scene.server.requests() >= 5).await;
        // The issuer is not known yet, so no token is refused as bad.
        let (status, body) = exchange(&proxy, &scene.token("https://issuer.example")).await;
        assert_eq!((status, &body["code"]), (503, &json!("issuer_keys_unavailable")), "{name}");
        scene.sound();
        served(&proxy, name).await;
        let (status, body) = exchange(&proxy, &scene.token(&scene.base())).await;
        assert_eq!(status, 200, "{name}: {body}");
        let (status, body) = exchange(&proxy, &scene.token("https://issuer.example")).await;
        assert_eq!((status, &body["code"]), (400, &json!("issuer_unknown")), "{name}");
    });
    futures::future::join_all(each).await;
}

/// Most servers have no OAuth document: its 404 says nothing about the other document, which just failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_hiccup_beside_a_404_does_not_mean_that_there_is_no_document() {
    for hiccup in [Reply::status(503), Reply::Close] {
        let scene = Scene::new().await;
        scene.server.at(OPENID, hiccup);
        let proxy = Proxy::start(&scene.base(), STANDARD);
        eventually("it was looked for", || scene.server.requests() >= 4).await;
        let status = admin(&proxy, "/api/status").await;
        assert_eq!(status["discovery"]["state"], "waiting", "{}", status["discovery"]);
        assert_eq!(status["issuers_total"], 0, "nothing was guessed");
        scene.sound();
        served(&proxy, "hiccup").await;
        let status = admin(&proxy, "/api/status").await;
        assert_eq!(status["discovery"]["state"], "learnt");
        assert_eq!(status["discovery"]["issuer"], scene.base());
        assert_eq!(status["discovery"]["belief"], "upstream");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_read_as_a_client_reads_it() {
    let zip = |document: &Value| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(document.to_string().as_bytes()).unwrap();
        out.finish().unwrap()
    };
    type Arrange<'a> = &'a dyn Fn(&Scene);
    let cases: [(&str, &str, Arrange<'_>); 9] = [
        ("a trailing slash", "", &|scene| {
            scene.server.at(OPENID, Reply::redirect(&format!("{OPENID}/")));
            scene.serve(&format!("{OPENID}/"), &scene.document());
        }),
        ("index.php, absolute", "", &|scene| {
            let to = format!("{}/index.php/oidc", scene.base());
            scene.server.at(OPENID, Reply::redirect(&to));
            scene.serve("/index.php/oidc", &scene.document());
        }),
        ("gzip that was not asked for", "", &|scene| {
            let lines = vec!["Content-Encoding: gzip".to_owned()];
            scene.server.at(OPENID, Reply::Raw(200, lines, zip(&scene.document())));
        }),
        ("gzip that is not named", "", &|scene| {
            scene.server.at(OPENID, Reply::Raw(200, vec![], zip(&scene.document())));
        }),
        ("a coding that is none", "", &|scene| {
            let lines = vec!["Content-Encoding: UTF-8".to_owned()];
            let body = scene.document().to_string().into_bytes();
            scene.server.at(OPENID, Reply::Raw(200, lines, body));
        }),
        ("the OAuth document alone", "", &|scene| scene.serve(OAUTH, &scene.document())),
        ("an error with 200 at the first place", "", &|scene| {
            scene.serve(OPENID, &json!({"error": "unsupported"}));
            scene.serve(OAUTH, &scene.document());
        }),
        ("a document without keys at the first place", "", &|scene| {
            scene.serve(OPENID, &json!({"issuer": scene.base()}));
            scene.serve(OAUTH, &scene.document());
        }),
        ("the path behind the well-known part", "/api/auth", &|scene| {
            scene.serve(&format!("{OAUTH}/api/auth"), &scene.document());
        }),
    ];
    for (name, path, arrange) in cases {
        let scene = Scene::new().await;
        scene.server.at("/jwks", Reply::ok());
        arrange(&scene);
        let proxy = Proxy::start(&format!("{}{path}", scene.base()), STANDARD);
        served(&proxy, name).await;
        let status = admin(&proxy, "/api/status").await;
        assert_eq!(status["discovery"]["state"], "learnt", "{name}");
        assert_eq!(status["discovery"]["issuer"], scene.base(), "{name}");
    }
}

/// A server that finds its tenant by the name, and refuses requests without TLS in front.
async fn picky(signer: &Signer) -> String {
    let keys = json!({"keys": [signer.jwk("g")]}).to_string();
    let app = Router::new().fallback(move |uri: Uri, request: Request| async move {
        let field = |name| request.headers().get(name).and_then(|v| v.to_str().ok());
        if field(header::HOST.as_str()) != Some("login.example.com") {
            return (StatusCode::NOT_FOUND, "Instance not found").into_response();
        }
        if field("x-forwarded-proto") != Some("https") {
            let to = format!("{PUBLIC}{}", uri.path());
            return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response();
        }
        match uri.path() {
            OPENID => {
                let at = |path: &str| format!("{PUBLIC}{path}");
                axum::Json(json!({"issuer": PUBLIC, "jwks_uri": at("/jwks")})).into_response()
            }
            "/jwks" => keys.into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_and_keys_are_asked_for_by_the_name_that_clients_use() {
    provider();
    let url = picky(&Signer::es384()).await;
    let configured = format!("[[issuer]]\nissuer = \"{PUBLIC}\"\njwks = \"/jwks\"\n");
    for (name, more) in [("learnt", ""), ("configured", configured.as_str())] {
        let proxy = Proxy::start(&url, &format!("{}{more}", with_public(PUBLIC)));
        served(&proxy, name).await;
    }
    // With another configured name, keys and discovery are both fetched with it.
    let renamed =
        format!("[upstream]\nhost = \"login.example.com\"\n{}", with_public("https://a.example"));
    let proxy = Proxy::start(&url, &renamed);
    served(&proxy, "renamed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_to_its_own_name_alone_is_said_to() {
    provider();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().to_string();
    let (url, keys) = (format!("http://{own}"), json!({"keys": [Signer::es384().jwk("g")]}));
    let document = json!({"issuer": url, "jwks_uri": format!("{url}/jwks")});
    let app = Router::new().fallback(move |uri: Uri, request: Request| async move {
        let host = request.headers().get(header::HOST).and_then(|v| v.to_str().ok());
        match uri.path() {
            OPENID if host == Some(own.as_str()) => axum::Json(document).into_response(),
            "/jwks" if host == Some(own.as_str()) => axum::Json(keys).into_response(),
            _ => (StatusCode::NOT_FOUND, "no such tenant").into_response(),
        }
    });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let proxy = Proxy::start(&url, &with_public(PUBLIC));
    let mut ready = String::new();
    for _ in 0..500 {
        ready = admin(&proxy, "/readyz").await.to_string();
        if ready.contains("--upstream-host upstream") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(ready.contains("--upstream-host upstream"), "{ready}");
    let told =
        Proxy::start(&url, &format!("[upstream]\nhost = \"upstream\"\n{}", with_public(PUBLIC)));
    served(&told, "told").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_refused_says_so_where_people_look() {
    let scene = Scene::new().await;
    let mut document = scene.document();
    document["jwks_uri"] = json!("/jwks");
    scene.serve(OPENID, &document);
    let proxy = Proxy::start(&scene.base(), STANDARD);
    eventually("it was looked for", || scene.server.requests() >= 3).await;
    let ready = admin(&proxy, "/readyz").await;
    let reason = ready["reasons"][0].as_str().unwrap();
    assert!(reason.contains("`jwks_uri` is not an absolute URL (jwks_uri)"), "{ready}");
    let (status, body) = read(&proxy, "/.well-known/jwks.json").await;
    assert_eq!(status, 502);
    assert!(body.contains("jwks_uri") && !body.contains("has not been read"), "{body}");
    assert_eq!(admin(&proxy, "/api/status").await["discovery"]["state"], "refused");
    assert_eq!(exchange(&proxy, &scene.token(&scene.base())).await.0, 503);
    // Once the document is correct, it is learnt.
    scene.sound();
    served(&proxy, "mended").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_address_answered_is_said() {
    let scene = Scene::new().await;
    scene.server.at(OPENID, Reply::Raw(200, vec![], b"[{}]".to_vec()));
    scene.server.at("/.well-known/jwks.json", Reply::status(403));
    let proxy = Proxy::start(&scene.base(), STANDARD);
    eventually("keys were asked for", || scene.server.requests() >= 4).await;
    let mut ready = Value::Null;
    for _ in 0..500 {
        ready = admin(&proxy, "/readyz").await;
        if ready.to_string().contains("status 403") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let text = ready.to_string();
    for said in [
        "openid-configuration answered: a JSON list, not an object",
        "oauth-authorization-server answered: status 404",
        "no key set (status 403)",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let (status, body) = read(&proxy, "/.well-known/jwks.json").await;
    assert!(status == 502 && body.contains("status 403"), "{status} {body}");
}

/// Nothing could be read without a matching certificate, but the owner of the upstream would learn which
/// ports are open inside.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_does_not_send_us_into_the_network() {
    let inside = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = inside.local_addr().unwrap().port();
    for host in
        ["localhost", "localhost.", "x.localhost", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]"]
    {
        let scene = Scene::new().await;
        let mut document = scene.document();
        document["jwks_uri"] = json!(format!("https://{host}:{port}/jwks"));
        scene.serve(OPENID, &document);
        let proxy = Proxy::start(&scene.base(), STANDARD);
        let mut ready = String::new();
        for _ in 0..500 {
            ready = admin(&proxy, "/readyz").await.to_string();
            if ready.contains("address_inside") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(ready.contains("address_inside"), "{host}: {ready}");
    }
    let dialled = tokio::time::timeout(Duration::from_millis(1), inside.accept()).await;
    assert!(dialled.is_err(), "nobody was dialled");
}

/// `--upstream https://server/oidc`: the server writes its URLs with the `Host` that it gets.
#[tokio::test(flavor = "multi_thread")]
async fn a_base_path_is_the_upstreams_own() {
    let scene = Scene::new().await;
    let public = "http://127.0.0.1:1";
    let at = |path: &str| format!("{public}/oidc{path}");
    let issuer = format!("{}/oidc", scene.base());
    scene.serve(
        &format!("/oidc{OPENID}"),
        &json!({
            "issuer": issuer, "jwks_uri": at("/jwks"), "token_endpoint": at("/token"),
            "authorization_endpoint": at("/auth"),
        }),
    );
    scene.server.at("/oidc/jwks", Reply::ok());
    let answer = json!({"access_token": scene.token(&issuer), "token_type": "Bearer"});
    scene.serve("/oidc/token", &answer);
    let toml = format!("[server]\npublic_url = \"{public}\"\n");
    let proxy = Proxy::ready(&issuer, &toml).await;
    let document: Value = serde_json::from_str(&read(&proxy, OPENID).await.1).unwrap();
    assert_eq!(document["token_endpoint"], format!("{public}/token"));
    assert_eq!(document["authorization_endpoint"], format!("{public}/auth"));
    let ask = reqwest::Client::new().post(proxy.url("/token")).form(&[("grant_type", "x")]);
    let answer: Value = ask.send().await.unwrap().json().await.unwrap();
    let token = answer["access_token"].as_str().unwrap();
    let header = countersign::jose::base64url::decode(token.split('.').next().unwrap()).unwrap();
    assert!(String::from_utf8_lossy(&header).contains("RS256"), "it was countersigned");
}

/// Keycloak has no document at its root, and each realm has one.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_root_has_no_document_realms_pass_as_they_are() {
    let scene = Scene::new().await;
    let realm = format!("/realms/main{OPENID}");
    let document = json!({
        "issuer": format!("{}/realms/main", scene.base()), "jwks_uri": "https://idp.example/jwks",
        "id_token_signing_alg_values_supported": ["ES384"],
    });
    scene.serve(&realm, &document);
    let proxy = Proxy::start(&scene.base(), STANDARD);
    let mut state = Value::Null;
    for _ in 0..500 {
        state = admin(&proxy, "/api/status").await["discovery"]["state"].clone();
        if state == "guessed" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(state, "guessed");
    assert_eq!(read(&proxy, &realm).await, (200, document.to_string()));
}

/// The first algorithm of our document is one that the server itself cannot sign with.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_registers_with_an_algorithm_of_our_document() {
    provider();
    let signer = Signer::es384();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (own, set) = (base.clone(), json!({"keys": [signer.jwk("g")]}));
    let app = Router::new().fallback(async move |request: Request| {
        let at = |path: &str| format!("{own}{path}");
        match request.uri().path() {
            OPENID => axum::Json(json!({
                "issuer": own, "jwks_uri": at("/jwks"), "registration_endpoint": at("/register"),
                "id_token_signing_alg_values_supported": ["ES384"],
            }))
            .into_response(),
            "/jwks" => axum::Json(set.clone()).into_response(),
            "/register" => {
                let body = axum::body::to_bytes(request.into_body(), 1024).await.unwrap();
                let mut client: Value = serde_json::from_slice(&body).unwrap();
                let known = client["id_token_signed_response_alg"] == "ES384";
                client["client_id"] = json!("c1");
                let status = if known { StatusCode::CREATED } else { StatusCode::BAD_REQUEST };
                (status, axum::Json(client)).into_response()
            }
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let proxy = Proxy::ready(&base, "").await;
    let document: Value = serde_json::from_str(&read(&proxy, OPENID).await.1).unwrap();
    let alg = &document["id_token_signing_alg_values_supported"][0];
    let asked = json!({"redirect_uris": ["https://app/cb"], "id_token_signed_response_alg": alg});
    let client = reqwest::Client::new().post(proxy.url("/register"));
    let client = client.header("content-type", "application/json").body(asked.to_string());
    let answer = client.send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["client_id"], "c1");
    assert_eq!(&answer["id_token_signed_response_alg"], alg);
}

/// WSO2: `issuer` is the address of the token endpoint.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_may_be_its_own_token_endpoint() {
    let scene = Scene::new().await;
    let issuer = format!("{}/oauth2/token", scene.base());
    scene.serve(
        &format!("/oauth2/token{OPENID}"),
        &json!({
            "issuer": issuer, "jwks_uri": format!("{}/jwks", scene.base()), "token_endpoint": issuer,
        }),
    );
    scene.server.at("/jwks", Reply::ok());
    let answer = json!({"access_token": scene.token(&issuer), "token_type": "Bearer"});
    scene.serve("/oauth2/token", &answer);
    let toml = "[server]\npublic_url = \"http://127.0.0.1:1\"\n";
    let proxy = Proxy::ready(&issuer, toml).await;
    let document: Value = serde_json::from_str(&read(&proxy, OPENID).await.1).unwrap();
    assert_eq!(document["token_endpoint"], "http://127.0.0.1:1");
    let ask = reqwest::Client::new().post(proxy.url("/")).form(&[("grant_type", "x")]);
    let answer: Value = ask.send().await.unwrap().json().await.unwrap();
    let token = answer["access_token"].as_str().unwrap();
    let header = countersign::jose::base64url::decode(token.split('.').next().unwrap()).unwrap();
    assert!(String::from_utf8_lossy(&header).contains("RS256"), "it was countersigned");
    assert_eq!(read(&proxy, "/other").await.0, 404);
}

/// AD FS: the access tokens have another `iss`.
#[tokio::test(flavor = "multi_thread")]
async fn access_tokens_may_go_by_another_name_of_the_issuer() {
    let scene = Scene::new().await;
    let trust = format!("{}/adfs/services/trust", scene.base());
    let mut document = scene.document();
    document["access_token_issuer"] = json!(trust);
    scene.serve(OPENID, &document);
    scene.server.at("/jwks", Reply::ok());
    let proxy = Proxy::ready(&scene.base(), STANDARD).await;
    for iss in [&scene.base(), &trust] {
        let (status, answer) = exchange(&proxy, &scene.token(iss)).await;
        assert_eq!(status, 200, "{answer}");
        let token = answer["access_token"].as_str().unwrap();
        let claims =
            countersign::jose::base64url::decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["iss"], **iss);
    }
    assert_eq!(exchange(&proxy, &scene.token("https://other.example")).await.0, 400);
}

/// The last believed document survives a restart, for the same upstream only.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_document_serves_a_restart_while_the_upstream_is_down() {
    let scene = Scene::new().await;
    scene.sound();
    let data = tempfile::tempdir().unwrap();
    let start = |upstream: &str| {
        let config = proxy::config(upstream, STANDARD, data.path());
        let handle = countersign::serve::start_in_process(config).unwrap();
        Proxy { handle, data: tempfile::tempdir().unwrap() }
    };
    let first = start(&scene.base());
    served(&first, "first").await;
    let kept = data.path().join("issuers");
    eventually("the set is kept", || {
        std::fs::read_dir(&kept).is_ok_and(|files| {
            files.flatten().any(|f| f.file_name().to_string_lossy().ends_with(".json"))
        })
    })
    .await;
    first.handle.stop();
    scene.server.refuse().await;
    let second = start(&scene.base());
    let (status, body) = exchange(&second, &scene.token(&scene.base())).await;
    assert_eq!(status, 200, "{body}");
    second.handle.stop();
    let other = start("http://127.0.0.1:9");
    assert_eq!(admin(&other, "/api/status").await["issuers_total"], 0);
}

/// The status says that the document cannot be used, and the issuer learnt before stays in use.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_turns_bad_leaves_the_proxy_ready_and_degraded() {
    let scene = Scene::new().await;
    scene.sound();
    let data = tempfile::tempdir().unwrap();
    let start = || {
        let config = proxy::config(&scene.base(), STANDARD, data.path());
        let handle = countersign::serve::start_in_process(config).unwrap();
        Proxy { handle, data: tempfile::tempdir().unwrap() }
    };
    let first = start();
    served(&first, "first").await;
    first.handle.stop();
    let mut document = scene.document();
    document["jwks_uri"] = json!("/jwks");
    scene.serve(OPENID, &document);
    let second = start();
    served(&second, "second").await;
    let mut ready = Value::Null;
    for _ in 0..500 {
        ready = admin(&second, "/readyz").await;
        if ready["degraded"] == true && ready["ready"] == true {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((&ready["ready"], &ready["degraded"]), (&json!(true), &json!(true)), "{ready}");
    assert!(ready.to_string().contains("the discovery document cannot be used"), "{ready}");
    let status = admin(&second, "/api/status").await;
    assert_eq!(status["discovery"]["state"], "refused");
    assert_eq!(status["discovery"]["issuer"], scene.base());
    let metrics = format!("http://{}/metrics", second.handle.admin.unwrap());
    let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    for line in ["countersign_discovery_usable 0\n", "countersign_discovery_refused 1\n"] {
        assert!(metrics.contains(line), "{line}");
    }
    assert_eq!(exchange(&second, &scene.token(&scene.base())).await.0, 200);
}
