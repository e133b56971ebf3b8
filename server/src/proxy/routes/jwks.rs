//! Serves the key set from memory, for requests that the connection handler does not answer itself.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, header};
use pingora::Result;
use pingora::http::ResponseHeader;

use crate::answer::Failure;
use crate::issuer::jwks_answer::{Media, etag_matches, is_in_304};
use crate::proxy::http::{ServerSession, reply};
use crate::proxy::state::State;

/// How long a request for a key set waits for the first fetch of that set.
const FIRST_FETCH: Duration = Duration::from_secs(5);

/// Answers the request completely.
pub(in crate::proxy) async fn answer(session: &mut ServerSession, state: &State) -> Result<()> {
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
            return reply::fail(session, &state.counters, &failure, &any_origin).await;
        }
    }
    let path = request.uri.path().to_owned();
    let mut found = state.publisher.for_path(&path);
    if found.is_err() {
        // After a cold start, all requests wait for the same first fetch.
        let first = state.publisher.wait_for_path(&path);
        match tokio::time::timeout(FIRST_FETCH, first).await {
            Ok(answered) => found = answered,
            Err(_) => found = state.publisher.for_path(&path),
        }
    }
    let set = match found {
        Ok(set) => set,
        Err(reason) => {
            let failure = Failure::NoKeySet(reason);
            return reply::fail(session, &state.counters, &failure, &any_origin).await;
        }
    };
    let request = session.req_header();
    let joined = |name: HeaderName| {
        let values = request.headers.get_all(name);
        let values: Vec<_> = values.iter().map(|v| v.as_bytes()).collect();
        (!values.is_empty()).then(|| values.join(&b","[..]))
    };
    let media = Media::for_accept(joined(header::ACCEPT).as_deref());
    let same = etag_matches(joined(header::IF_NONE_MATCH).as_deref(), &set.etag);
    let mut header = ResponseHeader::build(if same { 304 } else { 200 }, Some(8))?;
    for (name, value) in set.fields(media) {
        if !same || is_in_304(name) {
            header.insert_header(name, value)?;
        }
    }
    let body = if same { Bytes::new() } else { set.body.clone() };
    reply::write(session, header, body).await
}
