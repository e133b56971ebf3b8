//! Fetches as the verifier does: `Accept: application/json`, up to ten redirects, gzip only. It differs in
//! two ways: a slow answer prints a line, and a document or a redirect may lead into a private network
//! only with `--allow-private`.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Duration;

use reqwest::{Response, header};
use url::Url;

use crate::cli::output::Output;
use crate::coding;
use crate::dns::Resolver;
use crate::doctor::finding::{FetchResult, NoAnswer};
use crate::doctor::{Answer, address};
use crate::net::client::joined;
use crate::net::{ClientSettings, FetchError, HttpClient, Reach};

/// Bytes read of one answer. Real key sets are far smaller.
const LIMIT: usize = 4 * 1024 * 1024;
const USER_AGENT: &str = concat!("countersign-doctor/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one answer with its redirects. Convex sets no limit, but a person does not wait longer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// After this long, a note on stderr says which answer is awaited.
const SLOW_NOTICE: Duration = Duration::from_secs(4);
const REDIRECTS: usize = 10;
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

pub(in crate::cli) struct DoctorClient {
    /// For hosts that the command line names; with `--allow-private` for every host.
    named: HttpClient,
    /// For hosts that only a document or a redirect names: dials public addresses alone.
    others: HttpClient,
    hosts: HashSet<String>,
    allow_private: bool,
    pub(super) resolver: Resolver,
    notes: RefCell<Output>,
}

impl DoctorClient {
    /// `named`: the addresses given on the command line.
    pub(in crate::cli) fn new(named: &[&str], allow_private: bool) -> Result<Self, String> {
        let resolver = Resolver::system().map_err(|e| e.to_string())?;
        let host = |text: &&str| Url::parse(text).ok()?.host_str().map(comparable);
        let mut hosts: HashSet<String> = named.iter().filter_map(host).collect();
        // These names all mean this machine.
        if LOOPBACK.iter().any(|name| hosts.contains(*name)) {
            hosts.extend(LOOPBACK.map(str::to_owned));
        }
        // `follow` judges each hop, so the clients must not follow redirects themselves.
        let client = |reach| {
            let settings = ClientSettings::new(USER_AGENT, reach, CONNECT_TIMEOUT);
            HttpClient::new(&settings, &resolver).map_err(|e| e.to_string())
        };
        Ok(Self {
            named: client(Reach::CONFIGURED)?,
            others: client(Reach::PUBLIC)?,
            hosts,
            allow_private,
            resolver: resolver.clone(),
            notes: RefCell::new(Output::system()),
        })
    }

    /// One GET with its redirects: at most ten seconds, with a note when it is slow.
    pub(in crate::cli) async fn get(&self, url: &str) -> FetchResult {
        let answer = tokio::time::timeout(TIMEOUT, self.follow(url));
        tokio::pin!(answer);
        let outcome = tokio::select! {
            outcome = &mut answer => outcome,
            () = tokio::time::sleep(SLOW_NOTICE) => {
                self.notes.borrow_mut().note(format_args!("waiting for {url} …"));
                answer.await
            }
        };
        let late = format!("no complete answer within {} seconds", TIMEOUT.as_secs());
        outcome.unwrap_or_else(|_| Err(NoAnswer::new("timeout", late)))
    }

    async fn follow(&self, url: &str) -> FetchResult {
        let mut url = Url::parse(url).map_err(|e| NoAnswer::new("request", e))?;
        for _ in 0..=REDIRECTS {
            let named = url.host_str().is_some_and(|host| self.hosts.contains(&comparable(host)));
            let client = if named || self.allow_private { &self.named } else { &self.others };
            let request = client.get(url.clone()).header(header::ACCEPT, "application/json");
            let request = request.header(header::ACCEPT_ENCODING, "gzip");
            let response = client.send(request).await.map_err(|e| failed(&url, &e))?;
            let to = response.status().is_redirection().then(|| location(&url, &response));
            match to.flatten() {
                Some(next) => url = next,
                None => return read(&url, client, response).await,
            }
        }
        Err(NoAnswer::new("redirects", format!("more than {REDIRECTS} redirects")))
    }

    /// Why the internet cannot reach the host of `url`; `None` if it has a public address or none at all.
    pub(super) async fn unreachable_host(&self, url: &str) -> Option<&'static str> {
        let url = Url::parse(url).ok()?;
        let port = url.port_or_known_default()?;
        let found = self.resolver.resolve(url.host_str()?, port).await.ok()?;
        let reasons = found.iter().map(|socket| address::unreachable_ip(socket.ip()));
        reasons.collect::<Option<Vec<_>>>()?.first().copied()
    }
}

/// A host as it is compared: lower case, an IPv6 literal without brackets.
fn comparable(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

fn location(from: &Url, response: &Response) -> Option<Url> {
    let to = response.headers().get(header::LOCATION)?.to_str().ok()?;
    from.join(to).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

fn failed(url: &Url, error: &FetchError) -> NoAnswer {
    let why = match error {
        FetchError::Address(_) => {
            let host = url.host_str().map(comparable).unwrap_or_default();
            format!("{host} leads into a private network")
        }
        // The resolver's own text is a page long.
        FetchError::Dns { .. } => "the name was not resolved".to_owned(),
        FetchError::TooLarge { limit } => format!("the answer is larger than {} MiB", limit >> 20),
        error => error.to_string().replace("client error (Connect): ", ""),
    };
    let code = match error.code() {
        _ if matches!(error, FetchError::Address(_)) => "private_address",
        "connect" if why.contains("certificate") || why.contains("handshake") => "tls",
        code => code,
    };
    NoAnswer { code, why }
}

async fn read(url: &Url, client: &HttpClient, mut response: Response) -> FetchResult {
    let text = |v: &header::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    let headers: Vec<_> =
        response.headers().iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect();
    let content_type = response.headers().get(header::CONTENT_TYPE).map(text);
    let (status, from) = (response.status().as_u16(), response.url().to_string());
    let codings = joined(&response, &header::CONTENT_ENCODING);
    let body = client.body(&mut response, LIMIT).await.map_err(|e| failed(url, &e))?;
    let body = match codings.trim().eq_ignore_ascii_case("gzip") {
        true => coding::decode(&body, &codings, LIMIT)
            .map_err(|_| NoAnswer::new("encoding", "the answer does not decode as gzip"))?
            .into_owned(),
        false => body.to_vec(),
    };
    Ok(Answer { url: from, status, content_type, headers, body })
}
