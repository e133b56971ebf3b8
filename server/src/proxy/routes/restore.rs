//! Restores tokens on the way to the upstream: where a request holds a token that this program
//! signed, the issuer's original replaces it.

use bytes::Bytes;
use http::{HeaderValue, header};
use pingora::http::RequestHeader;

use super::form;
use crate::bridge::Bridge;
use crate::proxy::http::headers;
use crate::proxy::state::State;
use crate::rewrite::{self, Place, TokenRule};

/// The new query, if it held one of our tokens.
pub(in crate::proxy) fn query(
    header: &RequestHeader,
    state: &State,
    rule: &TokenRule,
) -> Option<String> {
    let query = header.uri.query()?;
    if rule.restore_query.is_empty() {
        return None;
    }
    let places = rewrite::form::find(query.as_bytes(), &rule.restore_query);
    String::from_utf8(restored(query.as_bytes(), places, &state.bridge)?).ok()
}

/// The new `Cookie` line, if it held one of our tokens.
pub(in crate::proxy) fn cookies(
    header: &RequestHeader,
    state: &State,
    rule: &TokenRule,
) -> Option<HeaderValue> {
    if rule.restore_cookies.is_empty() {
        return None;
    }
    let line = headers::cookie_line(&header.headers);
    let places = rewrite::cookie::find_in_request(&line, &rule.restore_cookies);
    headers::sensitive(&restored(&line, places, &state.bridge)?)
}

/// The new form or JSON body, if it held one of our tokens.
pub(in crate::proxy) fn body(
    header: &RequestHeader,
    body: &Bytes,
    state: &State,
    rule: &TokenRule,
) -> Option<Bytes> {
    if let Some(theirs) = &rule.registration {
        let new = rewrite::registration::request(body, state.bridge.signing_alg(), theirs);
        return new.map(Bytes::from);
    }
    if header.headers.contains_key(header::CONTENT_ENCODING) {
        return None;
    }
    let media = headers::media_type(&header.headers);
    let places = match media.as_str() {
        form::MEDIA_TYPE => rewrite::form::find(body, &rule.restore_form),
        // With a repeated member, the upstream may read the other one, so the body is not changed.
        media if media == "application/json" || media.ends_with("+json") => {
            rewrite::json::find(body, &rule.restore_json).ok()?
        }
        _ => return None,
    };
    restored(body, places, &state.bridge).map(Bytes::from)
}

/// `input` with the originals of our tokens; `None` where it holds none.
fn restored(input: &[u8], places: Vec<Place>, bridge: &Bridge) -> Option<Vec<u8>> {
    let original = |place: Place| {
        let original = bridge.restore(&place.token)?;
        Some((place, original))
    };
    let edits: Vec<_> = places.into_iter().filter_map(original).collect();
    (!edits.is_empty()).then(|| rewrite::splice(input, edits))
}
