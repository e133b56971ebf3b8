//! A key set as the strict verifier's `customJwt` reads it: one key it cannot parse, and the whole set
//! is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Cause, document};
use crate::inspect::tree::Tree;

/// The signature algorithms it knows, by name.
const SIGNATURE: [&str; 13] = [
    "none", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512",
    "PS256", "PS384", "PS512",
];
/// The other values of `alg` it knows.
const ENCRYPTION: [&str; 23] = [
    "RSA1_5",
    "RSA-OAEP",
    "RSA-OAEP-256",
    "A128KW",
    "A192KW",
    "A256KW",
    "dir",
    "ECDH-ES",
    "ECDH-ES+A128KW",
    "ECDH-ES+A192KW",
    "ECDH-ES+A256KW",
    "A128GCMKW",
    "A192GCMKW",
    "A256GCMKW",
    "PBES2-HS256+A128KW",
    "PBES2-HS384+A192KW",
    "PBES2-HS512+A256KW",
    "A128CBC-HS256",
    "A192CBC-HS384",
    "A256CBC-HS512",
    "A128GCM",
    "A192GCM",
    "A256GCM",
];
const CURVES: [&str; 5] = ["P-256", "P-384", "P-521", "Ed25519", "Ed448"];

/// One key it could parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) kid: Option<String>,
    pub(super) alg: Option<String>,
    pub(super) material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Ec { x: Vec<u8>, y: Vec<u8> },
    Oct,
    Okp,
}

/// A token's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) kid: Option<String>,
}

/// The set, or everything it stumbles over.
pub(super) fn read(body: &[u8]) -> Result<Vec<Key>, Vec<Cause>> {
    let entries = document::entries(body, true).map_err(|cause| vec![cause])?;
    let mut keys = Vec::new();
    let mut causes = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        match key(entry, &format!("$.keys[{i}]")) {
            Ok(key) => keys.push(key),
            Err(cause) => causes.push(cause),
        }
    }
    if causes.is_empty() { Ok(keys) } else { Err(causes) }
}

/// One member of an object, with the place for a fault.
struct Member<'a> {
    place: String,
    name: &'static str,
    value: Option<&'a Tree>,
}

struct Object<'a> {
    place: &'a str,
    tree: &'a Tree,
}

impl<'a> Object<'a> {
    fn member(&self, name: &'static str) -> Result<Member<'a>, Cause> {
        let mut all = self.tree.all(name);
        let value = all.next();
        let place = format!("{}.{name}", self.place);
        if all.next().is_some() {
            return Err(Cause::new(
                "duplicate_member",
                &place,
                format!("`{name}` stands there twice"),
            ));
        }
        Ok(Member { place, name, value })
    }
}

impl<'a> Member<'a> {
    fn fault(&self, code: &'static str, text: String) -> Cause {
        Cause::new(code, &self.place, text)
    }

    fn present(&self) -> Option<&'a Tree> {
        self.value.filter(|v| !v.is_null())
    }

    fn text(&self) -> Result<Option<&'a str>, Cause> {
        let Some(value) = self.present() else { return Ok(None) };
        value.text().map(Some).ok_or_else(|| {
            let code = match self.name {
                "kid" => "kid_type",
                "alg" => "alg_type",
                _ => "member_type",
            };
            self.fault(code, format!("`{}` is {}, not a string", self.name, value.kind()))
        })
    }

    fn texts(&self) -> Result<(), Cause> {
        match self.present() {
            None => Ok(()),
            Some(Tree::List(list)) if list.iter().all(|v| v.text().is_some()) => Ok(()),
            Some(other) => {
                let what = other.kind();
                Err(self.fault(
                    "member_type",
                    format!("`{}` is {what}, not a list of strings", self.name),
                ))
            }
        }
    }

    fn bytes(&self) -> Result<Option<Vec<u8>>, Cause> {
        if self.value.is_some_and(Tree::is_null) {
            return Err(self.fault("member_type", format!("`{}` is null", self.name)));
        }
        let Some(text) = self.text()? else { return Ok(None) };
        URL_SAFE_NO_PAD.decode(text).map(Some).map_err(|_| {
            let why = if text.ends_with('=') {
                "is padded with `=`"
            } else if text.contains(['+', '/']) {
                "is standard base64, not base64url"
            } else {
                "is not base64url"
            };
            self.fault("b64", format!("`{}` {why}", self.name))
        })
    }

    fn needed(&self) -> Result<Vec<u8>, Cause> {
        let missing = || self.fault("member_missing", format!("`{}` is missing", self.name));
        self.bytes()?.ok_or_else(missing)
    }
}

