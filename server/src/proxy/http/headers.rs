//! Header fields across this hop: hop-by-hop fields (RFC 9110 §7.6.1), forwarding fields, and the
//! request ID.

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};
use pingora::http::{RequestHeader, ResponseHeader};

use super::ServerSession;
use crate::proxy::settings::base_path;

/// Hop-by-hop fields (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields that describe the bytes of a body, apart from its length, and are wrong once the body is
/// changed: RFC 9110 §8.8.3, RFC 9530, RFC 3230.
const CONTENT_FIELDS: [HeaderName; 7] = [
    header::CONTENT_ENCODING,
    header::ETAG,
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("content-md5"),
    header::ACCEPT_RANGES,
];

// pingora copies a name given as a `HeaderName`, but not a static text.
const PROTO: &str = "X-Forwarded-Proto";
const HOST: &str = "X-Forwarded-Host";
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Other fields that carry the scheme, host or path of the public address. Some frameworks prefer
/// one of them to `X-Forwarded-*`.
const OTHER_FORWARDING_FIELDS: [HeaderName; 8] = [
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-scheme"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-forwarded-ssl"),
    HeaderName::from_static("x-original-host"),
    HeaderName::from_static("x-host"),
];
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The media type of `Content-Type` in lower case, without parameters such as `charset`
/// (RFC 9110 §8.3.1). Empty without the field.
pub fn media_type(fields: &http::HeaderMap) -> String {
    let value = fields.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let media = value.split(|b| *b == b';').next().unwrap_or_default();
    String::from_utf8_lossy(media.trim_ascii()).to_ascii_lowercase()
}

/// Whether a request is a gRPC call. `application/grpc-web` does not need HTTP/2, so it does not
/// count.
pub fn is_grpc(header: &RequestHeader) -> bool {
    if header.version != http::Version::HTTP_2 {
        return false;
    }
    let media = media_type(&header.headers);
    media == "application/grpc" || media.starts_with("application/grpc+")
}

/// Sets `X-Forwarded-*`. The client's address is appended to `X-Forwarded-For`; entries in the list
/// are never trusted. With a configured `public` URL, scheme and host are taken from it, whatever
/// the request says, and other fields for them (`Forwarded`, RFC 7239) are removed. Without one,
/// fields that a TLS terminator in front has set are kept, and missing ones are set from the
/// connection.
pub fn forward(
    header: &mut RequestHeader,
    client: Option<IpAddr>,
    tls: bool,
    public: Option<&url::Url>,
) -> pingora::Result<()> {
    if let Some(client) = client {
        // Copied as bytes: one entry that is not ASCII must not drop the others.
        let mut list = Vec::new();
        for value in header.headers.get_all(X_FORWARDED_FOR) {
            list.extend_from_slice(value.as_bytes());
            list.extend_from_slice(b", ");
        }
        let _ = write!(list, "{client}");
        header.insert_header("X-Forwarded-For", list)?;
    }
    let Some(public) = public else {
        if !header.headers.contains_key(X_FORWARDED_PROTO) {
            header.insert_header(PROTO, scheme(&header.headers, tls))?;
        }
        if !header.headers.contains_key(X_FORWARDED_HOST)
            && let Some(host) = header.headers.get(header::HOST).cloned()
        {
            header.insert_header(HOST, host)?;
        }
        return Ok(());
    };
    header.insert_header(PROTO, public.scheme())?;
    header.insert_header(HOST, &public[url::Position::BeforeHost..url::Position::AfterPort])?;
    for name in present(&header.headers, &OTHER_FORWARDING_FIELDS) {
        header.remove_header(&name);
    }
    match base_path(public) {
        "" => Ok(()),
        prefix => header.insert_header("X-Forwarded-Prefix", prefix),
    }
}

/// The scheme that the client used: the first entry of `X-Forwarded-Proto`, else the first `proto`
/// of `Forwarded` (RFC 7239 §5.4), as a TLS terminator in front sets them.
pub fn scheme(headers: &http::HeaderMap, tls: bool) -> &'static str {
    let first = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let proto = first(&X_FORWARDED_PROTO).and_then(|list| list.split(',').next());
    let proto = proto.or_else(|| {
        let element = first(&header::FORWARDED)?.split(',').next()?;
        element.split(';').find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            name.trim().eq_ignore_ascii_case("proto").then(|| value.trim().trim_matches('"'))
        })
    });
    match proto.map(str::trim) {
        Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
        Some(proto) if proto.eq_ignore_ascii_case("http") => "http",
        _ if tls => "https",
        _ => "http",
    }
}

