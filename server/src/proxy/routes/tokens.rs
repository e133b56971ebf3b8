//! Answers that contain tokens. They are read whole, because rewriting may wait for the crypto
//! threads and for a refresh of the issuer's keys.

use std::borrow::Cow;
use std::pin::pin;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};

use super::{issuer_name, restore, swap};
use crate::coding;
use crate::pipeline::Ask;
use crate::proxy::http::call::{Connection, Reply, Request, Tries, Unanswered};
use crate::proxy::http::downstream::{self, Upload};
use crate::proxy::http::memory::Share;
use crate::proxy::http::reply::{self, Abort};
use crate::proxy::http::upstream::Upstream;
use crate::proxy::http::{ServerSession, headers, response};
use crate::proxy::outbound::{self, Changes};
use crate::proxy::state::State;
use crate::rewrite::{self, Place, TokenRule};

/// Whether a request under `rule` must be answered this way: the body of the request or of the
/// answer is searched for tokens.
pub(in crate::proxy) fn handles(request: &RequestHeader, rule: &TokenRule) -> bool {
    let sends = matches!(request.method, Method::POST | Method::PUT | Method::PATCH);
    rule.reads_body() || (sends && rule.restores_body())
}

/// Answers the request completely.
pub(in crate::proxy) async fn answer(
    session: &mut ServerSession,
    state: &State,
    rule: &TokenRule,
    changes: &Changes,
) -> Result<(), Abort> {
    let upstream = state.upstream()?;
    let mut share = state.bodies.share();
    let forwarding = Forwarding { state, upstream, rule, changes };
    let Reply { mut header, body, rest } = forwarding.fetch(session, &mut share).await?;
    outbound::accept_fetched(&mut header, session, state, upstream)?;
    issuer_name::in_location(&mut header, state)?;
    fields(&mut header, state, rule).await?;
    let searched = is_searched(session, &header, rule);
    if let Some(rest) = rest {
        if searched && !body.is_empty() {
            state.counters.place("answer_too_large");
        }
        reply::open_head(session, header).await?;
        if !body.is_empty() {
            downstream::in_time(session.write_response_body(body, false)).await?;
        }
        drop(share);
        return Ok(pass_rest(session, upstream, rest).await?);
    }
    let new = if searched { rewritten(&header, &body, state, rule).await } else { None };
    let Some(new) = new else { return Ok(reply::write_unchanged(session, header, body).await?) };
    headers::set_new_body(&mut header, new.len())?;
    Ok(reply::write(session, header, new).await?)
}

/// Forwards the rest of an answer whose head was written. If the client closes the connection, the
/// request at the upstream is cancelled.
async fn pass_rest(
    session: &mut ServerSession,
    upstream: &Upstream,
    mut connection: Connection,
) -> pingora::Result<()> {
    loop {
        let part = tokio::select! {
            biased;
            part = connection.next() => part?,
            gone = session.read_body_or_idle(true) => {
                gone.map_err(pingora::Error::into_down)?;
                continue;
            }
        };
        let Some(part) = part else { break };
        downstream::in_time(session.write_response_body(part, false)).await?;
    }
    downstream::in_time(session.finish_body()).await?;
    connection.release(upstream).await;
    Ok(())
}

/// How a request is sent to the upstream.
struct Forwarding<'a> {
    state: &'a State,
    upstream: &'a Upstream,
    rule: &'a TokenRule,
    changes: &'a Changes,
}

impl Forwarding<'_> {
    async fn fetch(&self, session: &mut ServerSession, share: &mut Share) -> Result<Reply, Abort> {
        let limits = &self.state.server.limits;
        let mut upload = Upload::of(session, limits);
        let (body, more) = upload.beginning(limits.body, share).await?;
        let mut tries = Tries::default();
        loop {
            let (header, body) = self.prepare(session, &body, more)?;
            let sent = if more {
                let more = Some(Upload::of(session, limits));
                let request = Request { header, body, more };
                request.send(limits.answer, self.upstream, &mut tries, share).await
            } else {
                let request = Request { header, body, more: None };
                let sending = pin!(request.send(limits.answer, self.upstream, &mut tries, share));
                downstream::cancel_on_reset(session, sending).await?
            };
            match sent {
                Ok(reply) => return Ok(reply),
                Err(Unanswered::Again) => {}
                Err(Unanswered::Failed(failure)) => return Err(failure.into()),
            }
        }
    }

    /// Head and body for the upstream. `more` says that the body continues after this part.
    fn prepare(
        &self,
        session: &ServerSession,
        body: &Bytes,
        more: bool,
    ) -> pingora::Result<(Box<RequestHeader>, Bytes)> {
        let mut header = outbound::copy(session);
        let restored =
            if more { None } else { restore::body(&header, body, self.state, self.rule) };
        if restored.is_some() {
            headers::strip_digests(&mut header);
        }
        let body = restored.unwrap_or_else(|| body.clone());
        outbound::prepare(&mut header, session, self.state, self.upstream, self.changes)?;
        header.insert_header(header::ACCEPT_ENCODING, "identity")?;
        let framed = session.req_header().headers.contains_key(header::CONTENT_LENGTH);
        if more && !framed {
            header.insert_header(header::TRANSFER_ENCODING, "chunked")?;
        } else if !more && (framed || !body.is_empty()) {
            header.insert_header(header::CONTENT_LENGTH, body.len())?;
        }
        Ok((header, body))
    }
}

