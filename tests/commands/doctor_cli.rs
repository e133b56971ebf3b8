//! `countersign doctor` against real answers on loopback.

use std::process::Output;
use std::sync::Arc;

use crate::support::signer::Signer;
use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::routing::get;
use serde_json::{Value, json};

type Headers = &'static [(&'static str, &'static str)];

/// An issuer with the given discovery document and `/jwks`. `ISSUER` in the texts is its address.
async fn issuer(discovery: Option<Value>, headers: Headers, jwks: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let discovery = discovery.map(|d| d.to_string().replace("ISSUER", &url));
    let jwks = Arc::new(jwks);
    let router = Router::new()
        .route(
            "/.well-known/openid-configuration",
            get(move || async move {
                match discovery {
                    Some(text) => (StatusCode::OK, [("content-type", "application/json")], text),
                    None => {
                        (StatusCode::NOT_FOUND, [("content-type", "text/plain")], "none".to_owned())
                    }
                }
            }),
        )
        .route(
            "/jwks",
            get(move |asked: HeaderMap| async move {
                // Doctor's own fetches look like Convex's; its other fetches look like those of `run`.
                if asked["user-agent"].to_str().unwrap().starts_with("countersign-doctor") {
                    assert_eq!(asked["accept"], "application/json");
                    assert_eq!(asked["accept-encoding"], "gzip");
                }
                let mut out = HeaderMap::new();
                for (name, value) in headers {
                    out.append(HeaderName::from_static(name), HeaderValue::from_static(value));
                }
                (out, jwks.to_string())
            }),
        )
        .route("/old", get(|| async { axum::response::Redirect::temporary("/jwks") }));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

async fn doctor(args: Vec<String>) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.arg("doctor").args(args).output().await.unwrap()
}

