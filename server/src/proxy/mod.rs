//! The proxy, built on pingora. [`http`] moves messages, [`routes`] answers what this program
//! answers itself, and the [`handler`] chooses between the two. Decisions about tokens and keys are
//! made elsewhere.

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
