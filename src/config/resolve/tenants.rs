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
    let mut texts: Vec<&str> = raw.issuer.0.iter().map(String::as_str).collect();
    if texts.is_empty() && raw.issuer_when_missing {
        // If the tokens have no `iss`, only the `iss` that they get is needed.
        texts.extend(raw.output_issuer.as_ref().map(Issuer::as_str));
    }
    at.fault("`issuer` is missing: the `iss` of its tokens").when(texts.is_empty())?;
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
            at.key("claim")
                .fault("it is not a claim that names a tenant")
                .when(claim.is_empty() || ClaimRules::is_protected(&claim))?;
            Some(Tenants { templates, claim, allow: allowed(&raw.allow, &at.key("allow"))? })
        }
    };
    Ok(Spellings { plain, tenants })
}

fn allowed(OneOrMany(list): &OneOrMany, at: &At) -> Checked<Allowed> {
    if list.as_slice() == ["any"] {
        return Ok(Allowed::Any);
    }
    at.fault("the list is empty")
        .hint("`allow = \"any\"` lets whoever opens a tenant log in")
        .when(list.is_empty())?;
    for tenant in list {
        at.fault(format_args!("invalid tenant `{tenant}`"))
            .hint("write 1 to 64 letters, digits and `-`, or `any` alone")
            .when(!is_tenant(tenant) || tenant == "any")?;
    }
    Ok(Allowed::These(list.iter().cloned().collect()))
}

/// What `iss` becomes.
pub(super) fn output(raw: &RawIssuer, at: &At) -> Checked<Option<Issuer>> {
    let keeps = raw.tenants.as_ref().map(|tenants| tenants.keep_issuer);
    let at_output = at.key("output_issuer");
    let Some(output) = &raw.output_issuer else {
        return match keeps {
            None | Some(true) => Ok(None),
            Some(false) => Err(at_output
                .fault("it is missing: what `iss` becomes for every tenant")
                .hint("or `keep_issuer = true` in `tenants`, and a verifier for each tenant")),
        };
    };
    at_output
        .fault("`iss` cannot both stay (`tenants.keep_issuer`) and become this")
        .when(keeps == Some(true))?;
    at_output
        .fault("it must be one fixed `iss`, without `{name}`")
        .when(IssuerTemplate::looks_like_template(output.as_str()))?;
    Ok(Some(output.clone()))
}