pub(super) fn key(tree: &Tree, place: &str) -> Result<Key, Cause> {
    if !matches!(tree, Tree::Object(_)) {
        return Err(Cause::new("entry", place, format!("{} in place of a key", tree.kind())));
    }
    let object = Object { place, tree };
    object.member("use")?.text()?;
    object.member("key_ops")?.texts()?;
    let alg = object.member("alg")?;
    let alg_name = alg.text()?;
    if let Some(name) = alg_name
        && !SIGNATURE.contains(&name)
        && !ENCRYPTION.contains(&name)
    {
        return Err(alg.fault("alg_unknown", format!("it does not know `alg` {name}")));
    }
    let kid = object.member("kid")?.text()?;
    object.member("x5u")?.text()?;
    object.member("x5c")?.texts()?;
    object.member("x5t")?.text()?;
    Ok(Key {
        kid: kid.map(str::to_owned),
        alg: alg_name.map(str::to_owned),
        material: material(&object)?,
    })
}

fn material(object: &Object<'_>) -> Result<Material, Cause> {
    let kty = object.member("kty")?;
    let name = kty.text()?;
    if name.is_none() {
        return Err(kty.fault("kty_missing", "`kty` is missing".to_owned()));
    }
    let curve = || -> Result<(), Cause> {
        let crv = object.member("crv")?;
        match crv.text()? {
            Some(name) if CURVES.contains(&name) => Ok(()),
            Some(name) => Err(crv.fault("crv", format!("it does not know the curve {name}"))),
            None => Err(crv.fault("member_missing", "`crv` is missing".to_owned())),
        }
    };
    match name {
        Some("RSA") => {
            let (n, e) = (object.member("n")?.needed()?, object.member("e")?.needed()?);
            for private in ["d", "p", "q", "dp", "dq", "qi"] {
                object.member(private)?.bytes()?;
            }
            other_primes(object)?;
            Ok(Material::Rsa { n: trimmed(n), e: trimmed(e) })
        }
        Some("EC") => {
            curve()?;
            let (x, y) = (object.member("x")?.needed()?, object.member("y")?.needed()?);
            object.member("d")?.bytes()?;
            Ok(Material::Ec { x, y })
        }
        Some("oct") => object.member("k")?.needed().map(|_| Material::Oct),
        Some("OKP") => {
            curve()?;
            object.member("x")?.needed()?;
            object.member("d")?.bytes()?;
            Ok(Material::Okp)
        }
        other => {
            let name = other.unwrap_or_default();
            Err(kty.fault("kty_unknown", format!("it does not know `kty` {name}")))
        }
    }
}

fn other_primes(object: &Object<'_>) -> Result<(), Cause> {
    let oth = object.member("oth")?;
    let Some(value) = oth.present() else { return Ok(()) };
    let Some(list) = value.list() else {
        return Err(oth.fault("member_type", format!("`oth` is {}, not a list", value.kind())));
    };
    for tree in list {
        let prime = Object { place: &oth.place, tree };
        for name in ["r", "d", "t"] {
            prime.member(name)?.needed()?;
        }
    }
    Ok(())
}

fn trimmed(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|b| *b == 0).collect()
}

/// The protected header of a token.
pub(super) fn header(part: &str) -> Result<Header, Cause> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Cause::new("b64", "header", "the header is not base64url"))?;
    let tree = Tree::parse(&bytes).map_err(|_| Cause::new("not_json", "header", "not JSON"))?;
    if !matches!(tree, Tree::Object(_)) {
        return Err(Cause::new("not_object", "header", "the header is not an object"));
    }
    let object = Object { place: "header", tree: &tree };
    let alg = object.member("alg")?;
    let name = match alg.text()? {
        Some(name) if SIGNATURE.contains(&name) => name,
        Some(name) => {
            return Err(alg.fault("alg_unknown", format!("it does not know `alg` {name}")));
        }
        None => return Err(alg.fault("alg", "`alg` is missing".to_owned())),
    };
    for text in ["typ", "cty", "jku", "x5u", "x5t"] {
        object.member(text)?.text()?;
    }
    for texts in ["x5c", "crit"] {
        object.member(texts)?.texts()?;
    }
    let jwk = object.member("jwk")?;
    if let Some(embedded) = jwk.present() {
        key(embedded, &jwk.place)?;
    }
    let kid = object.member("kid")?.text()?.map(str::to_owned);
    Ok(Header { alg: name.to_owned(), kid })
}
