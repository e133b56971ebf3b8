//! Runs a recipe from the documents: its issuer, and the real binary in front of it, configured as
//! the recipe is written. Only addresses are replaced by ones of this machine.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use toml::Table;

use super::e2e::{self, Issuer, Proxy, ProxyOptions, client, free_port, http_client};

pub const SECRET: &str = "the-project's-old-secret-of-the-tests";
/// The proxy's address in the recipes.
const PUBLIC: &str = "https://login.example.com";
const TENANT: &str = "11111111-1111-1111-1111-111111111111";

/// An issuer, its recipe, and the problem that it solves for users.
pub struct Case {
    pub name: &'static str,
    /// The file with the recipe, and the index of its code block there.
    pub recipe: (&'static str, usize),
    /// The server that runs as this issuer: the real one or a stand-in.
    pub kind: &'static str,
    pub trouble: &'static str,
    /// The `iss` to use where the recipe has more than one.
    pub spelling: Option<&'static str>,
    /// The path of the key set where the recipe does not give it.
    pub jwks: &'static str,
    /// Why there is no login to test.
    pub no_login: Option<&'static str>,
}

pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The version of a dependency in the lock file.
pub fn version(name: &str) -> String {
    let text = std::fs::read_to_string(file("Cargo.lock")).unwrap();
    let after = text.split(&format!("name = \"{name}\"\nversion = \"")).nth(1).unwrap();
    after.split('"').next().unwrap().to_owned()
}

/// The text of a recipe: a TOML file, or the n-th TOML block of a page.
fn written((name, nth): (&str, usize)) -> String {
    let text = std::fs::read_to_string(file(name)).unwrap();
    if !name.ends_with(".md") {
        return text;
    }
    let block = text.split("```toml\n").nth(nth + 1);
    let block = block.unwrap_or_else(|| panic!("{name} has no {nth}th recipe"));
    block.split("\n```").next().unwrap().to_owned()
}

/// A string, or the first string of a list.
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

fn loopback(port: impl Display) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The `[[issuer]]` table.
fn entry(table: &Table) -> &Table {
    table["issuer"][0].as_table().unwrap()
}

/// A recipe with addresses of this machine: `own` replaces the address of the issuer and of the
/// upstream, `public` replaces the proxy's address.
fn here(recipe: &str, own: &str, public: &str) -> String {
    let table: Table = toml::from_str(recipe).unwrap();
    let values = ["issuer", "jwks", "output_issuer"].map(|name| first(entry(&table).get(name)));
    let mut addresses: Vec<String> = values.into_iter().flatten().collect();
    addresses.retain(|address| address.contains("://"));
    if let Some(upstream) = table.get("upstream") {
        addresses.push(upstream["url"].as_str().unwrap().to_owned());
    }
    let text = recipe.replace(PUBLIC, public);
    let foreign = addresses.iter().map(|address| origin(address)).filter(|o| *o != PUBLIC);
    foreign.fold(text, |text, origin| text.replace(origin, own))
}

impl Case {
    /// The recipe, with the chosen spelling of `iss` first.
    pub fn recipe(&self) -> String {
        let text = written(self.recipe);
        let Some(spelling) = self.spelling else { return text };
        let mut table: Table = toml::from_str(&text).unwrap();
        // The page lists all spellings. The issuer uses the first.
        let names = table["issuer"][0]["issuer"].as_array_mut().unwrap();
        let at = names.iter().position(|name| name.as_str() == Some(spelling));
        names.swap(0, at.unwrap());
        toml::to_string(&table).unwrap()
    }

    /// The recipe, changed as its page describes for verifiers that read the discovery document at
    /// the address in `iss`, which must then be the proxy's. `None` where it already is.
    pub fn as_openid_provider(&self) -> Option<String> {
        let page = std::fs::read_to_string(file(self.recipe.0)).unwrap();
        let (_, rest) = page.split_once("`output_issuer = \"")?;
        let issuer = toml::Value::from(rest.split_once("\"`").unwrap().0);
        let mut table: Table = toml::from_str(&self.recipe()).unwrap();
        let entry = table["issuer"][0].as_table_mut().unwrap();
        entry.insert("output_issuer".to_owned(), issuer.clone());
        if page.contains("`[discovery] issuer`") {
            let discovery = Table::from_iter([("issuer".to_owned(), issuer)]);
            table.insert("discovery".to_owned(), discovery.into());
        }
        Some(toml::to_string(&table).unwrap())
    }

