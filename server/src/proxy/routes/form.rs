//! Parses the form of a token exchange (RFC 8693 §2.1).

use std::borrow::Cow;

use crate::answer::ExchangeFailure;
use crate::jose::names::Audience;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The most audiences in one request: each that is refused costs a verification.
const MAX_AUDIENCES: usize = 8;
/// The media type of a form (RFC 6749, appendix B).
pub(super) const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";
/// The parameters that may occur only once.
const SINGLE: [&str; 6] = [
    "grant_type",
    "subject_token",
    "subject_token_type",
    "requested_token_type",
    "actor_token",
    "scope",
];

/// The token types that are accepted and issued (RFC 8693 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenType {
    Jwt,
    IdToken,
    AccessToken,
}

impl TokenType {
    fn parse(uri: &str) -> Option<Self> {
        [Self::Jwt, Self::IdToken, Self::AccessToken].into_iter().find(|known| known.uri() == uri)
    }

    pub(super) fn uri(self) -> &'static str {
        match self {
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
        }
    }
}

/// A valid exchange request.
#[derive(PartialEq, Eq)]
pub(super) struct ExchangeRequest {
    pub(super) subject_token: String,
    pub(super) subject_type: TokenType,
    /// The type of the new token in the answer.
    pub(super) issued_type: TokenType,
    /// Where the new token is to be used, in the requested order. `resource` (RFC 8707) counts as
    /// an audience too.
    pub(super) audiences: Vec<Audience>,
    /// The requested scope (RFC 6749 §3.3).
    pub(super) scope: Option<String>,
}

impl std::fmt::Debug for ExchangeRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeRequest")
            .field("subject_type", &self.subject_type)
            .field("audiences", &self.audiences)
            .finish_non_exhaustive()
    }
}

impl ExchangeRequest {
    /// Parses an `application/x-www-form-urlencoded` body. Unknown parameters are ignored, empty
    /// ones count as omitted, and only `audience` and `resource` may be repeated (RFC 6749 §3.2,
    /// RFC 8693 §2.1).
    ///
    /// # Errors
    /// [`ExchangeFailure`] naming the parameter.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ExchangeFailure> {
        let body = std::str::from_utf8(body).map_err(|_| ExchangeFailure::Form)?;
        let mut single: [Option<String>; SINGLE.len()] = Default::default();
        let mut audiences = Vec::new();
        for (name, value) in body.split('&').filter_map(pair) {
            // A token that was read from a file often ends with a line break.
            let value = match value.trim() {
                "" => continue,
                trimmed if trimmed.len() < value.len() => trimmed.to_owned(),
                _ => value.into_owned(),
            };
            if matches!(&*name, "audience" | "resource") {
                audiences.push(value);
            } else if let Some(at) = SINGLE.iter().position(|known| *known == name)
                && single[at].replace(value).is_some()
            {
                return Err(ExchangeFailure::Repeated(SINGLE[at]));
            }
        }
        // In the order of `SINGLE`.
        let [grant, subject_token, subject_type, requested_type, actor, scope] = single;
        if grant.ok_or(ExchangeFailure::Missing("grant_type"))? != GRANT {
            return Err(ExchangeFailure::GrantType);
        }
        let subject_token = subject_token.ok_or(ExchangeFailure::Missing("subject_token"))?;
        let subject_type = subject_type.ok_or(ExchangeFailure::Missing("subject_token_type"))?;
        let subject_type =
            TokenType::parse(&subject_type).ok_or(ExchangeFailure::SubjectTokenType)?;
        let issued_type = match requested_type {
            Some(uri) => TokenType::parse(&uri).ok_or(ExchangeFailure::RequestedTokenType)?,
            None => subject_type,
        };
        if actor.is_some() {
            return Err(ExchangeFailure::ActorToken);
        }
        if audiences.len() > MAX_AUDIENCES {
            return Err(ExchangeFailure::Audience);
        }
        let audiences =
            audiences.iter().map(|text| Audience::parse(text)).collect::<Result<_, _>>();
        let audiences = audiences.map_err(|_| ExchangeFailure::Audience)?;
        Ok(Self { subject_token, subject_type, issued_type, audiences, scope })
    }
}

