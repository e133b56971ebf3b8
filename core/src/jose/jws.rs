//! The compact serialisation of a JWS (RFC 7515 §7.1), parsed but not trusted: every name here that
//! reads before the signature is checked says `unverified`.

use std::borrow::Cow;

use super::alg::Alg;
use super::base64url;
use super::json::{self, JsonFault, Object};
use super::names::{Issuer, Limits};
use super::refusal::Refusal;

/// The private header parameter that carries the original of a countersigned token. Only
/// [`super::original::restore`] trusts it, after it has verified our signature.
pub(super) const ORIGINAL: &str = "cso";

/// Three parts: a known protected header, and a payload of any bytes.
#[derive(Debug)]
pub struct Envelope<'a> {
    text: Cow<'a, str>,
    /// The positions of the two dots.
    dots: (usize, usize),
    header: UnverifiedHeader,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// The parsed protected header. Keys in it (`jwk`, `jku`, `x5u`, `x5c`) are never read.
#[derive(Debug)]
pub struct UnverifiedHeader {
    /// `alg`.
    pub alg: Alg,
    /// `kid`, a number spelled out; `None` if it is missing or empty.
    pub kid: Option<String>,
    /// `typ`, as written.
    pub typ: Option<String>,
    /// It has only `alg`, `typ` and a `kid` that is a string, so every reader accepts it.
    pub(super) is_plain: bool,
    object: Object,
}

impl<'a> Envelope<'a> {
    /// Reads `token`. `padded` also reads parts that end in `=`; the signature then covers the bytes
    /// as received.
    ///
    /// # Errors
    /// [`Refusal`]: `too_large`, `format`, `b64`, `header`, `duplicate_member`, `depth`, `alg`,
    /// `crit`, `b64_false`, `nested`.
    pub fn parse(
        token: impl Into<Cow<'a, str>>,
        limits: &Limits,
        padded: bool,
    ) -> Result<Self, Refusal> {
        let token = token.into();
        if token.len() > limits.token {
            return Err(Refusal::TooLarge { limit: limits.token });
        }
        let dots = dots(&token)?;
        let decode = |part: &str| decode(part, padded);
        let header = UnverifiedHeader::read(decode(&token[..dots.0])?, limits)?;
        let payload = decode(&token[dots.0 + 1..dots.1])?;
        let signature = decode(&token[dots.1 + 1..])?;
        Ok(Self { text: token, dots, header, payload, signature })
    }

    /// The signed bytes, RFC 7515 §5.2: as received.
    pub fn signing_input(&self) -> &[u8] {
        &self.text.as_bytes()[..self.dots.1]
    }

    /// The signature, decoded.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The protected header.
    pub fn unverified_header(&self) -> &UnverifiedHeader {
        &self.header
    }

    /// The payload, decoded.
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a part ends in `=`.
    pub(super) fn is_padded(&self) -> bool {
        self.text.contains('=')
    }

    /// The parts as text: protected header, payload, signature.
    pub(super) fn parts(&self) -> (&str, &str, &str) {
        let (first, second) = self.dots;
        (&self.text[..first], &self.text[first + 1..second], &self.text[second + 1..])
    }
}

/// A JWS whose payload is a claims set (RFC 7519 §7.2). It cannot be signed: only a
/// [`super::verify::VerifiedToken`] can.
///
/// ```compile_fail
/// use countersign_core::jose::{jws::CompactJws, names::Limits, sign::SigningKey};
/// fn mint(key: &SigningKey, token: &str) {
///     let jws = CompactJws::parse(token, &Limits::default(), false).unwrap();
///     let _ = key.sign(jws); // a `NewClaims` is wanted, and it is made of a `VerifiedToken` only
/// }
/// ```
#[derive(Debug)]
pub struct CompactJws<'a> {
    envelope: Envelope<'a>,
    claims: Object,
}

impl<'a> CompactJws<'a> {
    /// # Errors
    /// As [`Envelope::parse`], and `payload`, `duplicate_member`, `depth` for the claims set.
    pub fn parse(
        token: impl Into<Cow<'a, str>>,
        limits: &Limits,
        padded: bool,
    ) -> Result<Self, Refusal> {
        let mut envelope = Envelope::parse(token, limits, padded)?;
        let payload = std::mem::take(&mut envelope.payload);
        let claims = read_object(payload, Refusal::Payload, limits)?;
        Ok(Self { envelope, claims })
    }

