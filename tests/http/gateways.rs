//! The recipes for gateways that cannot run here. `tests/node/clients/gateways.mjs` is an
//! independent implementation of the rules that each gateway documents. Each test asks it about an
//! ES384 issuer's own token, and about the token that the running proxy makes with the page's
//! configuration.

use crate::support::documents;
use crate::support::e2e;
use serde_json::{Value, json};

use crate::support::e2e::{Issuer, Proxy, ProxyOptions, client, decode, free_port};

/// The addresses in the recipes: of the proxy and of the auth server.
const PUBLIC: &str = "https://login.example.com";
const UPSTREAM: &str = "https://auth.example.com";
const AUDIENCE: &str = "my-api";

/// The first code block in a language on a page of `docs/verifiers`.
fn block(page: &str, language: &str) -> String {
    let file = documents::root().join("docs/verifiers").join(page);
    let text = std::fs::read_to_string(file).unwrap();
    documents::blocks(&text, language).swap_remove(0).1
}

/// An issuer that signs with ES384, and the proxy from the page in front of it.
struct Pair {
    issuer: Issuer,
    proxy: Proxy,
    gateway: &'static str,
    config: String,
}

impl Pair {
    async fn start(gateway: &'static str, page: &str, language: &str) -> Self {
        let (port, upstream) = (free_port(), free_port());
        let own = format!("http://127.0.0.1:{upstream}");
        let issuer = Issuer::start(
            "like",
            &json!({
                "kind": "logto",
                "port": upstream,
                "iss": own,
                "aud": AUDIENCE,
                "jwks": "/jwks",
                "tokens": "/oauth/token",
            }),
        );
        let here = |text: String| {
            text.replace(PUBLIC, &format!("http://127.0.0.1:{port}")).replace(UPSTREAM, &own)
        };
        let recipe = here(block(page, "toml"));
        let options = ProxyOptions { port, upstream: None, config: Some(&recipe), env: &[] };
        let proxy = Proxy::start(&options).await;
        Self { issuer, proxy, gateway, config: here(block(page, language)) }
    }

