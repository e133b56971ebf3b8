//! Claims that change from token to token of one login. A verifier that caches results by all
//! claims of an identity (Convex's query cache) computes each result again after a renewal.

use super::edits::ObjectEdits;

/// New in each token, and compared by no client: `jti` (RFC 7519 §4.1.7), Entra ID's `uti`, `aio`
/// and `rh`, Cognito's `event_id`, Clerk's `fva` (the age of a factor, in minutes).
const PER_TOKEN: [&str; 6] = ["jti", "uti", "aio", "rh", "event_id", "fva"];
/// Compared by OpenID Connect clients (Core §3.1.3.7, §3.3.2.11); a strict verifier behind the
/// exchange never needs them.
const COMPARED: [&str; 4] = ["nonce", "at_hash", "c_hash", "s_hash"];

/// Whether `[profile] stable_claims = true` removes this claim from an exchanged token.
pub fn is_left_out(name: &str) -> bool {
    PER_TOKEN.iter().chain(&COMPARED).any(|known| *known == name)
}

/// Removes them; those that a client compares only if the token goes to another party. Returns
/// whether the token had any.
pub(super) fn remove(edits: &mut ObjectEdits<'_>, other_party: bool) -> bool {
    let compared = COMPARED.iter().filter(|_| other_party);
    PER_TOKEN.iter().chain(compared).filter(|name| edits.drop(name)).count() > 0
}
