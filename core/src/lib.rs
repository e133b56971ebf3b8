//! The pure part of countersign: bytes, types and the time go in, values come out. There is no I/O,
//! no clock and no HTTP here; the crate `countersign` performs what this one decides.
//!
//! | module | what |
//! |---|---|
//! | [`jose`] | algorithms, keys, key sets, tokens; the only maker of a verified token; the one signature |
//! | [`profile`] | what a verifier accepts and tolerates, as data |
//! | [`pipeline`] | compact JWS in, countersigned JWS out |
//! | [`rewrite`] | where tokens stand in an answer, and how they are replaced; discovery documents |
//! | [`refresh`] | when an issuer's keys are fetched: state, event and time in; an action out |
//! | [`rotation`] | when our own keys change state: next, active, retired, gone |
//! | [`inspect`] | a token decoded without trust, for people |
//! | [`setting`] | durations, sizes and addresses as a configuration file writes them |

pub mod inspect;
pub mod jose;
pub mod pipeline;
pub mod profile;
pub mod refresh;
pub mod rewrite;
pub mod rotation;
pub mod setting;
