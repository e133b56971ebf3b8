//! Reads one entry of a key set: a JWK object in, and out comes a checked public signature key, or
//! the reason it is left out. Repairs are reported. Private members are noticed and never read.

use super::alg::Alg;
use super::fault::KeyFault;
use super::jwk::{Material, PublicJwk};
use super::keyset::{KeySource, ReadKey};
use super::material::{self, Kty};
use super::names::{Kid, NameError};
use super::reading::Options;
use super::repair::{self, KeyUse};
use super::report::{Alarm, Change, Effect, Report, excerpt};
use super::secrets::{is_blank, is_symmetric, leaked};
use super::tree::{Json, Object};

/// Member names a report lists.
const SHOWN_NAMES: usize = 12;

/// Reads one JWK. `name` is its name in the document (a key of a map).
pub(super) fn read(
    object: &Object,
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
    let notes = Report::default();
    let mut reader = EntryReader { object, path, name, leaked: &leaked, options, notes };
    match reader.read() {
        Ok(entry) => {
            report.changes.append(&mut reader.notes.changes);
            report.warnings.append(&mut reader.notes.warnings);
            Some(entry)
        }
        Err(fault) => {
            report.changes.push(dropped(object, path, &fault));
            None
        }
    }
}

fn dropped(object: &Object, path: &str, fault: &KeyFault) -> Change {
    let before = fault.member().and_then(|member| object.get(member)).map(|value| match value {
        // `oth` may contain a secret.
        Json::String(text) if *fault != KeyFault::MultiPrime => excerpt(text),
        other => other.kind().to_owned(),
    });
    let path = match fault.member() {
        Some(member) => format!("{path}.{member}"),
        None => path.to_owned(),
    };
    Change { before, ..Change::new(path, fault.code(), Effect::Dropped) }
}

/// The fault of an entry that is not an object.
pub(super) fn not_an_object(path: &str, value: &Json) -> Change {
    let before = Some(value.kind().to_owned());
    Change { before, ..Change::new(path, KeyFault::Entry.code(), Effect::Dropped) }
}

struct EntryReader<'a> {
    object: &'a Object,
    path: &'a str,
    name: Option<&'a str>,
    leaked: &'a [String],
    options: &'a Options,
    /// Reported only if the key is usable.
    notes: Report,
}

/// A repair whose new value is known only once the whole key is read.
struct PendingRepair {
    code: &'static str,
    before: Option<String>,
}

/// The name of an entry.
pub(super) struct Naming {
    pub(super) kid: Option<Kid>,
    /// Every name that a token may use.
    pub(super) names: Vec<Box<str>>,
    repair: Option<PendingRepair>,
}

impl Naming {
    /// An entry without `kid`; `name` is its name in a map. The index of a list that a program
    /// wrote as an object is not published as a `kid`, but tokens with this `kid` find the key.
    pub(super) fn without_kid(name: Option<&str>) -> Self {
        let is_index =
            |name: &str| name.len() <= 4 && name.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(name) = name.filter(|name| !is_index(name)) {
            return Self::with_kid(name, Some("kid_missing"));
        }
        let repair = Some(PendingRepair { code: "kid_missing", before: None });
        Self { kid: None, names: name.map(Into::into).into_iter().collect(), repair }
    }

    /// `repair` is the code of the repair that led to this `kid`.
    fn with_kid(text: &str, repair: Option<&'static str>) -> Self {
        let (kid, code) = match Kid::parse(text) {
            Ok(kid) => (Some(kid), repair),
            Err(NameError::Empty) => (None, Some("kid_empty")),
            Err(NameError::TooLong(_)) => (None, Some("kid_long")),
            Err(_) => (None, Some("kid_chars")),
        };
        let repair = code.map(|code| PendingRepair { code, before: Some(excerpt(text)) });
        Self { kid, names: vec![text.into()], repair }
    }
}

