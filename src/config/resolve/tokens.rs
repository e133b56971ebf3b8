//! `[[tokens]]`.

use super::super::error::Checked;
use super::super::raw::RawTokens;
use super::place::At;
use crate::jose::names::Audience;
use crate::rewrite::{JsonPath, PathPattern, TokenRule, hidden};
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
    if let Some((first, second)) = hidden(&rules).into_iter().next() {
        let path = rules[first].path.as_str();
        return Err(At::root("tokens")
            .index(second)
            .key("path")
            .fault(format_args!("tokens[{first}] is for `{path}`, so this one never applies"))
            .hint(
                "the first [[tokens]] whose path matches applies; put the narrower one before it",
            ));
    }
    Ok(rules)
}

/// Header fields of an answer. `Location` and `Set-Cookie` have keys of their own, and fields that frame
/// or describe the message hold no token.
fn header_names(raw: &RawTokens, at: &At) -> Checked<Vec<String>> {
    let mut all = names(at, raw.headers.as_ref())?;
    for name in &mut all {
        name.make_ascii_lowercase();
        let place = match name.as_str() {
            "location" => Some("redirect"),
            "set-cookie" => Some("cookies"),
            _ => None,
        };
        if let Some(key) = place {
            return Err(at
                .fault(format_args!("`{name}` is not for this key"))
                .hint(format!("its tokens are named in `{key}`")));
        }
        let framing = name.starts_with("content-")
            || ["connection", "transfer-encoding", "te", "trailer", "upgrade", "date", "etag"]
                .contains(&name.as_str());
        if http::HeaderName::try_from(name.as_str()).is_err() || framing {
            return Err(at.fault(format_args!("`{name}` is not a field that can hold a token")));
        }
    }
    Ok(all)
}

fn one(raw: &RawTokens, at: &At) -> Checked<TokenRule> {
    let path = raw.path.as_deref().ok_or_else(|| at.fault("`path` is missing"))?;
    let path = at.key("path").name(path, PathPattern::parse)?;
    let audience = raw.audience.as_deref();
    let audience = audience.map(|text| at.key("audience").name(text, Audience::parse));
    let rule = TokenRule {
        path,
        json: at.key("json").names(raw.json.as_ref(), JsonPath::parse)?,
        redirect: names(&at.key("redirect"), raw.redirect.as_ref())?,
        cookies: names(&at.key("cookies"), raw.cookies.as_ref())?,
        headers: header_names(raw, &at.key("headers"))?,
        form_post: names(&at.key("form_post"), raw.form_post.as_ref())?,
        jwt_body: raw.jwt_body.unwrap_or(false),
        bearer: raw.bearer,
        restore_form: names(&at.key("restore_form"), raw.restore_form.as_ref())?,
        restore_json: at.key("restore_json").names(raw.restore_json.as_ref(), JsonPath::parse)?,
        restore_query: names(&at.key("restore_query"), raw.restore_query.as_ref())?,
        restore_cookies: names(&at.key("restore_cookies"), raw.restore_cookies.as_ref())?,
        audience: audience.transpose()?,
        registration: None,
    };
    if !rule.reads_body() && !rule.reads_header() && !rule.changes_request() {
        return Err(at.fault("it names nothing to rewrite").hint(
            "add one of json, redirect, cookies, headers, form_post, jwt_body, bearer, restore_form, restore_json, restore_query, restore_cookies",
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