    /// glewlwyd is not installed everywhere.
    pub fn is_there(&self) -> bool {
        self.kind != "glewlwyd" || file("target/tools/glewlwyd/usr/bin/glewlwyd").exists()
    }

    /// The recipe without embedded originals, for verifiers that reject unknown header parameters.
    pub fn without_original(recipe: &str) -> String {
        let mut table: Table = toml::from_str(recipe).unwrap();
        let entry = table["issuer"][0].as_table_mut().unwrap();
        entry.insert("carry_original".to_owned(), false.into());
        toml::to_string(&table).unwrap()
    }

    /// The issuer without a proxy, known by its own address.
    pub fn alone(&self) -> Alone {
        let port = free_port();
        Alone::start(self, port, &here(&self.recipe(), &loopback(port), &loopback(port)))
    }

    /// The proxy of a recipe in front of the issuer `alone`. If the issuer must use the proxy's
    /// address as its name, it is in front of a new issuer that does.
    pub async fn pair<'a>(&'a self, recipe: &str, alone: &'a Alone) -> Pair<'a> {
        let port = free_port();
        let table: Table = toml::from_str(recipe).unwrap();
        let iss = first(entry(&table).get("issuer")).unwrap();
        let known_by_proxy = iss.starts_with(PUBLIC).then(|| {
            let own = free_port();
            Alone::start(self, own, &here(recipe, &loopback(own), &loopback(port)))
        });
        let issuer = known_by_proxy.as_ref().unwrap_or(alone);
        let config = here(recipe, issuer.url(), &loopback(port));
        let env = [("SUPABASE_JWT_SECRET", SECRET), ("LINE_CHANNEL_SECRET", SECRET)];
        let options = ProxyOptions { port, upstream: None, config: Some(&config), env: &env };
        let proxy = Proxy::start(&options).await;
        let table: Table = toml::from_str(&config).unwrap();
        let new_iss = first(entry(&table).get("output_issuer"));
        let iss = new_iss.unwrap_or_else(|| issuer.iss.clone());
        let tokens = issuer.tokens.clone().filter(|_| table.contains_key("upstream"));
        Pair { case: self, alone, known_by_proxy, proxy, iss, tokens }
    }
}

/// A running issuer.
pub struct Alone {
    issuer: Issuer,
    kind: &'static str,
    /// The `iss` of its tokens.
    pub iss: String,
    pub audience: String,
    /// The path of the answer that has tokens, and where they are in it.
    tokens: Option<(String, String)>,
}

impl Alone {
    fn start(case: &Case, port: u16, recipe: &str) -> Self {
        let table: Table = toml::from_str(recipe).unwrap();
        let own = loopback(port);
        let entry = entry(&table);
        let rule = table.get("tokens").map(|rules| rules[0].as_table().unwrap());
        let missing = entry.get("audience_when_missing");
        let demanded = || first(entry.get("required_headers")?.get("client"));
        let audience = rule
            .and_then(|rule| first(rule.get("audience")))
            .or_else(|| missing.and_then(|m| first(m.get("audience"))))
            .or_else(|| first(entry.get("audience")))
            .unwrap();
        let iss = first(entry.get("issuer")).unwrap();
        let jwks = first(entry.get("jwks")).unwrap_or_else(|| case.jwks.to_owned());
        let jwks = jwks.strip_prefix(&own).unwrap_or(&jwks);
        let tokens =
            rule.map(|rule| (first(rule.get("path")).unwrap(), first(rule.get("json")).unwrap()));
        let mut options = json!({
            "port": port,
            "kind": case.kind,
            "iss": iss,
            "issuer": iss,
            "aud": audience,
            "client": missing.and_then(|m| first(m.get("clients"))).or_else(demanded),
            "jwks": jwks,
            "tokens": tokens.as_ref().map_or("/oauth/token", |(path, _)| path),
            "tenant": TENANT,
        });
        if entry.contains_key("secret") {
            options["secret"] = json!(SECRET);
        }
        let script = format!("tests/node/issuers/{}.mjs", case.kind);
        let script = if file(&script).exists() { case.kind } else { "like" };
        let issuer = Issuer::start(script, &options);
        Self { issuer, kind: case.kind, iss, audience, tokens }
    }

