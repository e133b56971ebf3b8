//! The explanations of the verdicts, for every odd value of every member, the corpus and random edits: each
//! refusal has a cause with a place, nothing panics, and the cause names the member that was made odd.
#![cfg(feature = "verifier")]

use crate::support::verifiers;
use std::sync::OnceLock;

use crate::support::signer::Signer;
use crate::support::verifiers::{AnswerOf as _, Response, VerdictError};
use countersign::jose::names::UnixTime;
use countersign::verifier::{Cause, explain};
use futures::FutureExt;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "http://issuer";
const JWKS: &str = "http://issuer/jwks";

struct Keys {
    rsa: Signer,
    other: Signer,
    ec: Signer,
    ed: Signer,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys {
        rsa: Signer::rs256(),
        other: Signer::rs256(),
        ec: Signer::es256(),
        ed: Signer::eddsa(),
    })
}

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "user", "aud": "app", "iat": NOW, "exp": NOW + 600})
}

fn head() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": "k1"})
}

fn good_token() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| keys().rsa.token(&head(), &claims()))
}

fn good_set() -> Response {
    Response::json(json!({"keys": [keys().rsa.jwk("k1")]}).to_string())
}

/// The verdicts for both kinds of provider, explained.
struct Judged {
    custom: Result<(), Vec<Cause>>,
    open: Result<(), Vec<Cause>>,
}

impl Judged {
    fn accepts(&self) -> (bool, bool) {
        (self.custom.is_ok(), self.open.is_ok())
    }

    fn causes(&self) -> impl Iterator<Item = &Cause> {
        [&self.custom, &self.open].into_iter().filter_map(|said| said.as_ref().err()).flatten()
    }

    fn names(&self, place: &str) -> bool {
        self.causes().any(|cause| cause.place == place)
    }
}

fn explained(what: &str, refusal: &VerdictError, causes: Vec<Cause>) -> Vec<Cause> {
    assert!(!causes.is_empty(), "{what}: {refusal} is not explained");
    for cause in &causes {
        let told = [cause.code, &cause.place, &cause.text];
        assert!(told.iter().all(|text| !text.is_empty()), "{what}: {cause:?}");
    }
    causes
}

fn judge(what: &str, discovery: &Response, set: &Response, token: &str) -> Judged {
    let now = UnixTime::from_secs(NOW);
    let (mut provider, open) = verifiers::providers(ISSUER, JWKS, "app");
    let mut custom = Ok(());
    for algorithm in [verifiers::Algorithm::Es256, verifiers::Algorithm::Rs256] {
        provider.algorithm = algorithm;
        custom = verifiers::custom_jwt(set, &provider, token, now).map_err(|refusal| {
            let causes = explain::custom_jwt(&refusal, set, &provider, Some(token));
            explained(what, &refusal, causes)
        });
    }
    let usable = verifiers::custom_jwt_key_set(set, JWKS, provider.algorithm);
    if let Err(refusal) = &usable {
        explained(what, refusal, explain::custom_jwt(refusal, set, &provider, None));
    }
    assert!(usable == Ok(true) || custom.is_err(), "{what}: accepted without a usable key");

    let well_known = format!("{ISSUER}/.well-known/openid-configuration");
    let fetch = |url: String| {
        let found = if url == well_known { discovery.clone() } else { set.clone() };
        std::future::ready(Ok(found))
    };
    let read = verifiers::oidc_discovery(fetch, ISSUER).now_or_never().unwrap();
    // As doctor does it: a refused document is not blamed on the key set.
    let blamed = Some(set).filter(|_| read.is_ok() || *discovery == good_discovery());
    let why = |refusal: VerdictError, token| {
        let causes = explain::oidc(&refusal, Some(discovery), blamed, &open, token);
        explained(what, &refusal, causes)
    };
    if let Err(refusal) = read {
        why(refusal, None);
    }
    let said = verifiers::oidc(fetch, &open, token, now).now_or_never().unwrap();
    if said.is_ok() {
        let usable = verifiers::oidc_discovery(fetch, ISSUER).now_or_never().unwrap();
        assert_eq!(usable, Ok(true), "{what}: accepted without a usable key");
    }
    Judged { custom, open: said.map_err(|refusal| why(refusal, Some(token))) }
}

