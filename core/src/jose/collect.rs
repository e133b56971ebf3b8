//! Collects the entries of a document into a key set. Each is read by itself, so a bad one does not
//! affect the others. Duplicates are found afterwards.

use std::collections::{HashMap, HashSet};

use super::entry::{self, Naming};
use super::fault::{DocumentRefusal, KeyFault};
use super::jwk::PublicJwk;
use super::keyset::{KeySet, KeySource, ReadKey};
use super::names::Kid;
use super::pem::{self, Block};
use super::reading::{Normalized, Options};
use super::report::{Alarm, Change, Effect, Report, excerpt};
use super::thumbprint::Thumbprint;
use super::tree::{Json, Object};
use super::x509::DerKey;

/// Allowed entries of a document, per allowed key.
const ENTRIES_PER_KEY: usize = 10;

pub(super) struct Collector<'o> {
    options: &'o Options,
    report: Report,
    entries: Vec<ReadKey>,
}

impl<'o> Collector<'o> {
    pub(super) fn new(options: &'o Options) -> Self {
        Self { options, report: Report::default(), entries: Vec::new() }
    }

    pub(super) fn depth(&self) -> usize {
        self.options.limits.depth
    }

    /// Called before entries are read. Only usable ones count as keys, but each entry costs a check
    /// and a line of the report.
    pub(super) fn check_count(&self, found: usize) -> Result<(), DocumentRefusal> {
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
    pub(super) fn entry(&mut self, path: &str, name: Option<&str>, value: &Json) {
        match value {
            Json::Object(object) => self.jwk(path, name, object),
            Json::String(text) if pem::is_pem(text) => self.pem(path, name, text),
            other => self.report.changes.push(entry::not_an_object(path, other)),
        }
    }

    pub(super) fn jwk(&mut self, path: &str, name: Option<&str>, object: &Object) {
        let read = entry::read(object, path, name, self.options, &mut self.report);
        self.entries.extend(read);
    }

    /// An entry whose name occurs twice in the map: a token's `kid` does not say which one it
    /// means.
    pub(super) fn repeated_name(&mut self, path: &str, value: &Json) {
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
        if pem::blocks(text).any(|block| matches!(block, Block::Private)) {
            return self.private_pem(path);
        }
        let key = pem::blocks(text).find_map(|block| self.key_of(path, block));
        self.der(path, name, key);
    }

    /// PEM text as the whole document: each block is a key.
    pub(super) fn pem_text(&mut self, path: &str, text: &str) -> Result<(), DocumentRefusal> {
        self.check_count(pem::count(text))?;
        let blocks: Vec<_> = pem::blocks(text).collect();
        // A certificate that issued another one in the text belongs to an authority. Its key signs
        // certificates, not tokens. Self-signed certificates issue only themselves.
        let authorities: HashSet<_> = blocks
            .iter()
            .filter_map(|block| match block {
                Block::Certificate(cert) if cert.issuer != cert.subject => {
                    Some(cert.issuer.clone())
                }
                _ => None,
            })
            .collect();
        for (i, block) in blocks.into_iter().enumerate() {
            let path = &format!("{path}[{i}]");
            match block {
                Block::Private => self.private_pem(path),
                Block::Parameters => {}
                Block::Certificate(cert) if authorities.contains(&cert.subject) => {
                    self.drop(path, &KeyFault::PemChain);
                }
                block => {
                    let key = self.key_of(path, block);
                    self.der(path, None, key);
                }
            }
        }
        Ok(())
    }

    /// The key of a block. If its certificate has expired, the report says so.
    fn key_of(&mut self, path: &str, block: Block) -> Option<DerKey> {
        if let (Block::Certificate(cert), Some(now)) = (&block, self.options.now)
            && cert.has_expired(now)
        {
            self.report.warnings.push(Change::new(path, "cert_expired", Effect::Noted));
        }
        block.key()
    }

    fn private_pem(&mut self, path: &str) {
        self.report.alarms.push(Alarm {
            path: path.to_owned(),
            code: "private_key_leaked",
            members: vec!["PRIVATE KEY".to_owned()],
        });
        self.drop(path, &KeyFault::PrivateKeyLeaked);
    }

    fn der(&mut self, path: &str, name: Option<&str>, key: Option<DerKey>) {
        let Some(key) = key else { return self.drop(path, &KeyFault::Pem) };
        let Naming { kid, names, .. } = Naming::without_kid(name);
        match PublicJwk::new(key.material, kid, key.alg) {
            Ok(key) => {
                let kid = key.kid().unwrap_or_else(|| key.thumbprint().kid());
                let after = Some(excerpt(kid.as_str()));
                let change = Change::new(path, "pem", Effect::Repaired);
                self.report.changes.push(Change { after, ..change });
                let source = KeySource { path: path.into(), names };
                self.entries.push(ReadKey { key, source });
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

    /// One entry per key and `kid`, in the order of the document. The names of merged entries are
    /// kept.
    fn without_duplicates(&mut self, entries: Vec<ReadKey>) -> Vec<ReadKey> {
        let mut entries: Vec<_> = entries.into_iter().enumerate().collect();
        // An entry without a `kid` adds nothing to an entry of the same key with one, wherever that is.
        entries.sort_by_key(|(_, entry)| entry.key.kid().is_none());
        let mut kept: Vec<(usize, ReadKey)> = Vec::with_capacity(entries.len());
        // Positions in `kept`, by key and `kid`, and by key alone.
        let mut seen: HashMap<(Thumbprint, Option<Kid>), Vec<usize>> = HashMap::new();
        for (order, entry) in entries {
            let key = &entry.key;
            let id = |kid: Option<&Kid>| (key.thumbprint().clone(), kid.cloned());
            let same_alg = |i: &&usize| match (kept[**i].1.key.alg(), key.alg()) {
                (Some(one), Some(other)) => one == other,
                _ => true,
            };
            let same = seen.get(&id(key.kid())).map_or(&[][..], Vec::as_slice);
            let existing = match key.kid() {
                Some(_) => same.iter().find(same_alg),
                None => same.first(),
            };
            if let Some(&existing) = existing {
                self.merge(&mut kept[existing].1, entry);
            } else {
                for id in [id(key.kid()), id(None)] {
                    seen.entry(id).or_default().push(kept.len());
                }
                kept.push((order, entry));
            }
        }
        kept.sort_by_key(|(order, _)| *order);
        kept.into_iter().map(|(_, entry)| entry).collect()
    }

    fn merge(&mut self, into: &mut ReadKey, entry: ReadKey) {
        for name in entry.source.names {
            if !into.source.names.contains(&name) {
                into.source.names.push(name);
            }
        }
        let issuers = entry.key.issuers();
        if !issuers.is_empty() {
            into.key = into.key.clone().of_issuers(issuers.to_vec());
        }
        self.drop(&entry.source.path, &KeyFault::Duplicate);
    }

    /// A `kid` that names several keys is served for none of them: verifiers disagree which one to
    /// use.
    fn shared_kids(&mut self, entries: &[ReadKey]) {
        let named = || entries.iter().filter_map(|entry| Some((entry.key.kid()?, entry)));
        let mut keys: HashMap<&Kid, HashSet<&Thumbprint>> = HashMap::new();
        for (kid, entry) in named() {
            keys.entry(kid).or_default().insert(entry.key.thumbprint());
        }
        for (kid, entry) in named().filter(|(kid, _)| keys[kid].len() > 1) {
            self.report.warnings.push(Change {
                path: format!("{}.kid", entry.source.path),
                code: "duplicate_kid",
                effect: Effect::Noted,
                before: Some(excerpt(kid.as_str())),
                after: Some(entry.key.thumbprint().as_str().to_owned()),
            });
        }
    }
}
