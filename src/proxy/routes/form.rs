//! The form of a token exchange (RFC 8693 §2.1), read into types.

use std::borrow::Cow;

use crate::answer::ExchangeFailure;
use crate::jose::names::Audience;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const TYPE_PREFIX: &str = "urn:ietf:params:oauth:token-type:";

/// The token types that are taken and given, RFC 8693 §3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenType {
    Jwt,
    IdToken,
    AccessToken,
}

impl TokenType {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix(TYPE_PREFIX)? {
            "jwt" => Some(Self::Jwt),
            "id_token" => Some(Self::IdToken),
            "access_token" => Some(Self::AccessToken),
            _ => None,
        }
    }

    pub(super) fn uri(self) -> &'static str {
        match self {
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
        }
    }
}

/// A valid request.
#[derive(PartialEq, Eq)]
pub(super) struct ExchangeRequest {
    pub(super) subject_token: String,
    pub(super) subject_type: TokenType,
    /// What the answer calls the new token.
    pub(super) issued_type: TokenType,
    pub(super) audience: Option<Audience>,
}

impl std::fmt::Debug for ExchangeRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeRequest")
            .field("subject_type", &self.subject_type)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// The parameters by position, so that a repeated one is seen.
#[derive(Default)]
struct Parameters {
    grant_type: Option<String>,
    subject_token: Option<String>,
    subject_token_type: Option<String>,
    requested_token_type: Option<String>,
    audience: Option<String>,
    resource: Option<String>,
    actor_token: Option<String>,
    scope: Option<String>,
}

impl Parameters {
    fn slot(&mut self, name: &str) -> Option<(&'static str, &mut Option<String>)> {
        Some(match name {
            "grant_type" => ("grant_type", &mut self.grant_type),
            "subject_token" => ("subject_token", &mut self.subject_token),
            "subject_token_type" => ("subject_token_type", &mut self.subject_token_type),
            "requested_token_type" => ("requested_token_type", &mut self.requested_token_type),
            "audience" => ("audience", &mut self.audience),
            "resource" => ("resource", &mut self.resource),
            "actor_token" => ("actor_token", &mut self.actor_token),
            "scope" => ("scope", &mut self.scope),
            _ => return None,
        })
    }
}

impl ExchangeRequest {
    /// Reads an `application/x-www-form-urlencoded` body. Unknown parameters are ignored, empty ones
    /// count as left out, and none may stand twice (RFC 6749 §3.2).
    ///
    /// # Errors
    /// [`ExchangeFailure`] naming the parameter.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ExchangeFailure> {
        let body = std::str::from_utf8(body).map_err(|_| ExchangeFailure::Form)?;
        let mut parameters = Parameters::default();
        for (name, value) in body.split('&').filter_map(pair) {
            if let Some((name, slot)) = parameters.slot(&name)
                && !value.is_empty()
                && slot.replace(value.into_owned()).is_some()
            {
                return Err(ExchangeFailure::Repeated(name));
            }
        }
        parameters.check()
    }
}

/// A name and its value. What needs no decoding, a token mostly, is not gone through byte by byte.
fn pair(text: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    if memchr::memchr2(b'%', b'+', text.as_bytes()).is_some() || text.is_empty() {
        return form_urlencoded::parse(text.as_bytes()).next();
    }
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    Some((name.into(), value.into()))
}

impl Parameters {
    fn check(self) -> Result<ExchangeRequest, ExchangeFailure> {
        let grant = self.grant_type.ok_or(ExchangeFailure::Missing("grant_type"))?;
        if grant != GRANT {
            return Err(ExchangeFailure::GrantType);
        }
        let subject_token = self.subject_token.ok_or(ExchangeFailure::Missing("subject_token"))?;
        let subject_type =
            self.subject_token_type.ok_or(ExchangeFailure::Missing("subject_token_type"))?;
        let subject_type =
            TokenType::parse(&subject_type).ok_or(ExchangeFailure::SubjectTokenType)?;
        let issued_type = match self.requested_token_type {
            Some(asked) => TokenType::parse(&asked).ok_or(ExchangeFailure::RequestedTokenType)?,
            None => subject_type,
        };
        if self.actor_token.is_some() {
            return Err(ExchangeFailure::ActorToken);
        }
        if self.resource.is_some() {
            return Err(ExchangeFailure::Resource);
        }
        let audience = match self.audience {
            Some(text) => Some(Audience::parse(&text).map_err(|_| ExchangeFailure::Audience)?),
            None => None,
        };
        Ok(ExchangeRequest { subject_token, subject_type, issued_type, audience })
    }
}

/// Whether a `Content-Type` is that of a form; parameters such as `charset` do not matter.
pub(super) fn is_form(content_type: Option<&[u8]>) -> bool {
    content_type
        .and_then(|value| std::str::from_utf8(value).ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
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
        assert_eq!(request.audience.unwrap().as_str(), "app");
        assert_eq!(form(&[&GOOD[..], &[("audience", "")]].concat()).unwrap().audience, None);
    }

    #[test]
    fn every_fault_has_its_name() {
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
        assert_eq!(with("resource", "https://a"), ExchangeFailure::Resource);
        assert_eq!(with("audience", "a\nb"), ExchangeFailure::Audience);
        assert_eq!(ExchangeRequest::parse(b"\xff"), Err(ExchangeFailure::Form));
    }

    #[test]
    fn the_media_type_is_compared_without_its_parameters() {
        assert!(is_form(Some(b"application/x-www-form-urlencoded; charset=UTF-8")));
        assert!(is_form(Some(b"Application/X-WWW-Form-Urlencoded")));
        assert!(!is_form(Some(b"application/json")) && !is_form(None));
    }

    #[test]
    fn the_token_does_not_print() {
        assert!(!format!("{:?}", form(&GOOD)).contains("a.b.c"));
    }
}
