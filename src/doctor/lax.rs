//! A key set as the strict verifier's OIDC path reads it: keys it cannot parse are skipped, members it
//! cannot decode are absent.

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};

use super::{Cause, document};
use crate::inspect::tree::Tree;

/// Unpadded, but trailing bits may be anything.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// The values of `alg` it knows; a key with another is skipped.
pub(super) const ALGORITHMS: [&str; 20] = [
    "none",
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "ES256",
    "ES384",
    "ES512",
    "PS256",
    "PS384",
    "PS512",
    "EdDSA",
    "A128CBC-HS256",
    "A192CBC-HS384",
    "A256CBC-HS512",
    "A128GCM",
    "A192GCM",
    "A256GCM",
];

/// One key it did not skip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) place: String,
    pub(super) kid: Option<String>,
    alg: Option<String>,
    signs: bool,
    kty: String,
    crv: Option<String>,
    n: Option<Vec<u8>>,
    e: Option<Vec<u8>>,
    x: Option<Vec<u8>>,
}

/// The keys, and what was skipped or lost on the way.
pub(super) fn read(body: &[u8]) -> Result<(Vec<Key>, Vec<Cause>), Cause> {
    let entries = document::entries(body, false)?;
    let mut skipped = Vec::new();
    let mut keys = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        match key(entry, &format!("$.keys[{i}]")) {
            Ok(key) => keys.push(key),
            Err(cause) => skipped.push(cause),
        }
    }
    Ok((keys, skipped))
}

fn key(tree: &Tree, place: &str) -> Result<Key, Cause> {
    const KNOWN: [&str; 11] = ["kty", "use", "kid", "alg", "n", "e", "crv", "x", "y", "d", "k"];
    if !matches!(tree, Tree::Object(_)) {
        return Err(Cause::new("entry", place, format!("{} in place of a key", tree.kind())));
    }
    if let Some(twice) = tree.duplicates().into_iter().find(|n| KNOWN.contains(n)) {
        return Err(Cause::new("duplicate_member", place, format!("`{twice}` stands there twice")));
    }
    let text = |name: &str| match tree.get(name).filter(|v| !v.is_null()) {
        None => Ok(None),
        Some(Tree::Text(text)) => Ok(Some(text.clone())),
        Some(other) => {
            let text = format!("`{name}` is {}, not a string", other.kind());
            Err(Cause::new("member_type", &format!("{place}.{name}"), text))
        }
    };
    let bytes =
        |name: &str| tree.get(name).and_then(Tree::text).and_then(|text| BASE64.decode(text).ok());
    let Some(kty) = text("kty")? else {
        return Err(Cause::new("kty_missing", place, "`kty` is missing"));
    };
    if !["EC", "RSA", "OKP", "oct"].contains(&kty.as_str()) {
        return Err(Cause::new("kty_unknown", place, format!("it does not know `kty` {kty}")));
    }
    let alg = text("alg")?;
    if let Some(name) = alg.as_deref().filter(|name| !ALGORITHMS.contains(name)) {
        return Err(Cause::new("alg_unknown", place, format!("it does not know `alg` {name}")));
    }
    Ok(Key {
        place: place.to_owned(),
        kid: text("kid")?,
        alg,
        signs: text("use")?.is_none_or(|usage| usage == "sig"),
        kty,
        crv: tree.get("crv").and_then(Tree::text).map(str::to_owned),
        n: bytes("n"),
        e: bytes("e"),
        x: bytes("x"),
    })
}

impl Key {
    /// May it have made a signature of `alg`, `RS256` or `EdDSA`?
    pub(super) fn fits(&self, alg: &str) -> bool {
        let kty = if alg == "EdDSA" { "OKP" } else { "RSA" };
        self.signs && self.kty == kty && self.alg.as_deref().is_none_or(|stated| stated == alg)
    }

    /// Why a key that [`fits`](Self::fits) cannot check anything.
    pub(super) fn lost(&self, alg: &str) -> Option<Cause> {
        let missing = |name: &str| {
            let text = format!("`{name}` is missing or is not base64url without padding");
            Some(Cause::new("b64", &format!("{}.{name}", self.place), text))
        };
        if alg == "EdDSA" {
            return match (&self.crv, &self.x) {
                (Some(crv), Some(_)) if crv == "Ed25519" => None,
                (Some(crv), Some(_)) => Some(Cause::new(
                    "crv",
                    &self.place,
                    format!("the curve {crv} is not supported"),
                )),
                _ => missing("x"),
            };
        }
        match (&self.n, &self.e) {
            (None, _) => missing("n"),
            (_, None) => missing("e"),
            _ => None,
        }
    }

    pub(super) fn verify(&self, alg: &str, message: &[u8], signature: &[u8]) -> bool {
        use super::check;
        match (alg, &self.n, &self.e, &self.x) {
            ("RS256", Some(n), Some(e), _) => check::rs256(n, e, message, signature),
            ("EdDSA", _, _, Some(x)) if self.crv.as_deref() == Some("Ed25519") => {
                check::ed25519(x, message, signature)
            }
            _ => false,
        }
    }
}