/// Scheme, host and port that the client used.
pub fn client_origin(session: &ServerSession) -> Option<String> {
    let request = session.req_header();
    let host = std::str::from_utf8(host(request)?).ok()?;
    let address = format!("{}://{host}", scheme(&request.headers, is_tls(session)));
    Some(url::Url::parse(&address).ok()?.origin().ascii_serialization())
}

/// Whether the client's connection uses TLS.
pub fn is_tls(session: &ServerSession) -> bool {
    session.digest().is_some_and(|digest| digest.ssl_digest.is_some())
}

/// The host that the client sent. HTTP/2 carries it in `:authority` (RFC 9113 §8.3.1).
pub fn host(request: &RequestHeader) -> Option<&[u8]> {
    let field = request.headers.get(header::HOST).map(HeaderValue::as_bytes);
    field.or_else(|| request.uri.authority().map(|authority| authority.as_str().as_bytes()))
}

/// Removes hop-by-hop fields.
///
/// Fields that `Connection` names are kept, unless they are hop-by-hop by definition. Otherwise a
/// client could remove fields that a proxy in front has added (`CF-Connecting-IP`,
/// `X-SSL-Client-Verify`, …). nginx and others deviate from RFC 9110 §7.6.1 in the same way.
pub fn strip_request(header: &mut RequestHeader) {
    let removed = |name: &&HeaderName| HOP_BY_HOP.contains(name) || is_alias(name);
    let names: Vec<_> = header.headers.keys().filter(removed).cloned().collect();
    for name in names {
        header.remove_header(&name);
    }
    if let Some(length) = single_length(&header.headers) {
        let _ = header.insert_header(header::CONTENT_LENGTH, length);
    }
    if let Some(cookie) = joined_cookies(&header.headers) {
        let _ = header.insert_header(header::COOKIE, cookie);
    }
}

/// Removes hop-by-hop fields, and those that `Connection` names. An interim answer (RFC 9110 §15.2)
/// and `204` have no body, so `Content-Length` goes too.
pub fn strip_response(header: &mut ResponseHeader) {
    let hop_by_hop = present(&header.headers, &HOP_BY_HOP);
    for name in named_by_connection(&header.headers).into_iter().chain(hop_by_hop) {
        header.remove_header(&name);
    }
    if header.status.is_informational() || header.status == StatusCode::NO_CONTENT {
        header.remove_header(&header::CONTENT_LENGTH);
    } else if let Some(length) = single_length(&header.headers) {
        let _ = header.insert_header(header::CONTENT_LENGTH, length);
    }
}

/// The transfer coding of a message (RFC 9112 §6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferCoding {
    None,
    /// `chunked` alone, the only coding that pingora decodes.
    Chunked,
    Other,
}

/// The transfer coding that these fields name.
pub fn transfer_coding(headers: &http::HeaderMap) -> TransferCoding {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => TransferCoding::None,
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            TransferCoding::Chunked
        }
        _ => TransferCoding::Other,
    }
}

/// Reduces a repeated `Content-Length` to one value: the next server may not accept a list
/// (RFC 9110 §8.6). The values are known to be equal since the head was validated.
fn single_length(headers: &http::HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let first = values.next()?.as_bytes();
    if values.next().is_none() && !first.contains(&b',') {
        return None;
    }
    let one = first.split(|b| *b == b',').next()?;
    HeaderValue::from_bytes(one.trim_ascii()).ok()
}

/// Joins the `Cookie` fields that HTTP/2 may split, because HTTP/1 allows one only.
fn joined_cookies(headers: &http::HeaderMap) -> Option<HeaderValue> {
    headers.get_all(header::COOKIE).iter().nth(1)?;
    sensitive(&cookie_line(headers))
}

/// All cookies of a request in one field line (RFC 9113 §8.2.3).
pub fn cookie_line(headers: &http::HeaderMap) -> Vec<u8> {
    let pieces: Vec<_> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    pieces.join(&b"; "[..])
}

/// A field value that is marked sensitive, so that no log shows it.
pub fn sensitive(value: &[u8]) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether the request asks for a WebSocket, the only protocol upgrade that is forwarded
/// (RFC 6455 §4.1). A request with a body is treated as an ordinary one: it would be unclear where
/// the body ends and the new protocol begins.
pub fn is_websocket(header: &RequestHeader) -> bool {
    if header.method != http::Method::GET || header.version != http::Version::HTTP_11 {
        return false;
    }
    let bodiless = || {
        let length = header.headers.get(header::CONTENT_LENGTH);
        length.is_none_or(|length| length == "0")
            && !header.headers.contains_key(header::TRANSFER_ENCODING)
    };
    let upgrade = || {
        let mut values = header.headers.get_all(header::CONNECTION).iter();
        values.any(|value| lists(value.as_bytes(), "upgrade"))
    };
    upgrades_to_websocket(&header.headers) && bodiless() && upgrade()
}

