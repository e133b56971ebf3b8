//! The replica of Convex's verification, compared with measurements of its backend's code. One row
//! per document or token, first for `customJwt`, then for OIDC.
#![cfg(feature = "verifier")]

use crate::support::verifiers;
use std::sync::OnceLock;

use crate::support::signer::{Signer, b64};
use crate::support::verifiers::{
    Algorithm, AnswerOf as _, Response, custom_jwt, oidc, paper, providers,
};
use countersign::jose::names::UnixTime;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "http://issuer";
const JWKS: &str = "http://issuer/jwks";

fn key() -> &'static Signer {
    static KEY: OnceLock<Signer> = OnceLock::new();
    KEY.get_or_init(Signer::rs256)
}

fn good_jwk() -> Value {
    key().jwk("k1")
}

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "user", "aud": "app", "iat": NOW, "exp": NOW + 600})
}

#[expect(clippy::needless_pass_by_value, reason = "every caller gives a literal")]
fn with(mut value: Value, edits: Value) -> Value {
    for (name, edit) in edits.as_object().unwrap() {
        value[name] = edit.clone();
    }
    value
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().unwrap().remove(name);
    value
}

fn good_token() -> String {
    key().token(&json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}), &claims())
}

async fn judge(answer: &Response, token: &str) -> (String, String) {
    let now = UnixTime::from_secs(NOW);
    let (custom, open) = providers(ISSUER, JWKS, "app");
    let said = |r: Result<(), verifiers::VerdictError>| match r {
        Ok(()) => "ACCEPT".to_owned(),
        Err(e) => e.to_string(),
    };
    (
        said(custom_jwt(answer, &custom, token, now)),
        said(oidc(paper(ISSUER, answer), &open, token, now).await),
    )
}

/// Compares the beginnings only: the recorded texts were cut at about 190 characters.
async fn row(name: &str, answer: Response, token: &str, customs: &str, open: &str) {
    let (a, b) = judge(&answer, token).await;
    assert!(a.starts_with(customs), "{name}, customJwt: {a}");
    assert!(b.starts_with(open), "{name}, OIDC: {b}");
}

const BODY: &str = "InvalidAuthHeader: Invalid JWKS response body from 'http://issuer/jwks'. The \
    response is not valid JSON or doesn't match the expected JWKS format.";
const DISCOVERY: &str =
    "AuthProviderDiscoveryFailed: Auth provider discovery of http://issuer failed";
const UNVERIFIED: &str = "Unauthenticated: Could not verify OIDC token claim. Check that the token \
    signature is valid and the token hasn't expired.: Signature verificat";
const KID_K1: &str = "InvalidAuthHeader: Could not decode token. The JWT's 'kid' (key ID) header is \
    'k1', does this key match any key in the provider's JWKS?: ";

#[tokio::test]
async fn media_types() {
    let set = json!({"keys": [good_jwk()]}).to_string();
    let token = good_token();
    let refused = |t: &str| {
        format!(
            "InvalidAuthHeader: Invalid Content-Type '{t}' when fetching JWKS from \
             'http://issuer/jwks'. Expected 'application/json' or 'application/jwk-set+json'."
        )
    };
    let with_body = format!("{DISCOVERY}: 200 OK {{\"keys\":[");
    for (kind, a, b) in [
        ("application/json", String::from("ACCEPT"), "ACCEPT"),
        ("application/jwk-set+json", "ACCEPT".into(), "ACCEPT"),
        ("application/json; charset=UTF-8", "ACCEPT".into(), "ACCEPT"),
        ("application/json; charset=\"utf-8\"", "ACCEPT".into(), "ACCEPT"),
        ("text/html", refused("text/html"), &with_body),
        (
            "application/json; charset=iso-8859-1",
            refused("application/json; charset=iso-8859-1"),
            "ACCEPT",
        ),
        ("application/problem+json", refused("application/problem+json"), &with_body),
        (
            "application/json ; charset=utf-8",
            "InvalidAuthHeader: Invalid Content-Type".into(),
            &with_body,
        ),
        ("application/json; charset=utf8", refused("application/json; charset=utf8"), "ACCEPT"),
    ] {
        row(kind, Response::of(kind, set.clone()), &token, &a, b).await;
    }
    let none = Response { content_type: None, ..Response::json(set.clone()) };
    row("none", none, &token, &refused("unknown"), "ACCEPT").await;
    let missing = Response { status: 404, ..Response::json("") };
    let text = "InvalidAuthHeader: Could not fetch JWKS from URL 'http://issuer/jwks': HTTP 404 Not \
        Found. Check that the URL is correct and accessible.";
    row("404", missing, &token, text, DISCOVERY).await;
    let other_200 = Response { status: 203, ..Response::json(set) };
    let text = "InvalidAuthHeader: Could not fetch JWKS from URL 'http://issuer/jwks': HTTP 203";
    row("203", other_200, &token, text, DISCOVERY).await;
}

