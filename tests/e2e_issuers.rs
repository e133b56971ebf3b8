//! Issuer × verifier. Each recipe of `docs/issuers` as it is written there: what four verifiers say of
//! the issuer's own token and key set, and what they say through the proxy. The table is
//! `docs/matrix.md`; `UPDATE=1` writes it anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "a test stops at the first surprise"
)]
#![cfg(feature = "verifier")]

#[path = "support/e2e.rs"]
mod e2e;
#[path = "support/verifiers.rs"]
mod verifiers;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use countersign::clock::Clock;
use e2e::{Issuer, Proxy, ProxyOptions, client, decode, free_port, http_client};
use serde_json::{Value, json};
use verifiers::{Algorithm, CustomJwt, Oidc, Response, custom_jwt, oidc};

const SECRET: &str = "the-project's-old-secret-of-the-tests";
/// The proxy's address in the recipes.
const PUBLIC: &str = "https://login.example.com";
const VERIFIERS: [&str; 4] = ["Convex customJwt", "Convex OIDC", "jose", "jwks-rsa"];

/// One recipe and what is to come out.
struct Case {
    name: &'static str,
    /// Where the recipe is written, and which of the blocks there it is.
    recipe: (&'static str, usize),
    /// The server that stands in for the issuer.
    kind: &'static str,
    /// Why people come: one line of the table.
    trouble: &'static str,
    /// Verifiers that must refuse the issuer's own. After, every one takes it.
    refuses: &'static [&'static str],
}

/// The place among these of the one that starts with discovery.
const OIDC: usize = 1;
const ALL: &[&str] = &VERIFIERS;

const CASES: &[Case] = &[
    Case {
        name: "Logto",
        recipe: ("docs/issuers/logto.md", 0),
        kind: "logto",
        trouble: "ES384, `typ: at+jwt`",
        refuses: ALL,
    },
    Case {
        name: "Logto, its endpoint the proxy",
        recipe: ("tests/recipes/logto-endpoint.toml", 0),
        kind: "logto",
        trouble: "ES384, `typ: at+jwt`",
        refuses: ALL,
    },
    Case {
        name: "Better Auth",
        recipe: ("docs/issuers/better-auth.md", 0),
        kind: "better-auth",
        trouble: "EdDSA",
        refuses: ALL,
    },
    Case {
        name: "Cloudflare Worker for Steam",
        recipe: ("docs/issuers/steam-worker.md", 0),
        kind: "steam-worker",
        trouble: "ES256, the set a bare array sent as text",
        refuses: ALL,
    },
    Case {
        name: "WorkOS AuthKit",
        recipe: ("docs/issuers/workos.md", 0),
        kind: "workos",
        trouble: "no `aud`",
        refuses: ALL,
    },
    Case {
        name: "Privy",
        recipe: ("docs/issuers/privy.md", 0),
        kind: "privy",
        trouble: "ES256, `iss` without a scheme",
        refuses: ALL,
    },
    Case {
        name: "dynamic.xyz",
        recipe: ("tests/recipes/dynamic.toml", 0),
        kind: "dynamic",
        trouble: "`iss` without a scheme, an EdDSA key in the set",
        refuses: &["Convex customJwt", "Convex OIDC"],
    },
    Case {
        name: "Firebase",
        recipe: ("docs/issuers/firebase.md", 0),
        kind: "firebase",
        trouble: "certificates, kid → PEM",
        refuses: ALL,
    },
    Case {
        name: "AWS ALB",
        recipe: ("docs/issuers/aws-alb.md", 0),
        kind: "aws-alb",
        trouble: "padded base64url, ES256, one PEM a kid, no `aud`, no `iat`",
        refuses: ALL,
    },
    Case {
        name: "Keycloak",
        recipe: ("docs/issuers/keycloak.md", 0),
        kind: "keycloak",
        trouble: "ES256, an encryption key under the same kid, two audiences",
        refuses: ALL,
    },
    Case {
        name: "Zitadel",
        recipe: ("tests/recipes/zitadel.toml", 0),
        kind: "zitadel",
        trouble: "several audiences",
        refuses: &["Convex OIDC"],
    },
    Case {
        name: "Supabase",
        recipe: ("docs/issuers/supabase.md", 0),
        kind: "supabase",
        trouble: "ES256",
        refuses: ALL,
    },
    Case {
        name: "Supabase, old secret",
        recipe: ("docs/issuers/supabase.md", 1),
        kind: "supabase",
        trouble: "HS256, an empty key set",
        refuses: ALL,
    },
];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The text of a recipe: a TOML file, or the n-th TOML block of a page.
fn recipe((name, nth): (&str, usize)) -> String {
    let text = std::fs::read_to_string(file(name)).unwrap();
    if !name.ends_with(".md") {
        return text;
    }
    let block = text.split("```toml\n").nth(nth + 1);
    let block = block.unwrap_or_else(|| panic!("{name} has no {nth}th recipe"));
    block.split("\n```").next().unwrap().to_owned()
}

