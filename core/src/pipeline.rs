//! The pure pipeline: compact JWS in, verified, claims edited, signed again; or passed as it stands
//! where the verifier takes it without our help.

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

/// Everything a token is judged by. One issuer, one moment.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The rules for the issuer's tokens.
    pub policy: &'a IssuerPolicy,
    /// The issuer's keys.
    pub keys: &'a KeySet,
    /// What the set that the verifier reads for this issuer holds.
    pub published: &'a PublishedKids,
    /// The key that signs now.
    pub signer: &'a SigningKey,
    /// The verifier.
    pub profile: &'a Profile,
    /// Bounds on tokens.
    pub limits: &'a Limits,
    /// The moment.
    pub now: UnixTime,
}

/// What is asked for beside the token.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask<'a> {
    /// RFC 8693 §2.1 `audience`.
    pub audience: Option<&'a Audience>,
    /// What stands beside an ID token.
    pub companions: Companions<'a>,
    /// Bytes the new token may have where it is to stand; see [`crate::rewrite::cookie::room`]. Above
    /// them the original is left out of it, which may not be enough.
    pub room: Option<usize>,
    /// The new token may go to another party (RFC 8693 §2.1): where it is good in fewer places than
    /// the old one, the old one must not travel in it.
    pub downscope: bool,
}

/// What is to be done with a verified token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The verifier accepts it; it passes byte for byte.
    AsItStands {
        /// Its `exp`.
        expires: UnixTime,
        /// What it is bound to.
        confirmation: Option<Confirmation>,
    },
    /// It was signed anew.
    Countersigned(Countersigned),
}

/// A new token.
#[derive(Clone, PartialEq, Eq)]
pub struct Countersigned {
    /// The compact JWS.
    pub jwt: String,
    /// `exp` of the new token.
    pub expires: UnixTime,
    /// Whose token it was.
    pub issuer: IssuerName,
    /// What original and new token are bound to.
    pub confirmation: Option<Confirmation>,
    /// The algorithm of the original; none for claims that came without a signature.
    pub alg_in: Option<Alg>,
    /// What was changed, as stable codes.
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

/// Countersigns one token.
///
/// # Errors
/// [`Refusal`]; nothing was signed.
pub fn countersign(
    jws: &CompactJws<'_>,
    context: &Context<'_>,
    ask: &Ask<'_>,
) -> Result<Verdict, Refusal> {
    countersign_pausing(jws, context, ask, || ())
}

/// The same; `pause` is called between the verification and the signature, each of which takes a
/// tenth of a millisecond or more.
///
/// # Errors
/// [`Refusal`]; nothing was signed.
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

/// Signs claims that the authorization server asserted without a signature.
///
/// # Errors
/// [`Refusal`]; nothing was signed.
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

/// The issuer's own token, put together again from one *we* signed; none for any other token.
pub fn restore(token: &str, own: &[PublicJwk], limits: &Limits) -> Option<String> {
    original::restore(token, own, limits)
}

/// Whether the header and the key are such that the verifier takes the token, if its claims are too.
/// It must find that very key under that very `kid`, with that `alg`, in the set it reads.
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
    // The way back is a convenience; a token no one can carry is none.
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
