//! The proxy on pingora: [`http`] moves messages, [`routes`] answers what is ours, the [`handler`]
//! decides which of the two a request is for. No decision about a token or a key is made here.

mod account;
pub mod counters;
pub mod handler;
pub mod health;
pub mod http;
pub mod outbound;
pub mod request;
pub mod routes;
pub mod settings;
pub mod state;
