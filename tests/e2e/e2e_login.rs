//! A whole login with real parts: npm's `oidc-provider`, which knows only ES384, behind the proxy, and npm's
//! `openid-client`, which takes only RS256, in front of it.

use crate::support::e2e::{Issuer, Proxy, ProxyOptions, client, decode, free_port};
use serde_json::{Value, json};

/// The provider behind the proxy. Both know the proxy's address as the issuer.
async fn provider(jwt: bool) -> (Issuer, Proxy) {
    let port = free_port();
    let issuer = format!("http://127.0.0.1:{port}");
    let provider = Issuer::start("oidc-provider", &json!({ "issuer": issuer, "jwt": jwt }));
    let options = ProxyOptions { port, upstream: Some(provider.url()), config: None, env: &[] };
    let proxy = Proxy::start(&options).await;
    (provider, proxy)
}

fn ok(result: Result<Value, String>) -> Value {
    result.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test]
async fn the_client_itself_refuses_the_provider_without_the_proxy() {
    let port = free_port();
    let issuer = format!("http://127.0.0.1:{port}");
    let _provider = Issuer::start("oidc-provider", &json!({ "issuer": issuer, "port": port }));
    let error = client("openid-client-5", &json!({ "issuer": issuer })).unwrap_err();
    assert!(error.contains("unexpected JWT alg received, expected RS256, got: ES384"), "{error}");
}

#[tokio::test]
async fn code_flow_with_pkce_gives_an_rs256_id_token() {
    let (_provider, proxy) = provider(false).await;
    // v6: PKCE, state, nonce, iss, aud, exp, and the signature by the proxied key set; then userinfo.
    let out = ok(client("openid-client", &json!({ "issuer": proxy.url })));
    assert_eq!(out["id_token_alg"], "RS256", "{out}");
    assert_eq!(out["userinfo"]["email"], "ada@example.test");
    assert_eq!(out["metadata"]["token_endpoint"], format!("{}/token", proxy.url));
    // v5 checks `at_hash` on its own.
    let out = ok(client("openid-client-5", &json!({ "issuer": proxy.url })));
    assert_eq!(out["id_token_alg"], "RS256", "{out}");
    assert!(out["at_hash"].as_str().is_some_and(|h| h.len() == 22), "SHA-256, halved: {out}");

    // Two more verifiers on the key set.
    let token = out["id_token"].as_str().unwrap();
    let verdict = ok(client(
        "jwks",
        &json!({ "jwks": proxy.jwks(), "token": token, "issuer": proxy.url, "audience": "app" }),
    ));
    assert_eq!(verdict["jose"]["ok"], true, "{verdict}");
    assert_eq!(verdict["jwks-rsa"]["ok"], true, "{verdict}");
    let stranger = client(
        "jwks",
        &json!({ "jwks": proxy.jwks(), "token": token, "issuer": proxy.url, "audience": "other" }),
    );
    assert_eq!(ok(stranger)["jose"]["ok"], false);
}

#[tokio::test]
async fn jwt_access_tokens_work_at_their_issuer_again() {
    let (_provider, proxy) = provider(true).await;
    let out = ok(client("openid-client", &json!({ "issuer": proxy.url, "jwt": true })));
    // Login, userinfo, introspection, refresh, revocation, logout: every token that the client had was
    // RS256, and the provider accepted each of them back as its own ES384 one.
    assert_eq!(out["id_token_alg"], "RS256", "{out}");
    assert_eq!(out["access_token_alg"], "RS256", "{out}");
    assert_eq!(out["userinfo"]["email"], "ada@example.test");
    assert_eq!(out["introspection"]["active"], true, "{out}");
    assert_eq!(out["introspection"]["client_id"], "app", "{out}");
    assert_eq!(out["refreshed_id_token_alg"], "RS256", "{out}");
    assert_eq!(out["refreshed_access_token_alg"], "RS256", "{out}");
    assert_eq!(out["refreshed_userinfo"]["sub"], "ada", "{out}");
    assert_eq!(out["after_revocation"]["active"], false, "{out}");
    assert_eq!(out["userinfo_after_revocation"], 401, "{out}");
    assert_eq!(out["logout"], "https://app.example.test/bye?state=logout-state", "{out}");
    let (header, claims) = decode(out["access_token"].as_str().unwrap());
    assert_eq!(header["typ"], "JWT");
    assert_eq!(claims["iss"], proxy.url);
}

#[tokio::test]
async fn userinfo_as_a_jwt_is_countersigned() {
    let (_provider, proxy) = provider(true).await;
    let options = json!({ "issuer": proxy.url, "clientId": "app-jwt-userinfo", "jwt": true });
    let out = ok(client("openid-client", &options));
    assert_eq!(out["userinfo"]["email"], "ada@example.test", "{out}");
}

/// The front channel: tokens in `Location` and in a form that the page posts by itself.
async fn front_channel(flow: &str, mode: Option<&str>, jwt: bool) {
    let (_provider, proxy) = provider(jwt).await;
    let mut options = json!({ "issuer": proxy.url, "flow": flow });
    if let Some(mode) = mode {
        options["mode"] = json!(mode);
    }
    let out = ok(client("openid-client-5", &options));
    assert_eq!(out["placed"], if mode.is_some() { "form" } else { "fragment" }, "{out}");
    assert_eq!(out["front_alg"], "RS256", "{out}");
    assert_eq!(out["id_token_alg"], "RS256", "{out}");
    assert_eq!(out["front_hashes"]["at"].is_string(), flow.contains(" token"), "{out}");
    assert_eq!(out["front_hashes"]["c"].is_string(), flow.contains("code"), "{out}");
}

#[tokio::test]
async fn implicit_flow_in_the_fragment() {
    front_channel("id_token", None, false).await;
    front_channel("id_token token", None, false).await;
}

#[tokio::test]
async fn implicit_flow_with_jwt_access_tokens_in_the_fragment() {
    front_channel("id_token token", None, true).await;
}

#[tokio::test]
async fn hybrid_flow_in_the_fragment() {
    front_channel("code id_token", None, false).await;
    front_channel("code id_token token", None, true).await;
}

#[tokio::test]
async fn hybrid_and_implicit_flow_by_form_post() {
    front_channel("code id_token token", Some("form_post"), true).await;
    front_channel("id_token", Some("form_post"), false).await;
}
