//! HTTP between downstream and upstream, on pingora: connections, heads, header fields, bodies. It
//! knows no token.
//!
//! A connection comes to the [`connection`] handler, which [`validate`]s each request head. Everything
//! it does not answer itself goes to pingora's proxy; [`call`] is for answers that must be read whole.

pub mod call;
pub mod connection;
pub mod connections;
mod date;
pub mod downstream;
pub mod fault;
pub mod head;
pub mod headers;
pub mod inner_address;
pub mod max_forwards;
pub mod memory;
mod refusal;
pub mod reply;
pub mod response;
pub mod upstream;
pub mod validate;

/// A client's request, and its answer.
pub(crate) use pingora::protocols::http::ServerSession;
