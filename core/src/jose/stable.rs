//! Claims that change from token to token of one login. A verifier that keeps results by all claims of
//! an identity (Convex's query cache) computes each of them again after a renewal.

use super::edits::Edits;

/// Named anew for each token, and compared by no client: `jti` (RFC 7519 §4.1.7), Entra ID's `uti`,
/// `aio` and `rh`, Cognito's `event_id`, Clerk's `fva` (the age of a factor, in minutes).
const MARKS: [&str; 6] = ["jti", "uti", "aio", "rh", "event_id", "fva"];
/// What an OpenID Connect client compares with its own (Core §3.1.3.7, §3.3.2.11), and what a strict
/// verifier behind the exchange never asks for.
const COMPARED: [&str; 4] = ["nonce", "at_hash", "c_hash", "s_hash"];

/// Whether `[profile] stable_claims = true` leaves this claim out of an exchanged token.
pub fn is_left_out(name: &str) -> bool {
    MARKS.iter().chain(&COMPARED).any(|known| *known == name)
}

/// Leaves them out; those a client compares only where the token goes to another party.
pub(super) fn leave_out(edits: &mut Edits<'_>, elsewhere: bool) -> bool {
    let mut done = false;
    for name in MARKS.iter().chain(COMPARED.iter().filter(|_| elsewhere)) {
        done |= edits.drop(name);
    }
    done
}
