//! The only place that judges a request's head, before any other code uses it: its target, its
//! `Host` and its framing. Anything that two parsers may read differently is refused.

use http::header;
use http::uri::Uri;
use pingora::http::RequestHeader;

use super::headers;
use crate::answer::Failure;

/// The largest length that overflows in no parser. nginx and Go refuse larger ones.
const MAX_CONTENT_LENGTH: u64 = i64::MAX as u64;

/// What a valid head says about the connection and about the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The request has no body and asks for no protocol upgrade.
    pub bodiless: bool,
    /// One of the `Connection` lines says `close` (RFC 9112 §9.6).
    pub close: bool,
}

/// Judges the head of an HTTP/1 request (RFC 9112 §3).
///
/// # Errors
/// [`Failure::InvalidTarget`], [`Failure::InvalidHost`], [`Failure::Framing`], and
/// [`Failure::MethodNotAllowed`] for `CONNECT`.
pub fn http1(request: &httparse::Request<'_, '_>) -> Result<Head, Failure> {
    let (method, target) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
    let mut head = Head { bodiless: true, close: false };
    let (mut hosts, mut codings) = (0, 0);
    let mut length = None;
    for field in request.headers.iter() {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        // The length first, since most fields have none of these names.
        match field.name.len() {
            4 if is("host") => {
                hosts += 1;
                host(field.value)?;
            }
            7 if is("upgrade") => head.bodiless = false,
            10 if is("connection") => head.close |= headers::lists(field.value, "close"),
            14 if is("content-length") => {
                head.bodiless = false;
                content_length(field.value, &mut length)?;
            }
            17 if is("transfer-encoding") => {
                head.bodiless = false;
                codings += 1;
                if !field.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Failure::Framing);
                }
            }
            _ => {}
        }
    }
    let http11 = request.version == Some(1);
    // Conflicting framing is how request smuggling works (RFC 9112 §6.1, §11.2). HTTP/1.0 has no
    // transfer codings.
    if codings > 1 || (codings == 1 && (length.is_some() || !http11)) {
        return Err(Failure::Framing);
    }
    // Exactly one `Host` (RFC 9112 §3.2). HTTP/1.0 may omit it.
    if hosts > 1 || (http11 && hosts == 0) {
        return Err(Failure::InvalidHost);
    }
    self::target(method, target)?;
    Ok(head)
}

/// Judges the head of an HTTP/2 request that the h2 library has parsed (RFC 9113 §8.3.1).
///
/// # Errors
/// The same as those of [`http1`].
pub fn http2(request: &RequestHeader) -> Result<(), Failure> {
    if request.method == http::Method::CONNECT {
        return Err(Failure::MethodNotAllowed { allow: "" });
    }
    // `:path` is an origin form, or `*` for `OPTIONS` (RFC 9113 §8.3.1).
    let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
    let asterisk = target == "*" && request.method == http::Method::OPTIONS;
    if !target.starts_with('/') && !asterisk {
        return Err(Failure::InvalidTarget);
    }
    if let Some(authority) = request.uri.authority() {
        host(authority.as_str().as_bytes())?;
    }
    let mut hosts = request.headers.get_all(header::HOST).iter();
    if let Some(field) = hosts.next() {
        host(field.as_bytes())?;
    }
    if hosts.next().is_some() {
        return Err(Failure::InvalidHost);
    }
    let mut length = None;
    for value in request.headers.get_all(header::CONTENT_LENGTH) {
        content_length(value.as_bytes(), &mut length)?;
    }
    Ok(())
}

/// Accepts a list of equal lengths as one length (RFC 9110 §8.6). `known` is the length from the
/// earlier field lines.
///
/// # Errors
/// [`Failure::Framing`]
pub fn content_length(value: &[u8], known: &mut Option<u64>) -> Result<(), Failure> {
    for one in value.split(|b| *b == b',') {
        let length = parse_length(one.trim_ascii()).ok_or(Failure::Framing)?;
        if known.replace(length).is_some_and(|before| before != length) {
            return Err(Failure::Framing);
        }
    }
    Ok(())
}

