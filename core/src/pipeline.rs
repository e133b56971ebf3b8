//! The pure pipeline: a compact JWS is verified, its claims are edited, and they are signed again.
//! A token that the verifier accepts already is passed on unchanged.

use crate::jose::alg::Alg;
use crate::jose::asserted::AssertedClaims;
use crate::jose::claims::{NewClaims, Terms};
use crate::jose::confirmation::Confirmation;
pub use crate::jose::hash_claims::Companions;
use crate::jose::jwk::PublicJwk;
use crate::jose::jwks::KeySet;
use crate::jose::jws::{CompactJws, media_type};
use crate::jose::names::{Audience, IssuerName, Limits, UnixTime};
use crate::jose::original;
use crate::jose::policy::IssuerPolicy;
use crate::jose::publish::PublishedKids;
use crate::jose::refusal::Refusal;
use crate::jose::sign::SigningKey;
use crate::jose::verify::{self, Budget, VerifiedToken};
use crate::profile::Profile;

/// Everything that a token is judged by, for one issuer and one moment.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The rules for the issuer's tokens.
    pub policy: &'a IssuerPolicy,
    /// The issuer's keys.
    pub keys: &'a KeySet,
    /// The keys in the set that the verifier reads for this issuer.
    pub published: &'a PublishedKids,
    /// The active signing key.
    pub signer: &'a SigningKey,
    /// The verifier.
    pub profile: &'a Profile,
    /// Limits on tokens.
    pub limits: &'a Limits,
    /// The current time.
    pub now: UnixTime,
}

/// What the caller asks for besides the token.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask<'a> {
    /// RFC 8693 §2.1 `audience`.
    pub audience: Option<&'a Audience>,
    /// Values that come with an ID token in the same answer.
    pub companions: Companions<'a>,
    /// The longest new token that fits in its place, in bytes; see
    /// [`crate::rewrite::cookie::room`]. A longer token is made without the original in it, and may
    /// still be too long.
    pub room: Option<usize>,
    /// The new token may go to another party (RFC 8693 §2.1). If it is valid in fewer places than
    /// the original, the original must not be embedded in it.
    pub downscope: bool,
}

/// What to do with a verified token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The verifier accepts it: it is passed on byte for byte.
    AsItStands {
        /// Its `exp`.
        expires: UnixTime,
        /// The key that it is bound to.
        confirmation: Option<Confirmation>,
    },
    /// It was signed again.
    Countersigned(Countersigned),
}

/// A new token.
#[derive(Clone, PartialEq, Eq)]
pub struct Countersigned {
    /// The compact JWS.
    pub jwt: String,
    /// `exp` of the new token.
    pub expires: UnixTime,
    /// The issuer of the original token.
    pub issuer: IssuerName,
    /// The key that both the original and the new token are bound to.
    pub confirmation: Option<Confirmation>,
    /// The algorithm of the original. `None` for claims that came without a signature.
    pub alg_in: Option<Alg>,
    /// The changes, as stable codes.
    pub notes: Vec<&'static str>,
}

impl std::fmt::Debug for Countersigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Countersigned")
            .field("issuer", &self.issuer)
            .field("expires", &self.expires)
            .field("alg_in", &self.alg_in)
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

/// Verifies and signs one token.
///
/// # Errors
/// [`Refusal`]. Then nothing was signed.
pub fn countersign(
    jws: &CompactJws<'_>,
    context: &Context<'_>,
    ask: &Ask<'_>,
) -> Result<Verdict, Refusal> {
    countersign_pausing(jws, context, ask, || ())
}

/// Like [`countersign`], but calls `pause` between verification and signature, each of which takes
/// a tenth of a millisecond or more.
///
/// # Errors
/// [`Refusal`]. Then nothing was signed.
pub fn countersign_pausing(
    jws: &CompactJws<'_>,
    context: &Context<'_>,
    ask: &Ask<'_>,
    pause: impl FnOnce(),
) -> Result<Verdict, Refusal> {
    let mut budget = Budget::new(context.limits);
    let token = verify::verify(jws, context.policy, context.keys, context.now, &mut budget)?;
    let alg_in = token.alg();
    let confirmation = Confirmation::of(token.claims());
    if confirmation.is_some() && !context.policy.sender_constrained {
        return Err(Refusal::SenderConstrained);
    }
    let acceptable = is_acceptable(&token, context);
    let expires = token.expires();
    let claims = NewClaims::of(token, &terms(context, ask))?;
    if acceptable && !claims.is_changed() {
        return Ok(Verdict::AsItStands { expires, confirmation });
    }
    pause();
    let new = sign(claims, Some(alg_in), context, ask)?;
    Ok(Verdict::Countersigned(Countersigned { confirmation, ..new }))
}

/// Signs claims that the authorization server asserted without signing them.
///
/// # Errors
/// [`Refusal`]. Then nothing was signed.
pub fn sign_claims(
    claims: AssertedClaims,
    context: &Context<'_>,
    ask: &Ask<'_>,
) -> Result<Countersigned, Refusal> {
    let confirmation = claims.confirmation();
    let claims = NewClaims::asserted(claims, &terms(context, ask))?;
    let new = sign(claims, None, context, ask)?;
    Ok(Countersigned { confirmation, ..new })
}

/// Rebuilds the issuer's original from a token that this program signed; `None` for any other
/// token.
pub fn restore(token: &str, own: &[PublicJwk], limits: &Limits) -> Option<String> {
    original::restore(token, own, limits)
}

/// Whether the verifier accepts the token's header and key. It must find the same key under the
/// same `kid`, with the same `alg`, in the set that it reads.
fn is_acceptable(token: &VerifiedToken<'_>, context: &Context<'_>) -> bool {
    let Context { policy, profile, published, .. } = context;
    let typ_fits = token.typ().is_none_or(|typ| media_type(typ) == "jwt");
    policy.publishes()
        && profile.accepts.contains(token.alg())
        && token.is_plain()
        && (typ_fits || !profile.claims.typ_jwt)
        && token
            .kid()
            .zip(token.key())
            .is_some_and(|(kid, key)| published.serves_for(kid, key, token.alg()))
}

fn terms<'a>(context: &Context<'a>, ask: &Ask<'a>) -> Terms<'a> {
    Terms {
        policy: context.policy,
        shape: &context.profile.claims,
        alg: context.signer.alg(),
        audience: ask.audience,
        companions: ask.companions,
        downscope: ask.downscope,
        now: context.now,
    }
}

fn sign(
    mut claims: NewClaims,
    alg_in: Option<Alg>,
    context: &Context<'_>,
    ask: &Ask<'_>,
) -> Result<Countersigned, Refusal> {
    // The embedded original is optional: leave it out rather than sign a token that is too long.
    let room = ask.room.map_or(context.limits.token, |room| room.min(context.limits.token));
    if context.signer.signed_len(&claims) > room {
        claims.leave_out_original();
    }
    let expires = claims.expires();
    let notes = claims.notes().to_vec();
    let jwt = context.signer.sign(claims)?;
    let issuer = context.policy.name.clone();
    Ok(Countersigned { jwt, expires, issuer, confirmation: None, alg_in, notes })
}
