//! Answers that contain tokens. They are read whole, because rewriting may wait for the crypto
//! threads and for a refresh of the issuer's keys.

use std::borrow::Cow;
use std::pin::pin;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use super::swap::{self, Beside};
use super::{issuer_name, restore};
use crate::answer::Failure;
use crate::coding;
use crate::proxy::http::call::{Body, Connection, Reply, Request, Tries, Unanswered};
use crate::proxy::http::downstream::{self, Upload};
use crate::proxy::http::memory::Share;
use crate::proxy::http::upstream::Upstream;
use crate::proxy::http::{ServerSession, headers, reply, response};
use crate::proxy::outbound::{self, Changes};
use crate::proxy::state::State;
use crate::rewrite::{self, Place, TokenRule};

/// Whether a request under `rule` must be answered this way: the body of the request or of the
/// answer is searched for tokens.
pub(in crate::proxy) fn is_read(request: &RequestHeader, rule: &TokenRule) -> bool {
    let sends = matches!(request.method, Method::POST | Method::PUT | Method::PATCH);
    rule.reads_body() || (sends && rule.restores_body())
}

/// Answers the request completely.
pub(in crate::proxy) async fn answer(
    session: &mut ServerSession,
    state: &State,
    rule: &TokenRule,
    changes: Changes,
) -> Result<()> {
    let Some(upstream) = &state.upstream else {
        return reply::fail(session, &state.counters, &Failure::NoUpstream, &[]).await;
    };
    let mut share = state.bodies.share();
    let fetched = fetch(session, state, upstream, rule, &changes, &mut share).await?;
    let fetched = fetched.and_then(|reply| {
        response::fits(&reply.header.headers, session, &state.server.limits).map(|()| reply)
    });
    let Reply { mut header, body } = match fetched {
        Ok(reply) => reply,
        Err(failure) => return reply::fail(session, &state.counters, &failure, &[]).await,
    };
    headers::strip_fetched(&mut header);
    outbound::point_at_us(&mut header, session, state, upstream)?;
    issuer_name::in_location(&mut header, state)?;
    fields(&mut header, state, rule).await?;
    match body {
        Body::Whole(body) => {
            let new = match is_searched(session, &header, rule) {
                true => rewritten(&header, &body, state, rule).await,
                false => None,
            };
            if let Some(new) = new {
                headers::of_new_body(&mut header, new.len())?;
                return reply::write(session, header, new).await;
            }
            reply::write_unchanged(session, header, body).await
        }
        Body::Open(start, connection) => {
            if is_searched(session, &header, rule) && !start.is_empty() {
                state.counters.place("answer_too_large");
            }
            reply::open_head(session, header).await?;
            if !start.is_empty() {
                downstream::part(session, start).await?;
            }
            drop(share);
            pass_rest(session, state, connection).await
        }
    }
}

/// Forwards the rest of an answer whose head was written. If the client closes the connection, the
/// request at the upstream is cancelled.
async fn pass_rest(
    session: &mut ServerSession,
    state: &State,
    mut connection: Connection,
) -> Result<()> {
    loop {
        let part = tokio::select! {
            biased;
            part = connection.next() => part?,
            gone = session.read_body_or_idle(true) => {
                gone.map_err(pingora::Error::into_down)?;
                continue;
            }
        };
        match part {
            Some(part) => downstream::part(session, part).await?,
            None => break,
        }
    }
    downstream::end(session).await?;
    connection.release(&state.connector).await;
    Ok(())
}

