//! Collects the entries of a document into a key set. Each is read by itself, so a bad one does not
//! affect the others. Duplicates are found afterwards.

use std::collections::{HashMap, HashSet};

use super::alg::Alg;
use super::entry;
use super::fault::{DocumentRefusal, KeyFault};
use super::jwk::PublicJwk;
use super::keyset::{KeySet, ReadKey};
use super::names::Kid;
use super::pem::{self, Block};
use super::reading::{Normalized, Options};
use super::report::{Alarm, Change, Effect, Report, excerpt};
use super::thumbprint::Thumbprint;
use super::tree::{Json, Object};
use super::x509::{DerCertificate, DerKey};

/// Allowed entries of a document, per allowed key.
const ENTRIES_PER_KEY: usize = 10;

pub(super) struct Collector<'o> {
    options: &'o Options,
    report: Report,
    entries: Vec<ReadKey>,
}

/// An entry that is already in the set: its stated `alg` and its position.
type Twin = (Option<Alg>, usize);

impl<'o> Collector<'o> {
    pub(super) fn new(options: &'o Options, changes: Vec<Change>) -> Self {
        let report = Report { changes, ..Report::default() };
        Self { options, report, entries: Vec::new() }
    }

    pub(super) fn depth(&self) -> usize {
        self.options.limits.depth
    }

    /// Called before entries are read. Only usable ones count as keys, but each entry costs a check
    /// and a line of the report.
    pub(super) fn admit(&self, found: usize) -> Result<(), DocumentRefusal> {
        let limit = self.options.limits.keys.saturating_mul(ENTRIES_PER_KEY);
        if found > limit { Err(DocumentRefusal::TooManyKeys { found, limit }) } else { Ok(()) }
    }

    /// A change to the document as a whole.
    pub(super) fn note(&mut self, path: &str, code: &'static str) {
        self.report.changes.push(Change::new(path, code, Effect::Repaired));
    }

    fn drop(&mut self, path: &str, fault: &KeyFault) {
        self.report.changes.push(Change::new(path, fault.code(), Effect::Dropped));
    }

    /// An entry of a set or of a map.
    pub(super) fn json(&mut self, path: &str, name: Option<&str>, value: &Json<'_>) {
        match value {
            Json::Object(object) => self.jwk(path, name, object),
            Json::String(text) if pem::is_pem(text) => self.pem(path, name, text),
            other => self.report.changes.push(entry::not_an_object(path, other)),
        }
    }

    pub(super) fn jwk(&mut self, path: &str, name: Option<&str>, object: &Object<'_>) {
        let read = entry::read(object, path, name, self.options, &mut self.report);
        self.entries.extend(read);
    }

    /// An entry whose name occurs twice in the map: a token's `kid` does not say which one it
    /// means.
    pub(super) fn repeated_name(&mut self, path: &str, value: &Json<'_>) {
        // Read only for its alarms.
        if let Json::Object(object) = value {
            let mut report = Report::default();
            entry::read(object, path, None, self.options, &mut report);
            self.report.alarms.append(&mut report.alarms);
        }
        self.drop(path, &KeyFault::DuplicateMember);
    }

    /// PEM text for one key: the first block of it. The rest is the certificate chain above it.
    fn pem(&mut self, path: &str, name: Option<&str>, text: &str) {
        let mut key = None;
        for block in pem::blocks(text) {
            match block {
                Block::Private => return self.private_pem(path),
                Block::Certificate(cert) if key.is_none() => key = self.certified(path, cert),
                Block::Key(found) if key.is_none() => key = Some(found),
                _ => {}
            }
        }
        match key {
            Some(key) => self.der(path, name, key),
            None => self.drop(path, &KeyFault::Pem),
        }
    }

    /// PEM text as the whole document: each block is a key.
    pub(super) fn pem_text(&mut self, path: &str, text: &str) -> Result<(), DocumentRefusal> {
        self.admit(pem::count(text))?;
        let blocks: Vec<_> = pem::blocks(text).collect();
        // A certificate that issued another one in the text belongs to an authority. Its key signs
        // certificates, not tokens. Self-signed certificates issue only themselves.
        let authorities: HashSet<_> = blocks
            .iter()
            .filter_map(|block| match block {
                Block::Certificate(cert) if cert.issuer != cert.subject => Some(cert.issuer),
                _ => None,
            })
            .collect();
        for (i, block) in blocks.into_iter().enumerate() {
            let path = &format!("{path}[{i}]");
            match block {
                Block::Private => self.private_pem(path),
                Block::Parameters => {}
                Block::Unreadable => self.drop(path, &KeyFault::Pem),
                Block::Key(key) => self.der(path, None, key),
                Block::Certificate(cert) if authorities.contains(&cert.subject) => {
                    self.drop(path, &KeyFault::PemChain);
                }
                Block::Certificate(cert) => match self.certified(path, cert) {
                    Some(key) => self.der(path, None, key),
                    None => self.drop(path, &KeyFault::Pem),
                },
            }
        }
        Ok(())
    }

