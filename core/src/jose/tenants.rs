//! One authorization server with many tenants (`https://login.example/{tenant}/v2.0`). The same
//! keys sign for all of them, and each tenant has its own `iss`. One path segment of `iss` names
//! the tenant, and a claim must name the same one. Anybody may open a tenant there, so the operator
//! lists those that may log in.

use std::collections::HashSet;

use super::json::Object;
use super::names::{Issuer, NameError};
use super::refusal::Refusal;

/// Longest tenant, in characters.
const MAX_TENANT: usize = 64;
/// Path segments that may contain the tenant; limits the look-ups for one token.
const MAX_SEGMENTS: usize = 8;
/// The placeholder for the tenant in a pattern; no tenant has this name.
const PLACEHOLDER: &str = "{}";

/// A spelling of `iss` with one `{name}` in it, which matches a whole path segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerTemplate {
    text: Issuer,
    /// The text around the variable.
    before: Box<str>,
    after: Box<str>,
}

/// Why a text is not a template.
#[expect(missing_docs, reason = "its text says what each means")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("has a `{{` or `}}`, but not one `{{name}}` of letters, digits, `-` and `_`")]
    Variable,
    #[error("has its variable elsewhere than in one whole segment of the path, of the first eight")]
    Place,
}

impl IssuerTemplate {
    /// Whether `text` has braces: an ordinary issuer has none (RFC 3986 §2).
    pub fn looks_like_template(text: &str) -> bool {
        text.contains(['{', '}'])
    }

    /// # Errors
    /// [`TemplateError`]
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (before, rest) = text.split_once('{').ok_or(TemplateError::Variable)?;
        let (name, after) = rest.split_once('}').ok_or(TemplateError::Variable)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if name.is_empty() || !name.bytes().all(plain) || Self::looks_like_template(after) {
            return Err(TemplateError::Variable);
        }
        let template =
            Self { text: Issuer::parse(text)?, before: before.into(), after: after.into() };
        // The host, and everything else, must be the issuer's own, whatever the token says.
        let pattern = template.pattern();
        let whole = segments(&pattern).any(|(start, end)| &pattern[start..end] == PLACEHOLDER);
        if whole && !text.contains(['?', '#']) { Ok(template) } else { Err(TemplateError::Place) }
    }

    /// As it was written.
    pub fn text(&self) -> &Issuer {
        &self.text
    }

    /// The same value for all templates that match the same issuers; see [`patterns`].
    pub fn pattern(&self) -> String {
        format!("{}{PLACEHOLDER}{}", self.before, self.after)
    }

    /// The tenant in `iss`, if it has this form.
    pub fn tenant<'i>(&self, iss: &'i str) -> Option<&'i str> {
        let tenant = iss.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        is_tenant(tenant).then_some(tenant)
    }
}

/// The patterns of templates that may match `iss`. There are few for any `iss`, so a hash finds the
/// template among any number of issuers.
pub fn patterns(iss: &str) -> impl Iterator<Item = String> + '_ {
    let fits = |(start, end): &(usize, usize)| is_tenant(&iss[*start..*end]);
    segments(iss)
        .filter(fits)
        .map(|(start, end)| format!("{}{PLACEHOLDER}{}", &iss[..start], &iss[end..]))
}

/// The positions of the first path segments. None without a scheme or a host.
fn segments(url: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    let host = ["https://", "http://"].iter().find(|s| url.starts_with(**s)).map(|s| s.len());
    let path = host.and_then(|host| url[host..].find('/').filter(|n| *n > 0).map(|n| host + n));
    let mut start = path.map_or(url.len(), |path| path + 1);
    std::iter::from_fn(move || {
        let rest = url.get(start..).filter(|rest| !rest.is_empty())?;
        let end = start + rest.find('/').unwrap_or(rest.len());
        let segment = (start, end);
        start = end + 1;
        Some(segment)
    })
    .take(MAX_SEGMENTS)
}

/// Letters, digits and `-`: nothing that could be read as another path, host or query.
pub fn is_tenant(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (1..=MAX_TENANT).contains(&text.len()) && text.bytes().all(plain)
}

/// Which tenants of an issuer may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenants {
    /// Never empty.
    pub templates: Vec<IssuerTemplate>,
    /// The claim that also names the tenant.
    pub claim: String,
    /// Which tenants may log in.
    pub allow: Allowed,
}

/// The tenants that may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// Every tenant.
    Any,
    /// The tenants of this list.
    These(HashSet<String>),
}