/// Splits a name from its value. A pair without escapes, such as most tokens, is not decoded byte
/// by byte.
fn pair(text: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    if memchr::memchr2(b'%', b'+', text.as_bytes()).is_some() || text.is_empty() {
        return form_urlencoded::parse(text.as_bytes()).next();
    }
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    Some((name.into(), value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> Result<ExchangeRequest, ExchangeFailure> {
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(pairs);
        ExchangeRequest::parse(text.finish().as_bytes())
    }

    const GOOD: [(&str, &str); 3] = [
        ("grant_type", GRANT),
        ("subject_token", "a.b.c"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
    ];

    proptest::proptest! {
        #[test]
        fn pairs_are_read_as_the_library_reads_them(text in "[a-c=&%+2é ]{0,40}") {
            let ours: Vec<_> = text.split('&').filter_map(pair).collect();
            let theirs: Vec<_> = form_urlencoded::parse(text.as_bytes()).collect();
            proptest::prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn a_good_request_is_read() {
        let request = form(&[&GOOD[..], &[("audience", "app"), ("x", "y"), ("x", "z")]].concat());
        let request = request.unwrap();
        assert_eq!(request.subject_token, "a.b.c");
        assert_eq!(request.issued_type, TokenType::IdToken);
        assert_eq!(request.audiences[0].as_str(), "app");
        assert!(form(&[&GOOD[..], &[("audience", "")]].concat()).unwrap().audiences.is_empty());
        let several = [("audience", "a"), ("resource", "https://b"), ("scope", "read")];
        let several = form(&[&GOOD[..], &several].concat()).unwrap();
        let names: Vec<_> = several.audiences.iter().map(Audience::as_str).collect();
        assert_eq!(names, ["a", "https://b"]);
        assert_eq!(several.scope.as_deref(), Some("read"));
    }

    #[test]
    fn white_space_around_a_value_is_removed() {
        let mut pairs = GOOD.to_vec();
        pairs[1].1 = " a.b.c\r\n";
        assert_eq!(form(&pairs).unwrap().subject_token, "a.b.c");
    }

    #[test]
    fn every_failure_names_its_parameter() {
        for (i, pair) in GOOD.iter().enumerate() {
            let mut pairs = GOOD.to_vec();
            pairs.remove(i);
            assert_eq!(form(&pairs), Err(ExchangeFailure::Missing(pair.0)));
            let repeated = [&GOOD[..], &[*pair]].concat();
            assert_eq!(form(&repeated), Err(ExchangeFailure::Repeated(pair.0)));
        }
        let with = |name, value| {
            let mut pairs = GOOD.to_vec();
            pairs.retain(|(n, _)| *n != name);
            pairs.push((name, value));
            form(&pairs).unwrap_err()
        };
        assert_eq!(with("grant_type", "authorization_code"), ExchangeFailure::GrantType);
        let refresh = "urn:ietf:params:oauth:token-type:refresh_token";
        assert_eq!(with("subject_token_type", refresh), ExchangeFailure::SubjectTokenType);
        assert_eq!(with("requested_token_type", refresh), ExchangeFailure::RequestedTokenType);
        assert_eq!(with("actor_token", "x"), ExchangeFailure::ActorToken);
        let many = vec![("audience", "a"); MAX_AUDIENCES + 1];
        assert_eq!(form(&[&GOOD[..], &many].concat()), Err(ExchangeFailure::Audience));
        assert_eq!(with("audience", "a\nb"), ExchangeFailure::Audience);
        assert_eq!(ExchangeRequest::parse(b"\xff"), Err(ExchangeFailure::Form));
    }

    #[test]
    fn the_token_does_not_print() {
        assert!(!format!("{:?}", form(&GOOD)).contains("a.b.c"));
    }
}
