//! Turns verified claims into the claims of the new token. The order of the rules: the operator's
//! (rename, set, drop), then the issuer, the audience, the times, the subject, the standard claims,
//! the hash claims. Claims that no rule names stay byte for byte.

use super::alg::Alg;
use super::asserted::AssertedClaims;
use super::audience::Audiences;
use super::edits::ObjectEdits;
use super::hash_claims::{self, Companions};
use super::json;
use super::jws::media_type;
use super::names::{Audience, UnixTime};
use super::original;
use super::policy::{ClaimRules, IssuerPolicy};
use super::refusal::Refusal;
use super::stable;
use super::standard_claims;
use super::times::Times;
use super::verify::VerifiedToken;
use crate::profile::ClaimShape;

/// The context of a new token.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The rules for the issuer's tokens.
    pub policy: &'a IssuerPolicy,
    /// What the verifier requires.
    pub shape: &'a ClaimShape,
    /// The algorithm the new token is signed with.
    pub alg: Alg,
    /// RFC 8693 §2.1 `audience`, if one was requested.
    pub audience: Option<&'a Audience>,
    /// The other values in the answer of an ID token.
    pub companions: Companions<'a>,
    /// See [`crate::pipeline::Ask::downscope`].
    pub downscope: bool,
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
    changed: bool,
    notes: Vec<&'static str>,
}

impl NewClaims {
    /// The claims of a verified token, changed as `terms` says.
    ///
    /// # Errors
    /// `aud`, `exp_range`, `sub_missing`, `sub_type`, `hash`.
    #[expect(clippy::needless_pass_by_value, reason = "one proof, one new token")]
    pub fn of(token: VerifiedToken<'_>, terms: &Terms<'_>) -> Result<Self, Refusal> {
        let mut draft = Draft::new(ObjectEdits::of(token.claims()), terms);
        draft.has_subject(&terms.policy.claims)?;
        draft.rules(&terms.policy.claims);
        draft.issuer();
        draft.audience(token.audiences())?;
        let expires = draft.times(token.times(), token.expires())?;
        draft.subject()?;
        // Before a hash of the wrong type is removed, because the check needs it.
        draft.hashes(token.alg())?;
        if terms.shape.coerce_standard {
            standard_claims::coerce(&mut draft.edits, &mut draft.notes);
        }
        draft.stable();
        if terms.shape.typ_jwt && token.typ().is_some_and(|typ| media_type(typ) != "jwt") {
            draft.notes.push("typ_normalized");
        }
        let changed = draft.edits.is_changed();
        let carried = terms.policy.carry_original && !draft.lesser;
        let original = carried.then(|| original::record(token.envelope(), !changed));
        draft.note(draft.lesser && terms.policy.carry_original, "original_left_out");
        Ok(draft.done(expires, original))
    }

    /// Claims that another party asserted, completed to those of a token.
    ///
    /// # Errors
    /// As [`NewClaims::of`].
    #[expect(clippy::needless_pass_by_value, reason = "one proof, one new token")]
    pub fn asserted(claims: AssertedClaims, terms: &Terms<'_>) -> Result<Self, Refusal> {
        let mut draft = Draft::new(ObjectEdits::of(claims.object()), terms);
        for answer_only in claims.not_claims() {
            draft.edits.drop(answer_only);
        }
        if !claims.is_mapped() {
            draft.has_subject(&terms.policy.claims)?;
        }
        draft.rules(&terms.policy.claims);
        if draft.edits.get("iss").is_none()
            && let Some(issuer) = terms.policy.issuers.first()
        {
            draft.edits.put_string("iss", issuer.as_str());
        }
        draft.issuer();
        draft.audience(claims.audiences())?;
        let expires = draft.times(claims.times(), claims.expires())?;
        draft.subject()?;
        if terms.shape.coerce_standard {
            standard_claims::coerce(&mut draft.edits, &mut draft.notes);
        }
        for hash in ["at_hash", "c_hash", "s_hash"] {
            draft.edits.drop(hash);
        }
        draft.stable();
        Ok(draft.done(expires, None))
    }

    /// The expiry of the new token; never later than the original's.
    pub fn expires(&self) -> UnixTime {
        self.expires
    }

    /// Whether the payload differs from the original's.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// The changes, as stable codes, each once.
    pub fn notes(&self) -> &[&'static str] {
        &self.notes
    }

    pub(crate) fn leave_out_original(&mut self) {
        if self.original.take().is_some() {
            self.notes.push("original_left_out");
        }
    }
}

struct Draft<'a> {
    edits: ObjectEdits<'a>,
    terms: &'a Terms<'a>,
    notes: Vec<&'static str>,
    /// The new token was restricted. Its holder could read the original from it, and so undo the
    /// restriction.
    lesser: bool,
}

impl<'a> Draft<'a> {
    fn new(edits: ObjectEdits<'a>, terms: &'a Terms<'a>) -> Self {
        Self { edits, terms, notes: Vec::new(), lesser: false }
    }

