//! The strict verifier's own error texts, word for word: they are what people search for.

use super::{Cause, Refusal};

fn auth_header(message: String) -> Refusal {
    Refusal { code: "InvalidAuthHeader", message, causes: Vec::new() }
}

pub(super) fn fetch_failed(jwks: &str, why: &str) -> Refusal {
    auth_header(format!(
        "Could not fetch JWKS from URL '{jwks}': {why}. Check that the URL is correct and accessible."
    ))
}

pub(super) fn status(jwks: &str, status: u16) -> Refusal {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
    fetch_failed(jwks, &format!("HTTP {status} {}", reason.unwrap_or("Unknown")))
}

pub(super) fn content_type(jwks: &str, content_type: &str) -> Refusal {
    auth_header(format!(
        "Invalid Content-Type '{content_type}' when fetching JWKS from '{jwks}'. Expected \
         'application/json' or 'application/jwk-set+json'."
    ))
}

pub(super) fn body(jwks: &str) -> Refusal {
    auth_header(format!(
        "Invalid JWKS response body from '{jwks}'. The response is not valid JSON or doesn't match \
         the expected JWKS format."
    ))
}

pub(super) fn payload() -> Refusal {
    auth_header(
        "Could not parse JWT payload. Check that the token is a valid JWT format with three \
         base64-encoded parts separated by dots."
            .to_owned(),
    )
}

pub(super) fn panics_on_time() -> Refusal {
    let message = "the server panics on this token: exp, nbf or iat lies outside what it can hold \
                   (are they in microseconds?)";
    Refusal { code: "Panic", message: message.to_owned(), causes: Vec::new() }
}

pub(super) fn panics_on_key() -> Refusal {
    let message =
        "the server panics on this token: the key it names does not fit the provider's algorithm";
    Refusal { code: "Panic", message: message.to_owned(), causes: Vec::new() }
}

pub(super) fn no_issuer() -> Refusal {
    auth_header(
        "Missing issuer claim ('iss') in JWT payload. The JWT must include an 'iss' claim that \
         matches one of your configured auth providers."
            .to_owned(),
    )
}

pub(super) fn no_provider(providers: &str) -> Refusal {
    Refusal {
        code: "NoAuthProvider",
        message: format!(
            "No auth provider found matching the given token. Check that your JWT's issuer and \
             audience match one of your configured providers: [{providers}]"
        ),
        causes: Vec::new(),
    }
}

pub(super) fn domain(text: &str, why: &str) -> Refusal {
    Refusal {
        code: "InvalidProviderDomainUrl",
        message: format!("Invalid provider domain URL \"{text}\": {why}"),
        causes: Vec::new(),
    }
}

pub(super) fn decode(kid: Option<&str>) -> Refusal {
    auth_header(match kid {
        Some(kid) => format!(
            "Could not decode token. The JWT's 'kid' (key ID) header is '{kid}', does this key match \
             any key in the provider's JWKS?"
        ),
        None => "Could not decode token. JWT may be missing a 'kid' (key ID) header.".to_owned(),
    })
}

pub(super) fn validate(why: &str) -> Refusal {
    auth_header(format!("Could not validate token: {why}"))
}

pub(super) fn claim() -> Refusal {
    auth_header(
        "Could not verify token claim. Check that the JWT contains valid claims and matches your \
         auth provider configuration."
            .to_owned(),
    )
}

pub(super) fn discovery(issuer: &str) -> Refusal {
    Refusal {
        code: "AuthProviderDiscoveryFailed",
        message: format!("Auth provider discovery of {issuer} failed"),
        causes: Vec::new(),
    }
}

/// With what the server answered, all of it.
pub(super) fn discovery_answer(issuer: &str, status: u16, body: &[u8]) -> Refusal {
    let status = match http::StatusCode::from_u16(status) {
        Ok(status) => status.to_string(),
        Err(_) => status.to_string(),
    };
    let mut refusal = discovery(issuer);
    refusal.message = format!("{}: {status} {}", refusal.message, String::from_utf8_lossy(body));
    refusal
}

pub(super) fn id_token() -> Refusal {
    auth_header(
        "Could not parse as OIDC ID token. Token might not be an OIDC-compliant JWT.".to_owned(),
    )
}

pub(super) fn id_token_claim() -> Refusal {
    Refusal {
        code: "Unauthenticated",
        message:
            "Could not verify OIDC token claim. Check that the token signature is valid and the \
                  token hasn't expired."
                .to_owned(),
        causes: Vec::new(),
    }
}

impl Refusal {
    pub(super) fn because(mut self, cause: Cause) -> Self {
        self.causes.push(cause);
        self
    }

    pub(super) fn for_reason(
        self,
        code: &'static str,
        place: &str,
        text: impl Into<String>,
    ) -> Self {
        self.because(Cause::new(code, place, text))
    }
}
