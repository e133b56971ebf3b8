//! Reads one entry of a key set: a JWK object in, and out comes a checked public signature key, or
//! the reason it is left out. Repairs are reported. Private members are noticed and never read.

use super::alg::{Alg, Family};
use super::fault::KeyFault;
use super::jwk::{Material, PublicJwk};
use super::keyset::ReadKey;
use super::material::{self, Kty, MaterialSource};
use super::names::{Kid, NameError};
use super::reading::Options;
use super::repair::{self, AlgText, UseText};
use super::report::{Alarm, Change, Effect, Report, excerpt};
use super::secrets::{is_blank, is_symmetric, leaked};
use super::tree::{Json, Object};

/// Reads one JWK. `name` is its name in the document (a key of a map).
pub(super) fn read(
    object: &Object<'_>,
    path: &str,
    name: Option<&str>,
    options: &Options,
    report: &mut Report,
) -> Option<ReadKey> {
    let leaked = leaked(object);
    if !leaked.is_empty() {
        let code = if is_symmetric(object) { "secret_leaked" } else { "private_key_leaked" };
        report.alarms.push(Alarm { path: path.to_owned(), code, members: leaked.clone() });
    }
    let mut notes = Report::default();
    let mut reader = EntryReader { object, path, name, options, notes: &mut notes };
    match reader.entry(&leaked) {
        Ok(entry) => {
            report.changes.append(&mut notes.changes);
            report.warnings.append(&mut notes.warnings);
            Some(entry)
        }
        Err(fault) => {
            report.changes.push(dropped(object, path, &fault));
            None
        }
    }
}

fn dropped(object: &Object<'_>, path: &str, fault: &KeyFault) -> Change {
    let before = fault.member().and_then(|member| object.get(member)).map(|value| match value {
        // `oth` may contain a secret.
        Json::String(text) if *fault != KeyFault::MultiPrime => excerpt(text),
        other => other.kind().to_owned(),
    });
    Change {
        path: match fault.member() {
            Some(member) => format!("{path}.{member}"),
            None => path.to_owned(),
        },
        code: fault.code(),
        effect: Effect::Dropped,
        before,
        after: None,
    }
}

/// Whether a value of `revoked` means yes: an object or a time (OpenID Federation 1.0 §8.7.2),
/// `true`, or any text but a plain no.
fn is_revoked(value: &Json<'_>) -> bool {
    match value {
        Json::Null | Json::Bool(false) => false,
        Json::Number(text) => text.parse() != Ok(0.0_f64),
        Json::String(text) => {
            !["", "0", "false", "no"].iter().any(|no| text.eq_ignore_ascii_case(no))
        }
        Json::Bool(true) | Json::Array(_) | Json::Object(_) => true,
    }
}

struct EntryReader<'a, 'o> {
    object: &'a Object<'o>,
    path: &'a str,
    name: Option<&'a str>,
    options: &'a Options,
    notes: &'a mut Report,
}

/// A member that gets another value once the key is known.
struct Pending {
    code: &'static str,
    before: Option<String>,
}

/// The entry's name.
struct Naming {
    kid: Option<Kid>,
    names: Vec<Box<str>>,
    pending: Option<Pending>,
}

impl Naming {
    fn nameless() -> Self {
        let pending = Some(Pending { code: "kid_missing", before: None });
        Self { kid: None, names: vec![], pending }
    }
}

fn is_index(name: &str) -> bool {
    name.len() <= 4 && name.bytes().all(|byte| byte.is_ascii_digit())
}

impl EntryReader<'_, '_> {
    fn entry(&mut self, leaked: &[String]) -> Result<ReadKey, KeyFault> {
        if self.object.members.is_empty() {
            return Err(KeyFault::Entry);
        }
        if self.object.repeated.is_some() {
            return Err(KeyFault::DuplicateMember);
        }
        if is_symmetric(self.object) {
            return Err(if leaked.is_empty() {
                KeyFault::Symmetric
            } else {
                KeyFault::SecretLeaked
            });
        }
        let kty = self.kty()?;
        self.signs()?;
        let (alg, alg_pending) = self.alg()?;
        self.lives()?;
        if self.object.present("oth").is_some_and(|oth| !is_blank(oth)) {
            return Err(KeyFault::MultiPrime);
        }
        let naming = self.naming()?;
        let read = material::read(self.object, kty)?;
        for (member, code, before, after) in read.repairs {
            self.repaired(member, code, Some(before), Some(after));
        }
        let key = PublicJwk::new(read.material, naming.kid, alg.or(read.alg))?;
        let key = key.of_issuers(issuers(self.object));
        self.certificate(&key, read.source);
        self.finish(&key, leaked, alg_pending, naming.pending);
        Ok(ReadKey { key, path: self.path.into(), order: 0, names: naming.names })
    }

    fn at(&self, member: &str) -> String {
        format!("{}.{member}", self.path)
    }

    fn repaired(
        &mut self,
        member: &str,
        code: &'static str,
        before: Option<String>,
        after: Option<String>,
    ) {
        let path = self.at(member);
        self.notes.changes.push(Change { path, code, effect: Effect::Repaired, before, after });
    }

