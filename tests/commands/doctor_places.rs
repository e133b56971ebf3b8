//! `countersign doctor` at the addresses that people really give: no discovery document, a countersign
//! proxy, a web app, a query, hostile documents, TLS, servers that do not answer. The commands it prints are
//! run.
#![cfg(feature = "verifier")]

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::process::Place;
use crate::support::signer::Signer;
use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};

type Answers = Arc<dyn Fn(&str) -> Response + Send + Sync>;

/// A server on a free port of loopback. `answers` gets path and query, and the server's address.
async fn server(answers: impl Fn(&str, &str) -> Response + Send + Sync + 'static) -> String {
    // It listens on every address, so that 127.0.0.2 reaches it too.
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let own = url.clone();
    let answers: Answers = Arc::new(move |target| answers(target, &own));
    let router = Router::new().fallback(move |uri: Uri| {
        let target = uri.path_and_query().unwrap().to_string();
        let answer = answers(&target);
        async move { answer }
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

fn as_json(value: &Value) -> Response {
    let headers = [("content-type", "application/json"), ("cache-control", "public, max-age=300")];
    (headers, value.to_string()).into_response()
}

fn nothing() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

/// A server with a discovery document and this key set.
async fn issuer(set: Value) -> String {
    server(move |at, own| match at {
        DISCOVERY => as_json(&document(own, &format!("{own}/jwks"))),
        "/jwks" => as_json(&set),
        _ => nothing(),
    })
    .await
}

async fn countersign(args: &[&str], dir: &Path) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(args).current_dir(dir).output().await.unwrap()
}

async fn doctor(args: &[&str]) -> (i32, String, String) {
    let args = [&["doctor"], args].concat();
    let output = countersign(&args, Path::new("/")).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn claims(issuer: &str) -> Value {
    json!({"iss": issuer, "sub": "u", "aud": "app", "iat": 1_700_000_000, "exp": 4_102_444_800_i64})
}

fn document(issuer: &str, jwks: &str) -> Value {
    json!({"issuer": issuer, "jwks_uri": jwks})
}

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Better Auth: EdDSA at `/api/auth/jwks`, and no discovery document. `run` accepts the file that doctor
/// prints, and `init --from` writes the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_it_tells_to_run_runs() {
    let signer = Signer::eddsa();
    let set = json!({"keys": [signer.jwk("k1")]});
    let url = server(move |at, _| match at {
        "/api/auth/jwks" => as_json(&set),
        _ => nothing(),
    })
    .await;
    let (status, said, _) = doctor(&[&url]).await;
    assert_eq!(status, 1, "{said}");
    let first = said.lines().next().unwrap();
    let fix = "with an `[[issuer]]` in its configuration.";
    assert!(first.contains("would refuse") && first.ends_with(fix), "{said}");
    assert!(said.contains(&format!("the key set was found at {url}/api/auth/jwks")), "{said}");
    assert!(said.contains("1. `alg` EdDSA is not known to it\n   at $.keys[0].alg"), "{said}");

    // The printed file.
    let printed: String = said
        .lines()
        .skip_while(|line| *line != "countersign.toml")
        .skip(1)
        .take_while(|line| !line.starts_with("the same"))
        .map(|line| format!("{}\n", line.trim_start()))
        .collect();
    assert!(printed.contains("jwks = \"/api/auth/jwks\""), "{printed}");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("printed.toml"), &printed).unwrap();
    let check = ["run", "--check", "--config", "printed.toml", "--data-dir", "data"];
    let output = countersign(&check, dir.path()).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // The printed command.
    let line = said.lines().find(|line| line.contains("countersign init --from")).unwrap();
    let args: Vec<_> = line.split_whitespace().skip(1).collect();
    let output = countersign(&args, dir.path()).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written = std::fs::read_to_string(dir.path().join("countersign.toml")).unwrap();
    for setting in ["[[issuer]]", "jwks = \"/api/auth/jwks\"", &format!("issuer = \"{url}\"")] {
        let alone = |text: &str| text.lines().any(|line| line.trim_end() == setting);
        assert!(alone(&written) && alone(&printed), "{setting}: {written}");
    }
    let check = ["run", "--check", "--config", "countersign.toml", "--data-dir", "data"];
    let output = countersign(&check, dir.path()).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The same for an issuer with a path.
    let (_, said, _) = doctor(&[&format!("{url}/api/auth")]).await;
    let line = said.lines().find(|line| line.contains("countersign init --from")).unwrap();
    let args: Vec<_> = line.split_whitespace().skip(1).chain(["-o", "-"]).collect();
    let output = countersign(&args, dir.path()).await;
    let written = String::from_utf8(output.stdout).unwrap();
    let setting = format!("issuer = \"{url}/api/auth\"\n");
    assert!(written.contains(&setting) && said.contains(&setting), "{written}{said}");
    assert!(said.contains("`iss` of the tokens is taken to be"), "{said}");
    // Without an answer it writes no file.
    let nobody =
        countersign(&["init", "--from", "http://127.0.0.1:1", "-o", "x"], dir.path()).await;
    assert_eq!(nobody.status.code(), Some(2));
    assert!(!dir.path().join("x").exists());
}

fn signer_token(signer: &Signer, issuer: &str) -> String {
    signer.token(&json!({"alg": signer.alg(), "kid": "k1"}), &claims(issuer))
}

/// Azure AD B2C: the discovery document needs the query.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_stays_behind_the_path() {
    let set = json!({"keys": [Signer::rs256().jwk("k1")]});
    let url = server(move |at, own| match at {
        "/v2.0/.well-known/openid-configuration?p=b2c" => {
            as_json(&document(&format!("{own}/tenant/v2.0/"), &format!("{own}/keys?p=b2c")))
        }
        "/keys?p=b2c" => as_json(&set),
        _ => nothing(),
    })
    .await;
    for address in [format!("{url}/v2.0?p=b2c"), format!("{url}/v2.0{DISCOVERY}?p=b2c")] {
        let (status, said, _) = doctor(&[&address]).await;
        assert_eq!(status, 0, "{said}");
        assert!(!said.contains("p=b2c/.well-known"), "{said}");
        assert!(said.contains("the address has a query, `?p=b2c`"), "{said}");
        assert!(said.contains(&format!("jwks: \"{url}/keys?p=b2c\",")), "{said}");
        assert!(said.contains(&format!("issuer: \"{url}/tenant/v2.0/\",")), "{said}");
        assert!(said.contains("customJwt would accept\nOIDC would refuse"), "{said}");
    }
}