    /// The key of a certificate. If that has expired, the report says so.
    fn certified(&mut self, path: &str, cert: DerCertificate) -> Option<DerKey> {
        if self.options.now.is_some_and(|now| cert.has_expired(now)) {
            self.report.warnings.push(Change::new(path, "cert_expired", Effect::Noted));
        }
        cert.key
    }

    fn private_pem(&mut self, path: &str) {
        self.report.alarms.push(Alarm {
            path: path.to_owned(),
            code: "private_key_leaked",
            members: vec!["PRIVATE KEY".to_owned()],
        });
        self.drop(path, &KeyFault::PrivateKeyLeaked);
    }

    fn der(&mut self, path: &str, name: Option<&str>, key: DerKey) {
        let (kid, names) = name.map(entry::named_entry).unwrap_or_default();
        match PublicJwk::new(key.material, kid, key.alg) {
            Ok(key) => {
                let kid = key.kid().unwrap_or_else(|| key.thumbprint().kid());
                let after = Some(excerpt(kid.as_str()));
                let change = Change::new(path, "pem", Effect::Repaired);
                self.report.changes.push(Change { after, ..change });
                self.entries.push(ReadKey { key, path: path.into(), order: 0, names });
            }
            Err(fault) => self.drop(path, &fault),
        }
    }

    /// The key set, without duplicates.
    pub(super) fn finish(mut self) -> Result<Normalized, DocumentRefusal> {
        let entries = std::mem::take(&mut self.entries);
        let entries = self.without_duplicates(entries);
        if entries.is_empty() {
            return Err(DocumentRefusal::NoUsableKey(Box::new(self.report)));
        }
        let (found, limit) = (entries.len(), self.options.limits.keys);
        if found > limit {
            return Err(DocumentRefusal::TooManyKeys { found, limit });
        }
        self.shared_kids(&entries);
        let keys = KeySet::from_entries(entries, self.options.rsa_alg);
        Ok(Normalized { keys, report: self.report })
    }

    /// One entry per key and `kid`; the names of merged entries are kept.
    fn without_duplicates(&mut self, entries: Vec<ReadKey>) -> Vec<ReadKey> {
        let mut kept: Vec<ReadKey> = Vec::with_capacity(entries.len());
        let mut seen: HashMap<(Thumbprint, Kid), Vec<Twin>> = HashMap::new();
        let mut named: HashMap<Thumbprint, usize> = HashMap::new();
        let mut nameless = Vec::new();
        for (order, entry) in entries.into_iter().enumerate() {
            let print = entry.key.thumbprint().clone();
            let Some(kid) = entry.key.kid().cloned() else {
                nameless.push((order, entry));
                continue;
            };
            let same = seen.entry((print.clone(), kid)).or_default();
            let alg = entry.key.alg();
            let twin = same.iter().find(|(own, _)| *own == alg || own.is_none() || alg.is_none());
            if let Some(&(_, twin)) = twin {
                self.merge(&mut kept[twin], entry);
            } else {
                same.push((alg, kept.len()));
                named.entry(print).or_insert(kept.len());
                kept.push(ReadKey { order, ..entry });
            }
        }
        for (order, entry) in nameless {
            let print = entry.key.thumbprint().clone();
            match named.get(&print) {
                Some(&twin) => self.merge(&mut kept[twin], entry),
                None => {
                    named.insert(print, kept.len());
                    kept.push(ReadKey { order, ..entry });
                }
            }
        }
        kept.sort_by_key(|entry| entry.order);
        kept
    }

    fn merge(&mut self, into: &mut ReadKey, entry: ReadKey) {
        for name in entry.names {
            if !into.names.contains(&name) {
                into.names.push(name);
            }
        }
        let marks = entry.key.issuers().to_vec();
        if !marks.is_empty() {
            into.key = into.key.clone().of_issuers(marks);
        }
        self.drop(&entry.path, &KeyFault::Duplicate);
    }

    /// A `kid` that names several keys is served for none of them: verifiers disagree which one to
    /// use.
    fn shared_kids(&mut self, entries: &[ReadKey]) {
        let mut keys: HashMap<&Kid, HashSet<&Thumbprint>> = HashMap::new();
        for entry in entries {
            if let Some(kid) = entry.key.kid() {
                keys.entry(kid).or_default().insert(entry.key.thumbprint());
            }
        }
        for entry in entries {
            if let Some(kid) = entry.key.kid()
                && keys.get(kid).is_some_and(|keys| keys.len() > 1)
            {
                self.report.warnings.push(Change {
                    path: format!("{}.kid", entry.path),
                    code: "duplicate_kid",
                    effect: Effect::Noted,
                    before: Some(excerpt(kid.as_str())),
                    after: Some(entry.key.thumbprint().as_str().to_owned()),
                });
            }
        }
    }
}
