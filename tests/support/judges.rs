//! Running verifiers: the programs of `tests/verifiers`, each in its own language, and Convex's two
//! kinds of provider, with the crates that it uses. Each is asked with an address, an audience and
//! a token. The same address means the same verifier instance, including its cache.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use countersign::clock::Clock;
use http_cache_reqwest::{Cache, CacheMode, HttpCache, HttpCacheOptions, MokaManager};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::e2e::http_client;
use super::recipe::{file, version};
use super::verifiers::{Algorithm, CustomJwt, Oidc, Response, custom_jwt, oidc};

/// How long an answer may take on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a verifier is configured with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fed {
    /// The address of a key set.
    Jwks,
    /// The issuer; the verifier reads its discovery document.
    Issuer,
    /// The issuer, where the client logs a user in.
    Login,
}

/// A verifier, and how to start it.
pub struct Kind {
    pub name: &'static str,
    pub language: &'static str,
    pub fed: Fed,
    /// The program and its arguments. Empty means that it runs in this process.
    command: &'static [&'static str],
}

impl Kind {
    pub const fn is_a_program(&self) -> bool {
        !self.command.is_empty()
    }
}

const PYTHON: &str = "target/tools/venv/bin/python";

const fn kind(
    name: &'static str,
    language: &'static str,
    fed: Fed,
    command: &'static [&'static str],
) -> Kind {
    Kind { name, language, fed, command }
}

pub const KINDS: &[Kind] = &[
    kind("Convex customJwt", "Rust", Fed::Jwks, &[]),
    kind("Convex OIDC", "Rust", Fed::Issuer, &[]),
    kind("jsonwebtoken (Rust)", "Rust", Fed::Jwks, &["target/verifiers/debug/jsonwebtoken"]),
    kind("josekit", "Rust", Fed::Jwks, &["target/verifiers/debug/josekit"]),
    kind("jose", "Node.js", Fed::Jwks, &["node", "tests/verifiers/jose/verify.mjs"]),
    kind("jwks-rsa", "Node.js", Fed::Jwks, &["node", "tests/verifiers/jwks-rsa/verify.mjs"]),
    kind("fast-jwt", "Node.js", Fed::Jwks, &["node", "tests/verifiers/fast-jwt/verify.mjs"]),
    kind("PyJWT", "Python", Fed::Jwks, &[PYTHON, "tests/verifiers/pyjwt/verify.py"]),
    kind("Authlib", "Python", Fed::Issuer, &[PYTHON, "tests/verifiers/authlib/verify.py"]),
    kind("joserfc", "Python", Fed::Jwks, &[PYTHON, "tests/verifiers/joserfc/verify.py"]),
    kind("jwcrypto", "Python", Fed::Jwks, &[PYTHON, "tests/verifiers/jwcrypto/verify.py"]),
    kind("python-jose", "Python", Fed::Jwks, &[PYTHON, "tests/verifiers/python-jose/verify.py"]),
    kind("go-oidc", "Go", Fed::Issuer, &["target/verifiers/bin/go-oidc"]),
    kind("go-jose", "Go", Fed::Jwks, &["target/verifiers/bin/go-jose"]),
    kind("ruby-jwt", "Ruby", Fed::Jwks, &["ruby", "tests/verifiers/ruby-jwt/verify.rb"]),
    kind("json-jwt", "Ruby", Fed::Jwks, &["ruby", "tests/verifiers/json-jwt/verify.rb"]),
    kind("Crypt::JWT", "Perl", Fed::Jwks, &["perl", "tests/verifiers/crypt-jwt/verify.pl"]),
    kind(
        "mod_auth_openidc",
        "C",
        Fed::Jwks,
        &["node", "tests/verifiers/mod-auth-openidc/verify.mjs"],
    ),
    kind("HAProxy", "C", Fed::Jwks, &["node", "tests/verifiers/haproxy/verify.mjs"]),
    kind(
        "openid-client 5",
        "Node.js",
        Fed::Login,
        &["node", "tests/verifiers/openid-client-5/verify.mjs"],
    ),
    kind(
        "openid-client 6",
        "Node.js",
        Fed::Login,
        &["node", "tests/verifiers/openid-client-6/verify.mjs"],
    ),
];

/// A question to a verifier.
pub struct Question<'a> {
    pub issuer: &'a str,
    pub jwks: &'a str,
    pub audience: &'a str,
    pub token: &'a str,
}

/// A running verifier.
pub struct Verifier {
    pub kind: &'static Kind,
    pub version: String,
    judge: Judge,
}

