//! Spans of requests and of key set fetches, sent by OTLP over HTTP (cargo feature `otel`).
//!
//! Without the feature every type here is empty and every function does nothing. With it, and
//! nothing configured, a request costs one branch. Switched on, a span that has ended goes into a
//! bounded queue; a thread of its own sends what is in it, and a full queue loses spans, never time.
//!
//! What a span says is chosen word by word: names of this program, of configured issuers, of methods
//! in RFC 9110, and numbers. Nothing a client, a token or an upstream wrote becomes part of one.

mod settings;

#[cfg(feature = "otel")]
mod on;
#[cfg(feature = "otel")]
mod parent;
#[cfg(feature = "otel")]
mod sender;
#[cfg(feature = "otel")]
pub use self::on::*;

#[cfg(not(feature = "otel"))]
mod off;
#[cfg(not(feature = "otel"))]
pub use self::off::*;

pub use self::settings::OtelSettings;
use crate::jose::names::IssuerName;

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    pub method: &'a http::Method,
    /// Which part answered.
    pub route: &'static str,
    /// 0: no answer was written.
    pub status: u16,
    /// Why this program refused it, or could not pass it on.
    pub code: Option<&'static str>,
}

/// What became of a piece of work within a request.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    pub issuer: Option<&'a IssuerName>,
    /// A word of this program.
    pub code: &'static str,
    pub failed: bool,
}