#[tokio::test]
async fn odd_keys_beside_a_good_one() {
    let token = good_token();
    let es384 = Signer::es384().jwk("e1");
    let ed = Signer::eddsa().jwk("o1");
    let rsa = Signer::rs256().jwk("r2");
    let p256 = Signer::es256().jwk("e2");
    let x25519 = json!({"kty": "OKP", "crv": "X25519", "x": ed["x"], "kid": "x"});
    let akp = json!({"kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA", "kid": "m"});
    let private = with(rsa.clone(), json!({"d": rsa["n"], "p": "AQAB", "q": "AQAB"}));
    let fatal = (BODY, "ACCEPT");
    let fine = ("ACCEPT", "ACCEPT");
    for (name, odd, (a, b)) in [
        ("plus ES384", es384, fine),
        ("plus EdDSA alg", ed.clone(), fatal),
        ("plus OKP no alg", without(ed, "alg"), fine),
        ("plus secp256k1", with(without(p256, "alg"), json!({"crv": "secp256k1"})), fatal),
        ("plus X25519", x25519, fatal),
        (
            "plus RSA-OAEP-512 enc",
            with(rsa.clone(), json!({"alg": "RSA-OAEP-512", "use": "enc"})),
            fatal,
        ),
        ("plus RSA-OAEP enc", with(rsa.clone(), json!({"alg": "RSA-OAEP", "use": "enc"})), fine),
        ("plus unknown kty AKP", akp, fatal),
        ("numeric kid other key", with(rsa.clone(), json!({"kid": 7})), fatal),
        ("kid null other", with(rsa.clone(), json!({"kid": null})), fine),
        ("x5c string", with(rsa.clone(), json!({"x5c": "MIIB"})), fatal),
        ("x5c list", with(rsa.clone(), json!({"x5c": ["MIIB"]})), fine),
        ("x5t num", with(rsa.clone(), json!({"x5t": 7})), fatal),
        ("key_ops string", with(rsa.clone(), json!({"key_ops": "verify"})), fatal),
        ("oct key", json!({"kty": "oct", "k": "AAAA", "kid": "s"}), fine),
        ("one key w/o n", without(rsa.clone(), "n"), fatal),
        ("private leaked", private, fine),
        ("null entry", Value::Null, fatal),
        ("oct without k", json!({"kty": "oct", "kid": "s"}), fatal),
    ] {
        let set = json!({"keys": [good_jwk(), odd]});
        row(name, Response::json(set.to_string()), &token, a, b).await;
    }
}

#[tokio::test]
async fn oddities_of_the_key_that_signed() {
    let token = good_token();
    let good = good_jwk();
    let n = good["n"].as_str().unwrap();
    let standard = n.replace('-', "+").replace('_', "/");
    // Only a modulus that contains one of the two characters shows the difference.
    assert_ne!(standard, n, "one modulus in 30,000 has neither; run again");
    let leading_zero = {
        use base64::Engine;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(n).unwrap();
        b64([&[0], bytes.as_slice()].concat())
    };
    let fine = ("ACCEPT".to_owned(), "ACCEPT");
    let lost = (BODY.to_owned(), UNVERIFIED);
    for (name, one, (a, b)) in [
        ("extra member", with(good.clone(), json!({"ext": true})), fine.clone()),
        ("padded n", with(good.clone(), json!({"n": format!("{n}==")})), lost.clone()),
        ("std base64", with(good.clone(), json!({"n": standard})), lost.clone()),
        ("e int", with(good.clone(), json!({"e": 65537})), lost.clone()),
        ("leading zero n", with(good.clone(), json!({"n": leading_zero})), fine.clone()),
        ("no kid key", without(good.clone(), "kid"), (format!("{KID_K1}Key n"), UNVERIFIED)),
        ("no alg key", without(good.clone(), "alg"), fine.clone()),
        ("alg null", with(good.clone(), json!({"alg": null})), fine.clone()),
        ("use null", with(good.clone(), json!({"use": null})), fine.clone()),
        (
            "alg wrong RS512",
            with(good.clone(), json!({"alg": "RS512"})),
            (format!("{KID_K1}Token"), UNVERIFIED),
        ),
        ("kty lower", with(good.clone(), json!({"kty": "rsa"})), lost.clone()),
        ("use enc only", with(good.clone(), json!({"use": "enc"})), ("ACCEPT".into(), UNVERIFIED)),
    ] {
        let set = json!({"keys": [one]});
        row(name, Response::json(set.to_string()), &token, &a, b).await;
    }
    let first_bad = json!({"keys": [Signer::es256().jwk("k1"), good]});
    let (a, b) = (format!("{KID_K1}Token"), "ACCEPT");
    row("dup kid first bad", Response::json(first_bad.to_string()), &token, &a, b).await;
}

