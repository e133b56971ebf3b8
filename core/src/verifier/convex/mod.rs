//! What Convex says about a key set and a token, with the two crates its backend verifies with.
//!
//! A replica of `validate_id_token` (get-convex/convex-backend, `crates/authentication`), so that
//! `doctor` and `demo` can show a refusal and an acceptance that are not our own opinion. The error
//! texts are Convex's own, word for word: they are what people search for.
//!
//! Convex builds forks of both crates. Where the registry's releases behave differently:
//!
//! | fork | release | here |
//! |---|---|---|
//! | biscuit reads a fractional `exp` | whole seconds only | own claims type (`claims`) |
//! | biscuit panics on a time past chrono's end | the same | refused before it gets there, code `Panic` |
//! | biscuit reaches `unreachable!` on an RSA key for ES256, on an `oct` key | the same | likewise |
//! | openidconnect needs `issuer` and `jwks_uri` only | six members | the rest is filled in |
//! | openidconnect checks RS256 with AWS-LC, 2048 to 8192 bits | crate `rsa`, up to 4096 | AWS-LC |
//!
//! Nothing here panics on hostile input, and nothing here is used to decide what is signed.

mod claims;
mod custom_jwt;
mod oidc;
mod oidc_key;

pub use claims::same_issuer;
pub use custom_jwt::{
    Algorithm, CustomJwt, custom_jwt, custom_jwt_fetch_failed, custom_jwt_has_usable_key,
    custom_jwt_key_set,
};
pub use oidc::{Oidc, discovery_url, oidc, oidc_discovery, oidc_has_usable_key};

pub(super) use oidc_key::Key as OidcKey;
