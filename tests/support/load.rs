//! Concurrent clients of every kind, which count their answers.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::process::Place;
use super::proxy::RequestExt as _;

/// How a client uses its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// HTTP/1.1 with a new connection for each request.
    Fresh,
    /// HTTP/1.1 with keep-alive.
    Kept,
    /// HTTP/2 with many streams on one connection: with prior knowledge, or with TLS by ALPN.
    Http2,
}

pub const KINDS: [Kind; 3] = [Kind::Fresh, Kind::Kept, Kind::Http2];
/// Tasks of each kind. Those of HTTP/2 share a connection.
const TASKS: usize = 3;

/// Sends requests until it is stopped. Each must be answered successfully.
pub struct Load {
    stop: Arc<AtomicBool>,
    counts: Arc<BTreeMap<Kind, Count>>,
    tasks: tokio::task::JoinSet<Vec<String>>,
}

#[derive(Default)]
struct Count {
    good: AtomicUsize,
    refused: AtomicUsize,
}

impl Load {
    /// With `refused_is_fine`, a refused connection does not count as a failed request. A
    /// connection that was accepted and then closed or reset does, with every protocol.
    pub fn start(place: &Place, token: &str, refused_is_fine: bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let counts: BTreeMap<_, _> = KINDS.map(|kind| (kind, Count::default())).into();
        let counts = Arc::new(counts);
        let mut tasks = tokio::task::JoinSet::new();
        for kind in KINDS {
            let shared = client(place, kind);
            for n in 0..TASKS {
                let client = match kind {
                    Kind::Http2 => shared.clone(),
                    _ => client(place, kind),
                };
                let requests = requests(place, token, &client);
                let (stop, counts) = (stop.clone(), counts.clone());
                tasks.spawn(async move {
                    let mut failed = Vec::new();
                    for i in n.. {
                        if stop.load(Ordering::SeqCst) {
                            break;
                        }
                        let request = requests[i % requests.len()].try_clone().unwrap();
                        match one(&client, request, kind).await {
                            Ok(()) => {
                                counts[&kind].good.fetch_add(1, Ordering::SeqCst);
                            }
                            Err(Failed::Refused) if refused_is_fine => {
                                counts[&kind].refused.fetch_add(1, Ordering::SeqCst);
                                tokio::time::sleep(Duration::from_millis(5)).await;
                            }
                            Err(error) => failed.push(format!("{kind:?}: {error:?}")),
                        }
                    }
                    failed
                });
            }
        }
        Self { stop, counts, tasks }
    }

    /// Waits for `n` more successful answers of each kind.
    pub async fn more(&self, n: usize) {
        let good = |kind| self.counts[&kind].good.load(Ordering::SeqCst);
        let wanted = KINDS.map(|kind| (kind, good(kind) + n));
        for _ in 0..6000 {
            if wanted.iter().all(|(kind, wanted)| good(*kind) >= *wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the load stands still");
    }

    /// Stops the clients, checks that no request failed, and returns the counts as text.
    pub async fn stop(self) -> String {
        self.stop.store(true, Ordering::SeqCst);
        let failed: Vec<_> = self.tasks.join_all().await.into_iter().flatten().collect();
        let counts = self.counts.iter().map(|(kind, count)| {
            let get = |n: &AtomicUsize| n.load(Ordering::SeqCst);
            format!("{kind:?} {} good, {} refused", get(&count.good), get(&count.refused))
        });
        let counts = counts.collect::<Vec<_>>().join("; ");
        let first = &failed[..failed.len().min(10)];
        assert!(failed.is_empty(), "{} failed ({counts}): {first:#?}", failed.len());
        format!("{counts}; 0 failed")
    }
}

#[derive(Debug)]
enum Failed {
    /// The port refused the connection.
    Refused,
    Otherwise(#[expect(dead_code, reason = "shown")] String),
}

async fn one(
    client: &reqwest::Client,
    request: reqwest::Request,
    kind: Kind,
) -> Result<(), Failed> {
    let path = request.url().path().to_owned();
    let answer = client.execute(request).await.map_err(|error| {
        // Another request on the same connection may have got the refusal, and then this one was
        // not sent.
        let shared = error.is_connect() && format!("{error:?}").contains("CheckoutNoLongerWanted");
        if is_refused(&error) || shared {
            return Failed::Refused;
        }
        Failed::Otherwise(format!("{path}: {error:?}"))
    })?;
    let (status, version) = (answer.status(), answer.version());
    let body = answer.bytes().await;
    let length = body.as_ref().map_or(0, |body| body.len());
    let whole = if path == BIG { length == BIG_LENGTH } else { length > 0 };
    let right = (version == reqwest::Version::HTTP_2) == (kind == Kind::Http2);
    if status == 200 && whole && right {
        return Ok(());
    }
    Err(Failed::Otherwise(format!("{path}: {status} {version:?} {length} {:?}", body.err())))
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == ErrorKind::ConnectionRefused) {
            return true;
        }
        source = error.source();
    }
    false
}

fn client(place: &Place, kind: Kind) -> reqwest::Client {
    let client = place.client();
    let client = match kind {
        Kind::Fresh => client.http1_only().pool_max_idle_per_host(0),
        Kind::Kept => client.http1_only(),
        Kind::Http2 if place.has_tls() => client,
        Kind::Http2 => client.http2_prior_knowledge(),
    };
    client.build().unwrap()
}

const BIG: &str = "/big/300000";
const BIG_LENGTH: usize = 300_000;

/// Requests that are answered from memory, forwarded, streamed, and signed.
fn requests(place: &Place, token: &str, client: &reqwest::Client) -> Vec<reqwest::Request> {
    let reads = ["/.well-known/jwks.json", "/seen", BIG].map(|path| client.get(place.url(path)));
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", token),
    ];
    let exchange = client.post(place.url("/_countersign/token")).form(&form);
    reads.into_iter().chain([exchange]).map(|request| request.build().unwrap()).collect()
}
