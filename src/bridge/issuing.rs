//! Who issues tokens in our name.

use super::Bridge;
use crate::issuer::publisher::COMMON_PATH;
use crate::jose::names::Issuer;

impl Bridge {
    /// The issuer whose tokens leave here with `base` as their `iss` (a trailing slash does not
    /// matter), that `iss`, and the path of the set that verifies them. Looks at every issuer.
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
