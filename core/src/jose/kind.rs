//! The kind of token that a claims set names, besides the header's `typ`.

use super::json::Object;

/// Members in which issuers name the kind of a token. No RFC defines them.
const MEMBERS: [&str; 4] = ["typ", "token_use", "token_type", "type"];

/// Whether the claims are those of a refresh, offline or logout token. Such a token has the same
/// keys and may have the same claims as the others. But a refresh token is worthless without its
/// client's secret, lives for months, and must not become a login here (RFC 8725 §3.12).
pub(super) fn is_refresh_or_logout(claims: &Object) -> bool {
    MEMBERS.iter().filter_map(|member| claims.string(member)).any(|kind| {
        let kind = kind.to_ascii_lowercase().replace(['_', '-', ' '], "");
        ["refresh", "refreshtoken", "refresh+jwt", "rt+jwt", "offline", "logout", "logout+jwt"]
            .contains(&kind.as_str())
    })
}

/// Whether the token is bound to a key of its sender by `cnf` (RFC 7800 §3.1, RFC 9449 §6.1,
/// RFC 8705 §3.1). The sender must prove possession of the key, so a copy of the token is
/// worthless. A bearer token made from it would not be.
pub(super) fn is_sender_constrained(claims: &Object) -> bool {
    claims.get("cnf").is_some_and(|cnf| cnf != "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        let is = |claims: &str| is_refresh_or_logout(&Object::parse(claims.into(), 8).unwrap());
        for claims in [
            r#"{"typ":"Refresh"}"#,
            r#"{"typ":"Offline"}"#,
            r#"{"typ":"Logout"}"#,
            r#"{"token_type":"refresh"}"#,
            r#"{"token_use":"refresh_token"}"#,
            r#"{"type":"refresh"}"#,
            r#"{"typ":"Bearer","type":"refresh-token"}"#,
        ] {
            assert!(is(claims), "{claims}");
        }
        for claims in [
            "{}",
            r#"{"typ":"ID"}"#,
            r#"{"typ":"Bearer","token_use":"access","token_type":"access","type":"user"}"#,
            r#"{"type":7}"#,
            r#"{"type":"refreshments"}"#,
            r#"{"kind":"refresh"}"#,
        ] {
            assert!(!is(claims), "{claims}");
        }
    }

    #[test]
    fn any_confirmation_binds_a_token() {
        let is = |claims: &str| is_sender_constrained(&Object::parse(claims.into(), 8).unwrap());
        for cnf in [r#"{"jkt":"a"}"#, r#"{"x5t#S256":"a"}"#, "{}", "7", r#""x""#, "[]"] {
            assert!(is(&format!(r#"{{"cnf":{cnf}}}"#)), "{cnf}");
        }
        assert!(!is(r#"{"cnf":null}"#) && !is(r#"{"sub":"a"}"#));
    }
}
