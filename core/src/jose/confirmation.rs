//! `cnf` (RFC 7800 §3.1): the key that a token is bound to. Its sender must prove possession of the
//! key, so a copy of the token is worthless. A bearer token made from it would not be.

use super::json::Object;

/// The kind of key that a sender-constrained token is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// `jkt`, a DPoP key (RFC 9449 §6.1).
    Dpop,
    /// `x5t#S256`, a client certificate (RFC 8705 §3.1).
    Mtls,
    /// Another key, or an unknown form.
    Other,
}

impl Confirmation {
    /// The binding in a claims set; none for a bearer token.
    pub fn of(claims: &Object) -> Option<Self> {
        let cnf = claims.get("cnf").filter(|cnf| *cnf != "null")?;
        let members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(cnf).unwrap_or_default();
        Some(match () {
            () if members.contains_key("jkt") => Self::Dpop,
            () if members.contains_key("x5t#S256") => Self::Mtls,
            () => Self::Other,
        })
    }

    /// The `token_type` of an answer with such a token: RFC 9449 §5, RFC 8705 §3; for an unknown
    /// binding RFC 8693 §2.2.1.
    pub fn token_type(self) -> &'static str {
        match self {
            Self::Dpop => "DPoP",
            Self::Mtls => "Bearer",
            Self::Other => "N_A",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_is_bound_to() {
        let of = |claims: &str| Confirmation::of(&Object::parse(claims.into(), 8).unwrap());
        assert_eq!(of(r#"{"cnf":{"jkt":"a"}}"#), Some(Confirmation::Dpop));
        assert_eq!(of(r#"{"cnf":{"x5t#S256":"a"}}"#), Some(Confirmation::Mtls));
        for other in [r#"{"jwk":{}}"#, "{}", "7", r#""x""#, "[]"] {
            assert_eq!(of(&format!(r#"{{"cnf":{other}}}"#)), Some(Confirmation::Other), "{other}");
        }
        assert_eq!(of(r#"{"cnf":null}"#), None);
        assert_eq!(of(r#"{"sub":"a"}"#), None);
    }
}
