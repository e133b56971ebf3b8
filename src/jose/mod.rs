//! The pure core: JSON Web Keys and Signatures. Bytes, types and the time go in, values come out; it
//! does no I/O, has no clock and knows no HTTP.

pub mod alg;
mod audience;
pub mod base64url;
pub mod check;
pub mod claims;
mod collect;
mod edits;
mod entry;
pub mod fault;
pub mod hash_claims;
pub mod json;
pub mod jwk;
pub mod jwks;
pub mod jws;
pub mod keyset;
mod material;
pub mod names;
pub mod original;
mod pem;
pub mod policy;
pub mod publish;
pub mod refusal;
mod repair;
pub mod report;
pub mod roca;
mod shape;
pub mod sign;
mod standard_claims;
pub mod tenants;
mod text;
pub mod thumbprint;
mod times;
mod tree;
pub mod verify;
pub mod vouched;
mod x509;
