//! `required_headers` of an `[[issuer]]`.

use super::super::error::Checked;
use super::super::raw::RawIssuer;
use super::place::At;
use crate::issuer::Source;
use crate::jose::policy::IssuerPolicy;

/// The protected header parameters that an issuer's tokens must have. `at` is the issuer's place.
pub(super) fn required(
    raw: &RawIssuer,
    at: &At,
    source: &Source,
) -> Checked<Vec<(String, String)>> {
    // AWS serves the keys of a region like this, one address for each key, and all its customers share
    // them. A customer can write any `iss` and `client`, so those two do not tell customers apart.
    let telling = |name: &String| !["iss", IssuerPolicy::CLIENT].contains(&name.as_str());
    let missing = match raw.required_headers.is_empty() {
        true => "with `{kid}` it needs `required_headers`: strangers may share these keys",
        false => {
            "strangers may share these keys, and write any `client` and `iss` into their tokens"
        }
    };
    at.key("jwks")
        .fault(missing)
        .hint("AWS ALB: `required_headers = { signer = \"ARN of your load balancer\" }`")
        .when(
            matches!(source, Source::UrlPerKid(_)) && !raw.required_headers.keys().any(telling),
        )?;
    let at = at.key("required_headers");
    for (name, value) in &raw.required_headers {
        at.key(name)
            .fault("the proxy interprets this parameter itself")
            .hint("see `algorithms`, `access_tokens` and `jwks`")
            .when(IssuerPolicy::INTERPRETED.contains(&name.as_str()))?;
        at.fault("a name or a value is empty").when(name.is_empty() || value.is_empty())?;
    }
    Ok(raw.required_headers.clone().into_iter().collect())
}
