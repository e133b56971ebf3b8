//! Routes, and the ways of requests, on pingora's HTTP. No decision about a token or a key is made
//! here.
//!
//! A connection comes to the [`door`], which bounds what it may cost and answers reads of a key set
//! itself. Every other request goes through the [`gate`], which asks the [`routes`] and has it
//! answered ([`exchange`], [`discovery`], [`tokens`]) or passed on ([`forward`]) to the [`upstream`].

pub mod call;
mod client;
pub mod connections;
pub mod counters;
mod date;
pub mod discovery;
pub mod discovery_cache;
pub mod door;
mod exchange;
mod fault;
mod form;
mod forward;
pub mod gate;
pub mod head;
mod headers;
pub mod health;
pub mod jwks;
pub mod outbound;
mod reply;
mod restore;
pub mod routes;
pub mod settings;
pub mod state;
mod swap;
mod tokens;
pub mod upstream;
pub mod vouch;

/// A request of a client, and its answer.
pub(crate) use pingora::protocols::http::ServerSession as Session;
