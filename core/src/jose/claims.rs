//! Turns verified claims into the claims of the new token. The order of the rules: the operator's
//! (rename, set, drop), then the issuer, the audience, the times, the subject, the hash claims, the
//! standard claims. Claims that no rule names stay byte for byte.

use super::alg::Alg;
use super::asserted::AssertedClaims;
use super::audience::Audiences;
use super::edits::ObjectEdits;
use super::hash_claims::{self, Companions};
use super::json;
use super::jws::media_type;
use super::kind;
use super::names::{Audience, UnixTime};
use super::original;
use super::policy::{ClaimRules, IssuerPolicy};
use super::refusal::Refusal;
use super::stable;
use super::standard_claims;
use super::times::Times;
use super::verify::{CheckedClaims, VerifiedToken};
use crate::profile::ClaimShape;

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

/// The context of a new token.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The rules for the issuer's tokens.
    pub policy: &'a IssuerPolicy,
    /// What the verifier requires.
    pub shape: &'a ClaimShape,
    /// The algorithm the new token is signed with.
    pub alg: Alg,
    /// What the caller asks for.
    pub ask: &'a Ask<'a>,
    /// The current time.
    pub now: UnixTime,
}

/// The claims of a token before signing. Made from a proof (a [`VerifiedToken`] or
/// [`AssertedClaims`]) by value, so nothing unverified can be signed.
#[derive(Debug)]
pub struct NewClaims {
    pub(super) payload: String,
    /// The value of the `cso` header parameter.
    pub(super) original: Option<String>,
    expires: UnixTime,
    /// Whether the payload differs from the original's.
    pub changed: bool,
    /// The changes, as stable codes, each once.
    pub notes: Vec<&'static str>,
}

impl NewClaims {
    /// The claims of a verified token, changed as `terms` says.
    ///
    /// # Errors
    /// `sender_constrained`, `aud`, `exp_range`, `sub_missing`, `sub_type`, `hash`.
    #[expect(clippy::needless_pass_by_value, reason = "one proof, one new token")]
    pub fn of(token: VerifiedToken<'_>, terms: &Terms<'_>) -> Result<Self, Refusal> {
        if !terms.policy.sender_constrained && kind::is_sender_constrained(token.claims()) {
            return Err(Refusal::SenderConstrained);
        }
        let mut draft = Draft::new(token.claims(), terms);
        draft.check_subject_source()?;
        let header = token.header();
        let expires = draft.apply_rules(token.checked(), Some(header.alg))?;
        let other_typ = header.typ.as_deref().is_some_and(|typ| media_type(typ) != "jwt");
        draft.note_if(terms.shape.typ_jwt && other_typ, "typ_normalized");
        let changed = draft.edits.is_changed();
        let carried = terms.policy.carry_original && !draft.restricted;
        let original = carried.then(|| original::record(token.envelope(), !changed));
        draft.note_if(draft.restricted && terms.policy.carry_original, "original_left_out");
        Ok(draft.finish(expires, original))
    }

    /// Claims that another party asserted, completed to those of a token.
    ///
    /// # Errors
    /// As [`NewClaims::of`].
    #[expect(clippy::needless_pass_by_value, reason = "one proof, one new token")]
    pub fn asserted(claims: AssertedClaims, terms: &Terms<'_>) -> Result<Self, Refusal> {
        let mut draft = Draft::new(claims.claims(), terms);
        for member in claims.not_claims {
            draft.edits.drop(member);
        }
        if !claims.mapped {
            draft.check_subject_source()?;
        }
        if draft.edits.get("iss").is_none()
            && let Some(issuer) = terms.policy.issuers.first()
        {
            draft.edits.put_string("iss", issuer.as_str());
        }
        let expires = draft.apply_rules(claims.checked(), None)?;
        Ok(draft.finish(expires, None))
    }

    /// The expiry of the new token; never later than the original's.
    pub fn expires(&self) -> UnixTime {
        self.expires
    }

    pub(crate) fn remove_original(&mut self) {
        if self.original.take().is_some() {
            self.notes.push("original_left_out");
        }
    }
}

struct Draft<'a> {
    edits: ObjectEdits<'a>,
    terms: &'a Terms<'a>,
    notes: Vec<&'static str>,
    /// The new token is valid for less than the original. Its holder could read the original from
    /// it, and so undo the restriction.
    restricted: bool,
}

impl<'a> Draft<'a> {
    fn new(claims: &'a json::Object, terms: &'a Terms<'a>) -> Self {
        Self { edits: ObjectEdits::of(claims), terms, notes: Vec::new(), restricted: false }
    }

    /// All rules, in their order. Returns the expiry of the new token. `alg` is that of the
    /// original; claims that came without a signature have none, and lose their hash claims.
    fn apply_rules(
        &mut self,
        checked: &CheckedClaims,
        alg: Option<Alg>,
    ) -> Result<UnixTime, Refusal> {
        let Terms { policy, shape, ask, .. } = *self.terms;
        self.operator_rules(&policy.claims);
        if let Some(issuer) = &policy.output_issuer {
            let changed = self.edits.put_string("iss", issuer.as_str());
            self.note_if(changed, "iss_rewritten");
        }
        self.audience(&checked.audiences)?;
        let expires = self.times(checked.times, checked.exp)?;
        self.subject()?;
        // Before a hash of the wrong type is removed, because the check needs it.
        let (edits, notes) = (&mut self.edits, &mut self.notes);
        match alg {
            Some(alg) => hash_claims::rebind(edits, alg, self.terms.alg, &ask.companions, notes)?,
            None => {
                for claim in hash_claims::NAMES {
                    edits.drop(claim);
                }
            }
        }
        if shape.coerce_standard {
            standard_claims::coerce(edits, notes);
        }
        if shape.stable && stable::remove(edits, ask.downscope) {
            notes.push("stable_claims");
        }
        Ok(expires)
    }

