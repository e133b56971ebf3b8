//! Looks for the upstream's discovery document, and describes what it found.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use url::Url;

use super::FetchSettings;
use super::fetch::{ACCEPT_DISCOVERY, FetchError, FetchRequest, Fetcher};
use super::status::Reason;
use crate::jose::names::UnixTime;
use crate::rewrite::discovery::{self, DiscoveryFault};

/// OpenID Connect Discovery 1.0 §4, and RFC 8414 §3.
pub const PATHS: [&str; 2] =
    ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// Where the document of an issuer at `upstream` may be: with the well-known part after the upstream's path
/// (OpenID Connect Discovery §4), then with the well-known part before it (RFC 8414 §3.1).
pub fn addresses(upstream: &Url) -> Vec<Url> {
    let base = upstream.path().trim_end_matches('/');
    let at = |path: String| {
        let mut url = upstream.clone();
        url.set_path(&path);
        url
    };
    let mut list: Vec<_> = PATHS.iter().map(|path| at(format!("{base}{path}"))).collect();
    if !base.is_empty() {
        list.extend(PATHS.iter().rev().map(|path| at(format!("{path}{base}"))));
    }
    list
}

/// Why an address has no discovery document.
#[derive(Debug)]
pub enum NoDocument {
    /// The status is good, but the body is another document.
    OtherDocument {
        fault: DiscoveryFault,
        description: &'static str,
    },
    Fetch(FetchError),
}

impl NoDocument {
    /// Whether the server says that there is no document, rather than that it is unavailable now: a server
    /// that is starting, or a gateway in front of it, fails or asks to wait (408, 425, 429).
    fn is_final(&self) -> bool {
        match self {
            Self::OtherDocument { .. } => true,
            Self::Fetch(error) => error.status().is_some_and(|status| {
                (400..500).contains(&status) && ![408, 425, 429].contains(&status)
            }),
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::OtherDocument { fault, .. } => Reason::of(fault.code()),
            Self::Fetch(error) => error.into(),
        }
    }
}

/// The answers of one attempt, in the order of [`addresses`], up to the first that could not be reached.
#[derive(Debug, Default)]
pub struct Lookup(Vec<(Url, Result<Bytes, NoDocument>)>);

impl Lookup {
    /// The documents, the preferred address first.
    pub fn documents(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter().filter_map(|(_, answer)| answer.as_ref().ok())
    }

    fn failures(&self) -> impl Iterator<Item = &NoDocument> {
        self.0.iter().filter_map(|(_, answer)| answer.as_ref().err())
    }

    /// Whether both addresses below the upstream's path say that there is no document. Another server may
    /// answer at the root of the host, so that does not count.
    pub fn says_none(&self) -> bool {
        let own = self.0.get(..PATHS.len());
        own.is_some_and(|own| {
            own.iter().all(|(_, answer)| answer.as_ref().is_err_and(|error| error.is_final()))
        })
    }

    /// How long the upstream asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        let waits = self.failures().filter_map(|failure| match failure {
            NoDocument::Fetch(error) => error.retry_after(),
            NoDocument::OtherDocument { .. } => None,
        });
        waits.max()
    }

    /// The reason of the first address that failed. Most servers use the first address.
    pub fn reason(&self) -> Option<Reason> {
        self.failures().next().map(NoDocument::reason)
    }

    /// What each address answered.
    pub fn describe(&self) -> String {
        let each = self.0.iter().map(|(url, answer)| {
            let answer = match answer {
                Ok(_) => "a document".to_owned(),
                Err(NoDocument::OtherDocument { description, .. }) => (*description).to_owned(),
                Err(NoDocument::Fetch(error)) if error.is_unreachable() => {
                    return format!("{}: {error}", url.origin().ascii_serialization());
                }
                Err(NoDocument::Fetch(FetchError::Status { status, .. })) => {
                    format!("status {status}")
                }
                Err(NoDocument::Fetch(error)) => error.to_string(),
            };
            format!("{} answered: {answer}", url.path())
        });
        each.collect::<Vec<_>>().join("; ")
    }
}

/// Requests every address, until one has a document that `is_enough`.
pub async fn look(
    fetcher: &Fetcher,
    upstream: &Url,
    settings: &FetchSettings,
    now: UnixTime,
    is_enough: impl Fn(&[u8]) -> bool,
) -> Lookup {
    let mut answers = Vec::new();
    for url in addresses(upstream) {
        let (accept, limit) = (ACCEPT_DISCOVERY, MAX_DOCUMENT_BYTES);
        let request = FetchRequest { url: &url, accept, settings, limit, etag: None, now };
        let fetched = fetcher.document(request).await.map_err(NoDocument::Fetch);
        let answer = fetched.and_then(|document| read(document.body));
        let last = match &answer {
            Ok(body) => is_enough(body),
            Err(NoDocument::OtherDocument { .. }) => false,
            Err(NoDocument::Fetch(error)) => error.is_unreachable(),
        };
        answers.push((url, answer));
        if last {
            break;
        }
    }
    Lookup(answers)
}