async fn fetch(
    session: &mut ServerSession,
    state: &State,
    upstream: &Upstream,
    rule: &TokenRule,
    changes: &Changes,
    share: &mut Share,
) -> Result<Result<Reply, Failure>> {
    let limit = state.server.limits.body;
    let mut upload = Upload::of(session, &state.server.limits);
    let (body, more) = match upload.beginning(limit, share).await {
        Ok(beginning) => beginning,
        Err(failure) => return Ok(Err(failure)),
    };
    let mut tries = Tries::default();
    loop {
        let (header, body) = prepared(session, state, upstream, rule, changes, (&body, more))?;
        let (limit, connector) = (state.server.limits.answer, &state.connector);
        let asked = match more {
            true => {
                let more = Some(Upload::of(session, &state.server.limits));
                let request = Request { header, body, more };
                request.send(limit, upstream, connector, &mut tries, share).await
            }
            false => {
                let request = Request { header, body, more: None };
                let asking = pin!(request.send(limit, upstream, connector, &mut tries, share));
                downstream::cancel_on_reset(session, asking).await?
            }
        };
        match asked {
            Ok(reply) => return Ok(Ok(reply)),
            Err(Unanswered::Again) => {}
            Err(Unanswered::Failed(failure)) => return Ok(Err(failure)),
        }
    }
}

/// Head and body for the upstream. `more` says that the body continues after this part.
fn prepared(
    session: &ServerSession,
    state: &State,
    upstream: &Upstream,
    rule: &TokenRule,
    changes: &Changes,
    (body, more): (&Bytes, bool),
) -> Result<(Box<RequestHeader>, Bytes)> {
    let mut header = outbound::copy(session);
    let restored = match more {
        true => None,
        false => restore::body(&header, body, state, rule),
    };
    if restored.is_some() {
        headers::strip_digests(&mut header);
    }
    let body = restored.unwrap_or_else(|| body.clone());
    outbound::prepare(&mut header, session, state, upstream, changes)?;
    header.insert_header(header::ACCEPT_ENCODING, "identity")?;
    let framed = session.req_header().headers.contains_key(header::CONTENT_LENGTH);
    if more {
        if !framed {
            header.insert_header(header::TRANSFER_ENCODING, "chunked")?;
        }
    } else if framed || !body.is_empty() {
        header.insert_header(header::CONTENT_LENGTH, body.len())?;
    }
    Ok((header, body))
}

/// Replaces tokens in `Location`, `Set-Cookie` and the fields that a rule names.
pub(in crate::proxy) async fn fields(
    header: &mut ResponseHeader,
    state: &State,
    rule: &TokenRule,
) -> Result<()> {
    let location = header.headers.get(header::LOCATION).map(HeaderValue::as_bytes);
    if let Some(location) = location.filter(|_| !rule.redirect.is_empty()) {
        let places = rewrite::redirect::find(location, &rule.redirect);
        let beside = Beside {
            code: rewrite::redirect::value(location, "code"),
            state: rewrite::redirect::value(location, "state"),
            room: None,
        };
        let edits = swap::edits(state, rule, places, &beside).await.list;
        if !edits.is_empty() {
            let new = rewrite::splice(location, edits);
            if let Ok(value) = HeaderValue::from_bytes(&new) {
                header.insert_header(header::LOCATION, value)?;
            }
        }
    }
    for name in &rule.headers {
        let lines: Vec<_> = header.headers.get_all(name).iter().cloned().collect();
        for (number, line) in lines.into_iter().enumerate() {
            let new = field(name, &line, state, rule).await.unwrap_or(line);
            match number {
                0 => header.insert_header(name.clone(), new)?,
                _ => drop(header.append_header(name.clone(), new)?),
            }
        }
    }
    if !rule.cookies.is_empty() && header.headers.contains_key(header::SET_COOKIE) {
        let lines: Vec<_> = header.headers.get_all(header::SET_COOKIE).iter().cloned().collect();
        header.remove_header(&header::SET_COOKIE);
        for line in lines {
            let new = cookie(&line, state, rule).await.unwrap_or(line);
            header.append_header(header::SET_COOKIE, new)?;
        }
    }
    Ok(())
}

/// The line with its token replaced; `None` where it is not changed. Browsers drop a cookie above
/// 4,096 bytes silently (RFC 6265bis §5.5), so a cookie that would exceed that is not changed.
async fn cookie(line: &HeaderValue, state: &State, rule: &TokenRule) -> Option<HeaderValue> {
    let text = line.as_bytes();
    let places = rewrite::cookie::find(text, &rule.cookies);
    let room = places.first().map(|place| rewrite::cookie::room(text, place))?;
    let beside = Beside { room: Some(room), ..Beside::default() };
    let edits = swap::edits(state, rule, places, &beside).await.list;
    let (_, token) = edits.first()?;
    if token.len() > room {
        state.counters.place("cookie_too_large");
        return None;
    }
    HeaderValue::from_bytes(&rewrite::splice(text, edits)).ok()
}

