//! Convex's verdict: `countersign::verifier` under the names that tests use.

#[allow(unused_imports, reason = "each test uses its part")]
pub use countersign::verifier::convex::{
    Algorithm, CustomJwt, Oidc, custom_jwt, custom_jwt_key_set, oidc, oidc_discovery,
};
#[allow(unused_imports, reason = "each test uses its part")]
pub use countersign::verifier::{Answer as Response, Refusal as VerdictError};

/// Answers for tests.
pub trait AnswerOf: Sized {
    /// An answer with status `200` and this media type.
    fn of(content_type: &str, body: impl Into<Vec<u8>>) -> Self;

    /// An answer with status `200` and `application/json`.
    fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::of("application/json", body)
    }
}

impl AnswerOf for Response {
    fn of(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let content_type = Some(content_type.to_owned());
        Self { status: 200, content_type, body: body.into(), ..Self::default() }
    }
}

/// The two kinds of provider for one issuer, as in `auth.config.ts`.
pub fn providers(issuer: &str, jwks: &str, audience: &str) -> (CustomJwt, Oidc) {
    let custom = CustomJwt {
        issuer: issuer.to_owned(),
        jwks: jwks.to_owned(),
        algorithm: Algorithm::Rs256,
        application_id: Some(audience.to_owned()),
    };
    (custom, Oidc { domain: issuer.to_owned(), application_id: audience.to_owned() })
}

/// A simulated issuer: a discovery document that points at `{issuer}/jwks`, and the answer there.
pub fn paper(
    issuer: &str,
    jwks: &Response,
) -> impl AsyncFn(String) -> Result<Response, String> + use<> {
    let discovery = Response::json(
        serde_json::json!({"issuer": issuer, "jwks_uri": format!("{issuer}/jwks")}).to_string(),
    );
    let well_known = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let jwks = jwks.clone();
    move |url| {
        std::future::ready(Ok(if url == well_known { discovery.clone() } else { jwks.clone() }))
    }
}