fn read(body: Bytes) -> Result<Bytes, NoDocument> {
    match discovery::read(&body) {
        Ok(_) => Ok(body),
        Err(fault) => Err(NoDocument::OtherDocument { description: describe(&body, fault), fault }),
    }
}

/// Describes the body, for the person who must find out why it is not the document.
fn describe(body: &[u8], fault: DiscoveryFault) -> &'static str {
    match (fault, body.trim_ascii_start().first()) {
        (DiscoveryFault::IssuerMissing, _) => "a JSON object without `issuer`",
        (DiscoveryFault::Duplicate(_), _) => "a JSON object with a duplicate member",
        (_, Some(b'<')) => "an HTML page",
        (_, Some(b'[')) => "a JSON list, not an object",
        (_, Some(b'{')) => "an object that is not valid JSON",
        _ => "not JSON",
    }
}

/// Why the `issuer` of a document is believed (RFC 8414 §3.3: the issuer is where its document was
/// found).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Belief {
    /// The issuer is at the upstream's own origin.
    Upstream,
    /// The issuer is at `public_url`'s origin: the upstream uses the public name of the proxy.
    PublicUrl,
    /// The upstream is on this machine or in a private network. Only the operator reaches it, so it may name
    /// any issuer.
    PrivateUpstream,
    /// There is no document: issuer and key set are guessed from the upstream's address.
    Guess,
}

impl Belief {
    /// For the log.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Upstream => "it is at the upstream's own origin",
            Self::PublicUrl => "it is at the origin of `public_url`",
            Self::PrivateUpstream => "the upstream is in a private network and may go by any name",
            Self::Guess => "the upstream has no discovery document",
        }
    }
}

/// The state of discovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscoveryState {
    /// The upstream has not been reached, or asked to wait.
    Waiting,
    /// There is a document, but it cannot be used.
    Refused,
    /// There is no document.
    Guessed,
    Learnt,
}

/// For the status, and for the answers of a proxy that does not know its issuer yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiscoveryStatus {
    pub state: DiscoveryState,
    /// The issuer in use, whatever the last attempt found.
    pub issuer: Option<String>,
    pub belief: Option<Belief>,
    /// Where its keys are read.
    pub keys: Option<String>,
    /// What was wrong at the last attempt.
    #[serde(flatten)]
    pub reason: Option<Reason>,
    /// What the last attempt found, in words.
    pub text: String,
    /// When the last attempt was, seconds since 1970.
    pub looked: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(upstream: &str) -> Vec<String> {
        let list = addresses(&Url::parse(upstream).unwrap());
        list.iter().map(|url| url.path().to_owned()).collect()
    }

    #[test]
    fn a_document_is_looked_for_behind_the_path_and_before_it() {
        assert_eq!(
            paths("http://a:1"),
            ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"]
        );
        assert_eq!(
            paths("http://a/api/auth/"),
            [
                "/api/auth/.well-known/openid-configuration",
                "/api/auth/.well-known/oauth-authorization-server",
                "/.well-known/oauth-authorization-server/api/auth",
                "/.well-known/openid-configuration/api/auth",
            ]
        );
    }

    #[test]
    fn there_is_none_only_where_both_places_say_so() {
        let url = Url::parse("http://a").unwrap();
        let status = |status| {
            Err(NoDocument::Fetch(FetchError::Status {
                status,
                retry_after: Some(Duration::from_secs(7)),
            }))
        };
        let page = || read(Bytes::from_static(b" <html>"));
        let broken = || Err(NoDocument::Fetch(FetchError::Broken { why: "x".into() }));
        let look = |answers: Vec<Result<Bytes, NoDocument>>| {
            Lookup(answers.into_iter().map(|answer| (url.clone(), answer)).collect())
        };
        for (none, answers) in [
            (true, vec![status(404), status(404)]),
            (true, vec![status(401), page()]),
            // Another server may answer at the root.
            (true, vec![status(404), status(404), status(503), status(503)]),
            (false, vec![status(503), status(404)]),
            (false, vec![status(404), status(429)]),
            (false, vec![broken(), status(404)]),
            (false, vec![status(404)]),
            (false, vec![]),
        ] {
            let look = look(answers);
            assert_eq!(look.says_none(), none, "{}", look.describe());
        }
        let look = look(vec![status(404), page()]);
        assert_eq!(look.describe(), "/ answered: status 404; / answered: an HTML page");
        let down = Err(NoDocument::Fetch(FetchError::Connect { why: "refused".into() }));
        assert_eq!(
            Lookup(vec![(url.clone(), down)]).describe(),
            "http://a: no connection: refused"
        );
        assert_eq!(look.reason().unwrap().to_string(), "status 404");
        assert_eq!(look.retry_after(), Some(Duration::from_secs(7)));
    }
}
