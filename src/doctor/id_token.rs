//! An ID token (OpenID Connect Core §2, §5.1) as the strict verifier parses it: a standard claim of
//! the wrong JSON type, and the whole token is refused.

use base64::Engine as _;

use super::Cause;
use super::claims::TIMES;
use super::lax::{ALGORITHMS, BASE64};
use crate::inspect::tree::Tree;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) kid: Option<String>,
    typ: Option<String>,
    cty: bool,
    crit: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Time,
    Texts,
    Address,
}

/// Claims with a type; the last column: a language tag (`name#de`) is allowed.
const CLAIMS: [(&str, Kind, bool); 27] = [
    ("auth_time", Kind::Time, false),
    ("nonce", Kind::Text, false),
    ("acr", Kind::Text, false),
    ("amr", Kind::Texts, false),
    ("azp", Kind::Text, false),
    ("at_hash", Kind::Text, false),
    ("c_hash", Kind::Text, false),
    ("name", Kind::Text, true),
    ("given_name", Kind::Text, true),
    ("family_name", Kind::Text, true),
    ("middle_name", Kind::Text, true),
    ("nickname", Kind::Text, true),
    ("profile", Kind::Text, true),
    ("picture", Kind::Text, true),
    ("website", Kind::Text, true),
    ("preferred_username", Kind::Text, false),
    ("email", Kind::Text, false),
    ("email_verified", Kind::Flag, false),
    ("gender", Kind::Text, false),
    ("birthday", Kind::Text, false),
    ("birthdate", Kind::Text, false),
    ("zoneinfo", Kind::Text, false),
    ("locale", Kind::Text, false),
    ("phone_number", Kind::Text, false),
    ("phone_number_verified", Kind::Flag, false),
    ("address", Kind::Address, false),
    ("updated_at", Kind::Time, false),
];

pub(super) fn header(token: &str) -> Result<Header, Cause> {
    let parts: Vec<_> = token.split('.').collect();
    if parts.len() != 3 {
        return Err(Cause::new("format", "token", format!("{} parts, not three", parts.len())));
    }
    let bytes = BASE64
        .decode(parts[0])
        .map_err(|_| Cause::new("b64", "header", "the header is not base64url"))?;
    let Ok(tree @ Tree::Object(_)) = Tree::parse(&bytes) else {
        return Err(Cause::new("not_json", "header", "the header is not a JSON object"));
    };
    let fault =
        |name: &str, text: String| Err(Cause::new("header", &format!("header.{name}"), text));
    for name in ["alg", "crit", "cty", "kid", "typ"] {
        if tree.all(name).nth(1).is_some() {
            return fault(name, format!("`{name}` stands there twice"));
        }
    }
    let present = |name: &str| tree.get(name).filter(|v| !v.is_null());
    for name in ["cty", "kid", "typ"] {
        if let Some(other) = present(name).filter(|v| v.text().is_none()) {
            return fault(name, format!("`{name}` is {}, not a string", other.kind()));
        }
    }
    let texts = |v: &Tree| v.list().is_some_and(|list| list.iter().all(|v| v.text().is_some()));
    if present("crit").is_some_and(|v| !texts(v)) {
        return fault("crit", "`crit` is not a list of strings".to_owned());
    }
    let text = |name: &str| present(name).and_then(Tree::text).map(str::to_owned);
    match text("alg") {
        Some(alg) if ALGORITHMS.contains(&alg.as_str()) => Ok(Header {
            alg,
            kid: text("kid"),
            typ: text("typ"),
            cty: present("cty").is_some(),
            crit: present("crit").is_some(),
        }),
        Some(alg) => fault("alg", format!("it does not know `alg` {alg}")),
        None => fault("alg", "`alg` is missing".to_owned()),
    }
}

