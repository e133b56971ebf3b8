//! JWK thumbprints, RFC 7638 §3 (SHA-256), RFC 8037 §2 for OKP.

use std::fmt;

use aws_lc_rs::digest;

use super::base64url;
use super::jwk::Material;
use super::names::Kid;

/// base64url of the SHA-256 over the required members in lexicographic order: 43 characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Thumbprint(Kid);

impl Thumbprint {
    /// The thumbprint of a key.
    pub fn of(material: &Material) -> Self {
        let mut members = material.members();
        members.sort_unstable();
        let canonical = serde_json::Value::from_iter(members).to_string();
        let hash = digest::digest(&digest::SHA256, canonical.as_bytes());
        Self(Kid::from_thumbprint(&base64url::encode(hash)))
    }

    /// A thumbprint that this program stored; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = base64url::decode(text).ok()?;
        (bytes.len() == 32).then(|| Self(Kid::from_thumbprint(text)))
    }

    /// The thumbprint as a key ID.
    pub fn kid(&self) -> &Kid {
        &self.0
    }

    /// Base64url of the hash.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7638 §3.1.
    #[test]
    fn the_example_of_the_rfc() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6\
                 tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ\
                 5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbIS\
                 D08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-k\
                 EgU8awapJzKnqDKgw";
        let material = Material::Rsa {
            n: base64url::decode(n).unwrap().into(),
            e: base64url::decode("AQAB").unwrap().into(),
        };
        assert_eq!(
            Thumbprint::of(&material).as_str(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }
}
