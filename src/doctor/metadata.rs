//! A discovery document (OpenID Connect Discovery §3) as the strict verifier parses it: two members
//! are needed, but each one it knows must have its type, used or not.

use url::Url;

use super::Cause;
use crate::inspect::tree::Tree;

/// What it takes from the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) jwks_uri: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An absolute URL.
    Address,
    /// A list of strings.
    Texts,
    /// A list of anything; what it does not know is skipped.
    Names,
    Flag,
}

/// Name, type, and whether `null` counts as absent.
#[rustfmt::skip]
const MEMBERS: [(&str, Kind, bool); 34] = [
    ("authorization_endpoint", Kind::Address, true),
    ("token_endpoint", Kind::Address, true),
    ("userinfo_endpoint", Kind::Address, true),
    ("registration_endpoint", Kind::Address, true),
    ("service_documentation", Kind::Address, true),
    ("op_policy_uri", Kind::Address, true),
    ("op_tos_uri", Kind::Address, true),
    ("response_types_supported", Kind::Texts, false),
    ("subject_types_supported", Kind::Texts, false),
    ("id_token_signing_alg_values_supported", Kind::Names, false),
    ("scopes_supported", Kind::Texts, true),
    ("response_modes_supported", Kind::Texts, true),
    ("grant_types_supported", Kind::Texts, true),
    ("acr_values_supported", Kind::Texts, true),
    ("token_endpoint_auth_methods_supported", Kind::Texts, true),
    ("display_values_supported", Kind::Texts, true),
    ("claim_types_supported", Kind::Texts, true),
    ("claims_supported", Kind::Texts, true),
    ("claims_locales_supported", Kind::Texts, true),
    ("ui_locales_supported", Kind::Texts, true),
    ("id_token_encryption_alg_values_supported", Kind::Names, true),
    ("id_token_encryption_enc_values_supported", Kind::Names, true),
    ("userinfo_signing_alg_values_supported", Kind::Names, true),
    ("userinfo_encryption_alg_values_supported", Kind::Names, true),
    ("userinfo_encryption_enc_values_supported", Kind::Names, true),
    ("request_object_signing_alg_values_supported", Kind::Names, true),
    ("request_object_encryption_alg_values_supported", Kind::Names, true),
    ("request_object_encryption_enc_values_supported", Kind::Names, true),
    ("token_endpoint_auth_signing_alg_values_supported", Kind::Names, true),
    ("claims_parameter_supported", Kind::Flag, true),
    ("request_parameter_supported", Kind::Flag, true),
    ("request_uri_parameter_supported", Kind::Flag, true),
    ("require_request_uri_registration", Kind::Flag, true),
    ("issuer", Kind::Address, false),
];

/// The document, or everything it stumbles over.
pub(super) fn read(body: &[u8]) -> Result<Metadata, Vec<Cause>> {
    use serde::Deserialize;
    // What follows the document is not looked at.
    let tree = match Tree::deserialize(&mut serde_json::Deserializer::from_slice(body)) {
        Ok(tree @ Tree::Object(_)) => tree,
        Ok(other) => {
            let text = format!("{}, not an object", other.kind());
            return Err(vec![Cause::new("not_object", "$", text)]);
        }
        Err(error) => return Err(vec![Cause::new("not_json", "$", format!("not JSON: {error}"))]),
    };
    let mut causes = Vec::new();
    for twice in tree.duplicates() {
        if twice == "jwks_uri" || MEMBERS.iter().any(|(name, ..)| *name == twice) {
            let text = format!("`{twice}` stands there twice");
            causes.push(Cause::new("duplicate_member", "$", text));
        }
    }
    for (name, kind, null_is_absent) in MEMBERS {
        let Some(value) = tree.get(name) else { continue };
        let absent = value.is_null() && null_is_absent;
        if !absent && !fits(kind, value) {
            let text = format!("`{name}` {}", wanted(kind));
            causes.push(Cause::new("discovery_member", &format!("$.{name}"), text));
        }
    }
    let text = |name: &str| tree.get(name).and_then(Tree::text).map(str::to_owned);
    match (text("issuer"), text("jwks_uri").filter(|uri| Url::parse(uri).is_ok())) {
        (Some(issuer), Some(jwks_uri)) if causes.is_empty() => Ok(Metadata { issuer, jwks_uri }),
        (issuer, jwks_uri) => {
            if issuer.is_none() {
                causes.push(Cause::new("issuer_missing", "$.issuer", "there is no `issuer`"));
            }
            if jwks_uri.is_none() {
                let text = "there is no `jwks_uri` that is an absolute URL";
                causes.push(Cause::new("jwks_uri", "$.jwks_uri", text));
            }
            Err(causes)
        }
    }
}

fn fits(kind: Kind, value: &Tree) -> bool {
    match kind {
        Kind::Address => value.text().is_some_and(|text| Url::parse(text).is_ok()),
        Kind::Texts => value.list().is_some_and(|list| list.iter().all(|v| v.text().is_some())),
        Kind::Names => value.list().is_some(),
        Kind::Flag => matches!(value, Tree::Bool(_)),
    }
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Address => "must be an absolute URL",
        Kind::Texts => "must be a list of strings",
        Kind::Names => "must be a list",
        Kind::Flag => "must be true or false",
    }
}
