//! Finds the issuer behind an `iss` of outgoing tokens.

use std::sync::Arc;

use super::Bridge;
use crate::issuer::IssuerHandle;
use crate::issuer::publisher::COMMON_PATH;
use crate::jose::names::Issuer;

impl Bridge {
    /// Whether `iss` is one of the issuers known here.
    pub fn is_ours(&self, iss: &str) -> bool {
        self.issuers.by_iss(iss).is_some()
    }

    /// The names that an issuer uses for itself, given its outgoing name `to`: the issuer with that
    /// `output_issuer`, else the only one.
    pub fn names_of(&self, to: &Issuer) -> Vec<String> {
        let by_output =
            |handle: &Arc<IssuerHandle>| handle.policy().output_issuer.as_ref() == Some(to);
        let found = self.issuers.iter().find(by_output).or_else(|| self.issuers.only());
        let names = found.map(|handle| handle.policy());
        names.iter().flat_map(|policy| policy.spellings()).map(ToString::to_string).collect()
    }

    /// The issuer whose outgoing tokens have `base` as their `iss` (ignoring a trailing slash),
    /// that `iss`, and the path of the key set that verifies them. Looks at every issuer.
    pub fn issuing_as(&self, base: &str) -> Option<(Issuer, String)> {
        self.issuers.iter().find_map(|handle| {
            let policy = handle.policy();
            let ours = |iss: &&Issuer| iss.as_str().trim_end_matches('/') == base;
            let found = match &policy.output_issuer {
                Some(output) => Some(output).filter(ours),
                None => policy.issuers.iter().find(ours),
            };
            let own = handle.settings().jwks_paths.first().cloned();
            let path = own.filter(|_| self.issuers.only().is_none());
            let path = path.unwrap_or_else(|| COMMON_PATH.to_owned());
            found.map(|iss| (iss.clone(), path))
        })
    }
}
