//! `[[tokens]]`.

use super::super::error::Checked;
use super::super::raw::RawTokens;
use super::place::At;
use crate::jose::names::Audience;
use crate::rewrite::{JsonPath, PathPattern, TokenRule};
use crate::setting::OneOrMany;

pub(super) fn all(raw: &[RawTokens]) -> Checked<Vec<TokenRule>> {
    let mut rules: Vec<TokenRule> = Vec::new();
    for (i, raw) in raw.iter().enumerate() {
        let at = At::root("tokens").index(i);
        let rule = one(raw, &at)?;
        if let Some(first) = rules.iter().position(|other| other.path == rule.path) {
            return Err(at
                .key("path")
                .fault(format_args!("tokens[{first}] has the same path"))
                .hint("put all its places into one [[tokens]]"));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn one(raw: &RawTokens, at: &At) -> Checked<TokenRule> {
    let path = raw.path.as_deref().ok_or_else(|| at.fault("`path` is missing"))?;
    let path = at.key("path").name(path, PathPattern::parse)?;
    let json = match &raw.json {
        Some(OneOrMany(paths)) => {
            let at = at.key("json");
            paths.iter().map(|path| at.name(path, JsonPath::parse)).collect::<Checked<_>>()?
        }
        None => Vec::new(),
    };
    let audience = match raw.audience.as_deref() {
        Some(audience) => Some(at.key("audience").name(audience, Audience::parse)?),
        None => None,
    };
    let rule = TokenRule {
        path,
        json,
        redirect: names(&at.key("redirect"), raw.redirect.as_ref())?,
        cookies: names(&at.key("cookies"), raw.cookies.as_ref())?,
        form_post: names(&at.key("form_post"), raw.form_post.as_ref())?,
        jwt_body: raw.jwt_body.unwrap_or(false),
        bearer: raw.bearer,
        restore_form: names(&at.key("restore_form"), raw.restore_form.as_ref())?,
        restore_query: names(&at.key("restore_query"), raw.restore_query.as_ref())?,
        restore_cookies: names(&at.key("restore_cookies"), raw.restore_cookies.as_ref())?,
        audience,
    };
    if !rule.reads_body() && !rule.reads_header() && !rule.changes_request() {
        return Err(at.fault("it names no place").hint(
            "add one of json, redirect, cookies, form_post, jwt_body, bearer, restore_form, restore_query, restore_cookies",
        ));
    }
    Ok(rule)
}

/// Names of fields, parameters or cookies.
pub(super) fn names(at: &At, raw: Option<&OneOrMany>) -> Checked<Vec<String>> {
    let Some(OneOrMany(names)) = raw else { return Ok(Vec::new()) };
    if names.iter().any(|name| name.is_empty()) {
        return Err(at.fault("a name is empty"));
    }
    Ok(names.clone())
}