    /// The issuer whose keys to use; RFC 7519 §4.1.1.
    ///
    /// # Errors
    /// `iss_missing`, or `iss` if it is not a string or not a valid name.
    pub fn unverified_issuer(&self) -> Result<Issuer, Refusal> {
        if self.claims.get("iss").is_none() {
            return Err(Refusal::IssuerMissing);
        }
        let text = self.claims.string("iss").ok_or(Refusal::Issuer)?;
        Issuer::parse(&text).map_err(|_| Refusal::Issuer)
    }

    /// The protected header.
    pub fn unverified_header(&self) -> &UnverifiedHeader {
        &self.envelope.header
    }

    /// The claims set.
    pub fn unverified_claims(&self) -> &Object {
        &self.claims
    }

    /// The JWS itself.
    pub fn envelope(&self) -> &Envelope<'a> {
        &self.envelope
    }
}

/// The positions of the two dots; five parts are a JWE (RFC 7516 §7.1).
fn dots(token: &str) -> Result<(usize, usize), Refusal> {
    let mut dots = token.bytes().enumerate().filter(|(_, byte)| *byte == b'.').map(|(at, _)| at);
    match (dots.next(), dots.next(), dots.count()) {
        (Some(0), ..) => Err(Refusal::Format),
        (Some(first), Some(second), 0) => Ok((first, second)),
        (Some(_), Some(_), 2) => Err(Refusal::Nested),
        _ => Err(Refusal::Format),
    }
}

fn decode(part: &str, padded: bool) -> Result<Vec<u8>, Refusal> {
    let bare = part.trim_end_matches('=');
    let pad = part.len() - bare.len();
    if pad > 0 && !(padded && pad <= 2 && part.len().is_multiple_of(4)) {
        return Err(Refusal::Base64);
    }
    base64url::decode(bare).map_err(|_| Refusal::Base64)
}

/// Reads a JSON object. `not_object` is the refusal for anything else.
pub(super) fn read_object(
    bytes: Vec<u8>,
    not_object: Refusal,
    limits: &Limits,
) -> Result<Object, Refusal> {
    let Ok(text) = String::from_utf8(bytes) else { return Err(not_object) };
    Object::parse(text, limits.depth).map_err(|fault| match fault {
        JsonFault::NotObject => not_object,
        JsonFault::Duplicate => Refusal::DuplicateMember,
        JsonFault::Depth => Refusal::Depth { limit: limits.depth },
        JsonFault::Surrogate(member) => Refusal::Surrogate { member },
        JsonFault::Number(member) => Refusal::Number { member },
    })
}

impl UnverifiedHeader {
    fn read(bytes: Vec<u8>, limits: &Limits) -> Result<Self, Refusal> {
        let object = read_object(bytes, Refusal::Header, limits)?;
        if object.get("b64").is_some_and(|b64| b64 != "true") {
            return Err(Refusal::B64False);
        }
        if object.get("crit").is_some() {
            return Err(Refusal::Crit);
        }
        let alg = object.string("alg").ok_or(Refusal::Alg)?;
        let alg = Alg::from_name(&alg).ok_or(Refusal::Alg)?;
        let text_or_absent = |name| match object.get(name).map(json::string) {
            None => Ok(None),
            Some(Some(text)) => Ok(Some(text.into_owned())),
            Some(None) => Err(Refusal::Header),
        };
        // `enc` marks a JWE header; `cty: JWT` says that the payload is a token again.
        let cty = text_or_absent("cty")?;
        if object.get("enc").is_some() || cty.is_some_and(|cty| media_type(&cty) == "jwt") {
            return Err(Refusal::Nested);
        }
        let typ = text_or_absent("typ")?;
        let (kid, kid_is_text) = kid(&object)?;
        let is_plain = kid_is_text
            && object.members().iter().all(|m| matches!(&*m.name, "alg" | "kid" | "typ"));
        Ok(Self { alg, kid, typ, is_plain, object })
    }

    /// A parameter, if it is a string.
    pub(super) fn string(&self, name: &str) -> Option<Cow<'_, str>> {
        self.object.string(name)
    }
}

/// `application/` may be left out of a media type, and case does not matter (RFC 7515 §4.1.9).
pub(crate) fn media_type(text: &str) -> String {
    let text = text.to_ascii_lowercase();
    text.strip_prefix("application/").map(str::to_owned).unwrap_or(text)
}

/// The key ID as text, and whether it was a string.
fn kid(header: &Object) -> Result<(Option<String>, bool), Refusal> {
    let Some(value) = header.get("kid") else { return Ok((None, true)) };
    if let Some(text) = json::string(value) {
        return Ok((Some(text.into_owned()).filter(|text| !text.is_empty()), true));
    }
    if json::is_number(value) {
        return Ok((Some(value.to_owned()), false));
    }
    Err(Refusal::Header)
}
