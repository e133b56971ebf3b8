//! One fetch against an issuer that fails in every way. Each fault has its code, and none takes longer
//! than the limits.

use std::io::Write as _;
use std::time::Duration;

use crate::support::fault_issuer::{FaultIssuer, Reply};
use crate::support::signer::Signer;
use countersign::dns::Resolver;
use countersign::issuer::fetch::{
    ACCEPT_KEY_SET, Document, FetchError, FetchRequest, Fetched, Fetcher,
};
use countersign::issuer::{FetchSettings, Forwarded};
use countersign::jose::names::UnixTime;
use countersign::net::TlsOptions;
use countersign::setting::Secret;

const LIMIT: usize = 512 * 1024;
const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

struct Bench {
    issuer: FaultIssuer,
    fetcher: Fetcher,
    settings: FetchSettings,
    document: Vec<u8>,
}

impl Bench {
    async fn new() -> Self {
        let jwk = Signer::es256().jwk("g");
        let document = serde_json::json!({ "keys": [jwk] }).to_string().into_bytes();
        Self {
            issuer: FaultIssuer::start(&[jwk]).await,
            fetcher: Fetcher::new(Resolver::system().unwrap()),
            settings: FetchSettings {
                total_timeout: Duration::from_millis(1500),
                ..FetchSettings::default()
            },
            document,
        }
    }

    async fn get(&self, path: &str, etag: Option<&str>) -> Result<Fetched, FetchError> {
        let url = self.issuer.url(path);
        self.ask(&url, etag).await
    }

    async fn ask(&self, url: &url::Url, etag: Option<&str>) -> Result<Fetched, FetchError> {
        let (accept, settings) = (ACCEPT_KEY_SET, &self.settings);
        self.fetcher.get(FetchRequest { url, accept, settings, limit: LIMIT, etag, now: NOW }).await
    }

    async fn body(&self) -> Result<Vec<u8>, &'static str> {
        match self.get("/jwks", None).await {
            Ok(Fetched::Document(document)) => Ok(document.body.to_vec()),
            Ok(other) => panic!("{other:?}"),
            Err(e) => Err(e.code()),
        }
    }

    /// The code of the fetch that gets `reply`.
    async fn code(&self, reply: Reply) -> &'static str {
        self.issuer.usually(reply);
        self.body().await.err().unwrap_or("ok")
    }
}

