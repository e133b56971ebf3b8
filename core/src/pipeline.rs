//! The pure pipeline: a compact JWS is verified, its claims are edited, and they are signed again.
//! A token that the verifier accepts already is passed on unchanged.

use crate::jose::alg::Alg;
use crate::jose::asserted::AssertedClaims;
pub use crate::jose::claims::Ask;
use crate::jose::claims::{NewClaims, Terms};
pub use crate::jose::hash_claims::Companions;
use crate::jose::jwks::KeySet;
use crate::jose::jws::{CompactJws, UnverifiedHeader, media_type};
use crate::jose::names::{IssuerName, Limits, UnixTime};
pub use crate::jose::original::restore;
use crate::jose::policy::IssuerPolicy;
use crate::jose::publish::PublishedKids;
use crate::jose::refusal::Refusal;
use crate::jose::sign::SigningKey;
use crate::jose::verify::{self, VerifiedToken};
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

/// What to do with a verified token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The verifier accepts it: it is passed on byte for byte.
    AsItStands {
        /// Its `exp`.
        expires: UnixTime,
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
    let Context { policy, keys, limits, now, .. } = *context;
    let token = verify::verify(jws, policy, keys, limits, now)?;
    let alg_in = token.header().alg;
    let acceptable = is_acceptable(&token, context);
    let expires = token.expires();
    let claims = NewClaims::of(token, &terms(context, ask))?;
    if acceptable && !claims.changed {
        return Ok(Verdict::AsItStands { expires });
    }
    pause();
    sign(claims, Some(alg_in), context, ask).map(Verdict::Countersigned)
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
    let claims = NewClaims::asserted(claims, &terms(context, ask))?;
    sign(claims, None, context, ask)
}

/// Whether the verifier accepts the token's header and key. It must find the same key under the
/// same `kid`, with the same `alg`, in the set that it reads.
fn is_acceptable(token: &VerifiedToken<'_>, context: &Context<'_>) -> bool {
    let Context { policy, profile, published, .. } = context;
    let UnverifiedHeader { alg, kid, typ, .. } = token.header();
    let typ_fits = typ.as_deref().is_none_or(|typ| media_type(typ) == "jwt");
    policy.publishes()
        && profile.accepts.contains(*alg)
        && token.is_plain()
        && (typ_fits || !profile.claims.typ_jwt)
        && kid
            .as_deref()
            .zip(token.key())
            .is_some_and(|(kid, key)| published.serves_for(kid, key, *alg))
}

fn terms<'a>(context: &Context<'a>, ask: &'a Ask<'a>) -> Terms<'a> {
    let Context { policy, profile, signer, now, .. } = *context;
    Terms { policy, shape: &profile.claims, alg: signer.alg(), ask, now }
}

fn sign(
    mut claims: NewClaims,
    alg_in: Option<Alg>,
    context: &Context<'_>,
    ask: &Ask<'_>,
) -> Result<Countersigned, Refusal> {
    // The embedded original is optional: sign without it rather than a token that is too long.
    let longest = context.limits.token.min(ask.room.unwrap_or(usize::MAX));
    if context.signer.signed_len(&claims) > longest {
        claims.remove_original();
    }
    let (expires, notes) = (claims.expires(), claims.notes.clone());
    let jwt = context.signer.sign(claims)?;
    let issuer = context.policy.name.clone();
    Ok(Countersigned { jwt, expires, issuer, alg_in, notes })
}