    pub fn url(&self) -> &str {
        self.issuer.url()
    }

    pub fn jwks(&self) -> String {
        format!("{}{}", self.url(), self.issuer.get("jwks"))
    }

    /// The address that users configure in a verifier. Where `iss` is a template, it is the address
    /// for all tenants.
    pub fn address(&self) -> String {
        self.iss.replace("{tenantid}", "common")
    }

    /// Makes new keys. The old ones are kept in the set.
    pub async fn rotate(&self) {
        let url = format!("{}/rotate", self.url());
        assert_eq!(http_client().post(url).send().await.unwrap().status(), 200);
    }

    /// A token directly from the issuer, not through a proxy.
    pub async fn token(&self) -> String {
        let login = self.by_login(self.url());
        match login.unwrap_or_else(|error| panic!("{}: {error}", self.kind)) {
            Some(token) => token,
            None => e2e::get(&format!("{}/token", self.url())).await.1,
        }
    }

    /// A token from a real login at `base`; `None` where the issuer is a stand-in without a login.
    fn by_login(&self, base: &str) -> Result<Option<String>, String> {
        let found = match self.kind {
            "better-auth" => {
                // A new user each time.
                let email = format!("{}@example.test", free_port());
                let options = json!({ "url": base, "origin": self.iss, "email": email });
                client("better-auth", &options)?["token"].take()
            }
            "steam-worker" => {
                client("steam", &json!({ "url": base, "iss": self.iss }))?["token"].take()
            }
            "oidc-provider" | "oauth2-mock-server" | "glewlwyd" => {
                let own = if self.kind == "oidc-provider" { "ES384" } else { "ES512" };
                let alg = if base == self.url() { own } else { "RS256" };
                let options = json!({ "issuer": self.iss, "alg": alg });
                client("openid-client-5", &options)?["id_token"].take()
            }
            _ => return Ok(None),
        };
        Ok(found.as_str().map(str::to_owned))
    }
}

/// An issuer, and the proxy in front of it.
pub struct Pair<'a> {
    case: &'a Case,
    alone: &'a Alone,
    known_by_proxy: Option<Alone>,
    pub proxy: Proxy,
    /// The `iss` of the new tokens.
    pub iss: String,
    tokens: Option<(String, String)>,
}

impl Pair<'_> {
    pub fn issuer(&self) -> &Alone {
        self.known_by_proxy.as_ref().unwrap_or(self.alone)
    }

    /// A token as users get it: from the proxied answer where the recipe rewrites one, else by the
    /// exchange.
    pub async fn token(&self) -> String {
        let login = self.issuer().by_login(&self.proxy.url);
        if let Some(token) = login.unwrap_or_else(|error| panic!("{}: {error}", self.case.name)) {
            return token;
        }
        let own = self.issuer().token().await;
        // The recipe must also work for the exchange.
        let exchanged = self.exchanged(&own).await;
        let Some((path, member)) = &self.tokens else { return exchanged };
        let answer = http_client()
            .post(format!("{}{path}", self.proxy.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials")
            .send()
            .await
            .unwrap();
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        if let Some(id_token) = answer["id_token"].as_str() {
            let (header, claims) = e2e::decode(id_token);
            assert_eq!(header["alg"], "RS256", "{}: {answer}", self.case.name);
            // Half of a SHA-256 hash is 22 characters of base64url.
            let at_hash = claims["at_hash"].as_str().map(str::len);
            assert!(at_hash.is_none_or(|length| length == 22), "{}: {claims}", self.case.name);
        }
        answer[member].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
    }

    pub async fn exchanged(&self, token: &str) -> String {
        let (status, answer) = self.proxy.exchange(token, Some(&self.issuer().audience)).await;
        assert_eq!(status, 200, "{}: {answer}\n{}", self.case.name, self.proxy.log());
        answer["access_token"].as_str().unwrap().to_owned()
    }
}
