//! The pure core: JSON Web Keys and Signatures. Bytes, types and the time go in, values come out; it
//! does no I/O, has no clock and knows no HTTP.

pub mod alg;
pub mod base64url;
pub mod fault;
pub mod jwk;
pub mod jwks;
pub mod jws;
pub mod keyset;
pub mod names;
pub mod policy;
pub mod publish;
pub mod refusal;
pub mod report;
pub mod roca;
pub mod sign;
pub mod thumbprint;
pub mod verify;