    fn finish(mut self, expires: UnixTime, original: Option<String>) -> NewClaims {
        self.notes.sort_unstable();
        self.notes.dedup();
        NewClaims {
            payload: self.edits.render(),
            original,
            expires,
            changed: self.edits.is_changed(),
            notes: self.notes,
        }
    }

    fn note_if(&mut self, changed: bool, code: &'static str) {
        if changed {
            self.notes.push(code);
        }
    }

    /// If a rule renames another claim to `sub`, that claim must be present. The issuer's own `sub`
    /// has another meaning.
    fn check_subject_source(&self) -> Result<(), Refusal> {
        let renames = self.terms.policy.claims.rename.iter();
        let mut sources = renames.filter(|(_, to)| *to == "sub").map(|(from, _)| from);
        let missing = |from: &String| matches!(self.edits.get(from), None | Some("null"));
        if sources.any(missing) { Err(Refusal::SubjectMissing) } else { Ok(()) }
    }

    fn operator_rules(&mut self, rules: &ClaimRules) {
        let free = |name: &str| !ClaimRules::is_protected(name);
        let mut changed = false;
        for (from, to) in rules.rename.iter().filter(|(from, to)| free(from) && free(to)) {
            let replaces = to != "sub" && self.edits.get(to).is_some();
            let renamed = self.edits.rename(from, to);
            self.restricted |= renamed && replaces;
            changed |= renamed;
        }
        for (name, value) in rules.set.iter().filter(|(name, _)| free(name)) {
            let replaces = self.edits.get(name).is_some();
            let set = self.edits.put(name, value.to_string());
            self.restricted |= set && replaces;
            changed |= set;
        }
        for name in rules.drop.iter().filter(|name| free(name)) {
            let dropped = self.edits.drop(name);
            self.restricted |= dropped;
            changed |= dropped;
        }
        self.note_if(changed, "claim_rules");
    }

    fn audience(&mut self, audiences: &Audiences) -> Result<(), Refusal> {
        let Terms { policy, shape, ask, .. } = *self.terms;
        if !shape.single_audience && ask.audience.is_none() && !audiences.configured {
            return Ok(());
        }
        let azp = self.edits.string("azp");
        let chosen = audiences.choose(azp.as_deref(), &policy.audience, ask.audience)?;
        let of_several = audiences.list.len() > 1;
        self.restricted |= ask.downscope && ask.audience.is_some() && of_several;
        let changed = self.edits.put_string("aud", chosen.as_str());
        let code = match (audiences.configured, of_several) {
            (true, _) => "aud_set",
            (_, true) => "aud_chosen",
            _ => "aud_string",
        };
        self.note_if(changed, code);
        Ok(())
    }

    /// Whole seconds; `iat` and `nbf` not ahead of our clock; `exp` that of the original or
    /// earlier.
    fn times(&mut self, times: Times, exp: UnixTime) -> Result<UnixTime, Refusal> {
        let Terms { policy, shape, now, .. } = *self.terms;
        let (mut iat, mut nbf) = (times.iat, times.nbf);
        if shape.needs_iat {
            self.note_if(iat.is_none(), "iat_added");
            iat = Some(iat.map_or(now, |iat| iat.min(now)));
            // Valid within the operator's leeway, so make it valid for a verifier with our clock.
            nbf = nbf.map(|nbf| nbf.min(now));
        }
        let lifetime = policy.max_lifetime.into_iter().chain(shape.longest_life).min();
        let new_exp = lifetime.map_or(exp, |lifetime| now.plus(lifetime).min(exp));
        let exceeds = |life| iat.is_some_and(|iat: UnixTime| iat.plus(life) < new_exp);
        if new_exp < exp || shape.longest_life.is_some_and(exceeds) {
            // Clients renew by `exp - iat`, so that must be this token's life.
            iat = iat.map(|_| now);
            self.restricted = true;
        }
        self.note_if(new_exp < exp, "lifetime_capped");
        for (claim, time) in [("exp", Some(new_exp)), ("nbf", nbf), ("iat", iat)] {
            let Some(time) = time else { continue };
            if time.secs() > shape.latest_time {
                return Err(Refusal::TimeRange { claim });
            }
            let present = self.edits.get(claim).is_some();
            let changed = self.edits.put(claim, time.secs().to_string());
            self.note_if(changed && present, "time_rewritten");
        }
        Ok(new_exp)
    }

    fn subject(&mut self) -> Result<(), Refusal> {
        match self.edits.get("sub") {
            None | Some("null") if self.terms.shape.needs_sub => Err(Refusal::SubjectMissing),
            None | Some("null") => Ok(()),
            // Verifiers would take all tokens with an empty `sub` for the same user.
            Some("\"\"") => Err(Refusal::SubjectMissing),
            Some(string) if string.starts_with('"') => Ok(()),
            Some(number) if json::is_number(number) => {
                let text = number.to_owned();
                let changed = self.edits.put_string("sub", &text);
                self.note_if(changed, "sub_string");
                Ok(())
            }
            Some(_) => Err(Refusal::SubjectType),
        }
    }
}
