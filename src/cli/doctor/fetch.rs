//! Fetches as the verifier does: `Accept: application/json`, up to ten redirects, gzip only. Two things
//! are this command's own: nobody waits long without a line, and a document or redirect leads into a
//! private network only where the person who asks said so.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, header, redirect};
use url::{Host, Url};

use crate::cli::output::Output;
use crate::coding;
use crate::dns::{Resolver, is_banned};
use crate::doctor::finding::{Fetched, NoAnswer};
use crate::doctor::{Answer, address};
use crate::issuer::fetch::{self, Unread};

/// Bytes read of one answer; no key set comes near.
const LIMIT: usize = 4 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One answer, redirects included. Convex has no limit of its own, its users have.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A person is told what is being waited for after this long.
const SAY_SO: Duration = Duration::from_secs(4);
const REDIRECTS: usize = 10;
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// How a refusal of the guard is found again among a client's errors.
const INSIDE: &str = "leads into a private network";

pub(in crate::cli) struct Fetcher {
    client: Client,
    guard: Arc<Guard>,
    notes: RefCell<Output>,
}

/// Which addresses are dialled.
struct Guard {
    resolver: Resolver,
    /// Hosts that the command line named.
    named: HashSet<String>,
    allow_private: bool,
}

impl Guard {
    fn permits(&self, host: &str, ip: std::net::IpAddr) -> bool {
        let inside = address::unreachable_ip(ip).is_some() || is_banned(ip);
        !inside || self.named.contains(host) || (self.allow_private && !is_banned(ip))
    }
}

/// [`Guard`] where names are resolved, so that no second look-up can say something else.
struct Guarded(Arc<Guard>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            let host = name.as_str().to_ascii_lowercase();
            let found = guard.resolver.resolve(&host, 0).await?;
            let literal = host.parse::<std::net::IpAddr>().is_ok();
            let open = found.iter().copied().filter(|socket| {
                // A name is never worth a metadata address, whoever wrote it.
                (literal || !is_banned(socket.ip())) && guard.permits(&host, socket.ip())
            });
            let open: Vec<_> = open.collect();
            if open.is_empty() {
                return Err(format!("{host} {INSIDE}").into());
            }
            Ok(Box::new(open.into_iter()) as Addrs)
        })
    }
}

