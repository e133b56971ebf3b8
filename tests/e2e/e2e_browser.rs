//! The page of `examples/browser` in a real browser: login through the proxy, then the exchange across
//! origins.

use std::path::Path;

use crate::support::e2e::{Issuer, Proxy, ProxyOptions, client, decode, free_port};
use serde_json::json;

#[tokio::test]
async fn a_page_logs_in_and_exchanges_its_token_across_origins() {
    assert!(
        Path::new("/usr/bin/chromium").exists() || std::env::vars().any(|(n, _)| n == "CHROMIUM"),
        "chromium is missing: run `scripts/install chromium` (`make test` does)"
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("examples/browser");
    let page = Issuer::start("static", &json!({ "folder": folder }));
    let stranger = Issuer::start("static", &json!({ "folder": folder }));
    let port = free_port();
    let public = format!("http://127.0.0.1:{port}");
    let callback = format!("{}/", page.url());
    let provider = Issuer::start(
        "oidc-provider",
        &json!({ "issuer": public, "jwt": true, "callback": callback }),
    );
    let config = std::fs::read_to_string(folder.join("countersign.toml"))
        .unwrap()
        .replace("http://127.0.0.1:8080", &public)
        .replace("http://127.0.0.1:3000", provider.url())
        .replace("http://127.0.0.1:5173", page.url());
    let options = ProxyOptions { port, upstream: None, config: Some(&config), env: &[] };
    let proxy = Proxy::start(&options).await;

    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    std::fs::create_dir_all(&shots).unwrap();
    let out = client(
        "browser",
        &json!({ "page": page.url(), "issuer": public, "stranger": stranger.url(), "shots": shots }),
    )
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(out["complaints"], json!([]), "{out}");
    let alg = |name: &str| decode(out["tokens"][name].as_str().unwrap()).0["alg"].clone();
    assert_eq!(alg("ID token"), "RS256");
    assert_eq!(alg("access token"), "ES384", "the issuer's own, until it is exchanged");
    assert_eq!(alg("countersigned"), "RS256");
    assert_eq!(out["stranger"], "TypeError", "CORS: another origin reads nothing");

    let verdict = client(
        "jwks",
        &json!({
            "jwks": proxy.jwks(),
            "token": out["tokens"]["countersigned"],
            "issuer": public,
            "audience": "spa",
        }),
    )
    .unwrap();
    assert_eq!(verdict["jose"]["ok"], true, "{verdict}");
}
