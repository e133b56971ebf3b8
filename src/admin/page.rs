//! The status page: one document, made of the files in `page/`, and the CSP that lets a browser run that
//! document and nothing else.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The page. It asks `/api/status` for everything it shows.
pub const HTML: &str = concat!(
    include_str!("page/head.html"),
    include_str!("page/page.css"),
    include_str!("page/body.html"),
    include_str!("page/elements.js"),
    include_str!("page/words.js"),
    include_str!("page/parts.js"),
    include_str!("page/signing.js"),
    include_str!("page/plots.js"),
    include_str!("page/token.js"),
    include_str!("page/main.js"),
    include_str!("page/tail.html"),
);

/// `Content-Security-Policy` of the page (CSP Level 3). It allows the one style sheet and the one script by
/// their hashes, so injected markup could bring neither. Trusted Types make the browser refuse any sink that
/// parses text as HTML.
pub static CSP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        hash(inline("style")),
        hash(inline("script")),
    )
});

/// Headers of every answer of the admin listener.
pub const HARDENING: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// The text of the page's only element of that name.
fn inline(name: &str) -> &'static str {
    let after = HTML.split_once(&format!("<{name}>")).map_or("", |(_, after)| after);
    after.split_once(&format!("</{name}>")).map_or("", |(text, _)| text)
}

fn hash(text: &str) -> String {
    STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_asks_nothing_of_other_hosts() {
        let addresses = HTML.replace("http://www.w3.org/2000/svg", "");
        assert!(!addresses.contains("http:") && !addresses.contains("https:"));
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            " style=\"",
            " onclick",
        ] {
            assert!(!HTML.contains(sink), "{sink}");
        }
    }

    #[test]
    fn the_policy_names_both_parts_and_has_no_hole() {
        assert!(inline("style").len() > 1000 && inline("script").len() > 1000);
        assert_eq!(HTML.matches("<script").count(), 1);
        assert_eq!(HTML.matches("<style").count(), 1);
        assert!(!CSP.contains("unsafe") && !CSP.contains('*'));
        assert_eq!(CSP.matches("sha256-").count(), 2);
    }

    #[test]
    fn the_hash_is_the_one_browsers_compute() {
        // CSP Level 3, §6.7.3.3: base64 of the SHA-256 of the element's text.
        assert_eq!(hash("alert(1)"), "bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=");
    }
}