#[tokio::test]
async fn any_media_type_is_read_and_the_request_says_what_it_wants() {
    let bench = Bench::new().await;
    for media_type in [
        "application/json",
        "application/jwk-set+json",
        "text/html",
        "application/octet-stream",
        "application/json; charset=iso-8859-1",
        "application/json ; charset=utf-8",
    ] {
        bench.issuer.usually(Reply::Set(vec![format!("Content-Type: {media_type}")]));
        assert_eq!(bench.body().await.unwrap(), bench.document, "{media_type}");
    }
    bench.issuer.usually(Reply::Set(Vec::new()));
    assert_eq!(bench.body().await.unwrap(), bench.document);
    let head = bench.issuer.last_head();
    assert!(head.contains("application/jwk-set+json, application/json"), "{head}");
    assert!(head.contains("user-agent: countersign/"), "{head}");
    for encoding in ["gzip", "br", "zstd"] {
        let line = head.lines().find(|l| l.starts_with("accept-encoding:")).unwrap();
        assert!(line.contains(encoding), "{line}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

#[tokio::test]
async fn three_encodings_are_decoded_and_the_limit_holds_after_decoding() {
    let bench = Bench::new().await;
    let mut br = Vec::new();
    brotli::CompressorWriter::new(&mut br, 4096, 5, 20).write_all(&bench.document).unwrap();
    let zstd = zstd::encode_all(&bench.document[..], 3).unwrap();
    for (name, body) in [("gzip", gzip(&bench.document)), ("br", br), ("zstd", zstd)] {
        let line = format!("Content-Encoding: {name}");
        bench.issuer.usually(Reply::Raw(200, vec![line], body));
        assert_eq!(bench.body().await.as_ref(), Ok(&bench.document), "{name}");
    }
    // Row 11: decompression stops at the limit.
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 100_000);
    let line = vec!["Content-Encoding: gzip".to_owned()];
    assert_eq!(bench.code(Reply::Raw(200, line.clone(), bomb)).await, "too_large");
    assert_eq!(bench.code(Reply::Raw(200, line.clone(), b"no gzip".to_vec())).await, "encoding");
    let mut cut = gzip(&bench.document);
    cut.truncate(cut.len() - 12);
    assert_eq!(bench.code(Reply::Raw(200, line, cut)).await, "encoding");
}

#[tokio::test]
async fn statuses_other_than_200_are_refused_with_their_code() {
    let mut bench = Bench::new().await;
    for status in [201, 203, 206, 400, 401, 403, 404, 500, 502, 503] {
        assert_eq!(bench.code(Reply::status(status)).await, "status", "{status}");
    }
    assert_eq!(bench.code(Reply::Raw(204, vec![], vec![])).await, "empty");
    assert_eq!(bench.code(Reply::Raw(200, vec![], vec![])).await, "empty");
    // `304` to an unconditional request.
    assert_eq!(bench.code(Reply::Raw(304, vec![], vec![])).await, "status");
    bench.issuer.usually(Reply::status(429).with("Retry-After: 60"));
    let error = bench.get("/jwks", None).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    bench.settings.status.push(203);
    bench.issuer.usually(Reply::Raw(203, vec![], bench.document.clone()));
    assert_eq!(bench.body().await.unwrap(), bench.document);
}

#[tokio::test]
async fn redirects_are_followed_thrice_and_never_elsewhere() {
    let bench = Bench::new().await;
    let hop = |n: usize| Reply::redirect(&format!("/hop{n}"));
    bench.issuer.next([hop(1), hop(2), hop(3)]);
    assert_eq!(bench.body().await.unwrap(), bench.document);
    bench.issuer.next([hop(1), hop(2), hop(3), hop(4)]);
    assert_eq!(bench.body().await, Err("redirects"));
    bench.issuer.next([]);
    let other = Bench::new().await;
    for to in [
        other.issuer.url("/jwks").to_string(),
        format!("http://localhost:{}/jwks", bench.issuer.port),
        format!("https://127.0.0.1:{}/jwks", bench.issuer.port),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "file:///etc/passwd".to_owned(),
        "//evil.example/".to_owned(),
    ] {
        assert_eq!(bench.code(Reply::redirect(&to)).await, "redirect_cross_origin", "{to}");
    }
    assert_eq!(other.issuer.requests(), 0);
    assert_eq!(bench.code(Reply::Raw(302, vec![], vec![])).await, "redirect_location");
}

#[tokio::test]
async fn stalls_and_lies_end_within_the_limit() {
    let bench = Bench::new().await;
    for (reply, code) in [
        (Reply::Stall, "timeout"),
        (Reply::StallBody, "timeout"),
        (Reply::Trickle(Duration::from_millis(40)), "timeout"),
        (Reply::ShortBody, "broken"),
        (Reply::Reset, "broken"),
        (Reply::Close, "broken"),
        (Reply::Garbage, "broken"),
    ] {
        let name = format!("{reply:?}");
        assert_eq!(bench.code(reply).await, code, "{name}");
    }
    // Bytes after the announced length are another message, which is ignored.
    assert_eq!(bench.code(Reply::LongBody).await, "ok");
    let large = vec![b' '; LIMIT + 1];
    assert_eq!(bench.code(Reply::Raw(200, vec![], large.clone())).await, "too_large");
    let chunked = {
        let mut body = format!("{:x}\r\n", large.len()).into_bytes();
        body.extend_from_slice(&large);
        body.extend_from_slice(b"\r\n0\r\n\r\n");
        let lines = vec!["Transfer-Encoding: chunked".into(), "X-Content-Length: none".into()];
        Reply::Raw(200, lines, body)
    };
    assert!(["too_large", "broken"].contains(&bench.code(chunked).await));
    bench.issuer.refuse().await;
    assert_eq!(bench.body().await, Err("connect"));
    bench.issuer.come_back().await;
    assert_eq!(bench.code(Reply::ok()).await, "ok");
}

#[tokio::test]
async fn an_etag_is_sent_back_and_304_is_the_answer() {
    let bench = Bench::new().await;
    bench.issuer.usually(Reply::Tagged("\"v1\"".into()));
    let first = bench.get("/jwks", None).await.unwrap();
    let Fetched::Document(Document { etag, .. }) = first else { panic!("{first:?}") };
    assert_eq!(etag.as_deref(), Some("\"v1\""));
    let again = bench.get("/jwks", etag.as_deref()).await.unwrap();
    assert_eq!(again, Fetched::NotModified { age: None });
}

/// As Amazon's S3 and others answer: an unknown coding, several lines of one field, padding.
#[tokio::test]
async fn what_is_said_of_the_coding_does_not_hide_the_document() {
    let bench = Bench::new().await;
    let (plain, zipped) = (bench.document.clone(), gzip(&bench.document));
    let mut br = Vec::new();
    brotli::CompressorWriter::new(&mut br, 4096, 5, 20).write_all(&plain).unwrap();
    let padded = [zipped.clone(), vec![0; 16]].concat();
    for (lines, body, unknown) in [
        (vec!["UTF-8"], &plain, Some("UTF-8")),
        (vec!["compress"], &plain, Some("compress")),
        (vec!["gzip,aws-chunked"], &zipped, Some("aws-chunked")),
        (vec!["", "br"], &br, None),
        (vec!["identity", "gzip"], &zipped, None),
        (vec![], &zipped, None),
        (vec!["gzip"], &padded, None),
    ] {
        let fields = lines.iter().map(|line| format!("Content-Encoding: {line}")).collect();
        bench.issuer.usually(Reply::Raw(200, fields, body.clone()));
        match bench.get("/jwks", None).await {
            Ok(Fetched::Document(Document { body, unknown_coding, .. })) => {
                assert_eq!(body, bench.document, "{lines:?}");
                assert_eq!(unknown_coding.as_deref(), unknown, "{lines:?}");
            }
            other => panic!("{lines:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_address_is_judged_where_it_is_dialled() {
    let mut bench = Bench::new().await;
    // No server answers at these: an address that is not refused at once would time out.
    for url in [
        "http://169.254.169.254/jwks",
        "http://2852039166/jwks",
        "http://0xa9fea9fe/jwks",
        "http://[::ffff:169.254.169.254]/jwks",
        "http://[64:ff9b::a9fe:a9fe]/jwks",
        "http://100.100.100.200/jwks",
        "http://168.63.129.16/jwks",
        "http://[fd00:ec2::254]/jwks",
    ] {
        let error = bench.ask(&url.parse().unwrap(), None).await.unwrap_err();
        assert_eq!(error.code(), "address_banned", "{url}: {error}");
    }
    let port = bench.issuer.port;
    assert_eq!(bench.body().await.as_ref(), Ok(&bench.document), "the configuration names it");
    bench.settings.inside = false;
    for host in ["127.0.0.1", "2130706433", "localhost", "localhost.", "x.localhost.", "[::1]"] {
        let url = format!("http://{host}:{port}/jwks").parse().unwrap();
        let error = bench.ask(&url, None).await.unwrap_err();
        assert_eq!(error.code(), "address_inside", "{host}: {error}");
    }
    assert_eq!(bench.issuer.requests(), 1);
}

/// Our own requests have the name that clients use, like a forwarded request.
#[tokio::test]
async fn the_upstream_hears_of_us_as_of_its_clients() {
    let mut bench = Bench::new().await;
    bench.settings.forwarded = Some(std::sync::Arc::new(Forwarded {
        upstream: bench.issuer.url("/"),
        host: "login.example.com".into(),
        public: Some("https://login.example.com".parse().unwrap()),
        tls: TlsOptions::default(),
    }));
    assert_eq!(bench.body().await.as_ref(), Ok(&bench.document));
    let head = bench.issuer.last_head();
    for line in [
        "host: login.example.com\r\n",
        "x-forwarded-host: login.example.com\r\n",
        "x-forwarded-proto: https\r\n",
    ] {
        assert!(head.contains(line), "{head}");
    }
    assert_eq!(head.matches("\r\nhost:").count(), 1, "{head}");
    // A redirect to that name leads back to the upstream; one to the same address is refused.
    bench.issuer.next([Reply::redirect("https://login.example.com/jwks/")]);
    assert_eq!(bench.body().await.as_ref(), Ok(&bench.document));
    assert!(bench.issuer.last_head().starts_with("get /jwks/ "));
    let same = Reply::redirect("https://login.example.com/jwks");
    assert_eq!(bench.code(same).await, "redirect_cross_origin");
    // The operator's own fields win.
    bench.issuer.usually(Reply::ok());
    bench.settings.headers.insert("host".into(), Secret::new("tenant.example".into()));
    bench.body().await.unwrap();
    assert!(bench.issuer.last_head().contains("host: tenant.example\r\n"));
}

#[tokio::test]
async fn no_error_text_shows_what_an_address_may_hold() {
    let bench = Bench::new().await;
    let mut url = bench.issuer.url("/jwks?api_key=hunter2");
    url.set_username("user").unwrap();
    url.set_password(Some("hunter2")).unwrap();
    for reply in [Reply::Reset, Reply::status(500), Reply::ShortBody, Reply::Stall] {
        bench.issuer.usually(reply);
        let error = bench.ask(&url, None).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}
