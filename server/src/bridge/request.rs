//! A request to countersign a token, in a form that another task or thread can own.

use std::sync::Arc;

use crate::issuer::{IssuerHandle, Snapshot};
use crate::jose::jws::CompactJws;
use crate::jose::names::Audience;
use crate::pipeline::{Ask, Companions};

/// A token, the issuer that it names, that issuer's keys, and the request's options.
pub(super) struct TokenRequest {
    pub(super) jws: CompactJws<'static>,
    pub(super) ask: OwnedAsk,
    pub(super) handle: Arc<IssuerHandle>,
    pub(super) snapshot: Arc<Snapshot>,
}

/// An [`Ask`] that owns its parts.
pub(super) struct OwnedAsk {
    audience: Option<Audience>,
    access_token: Option<String>,
    original_access_token: Option<String>,
    code: Option<String>,
    state: Option<String>,
    room: Option<usize>,
    downscope: bool,
}

impl OwnedAsk {
    pub(super) fn of(ask: &Ask<'_>) -> Self {
        Self {
            audience: ask.audience.cloned(),
            access_token: ask.companions.access_token.map(str::to_owned),
            original_access_token: ask.companions.original_access_token.map(str::to_owned),
            code: ask.companions.code.map(str::to_owned),
            state: ask.companions.state.map(str::to_owned),
            room: ask.room,
            downscope: ask.downscope,
        }
    }

    pub(super) fn borrow(&self) -> Ask<'_> {
        Ask {
            audience: self.audience.as_ref(),
            companions: Companions {
                access_token: self.access_token.as_deref(),
                original_access_token: self.original_access_token.as_deref(),
                code: self.code.as_deref(),
                state: self.state.as_deref(),
            },
            room: self.room,
            downscope: self.downscope,
        }
    }
}