/// For a countersign proxy, the advice is not to get a proxy.
#[tokio::test(flavor = "multi_thread")]
async fn it_knows_a_countersign() {
    let signer = Arc::new(Signer::es384());
    let set = json!({"keys": [signer.jwk("k1")]});
    let url = issuer(set).await;
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let place = Place::new(&url, "");
    let _process = place.running().await;
    let token = signer_token(&signer, &url);
    let (status, said, _) =
        doctor(&[&place.url("/.well-known/jwks.json"), "--issuer", &url, "--token", &token]).await;
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("this is a countersign proxy"), "{said}");
    assert!(!said.contains("countersign in front"), "{said}");
    assert!(said.contains("POST /_countersign/token"), "the token was not countersigned: {said}");
    // The issuer may be known only where the proxy runs.
    let gone = ["--issuer", "http://127.0.0.1:1"];
    let jwks = place.url("/.well-known/jwks.json");
    let (status, said, _) = doctor(&[&jwks, gone[0], gone[1]]).await;
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("this is a countersign proxy"), "{said}");
    for wrong in ["without a proxy", "no proxy", "itself listens", "all is well"] {
        assert!(!said.contains(wrong), "{wrong}: {said}");
    }
    let first = said.lines().next().unwrap();
    assert!(first.ends_with(", once it can reach http://127.0.0.1:1."), "{said}");
    assert!(said.contains("! http://127.0.0.1:1: this machine only"), "{said}");
    // The proxy's tokens keep the `iss` of the server behind it.
    let (status, said, _) = doctor(&[&place.url("")]).await;
    assert_eq!(status, 0, "{said}");
    assert!(said.contains(&format!("issuer: \"{url}\",")), "{said}");
    let jwks = place.url("/.well-known/jwks.json");
    assert!(
        said.contains(&format!("jwks: \"{jwks}\",")) && !said.contains("without a proxy"),
        "{said}"
    );
}