#[tokio::test]
async fn envelopes() {
    let token = good_token();
    let key = good_jwk().to_string();
    let twice = key.replacen("\"kid\"", "\"kid\":\"k1\",\"kid\"", 1);
    for (name, body, a, b) in [
        ("bare array", format!("[{key}]"), BODY, DISCOVERY),
        ("BOM", format!("\u{feff}{{\"keys\":[{key}]}}"), BODY, DISCOVERY),
        ("dup member", format!("{{\"keys\":[{twice}]}}"), BODY, UNVERIFIED),
        ("keys null", "{\"keys\":null}".to_owned(), BODY, DISCOVERY),
        ("two keys members", format!("{{\"keys\":[{key}],\"keys\":[]}}"), BODY, DISCOVERY),
        ("empty", String::new(), BODY, DISCOVERY),
        ("html", "<!doctype html>".to_owned(), BODY, DISCOVERY),
        ("trailing", format!("{{\"keys\":[{key}]}} \n"), "ACCEPT", "ACCEPT"),
    ] {
        row(name, Response::json(body), &token, a, b).await;
    }
}

#[tokio::test]
async fn tokens() {
    let es384 = Signer::es384();
    let answer = Response::json(json!({"keys": [good_jwk(), es384.jwk("e1")]}).to_string());
    let head = json!({"alg": "RS256", "typ": "JWT", "kid": "k1"});
    let claim = "Unauthenticated: Could not verify OIDC token claim. Check that the token signature \
        is valid and the token hasn't expired.: ";
    let parse = "InvalidAuthHeader: Could not parse as OIDC ID token. Token might not be an \
        OIDC-compliant JWT.: ";
    let rs = |header: &Value, claims: &Value| key().token(header, claims);
    let expired = "InvalidAuthHeader: Could not validate token: Token expired 6 seconds ago";
    for (name, token, a, b) in [
        (
            "tok no kid",
            rs(&without(head.clone(), "kid"), &claims()),
            "InvalidAuthHeader: Could not decode token. JWT may be missing a 'kid' (key ID) header.: \
             Header is missing kid",
            "ACCEPT",
        ),
        (
            "tok multi aud",
            rs(&head, &with(claims(), json!({"aud": ["app", "other"]}))),
            "ACCEPT",
            &format!("{claim}Invalid audiences: "),
        ),
        (
            "tok no iat",
            rs(&head, &without(claims(), "iat")),
            "ACCEPT",
            &format!("{parse}Failed to parse payload JSON: Error(\"missing f"),
        ),
        (
            "tok ES384",
            es384.token(&json!({"alg": "ES384", "kid": "e1"}), &claims()),
            "InvalidAuthHeader: Could not decode token. The JWT's 'kid' (key ID) header is 'e1', \
             does this key match any key in the provider's JWKS?: Token",
            UNVERIFIED,
        ),
        (
            "tok typ at+jwt & extra hdr",
            rs(&with(head.clone(), json!({"typ": "at+jwt", "x": 1})), &claims()),
            "ACCEPT",
            &format!("{claim}Unsupported: unexpe"),
        ),
        (
            "tok float exp",
            rs(&head, &with(claims(), json!({"exp": NOW as f64 + 600.5}))),
            "ACCEPT",
            "ACCEPT",
        ),
        (
            "email_verified text",
            rs(&head, &with(claims(), json!({"email_verified": "true"}))),
            "ACCEPT",
            parse,
        ),
        ("name null", rs(&head, &with(claims(), json!({"name": null}))), "ACCEPT", "ACCEPT"),
        (
            "updated_at ISO",
            rs(&head, &with(claims(), json!({"updated_at": "2026-11-24T11:00:00Z"}))),
            "ACCEPT",
            "ACCEPT",
        ),
        ("crit", rs(&with(head.clone(), json!({"crit": ["x"]})), &claims()), "ACCEPT", claim),
        (
            "expired 6 s",
            rs(&head, &with(claims(), json!({"exp": NOW - 6}))),
            expired,
            &format!("{claim}Expired"),
        ),
        ("expired 4 s", rs(&head, &with(claims(), json!({"exp": NOW - 4}))), "ACCEPT", claim),
        (
            "iat ahead",
            rs(&head, &with(claims(), json!({"iat": NOW + 60}))),
            "InvalidAuthHeader: Could not validate token: ",
            "ACCEPT",
        ),
        (
            "exp text",
            rs(&head, &with(claims(), json!({"exp": "1900000000"}))),
            "InvalidAuthHeader: Could not parse JWT payload.",
            "InvalidAuthHeader: Could not parse JWT payload.",
        ),
        (
            "no sub",
            rs(&head, &without(claims(), "sub")),
            "InvalidAuthHeader: Could not verify token claim. Check that the JWT contains valid \
             claims and matches your auth provider configuration.: Missing subject",
            parse,
        ),
        (
            "other audience",
            rs(&head, &with(claims(), json!({"aud": "else"}))),
            "NoAuthProvider: No auth provider found matching the given token. Check that your JWT's \
             issuer and audience match one of your configured providers: \
             [CustomJWT(issuer=http://issuer, app_id=app)]",
            "NoAuthProvider: No auth provider found matching the given token. Check that your JWT's \
             issuer and audience match one of your configured providers: \
             [OIDC(domain=http://issuer, app_id=app)]",
        ),
        ("slash", rs(&head, &with(claims(), json!({"iss": "http://issuer/"}))), "ACCEPT", "AuthP"),
        (
            "junk",
            "a.b".to_owned(),
            "InvalidAuthHeader: Could not p",
            "InvalidAuthHeader: Could not p",
        ),
    ] {
        row(name, answer.clone(), &token, a, b).await;
    }
    let forged = Signer::rs256().token(&head, &claims());
    let a = format!("{KID_K1}Invalid signature");
    row("forged", answer.clone(), &forged, &a, UNVERIFIED).await;
    // The signature also covers a claim that the OIDC parser never reads.
    let token = key().token(&head, &with(claims(), json!({"name": null})));
    let parts: Vec<_> = token.split('.').collect();
    let other = b64(with(claims(), json!({"name": null, "sub": "admin"})).to_string());
    let forged = format!("{}.{other}.{}", parts[0], parts[2]);
    row("forged beside a null", answer, &forged, &a, UNVERIFIED).await;
}

