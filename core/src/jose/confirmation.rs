//! `cnf` (RFC 7800 §3.1): what a token is bound to. Who shows such a token must prove that it holds
//! the key, so a copy of it is worth nothing; a bearer token made of it would be.

use super::json::Object;

/// What a sender-constrained token is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// `jkt`, a DPoP key (RFC 9449 §6.1).
    Dpop,
    /// `x5t#S256`, a client certificate (RFC 8705 §3.1).
    Mtls,
    /// Another key, or a form that is not known here.
    Other,
}

impl Confirmation {
    /// What a claims set says the token is bound to; none for a bearer token.
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

    /// The `token_type` of an answer that holds such a token: RFC 9449 §5, RFC 8705 §3, and for what
    /// is not known RFC 8693 §2.2.1.
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