    fn done(mut self, expires: UnixTime, original: Option<String>) -> NewClaims {
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

    fn note(&mut self, done: bool, code: &'static str) {
        if done {
            self.notes.push(code);
        }
    }

    /// If a rule renames another claim to `sub`, that claim must be present. The issuer's own `sub`
    /// has another meaning.
    fn has_subject(&self, rules: &ClaimRules) -> Result<(), Refusal> {
        let mut sources = rules.rename.iter().filter(|(_, to)| *to == "sub");
        let missing = |(from, _): (&String, &String)| {
            self.edits.get(from).is_none_or(|value| value == "null")
        };
        if sources.any(missing) { Err(Refusal::SubjectMissing) } else { Ok(()) }
    }

    fn rules(&mut self, rules: &ClaimRules) {
        let free = |name: &str| !ClaimRules::is_protected(name);
        let mut done = false;
        for (from, to) in rules.rename.iter().filter(|(from, to)| free(from) && free(to)) {
            let replaces = to != "sub" && self.edits.get(to).is_some();
            let renamed = self.edits.rename(from, to);
            self.lesser |= renamed && replaces;
            done |= renamed;
        }
        for (name, value) in rules.set.iter().filter(|(name, _)| free(name)) {
            let replaces = self.edits.get(name).is_some();
            let set = self.edits.put(name, value.to_string());
            self.lesser |= set && replaces;
            done |= set;
        }
        for name in rules.drop.iter().filter(|name| free(name)) {
            let dropped = self.edits.drop(name);
            self.lesser |= dropped;
            done |= dropped;
        }
        self.note(done, "claim_rules");
    }

    fn issuer(&mut self) {
        if let Some(issuer) = &self.terms.policy.output_issuer {
            let done = self.edits.put_string("iss", issuer.as_str());
            self.note(done, "iss_rewritten");
        }
    }

    fn audience(&mut self, audiences: &Audiences) -> Result<(), Refusal> {
        let Terms { policy, shape, audience: asked, downscope, .. } = self.terms;
        if !shape.single_audience && asked.is_none() && !audiences.set {
            return Ok(());
        }
        let azp = self.edits.string("azp");
        let chosen = audiences.choose(azp.as_deref(), &policy.audience, *asked)?;
        self.lesser |= *downscope && asked.is_some() && chosen.of_several;
        let done = self.edits.put_string("aud", chosen.audience.as_str());
        let code = match (audiences.set, chosen.of_several) {
            (true, _) => "aud_set",
            (_, true) => "aud_chosen",
            _ => "aud_string",
        };
        self.note(done, code);
        Ok(())
    }

    /// Whole seconds; `iat` and `nbf` not ahead of our clock; `exp` that of the original or
    /// earlier.
    fn times(&mut self, times: Times, exp: UnixTime) -> Result<UnixTime, Refusal> {
        let Terms { policy, shape, now, .. } = *self.terms;
        let (mut iat, mut nbf) = (times.iat, times.nbf);
        if shape.needs_iat {
            self.note(iat.is_none(), "iat_added");
            iat = Some(iat.map_or(now, |iat| iat.min(now)));
            // Valid within the operator's leeway, so make it valid for a verifier with our clock.
            nbf = nbf.map(|nbf| nbf.min(now));
        }
        let lifetime = policy.max_lifetime.into_iter().chain(shape.longest_life).min();
        let latest = lifetime.map(|lifetime| now.plus(lifetime));
        let new_exp = latest.map_or(exp, |latest| latest.min(exp));
        let long = |life| iat.is_some_and(|iat: UnixTime| iat.plus(life) < new_exp);
        if new_exp < exp || shape.longest_life.is_some_and(long) {
            // Clients renew by `exp - iat`, so that must be this token's life.
            iat = iat.map(|_| now);
            self.lesser = true;
        }
        self.note(new_exp < exp, "lifetime_capped");
        for (claim, time) in [("exp", Some(new_exp)), ("nbf", nbf), ("iat", iat)] {
            let Some(time) = time else { continue };
            if time.secs() > shape.latest_time {
                return Err(Refusal::TimeRange { claim });
            }
            let there = self.edits.get(claim).is_some();
            let done = self.edits.put(claim, time.secs().to_string());
            self.note(done && there, "time_rewritten");
        }
        Ok(new_exp)
    }

    fn subject(&mut self) -> Result<(), Refusal> {
        let missing =
            if self.terms.shape.needs_sub { Err(Refusal::SubjectMissing) } else { Ok(()) };
        let Some(sub) = self.edits.get("sub") else { return missing };
        // An empty `sub` is nobody; all such tokens would be the same user.
        if sub == "\"\"" {
            return Err(Refusal::SubjectMissing);
        }
        if sub.starts_with('"') {
            return Ok(());
        }
        if sub == "null" {
            return missing;
        }
        if !json::is_number(sub) {
            return Err(Refusal::SubjectType);
        }
        let text = sub.to_owned();
        let done = self.edits.put_string("sub", &text);
        self.note(done, "sub_string");
        Ok(())
    }

    fn stable(&mut self) {
        let Terms { shape, downscope, .. } = self.terms;
        let done = shape.stable && stable::leave_out(&mut self.edits, *downscope);
        self.note(done, "stable_claims");
    }

    fn hashes(&mut self, old: Alg) -> Result<(), Refusal> {
        let Terms { alg, companions, .. } = self.terms;
        hash_claims::rebind(&mut self.edits, old, *alg, companions, &mut self.notes)
    }
}