/// Whether a comma-separated list has this token (RFC 9110 §5.6.1).
pub fn lists(value: &[u8], token: &str) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Whether `Upgrade` names a WebSocket and nothing else (RFC 6455 §4.1).
pub fn upgrades_to_websocket(headers: &http::HeaderMap) -> bool {
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    let first = protocols.next();
    first.is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && protocols.next().is_none()
}

/// Replaces all lines of a field.
pub fn set_lines(
    header: &mut ResponseHeader,
    name: &str,
    lines: Vec<HeaderValue>,
) -> pingora::Result<()> {
    header.remove_header(name);
    for line in lines {
        header.append_header(name.to_owned(), line)?;
    }
    Ok(())
}

/// Adapts `header` to a replaced body of `length` bytes.
pub fn set_new_body(header: &mut ResponseHeader, length: usize) -> pingora::Result<()> {
    for name in present(&header.headers, &CONTENT_FIELDS) {
        header.remove_header(&name);
    }
    header.insert_header(header::CONTENT_LENGTH, length)
}

/// Removes digests of a request's body that was changed (RFC 9530, RFC 1864).
pub fn strip_digests(header: &mut RequestHeader) {
    for name in present(&header.headers, &CONTENT_FIELDS) {
        header.remove_header(&name);
    }
}

/// Those of `names` that are present, usually none. One pass over the fields is cheaper than a
/// lookup per name.
fn present(headers: &http::HeaderMap, names: &[HeaderName]) -> Vec<HeaderName> {
    headers.keys().filter(|name| names.contains(name)).cloned().collect()
}

/// Fields that the answer's `Connection` names (RFC 9110 §7.6.1), without `Content-Length`.
fn named_by_connection(headers: &http::HeaderMap) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        // The usual values. `keep-alive` is a hop-by-hop field itself, `close` is not a field.
        if matches!(value.as_bytes(), b"keep-alive" | b"close") {
            continue;
        }
        for name in value.to_str().unwrap_or_default().split(',') {
            let Ok(name) = HeaderName::try_from(name.trim()) else { continue };
            if name != header::CONTENT_LENGTH {
                names.push(name);
            }
        }
    }
    names
}

/// Whether a CGI, WSGI or PHP upstream would read this name as one of the trusted fields: it maps
/// `_` and `-` to the same character.
fn is_alias(name: &HeaderName) -> bool {
    name.as_str().contains('_') && is_trusted(&name.as_str().replace('_', "-"))
}

