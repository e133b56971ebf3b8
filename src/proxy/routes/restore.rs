//! The way back: tokens this program signed, shown to the issuer through us, become the issuer's own
//! again.

use bytes::Bytes;
use http::{HeaderValue, header};
use pingora::http::RequestHeader;

use super::form::is_form;
use crate::bridge::Bridge;
use crate::proxy::http::headers;
use crate::proxy::state::State;
use crate::rewrite::{self, Place, TokenRule};

/// The new query, where one of our tokens stood in it.
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
    String::from_utf8(spliced(query.as_bytes(), places, &state.bridge)?).ok()
}

/// The new `Cookie`, where one of our tokens stood in it.
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
    headers::sensitive(&spliced(&line, places, &state.bridge)?)
}

/// The new form, where one of our tokens stood in it.
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
    let content_type = header.headers.get(header::CONTENT_TYPE).map(|v| v.as_bytes());
    let encoded = header.headers.contains_key(header::CONTENT_ENCODING);
    if rule.restore_form.is_empty() || encoded || !is_form(content_type) {
        return None;
    }
    let places = rewrite::form::find(body, &rule.restore_form);
    spliced(body, places, &state.bridge).map(Bytes::from)
}

fn spliced(input: &[u8], places: Vec<Place>, bridge: &Bridge) -> Option<Vec<u8>> {
    let restored = |place: Place| {
        let original = bridge.restore(&place.token)?;
        Some((place, original))
    };
    let edits: Vec<_> = places.into_iter().filter_map(restored).collect();
    (!edits.is_empty()).then(|| rewrite::splice(input, edits))
}
