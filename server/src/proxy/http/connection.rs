//! The first stage of a connection: it counts the connection, limits and validates each request
//! head, and answers the most frequent request, `GET` of a key set, with one write of prepared
//! bytes. All other requests go to pingora's proxy and the [`RequestHandler`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::listeners::tls::Acceptor;
use pingora::prelude::timeout;
use pingora::protocols::http::date::get_cached_date;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::protocols::l4::stream::Stream as TcpStream;
use pingora::protocols::{ALPN, GetSocketDigest as _, Stream};
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;

use super::downstream::{self, LINGER};
use super::head::{self, Read};
use super::upstream::{NO_ROOTS, POOL};
use super::{ServerSession, refusal, reply, validate};
use crate::answer::Failure;
use crate::issuer::jwks_answer::JwksRequest;
use crate::proxy::counters::Kind;
use crate::proxy::handler::RequestHandler;
use crate::proxy::request::{Served, ServedSlot};
use crate::proxy::settings::ServerLimits;
use crate::proxy::state::State;

/// The HTTP/2 connection preface (RFC 9113 §3.4).
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Heads with up to this many fields are parsed on the stack, larger ones on the heap.
const STACK_FIELDS: usize = 32;
/// The largest number of header fields in a request: pingora's own limit.
const MAX_FIELDS: usize = 256;

/// The application that pingora's listeners hand connections to.
pub struct ConnectionHandler {
    /// Set where the listener speaks TLS. pingora's own handshake would come before connections are
    /// counted, and may take 60 seconds.
    tls: Option<Acceptor>,
    http2: Arc<Http2>,
    state: Arc<State>,
}

type Proxy = HttpProxy<RequestHandler>;

impl ConnectionHandler {
    pub fn new(state: Arc<State>, tls: Option<Acceptor>) -> Self {
        // Retries: a pooled connection may have been closed meanwhile, and a name may have several
        // addresses.
        let conf = ServerConf {
            threads: state.server.threads(),
            max_retries: super::call::MAX_TRIES,
            upstream_keepalive_pool_size: POOL,
            ca_file: Some(NO_ROOTS.to_owned()),
            ..ServerConf::default()
        };
        let proxy = Arc::new(http_proxy(&Arc::new(conf), RequestHandler::new(state.clone())));
        Self { tls, http2: Arc::new(Http2::new(proxy, state.clone())), state }
    }

    fn limits(&self) -> &ServerLimits {
        &self.state.server.limits
    }

    /// The TLS handshake, within the time limit of a request head.
    async fn handshake(
        &self,
        acceptor: &Acceptor,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let tcp = stream.into_any().downcast::<TcpStream>().ok()?;
        let address = tcp.get_socket_digest().and_then(|digest| digest.peer_addr().cloned());
        let handshake =
            tokio::time::timeout(self.limits().read_timeout, acceptor.tls_handshake(*tcp));
        let why = tokio::select! {
            done = handshake => match done {
                Ok(Ok(stream)) => return Some(Box::new(stream)),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it was not complete in time".to_owned(),
            },
            () = soon_after_stop(shutdown) => return None,
        };
        self.state.counters.failure("tls_handshake");
        let address = address.map(|address| address.to_string());
        tracing::debug!(address, why, "a TLS handshake failed");
        None
    }

    async fn http1(&self, mut stream: Stream, mut buffer: BytesMut, shutdown: &ShutdownWatch) {
        // One future for the whole connection: otherwise each request would register with the
        // shutdown again.
        let stop = stopped(shutdown).fuse();
        tokio::pin!(stop);
        let slot = ServedSlot::default();
        loop {
            let read = tokio::select! {
                biased;
                read = head::read(&mut stream, &mut buffer, self.limits()) => read,
                // At shutdown a connection between two requests may be closed; a request in
                // progress is finished.
                () = &mut stop => match self.last_read(&mut stream, &mut buffer).await {
                    Some(read) => read,
                    None => return,
                },
            };
            let end = match read {
                Read::Head(end) => end,
                Read::Closed => return,
                Read::Slow => return self.refuse(&mut stream, &[], &Failure::Slow).await,
                Read::TooLarge => {
                    let failure = Failure::HeaderTooLarge { limit: self.limits().header };
                    return self.refuse(&mut stream, &buffer, &failure).await;
                }
            };
            let stopping = *shutdown.borrow();
            match self.decide(&buffer[..end], stopping) {
                Decision::Refuse(failure) => {
                    return self.refuse(&mut stream, &buffer[..end], &failure).await;
                }
                Decision::Answer { bytes, last } => {
                    let _ = buffer.split_to(end);
                    if !downstream::write_all(&mut stream, &bytes).await || last {
                        return downstream::shutdown(stream.shutdown()).await;
                    }
                }
                Decision::Proxy(head) => {
                    let mut session = ServerSession::new_http1(stream);
                    let keepalive = self.limits().idle_timeout.as_secs().max(1);
                    let stays_open = !stopping && !head.close;
                    session.set_keepalive(stays_open.then_some(keepalive));
                    // Bytes of a pipelined request are kept, and returned below.
                    session.set_pipelining_enabled(true);
                    // Splitting makes the buffer a shared one, so it is split only if bytes follow;
                    // usually none do.
                    session.set_pipelined_prefix(match head.bodiless && buffer.len() > end {
                        true => buffer.split_to(end),
                        false => std::mem::take(&mut buffer),
                    });
                    let next = self.serve(session, head.close, &slot, shutdown).await;
                    let Some((reused, early)) = next else { return };
                    stream = reused;
                    buffer.extend_from_slice(&early.unwrap_or_default());
                }
            }
        }
    }