/// The recipe changed as its page says for Convex's other way, an OpenID provider: that asks the
/// address in `iss` for its discovery document, so this has to be the proxy's. None: it is.
fn as_openid_provider(case: &Case) -> Option<String> {
    let page = std::fs::read_to_string(file(case.recipe.0)).unwrap();
    let (_, rest) = page.split_once("`output_issuer = \"")?;
    let issuer = toml::Value::from(rest.split_once("\"`").unwrap().0);
    let mut table: toml::Table = toml::from_str(&recipe(case.recipe)).unwrap();
    table["issuer"][0].as_table_mut().unwrap().insert("output_issuer".to_owned(), issuer.clone());
    if page.contains("`[discovery] issuer`") {
        let discovery = toml::Table::from_iter([("issuer".to_owned(), issuer)]);
        table.insert("discovery".to_owned(), discovery.into());
    }
    Some(toml::to_string(&table).unwrap())
}

/// A string, or the first of several.
fn first(value: Option<&toml::Value>) -> Option<String> {
    match value? {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Array(all) => all.first()?.as_str().map(str::to_owned),
        other => panic!("{other}"),
    }
}

fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |at| &url[..host + at])
}

/// An issuer and the proxy before it, by the recipe.
struct Pair {
    issuer: Issuer,
    proxy: Proxy,
    /// `iss` of the issuer's own tokens, and of the new ones.
    iss: String,
    new_iss: String,
    audience: String,
    /// The path whose answer holds tokens, and where in it.
    tokens: Option<(String, String)>,
}

