//! `issuer`, `tenants` and `output_issuer` of an `[[issuer]]`.

use super::super::error::Checked;
use super::super::raw::RawIssuer;
use super::place::At;
use crate::jose::names::Issuer;
use crate::jose::policy::ClaimRules;
use crate::jose::tenants::{Allowed, IssuerTemplate, Tenants, is_tenant};
use crate::setting::OneOrMany;

/// Every way the issuer's `iss` is written.
pub(super) struct Spellings {
    pub(super) plain: Vec<Issuer>,
    pub(super) tenants: Option<Tenants>,
}

impl Spellings {
    pub(super) fn first(&self) -> &str {
        let templates = self.tenants.iter().flat_map(|tenants| &tenants.templates);
        let mut all = self.plain.iter().chain(templates.map(IssuerTemplate::text));
        all.next().map(Issuer::as_str).unwrap_or_default()
    }
}

/// `at` is the issuer's place.
pub(super) fn spellings(raw: &RawIssuer, at: &At) -> Checked<Spellings> {
    let at_key = at.key("issuer");
    let texts = raw.issuer.as_ref().map(|many| many.0.as_slice()).unwrap_or_default();
    // If the tokens have no `iss`, only the `iss` that they get is needed.
    let output = raw.output_issuer.as_ref().filter(|_| raw.issuer_when_missing == Some(true));
    let texts =
        if texts.is_empty() { output.map(std::slice::from_ref).unwrap_or_default() } else { texts };
    if texts.is_empty() {
        return Err(at.fault("`issuer` is missing: the `iss` of its tokens"));
    }
    let mut plain = Vec::new();
    let mut templates = Vec::new();
    for text in texts {
        if IssuerTemplate::looks_like_template(text) {
            templates.push(at_key.name(text, IssuerTemplate::parse)?);
        } else {
            plain.push(at_key.name(text, Issuer::parse)?);
        }
    }
    let tenants = match (&raw.tenants, templates.is_empty()) {
        (None, true) => None,
        (Some(_), true) => {
            return Err(at.key("tenants").fault("no `issuer` has a `{name}` for a tenant"));
        }
        (None, false) => {
            return Err(at
                .key("tenants")
                .fault("it is missing: which tenants of this issuer may log in")
                .hint("`tenants = { claim = \"tid\", allow = [\"ID of yours\"] }`; anybody may open a tenant there"));
        }
        (Some(raw), false) => {
            let at = at.key("tenants");
            let claim = raw.claim.clone();
            if claim.is_empty() || ClaimRules::is_protected(&claim) {
                return Err(at.key("claim").fault("it is not a claim that names a tenant"));
            }
            Some(Tenants { templates, claim, allow: allowed(&raw.allow, &at.key("allow"))? })
        }
    };
    Ok(Spellings { plain, tenants })
}

fn allowed(OneOrMany(list): &OneOrMany, at: &At) -> Checked<Allowed> {
    if list.as_slice() == ["any"] {
        return Ok(Allowed::Any);
    }
    if list.is_empty() {
        return Err(at
            .fault("the list is empty")
            .hint("`allow = \"any\"` lets whoever opens a tenant log in"));
    }
    for tenant in list {
        if !is_tenant(tenant) || tenant == "any" {
            return Err(at
                .fault(format_args!("invalid tenant `{tenant}`"))
                .hint("write 1 to 64 letters, digits and `-`, or `any` alone"));
        }
    }
    Ok(Allowed::These(list.iter().cloned().collect()))
}

/// What `iss` becomes.
pub(super) fn output(raw: &RawIssuer, at: &At) -> Checked<Option<Issuer>> {
    let keeps = raw.tenants.as_ref().map(|tenants| tenants.keep_issuer == Some(true));
    let at_output = at.key("output_issuer");
    let Some(output) = &raw.output_issuer else {
        return match keeps {
            None | Some(true) => Ok(None),
            Some(false) => Err(at_output
                .fault("it is missing: what `iss` becomes for every tenant")
                .hint("or `keep_issuer = true` in `tenants`, and a verifier for each tenant")),
        };
    };
    if keeps == Some(true) {
        return Err(
            at_output.fault("`iss` cannot both stay (`tenants.keep_issuer`) and become this")
        );
    }
    if IssuerTemplate::looks_like_template(output) {
        return Err(at_output.fault("it must be one fixed `iss`, without `{name}`"));
    }
    at_output.name(output, Issuer::parse).map(Some)
}
