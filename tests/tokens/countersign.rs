//! Token in, token out: each algorithm in and out, checked with real verifiers; the claims rule by
//! rule; the hash claims; and restoring the original.

#![cfg(feature = "verifier")]

use crate::support::verifiers::{self, AnswerOf as _};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::tokens::*;
use countersign::jose::alg::{Alg, AlgSet};
use countersign::jose::asserted::{AssertedClaims, AssertionRules};
use countersign::jose::hash_claims::hash;
use countersign::jose::names::{Audience, Issuer, Limits, UnixTime};
use countersign::jose::policy::{ClientSource, MissingAudience};
use countersign::jose::publish::{Input, publish};
use countersign::jose::sign::SigningKey;
use countersign::jose::tenants::{Allowed, IssuerTemplate, Tenants};
use countersign::pipeline::{Ask, Companions, Verdict, restore, sign_claims};
use countersign::profile::Profile;
use countersign::verifier::Answer as Response;
use serde_json::{Value, json};

const SIGNING: [Alg; 3] = [Alg::Rs256, Alg::Es256, Alg::EdDsa];

/// Our published set, as a verifier fetches it.
fn served(scene: &Scene) -> String {
    let remembered = std::collections::HashMap::new();
    publish(&Input {
        own: &scene.own(),
        upstream: &[&scene.keys],
        profile: &scene.profile,
        remembered: &remembered,
    })
    .body
}

