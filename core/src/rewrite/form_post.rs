//! Tokens in hidden inputs of an HTML page (OAuth 2.0 Form Post Response Mode §2). It reads the
//! page once, with the part of the HTML standard's tokenizer (§13.2.5) for tags, attributes,
//! comments and raw text.

use std::ops::Range;

use super::{Encoding, Place, unrepeated};

/// Elements whose content is text, not tags.
const RAW_TEXT: [&str; 8] =
    ["script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"];

/// The values of the hidden inputs in `names`. A repeated name is ambiguous, so neither value is a
/// place.
pub fn find(html: &[u8], names: &[String]) -> Vec<Place> {
    let mut scan = TagScan { html, at: 0 };
    let found = std::iter::from_fn(|| scan.next_tag()).filter_map(|tag| {
        let input = html[tag.element].eq_ignore_ascii_case(b"input");
        let visible = tag.kind.is_some_and(|kind| !html[kind].eq_ignore_ascii_case(b"hidden"));
        let (own, value) = tag.name.zip(tag.value).filter(|_| input && !visible)?;
        let own = decode(&html[own])?;
        let name = names.iter().find(|name| **name == own)?;
        let token = decode(&html[value.clone()]);
        let encoding = Encoding::Html;
        Some((name.as_str(), token.map(|token| Place { range: value, name: own, token, encoding })))
    });
    unrepeated(found)
}

/// The decoded value of the hidden input `name`, for hash claims (`code`, `state`); `None` where
/// the name is repeated.
pub fn value(html: &[u8], name: &str) -> Option<String> {
    find(html, &[name.to_owned()]).pop().map(|place| place.token)
}

/// A start tag. Of a repeated attribute, the first one counts.
#[derive(Default)]
struct Tag {
    element: Range<usize>,
    /// The values of the attributes `type`, `name` and `value`.
    kind: Option<Range<usize>>,
    name: Option<Range<usize>>,
    value: Option<Range<usize>>,
}

struct TagScan<'a> {
    html: &'a [u8],
    at: usize,
}

impl TagScan<'_> {
    /// The next complete start tag. Afterwards `at` is after its `>`.
    fn next_tag(&mut self) -> Option<Tag> {
        loop {
            self.at += self.html.get(self.at..)?.iter().position(|b| *b == b'<')? + 1;
            let rest = &self.html[self.at..];
            if rest.starts_with(b"!--") {
                // `<!-->` is a complete comment.
                self.at += 1;
                self.skip_to(b"-->")?;
                continue;
            }
            if !rest.first()?.is_ascii_alphabetic() {
                continue;
            }
            let tag = self.tag()?;
            let name = &self.html[tag.element.clone()];
            let raw_text = RAW_TEXT.iter().find(|raw| name.eq_ignore_ascii_case(raw.as_bytes()));
            if let Some(raw) = raw_text {
                self.skip_to(format!("</{raw}").as_bytes())?;
            }
            return Some(tag);
        }
    }

    /// Moves to the first byte after the next `end`, ignoring case.
    fn skip_to(&mut self, end: &[u8]) -> Option<()> {
        let rest = self.html.get(self.at..)?;
        let found = rest.windows(end.len()).position(|part| part.eq_ignore_ascii_case(end))?;
        self.at += found + end.len();
        Some(())
    }

    fn tag(&mut self) -> Option<Tag> {
        let mut tag = Tag {
            element: self.until(|b| b.is_ascii_whitespace() || b"/>".contains(&b)),
            ..Tag::default()
        };
        loop {
            self.until(|b| !(b.is_ascii_whitespace() || b == b'/'));
            if *self.html.get(self.at)? == b'>' {
                self.at += 1;
                return Some(tag);
            }
            let start = self.at;
            // A leading `=` is part of the attribute's name.
            self.at += 1;
            self.until(|b| b.is_ascii_whitespace() || b"/>=".contains(&b));
            let name = start..self.at;
            self.until(|b| !b.is_ascii_whitespace());
            let mut value = self.at..self.at;
            if self.html.get(self.at) == Some(&b'=') {
                self.at += 1;
                self.until(|b| !b.is_ascii_whitespace());
                value = match *self.html.get(self.at)? {
                    quote @ (b'"' | b'\'') => {
                        self.at += 1;
                        let value = self.until(|b| b == quote);
                        self.at += 1;
                        value
                    }
                    _ => self.until(|b| b.is_ascii_whitespace() || b == b'>'),
                };
            }
            let name = self.html[name].to_ascii_lowercase();
            let slot = match name.as_slice() {
                b"type" => &mut tag.kind,
                b"name" => &mut tag.name,
                b"value" => &mut tag.value,
                _ => continue,
            };
            slot.get_or_insert(value);
        }
    }

    /// The bytes before the first one that satisfies `end`, or the rest of the page.
    fn until(&mut self, end: impl Fn(u8) -> bool) -> Range<usize> {
        let start = self.at;
        while self.html.get(self.at).is_some_and(|b| !end(*b)) {
            self.at += 1;
        }
        start..self.at
    }
}