    fn noted(&mut self, member: &str, code: &'static str) {
        self.notes.warnings.push(Change::new(self.at(member), code, Effect::Noted));
    }

    fn kty(&mut self) -> Result<Kty, KeyFault> {
        let text = match self.object.present("kty") {
            None if material::is_certified(self.object) => return Ok(Kty::OfCertificate),
            None => return Err(KeyFault::KtyMissing),
            Some(Json::String(text)) => text,
            Some(_) => return Err(KeyFault::KtyUnknown),
        };
        for (name, kty) in [("RSA", Kty::Rsa), ("EC", Kty::Ec), ("OKP", Kty::Okp)] {
            if text == name {
                return Ok(kty);
            }
            if text.eq_ignore_ascii_case(name) {
                self.repaired("kty", "kty_case", Some(excerpt(text)), Some(name.to_owned()));
                return Ok(kty);
            }
        }
        Err(KeyFault::KtyUnknown)
    }

    /// RFC 7517 §4.2 and §4.3: the key is for verifying signatures.
    fn signs(&mut self) -> Result<(), KeyFault> {
        let uses = match self.object.present("use") {
            None => vec![],
            Some(Json::String(text)) if text.is_empty() => vec![],
            Some(Json::String(text)) => vec![repair::key_use(text)],
            Some(Json::Array(items)) => {
                let one = |item: &Json<'_>| item.text().map_or(UseText::Unknown, repair::key_use);
                items.iter().map(one).collect()
            }
            Some(_) => return Err(KeyFault::UseUnknown),
        };
        if uses.contains(&UseText::Root) {
            return Err(KeyFault::NotSignature);
        }
        let sig = Some("sig".to_owned());
        let operations = operations(self.object);
        let verifies = operations.iter().any(|op| matches!(*op, "verify" | "sign"));
        if uses.is_empty() {
            if !operations.is_empty() && !verifies {
                return Err(KeyFault::NotSignature);
            }
            self.repaired("use", "use_missing", None, sig);
        } else if uses.iter().any(|text| matches!(text, UseText::Sig | UseText::Alias)) {
            match self.object.get("use") {
                Some(Json::String(text)) if text == "sig" => {}
                Some(Json::String(text)) => {
                    self.repaired("use", "use_alias", Some(excerpt(text)), sig);
                }
                _ => self.repaired("use", "use_type", Some("an array".to_owned()), sig),
            }
            if !operations.is_empty() && !verifies {
                self.noted("key_ops", "key_ops_conflict");
            }
        } else if uses.contains(&UseText::Unknown) {
            return Err(KeyFault::UseUnknown);
        } else {
            return Err(KeyFault::NotSignature);
        }
        if operations.contains(&"sign") && !operations.contains(&"verify") {
            self.noted("key_ops", "key_ops_sign");
        }
        Ok(())
    }

    fn alg(&self) -> Result<(Option<Alg>, Option<Pending>), KeyFault> {
        let text = match self.object.present("alg") {
            None => "",
            Some(Json::String(text)) => text,
            Some(_) => return Err(KeyFault::AlgType),
        };
        let alias = || Some(Pending { code: "alg_alias", before: Some(excerpt(text)) });
        if text.is_empty() {
            return Ok((None, Some(Pending { code: "alg_missing", before: None })));
        }
        match repair::alg(text) {
            AlgText::Known(alg) => Ok((Some(alg), None)),
            AlgText::Alias(alg) => Ok((Some(alg), alias())),
            AlgText::Family => Ok((None, alias())),
            AlgText::NotSignature => Err(KeyFault::NotSignature),
            AlgText::Secret => Err(KeyFault::AlgFamily),
            AlgText::Unknown => Err(KeyFault::AlgUnknown),
        }
    }

    /// Marks that some issuers put on retired keys (OpenID Federation 1.0 §8.7.2, jwx).
    fn lives(&self) -> Result<(), KeyFault> {
        if self.object.get("revoked").is_some_and(is_revoked) {
            return Err(KeyFault::Revoked);
        }
        if let (Some(Json::Number(text)), Some(now)) = (self.object.get("exp"), self.options.now)
            && let Ok(exp) = text.parse::<f64>()
        {
            // Larger values can only be milliseconds.
            let exp = if exp > 1e11 { exp / 1000.0 } else { exp };
            #[expect(clippy::cast_precision_loss, reason = "a date, to the second")]
            // Programs without a date write zero or less.
            if exp > 0.0 && exp < now.secs() as f64 {
                return Err(KeyFault::Expired);
            }
        }
        Ok(())
    }

    /// RFC 7517 §4.5. The thumbprint replaces a `kid` that no verifier accepts. Tokens still find
    /// the key by the issuer's name for it.
    fn naming(&self) -> Result<Naming, KeyFault> {
        let mut naming = match self.object.present("kid") {
            None => match self.name {
                // The index of a list that a program wrote as an object. Tokens with this `kid`
                // still find the key, but it is not published as its name.
                Some(name) if is_index(name) => Naming::nameless(),
                Some(name) => named(name, Some("kid_missing")),
                None => Naming::nameless(),
            },
            Some(Json::String(text)) => named(text, None),
            Some(Json::Number(text)) if is_whole(text) => named(text, Some("kid_number")),
            Some(_) => return Err(KeyFault::KidType),
        };
        if let Some(name) = self.name
            && naming.names.iter().all(|own| **own != *name)
        {
            naming.names.push(name.into());
        }
        Ok(naming)
    }

