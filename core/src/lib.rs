//! The pure part of countersign: bytes, types and the time go in, values come out. There is no I/O,
//! no clock and no HTTP here. The crate `countersign` carries out what this one decides.
//!
//! | module | what |
//! |---|---|
//! | [`jose`] | algorithms, keys, key sets, tokens; alone creates verified tokens, and alone signs |
//! | [`profile`] | what a verifier accepts and tolerates, as data |
//! | [`pipeline`] | compact JWS in, countersigned JWS out |
//! | [`rewrite`] | finds and replaces tokens in an answer; discovery documents |
//! | [`refresh`] | when an issuer's keys are fetched: state, event and time in; an action out |
//! | [`rotation`] | when our own keys change state: next, active, retired, gone |
//! | [`scrub`] | blanks what looks like a secret in a text |
//! | [`inspect`] | decodes a token for display, without verifying it |
//! | [`setting`] | durations, sizes and addresses as written in a configuration file |
//! | `verifier` (feature of that name) | Convex's verdict, from the crates that it uses, and the cause |
//!
//! Reading a malformed key set, and publishing it as a verifier expects it:
//!
//! ```
//! use std::collections::HashMap;
//!
//! use countersign_core::jose::jwks::{Options, normalize};
//! use countersign_core::jose::publish::{Input, publish};
//! use countersign_core::profile::Profile;
//!
//! // The key of RFC 8037, appendix A.2, in a bare array.
//! let document = br#"[{"kty":"OKP","crv":"Ed25519","kid":"a",
//!     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]"#;
//! let read = normalize(document, &Options::default())?;
//! assert_eq!(read.report.lines()[0], "$: bare_array");
//!
//! let (profile, remembered) = (Profile::standard(), HashMap::new());
//! let upstream = [&read.keys];
//! let set =
//!     publish(&Input { own: &[], upstream: &upstream, profile: &profile, remembered: &remembered });
//! assert!(set.body.starts_with(r#"{"keys":[{"kty":"OKP""#));
//! # Ok::<(), countersign_core::jose::jwks::DocumentRefusal>(())
//! ```
//!
//! `examples/countersign.rs` shows the way of a token from its issuer to the verifier.

#![warn(missing_docs)]

#[allow(missing_docs, reason = "fields are named as they are shown")]
pub mod inspect;
pub mod jose;
pub mod pipeline;
pub mod profile;
pub mod refresh;
pub mod rewrite;
pub mod rotation;
pub mod scrub;
pub mod setting;
#[cfg(feature = "verifier")]
pub mod verifier;
