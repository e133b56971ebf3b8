//! Renames `iss` in authorization responses (RFC 9207 §2) where the discovery document renames the
//! issuer, because clients compare the two byte for byte.

use http::header;
use pingora::Result;
use pingora::http::ResponseHeader;

use crate::proxy::state::State;
use crate::rewrite::{self, Place};

/// Renames the issuer in the query and the fragment of `Location`.
pub(in crate::proxy) fn in_location(header: &mut ResponseHeader, state: &State) -> Result<()> {
    // Check this first: most answers have no `Location`, and then the names are not needed.
    let Some(location) = header.headers.get(header::LOCATION) else { return Ok(()) };
    let location = location.as_bytes();
    let edits = edits(state, |from, to| rewrite::issuer::in_location(location, from, to));
    match super::spliced(location, edits) {
        Some(new) => header.insert_header(header::LOCATION, new),
        None => Ok(()),
    }
}

/// The edits for an HTML page with a self-submitting form (OAuth 2.0 Form Post Response Mode §2).
pub(super) fn in_form_post(html: &[u8], state: &State) -> Vec<(Place, String)> {
    edits(state, |from, to| rewrite::issuer::in_form_post(html, from, to))
}

/// The edits that `find` makes from the issuer's original names and its new one. None where it is
/// not renamed.
fn edits(
    state: &State,
    find: impl FnOnce(&[&str], &str) -> Vec<(Place, String)>,
) -> Vec<(Place, String)> {
    let routes = state.routes.load();
    let Some(to) = &routes.discovery.issuer else { return Vec::new() };
    let names = state.bridge.names_of(to);
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    find(&names, to.as_str())
}