    /// Has pingora answer a request. Returns the connection if another request may follow, and the
    /// bytes of that request that arrived early.
    async fn serve(
        &self,
        mut session: ServerSession,
        close: bool,
        slot: &ServedSlot,
        shutdown: &ShutdownWatch,
    ) -> Option<(Stream, Option<BytesMut>)> {
        session.set_connection_user_context(Some(Box::new(slot.clone())));
        self.http2.proxy.process_new_http(session, shutdown).await;
        let Served { mut session, complete } = slot.lock().take()?;
        if !complete {
            return None;
        }
        if close {
            session.set_keepalive(None);
        }
        downstream::drain(&mut session).await;
        // Pinned here: moving this future of four kilobytes into the timeout would take longer than
        // running it.
        let finishing = std::pin::pin!(session.finish());
        let finished = timeout(downstream::WRITE_TIMEOUT, finishing).await.ok()?.ok()??;
        Some(finished.into_parts())
    }

    /// A request may be on its way when the server stops, and would be lost if the connection were
    /// closed at once. So this waits a moment for one, which is then answered with
    /// `Connection: close`. `None` means that none came.
    async fn last_read(&self, stream: &mut Stream, buffer: &mut BytesMut) -> Option<Read> {
        let reading = head::read(stream, buffer, self.limits());
        match tokio::time::timeout(LINGER, reading).await {
            Ok(read) => Some(read),
            Err(_) if buffer.is_empty() => {
                downstream::shutdown(stream.shutdown()).await;
                None
            }
            Err(_) => Some(head::read(stream, buffer, self.limits()).await),
        }
    }

    /// Parses and validates a complete head without consuming it.
    fn decide(&self, bytes: &[u8], stopping: bool) -> Decision {
        let mut few = [httparse::EMPTY_HEADER; STACK_FIELDS];
        let mut many = Vec::new();
        let mut request = httparse::Request::new(&mut few);
        let mut parsed = request.parse(bytes);
        if parsed == Err(httparse::Error::TooManyHeaders) {
            many.resize(MAX_FIELDS, httparse::EMPTY_HEADER);
            request = httparse::Request::new(&mut many);
            parsed = request.parse(bytes);
        }
        let failure = match parsed {
            Ok(httparse::Status::Complete(_)) => match validate::http1(&request) {
                Ok(head) => return self.key_set(&request, head, stopping),
                Err(failure) => failure,
            },
            Err(httparse::Error::TooManyHeaders) => {
                Failure::HeaderTooLarge { limit: self.limits().header }
            }
            Err(_) if refusal::has_bad_target(bytes) => Failure::InvalidTarget,
            _ => Failure::BadRequest,
        };
        Decision::Refuse(failure)
    }

    /// Answers a plain request for a key set; leaves all others to the proxy.
    fn key_set(
        &self,
        request: &httparse::Request<'_, '_>,
        head: validate::Head,
        stopping: bool,
    ) -> Decision {
        let set = match (request.method, request.path, request.version) {
            (Some("GET" | "HEAD"), Some(path), Some(1)) if head.bodiless => {
                let path = path.split_once('?').map_or(path, |(path, _)| path);
                self.state.publisher.for_path(path).ok()
            }
            _ => None,
        };
        let Some(set) = set else { return Decision::Proxy(head) };
        let is_head = request.method == Some("HEAD");
        let mut fields = JwksRequest { head: is_head, ..JwksRequest::default() };
        for field in request.headers.iter() {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            // Requests with repeated or unusual fields go to the proxy.
            let unusual = match field.name.len() {
                6 if is("accept") => fields.accept.replace(field.value).is_some(),
                6 => is("expect"),
                13 if is("if-none-match") => fields.if_none_match.replace(field.value).is_some(),
                _ => false,
            };
            if unusual {
                return Decision::Proxy(head);
            }
        }
        let last = stopping || head.close;
        let mut bytes = BytesMut::with_capacity(512 + set.body.len());
        let status = set.write(&fields, get_cached_date().as_bytes(), last, &mut bytes);
        self.state.counters.request(Kind::Jwks, status);
        Decision::Answer { bytes: bytes.freeze(), last }
    }

