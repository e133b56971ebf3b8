//! Settings that two issuers must not share.

use std::collections::{HashMap, HashSet};

use super::IssuerSettings;
use super::publisher::COMMON_PATH;
use crate::jose::names::{Issuer, IssuerName};
use crate::jose::tenants;

/// What an issuer shares with another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    #[error("another issuer is called {0} too")]
    Name(IssuerName),
    #[error("{0} is an `iss` of {1} too")]
    Issuer(Issuer, IssuerName),
    #[error("tokens of {1} also get `iss` {0}")]
    Output(Issuer, IssuerName),
    #[error("{0} is the `iss` of the tokens of {1}, which keep it")]
    OutputIsIssuer(Issuer, IssuerName),
    #[error("with several issuers {COMMON_PATH} holds only our own keys")]
    CommonPath,
    #[error("{0} already answers with the set of {1}")]
    Path(String, IssuerName),
}

impl Conflict {
    /// The key of `[[issuer]]` that is at fault, and why it must not be so or what to do.
    pub fn key_and_hint(&self) -> (&'static str, &'static str) {
        match self {
            Self::Name(_) => ("name", "give each [[issuer]] a `name` of its own"),
            Self::Issuer(..) => ("issuer", "a token's `iss` decides whose keys it is checked with"),
            Self::Output(..) | Self::OutputIsIssuer(..) => (
                "output_issuer",
                "two issuers would share one `iss`: equal `sub`s would be one user",
            ),
            Self::CommonPath => {
                ("jwks_path", "else one issuer could sign for another; choose another path")
            }
            Self::Path(..) => ("jwks_path", "in one set, one issuer could sign for the other"),
        }
    }
}

/// # Errors
/// The first conflict, in the order of the configuration, and the index of its issuer.
pub fn check(issuers: &[IssuerSettings]) -> Result<(), (usize, Conflict)> {
    let many = issuers.len() > 1;
    let mut names = HashSet::new();
    // Keyed by the text of `iss`, or its pattern.
    let mut claimed: HashMap<String, &IssuerName> = HashMap::new();
    // Keyed by the `iss` of the new tokens.
    let mut outputs = HashMap::new();
    let mut paths = HashMap::new();
    for (index, issuer) in issuers.iter().enumerate() {
        let name = issuer.name();
        let found = |conflict| Err((index, conflict));
        if !names.insert(name) {
            return found(Conflict::Name(name.clone()));
        }
        for (iss, pattern) in spellings(issuer) {
            if let Some(other) = claimed.insert(pattern, name).filter(|other| *other != name) {
                return found(Conflict::Issuer(iss.clone(), other.clone()));
            }
        }
        if let Some(iss) = &issuer.policy.output_issuer
            && let Some(other) = outputs.insert(iss, name)
        {
            return found(Conflict::Output(iss.clone(), other.clone()));
        }
        for path in &issuer.jwks_paths {
            if many && path == COMMON_PATH {
                return found(Conflict::CommonPath);
            }
            if let Some(other) = paths.insert(path, name).filter(|other| *other != name) {
                return found(Conflict::Path(path.clone(), other.clone()));
            }
        }
    }
    check_outputs(issuers)
}

/// Each `iss` of an issuer, with the text or pattern that a token's `iss` must match.
fn spellings(issuer: &IssuerSettings) -> impl Iterator<Item = (&Issuer, String)> {
    let templates = issuer.policy.tenants.iter().flat_map(|tenants| &tenants.templates);
    let plain = issuer.policy.issuers.iter().map(|iss| (iss, iss.to_string()));
    plain.chain(templates.map(|template| (template.text(), template.pattern())))
}

/// An `output_issuer` must not be the `iss` of an issuer whose tokens keep theirs.
fn check_outputs(issuers: &[IssuerSettings]) -> Result<(), (usize, Conflict)> {
    let keeps = |issuer: &&IssuerSettings| issuer.policy.output_issuer.is_none();
    let kept: HashMap<String, &IssuerName> = issuers
        .iter()
        .filter(keeps)
        .flat_map(|issuer| spellings(issuer).map(|(_, pattern)| (pattern, issuer.name())))
        .collect();
    for (index, issuer) in issuers.iter().enumerate() {
        let Some(iss) = &issuer.policy.output_issuer else { continue };
        let by_pattern = || tenants::patterns(iss.as_str()).find_map(|p| kept.get(&p));
        if let Some(other) = kept.get(iss.as_str()).or_else(by_pattern) {
            return Err((index, Conflict::OutputIsIssuer(iss.clone(), (*other).clone())));
        }
    }
    Ok(())
}
