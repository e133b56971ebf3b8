//! Places and splicing on random input: nothing panics, no other byte changes, and a parser of the
//! format reads back exactly what was inserted.

use countersign::jose::alg::Alg;
use countersign::rewrite::{
    JsonPath, PathPattern, Place, cookie, discovery, field, form, form_post, issuer, json,
    jwt_body, redirect, registration, splice,
};
use proptest::prelude::*;
use serde_json::{Map, Value};

fn names() -> Vec<String> {
    vec!["t".to_owned(), "id_token".to_owned()]
}

fn paths() -> Vec<JsonPath> {
    ["t", "a.t", "a[*].t", "*.b", "[*]"].iter().map(|path| JsonPath::parse(path).unwrap()).collect()
}

/// Places are inside the input, in order, and do not overlap. Splicing each token into its own
/// place changes nothing.
fn sound(input: &[u8], mut found: Vec<Place>) {
    found.sort_by_key(|place| place.range.start);
    let mut at = 0;
    for place in &found {
        assert!(place.range.start >= at && place.range.end >= place.range.start, "{found:?}");
        at = place.range.end;
    }
    assert!(at <= input.len());
    let same = found.into_iter().map(|place| {
        let token = place.token.clone();
        (place, token)
    });
    assert_eq!(splice(input, same.collect()), input);
}

fn every_finder(input: &[u8]) {
    if let Ok(found) = json::find(input, &paths()) {
        sound(input, found);
    }
    sound(input, form::find(input, &names()));
    sound(input, form_post::find(input, &names()));
    sound(input, jwt_body(input).into_iter().collect());
    sound(input, field::find(input, "x").into_iter().collect());
    sound(input, redirect::find(input, &names()));
    sound(input, cookie::find(input, &names()));
    sound(input, cookie::find_in_request(input, &names()));
    let _ = issuer::in_location(input, &["t"], "u");
    let _ = registration::request(input, Alg::Rs256, &["ES384".to_owned()]);
    let _ = discovery::read(input);
    let nothing = discovery::DiscoveryRewrite::default();
    if let Ok(new) = discovery::rewrite(input, &nothing) {
        assert!(input.ends_with(&new));
    }
    if let Ok(text) = std::str::from_utf8(input) {
        if let Ok(path) = JsonPath::parse(text) {
            assert_eq!(path.as_ref(), text);
        }
        if let Ok(pattern) = PathPattern::parse(text) {
            let _ = pattern.matches("/a/b");
        }
    }
}

/// Random text built from the syntax of the formats, so that most of it reaches deep into the
/// parsers.
fn structured() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        ":",
        ",",
        " ",
        "t",
        "\"t\"",
        "\"a\"",
        "\"b\":",
        "\"x\"",
        "1",
        "null",
        "&",
        "=",
        "?",
        "#",
        "%",
        "%2E",
        "%ff",
        "+",
        ";",
        "id_token",
        "id_token=",
        "<",
        ">",
        "<input ",
        "type=hidden ",
        "name=t ",
        "value=",
        "'",
        "/",
        "<!--",
        "-->",
        "<script>",
        "</script>",
        "&#46;",
        "&amp;",
        "Bearer ",
        "a.b.c",
        "é",
        "\u{feff}",
        "\n",
        "\\u0074",
        "\"issuer\":",
        "\"https://a\"",
        "*",
        "**",
    ]);
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec!["t", "a", "b", "x", "é\"\\", ""]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|members| {
                members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>().into()
            }),
        ]
    })
}

/// The expected result: replaces every string at `steps` in parsed JSON.
fn replace(value: &mut Value, steps: &[&str], new: &str) {
    let Some((step, rest)) = steps.split_first() else {
        if value.is_string() {
            *value = new.into();
        }
        return;
    };
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if *step == "*" || step == key {
                    replace(value, rest, new);
                }
            }
        }
        Value::Array(list) if *step == "*" => {
            list.iter_mut().for_each(|value| replace(value, rest, new));
        }
        _ => {}
    }
}