/// Digits only, at most 2^63-1.
fn parse_length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (length <= MAX_CONTENT_LENGTH).then_some(length)
}

/// Accepts the four forms of RFC 9112 §3.2. The authority form is for `CONNECT` only, and this
/// proxy offers no tunnels.
fn target(method: &str, target: &str) -> Result<(), Failure> {
    if method == "CONNECT" {
        return Err(Failure::MethodNotAllowed { allow: "" });
    }
    let valid = match target.as_bytes() {
        [b'/', ..] => is_plain(target.as_bytes()) || Uri::try_from(ascii(target)).is_ok(),
        b"*" => method == "OPTIONS",
        _ => absolute(target).is_some(),
    };
    if valid { Ok(()) } else { Err(Failure::InvalidTarget) }
}

/// Whether the target has only the bytes that nearly all targets consist of.
fn is_plain(target: &[u8]) -> bool {
    target.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~/?&=%:@!$'()*+,;".contains(b))
}

/// Replaces each byte above 0x7f, because such bytes are forwarded unchanged.
fn ascii(target: &str) -> String {
    target.chars().map(|c| if c.is_ascii() { c } else { 'x' }).collect()
}

/// Checks `http://host/path`, without user information in the host.
fn absolute(target: &str) -> Option<()> {
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if end == 0 {
        return None;
    }
    host(&rest.as_bytes()[..end]).ok()?;
    Uri::try_from(ascii(target)).is_ok().then_some(())
}

/// Checks `uri-host [ ":" port ]` (RFC 3986 §3.2.2), without user information (RFC 9110 §4.2.4). It
/// may be empty, which means that the target has no authority (RFC 9110 §7.2).
fn host(value: &[u8]) -> Result<(), Failure> {
    let text = std::str::from_utf8(value).map_err(|_| Failure::InvalidHost)?;
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(Failure::InvalidHost)?;
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(Failure::InvalidHost);
            }
            ("", port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port_is_valid = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some("") => true,
        Some(digits) => digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok(),
    };
    if port_is_valid && is_reg_name(name.as_bytes()) { Ok(()) } else { Err(Failure::InvalidHost) }
}

