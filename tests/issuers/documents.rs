//! Which issuer's discovery document is rewritten, and the effects of the issuer's name in it.

use crate::support::scripted;
use std::io::Write as _;

use crate::support::scripted::{Scene, Step, send};
use serde_json::{Value, json};

const PATH: &str = "/.well-known/openid-configuration";
/// Another issuer of the same server, which is not configured.
const OTHER_REALM: &str = "/realms/other/.well-known/openid-configuration";
const OTHER: &str = r#"{"issuer":"https://idp.example/realms/other",
    "jwks_uri":"https://idp.example/realms/other/jwks",
    "id_token_signing_alg_values_supported":["RS512"]}"#;
const PUBLIC: &str = "https://login.example.com";

fn answer(fields: &str, body: &[u8]) -> Step {
    let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    Step::Send([head.as_bytes(), body].concat())
}

fn document(upstream: &str) -> String {
    json!({
        "issuer": upstream, "jwks_uri": format!("{upstream}/jwks"),
        "authorization_endpoint": format!("{upstream}/auth"),
        "id_token_signing_alg_values_supported": ["ES384"],
    })
    .to_string()
}

async fn read(scene: &Scene, path: &str) -> (reqwest::header::HeaderMap, Vec<u8>) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let answer = client.build().unwrap().get(scene.proxy.url(path)).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    (answer.headers().clone(), answer.bytes().await.unwrap().to_vec())
}

fn public() -> String {
    format!("[server]\npublic_url = \"{PUBLIC}\"\n")
}

#[tokio::test]
async fn a_document_of_another_realm_passes_as_it_is() {
    let scene = Scene::start("", &public(), move |upstream, path| match path {
        PATH => vec![answer("", document(upstream).as_bytes())],
        _ => vec![answer("", OTHER.as_bytes())],
    })
    .await;
    let (_, body) = read(&scene, OTHER_REALM).await;
    assert_eq!(body, OTHER.as_bytes());
    let (headers, body) = read(&scene, PATH).await;
    let ours: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(ours["jwks_uri"], format!("{PUBLIC}/jwks"));
    assert_eq!(ours["id_token_signing_alg_values_supported"], json!(["RS256", "ES384"]));
    assert_eq!(headers["cache-control"], "public, max-age=300");
    assert_eq!(headers["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn where_the_issuer_is_renamed_so_is_iss_of_its_answers() {
    let configured = format!(
        "{}[discovery]\nissuer = \"{PUBLIC}\"\n<issuer>\noutput_issuer = \"{PUBLIC}\"\n",
        public()
    );
    let scene = Scene::start("", &configured, move |upstream, path| match path {
        PATH => vec![answer("", document(upstream).as_bytes())],
        OTHER_REALM => vec![answer("", OTHER.as_bytes())],
        _ => {
            let from = upstream.replace(':', "%3A").replace('/', "%2F");
            let location = format!("https://app.example/cb?code=c&iss={from}");
            vec![send(&format!(
                "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
            ))]
        }
    })
    .await;
    let (_, body) = read(&scene, PATH).await;
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(document["issuer"], PUBLIC);
    // No other document is rewritten.
    assert_eq!(read(&scene, OTHER_REALM).await.1, OTHER.as_bytes());
    let mut client = scene.client().await;
    client.ask(&scripted::get("/auth")).await;
    let answer = client.until("\r\n\r\n").await;
    assert!(answer.contains("iss=https%3A%2F%2Flogin.example.com\r\n"), "{answer}");
}

#[tokio::test]
async fn a_document_is_read_through_codings_and_redirects() {
    let scene = Scene::start("", &public(), move |upstream, path| match path {
        PATH => vec![send(&format!(
            "HTTP/1.1 301 Moved Permanently\r\nLocation: {PATH}/\r\nContent-Length: 0\r\n\r\n"
        ))],
        _ => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(document(upstream).as_bytes()).unwrap();
            vec![answer("Content-Encoding: gzip\r\n", &gzip.finish().unwrap())]
        }
    })
    .await;
    let (headers, body) = read(&scene, PATH).await;
    assert!(!headers.contains_key("content-encoding"));
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(document["jwks_uri"], format!("{PUBLIC}/jwks"));
}

/// An issuer that has our public URL gets its document there, whatever page the server shows.
#[tokio::test]
async fn a_page_in_its_place_makes_way_for_a_document() {
    let pages: [fn() -> Step; 4] = [
        || answer("Content-Type: text/html\r\n", b"<!doctype html><title>App</title>"),
        || answer("Content-Type: application/json\r\n", b"null"),
        || {
            answer(
                "",
                br#"{"issuer":"https://other.example","jwks_uri":"https://other.example/k"}"#,
            )
        },
        || send("HTTP/1.1 307 Temporary Redirect\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"),
    ];
    for page in pages {
        let configured = format!(
            "{}[[issuer]]\nname = \"app\"\nissuer = \"https://app.example\"\n\
             output_issuer = \"{PUBLIC}\"\njwks = \"UPSTREAM/keys\"\n",
            public()
        );
        let scene = Scene::start("", &configured, move |_, _| vec![page()]).await;
        let (headers, body) = read(&scene, PATH).await;
        let document: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(document["issuer"], PUBLIC);
        assert_eq!(headers["access-control-allow-origin"], "*");
        assert_eq!(headers["cache-control"], "public, max-age=300");
    }
}
