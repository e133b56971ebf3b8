//! Why a verifier refuses an issuer or a token, and what to do about it. The verdict, its text and its code
//! are those of [`crate::verifier`]; this module finds the explanation and the fix. It is pure: what was
//! fetched goes in, findings come out.
//!
//! | file | what |
//! |---|---|
//! | [`finding`] | the case that goes in, the findings that come out |
//! | [`exam`] | all checks of one case |
//! | [`summary`] | the verdict in one line, and each fault once |
//! | `fix` | what to do about a cause |
//! | `generic` | a verifier by the RFCs: faults, and what some libraries reject |
//! | [`ours`] | what countersign itself would do |
//! | [`headers`], [`address`] | trouble without a refusal: caching, unreachable addresses |
//! | [`changing`] | claims that differ from token to token |

pub mod address;
pub mod changing;
pub mod exam;
pub mod finding;
mod fix;
mod generic;
pub mod headers;
pub mod ours;
pub mod summary;

pub use crate::verifier::{Answer, Cause};