    /// The certificate is not published. If it is for another key, or expired, the report says so.
    fn certificate(&mut self, key: &PublicJwk, source: MaterialSource) {
        let Some(leaf) = material::leaf(self.object) else { return };
        if self.options.now.is_some_and(|now| leaf.has_expired(now)) {
            self.noted("x5c", "cert_expired");
        }
        let other = leaf.key.is_none_or(|leaf| leaf.material != *key.material());
        if source == MaterialSource::Members && other {
            self.noted("x5c", "x5c_mismatch");
        }
    }

    fn finish(
        &mut self,
        key: &PublicJwk,
        leaked: &[String],
        alg: Option<Pending>,
        kid: Option<Pending>,
    ) {
        if let Some(Pending { code, before }) = alg {
            let default = match key.family() {
                Family::Rsa => Some(self.options.rsa_alg),
                family => family.default_alg(),
            };
            let after = key.alg().or(default).map(|alg| alg.name().to_owned());
            self.repaired("alg", code, before, after);
        }
        if let Some(Pending { code, before }) = kid {
            let after = key.kid().unwrap_or_else(|| key.thumbprint().kid());
            self.repaired("kid", code, before, Some(excerpt(after.as_str())));
        }
        if !leaked.is_empty() {
            self.cut("private_key_leaked", leaked);
        }
        self.members_dropped(key, leaked);
        if let Material::Rsa { e, .. } = key.material()
            && **e != [1, 0, 1]
        {
            self.noted("e", "e_unusual");
        }
    }

    /// Members of the entry that are not published.
    fn cut(&mut self, code: &'static str, names: &[String]) {
        let before = Some(names.join(", "));
        let change = Change::new(self.path, code, Effect::Repaired);
        self.notes.changes.push(Change { before, ..change });
    }

    fn members_dropped(&mut self, key: &PublicJwk, leaked: &[String]) {
        let kept: &[&str] = match key.family() {
            Family::Rsa => &["kty", "n", "e", "kid", "alg", "use"],
            Family::Ec(_) => &["kty", "crv", "x", "y", "kid", "alg", "use"],
            _ => &["kty", "crv", "x", "kid", "alg", "use"],
        };
        let mut names: Vec<_> = self
            .object
            .members
            .iter()
            .map(|(name, _)| excerpt(name))
            .filter(|name| !kept.contains(&name.as_str()) && !leaked.contains(name))
            .take(SHOWN_NAMES + 1)
            .collect();
        if names.is_empty() {
            return;
        }
        if names.len() > SHOWN_NAMES {
            names[SHOWN_NAMES] = "…".to_owned();
        }
        self.cut("members_dropped", &names);
    }
}

/// `key_ops`, RFC 7517 §4.3; some servers write it as one string.
fn operations<'a>(object: &'a Object<'_>) -> Vec<&'a str> {
    match object.get("key_ops") {
        Some(Json::String(text)) if !text.is_empty() => vec![text],
        Some(Json::Array(items)) => items.iter().filter_map(Json::text).collect(),
        _ => vec![],
    }
}

/// The issuers that the entry names: a member outside the RFCs, one issuer or several. An invalid
/// value is kept, so that it matches nobody.
fn issuers(object: &Object<'_>) -> Vec<Box<str>> {
    let text = |value: &Json<'_>| value.text().unwrap_or(value.kind()).into();
    match object.present("issuer") {
        None => vec![],
        Some(Json::Array(items)) if !items.is_empty() => items.iter().map(text).collect(),
        Some(value) => vec![text(value)],
    }
}

/// Member names a report lists.
const SHOWN_NAMES: usize = 12;

fn is_whole(number: &str) -> bool {
    number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// The name of an entry that has one.
pub(super) fn named_entry(name: &str) -> (Option<Kid>, Vec<Box<str>>) {
    if is_index(name) {
        return (None, vec![name.into()]);
    }
    let naming = named(name, None);
    (naming.kid, naming.names)
}

fn named(text: &str, code: Option<&'static str>) -> Naming {
    let (kid, code) = match Kid::parse(text) {
        Ok(kid) => (Some(kid), code),
        Err(NameError::Empty) => (None, Some("kid_empty")),
        Err(NameError::TooLong(_)) => (None, Some("kid_long")),
        Err(_) => (None, Some("kid_chars")),
    };
    let before = || Some(excerpt(text));
    let pending = code.map(|code| Pending { code, before: before() });
    Naming { kid, names: vec![text.into()], pending }
}

/// The fault of an entry that is not an object.
pub(super) fn not_an_object(path: &str, value: &Json<'_>) -> Change {
    let before = Some(value.kind().to_owned());
    Change { before, ..Change::new(path, KeyFault::Entry.code(), Effect::Dropped) }
}