fn jsonwebtoken_accepts(token: &str, set: &str, alg: Alg) -> Result<Value, String> {
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(set).map_err(|e| e.to_string())?;
    let header = jsonwebtoken::decode_header(token).map_err(|e| e.to_string())?;
    let jwk = set.find(&header.kid.ok_or("no kid")?).ok_or("kid not found")?;
    let key = jsonwebtoken::DecodingKey::from_jwk(jwk).map_err(|e| e.to_string())?;
    let alg: jsonwebtoken::Algorithm = alg.name().parse().map_err(|_| "alg")?;
    let mut validation = jsonwebtoken::Validation::new(alg);
    validation.set_audience(&["app"]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    // jsonwebtoken uses the system clock, which does not fit the test's time.
    validation.validate_exp = false;
    jsonwebtoken::decode::<Value>(token, &key, &validation)
        .map(|data| data.claims)
        .map_err(|e| e.to_string())
}

async fn accepted_by_everyone(scene: &Scene, token: &str) {
    let out = scene.signer.alg();
    let set = served(scene);
    let claims = jsonwebtoken_accepts(token, &set, out).unwrap();
    assert_eq!(claims["sub"], "user-1");
    let answer = Response::json(set.clone());
    let jwks = format!("{ISSUER}/jwks");
    let (mut custom, oidc) = verifiers::providers(ISSUER, &jwks, "app");
    match out {
        Alg::Rs256 => {}
        Alg::Es256 => custom.algorithm = verifiers::Algorithm::Es256,
        _ => return,
    }
    verifiers::custom_jwt(&answer, &custom, token, scene.now).unwrap();
    if out == Alg::Rs256 {
        let paper = verifiers::paper(ISSUER, &answer);
        verifiers::oidc(paper, &oidc, token, scene.now).await.unwrap();
    }
}

#[tokio::test]
async fn each_algorithm_in_and_out_before_real_verifiers() {
    for input in Alg::all() {
        let key = TestKey::new(input, "k1");
        for output in SIGNING {
            let mut scene = Scene::signing(&[&key], output);
            scene.profile.accepts = AlgSet::EMPTY;
            let original = key.token(&claims());
            let new = scene.new_token(&original);
            assert_eq!(payload_text(&new), claims().to_string(), "{input} {output}");
            accepted_by_everyone(&scene, &new).await;
            let back = restore(&new, &scene.own(), &scene.limits);
            assert_eq!(back, Some(original), "{input} {output}");
        }
    }
}

#[tokio::test]
async fn refused_before_and_accepted_after() {
    let key = TestKey::new(Alg::Es384, "k1");
    let scene = Scene::signing(&[&key], Alg::Rs256);
    let header = r#"{"alg":"ES384","typ":"at+jwt","kid":"k1"}"#;
    let quirks = json!({
        "iss": ISSUER, "sub": 42, "aud": ["app", "other"], "exp": NOW as f64 + 600.5,
        "email_verified": "true", "amr": "pwd",
    });
    let original = key.signed(header, &quirks.to_string());
    let answer = Response::json(json!({"keys": [key.jwk().unwrap()]}).to_string());
    let (custom, oidc) = verifiers::providers(ISSUER, &format!("{ISSUER}/jwks"), "app");
    assert!(verifiers::custom_jwt(&answer, &custom, &original, scene.now).is_err());
    let paper = verifiers::paper(ISSUER, &answer);
    assert!(verifiers::oidc(paper, &oidc, &original, scene.now).await.is_err());

    let new = scene.new_token(&original);
    let answer = Response::json(served(&scene));
    verifiers::custom_jwt(&answer, &custom, &new, scene.now).unwrap();
    verifiers::oidc(verifiers::paper(ISSUER, &answer), &oidc, &new, scene.now).await.unwrap();
    assert_eq!(
        payload(&new),
        json!({
            "iss": ISSUER, "sub": "42", "aud": "app", "exp": NOW + 600, "iat": NOW,
            "email_verified": true, "amr": ["pwd"],
        })
    );
    assert_eq!(restore(&new, &scene.own(), &scene.limits), Some(original));
}

#[test]
fn the_new_header_is_exactly_this() {
    let key = TestKey::new(Alg::Es384, "k1");
    for alg in SIGNING {
        let mut scene = Scene::signing(&[&key], alg);
        scene.policy.carry_original = false;
        let header = json!({
            "alg": "ES384", "kid": "k1", "typ": "JWT", "x5u": "https://a", "jwk": {}, "cso": "a.b.c",
        });
        let new = scene.new_token(&key.signed(&header.to_string(), &claims().to_string()));
        let text = String::from_utf8(unb64(new.split('.').next().unwrap())).unwrap();
        let kid = scene.signer.kid();
        assert_eq!(text, format!(r#"{{"alg":"{alg}","typ":"JWT","kid":"{kid}"}}"#));
    }
}

#[test]
fn untouched_claims_keep_their_bytes() {
    let key = TestKey::new(Alg::Es384, "k1");
    let scene = Scene::new(&[&key]);
    let text = format!(
        "{{ \"n\" : 1.50e+2,\"big\":123456789012345678901234567890, \"u\":\"\\u00e9\\/\",\n\
         \"iss\":\"{ISSUER}\",\"aud\":\"app\",\"iat\":{},\"exp\":{},\"sub\":\"u\" }}",
        NOW - 1,
        NOW + 60
    );
    let new = scene.new_token(&key.signed(r#"{"alg":"ES384","kid":"k1"}"#, &text));
    assert_eq!(payload_text(&new), text);
    // An edit of one claim does not change the others.
    let text = text.replace("\"aud\":\"app\"", "\"aud\":[\"app\"]");
    let new = scene.new_token(&key.signed(r#"{"alg":"ES384","kid":"k1"}"#, &text));
    assert_eq!(payload_text(&new), text.replace("[\"app\"]", "\"app\""));
}

#[test]
fn claims_rule_by_rule() {
    let key = TestKey::new(Alg::Es384, "k1");
    let scene = Scene::new(&[&key]);
    let new = |old: &Value| scene.new_claims(&key, old);
    for (name, before, after) in [
        ("aud", json!(["app", "other"]), json!("app")),
        ("aud", json!(["app"]), json!("app")),
        ("aud", json!(["app", "app"]), json!("app")),
        ("exp", json!(NOW as f64 + 600.9), json!(NOW + 600)),
        ("iat", json!(NOW + 3), json!(NOW)),
        ("iat", json!(NOW as f64 - 9.5), json!(NOW - 10)),
        ("nbf", json!(NOW as f64 - 9.5), json!(NOW - 10)),
        ("sub", json!(12345), json!("12345")),
        ("email_verified", json!("false"), json!(false)),
        ("auth_time", json!("1700000000"), json!(1_700_000_000)),
        ("nonce", json!(5), json!("5")),
    ] {
        let old = with(claims(), name, before);
        assert_eq!(new(&old), with(old.clone(), name, after), "{name}");
    }
    assert_eq!(new(&without(claims(), "iat")), with(without(claims(), "iat"), "iat", json!(NOW)));
    let old = with(claims(), "address", json!("x"));
    assert_eq!(new(&old), claims());
    // A number that no double can represent becomes a string with the same digits.
    let text = claims().to_string().replace("\"user-1\"", "123456789012345678901234567890");
    let token = key.signed(&key.header().to_string(), &text);
    assert_eq!(payload(&scene.new_token(&token))["sub"], "123456789012345678901234567890");
}

#[test]
fn strings_and_milliseconds_by_option() {
    let key = TestKey::new(Alg::Es384, "k1");
    let mut scene = Scene::new(&[&key]);
    scene.policy.claims.numeric_strings = true;
    scene.policy.claims.milliseconds = true;
    let exp = NOW + 600;
    let expected = with(claims(), "exp", json!(exp));
    for value in [json!(exp.to_string()), json!(exp * 1000), json!((exp * 1000 + 999).to_string())]
    {
        assert_eq!(scene.new_claims(&key, &with(claims(), "exp", value)), expected);
    }
    let late = with(claims(), "exp", json!((NOW - 1) * 1000));
    assert_eq!(scene.refusal(&key.token(&late)), "expired");
}

#[test]
fn the_issuer_is_rewritten_only_where_configured() {
    let key = TestKey::new(Alg::Es384, "k1");
    let mut scene = Scene::new(&[&key]);
    scene.policy.issuers = ["issuer.example", "https://issuer.example", "https://issuer.example/"]
        .map(|iss| Issuer::parse(iss).unwrap())
        .to_vec();
    let bare = with(claims(), "iss", json!("issuer.example"));
    assert_eq!(scene.new_claims(&key, &bare), bare);
    scene.policy.output_issuer = Some(Issuer::parse("https://auth.example.com").unwrap());
    for spelling in ["issuer.example", "https://issuer.example", "https://issuer.example/"] {
        let new = scene.new_claims(&key, &with(claims(), "iss", json!(spelling)));
        assert_eq!(new["iss"], "https://auth.example.com");
    }
}

#[test]
fn the_audience_asked_for_or_accepted_or_the_client() {
    let key = TestKey::new(Alg::Es384, "k1");
    let mut scene = Scene::new(&[&key]);
    let audience = |text| Audience::parse(text).unwrap();
    let several = with(claims(), "aud", json!(["a", "b", "c"]));
    let token = key.token(&several);
    assert_eq!(payload(&scene.new_token(&token))["aud"], "a");
    let client = key.token(&with(several, "azp", json!("b")));
    assert_eq!(payload(&scene.new_token(&client))["aud"], "b");
    let asked = audience("c");
    let ask = Ask { audience: Some(&asked), ..Ask::default() };
    assert_eq!(payload(&scene.new_token_for(&client, &ask))["aud"], "c");
    let foreign = audience("d");
    let ask = Ask { audience: Some(&foreign), ..Ask::default() };
    assert_eq!(scene.judge(&client, &ask).unwrap_err().code(), "aud_asked");
    scene.policy.audience.accept = vec![audience("z"), audience("c"), audience("b")];
    assert_eq!(payload(&scene.new_token(&client))["aud"], "c");
    // A verifier that accepts a list gets it unchanged.
    scene.profile = Profile::named("standard").unwrap();
    scene.profile.accepts = AlgSet::EMPTY;
    assert_eq!(payload(&scene.new_token(&client))["aud"], json!(["a", "b", "c"]));
}

#[test]
fn rename_set_drop_and_what_they_may_not_touch() {
    let key = TestKey::new(Alg::Es384, "k1");
    let mut scene = Scene::new(&[&key]);
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    scene.policy.claims.rename =
        [pair("uid", "sub"), pair("far", "exp"), pair("iss", "was")].into();
    scene.policy.claims.set = BTreeMap::from([
        ("role".into(), json!({"a": [1]})),
        ("exp".into(), json!(NOW + 1_000_000)),
        ("aud".into(), json!("admin")),
    ]);
    scene.policy.claims.drop = vec!["name".into(), "nbf".into()];
    let old = with(with(claims(), "uid", json!("u-9")), "far", json!(NOW + 999_999));
    let old = with(old, "nbf", json!(NOW - 1));
    let new = scene.new_claims(&key, &old);
    assert_eq!(
        new,
        json!({
            "iss": ISSUER, "aud": "app", "iat": NOW - 10, "exp": NOW + 600, "sub": "u-9",
            "far": NOW + 999_999, "nbf": NOW - 1, "role": {"a": [1]},
        })
    );
}

#[test]
fn a_cap_shortens_and_never_lengthens() {
    let key = TestKey::new(Alg::Es384, "k1");
    let mut scene = Scene::new(&[&key]);
    for (cap, left) in [(60, 60), (600, 600), (86_400, 600)] {
        scene.policy.max_lifetime = Some(Duration::from_secs(cap));
        match scene.judge(&key.token(&claims()), &Ask::default()).unwrap() {
            Verdict::Countersigned(new) => {
                assert_eq!(new.expires, UnixTime::from_secs(NOW + left));
                assert_eq!(payload(&new.jwt)["exp"], NOW + left);
            }
            Verdict::AsItStands { .. } => panic!(),
        }
    }
}

#[test]
fn hash_claims_follow_the_algorithm() {
    for (input, output) in [(Alg::Es384, Alg::Rs256), (Alg::Rs256, Alg::EdDsa)] {
        let key = TestKey::new(input, "k1");
        let mut scene = Scene::signing(&[&key], output);
        scene.profile = Profile::named("standard").unwrap();
        scene.profile.accepts = AlgSet::EMPTY;
        let old = with(claims(), "at_hash", json!(hash(input, "old-access-token")));
        let old = with(old, "c_hash", json!(hash(input, "code-1")));
        let token = key.token(&old);
        let companions = Companions {
            access_token: Some("new-access-token"),
            original_access_token: Some("old-access-token"),
            code: Some("code-1"),
            state: None,
        };
        let new = scene.new_token_for(&token, &Ask { companions, ..Ask::default() });
        let new = payload(&new);
        assert_eq!(new["at_hash"], hash(output, "new-access-token"));
        assert_eq!(new["c_hash"], hash(output, "code-1"));

        let alone = scene.new_token(&token);
        assert_eq!(payload(&alone), claims(), "left out without what they speak of");
    }
}

#[test]
fn a_swapped_access_token_is_not_made_good() {
    let key = TestKey::new(Alg::Es384, "k1");
    let scene = Scene::new(&[&key]);
    let old = with(claims(), "at_hash", json!(hash(Alg::Es384, "the-right-one")));
    let companions = Companions { access_token: Some("an-injected-one"), ..Companions::default() };
    let refusal = scene.judge(&key.token(&old), &Ask { companions, ..Ask::default() });
    assert_eq!(refusal.unwrap_err().code(), "hash");
}

#[test]
fn passes_as_it_stands_only_when_nothing_is_amiss() {
    let key = TestKey::new(Alg::Rs256, "k1");
    let scene = || Scene::signing(&[&key], Alg::Rs256);
    let token = key.token(&claims());
    let as_it_stands = |scene: &Scene, token: &str, ask: &Ask<'_>| {
        matches!(scene.judge(token, ask).unwrap(), Verdict::AsItStands { .. })
    };
    let plain = Ask::default();
    assert!(as_it_stands(&scene(), &token, &plain));
    let expires = UnixTime::from_secs(NOW + 600);
    let expected = Verdict::AsItStands { expires };
    assert_eq!(scene().judge(&token, &plain), Ok(expected));

    let mut nothing_accepted = scene();
    nothing_accepted.profile.accepts = AlgSet::EMPTY;
    assert!(!as_it_stands(&nothing_accepted, &token, &plain));
    let mut unpublished = scene();
    unpublished.policy.published = false;
    assert!(!as_it_stands(&unpublished, &token, &plain));
    let mut not_in_the_set = scene();
    not_in_the_set.published =
        published(&Default::default(), &not_in_the_set.signer, &not_in_the_set.profile);
    assert!(!as_it_stands(&not_in_the_set, &token, &plain));
    let mut capped = scene();
    capped.policy.max_lifetime = Some(Duration::from_secs(5));
    assert!(!as_it_stands(&capped, &token, &plain));
    for (header, claims) in [
        (r#"{"alg":"RS256"}"#, claims()),
        (r#"{"alg":"RS256","kid":"k1","typ":"at+jwt"}"#, claims()),
        (r#"{"alg":"RS256","kid":"k1","cty":"x"}"#, claims()),
        (r#"{"alg":"RS256","kid":"k1","x5t":"x"}"#, claims()),
        (r#"{"alg":"RS256","kid":"k1"}"#, with(claims(), "aud", json!(["app", "b"]))),
        (r#"{"alg":"RS256","kid":"k1"}"#, without(claims(), "iat")),
        (r#"{"alg":"RS256","kid":"k1"}"#, with(claims(), "email_verified", json!("true"))),
    ] {
        let token = key.signed(header, &claims.to_string());
        assert!(!as_it_stands(&scene(), &token, &plain), "{header} {claims}");
    }
    let rs512 = TestKey::new(Alg::Rs512, "k1");
    let scene = Scene::signing(&[&rs512], Alg::Rs256);
    assert!(!as_it_stands(&scene, &rs512.token(&claims()), &plain));
}

#[test]
fn a_key_whose_kid_had_to_be_replaced_does_not_pass_as_it_stands() {
    // Two keys with the same `kid`: the set publishes them under their thumbprints, so a verifier
    // would not find the key by the token's `kid`.
    let (one, two) = (TestKey::new(Alg::Rs256, "same"), TestKey::new(Alg::Rs256, "same"));
    let scene = Scene::signing(&[&one, &two], Alg::Rs256);
    for key in [&one, &two] {
        let verdict = scene.judge(&key.token(&claims()), &Ask::default()).unwrap();
        assert!(matches!(verdict, Verdict::Countersigned(_)));
    }
}

#[test]
fn only_our_own_signature_leads_back() {
    let key = TestKey::new(Alg::Es384, "k1");
    let scene = Scene::new(&[&key]);
    let original = key.token(&claims());
    let new = scene.new_token(&original);
    let own = scene.own();
    let back = |token: &str| restore(token, &own, &scene.limits);
    assert_eq!(back(&new), Some(original.clone()));

    // Only a token signed by this program is restored: not one from another proxy or the issuer,
    // not an unsigned one, and not one that was changed in any part.
    let other = SigningKey::generate(Alg::Es256).unwrap();
    assert_eq!(restore(&new, &[other.public().clone()], &scene.limits), None);
    assert_eq!(restore(&new, &[], &scene.limits), None);
    assert_eq!(back(&original), None);
    let kid = scene.signer.kid().as_str();
    let cso = header(&new)["cso"].as_str().unwrap().to_owned();
    let attacker = TestKey::new(Alg::Es256, kid);
    let forged = json!({"alg": "ES256", "typ": "JWT", "kid": kid, "cso": cso});
    assert_eq!(back(&attacker.signed(&forged.to_string(), &claims().to_string())), None);
    let none = json!({"alg": "none", "typ": "JWT", "kid": kid, "cso": cso});
    let parts: Vec<_> = new.split('.').collect();
    assert_eq!(back(&format!("{}.{}.", b64(none.to_string()), parts[1])), None);
    let more = b64(with(claims(), "sub", json!("admin")).to_string());
    assert_eq!(back(&format!("{}.{more}.{}", parts[0], parts[2])), None);
    let mut swapped = header(&new);
    swapped["cso"] = json!("attacker..token");
    assert_eq!(back(&format!("{}.{}.{}", b64(swapped.to_string()), parts[1], parts[2])), None);
    // The text of the public key, used as an HMAC secret.
    let hmac = json!({"alg": "HS256", "typ": "JWT", "kid": kid, "cso": cso});
    let secret = TestKey::new(Alg::Hs256, kid);
    assert_eq!(back(&secret.signed(&hmac.to_string(), &claims().to_string())), None);
}

#[test]
fn an_upstream_cso_does_not_survive() {
    // An issuer (or a user who can set header members) must not plant an original of their choice.
    let key = TestKey::new(Alg::Es384, "k1");
    let scene = Scene::new(&[&key]);
    let planted = r#"{"alg":"ES384","kid":"k1","cso":"evil.token.here"}"#;
    let original = key.signed(planted, &claims().to_string());
    let new = scene.new_token(&original);
    assert_eq!(restore(&new, &scene.own(), &scene.limits), Some(original));
}

#[test]
fn an_old_token_still_leads_back() {
    // `id_token_hint` at logout may have expired. The issuer judges its own token.
    let key = TestKey::new(Alg::Es384, "k1");
    let mut scene = Scene::new(&[&key]);
    let original = key.token(&claims());
    let new = scene.new_token(&original);
    scene.now = UnixTime::from_secs(NOW + 100_000);
    assert_eq!(restore(&new, &scene.own(), &scene.limits), Some(original));
}

#[test]
fn the_original_is_short_when_the_payload_is_the_same() {
    let key = TestKey::new(Alg::Es384, "k1");
    let scene = Scene::new(&[&key]);
    let same = header(&scene.new_token(&key.token(&claims())));
    let parts: Vec<_> = same["cso"].as_str().unwrap().split('.').collect();
    assert_eq!((parts.len(), parts[1]), (3, ""));
    let changed = header(&scene.new_token(&key.token(&without(claims(), "iat"))));
    assert!(changed["cso"].as_str().unwrap().split('.').all(|part| !part.is_empty()));
}

#[test]
fn the_original_is_left_out_where_it_must_be() {
    let key = TestKey::new(Alg::Es384, "k1");
    let mut scene = Scene::new(&[&key]);
    // The limit would not allow a token with this payload and the original.
    let big = with(without(claims(), "iat"), "big", json!("x".repeat(8000)));
    let Verdict::Countersigned(new) = scene.judge(&key.token(&big), &Ask::default()).unwrap()
    else {
        panic!()
    };
    assert!(new.notes.contains(&"original_left_out"));
    assert!(header(&new.jwt).get("cso").is_none());
    assert!(new.jwt.len() <= scene.limits.token);
    scene.policy.carry_original = false;
    let new = scene.new_token(&key.token(&claims()));
    assert!(header(&new).get("cso").is_none());
    assert_eq!(restore(&new, &scene.own(), &scene.limits), None);
}

#[test]
fn a_token_made_to_allow_less_does_not_carry_the_one_that_allows_more() {
    let key = TestKey::new(Alg::Es384, "k1");
    let plain = || Scene::new(&[&key]);
    let several = with(claims(), "aud", json!(["app", "bank"]));
    let app = Audience::parse("app").unwrap();
    let narrow = Ask { audience: Some(&app), downscope: true, ..Ask::default() };
    let mut capped = plain();
    capped.policy.max_lifetime = Some(Duration::from_secs(60));
    let mut silent = plain();
    silent.policy.claims.drop = vec!["name".into()];
    let named = with(claims(), "name", json!("Ada"));
    let mut lowered = plain();
    lowered.policy.claims.set = [("role".into(), json!("user"))].into();
    let mut swapped = plain();
    swapped.policy.claims.rename = [("name".into(), "role".into())].into();
    let admin = with(named.clone(), "role", json!("admin"));
    for (scene, old, ask) in [
        (plain(), &several, narrow),
        (capped, &claims(), Ask::default()),
        (silent, &named, Ask::default()),
        (lowered, &admin, Ask::default()),
        (swapped, &admin, Ask::default()),
    ] {
        let Verdict::Countersigned(new) = scene.judge(&key.token(old), &ask).unwrap() else {
            panic!()
        };
        assert!(header(&new.jwt).get("cso").is_none(), "{:?}", new.notes);
        assert!(new.notes.contains(&"original_left_out"));
        assert_eq!(restore(&new.jwt, &scene.own(), &scene.limits), None);
    }
    // No claim was removed, so the original is still embedded.
    let mut added = plain();
    added.policy.claims.set = [("role".into(), json!("user"))].into();
    assert!(header(&added.new_token(&key.token(&claims()))).get("cso").is_some());
    let mut same = plain();
    same.policy.claims.set = [("role".into(), json!("admin"))].into();
    assert!(header(&same.new_token(&key.token(&admin))).get("cso").is_some());
    let one = Ask { audience: Some(&app), downscope: true, ..Ask::default() };
    assert!(header(&plain().new_token_for(&key.token(&claims()), &one)).get("cso").is_some());
    assert!(header(&plain().new_token(&key.token(&several))).get("cso").is_some());
}

#[test]
fn notes_say_what_was_done() {
    let key = TestKey::new(Alg::Es384, "k1");
    let scene = Scene::new(&[&key]);
    let old = with(without(claims(), "iat"), "aud", json!(["app", "b"]));
    let token = key.signed(r#"{"alg":"ES384","kid":"k1","typ":"at+jwt"}"#, &old.to_string());
    let Verdict::Countersigned(new) = scene.judge(&token, &Ask::default()).unwrap() else {
        panic!()
    };
    assert_eq!(new.notes, ["aud_chosen", "iat_added", "typ_normalized"]);
    assert!(!format!("{new:?}").contains(&new.jwt));
}

fn rules<'a>(scene: &'a Scene, audience: Option<&'a Audience>) -> AssertionRules<'a> {
    let lifetime = Duration::from_secs(300);
    AssertionRules { policy: &scene.policy, audience, lifetime, now: scene.now }
}

#[test]
fn introspected_claims_are_signed_when_active_and_never_live_longer() {
    let key = TestKey::new(Alg::Es384, "k1");
    let scene = Scene::new(&[&key]);
    let limits = Limits::default();
    let answer = json!({
        "active": true, "token_type": "Bearer", "sub": "u", "aud": "app", "client_id": "c",
        "scope": "openid", "exp": NOW + 100,
    });
    let introspected = |answer: &Value| {
        AssertedClaims::by_introspection(
            answer.to_string().as_bytes(),
            &rules(&scene, None),
            &limits,
        )
    };
    let new =
        sign_claims(introspected(&answer).unwrap(), &scene.context(), &Ask::default()).unwrap();
    assert_eq!(
        payload(&new.jwt),
        json!({
            "iss": ISSUER, "sub": "u", "aud": "app", "client_id": "c", "scope": "openid",
            "exp": NOW + 100, "iat": NOW,
        })
    );
    assert_eq!(new.expires, UnixTime::from_secs(NOW + 100));
    let open = introspected(&without(answer.clone(), "exp")).unwrap();
    let new = sign_claims(open, &scene.context(), &Ask::default()).unwrap();
    assert_eq!(payload(&new.jwt)["exp"], NOW + 300);
    for (answer, code) in [
        (with(answer.clone(), "active", json!(false)), "inactive"),
        (with(answer.clone(), "active", json!("true")), "inactive"),
        (with(answer.clone(), "active", json!(1)), "inactive"),
        (without(answer.clone(), "active"), "inactive"),
        (with(answer.clone(), "token_type", json!("refresh_token")), "typ"),
        (with(answer.clone(), "token_use", json!("refresh_token")), "typ"),
        (with(answer.clone(), "typ", json!("Refresh")), "typ"),
        (with(answer.clone(), "exp", json!(NOW)), "expired"),
        (with(answer.clone(), "nbf", json!(NOW + 60)), "nbf"),
        (with(answer.clone(), "iss", json!("https://other.example")), "iss"),
        (without(answer.clone(), "aud"), "aud_missing"),
        (json!([answer]), "payload"),
    ] {
        assert_eq!(introspected(&answer).unwrap_err().code(), code, "{answer}");
    }
    let twice = br#"{"active":true,"active":false,"sub":"u"}"#;
    let refusal =
        AssertedClaims::by_introspection(twice, &rules(&scene, None), &limits).unwrap_err();
    assert_eq!(refusal.code(), "duplicate_member");
}

#[test]
fn userinfo_claims_get_issuer_audience_and_lifetime() {
    let key = TestKey::new(Alg::Es384, "k1");
    let mut scene = Scene::new(&[&key]);
    scene.policy.claims.rename = [("id".into(), "sub".into())].into();
    let app = Audience::parse("app").unwrap();
    let answer = br#"{"id": 76561197960287930, "name":"gabe"}"#;
    let asserted =
        AssertedClaims::by_userinfo(answer, &rules(&scene, Some(&app)), &Limits::default())
            .unwrap();
    let new = sign_claims(asserted, &scene.context(), &Ask::default()).unwrap();
    assert_eq!(
        payload(&new.jwt),
        json!({
            "sub": "76561197960287930", "name": "gabe", "iss": ISSUER, "aud": "app",
            "exp": NOW + 300, "iat": NOW,
        })
    );
    let nobody = br#"{"name":"gabe"}"#;
    let asserted =
        AssertedClaims::by_userinfo(nobody, &rules(&scene, Some(&app)), &Limits::default())
            .unwrap();
    let refusal = sign_claims(asserted, &scene.context(), &Ask::default()).unwrap_err();
    assert_eq!(refusal.code(), "sub_missing");
    let missing =
        MissingAudience { audience: app, clients: vec!["c".into()], client_sources: vec![] };
    scene.policy.audience.when_missing = Some(missing);
    let asserted = AssertedClaims::by_userinfo(answer, &rules(&scene, None), &Limits::default());
    assert_eq!(asserted.unwrap_err().code(), "client");
}

#[test]
fn a_token_without_the_claim_that_becomes_sub_is_nobodys() {
    // The token's own `sub` has another meaning, and another user's ID may look the same.
    let key = TestKey::new(Alg::Es384, "k1");
    let mut scene = Scene::new(&[&key]);
    scene.policy.claims.rename = [("uid".into(), "sub".into())].into();
    let new = scene.new_claims(&key, &with(claims(), "uid", json!("42")));
    assert_eq!(new["sub"], "42");
    assert_eq!(scene.refusal(&key.token(&with(claims(), "sub", json!("42")))), "sub_missing");
    assert_eq!(scene.refusal(&key.token(&with(claims(), "uid", json!("")))), "sub_missing");
    assert_eq!(scene.refusal(&key.token(&with(claims(), "uid", json!(null)))), "sub_missing");
}

#[test]
fn a_hash_of_the_wrong_type_is_no_way_around_it() {
    let key = TestKey::new(Alg::Es384, "k1");
    let scene = Scene::new(&[&key]);
    let companions = Companions { access_token: Some("at"), ..Companions::default() };
    for wrong in [json!([]), json!({}), json!(7), json!(true), json!(null)] {
        let token = key.token(&with(claims(), "at_hash", wrong));
        let refusal = scene.judge(&token, &Ask { companions, ..Ask::default() });
        assert_eq!(refusal.unwrap_err().code(), "hash");
    }
}

/// Our own check of `nbf` allows the operator's leeway, but the verifier may not. So the new token
/// must not have an `nbf` in the future.
#[tokio::test]
async fn a_start_within_the_leeway_is_good_at_the_verifier_too() {
    let key = TestKey::new(Alg::Es384, "k1");
    let mut scene = Scene::signing(&[&key], Alg::Rs256);
    scene.policy.leeway = Duration::from_secs(60);
    let ahead = with(with(claims(), "nbf", json!(NOW + 30)), "iat", json!(NOW + 30));
    let new = scene.new_token(&key.token(&ahead));
    assert_eq!((&payload(&new)["nbf"], &payload(&new)["iat"]), (&json!(NOW), &json!(NOW)));
    accepted_by_everyone(&scene, &new).await;
    // An `nbf` in the past is kept, and one beyond the leeway is refused.
    let past = with(claims(), "nbf", json!(NOW - 100));
    assert_eq!(scene.new_claims(&key, &past)["nbf"], json!(NOW - 100));
    assert_eq!(scene.refusal(&key.token(&with(claims(), "nbf", json!(NOW + 61)))), "nbf");
}

/// Convex's client schedules renewal by `exp - iat`.
#[test]
fn a_shortened_token_says_its_own_life() {
    let key = TestKey::new(Alg::Es384, "k1");
    let mut scene = Scene::new(&[&key]);
    scene.policy.max_lifetime = Some(Duration::from_secs(8));
    let old = with(claims(), "iat", json!(NOW - 3000));
    let new = scene.new_claims(&key, &old);
    assert_eq!(new["exp"].as_i64().unwrap() - new["iat"].as_i64().unwrap(), 8);
    // If the lifetime is not shortened, `iat` is the issuer's.
    scene.policy.max_lifetime = Some(Duration::from_secs(86_400));
    assert_eq!(scene.new_claims(&key, &old)["iat"], json!(NOW - 3000));
    // If there is no `iat` and the verifier needs none, none is added.
    scene.profile = Profile::named("standard").unwrap();
    scene.policy.max_lifetime = Some(Duration::from_secs(8));
    assert_eq!(scene.new_claims(&key, &without(old, "iat")).get("iat"), None);
}

#[test]
fn what_no_verifier_can_parse_is_refused_by_its_name() {
    let key = TestKey::new(Alg::Es384, "k1");
    let scene = Scene::new(&[&key]);
    let refusal = |more: &str| {
        let payload = claims().to_string();
        let payload = format!("{},{more}}}", payload.strip_suffix('}').unwrap());
        let token = key.signed(&key.header().to_string(), &payload);
        let refusal = scene.judge(&token, &Ask::default()).unwrap_err();
        (refusal.code(), refusal.to_string())
    };
    for more in [r#""score":1e400"#, r#""score":{"a":[-1E999]}"#] {
        let (code, text) = refusal(more);
        assert_eq!(code, "number");
        assert!(text.contains("`score`"), "{text}");
    }
    for more in [r#""nick":"x\ud83d""#, r#""nick":["\udc00"]"#] {
        let (code, text) = refusal(more);
        assert_eq!(code, "surrogate");
        assert!(text.contains("`nick`"), "{text}");
    }
    let long = format!("\"{}\":1e400", "n".repeat(5000));
    assert!(refusal(&long).1.len() < 200, "a name is shown, not its 5,000 letters");
}

#[test]
fn the_original_gives_way_where_there_is_no_room() {
    let key = TestKey::new(Alg::Es384, "k1");
    let scene = Scene::new(&[&key]);
    let token = key.token(&without(claims(), "iat"));
    let whole = scene.new_token(&token);
    let ask = |room| Ask { room: Some(room), ..Ask::default() };
    let same = scene.new_token_for(&token, &ask(whole.len()));
    assert_eq!((same.len(), header(&same).get("cso").is_some()), (whole.len(), true));
    let less = scene.new_token_for(&token, &ask(whole.len() - 1));
    assert!(header(&less).get("cso").is_none() && less.len() < whole.len());
    // Without the original nothing else may be left out, so the caller must check the length.
    assert_eq!(scene.new_token_for(&token, &ask(10)).len(), less.len());
}

/// A stolen sender-constrained token is useless (RFC 9449, RFC 8705). A bearer token made from it
/// would allow a login.
#[test]
fn a_sender_constrained_token_becomes_no_bearer_token() {
    let key = TestKey::new(Alg::Es384, "k1");
    let mut scene = Scene::new(&[&key]);
    let bound = |cnf: Value| key.token(&with(claims(), "cnf", cnf));
    let thumb = json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"});
    for cnf in [thumb.clone(), json!({"x5t#S256": "x"}), json!({}), json!("x"), json!([])] {
        assert_eq!(scene.refusal(&bound(cnf.clone())), "sender_constrained", "{cnf}");
    }
    // A `drop` rule in the configuration does not bypass the check.
    scene.policy.claims.drop = vec!["cnf".into()];
    assert_eq!(scene.refusal(&bound(thumb.clone())), "sender_constrained");
    scene.policy.claims.drop.clear();
    // Nor does an introspection answer (RFC 9449 §6.2).
    let answer = json!({"active": true, "sub": "u", "exp": NOW + 60, "aud": "app", "cnf": thumb});
    let asserted = |scene: &Scene| {
        let answer = answer.to_string();
        AssertedClaims::by_introspection(answer.as_bytes(), &rules(scene, None), &Limits::default())
            .map(drop)
    };
    assert_eq!(asserted(&scene).unwrap_err().code(), "sender_constrained");
    // With an explicit setting it is allowed.
    scene.policy.sender_constrained = true;
    assert_eq!(asserted(&scene), Ok(()));
    let Ok(Verdict::Countersigned(new)) = scene.judge(&bound(thumb.clone()), &Ask::default())
    else {
        panic!()
    };
    assert_eq!(payload(&new.jwt)["cnf"], thumb);
}

#[test]
fn a_token_without_an_issuer_is_the_only_ones() {
    let key = TestKey::new(Alg::Hs256, "k1");
    let mut scene = Scene::new(&[&key]);
    let bare = key.token(&without(claims(), "iss"));
    assert_eq!(scene.refusal(&bare), "iss_missing");
    scene.policy.issuer_when_missing = true;
    scene.policy.output_issuer = Some(Issuer::parse("https://login.example").unwrap());
    assert_eq!(payload(&scene.new_token(&bare))["iss"], "https://login.example");
    // A token with another `iss`, or an invalid one, is not from this issuer.
    for iss in [json!("https://other.example"), json!(""), json!(null), json!(["a"])] {
        let token = key.token(&with(claims(), "iss", iss.clone()));
        assert_eq!(scene.refusal(&token), "iss", "{iss}");
    }
    // The key must match, as for every token.
    let stranger = TestKey::new(Alg::Es384, "k1");
    let forged = stranger.token(&without(claims(), "iss"));
    assert_eq!(scene.refusal(&forged), "kid_unknown");
    // With tenants, a missing `iss` means that the tenant is missing.
    let template = IssuerTemplate::parse("https://a.example/{t}/v2").unwrap();
    scene.policy.tenants =
        Some(Tenants { templates: vec![template], claim: "tid".into(), allow: Allowed::Any });
    assert_eq!(scene.refusal(&bare), "iss_missing");
}

/// The claims that WorkOS documents, with one of the given spellings of `iss`, and without `aud`,
/// `azp` and `client_id`.
fn workos(iss: &str) -> Value {
    json!({
        "iss": iss, "sub": "user_01HBEQKA6K4QJAS93VPE39W1JT", "sid": "session_01HQ",
        "org_id": "org_01HR", "role": "member", "roles": ["member"], "permissions": ["posts:read"],
        "jti": "01HQ", "iat": NOW - 10, "exp": NOW + 290,
    })
}

const WORKOS: [&str; 7] = [
    "https://api.workos.com",
    "https://api.workos.com/",
    "https://api.workos.com/user_management/client_01EXAMPLE",
    "https://auth.app.example",
    "https://auth.app.example/",
    "https://api.workos.com/sso/client_01EXAMPLE",
    "https://api.workos.com/convex/client_01EXAMPLE",
];

fn workos_scene(key: &TestKey, sources: &[ClientSource]) -> Scene {
    let mut scene = Scene::signing(&[key], Alg::Rs256);
    scene.policy.issuers = WORKOS.iter().map(|iss| Issuer::parse(iss).unwrap()).collect();
    scene.policy.output_issuer = Some(Issuer::parse(ISSUER).unwrap());
    scene.policy.audience.when_missing = Some(MissingAudience {
        audience: Audience::parse("app").unwrap(),
        clients: vec!["client_01EXAMPLE".into()],
        client_sources: sources.to_vec(),
    });
    scene
}

#[tokio::test]
async fn workos_as_it_is_documented() {
    let key = TestKey::new(Alg::Rs256, "sso_oidc_key_pair_01");
    let scene = workos_scene(&key, &[ClientSource::Keys]);
    for iss in WORKOS {
        let new = scene.new_token(&key.token(&workos(iss)));
        assert_eq!((&payload(&new)["iss"], &payload(&new)["aud"]), (&json!(ISSUER), &json!("app")));
        accepted_by_verifiers(&scene, &new).await;
    }
    // If a token has `client_id`, it must be the configured client.
    let named = with(workos(WORKOS[0]), "client_id", json!("client_01EXAMPLE"));
    assert_eq!(payload(&scene.new_token(&key.token(&named)))["aud"], "app");
}

async fn accepted_by_verifiers(scene: &Scene, token: &str) {
    let answer = Response::json(served(scene));
    let (custom, oidc) = verifiers::providers(ISSUER, &format!("{ISSUER}/jwks"), "app");
    verifiers::custom_jwt(&answer, &custom, token, scene.now).unwrap();
    verifiers::oidc(verifiers::paper(ISSUER, &answer), &oidc, token, scene.now).await.unwrap();
}

/// Two applications of one account use the same API, and may share a key.
#[test]
fn another_clients_token_at_the_same_issuer_does_not_pass() {
    let key = TestKey::new(Alg::Rs256, "sso_oidc_key_pair_01");
    let other = "https://api.workos.com/user_management/client_01OTHER";
    for source in [ClientSource::Keys, ClientSource::Issuer] {
        let scene = workos_scene(&key, &[source]);
        let refusal = |claims: &Value| scene.refusal(&key.token(claims));
        assert_eq!(refusal(&workos(other)), "iss");
        for name in ["client_id", "azp"] {
            for iss in WORKOS {
                let claims = with(workos(iss), name, json!("client_01OTHER"));
                assert_eq!(refusal(&claims), "client", "{iss} {name}");
            }
        }
        // A token with its own audience is judged by it.
        let mut strict = workos_scene(&key, &[source]);
        strict.policy.audience.accept = vec![Audience::parse("app").unwrap()];
        let foreign = with(workos(WORKOS[2]), "aud", json!("client_01OTHER"));
        assert_eq!(strict.refusal(&key.token(&foreign)), "aud");
        // The other client's key differs where the key sets have different addresses.
        let stranger = TestKey::new(Alg::Rs256, "sso_oidc_key_pair_02");
        assert_eq!(scene.refusal(&stranger.token(&workos(WORKOS[2]))), "kid_unknown");
    }
    // An `iss` that does not contain the client says nothing about the client.
    let scene = workos_scene(&key, &[ClientSource::Issuer]);
    for iss in [WORKOS[0], WORKOS[1], WORKOS[3], WORKOS[4]] {
        assert_eq!(scene.refusal(&key.token(&workos(iss))), "client", "{iss}");
    }
    for iss in [WORKOS[2], WORKOS[5], WORKOS[6]] {
        assert_eq!(payload(&scene.new_token(&key.token(&workos(iss))))["aud"], "app", "{iss}");
    }
    // Nor does an `iss` whose client only begins like ours, even if it is configured.
    let mut scene = workos_scene(&key, &[ClientSource::Issuer]);
    let longer = "https://api.workos.com/user_management/client_01EXAMPLE2";
    scene.policy.issuers.push(Issuer::parse(longer).unwrap());
    assert_eq!(scene.refusal(&key.token(&workos(longer))), "client");
    // Without `client_sources`, no source names the client.
    let scene = workos_scene(&key, &[]);
    assert_eq!(scene.refusal(&key.token(&workos(WORKOS[2]))), "client");
    // With two clients, the keys do not tell which of them a token is for.
    let mut scene = workos_scene(&key, &[ClientSource::Keys]);
    scene.policy.audience.when_missing.as_mut().unwrap().clients.push("client_01OTHER".into());
    assert_eq!(scene.refusal(&key.token(&workos(WORKOS[0]))), "client");
}

#[test]
fn stable_claims_are_the_same_in_each_token_of_a_login() {
    let key = TestKey::new(Alg::Es384, "k1");
    let mut scene = Scene::new(&[&key]);
    scene.profile.claims.stable = true;
    let token = |n: u32| {
        let mut moving = claims();
        for name in ["jti", "uti", "aio", "rh", "event_id", "nonce"] {
            moving[name] = json!(format!("{name}-{n}"));
        }
        moving["fva"] = json!([n, -1]);
        moving["at_hash"] = json!(hash(Alg::Es384, &format!("at-{n}")));
        key.token(&moving)
    };
    let at_exchange = Ask { downscope: true, ..Ask::default() };
    let first = payload(&scene.new_token_for(&token(1), &at_exchange));
    assert_eq!(first, payload(&scene.new_token_for(&token(2), &at_exchange)));
    assert_eq!(first, claims());
    // A client compares these with its own values, and would end the login without them.
    let companions = Companions {
        access_token: Some("at-1"),
        original_access_token: Some("at-1"),
        ..Companions::default()
    };
    let inline = Ask { companions, ..Ask::default() };
    let new = payload(&scene.new_token_for(&token(1), &inline));
    assert_eq!(new["nonce"], "nonce-1");
    assert_eq!(new["at_hash"], hash(Alg::Es256, "at-1"));
    assert_eq!(new.get("jti"), None);
    // With the setting off, the claims are not changed.
    scene.profile.claims.stable = false;
    assert_eq!(payload(&scene.new_token(&token(1)))["jti"], "jti-1");
}

/// The set has every key that does no harm, ours first. Both kinds of provider accept our token
/// with it, and the issuer's keys are there for other clients.
#[tokio::test]
async fn our_token_is_accepted_beside_every_key_of_the_issuer() {
    let keys: Vec<_> = Alg::all().map(|alg| TestKey::new(alg, alg.name())).collect();
    let es384 = keys.iter().find(|key| key.alg == Alg::Es384).unwrap();
    for signing in [Alg::Rs256, Alg::Es256] {
        let scene = Scene::signing(&keys.iter().collect::<Vec<_>>(), signing);
        let set: Value = serde_json::from_str(&served(&scene)).unwrap();
        let kids: Vec<_> = set["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["kid"].as_str().unwrap())
            .collect();
        let ours = scene.signer.kid().as_str();
        assert_eq!(
            kids,
            [
                ours, "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
                "ES512", "EdDSA"
            ]
        );
        accepted_by_everyone(&scene, &scene.new_token(&es384.token(&claims()))).await;
    }
    // The control: published with its `alg`, the single Ed25519 key makes `customJwt` refuse the
    // whole set.
    let mut scene = Scene::signing(&keys.iter().collect::<Vec<_>>(), Alg::Rs256);
    let new = scene.new_token(&es384.token(&claims()));
    scene.profile.tolerates = scene.profile.tolerates.iter().chain([Alg::EdDsa]).collect();
    let (custom, _) = verifiers::providers(ISSUER, &format!("{ISSUER}/jwks"), "app");
    let answer = Response::json(served(&scene));
    assert!(verifiers::custom_jwt(&answer, &custom, &new, scene.now).is_err());
}
