//! Fetches as the verifier does: `Accept: application/json`, up to ten redirects, gzip only, and no
//! more patience than a person has.

use std::borrow::Cow;
use std::time::Duration;

use reqwest::header;
use url::Url;

use crate::coding;
use crate::dns::Resolver;
use crate::doctor::{Answer, address};
use crate::net::client::joined;
use crate::net::{Class, ClientSettings, FetchError, HttpClient, Reach};

/// Bytes read of one answer; no key set comes near.
const LIMIT: usize = 4 * 1024 * 1024;
const USER_AGENT: &str = concat!("countersign-doctor/", env!("CARGO_PKG_VERSION"));

pub(super) struct Fetcher {
    /// For the hosts that were typed.
    typed: HttpClient,
    /// For others, which only a document names: it must not send us to addresses inside the network
    /// of whoever runs this.
    others: HttpClient,
    hosts: Vec<Url>,
    resolver: Resolver,
}

impl Fetcher {
    /// For an examination of these addresses.
    pub(super) fn about(hosts: Vec<Url>) -> Result<Self, String> {
        let resolver = Resolver::system().map_err(|e| e.to_string())?;
        let client = |reach| {
            let settings = ClientSettings {
                timeout: Some(Duration::from_secs(30)),
                redirects: 10,
                ..ClientSettings::new(USER_AGENT, reach, Duration::from_secs(10))
            };
            HttpClient::new(&settings, &resolver).map_err(|e| e.to_string())
        };
        let (typed, others) = (client(Reach::CONFIGURED)?, client(Reach::PUBLIC)?);
        Ok(Self { typed, others, hosts, resolver })
    }

    /// The client for an address. `localhost` and `127.0.0.1` are one host to a person.
    fn client(&self, url: &Url) -> &HttpClient {
        let local = |url: &Url| Class::of_url(url) == Some(Class::Loopback);
        let typed = |host: &Url| host.host() == url.host() || (local(host) && local(url));
        if self.hosts.iter().any(typed) { &self.typed } else { &self.others }
    }

    /// `Err` says why there is no answer.
    pub(super) async fn get(&self, url: &str) -> Result<Answer, String> {
        let url = Url::parse(url).map_err(|e| e.to_string())?;
        let client = self.client(&url);
        let request = client.get(url).header(header::ACCEPT, "application/json");
        let request = request.header(header::ACCEPT_ENCODING, "gzip");
        let mut response = client.send(request).await.map_err(described)?;
        let text = |v: &header::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
        let headers: Vec<_> =
            response.headers().iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect();
        let content_type = response.headers().get(header::CONTENT_TYPE).map(text);
        let (status, from) = (response.status().as_u16(), response.url().to_string());
        let codings = joined(&response, &header::CONTENT_ENCODING);
        let mut body = Vec::from(client.body(&mut response, LIMIT).await.map_err(described)?);
        if codings.trim().eq_ignore_ascii_case("gzip") {
            let decoded = coding::decode(&body, &codings, LIMIT).map(Cow::into_owned);
            body = decoded.map_err(|_| "the answer does not decode as gzip".to_owned())?;
        }
        Ok(Answer { url: from, status, content_type, headers, body })
    }

    /// Why the host of `url` cannot be reached from the internet, when all its addresses say so.
    pub(super) async fn closed(&self, url: &str) -> Option<&'static str> {
        let url = Url::parse(url).ok()?;
        let port = url.port_or_known_default()?;
        let found = self.resolver.resolve(url.host_str()?, port).await.ok()?;
        let all: Option<Vec<_>> =
            found.iter().map(|socket| address::unreachable_ip(socket.ip())).collect();
        all?.first().copied()
    }
}

fn described(error: FetchError) -> String {
    match error {
        FetchError::TooLarge { limit } => {
            format!("the answer is larger than {} MiB", limit >> 20)
        }
        FetchError::Address(refused) if refused.code() == "address_inside" => format!(
            "{} is an address inside your network, and only a document names its host; to examine it, \
             give its address itself",
            refused.0
        ),
        error => error.to_string(),
    }
}