impl Tenants {
    /// Checks `iss` of a claims set.
    ///
    /// # Errors
    /// `iss` if it has none of the spellings; `tenant` if the claim names another tenant, or if the
    /// tenant may not log in.
    pub(super) fn check(&self, iss: &str, claims: &Object) -> Result<(), Refusal> {
        let tenant = self.templates.iter().find_map(|template| template.tenant(iss));
        let tenant = tenant.ok_or(Refusal::Issuer)?;
        let allowed = match &self.allow {
            Allowed::Any => true,
            Allowed::These(these) => these.contains(tenant),
        };
        if allowed && claims.string(&self.claim).as_deref() == Some(tenant) {
            Ok(())
        } else {
            Err(Refusal::Tenant { claim: self.claim.clone() })
        }
    }
}

/// Whether a key that is marked for `stated`, an issuer or a template, is for `iss`.
pub(super) fn is_key_of(stated: &str, iss: &str) -> bool {
    stated == iss
        || IssuerTemplate::parse(stated).is_ok_and(|template| template.tenant(iss).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "https://login.example/{tenantid}/v2.0";

    #[test]
    fn a_template_has_one_variable_in_one_segment_of_the_path() {
        for good in [TEMPLATE, "https://a.example/{t}", "http://a:1/x/{t}/", "https://a/{t}//"] {
            assert_eq!(IssuerTemplate::parse(good).unwrap().text().as_str(), good);
        }
        for (bad, why) in [
            ("https://login.example/v2.0", TemplateError::Variable),
            ("https://login.example/{}/v2.0", TemplateError::Variable),
            ("https://login.example/{a/b}/v2.0", TemplateError::Variable),
            ("https://login.example/{a}/{b}", TemplateError::Variable),
            ("https://login.example/{a}/}", TemplateError::Variable),
            ("https://login.example/a}/{", TemplateError::Variable),
            ("https://{tenant}/v2.0", TemplateError::Place),
            ("https://{tenant}.login.example/v2.0", TemplateError::Place),
            ("https://login.example{tenant}/v2.0", TemplateError::Place),
            ("https://login.example:{port}/v2.0", TemplateError::Place),
            ("{scheme}://login.example/v2.0", TemplateError::Place),
            ("https://login.example/a{tenant}/v2.0", TemplateError::Place),
            ("https://login.example/{tenant}b/v2.0", TemplateError::Place),
            ("https://login.example/?t={tenant}", TemplateError::Place),
            ("https://login.example/{tenant}?v=2", TemplateError::Place),
            ("https://login.example/#/{tenant}", TemplateError::Place),
            ("https:///{tenant}", TemplateError::Place),
            ("login.example/{tenant}", TemplateError::Place),
            ("https://a/1/2/3/4/5/6/7/8/{tenant}", TemplateError::Place),
        ] {
            assert_eq!(IssuerTemplate::parse(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn only_a_whole_issuer_matches() {
        let template = IssuerTemplate::parse(TEMPLATE).unwrap();
        let of = |iss: &str| {
            let found = template.tenant(iss).map(str::to_owned);
            // The table and the template must agree.
            assert_eq!(patterns(iss).any(|p| p == template.pattern()), found.is_some(), "{iss}");
            found
        };
        let iss = |tenant: &str| format!("https://login.example/{tenant}/v2.0");
        for tenant in ["t", "72f988bf-86f1-41af-91ab-2d7cd011db47", &"a".repeat(64)] {
            assert_eq!(of(&iss(tenant)).as_deref(), Some(tenant));
        }
        for tenant in [
            "",
            "a/b",
            "..",
            ".",
            "a.b",
            "a%2fb",
            "a b",
            "a?b",
            "a#b",
            "@evil",
            "{tenantid}",
            "{}",
            "ä",
            "a_b",
            "a\0",
            &"a".repeat(65),
        ] {
            assert_eq!(of(&iss(tenant)), None, "{tenant}");
        }
        for other in [
            "https://login.example/t/v2.0/",
            "https://login.example/t/v2.0x",
            "https://login.example/t/v2",
            "https://login.example/t",
            "https://login.example/v2.0",
            "https://login.example//v2.0",
            "https://LOGIN.example/t/v2.0",
            "http://login.example/t/v2.0",
            "https://evil.example/https://login.example/t/v2.0",
            "https://login.example.evil.example/t/v2.0",
            "xhttps://login.example/t/v2.0",
            "",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        // However long it is, few patterns are looked up.
        assert!(patterns(&format!("https://a/{}", "b/".repeat(1000))).count() <= MAX_SEGMENTS);
    }

    #[test]
    fn a_key_is_of_the_issuer_it_states() {
        let iss = "https://login.example/t1/v2.0";
        assert!(is_key_of(iss, iss) && is_key_of(TEMPLATE, iss));
        for other in [
            "",
            "https://login.example/t2/v2.0",
            "https://login.example/{tenantid}/",
            "{tenantid}",
            "https://login.example/t1/v2.0/",
            "https://{tenantid}/t1/v2.0",
        ] {
            assert!(!is_key_of(other, iss), "{other}");
        }
    }
}