/// A field line with its token replaced; `None` where it is not changed.
async fn field(
    name: &str,
    line: &HeaderValue,
    state: &State,
    rule: &TokenRule,
) -> Option<HeaderValue> {
    let place = rewrite::field::find(line.as_bytes(), name)?;
    let edits = swap::edits(state, rule, vec![place], &Beside::default()).await.list;
    if edits.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(&rewrite::splice(line.as_bytes(), edits)).ok()
}

/// The body with its tokens replaced; `None` where no byte changes.
async fn rewritten(
    header: &ResponseHeader,
    body: &Bytes,
    state: &State,
    rule: &TokenRule,
) -> Option<Bytes> {
    let Some(decoded) = decoded(header, body, state.server.limits.answer) else {
        state.counters.place("answer_encoding");
        return None;
    };
    if rule.registration.is_some() {
        let ours = state.bridge.signing_alg();
        let passes = |alg| state.bridge.accepts(alg);
        return rewrite::registration::answer(&decoded, ours, passes).map(Bytes::from);
    }
    let renamed = match is_form_post(header) {
        true => issuer_name::in_form_post(&decoded, state),
        false => Vec::new(),
    };
    let places = find(header, &decoded, state, rule);
    if places.is_empty() && renamed.is_empty() {
        return None;
    }
    // A self-submitting form holds the values that a redirect would have in its query.
    let beside = |name| rewrite::form_post::value(&decoded, name);
    let beside = match rule.form_post.is_empty() {
        true => Beside::default(),
        false => Beside { code: beside("code"), state: beside("state"), room: None },
    };
    let swapped = swap::edits(state, rule, places, &beside).await;
    let mut edits = swapped.list;
    if let Some(expires) = swapped.access_expires {
        let life = expires.since(state.clock.now()).as_secs();
        edits.extend(rewrite::expires_in::lowered(&decoded, life));
    }
    edits.extend(renamed);
    (!edits.is_empty()).then(|| Bytes::from(rewrite::splice(&decoded, edits)))
}

/// The body with its content codings removed (RFC 9110 §8.4). All lines of the field form one list.
pub(super) fn decoded<'b>(
    header: &ResponseHeader,
    body: &'b Bytes,
    limit: usize,
) -> Option<Cow<'b, [u8]>> {
    let lines = header.headers.get_all(header::CONTENT_ENCODING);
    let lines: Option<Vec<_>> = lines.iter().map(|line| line.to_str().ok()).collect();
    coding::decode(body, &lines?.join(","), limit).ok()
}

fn is_form_post(header: &ResponseHeader) -> bool {
    headers::media_type(&header.headers) == "text/html"
}

fn find(header: &ResponseHeader, body: &[u8], state: &State, rule: &TokenRule) -> Vec<Place> {
    let media = headers::media_type(&header.headers);
    if rule.jwt_body && (media == "application/jwt" || media.ends_with("+jwt")) {
        return rewrite::jwt_body(body).into_iter().collect();
    }
    if !rule.form_post.is_empty() && media == "text/html" {
        return rewrite::form_post::find(body, &rule.form_post);
    }
    // Servers often mislabel JSON, so the parser decides what is JSON.
    if rule.json.is_empty() {
        return Vec::new();
    }
    match rewrite::json::find(body, &rule.json) {
        Ok(places) => places,
        Err(fault) => {
            state.counters.place(fault.code());
            Vec::new()
        }
    }
}

fn is_searched(session: &ServerSession, header: &ResponseHeader, rule: &TokenRule) -> bool {
    // A partial answer's byte positions refer to the whole body, which is not here
    // (RFC 9110 §15.3.7).
    let part = header.status == StatusCode::PARTIAL_CONTENT;
    rule.reads_body() && !part && reply::has_body(session, header.status)
}