/// Checks a `reg-name`: unreserved characters, sub-delimiters, percent-encoded bytes.
fn is_reg_name(name: &[u8]) -> bool {
    let mut bytes = name.iter();
    while let Some(b) = bytes.next() {
        let valid = match b {
            b'%' => {
                let mut hex = || bytes.next().is_some_and(u8::is_ascii_hexdigit);
                hex() && hex()
            }
            _ => b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(b),
        };
        if !valid {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(head: &str) -> Result<Head, &'static str> {
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut fields);
        let bytes = head.replace('\n', "\r\n");
        request.parse(bytes.as_bytes()).map_err(|_| "unparsed")?;
        http1(&request).map_err(|failure| failure.code())
    }

    fn with(fields: &str) -> Result<Head, &'static str> {
        judged(&format!("POST / HTTP/1.1\nHost: a\n{fields}\n\n"))
    }

    #[test]
    fn lengths_that_two_readers_count_differently_are_refused() {
        for length in ["0", "5", "5, 5", "5,5", "9223372036854775807"] {
            assert!(with(&format!("Content-Length: {length}")).is_ok(), "{length}");
        }
        for length in [
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "-1",
            "+5",
            "0x5",
            "5 5",
            "5, 6",
            "5,",
            "",
            "5\nContent-Length: 6",
            "5\nTransfer-Encoding: chunked",
        ] {
            assert_eq!(with(&format!("Content-Length: {length}")), Err("framing"), "{length}");
        }
        for coding in
            ["gzip", "gzip, chunked", "chunked, chunked", "chunked\nTransfer-Encoding: chunked"]
        {
            assert_eq!(with(&format!("Transfer-Encoding: {coding}")), Err("framing"), "{coding}");
        }
        let old = judged("POST / HTTP/1.0\nTransfer-Encoding: chunked\n\n");
        assert_eq!(old, Err("framing"));
    }

    #[test]
    fn a_target_has_one_of_four_forms() {
        let of = |target: &str| judged(&format!("GET {target} HTTP/1.1\nHost: a\n\n"));
        for good in
            ["/", "/a?b=c", "//a", "/é", "/a%2f", "http://a/", "HTTPS://a:1/x", "http://a?x"]
        {
            assert!(of(good).is_ok(), "{good}");
        }
        for bad in [
            "foo",
            "evil.example:80",
            "unix:/x",
            "./x",
            "%2fx",
            ";/x",
            "@evil/x",
            ":80/x",
            "?x",
            "*",
            "javascript:alert(1)",
            "http://",
            "http:///x",
            "http://u@a/",
            "ftp://a/",
            "http://a:x/",
        ] {
            assert_eq!(of(bad), Err("invalid_request_target"), "{bad}");
        }
        let options = judged("OPTIONS * HTTP/1.1\nHost: a\n\n");
        assert!(options.is_ok());
        let tunnel = judged("CONNECT a:1 HTTP/1.1\nHost: a\n\n");
        assert_eq!(tunnel, Err("method_not_allowed"));
    }

    #[test]
    fn a_host_is_a_host_and_a_port() {
        let of = |host: &str| judged(&format!("GET / HTTP/1.1\nHost: {host}\n\n"));
        for good in ["a", "a:80", "a:", "", "a.b-c_d", "127.0.0.1:1", "[::1]", "[::1]:80", "a%41"] {
            assert!(of(good).is_ok(), "{good}");
        }
        for bad in [
            "a b",
            "a, b",
            "a/evil",
            "a?x",
            "a#x",
            "a\\x",
            "a:80x",
            "a:-1",
            "a:80:80",
            "a:99999",
            "[::1",
            "[::1]evil",
            "[x]",
            "é",
            "a\"b",
            "<script>",
            "a%zz",
            "a%4",
            "a\tb",
            "u@a",
        ] {
            assert_eq!(of(bad), Err("invalid_host"), "{bad}");
        }
        assert_eq!(judged("GET / HTTP/1.1\n\n"), Err("invalid_host"));
        assert_eq!(judged("GET / HTTP/1.1\nHost: a\nHost: a\n\n"), Err("invalid_host"));
        assert!(judged("GET / HTTP/1.0\n\n").is_ok());
    }

    #[test]
    fn http2_has_a_path_and_a_host_too() {
        let of = |method: &str, path: &str, host: &str| {
            let mut request = RequestHeader::build(method, path.as_bytes(), None).unwrap();
            request.append_header("host", host).unwrap();
            http2(&request).map_err(|failure| failure.code())
        };
        assert_eq!(of("GET", "/a?b", "a"), Ok(()));
        assert_eq!(of("OPTIONS", "*", "a"), Ok(()));
        assert_eq!(of("GET", "*", "a"), Err("invalid_request_target"));
        assert_eq!(of("GET", "?x", "a"), Err("invalid_request_target"));
        assert_eq!(of("GET", "/", "a:80x"), Err("invalid_host"));
        let mut request = RequestHeader::build("POST", b"/", None).unwrap();
        request.append_header("content-length", "9223372036854775808").unwrap();
        assert_eq!(http2(&request).map_err(|failure| failure.code()), Err("framing"));
    }

    #[test]
    fn all_connection_lines_are_one_list() {
        assert!(with("Connection: keep-alive\nConnection: close").is_ok_and(|head| head.close));
        assert!(with("Connection: keep-alive, Close").is_ok_and(|head| head.close));
        assert!(with("Connection: closed").is_ok_and(|head| !head.close));
        assert!(with("X: y").is_ok_and(|head| head.bodiless));
        assert!(with("Upgrade: websocket").is_ok_and(|head| !head.bodiless));
    }
}