    fn asked(&self, token: &str) -> Value {
        let options = json!({ "gateway": self.gateway, "config": self.config, "token": token });
        client("gateways", &options).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Why the gateway's rules refuse a token.
    fn refused(&self, token: &str) -> String {
        let said = self.asked(token);
        assert_eq!(said["ok"], false, "{}", self.gateway);
        said["why"].as_str().unwrap().to_owned()
    }

    /// The checks that all three tests share. Returns the token that was accepted.
    async fn held(&self) -> String {
        let (_, own) = e2e::get(&format!("{}/token", self.issuer.url())).await;
        self.refused(&own);

        let (status, answer) = self.proxy.exchange(&own, Some(AUDIENCE)).await;
        assert_eq!(status, 200, "{answer}");
        let exchanged = answer["access_token"].as_str().unwrap().to_owned();
        assert_eq!(decode(&exchanged).0["alg"], "RS256");
        assert_eq!(self.asked(&exchanged), json!({ "ok": true }), "{}", self.gateway);

        // The same through the token endpoint, for a client that logs in through the proxy.
        let answer = e2e::http_client()
            .post(format!("{}/oauth/token", self.proxy.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials")
            .send()
            .await
            .unwrap();
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let token = answer["access_token"].as_str().unwrap();
        assert_eq!(self.asked(token), json!({ "ok": true }), "{}", self.gateway);

        // The gateway refuses a wrong signature, a wrong audience and a wrong algorithm.
        let (signed, _) = exchanged.rsplit_once('.').unwrap();
        let (_, other) = token.rsplit_once('.').unwrap();
        assert_eq!(self.refused(&format!("{signed}.{other}")), "signature");
        let elsewhere = self.config.replace(AUDIENCE, "another-api");
        let options = json!({ "gateway": self.gateway, "config": elsewhere, "token": exchanged });
        assert_eq!(client("gateways", &options).unwrap(), json!({ "ok": false, "why": "aud" }));
        exchanged
    }
}

#[tokio::test]
async fn aws_http_api_takes_what_its_recipe_makes() {
    let pair = Pair::start("aws", "aws-http-api.md", "yaml").await;
    pair.held().await;
    // The gateway may cache the set for two hours, so a new key must be published that long before
    // it signs.
    let answer = e2e::http_client().get(pair.proxy.jwks()).send().await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "public, max-age=7200");
}

#[tokio::test]
async fn oracle_oci_takes_what_its_recipe_makes() {
    let pair = Pair::start("oci", "oracle-oci.md", "json").await;
    let token = pair.held().await;
    assert_eq!(decode(&token).1["iss"], pair.issuer.url(), "this recipe leaves it alone");
    let config: Value = serde_json::from_str(&pair.config).unwrap();
    let policy = &config["requestPolicies"]["authentication"]["validationPolicy"];
    let hours = policy["maxCacheDurationInHours"].as_u64().unwrap();
    let answer = e2e::http_client().get(pair.proxy.jwks()).send().await.unwrap();
    let expected = format!("public, max-age={}", hours * 3600);
    assert_eq!(answer.headers()["cache-control"], expected.as_str());
}

#[tokio::test]
async fn apisix_takes_what_its_recipe_makes() {
    let pair = Pair::start("openidc", "apisix.md", "yaml").await;
    pair.held().await;
}

/// The real lua-resty-openidc in nginx, called as APISIX's plugin calls it. It needs nginx with its
/// Lua module (Debian: `libnginx-mod-http-lua`, `lua-cjson`), and the library with its dependencies
/// (lua-resty-jwt, -http, -string, -hmac, -openssl) in the folder that `LUA_RESTY` names.
#[tokio::test]
#[ignore = "needs nginx with lua-resty-openidc: LUA_RESTY=FOLDER"]
#[expect(clippy::disallowed_methods, reason = "a test's own switch")]
async fn lua_resty_openidc_takes_a_countersigned_token() {
    let library = std::env::var("LUA_RESTY").expect("LUA_RESTY, a folder with resty/openidc.lua");
    let pair = Pair::start("openidc", "apisix.md", "yaml").await;
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let conf = NGINX
        .replace("FOLDER", folder.path().to_str().unwrap())
        .replace("LIBRARY", &library)
        .replace("PORT", &port.to_string())
        .replace("PROXY", &pair.proxy.url);
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, conf).unwrap();
    let nginx = std::process::Command::new("nginx").arg("-c").arg(&file).spawn().unwrap();
    let _nginx = e2e::Running(nginx);

    let ask = async |token: &str| {
        for _ in 0..200 {
            let request = e2e::http_client()
                .get(format!("http://127.0.0.1:{port}/"))
                .header("authorization", format!("Bearer {token}"));
            if let Ok(answer) = request.send().await {
                return (answer.status().as_u16(), answer.text().await.unwrap());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("nginx does not listen");
    };
    let (_, own) = e2e::get(&format!("{}/token", pair.issuer.url())).await;
    let (status, said) = ask(&own).await;
    assert!(status == 401 && said.contains("unexpected algorithm"), "{status} {said}");
    let token = pair.held().await;
    let (status, said) = ask(&token).await;
    assert_eq!((status, said.trim()), (200, pair.proxy.url.as_str()));
    let (signed, _) = token.rsplit_once('.').unwrap();
    let (status, said) = ask(&format!("{signed}.{}", own.rsplit_once('.').unwrap().1)).await;
    assert!(status == 401 && said.contains("signature"), "{status} {said}");
}

const NGINX: &str = r#"
load_module modules/ndk_http_module.so;
load_module modules/ngx_http_lua_module.so;
daemon off; master_process off; pid FOLDER/pid; error_log FOLDER/error.log info;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy; fastcgi_temp_path FOLDER/fastcgi;
  uwsgi_temp_path FOLDER/uwsgi; scgi_temp_path FOLDER/scgi;
  lua_package_path "LIBRARY/?.lua;/usr/share/lua/5.1/?.lua;;";
  lua_package_cpath "/usr/lib/x86_64-linux-gnu/lua/5.1/?.so;;";
  lua_shared_dict jwks 1m; lua_shared_dict discovery 1m; lua_shared_dict jwt_verification 1m;
  # Sessions are for logins; a bearer token needs none.
  init_by_lua_block { package.preload["resty.session"] = function() return {} end }
  server {
    listen 127.0.0.1:PORT;
    location / { content_by_lua_block {
      local openidc = require "resty.openidc"
      local conf = {
        discovery = "PROXY/.well-known/openid-configuration", client_id = "my-api",
        bearer_only = true, use_jwks = true, token_signing_alg_values_expected = "RS256",
        ssl_verify = "no", timeout = 3000,
      }
      local metadata, trouble = openidc.get_discovery_doc(conf)
      if trouble then ngx.status = 500 ngx.say(trouble) return end
      local claims, refused = openidc.bearer_jwt_verify(conf, { valid_issuers = { metadata.issuer } })
      if refused then ngx.status = 401 ngx.say(refused) return end
      ngx.say(claims.iss)
    } }
  }
}
"#;
