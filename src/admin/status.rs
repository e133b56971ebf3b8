//! `/api/status`: what the page shows, as JSON. Times are seconds since 1970, durations seconds.
//! Nothing here is a command, and nothing here is secret: key IDs, thumbprints and counts.

use serde::Serialize;

/// The whole answer.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    pub version: &'static str,
    pub now: i64,
    pub started: i64,
    pub ready: Ready,
    pub profile: ProfileView,
    /// At most [`MAX_ISSUERS`], those in trouble first.
    pub issuers: Vec<IssuerView>,
    pub issuers_total: usize,
    /// One for each path of the public listener that answers with a key set.
    pub sets: Vec<SetView>,
    pub signing: Vec<SigningView>,
    pub store: StoreView,
    pub tokens: Tokens,
    pub traffic: Traffic,
}

/// Issuers listed one by one; with more the answer would grow without bound.
pub const MAX_ISSUERS: usize = 500;

#[derive(Debug, Clone, Default, Serialize)]
pub struct Ready {
    pub ready: bool,
    /// One sentence each; may be there while ready (a shared store that is away, say).
    pub reasons: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ProfileView {
    pub name: String,
    pub accepts: Vec<&'static str>,
    pub publish: Vec<&'static str>,
}

/// One issuer.
#[derive(Debug, Clone, Serialize)]
pub struct IssuerView {
    pub name: String,
    /// Spellings of `iss`.
    pub issuers: Vec<String>,
    /// Where its keys come from, without credentials.
    pub source: String,
    pub state: State,
    /// When the set in use was read.
    pub fetched: Option<i64>,
    pub next_refresh: Option<i64>,
    pub last_error: Option<LastError>,
    pub fetches: Vec<Outcome>,
    pub keys: Vec<KeyRow>,
    pub alarms: Vec<AlarmView>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No set was ever read.
    Cold,
    /// The last good set is older than it should be.
    Stale,
    /// The last fetch failed; the set is still young enough.
    Failing,
    Fresh,
    /// From the configuration; nothing to fetch.
    Fixed,
}

#[derive(Debug, Clone, Serialize)]
pub struct LastError {
    pub code: String,
    pub text: String,
    pub at: i64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    pub outcome: String,
    pub count: u64,
}

/// One entry of the issuer's document: what stood there, what was done, what is served.
#[derive(Debug, Clone, Serialize)]
pub struct KeyRow {
    /// JSON path, `$.keys[2]`.
    pub path: String,
    pub kid_before: Option<String>,
    pub effect: &'static str,
    /// The `kid` under which a verifier finds it.
    pub served_as: Option<String>,
    pub alg: Option<&'static str>,
    pub changes: Vec<ChangeRow>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ChangeRow {
    pub path: String,
    pub code: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// A secret the issuer publishes: where and which members, never the value.
#[derive(Debug, Clone, Serialize)]
pub struct AlarmView {
    pub path: String,
    pub code: String,
    pub members: Vec<String>,
}

/// A served set.
#[derive(Debug, Clone, Serialize)]
pub struct SetView {
    pub path: String,
    pub max_age: u32,
    /// Empty while there is no set yet.
    pub keys: Vec<ServedKey>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ServedKey {
    pub kid: String,
    /// `RSA` or the curve.
    pub kind: String,
    pub alg: String,
    /// `own` or `issuer`.
    pub origin: String,
}

/// One of our signing keys.
#[derive(Debug, Clone, Serialize)]
pub struct SigningView {
    pub kid: String,
    pub alg: &'static str,
    /// `next`, `active` or `retired`.
    pub state: &'static str,
    pub published: Option<i64>,
    pub signs_from: Option<i64>,
    pub signs_until: Option<i64>,
    /// When it leaves the served set.
    pub leaves: Option<i64>,
}

/// Where the ring of signing keys lives.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StoreView {
    /// Kind and place, without credentials.
    pub store: String,
    /// The store cannot be read or written; the ring in memory goes on signing.
    pub error: Option<LastError>,
    pub next_change: Option<i64>,
    pub rotation_asked: bool,
    /// Every place of the ring is taken by keys whose tokens have not expired: rotation waits.
    pub full: bool,
    /// The issuers' last good key sets are kept in memory alone, and are gone after a restart.
    pub key_sets_in_memory: bool,
}

/// Requests on the public listener.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Traffic {
    pub connections: u64,
    pub requests: Vec<RequestCount>,
    pub durations: Vec<RouteDuration>,
    /// Our own error answers, by code.
    pub failures: Vec<Outcome>,
    /// Places where a token stood in proxied traffic, by what became of it.
    pub places: Vec<Outcome>,
}

#[derive(Debug, Clone, Serialize)]
pub struct RequestCount {
    pub route: &'static str,
    /// `2xx`, `3xx`, …
    pub status: &'static str,
    pub count: u64,
}

/// From a request's head to the last byte of its answer.
#[derive(Debug, Clone, Serialize)]
pub struct RouteDuration {
    pub route: &'static str,
    pub duration: Histogram,
}

/// What became of the tokens since the process started.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tokens {
    pub countersigned: u64,
    pub passed: u64,
    pub refused: u64,
    /// Originals put together again on the way back to their issuer.
    pub restored: u64,
    pub by: Vec<TokenCount>,
    pub refusals: Vec<RefusalCount>,
    pub cache: CacheView,
    pub queue: QueueView,
    pub latency: Histogram,
}

#[derive(Debug, Clone, Serialize)]
pub struct TokenCount {
    pub issuer: String,
    pub alg: String,
    /// `countersigned`, `as_it_stands` or `refused`.
    pub outcome: &'static str,
    pub count: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct RefusalCount {
    pub issuer: String,
    pub code: String,
    pub count: u64,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct CacheView {
    pub hits: u64,
    pub misses: u64,
    pub entries: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct QueueView {
    /// Jobs waiting for a crypto thread.
    pub depth: u64,
    pub limit: u64,
    pub threads: u64,
    /// Requests turned away because the queue was full.
    pub overloaded: u64,
}

/// Counts by upper bound, not cumulated; the last bound is `null`, infinity.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Histogram {
    pub buckets: Vec<Bucket>,
    /// Seconds of all observations.
    pub sum: f64,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Bucket {
    pub le: Option<f64>,
    pub count: u64,
}

impl Histogram {
    /// Observations in all.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.count).sum()
    }
}