fn compare(what: &str, discovery: &Response, set: &Response, token: &str) -> (bool, bool) {
    judge(what, discovery, set, token).accepts()
}

fn good_discovery() -> Response {
    Response::json(json!({"issuer": ISSUER, "jwks_uri": JWKS}).to_string())
}

fn compare_set(what: &str, set: &Response) -> (bool, bool) {
    compare(what, &good_discovery(), set, good_token())
}

fn odd_values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(7),
        json!(-1),
        json!(1.5),
        json!(""),
        json!("x"),
        json!("sig"),
        json!("enc"),
        json!("AQAB"),
        json!("AQAB=="),
        json!("AQ+/"),
        json!("AR"),
        json!("RS256"),
        json!("ES256"),
        json!("RS512"),
        json!("RSA-OAEP-512"),
        json!("EdDSA"),
        json!("EC"),
        json!("P-256"),
        json!("secp256k1"),
        json!("http://issuer/x"),
        json!("2026-11-24T11:00:00Z"),
        json!([]),
        json!(["sig"]),
        json!([7]),
        json!({}),
        json!({"a": 1}),
    ]
}

#[test]
fn every_odd_value_of_every_key_member() {
    let names = [
        "kty", "use", "key_ops", "alg", "kid", "x5u", "x5c", "x5t", "x5t#S256", "n", "e", "d", "p",
        "q", "dp", "dq", "qi", "oth", "crv", "x", "y", "k", "ext",
    ];
    let mut seen = [[0; 2]; 2];
    let good = keys().rsa.jwk("k1");
    let bases = [
        keys().other.jwk("o"),
        keys().ec.jwk("o"),
        keys().ed.jwk("o"),
        json!({"kty": "oct", "k": "AA"}),
    ];
    for name in names {
        for value in odd_values().into_iter().map(Some).chain([None]) {
            let edit = |mut jwk: Value| {
                match &value {
                    Some(value) => jwk[name] = value.clone(),
                    None => drop(jwk.as_object_mut().unwrap().remove(name)),
                }
                jwk
            };
            let mut sets = vec![json!({"keys": [edit(good.clone())]})];
            sets.extend(bases.iter().map(|base| json!({"keys": [good, edit(base.clone())]})));
            for set in sets {
                let what = format!("{name} = {value:?} in {set}");
                let set = Response::json(set.to_string());
                let judged = judge(&what, &good_discovery(), &set, good_token());
                let (custom, open) = judged.accepts();
                seen[usize::from(custom)][usize::from(open)] += 1;
                // If the set is refused, the cause is the member that was made odd, and no other.
                for cause in judged.custom.as_ref().err().into_iter().flatten() {
                    let in_set = cause.place.starts_with("$.keys");
                    let named = cause.place.ends_with(&format!(".{name}"))
                        // Another `kty` needs other members.
                        || name == "kty" || cause.code == "entry"
                        // The other key of the set is refused anyway.
                        || cause.text.contains("EdDSA");
                    assert!(!in_set || named, "{what}: {cause:?}");
                }
            }
        }
    }
    // Both verdicts of both kinds of provider must occur, or this test shows nothing.
    assert!(seen.iter().flatten().all(|n| *n > 10), "{seen:?}");
}

