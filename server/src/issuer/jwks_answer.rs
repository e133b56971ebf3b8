//! The HTTP answers of a published key set, made once when the set is published: serving one copies
//! prepared bytes.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::publisher::PublishedSet;

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
        match accept {
            // The most common values first: they cost only a comparison.
            None | Some(b"*/*" | b"") => Self::JwkSet,
            Some(b"application/json") => Self::Json,
            Some(accept) => match std::str::from_utf8(accept) {
                Ok(accept) if !admits(accept, Self::JwkSet) && admits(accept, Self::Json) => {
                    Self::Json
                }
                _ => Self::JwkSet,
            },
        }
    }
}

/// Whether the most specific range that matches admits it: its weight is not 0 (RFC 9110 §12.4.2).
fn admits(accept: &str, media: Media) -> bool {
    let mut best = (0, false);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let specific = match parts.next() {
            Some(name) if name.eq_ignore_ascii_case(media.as_str()) => 3,
            Some(name) if name.eq_ignore_ascii_case("application/*") => 2,
            Some("*/*") => 1,
            _ => continue,
        };
        let zero = parts.any(|parameter| {
            parameter.split_once('=').is_some_and(|(name, value)| {
                name.trim().eq_ignore_ascii_case("q") && value.trim().parse() == Ok(0.0)
            })
        });
        if specific > best.0 {
            best = (specific, !zero);
        }
    }
    best.1
}

/// Whether `If-None-Match` has `etag` (RFC 9110 §13.1.2), by weak comparison: a list, `*`, weak tags.
pub fn etag_matches(if_none_match: Option<&[u8]>, etag: &str) -> bool {
    let Some(field) = if_none_match else { return false };
    if field == etag.as_bytes() || field == b"*" {
        return true;
    }
    let Ok(field) = std::str::from_utf8(field) else { return false };
    // Our own tag has no comma, so splitting another tag at its commas cannot yield ours.
    field.split(',').map(str::trim).any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The finished heads of a set's answers, by media type.
#[derive(Debug)]
pub struct JwksAnswer {
    full: [Bytes; 2],
    not_modified: [Bytes; 2],
}

/// The parts of a request for a set that the answer depends on.
#[derive(Debug, Default, Clone, Copy)]
pub struct JwksRequest<'a> {
    /// `HEAD`: the head alone.
    pub head: bool,
    pub accept: Option<&'a [u8]>,
    pub if_none_match: Option<&'a [u8]>,
}

impl JwksAnswer {
    /// The answers of a set with this body, quoted `ETag` and `max-age` in seconds.
    pub fn new(body: &Bytes, etag: &str, max_age: u32) -> Self {
        let head = |status: &str, media: Media, full: bool| {
            let mut text = format!("HTTP/1.1 {status}\r\n");
            for (name, value) in fields(body, etag, max_age, media) {
                if full || is_in_304(name) {
                    text.push_str(&format!("{name}: {value}\r\n"));
                }
            }
            Bytes::from(text)
        };
        Self {
            full: [Media::JwkSet, Media::Json].map(|media| head("200 OK", media, true)),
            not_modified: [Media::JwkSet, Media::Json]
                .map(|media| head("304 Not Modified", media, false)),
        }
    }
}

impl PublishedSet {
    /// Appends a whole HTTP/1.1 answer and returns its status. `date` is an IMF-fixdate; with `close`
    /// the connection is closed after it.
    pub fn write(
        &self,
        request: &JwksRequest<'_>,
        date: &[u8],
        close: bool,
        out: &mut BytesMut,
    ) -> u16 {
        let media = Media::for_accept(request.accept);
        let not_modified = etag_matches(request.if_none_match, &self.etag);
        let heads = if not_modified { &self.answer.not_modified } else { &self.answer.full };
        out.put_slice(&heads[media as usize]);
        out.put_slice(b"Date: ");
        out.put_slice(date);
        out.put_slice(if close { b"\r\nConnection: close\r\n\r\n" } else { b"\r\n\r\n" });
        if !not_modified && !request.head {
            out.put_slice(&self.body);
        }
        if not_modified { 304 } else { 200 }
    }

    /// The fields of an answer, `Date` and `Connection` left out.
    pub fn fields(&self, media: Media) -> [(&'static str, String); 7] {
        fields(&self.body, &self.etag, self.max_age, media)
    }
}

/// Whether a `304` has this field too. It has no body, so it leaves out the metadata of one, except the
/// validators (RFC 9110 §15.4.5).
pub fn is_in_304(name: &str) -> bool {
    !matches!(name, "Content-Type" | "Content-Length")
}

fn fields(body: &Bytes, etag: &str, max_age: u32, media: Media) -> [(&'static str, String); 7] {
    [
        ("Content-Type", media.as_str().to_owned()),
        ("Content-Length", body.len().to_string()),
        ("Cache-Control", format!("public, max-age={max_age}")),
        ("ETag", etag.to_owned()),
        ("Vary", "Accept".to_owned()),
        ("Access-Control-Allow-Origin", "*".to_owned()),
        ("X-Content-Type-Options", "nosniff".to_owned()),
    ]
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
            assert_eq!(etag_matches(Some(field.as_bytes()), etag), hit, "{field}");
        }
        assert!(!etag_matches(None, etag));
    }

    #[test]
    fn a_weight_of_zero_admits_nothing() {
        let admits = |weight| admits(&format!("application/json;q={weight}"), Media::Json);
        for zero in ["0", "0.0", "0.000"] {
            assert!(!admits(zero), "{zero}");
        }
        for other in ["1", "0.5", "0.001", "1.000", "nonsense"] {
            assert!(admits(other), "{other}");
        }
    }
}
