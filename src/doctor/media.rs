//! Media types as the strict verifier reads them: RFC 9110 §8.3.1 to the letter, no blank before `;`.

/// Token characters of RFC 9110 §5.6.2.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// The type without parameters, lower case, and its `charset`. `None` for text that is no media type.
pub(super) fn parse(text: &str) -> Option<(String, Option<String>)> {
    let (essence, params) = text.split_once(';').unwrap_or((text, ""));
    let (kind, sub) = essence.split_once('/')?;
    if kind.is_empty()
        || sub.is_empty()
        || !kind.chars().all(is_token)
        || !sub.chars().all(is_token)
    {
        return None;
    }
    let mut charset = None;
    let mut rest = params.trim_start_matches(' ');
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        if name.is_empty() || !name.chars().all(is_token) {
            return None;
        }
        let value;
        (value, rest) = if let Some(quoted) = after.strip_prefix('"') {
            let (value, after) = quoted.split_once('"')?;
            let after = after.trim_start_matches(' ');
            if value.is_empty() || !(after.is_empty() || after.starts_with(';')) {
                return None;
            }
            (value, after.strip_prefix(';').unwrap_or(after))
        } else {
            let (value, after) = after.split_once(';').unwrap_or((after, ""));
            // An unquoted value may be empty at the very end only.
            if !value.chars().all(is_token) || (value.is_empty() && !after.is_empty()) {
                return None;
            }
            (value, after)
        };
        if name.eq_ignore_ascii_case("charset") && charset.is_none() {
            charset = Some(value.to_ascii_lowercase());
        }
        rest = rest.trim_start_matches(' ');
    }
    Some((essence.to_ascii_lowercase(), charset))
}

/// `HeaderValue::to_str`: visible ASCII, blank and tab.
pub(super) fn visible(text: &str) -> bool {
    text.bytes().all(|b| b == b'\t' || (32..127).contains(&b))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn to_the_letter() {
        let set = |c: &str| Some(("application/json".to_owned(), Some(c.to_owned())));
        assert_eq!(parse("application/json"), Some(("application/json".into(), None)));
        assert_eq!(parse("Application/JSON; charset=UTF-8"), set("utf-8"));
        assert_eq!(parse("application/json;charset=\"utf-8\" ; q=1"), set("utf-8"));
        for bad in
            ["", "json", "application/json ; charset=utf-8", "a/b; x", "a/b; =x", "a/b;x=\"y"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
