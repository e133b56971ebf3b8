//! The pure core: JSON Web Keys and Signatures. Bytes, types and the time go in, values come out; it
//! does no I/O, has no clock and knows no HTTP.

pub mod alg;
mod audience;
pub mod base64url;
pub mod claims;
mod edits;
pub mod fault;
pub mod hash_claims;
pub mod json;
pub mod jwk;
pub mod jwks;
pub mod jws;
pub mod keyset;
pub mod names;
pub mod original;
pub mod policy;
pub mod publish;
pub mod refusal;
pub mod report;
pub mod roca;
pub mod sign;
mod standard_claims;
pub mod thumbprint;
mod times;
pub mod verify;
pub mod vouched;