fn all_to(found: Vec<Place>, new: &str) -> Vec<(Place, String)> {
    found.into_iter().map(|place| (place, new.to_owned())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(input in prop::collection::vec(any::<u8>(), 0..200)) {
        every_finder(&input);
    }

    #[test]
    fn random_structure(input in structured()) {
        every_finder(input.as_bytes());
    }

    #[test]
    fn json_reads_back(
        value in any_json(),
        pretty in any::<bool>(),
        path in prop::sample::select(vec!["t", "a.t", "a[*].t", "*.b", "[*].t", "a.b.*"]),
        new in any::<String>(),
    ) {
        let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
        let text = text.unwrap();
        let steps: Vec<String> = path.replace("[*]", ".*").split('.').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        let found = json::find(&text, &[JsonPath::parse(path).unwrap()]).unwrap();
        let got: Value = serde_json::from_slice(&splice(&text, all_to(found, &new))).unwrap();
        let mut expected = value;
        replace(&mut expected, &steps, &new);
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn forms_read_back(
        fields in prop::collection::vec(("[a-z&=+% é]{0,6}", any::<String>()), 0..6),
        at in 0usize..6,
        new in any::<String>(),
    ) {
        let mut fields: Vec<(String, String)> =
            fields.into_iter().filter(|(name, _)| name != "id_token").collect();
        fields.insert(at.min(fields.len()), ("id_token".to_owned(), "old".to_owned()));
        let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
        let edits = all_to(form::find(text.as_bytes(), &["id_token".to_owned()]), &new);
        prop_assert_eq!(edits.len(), 1);
        let out = splice(text.as_bytes(), edits);
        let got: Vec<(String, String)> = form_urlencoded::parse(&out).into_owned().collect();
        for (name, value) in &mut fields {
            if name == "id_token" {
                value.clone_from(&new);
            }
        }
        prop_assert_eq!(got, fields);
        // The same in the fragment of a `Location`.
        let location = format!("https://a/cb?x=1#{text}");
        let found = redirect::find(location.as_bytes(), &["id_token".to_owned()]);
        let out = splice(location.as_bytes(), all_to(found, &new));
        prop_assert_eq!(redirect::value(&out, "id_token"), Some(new));
    }

    #[test]
    fn pages_read_back(new in any::<String>(), quote in prop::sample::select(vec!["\"", "'", ""])) {
        let page = format!("<p>&amp;<input type=hidden name=t value={quote}a.b.c{quote} ><b>");
        let out = splice(page.as_bytes(), all_to(form_post::find(page.as_bytes(), &names()), &new));
        // An unquoted empty value cannot be written: the attribute would have no value.
        prop_assume!(!(new.is_empty() && quote.is_empty()));
        let again = form_post::find(&out, &names());
        prop_assert_eq!(again.len(), 1);
        prop_assert_eq!(&again[0].token, &new);
        prop_assert!(out.starts_with(b"<p>&amp;<input") && out.ends_with(b" ><b>"));
    }

    #[test]
    fn tokens_read_back_from_headers(new in "[A-Za-z0-9_-]{1,40}\\.[A-Za-z0-9_-]{1,40}\\.[A-Za-z0-9_-]{1,40}={0,2}") {
        let line = "id_token=\"old\"; Path=/; HttpOnly";
        let found = cookie::find(line.as_bytes(), &names());
        let out = splice(line.as_bytes(), all_to(found, &new));
        prop_assert_eq!(&cookie::find(&out, &names())[0].token, &new);
        let line = "Bearer a.b.c";
        let found: Vec<Place> = field::find(line.as_bytes(), "x").into_iter().collect();
        let out = splice(line.as_bytes(), all_to(found, &new));
        prop_assert_eq!(field::find(&out, "x").unwrap().token, new);
    }
}