#[tokio::test]
async fn what_makes_the_server_panic_is_a_refusal_here() {
    let answer = Response::json(json!({"keys": [good_jwk()]}).to_string());
    let head = json!({"alg": "RS256", "kid": "k1"});
    for time in [json!(1_800_000_000_000_000_i64), json!(1e300), json!(u64::MAX), json!(-1e300)] {
        for name in ["exp", "iat", "nbf"] {
            let token = key().token(&head, &with(claims(), json!({name: time.clone()})));
            row(name, answer.clone(), &token, "Panic: ", "Panic: ").await;
        }
    }
    let now = UnixTime::from_secs(NOW);
    let (mut custom, _) = providers(ISSUER, JWKS, "app");
    let oct = json!({"kty": "oct", "k": "AAAA", "kid": "k1"});
    let set = Response::json(json!({"keys": [oct]}).to_string());
    let error = custom_jwt(&set, &custom, &good_token(), now).unwrap_err();
    assert_eq!(error.code, "Panic");
    custom.algorithm = Algorithm::Es256;
    let token = key().token(&json!({"alg": "ES256", "kid": "k1"}), &claims());
    let set = Response::json(json!({"keys": [without(good_jwk(), "alg")]}).to_string());
    let error = custom_jwt(&set, &custom, &token, now).unwrap_err();
    assert_eq!(error.code, "Panic");
}