/// It has no key set yet, which is not a fault of the auth server's program.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_without_a_key_set_is_to_be_asked_itself() {
    let url = server(|at, _| match at {
        "/_countersign/token" => (
            StatusCode::METHOD_NOT_ALLOWED,
            [("content-type", "application/json")],
            r#"{"code":"method_not_allowed"}"#,
        )
            .into_response(),
        _ => (StatusCode::BAD_GATEWAY, r#"{"code":"no_key_set"}"#).into_response(),
    })
    .await;
    for profile in ["convex", "login"] {
        let jwks = format!("{url}/.well-known/jwks.json");
        let (status, said, _) = doctor(&[&jwks, "--profile", profile]).await;
        assert_eq!(status, 1, "{said}");
        assert!(
            said.contains("the proxy has no key set yet: `curl http://127.0.0.1:9090"),
            "{said}"
        );
        assert!(!said.contains("log of the auth server"), "{said}");
    }
}

/// What no proxy mends is the first fault, with its own fix.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_countersign_refuses_is_not_sent_to_it() {
    let signer = Arc::new(Signer::es384());
    let set = json!({"keys": [signer.jwk("k1")]});
    let url = issuer(set).await;
    let whole = signer_token(&signer, &url);
    let cut = whole[..whole.len() - 3].to_owned();
    let claims_with = |name: &str, value: Value| {
        let mut claims = claims(&url);
        claims[name] = value;
        signer.token(&json!({"alg": "ES384", "kid": "k1"}), &claims)
    };
    let without_exp = {
        let mut claims = claims(&url);
        claims.as_object_mut().unwrap().remove("exp");
        signer.token(&json!({"alg": "ES384", "kid": "k1"}), &claims)
    };
    let hmac = {
        let header = base64::Engine::encode(
            &base64::engine::general_purpose::URL_SAFE_NO_PAD,
            r#"{"alg":"HS256","kid":"k1"}"#,
        );
        format!("{header}.{}", whole.split_once('.').unwrap().1)
    };
    let ahead = claims_with("nbf", json!(4_000_000_000_i64));
    let stranger = signer_token(&Signer::es384(), &url);
    for (token, why, fix) in [
        (&cut, "the token is damaged, perhaps cut when it was copied", "copy the token again"),
        (&without_exp, "`exp` is missing", "let the auth server set `exp`"),
        (&ahead, "not valid yet", "set the clock of the auth server"),
        (&hmac, "`alg` is not one", "let the auth server sign with RS256 or ES256"),
        (&stranger, "the signature does not verify", "was changed or cut when copied"),
    ] {
        for profile in ["convex", "standard"] {
            let args = [&url, "--token", token, "--profile", profile];
            let (status, said, _) = doctor(&args).await;
            let first = said.lines().next().unwrap();
            assert!(status == 1 && first.contains(fix), "{profile} {why}: {said}");
            assert!(said.contains(why), "{profile} {why}: {said}");
            assert!(!said.contains("trailing bits"), "{said}");
            assert!(!said.contains("POST /_countersign/token"), "{profile} {why}: {said}");
        }
    }
    // A good one is.
    let (_, said, _) = doctor(&[&url, "--token", &whole]).await;
    assert!(said.contains("`fetchAccessToken`"), "{said}");
}

