//! Renames `iss` in authorization responses (RFC 9207 §2) where the discovery document renames the
//! issuer, because clients compare the two byte for byte.

use http::{HeaderValue, header};
use pingora::Result;
use pingora::http::ResponseHeader;

use crate::proxy::state::State;
use crate::rewrite::{self, Place};

/// Renames the issuer in the query and the fragment of `Location`.
pub(in crate::proxy) fn in_location(header: &mut ResponseHeader, state: &State) -> Result<()> {
    // Check this first: most answers have no `Location`, and then the names are not needed.
    let Some(location) = header.headers.get(header::LOCATION) else { return Ok(()) };
    let Some((from, to)) = names(state) else { return Ok(()) };
    let from: Vec<_> = from.iter().map(String::as_str).collect();
    let edits = rewrite::issuer::in_location(location.as_bytes(), &from, &to);
    if edits.is_empty() {
        return Ok(());
    }
    match HeaderValue::from_bytes(&rewrite::splice(location.as_bytes(), edits)) {
        Ok(new) => header.insert_header(header::LOCATION, new),
        Err(_) => Ok(()),
    }
}

/// The edits for an HTML page with a self-submitting form (OAuth 2.0 Form Post Response Mode §2).
pub(super) fn in_form_post(html: &[u8], state: &State) -> Vec<(Place, String)> {
    let Some((from, to)) = names(state) else { return Vec::new() };
    let from: Vec<_> = from.iter().map(String::as_str).collect();
    rewrite::issuer::in_form_post(html, &from, &to)
}

/// The issuer's original names and its new one; `None` where it is not renamed.
fn names(state: &State) -> Option<(Vec<String>, String)> {
    let routes = state.routes.load();
    let to = routes.discovery.issuer.as_ref()?;
    Some((state.bridge.names_of(to), to.as_str().to_owned()))
}
