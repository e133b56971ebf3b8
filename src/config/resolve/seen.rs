//! What no two issuers may share.

use std::collections::HashMap;

use super::super::error::Checked;
use super::place::At;
use crate::issuer::IssuerSettings;
use crate::issuer::publisher::COMMON_PATH;
use crate::jose::names::IssuerName;
use crate::jose::tenants;

const ONE_NAME: &str = "both may give one `sub` to two people, and to the verifier they were one";

#[derive(Default)]
pub(super) struct Seen {
    names: HashMap<IssuerName, ()>,
    /// By the text of `iss`, or its pattern.
    issuers: HashMap<String, IssuerName>,
    /// By the `iss` with which tokens leave here.
    outputs: HashMap<String, IssuerName>,
    paths: HashMap<String, IssuerName>,
}

impl Seen {
    pub(super) fn check(&mut self, issuer: &IssuerSettings, at: &At, many: bool) -> Checked<()> {
        let name = issuer.name();
        if self.names.insert(name.clone(), ()).is_some() {
            return Err(at
                .key("name")
                .fault(format_args!("another issuer is called {name} too"))
                .hint("give each [[issuer]] a `name` of its own"));
        }
        let policy = &issuer.policy;
        let templates = policy.tenants.iter().flat_map(|tenants| &tenants.templates);
        let plain = policy.issuers.iter().map(|iss| (iss, iss.to_string()));
        for (iss, written) in plain.chain(templates.map(|t| (t.text(), t.pattern()))) {
            if let Some(other) = self.issuers.insert(written, name.clone())
                && other != *name
            {
                return Err(at
                    .key("issuer")
                    .fault(format_args!("{iss} is an `iss` of {other} too"))
                    .hint("a token's `iss` decides whose keys it is checked with"));
            }
        }
        if let Some(iss) = &policy.output_issuer
            && let Some(other) = self.outputs.insert(iss.to_string(), name.clone())
        {
            return Err(at
                .key("output_issuer")
                .fault(format_args!("tokens of {other} leave with {iss} too"))
                .hint(ONE_NAME));
        }
        for path in &issuer.jwks_paths {
            if many && path == COMMON_PATH {
                return Err(at
                    .key("jwks_path")
                    .fault(format_args!("with several issuers {path} holds our own keys alone"))
                    .hint("else one issuer could sign for another; choose another path"));
            }
            if let Some(other) = self.paths.insert(path.clone(), name.clone())
                && other != *name
            {
                return Err(at
                    .key("jwks_path")
                    .fault(format_args!("{path} already answers with the set of {other}"))
                    .hint("in one set, one issuer could sign for the other"));
            }
        }
        Ok(())
    }

    /// No token may become one of an issuer whose own tokens keep their `iss`. Looked at when all are
    /// known.
    pub(super) fn outputs(issuers: &[IssuerSettings]) -> Checked<()> {
        let keeps = |issuer: &&IssuerSettings| issuer.policy.output_issuer.is_none();
        let mut own = HashMap::new();
        let mut patterns = HashMap::new();
        for issuer in issuers.iter().filter(keeps) {
            own.extend(issuer.policy.issuers.iter().map(|iss| (iss.as_str(), issuer.name())));
            let tenants = issuer.policy.tenants.iter().flat_map(|tenants| &tenants.templates);
            patterns.extend(tenants.map(|t| (t.pattern(), issuer.name())));
        }
        for (i, issuer) in issuers.iter().enumerate() {
            let Some(iss) = &issuer.policy.output_issuer else { continue };
            let by_pattern = || tenants::patterns(iss.as_str()).find_map(|p| patterns.get(&p));
            if let Some(other) = own.get(iss.as_str()).or_else(by_pattern) {
                return Err(At::root("issuer")
                    .index(i)
                    .key("output_issuer")
                    .fault(format_args!("{iss} is what tokens of {other} say"))
                    .hint(ONE_NAME));
            }
        }
        Ok(())
    }
}