async fn start(case: &Case, recipe: &str) -> Pair {
    let port = free_port();
    let public = format!("http://127.0.0.1:{port}");
    let text = recipe.replace(PUBLIC, &public);
    let table: toml::Table = toml::from_str(&text).unwrap();
    let entry = table["issuer"][0].as_table().unwrap();
    let rule = table.get("tokens").map(|rules| rules[0].as_table().unwrap());
    let missing = entry.get("audience_when_missing");
    let demanded = || first(entry.get("required_headers")?.get("client"));
    let audience = rule
        .and_then(|rule| first(rule.get("audience")))
        .or_else(|| missing.and_then(|m| first(m.get("audience"))))
        .or_else(|| first(entry.get("audience")))
        .unwrap();
    let iss = first(entry.get("issuer")).unwrap();
    let jwks = first(entry.get("jwks"));
    let tokens =
        rule.map(|rule| (first(rule.get("path")).unwrap(), first(rule.get("json")).unwrap()));

    let mut options = json!({
        "kind": case.kind,
        "iss": iss,
        "aud": audience,
        "client": missing.and_then(|m| first(m.get("clients"))).or_else(demanded),
        "jwks": jwks.as_deref().map(|jwks| &jwks[jwks.find("://").map_or(0, |_| origin(jwks).len())..]),
        "tokens": tokens.as_ref().map(|(path, _)| path),
    });
    if entry.contains_key("secret") {
        options["secret"] = json!(SECRET);
    }
    let script = if file(&format!("tests/node/issuers/{}.mjs", case.kind)).exists() {
        case.kind
    } else {
        "like"
    };
    let issuer = Issuer::start(script, &options);

    // Only addresses change: what is proxied, and where the key set is fetched.
    let mut config = text.clone();
    if let Some(upstream) = table.get("upstream") {
        let url = upstream["url"].as_str().unwrap();
        config =
            config.replace(&format!("url = \"{url}\""), &format!("url = \"{}\"", issuer.url()));
    }
    if let Some(jwks) = jwks.filter(|jwks| jwks.contains("://")) {
        let there = jwks.replacen(origin(&jwks), issuer.url(), 1);
        config = config.replace(&format!("jwks = \"{jwks}\""), &format!("jwks = \"{there}\""));
    }
    let env = [("SUPABASE_JWT_SECRET", SECRET)];
    let options = ProxyOptions { port, upstream: None, config: Some(&config), env: &env };
    let proxy = Proxy::start(&options).await;
    let new_iss = first(entry.get("output_issuer")).unwrap_or_else(|| iss.clone());
    let tokens = tokens.filter(|_| table.contains_key("upstream"));
    Pair { issuer, proxy, iss, new_iss, audience, tokens }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no token: {value}")).to_owned()
}

/// A token as the issuer gives it, behind the proxy's back; and the one its users get: in the answer
/// that is proxied where the recipe has a place for it, else by the exchange.
async fn tokens(case: &Case, pair: &Pair) -> (String, String) {
    let script = match case.kind {
        "better-auth" => Some("better-auth"),
        "steam-worker" => Some("steam"),
        _ => None,
    };
    if let Some(script) = script {
        let ask = |base: &str, email: &str| {
            let options =
                json!({ "url": base, "iss": pair.iss, "origin": pair.iss, "email": email });
            let found = client(script, &options).unwrap_or_else(|error| panic!("{error}"));
            text(&found["token"])
        };
        let own = ask(pair.issuer.url(), "a@example.test");
        return (own, ask(&pair.proxy.url, "b@example.test"));
    }
    let (_, own) = e2e::get(&format!("{}/token", pair.issuer.url())).await;
    let Some((path, member)) = &pair.tokens else {
        let exchanged = exchanged(pair, &own).await;
        return (own, exchanged);
    };
    let url = format!("{}{path}", pair.proxy.url);
    let answer = http_client()
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body("grant_type=client_credentials")
        .send()
        .await
        .unwrap();
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    if let Some(id_token) = answer["id_token"].as_str() {
        let (header, claims) = decode(id_token);
        assert_eq!(header["alg"], "RS256", "{}: {answer}", case.name);
        // SHA-256 halved is 22 characters of base64url.
        let at_hash = claims["at_hash"].as_str().map(str::len);
        assert!(at_hash.is_none_or(|length| length == 22), "{}: {claims}", case.name);
    }
    // The recipe works for those who exchange as well.
    exchanged(pair, &own).await;
    (own, text(&answer[member]))
}

async fn exchanged(pair: &Pair, token: &str) -> String {
    let (status, answer) = pair.proxy.exchange(token, Some(&pair.audience)).await;
    assert_eq!(status, 200, "{answer}\n{}", pair.proxy.log());
    text(&answer["access_token"])
}

/// What is asked of the verifiers.
struct Question<'a> {
    iss: &'a str,
    audience: &'a str,
    jwks: &'a str,
    token: &'a str,
    /// An address that is not of this machine, and the one that stands in for it.
    instead: (&'a str, &'a str),
}