/// Replaces tokens in `Location`, `Set-Cookie` and the fields that a rule names.
pub(in crate::proxy) async fn fields(
    header: &mut ResponseHeader,
    state: &State,
    rule: &TokenRule,
) -> pingora::Result<()> {
    let location = header.headers.get(header::LOCATION).map(HeaderValue::as_bytes);
    if let Some(location) = location.filter(|_| !rule.redirect.is_empty()) {
        let places = rewrite::redirect::find(location, &rule.redirect);
        let value = |name| rewrite::redirect::value(location, name);
        let (code, oauth_state) = (value("code"), value("state"));
        let ask = swap::ask(rule, code.as_deref(), oauth_state.as_deref());
        if let Some(new) = swap::in_field(state, location, places, &ask).await {
            header.insert_header(header::LOCATION, new)?;
        }
    }
    for name in &rule.headers {
        let mut lines = Vec::new();
        for line in header.headers.get_all(name) {
            let places = rewrite::field::find(line.as_bytes(), name).into_iter().collect();
            let ask = swap::ask(rule, None, None);
            let new = swap::in_field(state, line.as_bytes(), places, &ask).await;
            lines.push(new.unwrap_or_else(|| line.clone()));
        }
        headers::set_lines(header, name, lines)?;
    }
    if !rule.cookies.is_empty() && header.headers.contains_key(header::SET_COOKIE) {
        let mut lines = Vec::new();
        for line in header.headers.get_all(header::SET_COOKIE) {
            let new = cookie(line.as_bytes(), state, rule).await;
            lines.push(new.unwrap_or_else(|| line.clone()));
        }
        headers::set_lines(header, "Set-Cookie", lines)?;
    }
    Ok(())
}

/// The line with its token replaced; `None` where it is not changed. Browsers drop a cookie above
/// 4,096 bytes silently (RFC 6265bis §5.5), so a cookie that would exceed that is not changed.
async fn cookie(line: &[u8], state: &State, rule: &TokenRule) -> Option<HeaderValue> {
    let places = rewrite::cookie::find(line, &rule.cookies);
    let room = places.first().map(|place| rewrite::cookie::room(line, place))?;
    let ask = Ask { room: Some(room), ..swap::ask(rule, None, None) };
    let edits = swap::edits(state, places, &ask).await.list;
    let (_, token) = edits.first()?;
    if token.len() > room {
        state.counters.place("cookie_too_large");
        return None;
    }
    super::spliced(line, edits)
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
        let profile = state.bridge.profile();
        let passes = |alg| profile.accepts.contains(alg);
        return rewrite::registration::answer(&decoded, ours, passes).map(Bytes::from);
    }
    let media = headers::media_type(&header.headers);
    let renamed = match media.as_str() {
        "text/html" => issuer_name::in_form_post(&decoded, state),
        _ => Vec::new(),
    };
    let places = find(&media, &decoded, state, rule);
    if places.is_empty() && renamed.is_empty() {
        return None;
    }
    // A self-submitting form holds the values that a redirect would have in its query.
    let form = Some(&decoded).filter(|_| !rule.form_post.is_empty());
    let value = |name| rewrite::form_post::value(form?, name);
    let (code, oauth_state) = (value("code"), value("state"));
    let ask = swap::ask(rule, code.as_deref(), oauth_state.as_deref());
    let swapped = swap::edits(state, places, &ask).await;
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

fn find(media: &str, body: &[u8], state: &State, rule: &TokenRule) -> Vec<Place> {
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
    rewrite::json::find(body, &rule.json).unwrap_or_else(|fault| {
        state.counters.place(fault.code());
        Vec::new()
    })
}

fn is_searched(session: &ServerSession, header: &ResponseHeader, rule: &TokenRule) -> bool {
    // A partial answer's byte positions refer to the whole body, which is not here
    // (RFC 9110 §15.3.7).
    let part = header.status == StatusCode::PARTIAL_CONTENT;
    rule.reads_body() && !part && response::has_body(session, header.status)
}