#[test]
fn every_odd_value_of_every_claim() {
    let names = [
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "auth_time",
        "nonce",
        "acr",
        "amr",
        "azp",
        "at_hash",
        "c_hash",
        "name",
        "name#de",
        "email#de",
        "email",
        "email_verified",
        "picture",
        "website",
        "gender",
        "birthdate",
        "birthday",
        "zoneinfo",
        "locale",
        "phone_number",
        "phone_number_verified",
        "address",
        "updated_at",
        "preferred_username",
        "org",
    ];
    let more = [
        json!(NOW),
        json!(NOW + 3),
        json!(NOW + 6),
        json!(NOW - 4),
        json!(NOW - 6),
        json!(NOW * 1000),
        json!(NOW * 1_000_000),
        json!(8_210_266_876_799_i64),
        json!(8_210_266_876_800_i64),
        json!(-8_334_601_228_800_i64),
        json!(-8_334_601_228_801_i64),
        json!(1e300),
        json!(u64::MAX),
        json!(NOW as f64 + 0.5),
        json!("app"),
        json!(["app"]),
        json!(["app", "app"]),
        json!(["app", "other"]),
        json!("issuer"),
        json!("http://issuer/"),
        json!({"country": "x"}),
        json!({"country": 7}),
    ];
    let mut seen = [[0; 2]; 2];
    for name in names {
        for value in odd_values().into_iter().chain(more.clone()).map(Some).chain([None]) {
            let mut edited = claims();
            match &value {
                Some(value) => edited[name] = value.clone(),
                None => drop(edited.as_object_mut().unwrap().remove(name)),
            }
            let token = keys().rsa.token(&head(), &edited);
            let what = format!("claims {edited}");
            let judged = judge(&what, &good_discovery(), &good_set(), &token);
            let (custom, open) = judged.accepts();
            seen[usize::from(custom)][usize::from(open)] += 1;
            let place = format!("claims.{name}");
            let named = judged.names(&place) || (name == "iss" && judged.names("$.issuer"));
            assert!(custom && open || named, "{what}: {:?} {:?}", judged.custom, judged.open);
        }
    }
    assert!(seen[0][0] > 10 && seen[1][0] > 10 && seen[1][1] > 10, "{seen:?}");
}

#[test]
fn every_odd_value_of_every_header_member() {
    let names =
        ["alg", "typ", "cty", "kid", "jku", "jwk", "x5u", "x5c", "x5t", "crit", "b64", "zip"];
    let set = json!({"keys": [keys().rsa.jwk("k1"), keys().ed.jwk("o1"), keys().ec.jwk("e1")]});
    let without_okp = json!({"keys": [keys().rsa.jwk("k1"), keys().ec.jwk("e1")]});
    let more = [
        json!("k1"),
        json!("none"),
        json!("jwt"),
        json!("JOSE"),
        json!("at+jwt"),
        json!("application/jwt"),
        json!("A128GCM"),
        json!("HS256"),
        keys().ec.jwk("z"),
    ];
    for set in [set, without_okp] {
        for name in names {
            for value in odd_values().into_iter().chain(more.clone()).map(Some).chain([None]) {
                let mut edited = head();
                match &value {
                    Some(value) => edited[name] = value.clone(),
                    None => drop(edited.as_object_mut().unwrap().remove(name)),
                }
                let token = keys().rsa.token(&edited, &claims());
                let response = Response::json(set.to_string());
                compare(&format!("header {edited}"), &good_discovery(), &response, &token);
            }
        }
        for (signer, kid) in [(&keys().ed, "o1"), (&keys().ec, "e1"), (&keys().ec, "k1")] {
            let token = signer.token(&json!({"alg": signer.alg(), "kid": kid}), &claims());
            let response = Response::json(set.to_string());
            compare(kid, &good_discovery(), &response, &token);
        }
    }
}

#[test]
fn every_odd_value_of_every_discovery_member() {
    let names = [
        "issuer",
        "jwks_uri",
        "authorization_endpoint",
        "token_endpoint",
        "userinfo_endpoint",
        "registration_endpoint",
        "scopes_supported",
        "response_types_supported",
        "response_modes_supported",
        "grant_types_supported",
        "acr_values_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
        "id_token_encryption_alg_values_supported",
        "id_token_encryption_enc_values_supported",
        "userinfo_signing_alg_values_supported",
        "request_object_signing_alg_values_supported",
        "token_endpoint_auth_methods_supported",
        "token_endpoint_auth_signing_alg_values_supported",
        "display_values_supported",
        "claim_types_supported",
        "claims_supported",
        "service_documentation",
        "claims_locales_supported",
        "ui_locales_supported",
        "claims_parameter_supported",
        "request_parameter_supported",
        "request_uri_parameter_supported",
        "require_request_uri_registration",
        "op_policy_uri",
        "op_tos_uri",
        "end_session_endpoint",
    ];
    for name in names {
        for value in odd_values() {
            let mut document = json!({"issuer": ISSUER, "jwks_uri": JWKS});
            document[name] = value;
            let response = Response::json(document.to_string());
            let judged = judge(&document.to_string(), &response, &good_set(), good_token());
            let place = format!("$.{name}");
            assert!(judged.open.is_ok() || judged.names(&place), "{document}: {:?}", judged.open);
        }
    }
    let twice = format!("{{\"issuer\":\"{ISSUER}\",\"jwks_uri\":\"{JWKS}\",\"issuer\":\"x\"}}");
    let after = format!("{{\"issuer\":\"{ISSUER}\",\"jwks_uri\":\"{JWKS}\"}} trailing");
    let other = format!("{{\"issuer\":\"{ISSUER}/\",\"jwks_uri\":\"{JWKS}\"}}");
    for body in [twice.as_str(), &after, &other, "", "[]", "{}", "\u{feff}{}", "<html>"] {
        compare(body, &Response::json(body), &good_set(), good_token());
    }
}

