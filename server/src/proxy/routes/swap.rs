//! Replaces the tokens found in an answer with countersigned ones. A token that cannot be verified
//! is not changed, so that this proxy never breaks a login.

use crate::jose::names::UnixTime;
use crate::pipeline::{Ask, Companions};
use crate::proxy::state::State;
use crate::rewrite::{Place, TokenRule};

/// Values of the same answer that are hashed into an ID token (OpenID Connect Core §3.3.2.11).
#[derive(Debug, Default, Clone)]
pub(super) struct Beside {
    pub(super) code: Option<String>,
    pub(super) state: Option<String>,
    /// The longest new token that fits, in bytes.
    pub(super) room: Option<usize>,
}

/// The edits of one answer.
#[derive(Debug, Default)]
pub(super) struct Edits {
    pub(super) list: Vec<(Place, String)>,
    /// `exp` of the last new access token.
    pub(super) access_expires: Option<UnixTime>,
}

/// Finds the edits; tokens that are not changed are not among them. Access tokens come first,
/// because `at_hash` covers the new access token.
pub(super) async fn edits(
    state: &State,
    rule: &TokenRule,
    places: Vec<Place>,
    beside: &Beside,
) -> Edits {
    let (access, others): (Vec<_>, Vec<_>) =
        places.into_iter().partition(|p| matches!(p.leaf(), "access_token" | "accessToken"));
    let mut edits = Edits::default();
    // With several access tokens in one answer, it is unknown which one an ID token belongs to.
    let original = match access.as_slice() {
        [only] => Some(only.token.clone()),
        _ => None,
    };
    let mut companion = original.clone();
    for place in access {
        let new = swapped(state, rule, &place, Companions::default(), beside.room).await;
        if let Some((new, expires)) = new {
            if companion.is_some() {
                companion = Some(new.clone());
            }
            edits.access_expires = Some(expires);
            edits.list.push((place, new));
        }
    }
    for place in others {
        let room = beside.room;
        let beside = Companions {
            access_token: companion.as_deref(),
            original_access_token: original.as_deref(),
            code: beside.code.as_deref(),
            state: beside.state.as_deref(),
        };
        if let Some((new, _)) = swapped(state, rule, &place, beside, room).await {
            edits.list.push((place, new));
        }
    }
    edits
}

async fn swapped(
    state: &State,
    rule: &TokenRule,
    place: &Place,
    companions: Companions<'_>,
    room: Option<usize>,
) -> Option<(String, UnixTime)> {
    if !place.is_jws() {
        return None;
    }
    let ask = Ask { audience: rule.audience.as_ref(), companions, room, ..Ask::default() };
    match state.bridge.countersign(&place.token, &ask).await {
        Ok(bridged) => {
            state.counters.place(bridged.outcome());
            bridged.jwt.map(|jwt| (jwt.to_string(), bridged.expires))
        }
        Err(error) => {
            state.counters.place(error.code());
            let (code, place) = (error.code(), place.name.as_str());
            tracing::info!(code, place, reason = %error, "a token passes unchanged");
            None
        }
    }
}