impl Header {
    /// What it parses and then refuses.
    pub(super) fn unsupported(&self) -> Option<Cause> {
        if let Some(typ) = &self.typ {
            let lower = typ.to_lowercase();
            let full = if lower.contains('/') { lower } else { format!("application/{lower}") };
            if !["application/jwt", "application/jose"].contains(&full.as_str()) {
                let text = format!("`typ` is {typ}; JWT or nothing is taken");
                return Some(Cause::new("typ", "header.typ", text));
            }
        }
        if self.cty {
            return Some(Cause::new("cty", "header.cty", "a nested token (`cty`) is not taken"));
        }
        let text = "extensions that must be understood (`crit`) are not";
        self.crit.then(|| Cause::new("crit", "header.crit", text))
    }
}

pub(super) fn claims(tree: &Tree) -> Result<(), Cause> {
    let fault =
        |name: &str, text: String| Err(Cause::new("claim_type", &format!("claims.{name}"), text));
    // `iss`, `sub`, `aud`, `exp` and `iat` have their types already; null is not one of them here.
    for name in ["sub", "exp", "iat"] {
        match tree.get(name) {
            None => {
                let text = format!("there is no `{name}`");
                return Err(Cause::new("claim_missing", &format!("claims.{name}"), text));
            }
            Some(Tree::Null) => return fault(name, format!("`{name}` is null")),
            Some(_) => {}
        }
    }
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in tree.members() {
        let (plain, tag) = name.split_once('#').unwrap_or((name, ""));
        let localised = |(known, _, localised): &&(&str, Kind, bool)| {
            *known == name || (*known == plain && (*localised || name.contains('#')))
        };
        let Some((known, kind, tags)) = CLAIMS.iter().find(localised) else { continue };
        let same = if tag.is_empty() { *known } else { name.as_str() };
        if seen.contains(&same) {
            return fault(name, format!("`{name}` stands there twice"));
        }
        seen.push(same);
        if !tag.is_empty() && !tags {
            let standard =
                !["auth_time", "nonce", "acr", "amr", "azp", "at_hash", "c_hash"].contains(known);
            if standard {
                return fault(name, format!("`{known}` cannot have a language"));
            }
            continue;
        }
        if !fits(*kind, value) {
            return fault(name, format!("`{name}` is {}, not {}", value.kind(), wanted(*kind)));
        }
    }
    Ok(())
}

fn fits(kind: Kind, value: &Tree) -> bool {
    let address = |v: &Tree| {
        const PARTS: [&str; 6] =
            ["formatted", "street_address", "locality", "region", "postal_code", "country"];
        matches!(v, Tree::Object(_))
            && PARTS.iter().all(|part| {
                v.all(part).count() < 2
                    && v.get(part).is_none_or(|p| p.is_null() || p.text().is_some())
            })
    };
    value.is_null()
        || match kind {
            Kind::Text => value.text().is_some(),
            Kind::Flag => matches!(value, Tree::Bool(_)),
            Kind::Texts => value.list().is_some_and(|l| l.iter().all(|v| v.text().is_some())),
            Kind::Time => {
                value.seconds().is_some_and(|at| TIMES.contains(&at))
                    || value.text().is_some_and(is_rfc3339)
            }
            Kind::Address => address(value),
        }
}

/// The shape of an RFC 3339 time; its numbers are not looked at.
fn is_rfc3339(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', 't', ' ']) else { return false };
    let digits = |s: &str, n: usize| s.len() == n && s.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<_> = date.split('-').collect();
    let zone = time.ends_with(['Z', 'z']) || time.rfind(['+', '-']).is_some_and(|i| i >= 8);
    matches!(parts.as_slice(), [y, m, d] if digits(y, 4) && digits(m, 2) && digits(d, 2))
        && time.len() >= 9
        && time.as_bytes()[2] == b':'
        && time.as_bytes()[5] == b':'
        && zone
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a string",
        Kind::Flag => "true or false",
        Kind::Time => "a time",
        Kind::Texts => "a list of strings",
        Kind::Address => "an object of strings",
    }
}