fn text(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn discovery() -> Option<Value> {
    Some(json!({"issuer": "ISSUER", "jwks_uri": "ISSUER/jwks"}))
}

const GOOD: Headers =
    &[("content-type", "application/json"), ("cache-control", "public, max-age=300")];

fn claims(issuer: &str) -> Value {
    json!({"iss": issuer, "sub": "u", "aud": "app", "iat": 1_700_000_000, "exp": 4_102_444_800_i64})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_reads_about_a_broken_issuer() {
    let jwks = json!([Signer::es384().jwk("k1")]).to_string();
    let headers: Headers = &[("content-type", "text/html"), ("set-cookie", "session=1")];
    let url = issuer(discovery(), headers, jwks).await;
    let output = doctor(vec![url]).await;
    assert_eq!(output.status.code(), Some(1));
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT");
    settings.add_filter(r#"\[\{".*?…"#, "[BODY]…");
    settings.bind(|| insta::assert_snapshot!(text(&output)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_issuer_and_its_token() {
    let signer = Signer::rs256();
    let url = issuer(discovery(), GOOD, json!({"keys": [signer.jwk("k1")]}).to_string()).await;
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "k1"});
    let token = signer.token(&header, &claims(&url));
    let output = doctor(vec![url.clone(), "--token".into(), token.clone(), "--json".into()]).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(report["verdicts"][0], json!({"way": "customJwt", "accepts": true}));
    assert_eq!(report["verdicts"][1], json!({"way": "OIDC", "accepts": true}));
    assert_eq!(report["audience"], "app");

    // With the address of the set, through a redirect, and with the token in a file.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{token}\n")).unwrap();
    let at = format!("@{}", file.path().display());
    let jwks = format!("{url}/jwks");
    let output = doctor(vec![jwks.clone(), "--token".into(), at]).await;
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("jwks: \"{jwks}\",")), "{said}");
    assert!(said.contains("applicationID: \"app\","), "{said}");
    assert!(!said.contains(&token), "a token must not be printed");
    assert!(!said.contains('\u{1b}'), "no colours where nobody looks");

    // The wrong audience: the verifier's own words, and which line to change.
    let wrong = vec![url, "--token".into(), token, "--audience".into(), "other".into()];
    let output = doctor(wrong).await;
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No auth provider found matching the given token."), "{said}");
    assert!(
        said.lines().next().unwrap().contains("set `applicationID` in auth.config.ts"),
        "{said}"
    );
    let production = "in production: No auth provider found matching the given token\n";
    assert!(said.contains(production), "{said}");
    assert_eq!(
        said.matches("set `applicationID`").count(),
        2,
        "the headline and the fault: {said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_way_in_is_enough() {
    let signer = Signer::rs256();
    let set = json!({"keys": [signer.jwk("k1")]}).to_string();
    let url = issuer(None, GOOD, set).await;
    let output = doctor(vec![format!("{url}/jwks")]).await;
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let first = said.lines().next().unwrap();
    assert!(first.starts_with("Convex would accept the tokens of"), "{said}");
    assert!(
        first.contains("you need no proxy: set a customJwt provider in auth.config.ts"),
        "{said}"
    );
    assert!(said.contains("\nOIDC would refuse\n"), "{said}");
    // Only `--verbose` shows why the other kind of provider refuses.
    assert!(!said.contains("Auth provider discovery"), "{said}");
    let said = text(&doctor(vec![format!("{url}/jwks"), "--verbose".into()]).await);
    assert!(said.contains("says  Auth provider discovery of"), "{said}");
    assert!(said.contains("use a `customJwt` provider"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_secret_is_an_alarm() {
    let mut key = Signer::rs256().jwk("k1");
    key["d"] = json!("c2VjcmV0LXNlY3JldA");
    let url = issuer(discovery(), GOOD, json!({"keys": [key]}).to_string()).await;
    let output = doctor(vec![url]).await;
    let said = text(&output);
    assert!(said.contains("ALARM $.keys[0]: the issuer publishes a secret (d)"), "{said}");
    assert!(!said.contains("c2VjcmV0"), "the secret itself is never shown");

    // Nor if the verifier repeats the whole answer.
    let mut key = Signer::rs256().jwk("k1");
    key["d"] = json!("c2VjcmV0LXNlY3JldA");
    let text_plain: Headers = &[("content-type", "text/plain")];
    for set in [
        json!({"keys": [key]}).to_string(),
        format!("{:#}", json!({"keys": [key]})).replace("\": ", "\" : "),
    ] {
        let url = issuer(discovery(), text_plain, set).await;
        for more in [&["--verbose"][..], &["--json"]] {
            let args = [url.as_str()].iter().chain(more).map(|arg| (*arg).to_owned()).collect();
            let said = text(&doctor(args).await);
            assert!(said.contains("Auth provider discovery of"), "{said}");
            assert!(!said.contains("c2VjcmV0"), "{said}");
        }
    }
}

/// If countersign cannot read it either, the advice must not be to use countersign.
#[tokio::test(flavor = "multi_thread")]
async fn no_false_promise() {
    let html: Headers = &[("content-type", "text/html")];
    let url = issuer(discovery(), html, "<html>log in</html>".into()).await;
    let said = text(&doctor(vec![url]).await);
    assert!(said.contains("countersign ✗ cannot make a key set of this"), "{said}");
    assert!(!said.contains("countersign in front") && !said.contains("countersign run"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_run() {
    let output = doctor(vec!["ftp://x".into()]).await;
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("hint: give the issuer"), "{errors}");
    let output = doctor(vec!["http://127.0.0.1:1".into(), "--profile".into(), "x".into()]).await;
    assert_eq!(output.status.code(), Some(2));
    // No server listens there: that is a finding, in the verifier's words.
    let output = doctor(vec!["http://127.0.0.1:1/jwks".into()]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    assert!(said.contains("Could not fetch JWKS from URL 'http://127.0.0.1:1/jwks'"), "{said}");
    assert!(said.contains("nothing listens there"), "{said}");
    // The set is elsewhere: the output says how to give its address.
    let url = issuer(None, GOOD, "{}".to_owned()).await;
    let said = text(&doctor(vec![url.clone()]).await);
    assert!(
        said.contains("give that address") || said.contains("is the key set elsewhere?"),
        "{said}"
    );
    assert!(said.contains("--issuer"), "{said}");
    let plain = url.replace("http://", "");
    let said = text(&doctor(vec![plain]).await);
    assert!(said.contains("write the address with `http://`"), "{said}");
    // A verifier fetches no file.
    let file = tempfile::NamedTempFile::new().unwrap();
    for at in [file.path().display().to_string(), "file:///etc/hostname".to_owned()] {
        let output = doctor(vec![at]).await;
        assert_eq!(output.status.code(), Some(2));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains("hint: `countersign normalize "), "{errors}");
    }
    let standard = vec!["http://127.0.0.1:1/jwks".into(), "--profile".into(), "standard".into()];
    assert_eq!(doctor(standard).await.status.code(), Some(1));
}

/// A script asks only about the kind of provider that it has configured.
#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_that_of_the_provider_asked_about() {
    let set = json!({"keys": [Signer::rs256().jwk("k1")]}).to_string();
    let url = issuer(None, GOOD, set).await;
    let ask = async |way: &str| {
        let args = [format!("{url}/jwks"), "--for".into(), way.into(), "--json".into()];
        let output = doctor(args.into()).await;
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let ways: Vec<_> =
            report["verdicts"].as_array().unwrap().iter().map(|v| v["way"].clone()).collect();
        (output.status.code().unwrap(), report["accepts"].as_bool().unwrap(), json!(ways))
    };
    assert_eq!(ask("custom-jwt").await, (0, true, json!(["customJwt"])));
    assert_eq!(ask("oidc").await, (1, false, json!(["OIDC"])));
    let one = ["http://127.0.0.1:1/jwks", "--profile", "standard", "--for", "oidc"];
    assert_eq!(doctor(one.map(Into::into).into()).await.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_by_the_rfcs() {
    let standard = async |url: &str, more: &[&str]| {
        let args = [&[url, "--profile", "standard"], more].concat();
        let output = doctor(args.into_iter().map(Into::into).collect()).await;
        (output.status.code().unwrap(), text(&output))
    };
    let signer = Signer::es384();
    let good = issuer(discovery(), GOOD, json!({"keys": [signer.jwk("k1")]}).to_string()).await;
    let token = signer.token(&json!({"alg": "ES384", "kid": "k1"}), &claims(&good));
    let (status, said) = standard(&good, &["--token", &token, "--audience", "app"]).await;
    assert_eq!(status, 0, "{said}");
    assert!(!said.contains("auth.config.ts") && !said.contains("not every library"), "{said}");
    let (status, said) = standard(&good, &["--token", &token, "--audience", "other"]).await;
    assert!(status == 1 && said.contains("`aud` is [\"app\"], without other"), "{said}");
    let other = Signer::es384().token(&json!({"alg": "ES384", "kid": "k1"}), &claims(&good));
    let (status, said) = standard(&good, &["--token", &other]).await;
    assert!(status == 1 && said.contains("the token is of another issuer or stage"), "{said}");

    // A key without `alg`, and another media type: accepted, with a warning.
    let mut key = signer.jwk("k1");
    key.as_object_mut().unwrap().remove("alg");
    let headers: Headers = &[("content-type", "text/html"), ("cache-control", "max-age=300")];
    let odd = issuer(discovery(), headers, json!({"keys": [key]}).to_string()).await;
    let (status, said) = standard(&odd, &[]).await;
    assert!(status == 0 && said.contains("! not every library takes this set"), "{said}");
    assert!(said.contains("$.keys[0].alg") && said.contains("Content-Type"), "{said}");

    // Each breach of the RFCs is a fault, with its place.
    let mut key = signer.jwk("k1");
    key["x"] = format!("{}==", key["x"].as_str().unwrap()).into();
    let bad = issuer(discovery(), GOOD, json!({"keys": [key, 1]}).to_string()).await;
    let (status, said) = standard(&bad, &[]).await;
    assert!(status == 1 && said.contains("`x` is padded with `=`\n   at $.keys[0].x"), "{said}");
    assert!(said.contains("a number in place of a key\n   at $.keys[1]"), "{said}");
    assert!(said.contains("`--profile standard`"), "{said}");
}