impl EntryReader<'_> {
    fn read(&mut self) -> Result<ReadKey, KeyFault> {
        if self.object.members.is_empty() {
            return Err(KeyFault::Entry);
        }
        if !self.object.repeated().is_empty() {
            return Err(KeyFault::DuplicateMember);
        }
        if is_symmetric(self.object) {
            let secret = !self.leaked.is_empty();
            return Err(if secret { KeyFault::SecretLeaked } else { KeyFault::Symmetric });
        }
        let kty = self.kty()?;
        self.check_use()?;
        let (alg, alg_repair) = self.alg()?;
        self.check_retired()?;
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
        self.check_certificate(&key, read.from_certificate);
        self.report_names(&key, alg_repair, naming.repair);
        self.report_members(&key);
        Ok(ReadKey { key, source: KeySource { path: self.path.into(), names: naming.names } })
    }

    fn repaired(
        &mut self,
        member: &str,
        code: &'static str,
        before: Option<String>,
        after: Option<String>,
    ) {
        let path = format!("{}.{member}", self.path);
        self.notes.changes.push(Change { path, code, effect: Effect::Repaired, before, after });
    }

    fn warn(&mut self, member: &str, code: &'static str) {
        let path = format!("{}.{member}", self.path);
        self.notes.warnings.push(Change::new(path, code, Effect::Noted));
    }

    fn kty(&mut self) -> Result<Kty, KeyFault> {
        let text = match self.object.present("kty") {
            None if material::is_certified(self.object) => return Ok(Kty::OfCertificate),
            None => return Err(KeyFault::KtyMissing),
            Some(Json::String(text)) => text,
            Some(_) => return Err(KeyFault::KtyUnknown),
        };
        let known = [("RSA", Kty::Rsa), ("EC", Kty::Ec), ("OKP", Kty::Okp)];
        let found = known.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
        let (name, kty) = found.ok_or(KeyFault::KtyUnknown)?;
        if text != name {
            self.repaired("kty", "kty_case", Some(excerpt(text)), Some(name.to_owned()));
        }
        Ok(kty)
    }

    /// RFC 7517 §4.2 and §4.3: the key is for verifying signatures.
    fn check_use(&mut self) -> Result<(), KeyFault> {
        let (uses, repair) = match self.object.present("use").filter(|value| !is_blank(value)) {
            None => (vec![], Some(("use_missing", None))),
            Some(Json::String(text)) => {
                let alias = (text != "sig").then(|| ("use_alias", Some(excerpt(text))));
                (vec![repair::key_use(text)], alias)
            }
            Some(Json::Array(items)) => {
                let key_use = |item: &Json| item.text().map_or(KeyUse::Unknown, repair::key_use);
                let repair = ("use_type", Some("an array".to_owned()));
                (items.iter().map(key_use).collect(), Some(repair))
            }
            Some(_) => return Err(KeyFault::UseUnknown),
        };
        let operations = operations(self.object);
        let allows = |operation| operations.contains(&operation);
        let verifies = operations.is_empty() || allows("verify") || allows("sign");
        let stated = |key_use| uses.contains(&key_use);
        if stated(KeyUse::Root) || uses.is_empty() && !verifies {
            return Err(KeyFault::NotSignature);
        }
        if !uses.is_empty() && !stated(KeyUse::Signature) {
            let unknown = stated(KeyUse::Unknown);
            return Err(if unknown { KeyFault::UseUnknown } else { KeyFault::NotSignature });
        }
        if let Some((code, before)) = repair {
            self.repaired("use", code, before, Some("sig".to_owned()));
        }
        if !verifies {
            self.warn("key_ops", "key_ops_conflict");
        }
        if allows("sign") && !allows("verify") {
            self.warn("key_ops", "key_ops_sign");
        }
        Ok(())
    }

    fn alg(&self) -> Result<(Option<Alg>, Option<PendingRepair>), KeyFault> {
        let text = match self.object.present("alg") {
            None => "",
            Some(Json::String(text)) => text,
            Some(_) => return Err(KeyFault::AlgType),
        };
        if text.is_empty() {
            return Ok((None, Some(PendingRepair { code: "alg_missing", before: None })));
        }
        let alg = repair::alg(text)?;
        // `Ed25519` is registered too (RFC 9864 §2.2), but few readers know it.
        let is_alias = alg.is_none_or(|alg| alg.name() != text);
        let alias = || PendingRepair { code: "alg_alias", before: Some(excerpt(text)) };
        Ok((alg, is_alias.then(alias)))
    }

    /// Marks that some issuers put on retired keys (OpenID Federation 1.0 §8.7.2, jwx).
    fn check_retired(&self) -> Result<(), KeyFault> {
        if self.object.get("revoked").is_some_and(is_revoked) {
            return Err(KeyFault::Revoked);
        }
        let exp = self.object.get("exp").and_then(Json::seconds);
        if let (Some(exp), Some(now)) = (exp, self.options.now) {
            // Larger values can only be milliseconds.
            let exp = if exp > 100_000_000_000 { exp / 1000 } else { exp };
            // Programs without a date write zero or less.
            if exp > 0 && exp < now.secs() {
                return Err(KeyFault::Expired);
            }
        }
        Ok(())
    }

    /// RFC 7517 §4.5. The thumbprint replaces a `kid` that no verifier accepts. Tokens still find
    /// the key by the issuer's name for it.
    fn naming(&self) -> Result<Naming, KeyFault> {
        let mut naming = match self.object.present("kid") {
            None => Naming::without_kid(self.name),
            Some(Json::String(text)) => Naming::with_kid(text, None),
            Some(Json::Number(text)) if is_whole(text) => {
                Naming::with_kid(text, Some("kid_number"))
            }
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
    fn check_certificate(&mut self, key: &PublicJwk, from_certificate: bool) {
        let Some(leaf) = material::leaf(self.object) else { return };
        if self.options.now.is_some_and(|now| leaf.has_expired(now)) {
            self.warn("x5c", "cert_expired");
        }
        let other = leaf.key.is_none_or(|leaf| leaf.material != *key.material());
        if !from_certificate && other {
            self.warn("x5c", "x5c_mismatch");
        }
    }

    fn report_names(
        &mut self,
        key: &PublicJwk,
        alg: Option<PendingRepair>,
        kid: Option<PendingRepair>,
    ) {
        if let Some(PendingRepair { code, before }) = alg {
            let after = key.alg_or_default(self.options.rsa_alg);
            self.repaired("alg", code, before, after.map(|alg| alg.name().to_owned()));
        }
        if let Some(PendingRepair { code, before }) = kid {
            let after = key.kid().unwrap_or_else(|| key.thumbprint().kid());
            self.repaired("kid", code, before, Some(excerpt(after.as_str())));
        }
    }

    /// Reports members that are not published, and an unusual exponent.
    fn report_members(&mut self, key: &PublicJwk) {
        if !self.leaked.is_empty() {
            self.left_out("private_key_leaked", self.leaked);
        }
        let required = key.material().members();
        let is_published = |name: &str| {
            required.iter().any(|(own, _)| *own == name) || ["kid", "alg", "use"].contains(&name)
        };
        let names = self.object.members.iter().map(|(name, _)| excerpt(name));
        let left_out = names.filter(|name| !is_published(name) && !self.leaked.contains(name));
        let mut names: Vec<_> = left_out.take(SHOWN_NAMES + 1).collect();
        if names.len() > SHOWN_NAMES {
            names[SHOWN_NAMES] = "…".to_owned();
        }
        if !names.is_empty() {
            self.left_out("members_dropped", &names);
        }
        if let Material::Rsa { e, .. } = key.material()
            && **e != [1, 0, 1]
        {
            self.warn("e", "e_unusual");
        }
    }

    /// Members of the entry that are not published.
    fn left_out(&mut self, code: &'static str, names: &[String]) {
        let before = Some(names.join(", "));
        let change = Change::new(self.path, code, Effect::Repaired);
        self.notes.changes.push(Change { before, ..change });
    }
}

/// `key_ops`, RFC 7517 §4.3; some servers write it as one string.
fn operations(object: &Object) -> Vec<&str> {
    match object.get("key_ops") {
        Some(Json::String(text)) if !text.is_empty() => vec![text],
        Some(Json::Array(items)) => items.iter().filter_map(Json::text).collect(),
        _ => vec![],
    }
}

/// The issuers that the entry names: a member outside the RFCs, one issuer or several. An invalid
/// value is kept, so that it matches no issuer.
fn issuers(object: &Object) -> Vec<Box<str>> {
    let text = |value: &Json| value.text().unwrap_or(value.kind()).into();
    match object.present("issuer") {
        None => vec![],
        Some(Json::Array(items)) if !items.is_empty() => items.iter().map(text).collect(),
        Some(value) => vec![text(value)],
    }
}

/// Whether a value of `revoked` means yes: an object or a time (OpenID Federation 1.0 §8.7.2),
/// `true`, or any text but a plain no.
fn is_revoked(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => false,
        Json::Number(text) => text.parse() != Ok(0.0_f64),
        Json::String(text) => {
            !["", "0", "false", "no"].iter().any(|no| text.eq_ignore_ascii_case(no))
        }
        Json::Bool(true) | Json::Array(_) | Json::Object(_) => true,
    }
}

fn is_whole(number: &str) -> bool {
    number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}
