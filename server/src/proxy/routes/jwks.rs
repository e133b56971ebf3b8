//! Serves the key set from memory, for requests that the connection handler does not answer itself.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, header};
use pingora::Result;

use crate::answer::Failure;
use crate::issuer::jwks_answer::{Media, etag_matches, is_in_304};
use crate::proxy::http::{ServerSession, reply};
use crate::proxy::state::State;

/// How long a request for a key set waits for the first fetch of that set.
const FIRST_FETCH: Duration = Duration::from_secs(5);

/// Answers the request completely.
pub(in crate::proxy) async fn answer(session: &mut ServerSession, state: &State) -> Result<()> {
    let any_origin = [("Access-Control-Allow-Origin", "*".to_owned())];
    let request = session.req_header();
    match request.method {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => {
            let fields = [
                ("Access-Control-Allow-Methods", "GET, HEAD".to_owned()),
                ("Access-Control-Allow-Headers", "*".to_owned()),
                ("Access-Control-Max-Age", "86400".to_owned()),
                ("Allow", "GET, HEAD, OPTIONS".to_owned()),
            ];
            let header = reply::head(204, any_origin.into_iter().chain(fields))?;
            return reply::write(session, header, Bytes::new()).await;
        }
        _ => {
            let failure = Failure::MethodNotAllowed { allow: "GET, HEAD, OPTIONS" };
            return reply::fail(session, &state.counters, &failure, any_origin).await;
        }
    }
    let path = request.uri.path().to_owned();
    let mut found = state.publisher.for_path(&path);
    if found.is_err() {
        // After a cold start, all requests wait for the same first fetch.
        let first = tokio::time::timeout(FIRST_FETCH, state.publisher.wait_for_path(&path)).await;
        found = first.unwrap_or_else(|_| state.publisher.for_path(&path));
    }
    let set = match found {
        Ok(set) => set,
        Err(reason) => {
            let failure = Failure::NoKeySet(reason);
            return reply::fail(session, &state.counters, &failure, any_origin).await;
        }
    };
    let request = session.req_header();
    let joined = |name: HeaderName| {
        let values: Vec<_> = request.headers.get_all(name).iter().map(|v| v.as_bytes()).collect();
        (!values.is_empty()).then(|| values.join(&b","[..]))
    };
    let media = Media::for_accept(joined(header::ACCEPT).as_deref());
    let same = etag_matches(joined(header::IF_NONE_MATCH).as_deref(), &set.etag);
    let (status, body) = if same { (304, Bytes::new()) } else { (200, set.body.clone()) };
    let fields = set.fields(media).into_iter().filter(|(name, _)| !same || is_in_304(name));
    let header = reply::head(status, fields)?;
    reply::write(session, header, body).await
}
