//! Renames `iss` in authorization responses (RFC 9207 §2). Where the rewritten discovery document
//! has a new issuer, the response must have the same: clients compare the two byte for byte, and
//! abort the login if they differ.

use super::{Place, form_post, redirect};

/// The edits that rename `from`, the upstream's own names, to `to` in the query and the fragment of
/// a `Location`.
///
/// ```
/// use countersign_core::rewrite::{issuer, splice};
///
/// let location = b"https://app/cb?code=1&iss=http%3A%2F%2Finner";
/// let edits = issuer::in_location(location, &["http://inner"], "https://login.example");
/// let new = splice(location, edits);
/// assert_eq!(new, b"https://app/cb?code=1&iss=https%3A%2F%2Flogin.example");
/// ```
pub fn in_location(location: &[u8], from: &[&str], to: &str) -> Vec<(Place, String)> {
    renamed(redirect::find(location, &names()), from, to)
}

/// The same for the hidden inputs of a self-submitting page (OAuth 2.0 Form Post Response Mode §2).
pub fn in_form_post(html: &[u8], from: &[&str], to: &str) -> Vec<(Place, String)> {
    renamed(form_post::find(html, &names()), from, to)
}

fn names() -> [String; 1] {
    ["iss".to_owned()]
}

/// The name of another issuer is not changed: such a response is not from this upstream (mix-up
/// attack, RFC 9207 §4).
fn renamed(places: Vec<Place>, from: &[&str], to: &str) -> Vec<(Place, String)> {
    let ours = |place: &Place| from.contains(&place.token.as_str()) && place.token != to;
    places.into_iter().filter(ours).map(|place| (place, to.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::splice;
    use super::*;

    const FROM: &[&str] = &["http://inner:3000/oidc", "http://inner:3000/oidc/"];
    const TO: &str = "https://login.example/oidc";

    fn located(location: &str) -> String {
        let edits = in_location(location.as_bytes(), FROM, TO);
        String::from_utf8(splice(location.as_bytes(), edits)).unwrap()
    }

    #[test]
    fn query_and_fragment_name_the_new_issuer() {
        let new = "iss=https%3A%2F%2Flogin.example%2Foidc";
        for old in ["iss=http://inner:3000/oidc", "iss=http%3A%2F%2Finner%3A3000%2Foidc%2F"] {
            assert_eq!(
                located(&format!("https://a/cb?code=c&{old}&s=1")),
                format!("https://a/cb?code=c&{new}&s=1")
            );
            assert_eq!(located(&format!("app:/cb#code=c&{old}")), format!("app:/cb#code=c&{new}"));
        }
    }

    #[test]
    fn a_page_that_posts_itself_names_it_too() {
        let page = r#"<input type="hidden" name="iss" value="http:&#x2F;/inner:3000/oidc"/>"#;
        let edits = in_form_post(page.as_bytes(), FROM, TO);
        let new = String::from_utf8(splice(page.as_bytes(), edits)).unwrap();
        let named = form_post::find(new.as_bytes(), &names());
        assert_eq!(named[0].token, TO);
    }

    /// A response of another issuer, or one with two `iss`, must not pass as one of this issuer.
    #[test]
    fn another_issuer_keeps_its_name() {
        for location in [
            "/cb?iss=https://evil.example",
            "/cb?iss=http://inner:3000/oidc2",
            "/cb?iss=http://inner:3000/oidc&iss=http://inner:3000/oidc",
            "/cb?ISS=http://inner:3000/oidc",
            "/cb?state=iss%3Dhttp://inner:3000/oidc",
            "/cb?iss=",
            "/cb",
        ] {
            assert_eq!(located(location), location);
        }
    }
}