/// Fields from which an upstream learns the client's identity and address, and where the message
/// ends.
fn is_trusted(name: &str) -> bool {
    const EXACT: [&str; 14] = [
        "authorization",
        "cf-connecting-ip",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "fastly-client-ip",
        "forwarded",
        "host",
        "transfer-encoding",
        "true-client-ip",
        "upgrade",
        "via",
        "x-host",
    ];
    const PREFIXES: [&str; 11] = [
        "x-amzn-",
        "x-auth-request-",
        "x-azure-",
        "x-client-",
        "x-cluster-client-",
        "x-envoy-",
        "x-forwarded-",
        "x-original-",
        "x-real-",
        "x-request-",
        "x-ssl-",
    ];
    EXACT.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The request's own ID if it is safe in a log line, else a new one.
pub fn request_id(header: &RequestHeader) -> HeaderValue {
    if let Some(own) = header.headers.get(X_REQUEST_ID)
        && (1..=128).contains(&own.len())
        && own.as_bytes().iter().all(|b| b.is_ascii_graphic())
    {
        return own.clone();
    }
    fresh_id()
}

/// Our entry in `Via` (RFC 9110 §7.6.3), with a name unique to this process.
#[derive(Debug)]
pub struct Via(HeaderValue);

impl Default for Via {
    fn default() -> Self {
        let mut entry = b"1.1 countersign-".to_vec();
        entry.extend(fresh_id().as_bytes().iter().take(12));
        Self(HeaderValue::from_bytes(&entry).unwrap_or(HeaderValue::from_static("1.1 countersign")))
    }
}

impl Via {
    /// Whether a `Via` line names this process.
    pub fn is_in(&self, line: &HeaderValue) -> bool {
        let name = self.0.as_bytes().get(4..).unwrap_or_default();
        memchr::memmem::find(line.as_bytes(), name).is_some()
    }

    pub fn add(&self, header: &mut RequestHeader) -> pingora::Result<()> {
        header.append_header("Via", self.0.clone()).map(drop)
    }
}

/// Unique in this process, and almost certainly across processes: a counter with a random start. An
/// ID is not secret, and a random number per request would cost more than all its other fields.
fn fresh_id() -> HeaderValue {
    static START: OnceLock<(u64, u64)> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (process, start) = START.get_or_init(|| {
        let mut random = [[0; 8]; 2];
        // If the random source fails, the counter starts at zero.
        let _ = aws_lc_rs::rand::fill(random.as_flattened_mut());
        (u64::from_ne_bytes(random[0]), u64::from_ne_bytes(random[1]))
    });
    let count = start.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
    let id = [process.to_be_bytes(), count.to_be_bytes()];
    let text: [u8; 32] = std::array::from_fn(|at| {
        let byte = id.as_flattened()[at / 2];
        let digit = if at % 2 == 0 { byte >> 4 } else { byte & 15 };
        b"0123456789abcdef"[usize::from(digit)]
    });
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut header = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in fields {
            header.append_header(*name, *value).unwrap();
        }
        header
    }

    fn get<'a>(header: &'a RequestHeader, name: &str) -> &'a str {
        header.headers.get(name).unwrap().to_str().unwrap()
    }

    #[test]
    fn a_media_type_is_read_without_its_parameters() {
        for (field, expected) in [
            (
                "Application/X-WWW-Form-Urlencoded ; charset=UTF-8",
                "application/x-www-form-urlencoded",
            ),
            ("text/html", "text/html"),
            ("text/html+x", "text/html+x"),
            ("", ""),
        ] {
            assert_eq!(media_type(&request(&[("content-type", field)]).headers), expected);
        }
        assert_eq!(media_type(&request(&[]).headers), "");
    }

    #[test]
    fn grpc_is_recognised_by_its_media_type_and_version() {
        for (media, expected) in [
            ("application/grpc", true),
            ("Application/gRPC+proto; charset=x", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let mut header = request(&[("content-type", media)]);
            assert!(!is_grpc(&header), "{media} over HTTP/1.1");
            header.set_version(http::Version::HTTP_2);
            assert_eq!(is_grpc(&header), expected, "{media}");
        }
    }

    #[test]
    fn the_client_is_appended_and_never_trusted() {
        let mut header = request(&[
            ("host", "auth.example"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "7.7.7.7"),
        ]);
        let client = Some("10.0.0.1".parse().unwrap());
        forward(&mut header, client, false, None).unwrap();
        assert_eq!(get(&header, "x-forwarded-for"), "6.6.6.6, 7.7.7.7, 10.0.0.1");
        assert_eq!(header.headers.get_all("x-forwarded-for").iter().count(), 1);
        assert_eq!(get(&header, "x-forwarded-proto"), "http");
        assert_eq!(get(&header, "x-forwarded-host"), "auth.example");
    }

    #[test]
    fn a_configured_public_url_overrules_the_request() {
        let public = url::Url::parse("https://auth.example:8443/x").unwrap();
        let mut header = request(&[
            ("host", "evil.example"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "for=6.6.6.6;host=evil.example;proto=http"),
            ("x-forwarded-port", "81"),
            ("x-forwarded-prefix", "/evil"),
        ]);
        forward(&mut header, None, false, Some(&public)).unwrap();
        assert_eq!(get(&header, "x-forwarded-prefix"), "/x");
        for other in ["forwarded", "x-forwarded-port"] {
            assert!(!header.headers.contains_key(other), "{other}");
        }
        assert_eq!(get(&header, "x-forwarded-proto"), "https");
        assert_eq!(get(&header, "x-forwarded-host"), "auth.example:8443");
        assert_eq!(get(&header, "host"), "evil.example");
    }

    #[test]
    fn the_scheme_is_read_in_every_spelling() {
        for (name, value, expected) in [
            ("x-forwarded-proto", "https", "https"),
            ("x-forwarded-proto", "https,http", "https"),
            ("x-forwarded-proto", "HTTPS", "https"),
            ("x-forwarded-proto", "http, https", "http"),
            ("forwarded", "for=1.2.3.4;proto=https, for=2.2.2.2;proto=http", "https"),
            ("forwarded", "Proto=\"HTTPS\"", "https"),
            ("forwarded", "for=1.2.3.4", "http"),
            ("x-forwarded-proto", "ftp", "http"),
        ] {
            assert_eq!(scheme(&request(&[(name, value)]).headers, false), expected, "{value}");
        }
        let both = request(&[("x-forwarded-proto", "http"), ("forwarded", "proto=https")]);
        assert_eq!(scheme(&both.headers, true), "http");
    }

    #[test]
    fn hop_by_hop_fields_are_removed() {
        let mut header = request(&[
            ("host", "a"),
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("proxy-authorization", "Basic eDp5"),
            ("http2-settings", "AAMAAABkAAQ"),
        ]);
        strip_request(&mut header);
        let left: Vec<_> = header.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["host", "x-mine"]);
    }

    /// CGI, WSGI and PHP read `_` and `-` alike: a client could otherwise forge the trusted fields.
    #[test]
    fn spellings_of_our_fields_with_an_underscore_are_dropped() {
        let mut header = request(&[
            ("x_forwarded_for", "6.6.6.6"),
            ("x_forwarded-host", "evil.example"),
            ("x_real_ip", "6.6.6.6"),
            ("content_length", "5"),
            ("api_key", "k"),
        ]);
        strip_request(&mut header);
        let left: Vec<_> = header.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["api_key"]);
    }

    #[test]
    fn a_length_is_sent_once_and_cookies_in_one_line() {
        for lengths in [&["30, 30"][..], &["30", "30"], &["30 ,30", "30"]] {
            let mut header = request(&[("cookie", "a=1"), ("cookie", "b=2")]);
            for length in lengths {
                header.append_header("content-length", *length).unwrap();
            }
            strip_request(&mut header);
            let all = |name| header.headers.get_all(name).iter().collect::<Vec<_>>();
            assert_eq!(all("content-length"), ["30"], "{lengths:?}");
            assert_eq!(all("cookie"), ["a=1; b=2"]);
        }
    }

    /// The entry of a proxy in front follows the client's own entry.
    #[test]
    fn a_byte_that_is_not_ascii_removes_no_address() {
        let mut header = request(&[]);
        let value = HeaderValue::from_bytes(b"\xe9, 203.0.113.9").unwrap();
        header.append_header("x-forwarded-for", value).unwrap();
        let client = Some("10.0.0.1".parse().unwrap());
        forward(&mut header, client, false, None).unwrap();
        assert_eq!(header.headers["x-forwarded-for"].as_bytes(), b"\xe9, 203.0.113.9, 10.0.0.1");
    }

    /// Otherwise a client behind a load balancer could impersonate the load balancer.
    #[test]
    fn connection_cannot_remove_fields_that_others_set() {
        let kept = [
            "host",
            "authorization",
            "cookie",
            "content-length",
            "forwarded",
            "x-forwarded-for",
            "X-Forwarded-Proto",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-real-ip",
            "x-request-id",
            "traceparent",
            "true-client-ip",
            "cf-connecting-ip",
            "x-client-ip",
            "x-amzn-oidc-data",
            "x-ssl-client-verify",
            "via",
            "content-type",
            "dpop",
            "origin",
        ];
        let nominated = kept.join(", ");
        let mut header = request(&[("connection", &nominated)]);
        for name in kept {
            header.append_header(name, "1").unwrap();
        }
        strip_request(&mut header);
        assert_eq!(header.headers.len(), kept.len(), "{:?}", header.headers);
    }

    #[test]
    fn only_a_bodiless_get_asks_for_a_websocket() {
        let asks = |method: &str, fields: &[(&'static str, &str)]| {
            let mut header = request(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
            header.set_method(method.parse().unwrap());
            for (name, value) in fields {
                header.append_header(*name, *value).unwrap();
            }
            is_websocket(&header)
        };
        assert!(asks("GET", &[]));
        assert!(asks("GET", &[("content-length", "0")]));
        assert!(!asks("POST", &[]));
        assert!(!asks("HEAD", &[]));
        assert!(!asks("GET", &[("content-length", "4")]));
        assert!(!asks("GET", &[("transfer-encoding", "chunked")]));
        assert!(!asks("GET", &[("upgrade", "h2c")]));
    }

    #[test]
    fn an_id_that_could_break_a_log_line_is_replaced() {
        assert_eq!(request_id(&request(&[("x-request-id", "abc-1")])), "abc-1");
        let long = "x".repeat(129);
        let mut seen = std::collections::HashSet::new();
        for bad in ["a b", "", long.as_str()] {
            let id = request_id(&request(&[("x-request-id", bad)]));
            assert_eq!(id.len(), 32, "{bad:?}");
            assert!(id.as_bytes().iter().all(u8::is_ascii_hexdigit), "{id:?}");
            assert!(seen.insert(id));
        }
    }
}
