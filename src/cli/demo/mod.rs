//! `countersign demo` shows the main job in one process: a broken issuer, the real proxy in front of it,
//! and the verdicts of the verifier's own crates before and after.

mod issuer;
mod show;

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use futures::future;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use self::issuer::{AUDIENCE, Issuer};
use super::Exit;
use super::args::DemoArgs;
use super::output::{CliError, Output};
use crate::clock::Clock;
use crate::config::{self, RunOverrides};
use crate::env::NoEnv;
use crate::jose::names::UnixTime;
use crate::serve::{self, Handle};
use crate::verifier::convex::{Algorithm, CustomJwt, Oidc, custom_jwt, oidc};
use crate::verifier::explain::{HEADER, text_member};
use crate::verifier::{Answer, Refusal};

/// How long the proxy may take to read the issuer's keys.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The report.
#[derive(Debug, Serialize)]
struct Comparison {
    issuer: String,
    proxy: String,
    admin: Option<String>,
    before: Side,
    after: Side,
}

/// One side of the comparison: the address, what was fetched there, and the verifier's verdicts.
#[derive(Debug, Serialize)]
struct Side {
    jwks: String,
    /// Media type and first characters of the key set.
    content_type: String,
    keys: String,
    /// `alg`, `typ` of the token.
    header: String,
    custom_jwt: Verdict,
    oidc: Verdict,
}

/// A verdict. A refusal holds the verifier's own text.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Accepts,
    Refuses(String),
}

impl From<Result<(), Refusal>> for Verdict {
    fn from(outcome: Result<(), Refusal>) -> Self {
        outcome.map_or_else(|refusal| Self::Refuses(refusal.message), |()| Self::Accepts)
    }
}

/// # Errors
/// [`CliError`] when the issuer or the proxy cannot start.
pub fn run(args: &DemoArgs, out: &mut Output) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| CliError::new("runtime", e))?;
    let scratch = Scratch::new()?;
    let issuer = runtime.block_on(Issuer::start()).map_err(|e| CliError::new("demo", e))?;
    let (proxy, url) = start(&issuer, &scratch.0)?;
    let report = runtime.block_on(compare(&issuer, &proxy, url));
    let report = report.map_err(|e| CliError::new("demo", e))?;
    if args.json {
        out.json_pretty(&report);
    } else {
        out.text(show::text(&report, out.color));
    }
    if args.serve {
        // Install the signal handlers before the text says that Ctrl-C ends the demonstration.
        let _inside = runtime.enter();
        let listen = |kind| signal(kind).map_err(|e| CliError::new("signals", e));
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        out.text(show::try_it(&report));
        // After either the scratch folder is removed.
        runtime.block_on(future::select(pin!(interrupt.recv()), pin!(terminate.recv())));
    }
    proxy.stop();
    let verdicts = [&report.after.custom_jwt, &report.after.oidc];
    let good = verdicts.iter().all(|verdict| **verdict == Verdict::Accepts);
    Ok(if good { Exit::Good } else { Exit::No })
}

/// The running proxy and its URL.
fn start(issuer: &Issuer, dir: &Path) -> Result<(Handle, String), CliError> {
    // Tokens and discovery contain the public URL, so the port must be known before the proxy starts.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(|e| CliError::new("listen", e))?
        .port();
    let url = format!("http://127.0.0.1:{port}");
    let text = show::configuration(&issuer.url(), &url, port, &dir.display().to_string());
    let overrides = RunOverrides { admin: Some("127.0.0.1:0".into()), ..RunOverrides::default() };
    let config = config::load_text(&text, None, &overrides, &NoEnv)?;
    Ok((serve::start_in_process(config)?, url))
}

async fn compare(issuer: &Issuer, handle: &Handle, proxy: String) -> Result<Comparison, String> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(crate::net::TlsOptions::default().config()?)
        .no_proxy()
        .timeout(TIMEOUT)
        .build()
        .map_err(|e| e.to_string())?;
    let jwks = format!("{proxy}/.well-known/jwks.json");
    wait_for_keys(&client, &jwks).await?;
    let now = Clock::system().now();
    let url = issuer.url();
    let before = judge(&client, &url, &format!("{url}/jwks"), now).await?;
    let after = judge(&client, &proxy, &jwks, now).await?;
    let admin = handle.admin.map(|a| format!("http://{a}"));
    Ok(Comparison { issuer: url, proxy, admin, before, after })
}

async fn wait_for_keys(client: &reqwest::Client, jwks: &str) -> Result<(), String> {
    let end = Instant::now() + TIMEOUT;
    loop {
        match client.get(jwks).send().await {
            Ok(answer) if answer.status() == 200 => return Ok(()),
            Ok(answer) if Instant::now() > end => {
                return Err(format!("the proxy has no key set: it answers {}", answer.status()));
            }
            Err(error) if Instant::now() > end => return Err(error.to_string()),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Gets a token at `base`, and asks both kinds of provider about it.
async fn judge(
    client: &reqwest::Client,
    base: &str,
    jwks: &str,
    now: UnixTime,
) -> Result<Side, String> {
    let request = client
        .post(format!("{base}/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("grant_type=authorization_code&code=demo");
    let answer = request.send().await.map_err(|e| e.to_string())?;
    let body = answer.bytes().await.map_err(|e| e.to_string())?;
    let body = serde_json::from_slice::<serde_json::Value>(&body).map_err(|e| e.to_string())?;
    let token = body["access_token"].as_str().ok_or("the answer holds no access_token")?;

    let set = get(client, jwks.to_owned()).await?;
    let provider = CustomJwt {
        issuer: base.to_owned(),
        jwks: jwks.to_owned(),
        algorithm: Algorithm::Rs256,
        application_id: Some(AUDIENCE.to_owned()),
    };
    let custom_jwt = custom_jwt(&set, &provider, token, now).into();
    let provider = Oidc { domain: base.to_owned(), application_id: AUDIENCE.to_owned() };
    let oidc = oidc(|url| get(client, url), &provider, token, now).await.into();
    let member = |name| text_member(token, HEADER, name).unwrap_or_else(|| "none".to_owned());
    Ok(Side {
        jwks: jwks.to_owned(),
        content_type: set.content_type.unwrap_or_default(),
        keys: String::from_utf8_lossy(&set.body).chars().take(64).collect(),
        header: format!("alg {}, typ {}", member("alg"), member("typ")),
        custom_jwt,
        oidc,
    })
}

async fn get(client: &reqwest::Client, url: String) -> Result<Answer, String> {
    let request = client.get(url).header("accept", "application/json");
    let answer = request.send().await.map_err(|e| e.to_string())?;
    let content_type = answer.headers().get("content-type");
    let content_type = content_type.and_then(|v| v.to_str().ok()).map(str::to_owned);
    let status = answer.status().as_u16();
    let body = answer.bytes().await.map_err(|e| e.to_string())?.to_vec();
    Ok(Answer { status, content_type, body, ..Answer::default() })
}

/// A temporary folder for the demonstration's keys, removed on drop.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, CliError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut random = [0; 8];
        aws_lc_rs::rand::fill(&mut random).map_err(|e| CliError::new("random", e))?;
        let name = format!("countersign-demo-{:016x}", u64::from_be_bytes(random));
        let path = std::env::temp_dir().join(name);
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|e| CliError::new(path.display(), e))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