/// Decodes numeric character references and those that encoders write. Other references are kept as
/// text.
fn decode(text: &[u8]) -> Option<String> {
    let mut rest = std::str::from_utf8(text).ok()?;
    let mut out = String::with_capacity(rest.len());
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        // The longest known reference has 10 characters.
        let end = rest.bytes().take(12).position(|b| b == b';');
        match end.and_then(|end| reference(&rest[..end])).zip(end) {
            Some((c, end)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => out.push('&'),
        }
    }
    out.push_str(rest);
    Some(out)
}

fn reference(name: &str) -> Option<char> {
    let code = |digits: &str, radix| {
        let plain = digits.bytes().all(|b| b.is_ascii_alphanumeric());
        u32::from_str_radix(digits, radix).ok().filter(|_| plain).and_then(char::from_u32)
    };
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "period" => Some('.'),
        "lowbar" => Some('_'),
        "equals" => Some('='),
        _ => {
            let number = name.strip_prefix('#')?;
            match number.strip_prefix(['x', 'X']) {
                Some(hex) => code(hex, 16),
                None => code(number, 10),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::replace_all;
    use super::*;

    fn names() -> [String; 2] {
        ["id_token".to_owned(), "access_token".to_owned()]
    }

    fn replaced(html: &str) -> String {
        let places = find(html.as_bytes(), &names());
        replace_all(html, places, |token| format!("<{}>", token))
    }

    #[test]
    fn a_form_post_page() {
        let page = r#"<!DOCTYPE html><html><head><title>Submit</title></head>
<body onload="javascript:document.forms[0].submit()">
<form method="post" action="https://a/cb"><input type="hidden" name="state" value="s"/>
<INPUT Type='hidden' value='a.b.c' Name='id_token'><input name=access_token value=d.e.f >
</form></body></html>"#;
        let expected = page.replace("a.b.c", "&#60;a.b.c&#62;").replace("d.e.f", "&#60;d.e.f&#62;");
        assert_eq!(replaced(page), expected);
    }

    #[test]
    fn references_are_read() {
        let html = br#"<input name="id&#95;token" value="a&#46;b&#x2E;c&amp;&foo;&">"#;
        let found = find(html, &names());
        assert_eq!(found[0].token, "a.b.c&&foo;&");
    }

    #[test]
    fn what_is_no_hidden_input_stays() {
        for html in [
            r#"<!-- <input name="id_token" value="x"> -->"#,
            r#"<script>'<input name="id_token" value="x">'</script>"#,
            r#"<textarea><input name="id_token" value="x"></textarea>"#,
            r#"<input type="text" name="id_token" value="x">"#,
            r#"<inputs name="id_token" value="x">"#,
            r#"</input name="id_token" value="x">"#,
            r#"<a title='<input name="id_token" value="x">'>"#,
            r#"<input name="id_token" value="x""#,
            r#"<input name="id_token">"#,
            r#"<input name="Id_token" value="x">"#,
            r#"<input name="id_token" value="x"><input name="id_token" value="y">"#,
            r#"<input name="other" name="id_token" value="x">"#,
            "",
            "<",
            "<!--",
            "<script>",
            "<input =",
        ] {
            assert_eq!(replaced(html), html);
        }
    }

    #[test]
    fn an_empty_comment_ends_at_once() {
        let html = r#"<!--><input name="id_token" value="x">"#;
        assert!(replaced(html).contains("&#60;x&#62;"));
    }

    #[test]
    fn a_page_of_open_tags_is_read_once() {
        // With quadratic work, 1 MiB would take longer than the test's time limit.
        for part in ["<", "<a", "<!--", "<a b='", "<script>", "<input name=id_token value=x "] {
            let page = part.repeat(1024 * 1024 / part.len());
            assert!(find(page.as_bytes(), &names()).len() < 2);
        }
    }
}
