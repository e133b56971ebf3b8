//! `[[tokens]]`.

use super::super::error::Checked;
use super::place::At;
use crate::rewrite::{TokenRule, hidden};

pub(super) fn check(rules: &mut [TokenRule]) -> Checked<()> {
    let at = |i| At::root("tokens").index(i);
    for i in 0..rules.len() {
        check_one(&mut rules[i], &at(i))?;
        if let Some(first) = rules[..i].iter().position(|other| other.path == rules[i].path) {
            return Err(at(i)
                .key("path")
                .fault(format_args!("tokens[{first}] has the same path"))
                .hint("put all its places into one [[tokens]]"));
        }
    }
    if let Some((first, second)) = hidden(rules).into_iter().next() {
        let path = rules[first].path.as_str();
        return Err(at(second)
            .key("path")
            .fault(format_args!("tokens[{first}] is for `{path}`, so this one never applies"))
            .hint(
                "the first [[tokens]] whose path matches applies; put the narrower one before it",
            ));
    }
    Ok(())
}

fn check_one(rule: &mut TokenRule, at: &At) -> Checked<()> {
    at.fault("`path` is missing").when(rule.path.is_base())?;
    for (key, names) in [
        ("redirect", &rule.redirect),
        ("cookies", &rule.cookies),
        ("headers", &rule.headers),
        ("form_post", &rule.form_post),
        ("restore_form", &rule.restore_form),
        ("restore_query", &rule.restore_query),
        ("restore_cookies", &rule.restore_cookies),
    ] {
        at.key(key).not_empty(names)?;
    }
    for name in &mut rule.headers {
        name.make_ascii_lowercase();
        check_header(name, &at.key("headers"))?;
    }
    let hint = "add one of json, redirect, cookies, headers, form_post, jwt_body, bearer, restore_form, \
                restore_json, restore_query, restore_cookies";
    at.fault("it names nothing to rewrite")
        .hint(hint)
        .when(!rule.reads_body() && !rule.reads_header() && !rule.changes_request())
}

/// A header field of an answer. `Location` and `Set-Cookie` have keys of their own, and fields that frame or
/// describe the message hold no token.
fn check_header(name: &str, at: &At) -> Checked<()> {
    let key = match name {
        "location" => Some("redirect"),
        "set-cookie" => Some("cookies"),
        _ => None,
    };
    if let Some(key) = key {
        return Err(at
            .fault(format_args!("`{name}` is not for this key"))
            .hint(format!("its tokens are named in `{key}`")));
    }
    let framing = name.starts_with("content-")
        || ["connection", "transfer-encoding", "te", "trailer", "upgrade", "date", "etag"]
            .contains(&name);
    at.fault(format_args!("`{name}` is not a field that can hold a token"))
        .when(http::HeaderName::try_from(name).is_err() || framing)
}