    /// Refuses and closes: after an invalid head, no later byte on the connection can be trusted.
    async fn refuse(&self, stream: &mut Stream, head: &[u8], failure: &Failure) {
        let bytes = refusal::http1(&self.state.counters, head, failure);
        if downstream::write_all(stream, &bytes).await {
            downstream::linger(stream).await;
        }
    }
}

async fn stopped(shutdown: &ShutdownWatch) {
    // Do not hold the lock of the watched value while the caller waits.
    let _ = shutdown.clone().wait_for(|stop| *stop).await;
}

async fn soon_after_stop(shutdown: &ShutdownWatch) {
    stopped(shutdown).await;
    tokio::time::sleep(LINGER).await;
}

/// What happens to an HTTP/1 request.
enum Decision {
    /// It is answered with these bytes. `last`: then the connection is closed.
    Answer {
        bytes: Bytes,
        last: bool,
    },
    Refuse(Failure),
    Proxy(validate::Head),
}

#[async_trait]
impl ServerApp for ConnectionHandler {
    async fn process_new(
        self: &Arc<Self>,
        mut stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let Ok(_permit) = self.state.connections.try_acquire() else {
            if self.tls.is_some() {
                // Before the TLS handshake the client could not read an answer, and the handshake
                // is the expensive part.
                self.state.counters.failure(Failure::Overloaded.code());
            } else {
                self.refuse(&mut stream, &[], &Failure::Overloaded).await;
            }
            return None;
        };
        if let Some(acceptor) = &self.tls {
            stream = self.handshake(acceptor, stream, shutdown).await?;
        }
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            return self.http2.process_new(stream, shutdown).await;
        }
        let mut buffer = BytesMut::with_capacity(2048);
        let preface = tokio::select! {
            biased;
            preface = preface(&mut stream, &mut buffer, self.limits().idle_timeout) => preface,
            () = soon_after_stop(shutdown) => Preface::Closed,
        };
        match preface {
            Preface::Http2 => {
                let stream = rewound(stream, &buffer)?;
                self.http2.process_new(stream, shutdown).await
            }
            Preface::Http1 => {
                self.http1(stream, buffer, shutdown).await;
                None
            }
            Preface::Closed => None,
        }
    }
}

/// HTTP/2 connections: each stream is a request of its own.
struct Http2 {
    proxy: Arc<Proxy>,
    state: Arc<State>,
    h2: H2Options,
    options: HttpServerOptions,
}

impl Http2 {
    fn new(proxy: Arc<Proxy>, state: Arc<State>) -> Self {
        let limits = &state.server.limits;
        let mut h2 = default_h2_options();
        h2.max_header_list_size(u32::try_from(limits.header).unwrap_or(u32::MAX));
        let mut options = HttpServerOptions::default();
        // The connection handler has detected HTTP/2 already, by its preface or, over TLS, by ALPN.
        options.h2c = true;
        options.h2_idle_timeout = Some(limits.idle_timeout);
        Self { proxy, state, h2, options }
    }
}

#[async_trait]
impl HttpServerApp for Http2 {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if let Err(failure) = validate::http2(session.req_header()) {
            refusal::http2(&self.state.counters, session.req_header(), &failure);
            let _ = reply::fail(&mut session, &self.state.counters, &failure, []).await;
            return None;
        }
        self.proxy.process_new_http(session, shutdown).await
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(self.h2.clone())
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

enum Preface {
    Http1,
    Http2,
    Closed,
}

/// Reads until HTTP/2 with prior knowledge (RFC 9113 §3.3) can be distinguished from HTTP/1.
async fn preface(stream: &mut Stream, buffer: &mut BytesMut, idle: Duration) -> Preface {
    use tokio::io::AsyncReadExt as _;
    let reading = async {
        loop {
            if buffer.starts_with(H2_PREFACE) {
                return Preface::Http2;
            }
            if !buffer.is_empty() && !H2_PREFACE.starts_with(buffer) {
                return Preface::Http1;
            }
            match stream.read_buf(buffer).await {
                Ok(n) if n > 0 => {}
                _ => return Preface::Closed,
            }
        }
    };
    tokio::time::timeout(idle, reading).await.unwrap_or(Preface::Closed)
}

/// Puts the bytes that were read back into the stream. This is plain TCP only: over TLS, ALPN has
/// decided.
fn rewound(stream: Stream, read: &[u8]) -> Option<Stream> {
    let mut tcp = stream.into_any().downcast::<TcpStream>().ok()?;
    tcp.rewind(read);
    Some(tcp)
}