#[test]
fn envelopes_and_headers() {
    let key = keys().rsa.jwk("k1").to_string();
    let twice = key.replacen("\"kid\"", "\"kid\":\"k1\",\"kid\"", 1);
    let ext = key.replacen('{', "{\"ext\":1,\"ext\":2,", 1);
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let bodies = [
        format!("[{key}]"),
        key.clone(),
        format!("\u{feff}{{\"keys\":[{key}]}}"),
        format!("{{\"keys\":[{twice}]}}"),
        format!("{{\"keys\":[{ext}]}}"),
        format!("{{\"keys\":[{key},{twice}]}}"),
        format!("{{\"keys\":[{key},null]}}"),
        format!("{{\"keys\":[{key}],\"keys\":[]}}"),
        format!("{{\"keys\":[{key}],\"x\":1,\"x\":2}}"),
        format!("{{\"keys\":[{key}],\"x\":{deep}}}"),
        format!("{{\"keys\":[{key},{deep}]}}"),
        format!("{{\"keys\":[{key}],}}"),
        format!("{{\"keys\":[{key}]}} garbage"),
        format!("{{\"keys\":[{key}]}} \n"),
        format!("{{\"keys\":{{\"k1\":{key}}}}}"),
        format!("{{\"data\":{{\"keys\":[{key}]}}}}"),
        format!("{{\"Keys\":[{key}]}}"),
        format!("[[{key}]]"),
        "{\"keys\":null}".to_owned(),
        "{\"keys\":[]}".to_owned(),
        "{}".to_owned(),
        "null".to_owned(),
        "7".to_owned(),
        "\"x\"".to_owned(),
        String::new(),
        "<!doctype html>".to_owned(),
        "-----BEGIN PUBLIC KEY-----".to_owned(),
    ];
    for body in bodies {
        compare_set(&body[..body.len().min(80)], &Response::json(body.clone()));
    }
    let mut latin = format!("{{\"keys\":[{key}],\"x\":\"?\"}}").into_bytes();
    let at = latin.iter().position(|b| *b == b'?').unwrap();
    latin[at] = 0xe9;
    compare_set("latin-1 in an unknown member", &Response::json(latin));
    let mut latin =
        format!("{{\"keys\":[{}]}}", key.replacen('{', "{\"ext\":\"?\",", 1)).into_bytes();
    let at = latin.iter().position(|b| *b == b'?').unwrap();
    latin[at] = 0xe9;
    compare_set("latin-1 in a key", &Response::json(latin));
    let body = good_set().body;
    for kind in [
        "application/json",
        "application/jwk-set+json",
        "Application/JSON",
        "text/html",
        "text/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json; charset=\"utf-8\"",
        "application/json; charset=utf8",
        "application/json ; charset=utf-8",
        "application/json; charset=iso-8859-1",
        "application/json;",
        "application/json; ",
        "application/json; charset",
        "application/json; a=b",
        "application/json; a=b; charset=utf-16",
        "application/problem+json",
        "json",
        "",
        ";",
        "é/é",
        "application/json; charset=",
        "application/json; charset=\"\"",
        "application/json, text/html",
        "application/json; charset=\"utf-8\" ; q=1",
        "application/json; charset=utf-8; charset=x",
        "application/json; CHARSET=utf-8",
        "application/json;  charset=utf-8",
        "application/json; charset=utf-8 ",
        "application/json\t; charset=utf-8",
    ] {
        let response = Response::of(kind, body.clone());
        compare_set(kind, &response);
        if !kind.contains('é') {
            let mut discovery = good_discovery();
            discovery.content_type = Some(kind.to_owned());
            compare(kind, &discovery, &good_set(), good_token());
        }
    }
    for status in [200, 201, 203, 204, 301, 404, 406, 429, 500, 599] {
        compare_set("status", &Response { status, ..good_set() });
        let discovery = Response { status, ..good_discovery() };
        compare("status", &discovery, &good_set(), good_token());
    }
    compare_set("no type", &Response { content_type: None, ..good_set() });
}

