//! The key set, from memory: which media type the request admits, and whether it has the set already.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderName, Method, header};
use pingora::Result;
use pingora::http::ResponseHeader;

use super::state::State;
use super::{Session, reply};
use crate::answer::Failure;
use crate::issuer::{NoSet, PublishedSet};

/// How long a read of a key set waits for the first fetch of it.
const FIRST_FETCH: Duration = Duration::from_secs(5);

/// The two media types a key set may be sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// `application/jwk-set+json`, RFC 7517 §8.5.1.
    JwkSet,
    /// For a request whose `Accept` admits nothing else.
    Json,
}

impl Media {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JwkSet => "application/jwk-set+json",
            Self::Json => "application/json",
        }
    }

    /// RFC 9110 §12.5.1. A request that admits neither gets the registered type all the same: a
    /// verifier that cannot read the set is worse off than one that reads an unasked type.
    pub fn for_accept(accept: Option<&[u8]>) -> Self {
        let Some(accept) = accept else { return Self::JwkSet };
        // The commonest spellings first, so that they cost a comparison.
        match accept {
            b"*/*" | b"" => return Self::JwkSet,
            b"application/json" => return Self::Json,
            _ => {}
        }
        let Ok(accept) = std::str::from_utf8(accept) else { return Self::JwkSet };
        let (set, json) = (quality(accept, Self::JwkSet), quality(accept, Self::Json));
        if set == 0 && json > 0 { Self::Json } else { Self::JwkSet }
    }
}

/// The weight of the most specific range that matches, in thousandths; 0 when none does.
fn quality(accept: &str, media: Media) -> u16 {
    let mut best = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let specific = match parts.next() {
            Some(name) if name.eq_ignore_ascii_case(media.as_str()) => 3,
            Some(name) if name.eq_ignore_ascii_case("application/*") => 2,
            Some("*/*") => 1,
            _ => continue,
        };
        let mut weight = 1000;
        for parameter in parts {
            if let Some((name, value)) = parameter.split_once('=')
                && name.trim().eq_ignore_ascii_case("q")
            {
                weight = thousandths(value.trim());
            }
        }
        if specific > best.0 {
            best = (specific, weight);
        }
    }
    best.1
}

/// `qvalue`, RFC 9110 §12.4.2: at most three decimals. Anything else counts as 1.
fn thousandths(text: &str) -> u16 {
    let parsed = match text.split_once('.') {
        None => text.parse::<u16>().ok().map(|whole| whole.saturating_mul(1000)),
        Some((whole, decimals)) if decimals.len() <= 3 => {
            let whole = whole.parse::<u16>().ok().map(|w| w.saturating_mul(1000));
            let part = format!("{decimals:0<3}").parse::<u16>().ok();
            whole.zip(part).map(|(w, p)| w.saturating_add(p))
        }
        Some(_) => None,
    };
    parsed.unwrap_or(1000).min(1000)
}

/// `If-None-Match`, RFC 9110 §13.1.2, by weak comparison: a list, `*`, weak tags.
pub fn has_it(if_none_match: Option<&[u8]>, etag: &str) -> bool {
    let Some(field) = if_none_match else { return false };
    if field == etag.as_bytes() || field == b"*" {
        return true;
    }
    let Ok(field) = std::str::from_utf8(field) else { return false };
    // Our own tag holds no comma, so a split inside a foreign tag cannot make up ours.
    field.split(',').map(str::trim).any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// One served set, its heads made ready: everything of an HTTP/1.1 answer but the date.
pub struct Ready {
    pub set: Arc<PublishedSet>,
    full: [Bytes; 2],
    not_modified: [Bytes; 2],
}

impl Ready {
    pub fn new(set: Arc<PublishedSet>) -> Self {
        let head = |status: &str, media: Media, body: bool| {
            let mut text = format!("HTTP/1.1 {status}\r\n");
            for (name, value) in headers(&set, media) {
                // RFC 9110 §15.4.5: a 304 carries no representation metadata beyond the validators.
                if body || !matches!(name, "Content-Type" | "Content-Length") {
                    text.push_str(name);
                    text.push_str(": ");
                    text.push_str(&value);
                    text.push_str("\r\n");
                }
            }
            Bytes::from(text)
        };
        let full = [Media::JwkSet, Media::Json].map(|media| head("200 OK", media, true));
        let not_modified =
            [Media::JwkSet, Media::Json].map(|media| head("304 Not Modified", media, false));
        Self { full, not_modified, set }
    }

    /// Appends a whole HTTP/1.1 answer, and says its status. `date` is an IMF-fixdate; `last` closes
    /// the connection.
    pub fn write(&self, ask: &Ask<'_>, date: &[u8], last: bool, out: &mut BytesMut) -> u16 {
        let media = Media::for_accept(ask.accept);
        let same = has_it(ask.if_none_match, &self.set.etag);
        let heads = if same { &self.not_modified } else { &self.full };
        out.put_slice(&heads[media as usize]);
        out.put_slice(b"Date: ");
        out.put_slice(date);
        out.put_slice(if last { b"\r\nConnection: close\r\n\r\n" } else { b"\r\n\r\n" });
        if !same && !ask.head {
            out.put_slice(&self.set.body);
        }
        if same { 304 } else { 200 }
    }
}

/// What a request for the set says.
#[derive(Debug, Default, Clone, Copy)]
pub struct Ask<'a> {
    pub head: bool,
    pub accept: Option<&'a [u8]>,
    pub if_none_match: Option<&'a [u8]>,
}

