//! The profiles `federation`, `hasura` and `login`: tokens of the running proxy with the
//! configuration from their pages, and `doctor`'s reports for the issuer and for the proxy.

use crate::support::documents;
use crate::support::e2e;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::e2e::{Issuer, Proxy, ProxyOptions, decode, free_port};

const PUBLIC: &str = "https://login.example.com";
const UPSTREAM: &str = "https://auth.example.com";

/// An issuer, and the proxy from a page in front of it.
struct Pair {
    issuer: Issuer,
    proxy: Proxy,
}

impl Pair {
    /// `kind` is the issuer in `like.mjs`; `algorithm` is the one it signs with.
    async fn start(page: &str, kind: &str, algorithm: &str, audience: &str) -> Self {
        let (port, upstream) = (free_port(), free_port());
        let (own, public) =
            (format!("http://127.0.0.1:{upstream}"), format!("http://127.0.0.1:{port}"));
        let file = documents::root().join("docs/verifiers").join(page);
        let text = std::fs::read_to_string(file).unwrap();
        let recipe = documents::blocks(&text, "toml").swap_remove(0).1;
        let recipe = recipe.replace(PUBLIC, &public).replace(UPSTREAM, &own);
        let recipe = recipe.replace("\"ES384\"", &format!("\"{algorithm}\""));
        let recipe = recipe.replace("\"EdDSA\"", &format!("\"{algorithm}\""));
        // With `host = "client"`, the issuer uses the proxy's address as its name.
        let iss = if recipe.contains("host = \"client\"") { &public } else { &own };
        let options = json!({
            "kind": kind, "port": upstream, "iss": iss, "aud": audience, "jwks": "/jwks",
            "tokens": "/oauth/token",
        });
        let issuer = Issuer::start("like", &options);
        let options = ProxyOptions { port, upstream: None, config: Some(&recipe), env: &[] };
        Self { issuer, proxy: Proxy::start(&options).await }
    }

    async fn own(&self) -> String {
        e2e::get(&format!("{}/token", self.issuer.url())).await.1
    }

    async fn exchanged(&self, audience: &str) -> String {
        let (status, answer) = self.proxy.exchange(&self.own().await, Some(audience)).await;
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn published(&self) -> Vec<(String, String)> {
        let (_, set) = e2e::get(&self.proxy.jwks()).await;
        let set: Value = serde_json::from_str(&set).unwrap();
        let text = |key: &Value, name: &str| key[name].as_str().unwrap_or_default().to_owned();
        let keys = set["keys"].as_array().unwrap().iter();
        keys.map(|key| (text(key, "kty"), text(key, "alg"))).collect()
    }
}

/// Runs `doctor` with a profile. Returns whether it accepts, and its output.
fn doctor(profile: &str, url: &str, more: &[&str]) -> (bool, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["doctor", url, "--profile", profile])
        .args(more)
        .output()
        .unwrap();
    let said = String::from_utf8([stdout, stderr].concat()).unwrap();
    (status.success(), said)
}

#[tokio::test]
async fn federation_publishes_rs256_alone_and_shortens_lives() {
    // The issuer signs with RS256, but for three audiences and twelve hours.
    let pair = Pair::start("federation.md", "zitadel", "RS256", "sts.amazonaws.com").await;
    let own = pair.own().await;
    let token = pair.exchanged("sts.amazonaws.com").await;
    let (header, claims) = decode(&token);
    assert_eq!(header["alg"], "RS256");
    assert_eq!(claims["iss"], pair.proxy.url);
    assert_eq!(claims["aud"], "sts.amazonaws.com");
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert!(life <= 3600 + 60, "{claims}");
    // A shortened token does not carry the longer-lived original.
    assert_eq!(header["cso"], Value::Null);

    let jwks = format!("{}/jwks", pair.issuer.url());
    let (good, said) = doctor("federation", &jwks, &["--token", &own]);
    assert!(!good && said.contains("names 3; exactly one"), "{said}");
    let (good, said) = doctor("federation", &pair.proxy.jwks(), &["--token", &token]);
    assert!(good, "{said}");
    let keys = pair.published().await;
    assert!(keys.iter().all(|(kty, alg)| kty == "RSA" && alg == "RS256"), "{keys:?}");
}

#[tokio::test]
async fn federation_keeps_other_keys_out_of_the_set() {
    let pair = Pair::start("federation.md", "logto", "ES384", "sts.amazonaws.com").await;
    let (good, said) = doctor("federation", &format!("{}/jwks", pair.issuer.url()), &[]);
    assert!(!good && said.contains("ES384"), "{said}");
    pair.exchanged("sts.amazonaws.com").await;
    assert_eq!(pair.published().await, [("RSA".to_owned(), "RS256".to_owned())]);
    let (good, said) = doctor("federation", &pair.proxy.jwks(), &[]);
    assert!(good, "{said}");
}

#[tokio::test]
async fn hasura_is_spared_the_key_that_loses_the_set() {
    // RS256 tokens, and an Ed25519 key in the set.
    let pair = Pair::start("hasura.md", "dynamic", "RS256", "my-app").await;
    let jwks = format!("{}/jwks", pair.issuer.url());
    let (good, said) = doctor("hasura", &jwks, &[]);
    assert!(!good && said.contains("refuses the whole set"), "{said}");
    // By the RFCs the same set has no fault. Only the profile reports one.
    let (good, said) = doctor("standard", &jwks, &[]);
    assert!(good, "{said}");
    let token = pair.exchanged("my-app").await;
    let keys = pair.published().await;
    assert!(keys.iter().all(|(kty, _)| kty == "RSA" || kty == "EC"), "{keys:?}");
    let (good, said) = doctor("hasura", &pair.proxy.jwks(), &["--token", &token]);
    assert!(good, "{said}");
}

#[tokio::test]
async fn a_login_client_is_given_rs256() {
    let pair = Pair::start("login.md", "logto", "ES384", "my-app").await;
    let own = pair.own().await;
    let jwks = format!("{}/jwks", pair.issuer.url());
    let (good, said) = doctor("login", &jwks, &["--token", &own]);
    assert!(!good && said.contains("ES384"), "{said}");
    let token = pair.exchanged("my-app").await;
    let (good, said) = doctor("login", &pair.proxy.jwks(), &["--token", &token]);
    assert!(good, "{said}");
}

#[test]
fn only_convex_has_two_kinds_of_provider() {
    for profile in ["standard", "federation", "hasura", "login"] {
        let (good, said) = doctor(profile, "https://auth.example.com", &["--for", "oidc"]);
        assert!(!good && said.contains("leave `--for` out"), "{said}");
    }
}