#[test]
fn odd_tokens() {
    let good = good_token();
    let parts: Vec<_> = good.split('.').collect();
    let text = |h: &str, c: &str| keys().rsa.token_of_text(h, c);
    let head = head().to_string();
    let claims = claims().to_string();
    let mut tokens = vec![
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}.x"),
        format!("{good}="),
        format!("{good} "),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.AAAA", parts[0], parts[1]),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        text(&head, &claims.replacen('{', "{\"exp\":1,", 1)),
        text(&head, &claims.replacen('{', "{\"org\":1,\"org\":2,", 1)),
        text(&head, &claims.replacen('{', "{\"name\":\"a\",\"name\":\"b\",", 1)),
        text(&head, &claims.replacen('{', "{\"name\":\"a\",\"name#de\":\"b\",", 1)),
        text(&head.replacen('{', "{\"alg\":\"RS256\",", 1), &claims),
        text(&head.replacen('{', "{\"x\":1,\"x\":2,", 1), &claims),
        text(&head, &format!("\u{feff}{claims}")),
        text(&head, "[]"),
        text(&head, "null"),
        text("[]", &claims),
        text("{}", &claims),
        text(&head, &format!("{claims} ")),
        text(&head, &format!("{claims}x")),
        text(&head, &claims.replacen('{', &format!("{{\"deep\":{},", "[".repeat(200)), 1)),
    ];
    tokens.push(keys().other.token(&self::head(), &self::claims()));
    for token in tokens {
        compare(&token, &good_discovery(), &good_set(), &token);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Any byte of a good set or token changed, removed or doubled.
    #[test]
    fn random_edits(at in any::<proptest::sample::Index>(), with in any::<u8>(), how in 0..4) {
        let edit = |bytes: &mut Vec<u8>| {
            let i = at.index(bytes.len());
            match how {
                0 => bytes[i] = with,
                1 => drop(bytes.remove(i)),
                2 => bytes.insert(i, with),
                _ => bytes.truncate(i),
            }
        };
        let mut set = good_set();
        edit(&mut set.body);
        compare_set(&String::from_utf8_lossy(&set.body), &set);
        let mut token = good_token().as_bytes().to_vec();
        edit(&mut token);
        if let Ok(token) = String::from_utf8(token) {
            compare(&token, &good_discovery(), &good_set(), &token);
        }
        let mut header = head().to_string().into_bytes();
        edit(&mut header);
        let mut claims = claims().to_string().into_bytes();
        edit(&mut claims);
        if let (Ok(header), Ok(claims)) = (String::from_utf8(header), String::from_utf8(claims)) {
            let token = keys().rsa.token_of_text(&header, &self::claims().to_string());
            compare(&header, &good_discovery(), &good_set(), &token);
            let token = keys().rsa.token_of_text(&head().to_string(), &claims);
            compare(&claims, &good_discovery(), &good_set(), &token);
        }
    }
}

/// Documents of real servers, one file each.
#[test]
fn the_corpus() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/in");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            compare_set(
                &path.display().to_string(),
                &Response::json(std::fs::read(&path).unwrap()),
            );
            seen += 1;
        }
    }
    assert!(seen > 200, "{seen}");
}