/// The fields of an answer with the set, `Date` and `Connection` left out.
pub fn headers(set: &PublishedSet, media: Media) -> [(&'static str, String); 7] {
    [
        ("Content-Type", media.as_str().to_owned()),
        ("Content-Length", set.body.len().to_string()),
        ("Cache-Control", format!("public, max-age={}", set.max_age)),
        ("ETag", set.etag.clone()),
        ("Vary", "Accept".to_owned()),
        ("Access-Control-Allow-Origin", "*".to_owned()),
        ("X-Content-Type-Options", "nosniff".to_owned()),
    ]
}

/// Answers the request whole.
pub(super) async fn answer(session: &mut Session, state: &State) -> Result<()> {
    let any_origin = [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*".to_owned())];
    let request = session.req_header();
    match request.method {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => {
            let fields = [
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*".to_owned()),
                (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD".to_owned()),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, "*".to_owned()),
                (header::ACCESS_CONTROL_MAX_AGE, "86400".to_owned()),
                (header::ALLOW, "GET, HEAD, OPTIONS".to_owned()),
            ];
            return reply::empty(session, 204, &fields).await;
        }
        _ => {
            let failure = Failure::MethodNotAllowed { allow: "GET, HEAD, OPTIONS" };
            return reply::fail(session, state, &failure, &any_origin).await;
        }
    }
    let path = request.uri.path().to_owned();
    if state.ready(&path).is_none() {
        // A cold start: the first fetch is waited for, shared by all who ask.
        let first = state.publisher.wait_for_path(&path);
        if let Ok(Err(reason)) = tokio::time::timeout(FIRST_FETCH, first).await {
            let failure = Failure::NoKeySet(reason);
            return reply::fail(session, state, &failure, &any_origin).await;
        }
    }
    let request = session.req_header();
    let Some(ready) = state.ready(&path) else {
        let reason = state.publisher.for_path(&path).err().unwrap_or(NoSet::NotAPath);
        return reply::fail(session, state, &Failure::NoKeySet(reason), &any_origin).await;
    };
    let joined = |name: HeaderName| {
        let values = request.headers.get_all(name);
        let values: Vec<_> = values.iter().map(|v| v.as_bytes()).collect();
        (!values.is_empty()).then(|| values.join(&b","[..]))
    };
    let media = Media::for_accept(joined(header::ACCEPT).as_deref());
    let same = has_it(joined(header::IF_NONE_MATCH).as_deref(), &ready.set.etag);
    let mut header = ResponseHeader::build(if same { 304 } else { 200 }, Some(8))?;
    for (name, value) in headers(&ready.set, media) {
        if !same || !matches!(name, "Content-Type" | "Content-Length") {
            header.insert_header(name, value)?;
        }
    }
    let body = if same { Bytes::new() } else { ready.set.body.clone() };
    reply::write(session, header, body).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_sent_only_where_nothing_else_is_admitted() {
        for (accept, media) in [
            (None, Media::JwkSet),
            (Some("*/*"), Media::JwkSet),
            (Some("application/json"), Media::Json),
            (Some("application/json; charset=utf-8"), Media::Json),
            (Some("application/json, */*;q=0.1"), Media::JwkSet),
            (Some("application/json, application/jwk-set+json"), Media::JwkSet),
            (Some("application/jwk-set+json;q=0, application/json"), Media::Json),
            (Some("application/jwk-set+json;q=0.000, */*"), Media::Json),
            (Some("APPLICATION/JSON"), Media::Json),
            (Some("text/html"), Media::JwkSet),
            (Some("text/html, application/json;q=0.9"), Media::Json),
            (Some("application/*"), Media::JwkSet),
        ] {
            assert_eq!(Media::for_accept(accept.map(str::as_bytes)), media, "{accept:?}");
        }
    }

    #[test]
    fn validators_are_compared_weakly_and_in_lists() {
        let etag = "\"abc\"";
        for (field, hit) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("*", true),
            ("\"x\", W/\"abc\" , \"y\"", true),
            ("\"ab\"", false),
            ("abc", false),
            ("\"x,\"abc\"\"", false),
            ("", false),
        ] {
            assert_eq!(has_it(Some(field.as_bytes()), etag), hit, "{field}");
        }
        assert!(!has_it(None, etag));
    }

    #[test]
    fn weights_follow_rfc_9110() {
        for (text, value) in [("1", 1000), ("0", 0), ("0.5", 500), ("0.001", 1), ("1.000", 1000)] {
            assert_eq!(thousandths(text), value, "{text}");
        }
        assert_eq!(thousandths("nonsense"), 1000);
    }
}