impl Fetcher {
    /// `named`: addresses that stand on the command line.
    pub(in crate::cli) fn new(named: &[&str], allow_private: bool) -> Result<Self, String> {
        let resolver = Resolver::system().map_err(|e| e.to_string())?;
        let host = |text: &&str| Url::parse(text).ok()?.host_str().map(bare);
        let mut named: HashSet<String> = named.iter().filter_map(host).collect();
        // One machine, by any of its names.
        if LOOPBACK.iter().any(|name| named.contains(*name)) {
            named.extend(LOOPBACK.map(str::to_owned));
        }
        let guard = Arc::new(Guard { resolver, named, allow_private });
        let client = Client::builder()
            .tls_backend_preconfigured(fetch::tls_config(None)?)
            .user_agent(concat!("countersign-doctor/", env!("CARGO_PKG_VERSION")))
            // Each hop is judged in `follow`.
            .redirect(redirect::Policy::none())
            .dns_resolver(Arc::new(Guarded(guard.clone())))
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|e| e.to_string())?;
        Ok(Self { client, guard, notes: RefCell::new(Output::system()) })
    }

    /// One GET; what it asks may take up to ten seconds, and says so.
    pub(in crate::cli) async fn get(&self, url: &str) -> Fetched {
        let answer = tokio::time::timeout(TIMEOUT, self.follow(url));
        tokio::pin!(answer);
        let outcome = tokio::select! {
            outcome = &mut answer => outcome,
            () = tokio::time::sleep(SAY_SO) => {
                self.notes.borrow_mut().note(format_args!("waiting for {url} …"));
                answer.await
            }
        };
        let late = || NoAnswer {
            code: "timeout",
            why: format!("no complete answer within {} seconds", TIMEOUT.as_secs()),
        };
        outcome.unwrap_or_else(|_| Err(late()))
    }

    async fn follow(&self, url: &str) -> Fetched {
        let no = |code, why: String| NoAnswer { code, why };
        let mut url = Url::parse(url).map_err(|e| no("request", e.to_string()))?;
        for _ in 0..=REDIRECTS {
            self.permit(&url)?;
            let request = self.client.get(url.clone()).header(header::ACCEPT, "application/json");
            let request = request.header(header::ACCEPT_ENCODING, "gzip");
            let response = request.send().await.map_err(|e| failed(&e))?;
            let to = response.status().is_redirection().then(|| location(&url, &response));
            match to.flatten() {
                Some(next) => url = next,
                None => return read(response).await,
            }
        }
        Err(no("redirects", format!("more than {REDIRECTS} redirects")))
    }

    /// Literal addresses, which no resolver sees.
    fn permit(&self, url: &Url) -> Result<(), NoAnswer> {
        let ip = match url.host() {
            Some(Host::Ipv4(ip)) => ip.into(),
            Some(Host::Ipv6(ip)) => ip.into(),
            _ => return Ok(()),
        };
        let host = url.host_str().map(bare).unwrap_or_default();
        if self.guard.permits(&host, ip) {
            return Ok(());
        }
        Err(NoAnswer { code: "private_address", why: format!("{host} {INSIDE}") })
    }

    /// Why the host of `url` cannot be reached from the internet, when all its addresses say so.
    pub(super) async fn closed(&self, url: &str) -> Option<&'static str> {
        let url = Url::parse(url).ok()?;
        let port = url.port_or_known_default()?;
        let found = self.guard.resolver.resolve(url.host_str()?, port).await.ok()?;
        let all: Option<Vec<_>> =
            found.iter().map(|socket| address::unreachable_ip(socket.ip())).collect();
        all?.first().copied()
    }

    pub(super) fn resolver(&self) -> Resolver {
        self.guard.resolver.clone()
    }
}

/// A host as it is compared: lower case, an IPv6 literal without brackets.
fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

fn location(from: &Url, response: &Response) -> Option<Url> {
    let to = response.headers().get(header::LOCATION)?.to_str().ok()?;
    from.join(to).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

fn failed(error: &reqwest::Error) -> NoAnswer {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(e) = cause {
        let text = e.to_string();
        if text.ends_with(INSIDE) {
            return NoAnswer { code: "private_address", why: text };
        }
        cause = e.source();
    }
    let error = fetch::sorted(error, CONNECT_TIMEOUT);
    let why = match error.code() {
        // What the resolver tells beyond that is a page long.
        "dns" => "the name was not resolved".to_owned(),
        _ => error.to_string().replace("client error (Connect): ", ""),
    };
    let code = match error.code() {
        "connect" if why.contains("certificate") || why.contains("handshake") => "tls",
        code => code,
    };
    NoAnswer { code, why }
}

async fn read(mut response: Response) -> Fetched {
    let text = |v: &header::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    let headers: Vec<_> =
        response.headers().iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect();
    let content_type = response.headers().get(header::CONTENT_TYPE).map(text);
    let (status, from) = (response.status().as_u16(), response.url().to_string());
    let body = fetch::body(&mut response, LIMIT).await.map_err(|unread| match unread {
        Unread::TooLarge => NoAnswer {
            code: "too_large",
            why: format!("the answer is larger than {} MiB", LIMIT >> 20),
        },
        Unread::Broken(error) => failed(&error),
    })?;
    let mut body = Vec::from(body);
    let coding = headers.iter().find(|(name, _)| name == "content-encoding");
    if let Some((_, gzip)) = coding.filter(|(_, coding)| coding.eq_ignore_ascii_case("gzip")) {
        let decoded = coding::decode(&body, gzip, LIMIT).map(Cow::into_owned);
        body = decoded.map_err(|_| NoAnswer {
            code: "encoding",
            why: "the answer does not decode as gzip".to_owned(),
        })?;
    }
    Ok(Answer { url: from, status, content_type, headers, body })
}
