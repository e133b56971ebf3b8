//! Recognises what a document is instead of a key set, if its bytes show it. "Not JSON" and "no
//! `keys`" are true but do not help; the name of the fetched document does.

use super::base64url;
use super::tree::{Json, Object};

/// A document that was recognised as something other than a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub enum OtherDocument {
    /// A compact JWS: `application/jwk-set+jwt` (OpenID Federation 1.0 §5.2.1) or another signed set.
    #[strum(to_string = "a signed token (a compact JWS, as in `jwk-set+jwt`)")]
    SignedSet,
    /// A compact JWE.
    #[strum(to_string = "an encrypted token (a compact JWE)")]
    Encrypted,
    /// A public key as OpenSSH writes it (RFC 4253 §6.6).
    #[strum(to_string = "an SSH public key")]
    SshKey,
    /// Base64 with nothing around it.
    #[strum(to_string = "base64 text")]
    Base64,
    /// Provider metadata (OpenID Connect Discovery 1.0 §3, RFC 8414 §2).
    #[strum(to_string = "a discovery document")]
    Discovery,
    /// A DID document (W3C DID Core).
    #[strum(to_string = "a DID document")]
    Did,
    /// Keycloak's realm page.
    #[strum(to_string = "Keycloak's description of a realm")]
    Realm,
    /// An error in JSON (RFC 6749 §5.2, RFC 9457).
    #[strum(to_string = "an error message in JSON")]
    Error,
}

impl OtherDocument {
    /// Recognises a text that is not JSON.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        if ["ssh-", "ecdsa-sha2-", "sk-ssh-"].iter().any(|start| text.starts_with(start)) {
            return Some(Self::SshKey);
        }
        if text.starts_with("eyJ") {
            let parts: Vec<_> = text.split('.').collect();
            let encoded = parts.iter().all(|part| base64url::decode(part).is_ok());
            return match parts.len() {
                3 if encoded => Some(Self::SignedSet),
                5 if encoded => Some(Self::Encrypted),
                1 if is_base64(text) => Some(Self::Base64),
                _ => None,
            };
        }
        is_base64(text).then_some(Self::Base64)
    }

    /// Recognises an object without keys.
    pub(super) fn from_object(object: &Object) -> Option<Self> {
        let text = |name: &str| object.text(name).is_some_and(|text| !text.is_empty());
        if text("jwks_uri") || text("issuer") && text("token_endpoint") {
            return Some(Self::Discovery);
        }
        let did = object.text("id").is_some_and(|id| id.starts_with("did:"));
        if did || object.present("verificationMethod").is_some() {
            return Some(Self::Did);
        }
        if text("realm") && text("public_key") {
            return Some(Self::Realm);
        }
        let problem = text("title") && matches!(object.get("status"), Some(Json::Number(_)));
        (object.present("error").is_some() || problem).then_some(Self::Error)
    }

    /// The code of the refusal.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::SignedSet | Self::Encrypted | Self::SshKey | Self::Base64 => "not_json",
            Self::Discovery | Self::Did | Self::Realm | Self::Error => "no_keys",
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::SignedSet => {
                "its signer is not known here; the issuer's plain set is at its `jwks_uri`"
            }
            Self::Encrypted => "the issuer's plain set is at its `jwks_uri`",
            Self::SshKey => "`ssh-keygen -e -m PKCS8 -f FILE` writes the same key as PEM",
            Self::Base64 => {
                "a key in base64 needs its PEM lines, `-----BEGIN PUBLIC KEY-----` and \
                 `-----END PUBLIC KEY-----`"
            }
            Self::Discovery => "its `jwks_uri` leads to the key set",
            Self::Did => "give the keys as a set: `{\"keys\":[…]}` of its `publicKeyJwk` members",
            Self::Realm => "the realm's key set is at `…/protocol/openid-connect/certs`",
            Self::Error => "the server answered an error with a good status; look at its address",
        }
    }
}

/// Only base64, and long enough to exclude words.
fn is_base64(text: &str) -> bool {
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || b"+/-_=\r\n".contains(&b);
    // Excludes long numbers and words.
    let mixed = text.contains(char::is_uppercase) && text.contains(char::is_lowercase);
    text.len() >= 64 && mixed && text.bytes().all(alphabet)
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    #[test]
    fn a_text_is_recognised_by_its_bytes() {
        let body = "Ab".repeat(40);
        for (text, like) in [
            ("ssh-rsa AAAA me@host", Some(OtherDocument::SshKey)),
            ("ecdsa-sha2-nistp256 AAAA", Some(OtherDocument::SshKey)),
            ("eyJhbGciOiJSUzI1NiJ9.eyJrZXlzIjpbXX0.c2ln\n", Some(OtherDocument::SignedSet)),
            ("eyJhIjoxfQ.YQ.YQ.YQ.YQ", Some(OtherDocument::Encrypted)),
            (body.as_str(), Some(OtherDocument::Base64)),
            ("eyJ.not a token.x", None),
            ("not found", None),
            ("1000000000000000000000000000000000000000000000000000000000000000000", None),
            ("", None),
        ] {
            assert_eq!(OtherDocument::from_text(text), like, "{text}");
        }
    }

    #[test]
    fn an_object_is_recognised_by_its_members() {
        for (text, like) in [
            (r#"{"issuer":"a","jwks_uri":"b"}"#, Some(OtherDocument::Discovery)),
            (r#"{"id":"did:web:a","x":1}"#, Some(OtherDocument::Did)),
            (r#"{"realm":"main","public_key":"MII"}"#, Some(OtherDocument::Realm)),
            (r#"{"error":"not found"}"#, Some(OtherDocument::Error)),
            (r#"{"title":"Not Found","status":404}"#, Some(OtherDocument::Error)),
            (r#"{"a":1}"#, None),
        ] {
            let Ok(Json::Object(object)) = tree::parse(text, 8) else { panic!("{text}") };
            assert_eq!(OtherDocument::from_object(&object), like, "{text}");
        }
    }
}
