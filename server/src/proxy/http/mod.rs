//! HTTP between client and upstream, on pingora: connections, heads, header fields, bodies. Tokens
//! are handled elsewhere.
//!
//! The [`connection`] handler takes each connection and [`validate`]s each request head. Requests
//! that it does not answer itself go to pingora's proxy. [`call`] is for answers that must be read
//! whole.

pub mod call;
pub mod connection;
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

/// A client's request, and the answer to it.
pub(crate) use pingora::protocols::http::ServerSession;