/// The auth server is asked at another address than its tokens name.
#[tokio::test(flavor = "multi_thread")]
async fn the_block_has_the_values_of_the_token() {
    let signer = Arc::new(Signer::rs256());
    let set = json!({"keys": [signer.jwk("k1")]});
    let url = issuer(set).await;
    let token = signer_token(&signer, "https://login.example.com");
    let (status, said, _) = doctor(&[&url, "--token", &token, "--audience", "other"]).await;
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("1. the token's `iss` is https://login.example.com"), "{said}");
    for line in [
        "issuer: \"https://login.example.com\",",
        "applicationID: \"app\",",
        "issuer = \"https://login.example.com\"",
        "--issuer https://login.example.com",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains(&format!("issuer: \"{url}\"")), "{said}");
    // Not those of a token that these keys did not sign.
    let foreign = signer_token(&Signer::rs256(), "https://login.example.com");
    let (_, said, _) = doctor(&[&url, "--token", &foreign]).await;
    assert!(!said.contains("issuer: \"https://login"), "{said}");
}

/// Each profile is named as what it is, in the verdict and in the fix.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_called_by_its_name() {
    let set = json!({"keys": [Signer::es384().jwk("k1")]});
    let url = issuer(set).await;
    for profile in ["login", "hasura"] {
        let (status, said, _) = doctor(&[&url, "--profile", profile]).await;
        assert_eq!(status, 1, "{said}");
        let first = said.lines().next().unwrap();
        assert!(
            first.starts_with(&format!("A verifier of the profile `{profile}` would")),
            "{said}"
        );
        assert!(said.contains(&format!("\nthe profile {profile} would refuse\n")), "{said}");
        assert!(said.contains(&format!("`--profile {profile}`")), "{said}");
        assert!(!said.contains("Convex") && !said.contains("public key for a signature"), "{said}");
    }
    let (_, said, _) = doctor(&[&url, "--profile", "login"]).await;
    assert!(said.contains("the set has no key for RS256"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_knows_a_web_app_and_a_deployment() {
    let page = || {
        ([("content-type", "text/html; charset=utf-8")], "<!doctype html><div id=root></div>")
            .into_response()
    };
    let url = server(move |_, _| page()).await;
    let (status, said, _) = doctor(&[&url]).await;
    let first = said.lines().next().unwrap();
    assert!(status == 1 && first.contains("This is a web app"), "{said}");
    assert!(!said.contains("countersign in front"), "{said}");

    // The name of a missing file is not taken for a host.
    for file in ["./jwks.json", "jwks.json", "/nowhere/jwks"] {
        let (status, _, said) = doctor(&[file]).await;
        assert!(status == 2 && said.contains("there is no such file"), "{file}: {said}");
    }

    // This needs no network: the name alone decides.
    let (status, said, _) = doctor(&["https://happy-animal-123.convex.cloud"]).await;
    let first = said.lines().next().unwrap();
    assert!(status == 1 && first.contains("address of your Convex deployment"), "{said}");
}

/// A foreign document must not send us to an address that only we can reach.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_leads_inside_only_when_told() {
    let hits = Arc::new(AtomicUsize::new(0));
    let seen = hits.clone();
    let set = json!({"keys": [Signer::rs256().jwk("k1")]});
    let inside = server(move |_, _| {
        seen.fetch_add(1, Ordering::SeqCst);
        as_json(&set)
    })
    .await;
    let port = inside.rsplit(':').next().unwrap().to_owned();
    // Only the document names it: by another name and other addresses of this machine.
    for host in ["x.localhost", "127.0.0.2", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let target = format!("http://{host}:{port}/jwks");
        let (to, redirect) = (target.clone(), target.clone());
        let documents = server(move |at, own| match at {
            DISCOVERY => as_json(&document(own, &to)),
            _ => nothing(),
        })
        .await;
        let redirects = server(move |at, _| match at {
            DISCOVERY => Redirect::temporary(&redirect).into_response(),
            "/jwks" => Redirect::temporary(&redirect).into_response(),
            _ => nothing(),
        })
        .await;
        for url in [documents.clone(), redirects.clone(), format!("{redirects}/jwks")] {
            let (status, said, _) = doctor(&[&url]).await;
            assert_eq!(status, 1, "{said}");
            assert!(said.contains("--allow-private"), "{said}");
            assert_eq!(hits.load(Ordering::SeqCst), 0, "{url} led to {target}:\n{said}");
        }
    }
    // A metadata address is refused even with `--allow-private`.
    let documents = server(|at, own| match at {
        DISCOVERY => as_json(&document(own, "http://169.254.169.254/jwks")),
        _ => nothing(),
    })
    .await;
    let (_, said, _) = doctor(&[&documents, "--allow-private"]).await;
    assert!(said.contains("169.254.169.254 leads into a private network"), "{said}");

    let target = format!("http://127.0.0.2:{port}/jwks");
    let documents = server(move |at, own| match at {
        DISCOVERY => as_json(&document(own, &target)),
        _ => nothing(),
    })
    .await;
    let (status, said, _) = doctor(&[&documents, "--allow-private"]).await;
    assert_eq!(status, 0, "{said}");
    assert!(hits.load(Ordering::SeqCst) > 0);
}

/// The line about countersign says what `run` would do, also if Convex reads more than `run`.
#[tokio::test(flavor = "multi_thread")]
async fn it_promises_what_run_does() {
    let set = json!({"keys": [Signer::rs256().jwk("k1")]});
    let same = set.clone();
    let elsewhere = server(move |_, _| as_json(&same)).await;
    let partial = set.clone();
    let url = server(move |at, own| match at {
        DISCOVERY => as_json(&document(own, &format!("{elsewhere}/jwks"))),
        "/partial/.well-known/openid-configuration" => {
            as_json(&document(&format!("{own}/partial"), &format!("{own}/partial/jwks")))
        }
        "/partial/jwks" => (StatusCode::PARTIAL_CONTENT, partial.to_string()).into_response(),
        _ => nothing(),
    })
    .await;
    // The keys are on another port: `--upstream` refuses that, an [[issuer]] works.
    let (status, said, _) = doctor(&[&url]).await;
    assert_eq!(status, 0, "{said}");
    assert!(!said.contains("countersign ✓"), "{said}");
    assert!(said.contains("countersign · with an `[[issuer]]` (--upstream alone:"), "{said}");
    let (_, said, _) = doctor(&[&format!("{url}/partial")]).await;
    assert!(said.contains("countersign ✗"), "{said}");

    // `run` reads the second document too. A JSON error in place of the first is not a key set.
    let url = server(move |at, own| match at {
        DISCOVERY => as_json(&json!({"error": "not_found"})),
        "/.well-known/oauth-authorization-server" => {
            as_json(&document(own, &format!("{own}/deep/keys")))
        }
        "/deep/keys" => as_json(&set),
        _ => nothing(),
    })
    .await;
    let (status, said, _) = doctor(&[&url]).await;
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("countersign ✓ reads 1 key"), "{said}");
    assert!(said.contains(&format!("jwks: \"{url}/deep/keys\",")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_told_before_all_else() {
    let signer = Arc::new(Signer::rs256());
    let set = json!({"keys": [signer.jwk("k1")]});
    let url = issuer(set).await;
    let mut old = claims(&url);
    old["exp"] = json!(1_700_000_600);
    let header = json!({"alg": "RS256", "kid": "k1"});
    let token = signer.token(&header, &old);
    let (status, said, _) = doctor(&[&url, "--token", &token]).await;
    assert_eq!(status, 1, "{said}");
    assert!(said.lines().next().unwrap().ends_with("get a fresh token and ask again."), "{said}");
    assert!(said.contains("1. the token expired ") && !said.contains("\n2. "), "{said}");
    // Another fault is reported too.
    let (_, said, _) =
        doctor(&[&url, "--token", &Signer::rs256().token(&header, &old), "--audience", "app"])
            .await;
    assert!(said.lines().next().unwrap().ends_with("get a fresh token and ask again."), "{said}");
    assert!(said.contains("\n2. the signature was not made by the key `k1`"), "{said}");
    assert!(said.contains("in production: Could not decode token. The JWT's 'kid'"), "{said}");

    // Without `aud`: no applicationID, and the reason.
    let mut plain = claims(&url);
    plain.as_object_mut().unwrap().remove("aud");
    let (status, said, _) = doctor(&[&url, "--token", &signer.token(&header, &plain)]).await;
    assert_eq!(status, 0, "{said}");
    assert!(!said.contains("applicationID: \""), "{said}");
    assert!(said.contains("// no applicationID: the tokens have no `aud`"), "{said}");

    // If a proxy is needed, it says what the proxy needs.
    let es384 = Arc::new(Signer::es384());
    let (set, by) = (json!({"keys": [es384.jwk("k1")]}), es384.clone());
    let strict = issuer(set).await;
    let mut plain = claims(&strict);
    plain.as_object_mut().unwrap().remove("aud");
    let token = by.token(&json!({"alg": "ES384", "kid": "k1"}), &plain);
    let (status, said, _) = doctor(&[&strict, "--token", &token]).await;
    assert_eq!(status, 1, "{said}");
    let first = said.lines().next().unwrap();
    assert!(
        first.contains("Fix: let the auth server set an `aud`, or set `audience_when_missing`")
    );
    assert!(said.contains("\n1. `aud` is missing\n"), "{said}");
    assert!(said.contains("// the `audience` that you give `audience_when_missing`"), "{said}");

    // For one kind of provider `iss` with a slash is the same issuer, for the other it is not.
    let mut slash = claims(&url);
    slash["iss"] = json!(format!("{url}/"));
    let token = signer.token(&header, &slash);
    let (status, said, _) = doctor(&[&url, "--token", &token, "--for", "custom-jwt"]).await;
    assert_eq!(status, 0, "{said}");
    let (status, said, _) = doctor(&[&url, "--token", &token, "--for", "oidc"]).await;
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("compares byte by byte"), "{said}");

    // Two tokens of one person: which claims change between them.
    let mut other = claims(&url);
    (other["nonce"], other["session"]) = (json!("b"), json!({"id": 2, "plan": "x"}));
    let mut one = claims(&url);
    (one["nonce"], one["session"], one["jti"]) =
        (json!("a"), json!({"id": 1, "plan": "x"}), json!("z"));
    let (one, other) = (signer.token(&header, &one), signer.token(&header, &other));
    let (status, said, _) = doctor(&[&url, "--token", &one, "--token", &other]).await;
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("these claims change from token to token: nonce, session.id."), "{said}");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let fix = "`stable_claims = true` under [profile] (leaves nonce out of exchanged tokens) and \
               `drop = [\"session\"]` under [issuer.claims]";
    assert!(said.contains(fix), "{said}");
    let (_, said, _) = doctor(&[&url, "--token", &one, "--token", &other, "--json"]).await;
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["changing_claims"], json!(["nonce", "session.id"]));
    assert!(report["headline"].as_str().unwrap().starts_with("Convex would accept"));
}

/// Faults below HTTP have fixes of their own.
#[tokio::test(flavor = "multi_thread")]
async fn tls_names_and_silence() {
    let set = json!({"keys": [Signer::rs256().jwk("k1")]});
    let url = issuer(set).await;
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let place = Place::with_tls(&url, "");
    let _process = place.running().await;
    let (status, said, _) = doctor(&[&place.url("")]).await;
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("UnknownIssuer"), "{said}");
    assert!(said.lines().next().unwrap().contains("certificate of a public authority"), "{said}");

    // It accepts the connection, and then sends nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", silent.local_addr().unwrap());
    let held = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            open.push(stream);
        }
    });
    let (status, said, notes) = doctor(&[&at]).await;
    held.abort();
    assert_eq!(status, 1, "{said}");
    assert!(notes.contains(&format!("waiting for {at}")), "{notes}");
    assert!(said.contains("no complete answer within 10 seconds"), "{said}");
    assert!(said.lines().next().unwrap().contains("ask again in a minute"), "{said}");
}