/// What the verifiers say: `Ok`, or a word on why not.
async fn judge(ask: &Question<'_>) -> Vec<Result<(), String>> {
    let now = Clock::system().now();
    let fetch = async |url: String| -> Result<Response, String> {
        let url = url.replacen(ask.instead.0, ask.instead.1, 1);
        let answer = http_client().get(url).send().await.map_err(|e| e.to_string())?;
        let content_type =
            answer.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let body = answer.bytes().await.unwrap().to_vec();
        Ok(Response { status, content_type, body, ..Response::default() })
    };
    let set = fetch(ask.jwks.to_owned()).await.unwrap();
    let custom = CustomJwt {
        issuer: ask.iss.to_owned(),
        jwks: ask.jwks.to_owned(),
        algorithm: Algorithm::Rs256,
        application_id: Some(ask.audience.to_owned()),
    };
    let open = Oidc { domain: ask.iss.to_owned(), application_id: ask.audience.to_owned() };
    let mut said = vec![
        custom_jwt(&set, &custom, ask.token, now).map_err(|e| e.code.to_owned()),
        oidc(fetch, &open, ask.token, now).await.map_err(|e| e.code.to_owned()),
    ];
    let npm = client(
        "jwks",
        &json!({ "jwks": ask.jwks, "token": ask.token, "issuer": ask.iss, "audience": ask.audience }),
    )
    .unwrap_or_else(|error| panic!("{error}"));
    for name in &VERIFIERS[2..] {
        said.push(match npm[name]["ok"].as_bool() {
            Some(true) => Ok(()),
            _ => Err(text(&npm[name]["error"]).split(": ").next().unwrap().to_owned()),
        });
    }
    said
}

/// What the verifiers say of the issuer's own token, and of that which comes through the proxy.
async fn judged(case: &Case, recipe: &str) -> [Vec<Result<(), String>>; 2] {
    let pair = start(case, recipe).await;
    let (own, new) = tokens(case, &pair).await;
    let own_jwks = format!("{}{}", pair.issuer.url(), pair.issuer.get("jwks"));
    let own_origin = match pair.iss.contains("://") {
        true => origin(&pair.iss).to_owned(),
        false => format!("https://{}", origin(&pair.iss)),
    };
    let mut ask = Question {
        iss: &pair.iss,
        audience: &pair.audience,
        jwks: &own_jwks,
        token: &own,
        instead: (&own_origin, pair.issuer.url()),
    };
    let before = judge(&ask).await;

    let (_, own_claims) = decode(&own);
    let (header, claims) = decode(&new);
    assert_eq!(claims["iss"], pair.new_iss, "{}", case.name);
    assert_eq!(header["alg"], "RS256", "{}: {header}", case.name);
    assert!(claims["iat"].is_i64(), "{}: {claims}", case.name);
    // Two tokens of one login: the lifetime is what counts, and the second may have turned.
    let life = |claims: &Value| claims["exp"].as_i64().unwrap();
    assert!(life(&claims) <= life(&own_claims) + 30, "{}: {claims}", case.name);
    let jwks = pair.proxy.jwks();
    // Discovery at an address of the proxy's is the proxy's; elsewhere it is the issuer's own.
    if pair.new_iss.starts_with(&pair.proxy.url) {
        ask.instead = (&pair.proxy.url, &pair.proxy.url);
    }
    let after = judge(&Question { iss: &pair.new_iss, jwks: &jwks, token: &new, ..ask }).await;
    [before, after]
}

