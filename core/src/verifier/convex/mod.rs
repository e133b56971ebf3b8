//! What Convex says about a key set and a token, determined with the two crates of its backend.
//!
//! A replica of `validate_id_token` (get-convex/convex-backend, `crates/authentication`), so that
//! `doctor` and `demo` can show verdicts that do not depend on this program's own checks. The error
//! texts are Convex's own, word for word, because users search for them.
//!
//! Convex builds forks of both crates. They differ from the published releases in these points:
//!
//! | fork | release | here |
//! |---|---|---|
//! | biscuit reads a fractional `exp` | whole seconds only | own claims type (`claims`) |
//! | biscuit panics on a time past chrono's end | the same | refused before, code `Panic` |
//! | biscuit reaches `unreachable!` on an RSA key for ES256, on an `oct` key | the same | the same |
//! | openidconnect needs `issuer` and `jwks_uri` only | six members | missing ones are added |
//! | openidconnect checks RS256 with AWS-LC, 2048 to 8192 bits | crate `rsa`, up to 4096 | AWS-LC |
//!
//! This code does not panic on hostile input. Decisions about signing never use it.

mod claims;
mod custom_jwt;
mod oidc;
mod oidc_key;

pub use claims::same_issuer;
pub use custom_jwt::{
    Algorithm, CustomJwt, custom_jwt, custom_jwt_fetch_failed, custom_jwt_key_set,
};
pub use oidc::{Oidc, discovery_url, oidc, oidc_discovery};

pub(super) use oidc_key::Key as OidcKey;