enum Judge {
    Convex(ClientWithMiddleware),
    Program { child: Box<Child>, to: ChildStdin, from: Lines<BufReader<ChildStdout>> },
}

/// The program, relative to the root of the repository or on the `PATH`.
fn command(kind: &Kind) -> Command {
    let mut all = kind
        .command
        .iter()
        .map(|part| if part.contains('/') { file(part) } else { PathBuf::from(part) });
    let mut command = Command::new(all.next().unwrap());
    command.args(all).kill_on_drop(true).stderr(Stdio::inherit());
    // The Go libraries do not report their version.
    let package = match kind.name {
        "go-oidc" => "golang-github-coreos-go-oidc-dev",
        "go-jose" => "golang-gopkg-square-go-jose.v2-dev",
        _ => return command,
    };
    let asked =
        std::process::Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]).output();
    let version = asked.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    command.env("VERIFIER_VERSION", version.unwrap_or_default());
    command
}

impl Verifier {
    /// `None` where its language or library is not installed.
    pub async fn start(kind: &'static Kind, env: &[(&str, &str)]) -> Option<Self> {
        if kind.command.is_empty() {
            let library = if kind.fed == Fed::Jwks { "biscuit" } else { "openidconnect" };
            let version = format!("{library} {}", version(library));
            let client = ClientBuilder::new(http_client()).with(Cache(HttpCache {
                mode: CacheMode::Default,
                manager: MokaManager::default(),
                options: HttpCacheOptions::default(),
            }));
            return Some(Self { kind, version, judge: Judge::Convex(client.build()) });
        }
        let asked = command(kind).arg("--version").stderr(Stdio::null()).output().await;
        let asked = asked.ok().filter(|output| output.status.success())?;
        let version = String::from_utf8(asked.stdout).unwrap().trim().to_owned();
        let mut child = command(kind)
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let to = child.stdin.take().unwrap();
        let from = BufReader::new(child.stdout.take().unwrap()).lines();
        Some(Self { kind, version, judge: Judge::Program { child: Box::new(child), to, from } })
    }

    /// `Ok`, or why the verifier refuses the token.
    pub async fn ask(&mut self, question: &Question<'_>) -> Result<(), String> {
        match &mut self.judge {
            Judge::Convex(client) => convex(self.kind.fed, client, question).await,
            Judge::Program { to, from, .. } => {
                let Question { issuer, jwks, audience, token } = question;
                let line = json!({
                    "issuer": issuer, "jwks": jwks, "audience": audience, "token": token,
                });
                to.write_all(format!("{line}\n").as_bytes()).await.unwrap();
                let name = self.kind.name;
                let answer = tokio::time::timeout(TIMEOUT, from.next_line()).await;
                let answer = answer.unwrap_or_else(|_| panic!("{name} does not answer"));
                let answer = answer.unwrap().unwrap_or_else(|| panic!("{name} ended"));
                let answer: Value = serde_json::from_str(&answer)
                    .unwrap_or_else(|_| panic!("{name} answers {answer}"));
                match answer["accepted"].as_bool().unwrap() {
                    true => Ok(()),
                    false => Err(answer["message"].as_str().unwrap().to_owned()),
                }
            }
        }
    }

    /// Closes its input, which ends it and the programs that it started.
    pub async fn end(self) {
        if let Judge::Program { mut child, to, .. } = self.judge {
            drop(to);
            let _ = tokio::time::timeout(TIMEOUT, child.wait()).await;
        }
    }
}

async fn convex(
    fed: Fed,
    client: &ClientWithMiddleware,
    question: &Question<'_>,
) -> Result<(), String> {
    let now = Clock::system().now();
    let fetch = async |url: String| -> Result<Response, String> {
        let answer = client.get(url).send().await.map_err(|e| e.to_string())?;
        let content_type =
            answer.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let body = answer.bytes().await.unwrap().to_vec();
        Ok(Response { status, content_type, body, ..Response::default() })
    };
    let said = |error: super::verifiers::VerdictError| error.to_string();
    match fed {
        Fed::Jwks => {
            let provider = CustomJwt {
                issuer: question.issuer.to_owned(),
                jwks: question.jwks.to_owned(),
                algorithm: Algorithm::Rs256,
                application_id: Some(question.audience.to_owned()),
            };
            let set = fetch(question.jwks.to_owned()).await?;
            custom_jwt(&set, &provider, question.token, now).map(drop).map_err(said)
        }
        _ => {
            let domain = question.issuer.to_owned();
            let provider = Oidc { domain, application_id: question.audience.to_owned() };
            oidc(fetch, &provider, question.token, now).await.map(drop).map_err(said)
        }
    }
}