/// One row of the table.
async fn row(case: &Case) -> String {
    let [before, mut after] = judged(case, &recipe(case.recipe)).await;
    for (name, verdict) in VERIFIERS.iter().zip(&before) {
        let refuses = case.refuses.contains(name);
        assert!(!refuses || verdict.is_err(), "{}, {name}, before: {before:?}", case.name);
    }
    if let Some(recipe) = as_openid_provider(case) {
        let [_, provider] = judged(case, &recipe).await;
        assert_eq!(provider, [const { Ok(()) }; 4], "{}, as an OpenID provider", case.name);
        after[OIDC].clone_from(&provider[OIDC]);
    }
    assert_eq!(after, [const { Ok(()) }; 4], "{}, after", case.name);

    let mut line = format!("| {} | {} |", case.name, case.trouble);
    for before in before {
        let before = before.map_or_else(|why| format!("`{why}`"), |()| "accepts".to_owned());
        write!(line, " {before} → **accepts** |").unwrap();
    }
    line
}

/// The version of a dependency, from the lock file or the package file.
fn version(of: &str, name: &str) -> String {
    let text = std::fs::read_to_string(file(of)).unwrap();
    if of.ends_with(".json") {
        let json: Value = serde_json::from_str(&text).unwrap();
        return json["dependencies"][name].as_str().unwrap().to_owned();
    }
    let after = text.split(&format!("name = \"{name}\"\nversion = \"")).nth(1).unwrap();
    after.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn each_issuer_is_accepted_after_and_the_table_says_so() {
    let mut table = String::from(
        "# Issuer × verifier\n\n\
         What a verifier that takes RS256 says of an issuer's own token and key set → what it says through\n\
         countersign, with the recipe of [docs/issuers](issuers/index.md). Better Auth and the Cloudflare\n\
         Worker run as themselves; the others are servers written from what those issuers were seen to\n\
         issue. As an OpenID provider Convex asks the address in `iss` for its discovery document, so this\n\
         has to be the proxy's: where the recipe leaves `iss` alone, that column has the change its page\n\
         names (`output_issuer`), with which the other three accept as well.\n\n\
         Written by `UPDATE=1 cargo nextest run --test e2e_issuers`, and held by the same test.\n\n",
    );
    writeln!(table, "| issuer | trouble | {} |", VERIFIERS.join(" | ")).unwrap();
    writeln!(table, "|---|---|{}", "---|".repeat(VERIFIERS.len())).unwrap();
    for case in CASES {
        writeln!(table, "{}", row(case).await).unwrap();
    }
    let node = |name| version("tests/node/package.json", name);
    writeln!(
        table,
        "\nVersions: countersign {}; Convex's checks with biscuit {} and openidconnect {}; jose {}; \
         jwks-rsa {} with jsonwebtoken {}; Better Auth {}; miniflare {}.",
        env!("CARGO_PKG_VERSION"),
        version("Cargo.lock", "biscuit"),
        version("Cargo.lock", "openidconnect"),
        node("jose"),
        node("jwks-rsa"),
        node("jsonwebtoken"),
        node("better-auth"),
        node("miniflare"),
    )
    .unwrap();
    let kept = file("docs/matrix.md");
    if std::env::vars().any(|(name, _)| name == "UPDATE") {
        std::fs::write(&kept, &table).unwrap();
    }
    let kept = std::fs::read_to_string(&kept).unwrap_or_default();
    assert_eq!(kept, table, "docs/matrix.md is not what was found: run with UPDATE=1");
}

#[tokio::test]
async fn a_shared_secret_opens_nothing_but_its_own_issuers_tokens() {
    let case = CASES.iter().find(|case| case.name == "Supabase, old secret").unwrap();
    let pair = start(case, &recipe(case.recipe)).await;
    let (_, own) = e2e::get(&format!("{}/token", pair.issuer.url())).await;
    exchanged(&pair, &own).await;
    let (signed, _) = own.rsplit_once('.').unwrap();
    let (status, answer) = pair.proxy.exchange(&format!("{signed}.AAAA"), None).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")), "{answer}");
    assert!(!answer.to_string().contains(signed), "no token in an error: {answer}");
    let (_, set) = e2e::get(&pair.proxy.jwks()).await;
    assert!(!set.contains("\"oct\"") && !set.contains(SECRET), "{set}");
    assert!(!pair.proxy.log().contains(SECRET));
}
