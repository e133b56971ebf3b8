//! Replaces the tokens found in an answer with countersigned ones. A token that cannot be verified
//! is not changed, so that this proxy never breaks a login.

use http::HeaderValue;

use crate::jose::names::UnixTime;
use crate::pipeline::{Ask, Companions};
use crate::proxy::state::State;
use crate::rewrite::{Place, TokenRule};

/// The edits of one answer.
#[derive(Debug, Default)]
pub(super) struct Edits {
    pub(super) list: Vec<(Place, String)>,
    /// `exp` of the last new access token.
    pub(super) access_expires: Option<UnixTime>,
}

/// What to ask for under `rule`. `code` and `state` are values of the same answer that are hashed
/// into an ID token (OpenID Connect Core §3.3.2.11).
pub(super) fn ask<'a>(
    rule: &'a TokenRule,
    code: Option<&'a str>,
    state: Option<&'a str>,
) -> Ask<'a> {
    let companions = Companions { code, state, ..Companions::default() };
    Ask { audience: rule.audience.as_ref(), companions, ..Ask::default() }
}

/// A field value with its tokens replaced; `None` where it is not changed.
pub(super) async fn in_field(
    state: &State,
    value: &[u8],
    places: Vec<Place>,
    ask: &Ask<'_>,
) -> Option<HeaderValue> {
    super::spliced(value, edits(state, places, ask).await.list)
}

/// Finds the edits; tokens that are not changed are not among them. Access tokens come first,
/// because `at_hash` covers the new access token.
pub(super) async fn edits(state: &State, places: Vec<Place>, ask: &Ask<'_>) -> Edits {
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
        let ask = Ask { companions: Companions::default(), ..*ask };
        if let Some((new, expires)) = swapped(state, &place, &ask).await {
            if companion.is_some() {
                companion = Some(new.clone());
            }
            edits.access_expires = Some(expires);
            edits.list.push((place, new));
        }
    }
    let companions = Companions {
        access_token: companion.as_deref(),
        original_access_token: original.as_deref(),
        ..ask.companions
    };
    let ask = Ask { companions, ..*ask };
    for place in others {
        if let Some((new, _)) = swapped(state, &place, &ask).await {
            edits.list.push((place, new));
        }
    }
    edits
}

async fn swapped(state: &State, place: &Place, ask: &Ask<'_>) -> Option<(String, UnixTime)> {
    if !place.is_jws() {
        return None;
    }
    match state.countersign(&place.token, ask).await {
        Ok(bridged) => bridged.jwt.map(|jwt| (jwt.to_string(), bridged.expires)),
        Err(error) => {
            let (code, place) = (error.code(), place.name.as_str());
            tracing::info!(code, place, reason = %error, "a token passes unchanged");
            None
        }
    }
}