#[tokio::test]
async fn es256_works_with_custom_jwt_alone() {
    let signer = Signer::es256();
    let answer = Response::json(json!({"keys": [signer.jwk("e")]}).to_string());
    let token = signer.token(&json!({"alg": "ES256", "kid": "e"}), &claims());
    let (mut custom, open) = providers(ISSUER, JWKS, "app");
    custom.algorithm = Algorithm::Es256;
    let now = UnixTime::from_secs(NOW);
    assert_eq!(custom_jwt(&answer, &custom, &token, now), Ok(()));
    let error = oidc(paper(ISSUER, &answer), &open, &token, now).await.unwrap_err();
    assert!(error.to_string().contains("algorithm `ES256` is not one of"), "{error}");
}

/// Production does not reveal its configuration.
#[tokio::test]
async fn the_texts_of_production() {
    let answer = Response::json(json!({"keys": [good_jwk()]}).to_string());
    let now = UnixTime::from_secs(NOW);
    let (custom, _) = providers(ISSUER, JWKS, "app");
    let head = |kid: &str| json!({"alg": "RS256", "kid": kid});
    let decode = "Could not decode token. The JWT's 'kid' (key ID) header doesn't match any key in the \
        provider's JWKS, or the JWT signature is invalid.";
    let forged = Signer::rs256().token(&head("k1"), &claims());
    let other = with(claims(), json!({"iss": "http://other"}));
    for (token, shown) in [
        (key().token(&head("k2"), &claims()), Some(decode)),
        (key().token(&json!({"alg": "RS256"}), &claims()), Some(decode)),
        (forged, Some(decode)),
        (key().token(&head("k1"), &other), Some("No auth provider found matching the given token")),
        (key().token(&head("k1"), &with(claims(), json!({"exp": NOW - 60}))), None),
    ] {
        let refusal = custom_jwt(&answer, &custom, &token, now).unwrap_err();
        assert_eq!(refusal.in_production(), shown, "{refusal}");
    }
}

/// The crate `rsa` supports up to 4096 bits, Convex's AWS-LC up to 8192. The key is a fixture,
/// because generating it takes ten seconds.
#[tokio::test]
async fn rsa_sizes_are_those_of_aws_lc() {
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/rsa-8192.json")).unwrap();
    let answer = Response::json(fixture["jwks"].to_string());
    row("8192", answer, fixture["token"].as_str().unwrap(), "ACCEPT", "ACCEPT").await;
}

#[tokio::test]
async fn discovery_needs_issuer_and_jwks_uri_alone() {
    let (_, open) = providers(ISSUER, JWKS, "app");
    let now = UnixTime::from_secs(NOW);
    let set = Response::json(json!({"keys": [good_jwk()]}).to_string());
    let token = good_token();
    let least = json!({"issuer": ISSUER, "jwks_uri": JWKS});
    let cases = [
        (least.clone(), true),
        (with(least.clone(), json!({"authorization_endpoint": null})), true),
        (with(least.clone(), json!({"token_endpoint": "http://issuer/token"})), true),
        (with(least.clone(), json!({"token_endpoint": ""})), false),
        (with(least.clone(), json!({"scopes_supported": "openid"})), false),
        (with(least.clone(), json!({"response_types_supported": null})), false),
        (with(least.clone(), json!({"issuer": "http://issuer/"})), false),
        (without(least.clone(), "jwks_uri"), false),
        (without(least, "issuer"), false),
    ];
    for (document, good) in cases {
        let discovery = Response::json(document.to_string());
        let fetch = |url: String| {
            let known = url == "http://issuer/.well-known/openid-configuration";
            std::future::ready(Ok(if known { discovery.clone() } else { set.clone() }))
        };
        let said = oidc(fetch, &open, &token, now).await;
        assert_eq!(said.is_ok(), good, "{document}: {said:?}");
    }
    let html = Response::of("text/html", json!({"issuer": ISSUER, "jwks_uri": JWKS}).to_string());
    let fetch = |_: String| std::future::ready(Ok(html.clone()));
    assert!(oidc(fetch, &open, &token, now).await.is_err());
    let fetch = |_: String| std::future::ready(Err("connection refused".to_owned()));
    let error = oidc(fetch, &open, &token, now).await.unwrap_err();
    assert_eq!(error.code, "AuthProviderDiscoveryFailed");
}
