//! Every reason to refuse a token, each with a token that is otherwise valid, and the attacks.

use crate::support::tokens;
use std::time::Duration;

use crate::support::tokens::*;
use countersign::jose::alg::{Alg, AlgSet};
use countersign::jose::jwk::SignatureForm;
use countersign::jose::jws::CompactJws;
use countersign::jose::names::{Audience, Issuer, Limits, UnixTime};
use countersign::jose::policy::{HmacSecret, MissingAudience, SecretError};
use countersign::pipeline::{Ask, Verdict};
use serde_json::{Value, json};

fn es384() -> (TestKey, Scene) {
    let key = TestKey::new(Alg::Es384, "k1");
    let scene = Scene::new(&[&key]);
    (key, scene)
}

#[test]
fn every_algorithm_is_verified_and_a_changed_byte_is_not() {
    for alg in Alg::all() {
        let key = TestKey::new(alg, "k1");
        let mut scene = Scene::new(&[&key]);
        scene.profile.accepts = AlgSet::EMPTY;
        let token = key.token(&claims());
        let Verdict::Countersigned(new) = scene.judge(&token, &Ask::default()).unwrap() else {
            panic!("nothing is accepted, and yet as it stands");
        };
        assert_eq!(new.alg_in, Some(alg));
        assert_eq!(payload_text(&new.jwt), claims().to_string(), "{alg}");

        let (input, sig) = token.rsplit_once('.').unwrap();
        let mut bytes = unb64(sig);
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            bytes[at] ^= 1;
            assert_eq!(scene.refusal(&format!("{input}.{}", b64(&bytes))), "signature", "{alg}");
            bytes[at] ^= 1;
        }
        let other = b64(with(claims(), "sub", json!("admin")).to_string());
        let header = token.split('.').next().unwrap();
        assert_eq!(scene.refusal(&format!("{header}.{other}.{sig}")), "signature", "{alg}");
        assert_eq!(scene.refusal(&format!("{input}.")), "signature", "{alg}");
    }
}

#[test]
fn forms_that_are_no_compact_jws() {
    let (key, scene) = es384();
    let good = key.token(&claims());
    let (header, payload, sig) = {
        let mut parts = good.split('.');
        (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap())
    };
    let json = format!(r#"{{"payload":"{payload}","protected":"{header}","signature":"{sig}"}}"#);
    for (token, code) in [
        (String::new(), "format"),
        ("a".into(), "format"),
        (format!("{header}.{payload}"), "format"),
        (format!(".{payload}.{sig}"), "format"),
        (format!("{good}."), "format"),
        (format!("{good}.x"), "format"),
        (format!("{good}.x.y"), "nested"),
        (json, "format"),
        (format!(" {good}"), "b64"),
        (format!("{good}\n"), "b64"),
        (format!("{header}.{payload} .{sig}"), "b64"),
        (format!("{header}=.{payload}.{sig}"), "b64"),
        (format!("{header}.{payload}.{sig}="), "b64"),
        (format!("{header}.{payload}.{sig}=="), "b64"),
        (format!("{header}.{}.{sig}", payload.replace('e', "+")), "b64"),
        (format!("{header}.{payload}.{}é", &sig[1..]), "b64"),
        (format!("Bearer {good}"), "b64"),
        (format!("{good}{}", "A".repeat(16 * 1024)), "too_large"),
        ("A".repeat(1 << 20), "too_large"),
    ] {
        assert_eq!(scene.refusal(&token), code, "{}", &token[..token.len().min(60)]);
    }
}

#[test]
fn stray_bits_in_the_last_character_are_refused() {
    // Each octet sequence must have only one encoding. Otherwise a token has several spellings, and
    // caches or deny lists keyed by the text can be bypassed.
    let key = TestKey::new(Alg::EdDsa, "k1");
    let scene = Scene::new(&[&key]);
    let token = key.token(&claims());
    let last = token.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).unwrap();
    let sibling = alphabet.chars().nth(at + 1).unwrap();
    assert_eq!(scene.refusal(&format!("{}{sibling}", &token[..token.len() - 1])), "b64");
}

#[test]
fn headers_that_are_refused() {
    let (key, scene) = es384();
    let payload = claims().to_string();
    for (header, code) in [
        (r#"{"alg":"none","kid":"k1"}"#, "alg"),
        (r#"{"alg":"None","kid":"k1"}"#, "alg"),
        (r#"{"alg":"","kid":"k1"}"#, "alg"),
        (r#"{"alg":"es384","kid":"k1"}"#, "alg"),
        (r#"{"alg":"ES384 ","kid":"k1"}"#, "alg"),
        (r#"{"alg":384,"kid":"k1"}"#, "alg"),
        (r#"{"alg":["ES384"],"kid":"k1"}"#, "alg"),
        (r#"{"alg":null,"kid":"k1"}"#, "alg"),
        (r#"{"kid":"k1"}"#, "alg"),
        (r#"{"alg":"RSA-OAEP","enc":"A256GCM","kid":"k1"}"#, "alg"),
        (r#"{"alg":"ES384","enc":"A256GCM","kid":"k1"}"#, "nested"),
        (r#"{"alg":"RS256","kid":"k1"}"#, "alg"),
        (r#"{"alg":"ES256","kid":"k1"}"#, "alg"),
        (r#"{"alg":"ES512","kid":"k1"}"#, "alg"),
        (r#"{"alg":"HS256","kid":"k1"}"#, "alg"),
        (r#"{"alg":"ES384","alg":"ES384","kid":"k1"}"#, "duplicate_member"),
        (r#"{"alg":"ES384","\u0061lg":"none","kid":"k1"}"#, "duplicate_member"),
        (r#"{"alg":"ES384","kid":"k1","crit":["x"],"x":1}"#, "crit"),
        (r#"{"alg":"ES384","kid":"k1","crit":[]}"#, "crit"),
        (r#"{"alg":"ES384","kid":"k1","crit":null}"#, "crit"),
        (r#"{"alg":"ES384","kid":"k1","crit":["b64"],"b64":false}"#, "b64_false"),
        (r#"{"alg":"ES384","kid":"k1","b64":false}"#, "b64_false"),
        (r#"{"alg":"ES384","kid":"k1","b64":"true"}"#, "b64_false"),
        (r#"{"alg":"ES384","kid":"k1","cty":"JWT"}"#, "nested"),
        (r#"{"alg":"ES384","kid":"k1","cty":"application/jwt"}"#, "nested"),
        (r#"{"alg":"ES384","kid":"k1","typ":1}"#, "header"),
        (r#"{"alg":"ES384","kid":"k1","typ":null}"#, "header"),
        (r#"{"alg":"ES384","kid":["k1"]}"#, "header"),
        (r#"{"alg":"ES384","kid":{"a":1}}"#, "header"),
        (r#"{"alg":"ES384","kid":null}"#, "header"),
        (r#"{"alg":"ES384","kid":true}"#, "header"),
        (r#"["ES384"]"#, "header"),
        (r#""ES384""#, "header"),
        (r#"{"alg":"ES384","kid":"k1""#, "header"),
        (r#"{"alg":"ES384","kid":"k1"}x"#, "header"),
        ("\u{feff}{\"alg\":\"ES384\",\"kid\":\"k1\"}", "header"),
        (r#"{"alg":"ES384","kid":"other"}"#, "kid_unknown"),
        (r#"{"alg":"ES384","kid":"K1"}"#, "kid_unknown"),
        (r#"{"alg":"ES384","kid":"k1","typ":"logout+jwt"}"#, "typ"),
        (r#"{"alg":"ES384","kid":"k1","typ":"secevent+jwt"}"#, "typ"),
        (r#"{"alg":"ES384","kid":"k1","typ":"application/token-introspection+jwt"}"#, "typ"),
        (r#"{"alg":"ES384","kid":"k1","typ":"dpop+jwt"}"#, "typ"),
    ] {
        assert_eq!(scene.refusal(&key.signed(header, &payload)), code, "{header}");
    }
    let deep = format!(r#"{{"alg":"ES384","kid":"k1","x":{}1{}}}"#, "[".repeat(40), "]".repeat(40));
    assert_eq!(scene.refusal(&key.signed(&deep, &payload)), "depth");
    let latin1 = [b"{\"alg\":\"ES384\",\"kid\":\"".as_slice(), &[0xe9], b"\"}"].concat();
    let input = format!("{}.{}", b64(latin1), b64(&payload));
    assert_eq!(scene.refusal(&key.signed_input(&input)), "header");
}

#[test]
fn headers_that_are_read() {
    let (key, scene) = es384();
    let payload = claims().to_string();
    for header in [
        r#"{"alg":"ES384","kid":"k1"}"#,
        r#"{"alg":"ES384"}"#,
        r#"{"alg":"ES384","kid":""}"#,
        r#"{"typ":"JWT","alg":"ES384","kid":"k1"}"#,
        r#"{"typ":"jwt","alg":"ES384","kid":"k1"}"#,
        r#"{"typ":"at+jwt","alg":"ES384","kid":"k1"}"#,
        r#"{"typ":"application/at+jwt","alg":"ES384","kid":"k1"}"#,
        "{\"alg\" :\t\"ES384\",\n\"kid\": \"k1\"}",
    ] {
        let new = scene.new_token(&key.signed(header, &payload));
        let expected = json!({
            "alg": "ES256", "typ": "JWT", "kid": scene.signer.kid().as_str(),
            "cso": tokens::header(&new)["cso"],
        });
        assert_eq!(tokens::header(&new), expected, "{header}");
        assert_eq!(payload_text(&new), payload, "{header}");
    }
}

#[test]
fn access_tokens_can_be_switched_off() {
    let (key, mut scene) = es384();
    scene.policy.access_tokens = false;
    let header = r#"{"alg":"ES384","kid":"k1","typ":"at+jwt"}"#;
    assert_eq!(scene.refusal(&key.signed(header, &claims().to_string())), "typ");
}

#[test]
fn a_security_event_does_not_become_a_login() {
    // A logout token (OpenID Connect Back-Channel Logout §2.4) has all the claims of an ID token.
    let (key, scene) = es384();
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    assert_eq!(scene.refusal(&key.token(&with(claims(), "events", event))), "typ");
}

#[test]
fn a_refresh_token_does_not_become_a_login() {
    // A refresh token is useless without its client's secret. Exchanging it here would turn it into
    // a login.
    let (key, scene) = es384();
    for (name, kind) in
        [("typ", "Refresh"), ("typ", "Offline"), ("token_type", "refresh"), ("type", "refresh")]
    {
        assert_eq!(scene.refusal(&key.token(&with(claims(), name, json!(kind)))), "typ", "{name}");
    }
    for (name, kind) in [("typ", "Bearer"), ("token_use", "access"), ("type", "user")] {
        assert!(
            scene.judge(&key.token(&with(claims(), name, json!(kind))), &Ask::default()).is_ok()
        );
    }
}

#[test]
fn payloads_that_are_refused() {
    let (key, scene) = es384();
    let header = key.header().to_string();
    let good = claims().to_string();
    let insert = |member: &str| format!("{},{member}}}", &good[..good.len() - 1]);
    for (payload, code) in [
        (String::new(), "payload"),
        ("foo".into(), "payload"),
        ("[]".into(), "payload"),
        (format!("[{good}]"), "payload"),
        (format!("\u{feff}{good}"), "payload"),
        (format!("{good}{good}"), "payload"),
        (insert(r#""x":"\ud800""#), "surrogate"),
        (insert(r#""x":{"y":"\udc00"}"#), "surrogate"),
        (insert(r#""x":1e400"#), "number"),
        (insert(r#""x":NaN"#), "payload"),
        (insert(r#""exp":1900000000"#), "duplicate_member"),
        (insert(r#""\u0065xp":1900000000"#), "duplicate_member"),
        (insert(r#""role":"a","role":"b""#), "duplicate_member"),
        (insert(r#""x":{"role":"a","role":"b"}"#), "duplicate_member"),
        (insert(&format!(r#""x":{}1{}"#, "[".repeat(40), "]".repeat(40))), "depth"),
        (insert(&format!(r#""x":{}1{}"#, "[".repeat(4000), "]".repeat(4000))), "depth"),
    ] {
        assert_eq!(scene.refusal(&key.signed(&header, &payload)), code, "{payload:.80}");
    }
    let mut latin1 = insert(r#""x":"?""#).into_bytes();
    let at = latin1.len() - 3;
    latin1[at] = 0xe9;
    let input = format!("{}.{}", b64(&header), b64(latin1));
    assert_eq!(scene.refusal(&key.signed_input(&input)), "payload");
}

#[test]
fn claims_that_are_refused() {
    let (key, scene) = es384();
    let hour = NOW + 3600;
    for (claims, code) in [
        (without(claims(), "exp"), "exp_missing"),
        (with(claims(), "exp", json!(null)), "exp_type"),
        (with(claims(), "exp", json!("2030-01-01T00:00:00Z")), "exp_type"),
        (with(claims(), "exp", json!("1900000000")), "exp_type"),
        (with(claims(), "exp", json!(-1)), "exp_type"),
        (with(claims(), "exp", json!([hour])), "exp_type"),
        (with(claims(), "exp", json!(1_900_000_000_000_i64)), "exp_range"),
        (with(claims(), "exp", json!(1_900_000_000_000_000_i64)), "exp_range"),
        (with(claims(), "exp", json!(8_210_266_876_800_i64)), "exp_range"),
        (with(claims(), "exp", json!(1e300)), "exp_range"),
        (with(claims(), "exp", json!(u64::MAX)), "exp_range"),
        (with(claims(), "exp", json!(NOW)), "expired"),
        (with(claims(), "exp", json!(NOW - 1)), "expired"),
        (with(claims(), "exp", json!(NOW as f64 + 0.9)), "expired"),
        (with(claims(), "exp", json!(0)), "expired"),
        (with(claims(), "iat", json!(1_800_000_000_000_i64)), "exp_range"),
        (with(claims(), "iat", json!("x")), "exp_type"),
        (with(claims(), "iat", json!(hour)), "iat_future"),
        (with(claims(), "iat", json!(NOW + 6)), "iat_future"),
        (with(claims(), "nbf", json!(hour)), "nbf"),
        (with(claims(), "nbf", json!(NOW + 6)), "nbf"),
        (with(claims(), "nbf", json!(null)), "exp_type"),
        (without(claims(), "iss"), "iss_missing"),
        (with(claims(), "iss", json!("https://other.example")), "iss"),
        (with(claims(), "iss", json!("https://issuer.example/")), "iss"),
        (with(claims(), "iss", json!("issuer.example")), "iss"),
        (with(claims(), "iss", json!("https://ISSUER.example")), "iss"),
        (with(claims(), "iss", json!([ISSUER])), "iss"),
        (with(claims(), "iss", json!(null)), "iss"),
        (without(claims(), "aud"), "aud_missing"),
        (with(claims(), "aud", json!([])), "aud_type"),
        (with(claims(), "aud", json!(null)), "aud_type"),
        (with(claims(), "aud", json!(7)), "aud_type"),
        (with(claims(), "aud", json!("")), "aud_type"),
        (with(claims(), "aud", json!(["app", 7])), "aud_type"),
        (with(claims(), "aud", json!({"a": "app"})), "aud_type"),
        (without(claims(), "sub"), "sub_missing"),
        (with(claims(), "sub", json!(null)), "sub_missing"),
        (with(claims(), "sub", json!("")), "sub_missing"),
        (with(claims(), "sub", json!(["user-1"])), "sub_type"),
        (with(claims(), "sub", json!(true)), "sub_type"),
    ] {
        assert_eq!(scene.refusal(&key.token(&claims)), code, "{claims}");
    }
}

#[test]
fn exp_has_no_leeway_and_the_others_have_it() {
    let (key, scene) = es384();
    let slightly_ahead = with(with(claims(), "iat", json!(NOW + 5)), "nbf", json!(NOW + 5));
    assert!(scene.judge(&key.token(&slightly_ahead), &Ask::default()).is_ok());
    assert!(
        scene.judge(&key.token(&with(claims(), "exp", json!(NOW + 1))), &Ask::default()).is_ok()
    );
}

#[test]
fn only_accepted_audiences() {
    let (key, mut scene) = es384();
    scene.policy.audience.accept = vec![Audience::parse("app").unwrap()];
    assert_eq!(scene.refusal(&key.token(&with(claims(), "aud", json!("other")))), "aud");
    assert_eq!(scene.refusal(&key.token(&with(claims(), "aud", json!(["x", "App"])))), "aud");
    let asked = Audience::parse("other").unwrap();
    let ask = Ask { audience: Some(&asked), ..Ask::default() };
    let token = key.token(&with(claims(), "aud", json!(["app", "other"])));
    assert_eq!(scene.judge(&token, &ask).unwrap_err().code(), "aud_asked");
}

#[test]
fn a_missing_audience_is_set_for_the_right_client_alone() {
    let (key, mut scene) = es384();
    scene.policy.audience.when_missing = Some(MissingAudience {
        audience: Audience::parse("app").unwrap(),
        clients: vec!["client_1".into()],
        client_sources: Vec::new(),
    });
    let none = without(claims(), "aud");
    for (claims, code) in [
        (none.clone(), "client"),
        (with(none.clone(), "azp", json!("client_2")), "client"),
        (with(none.clone(), "client_id", json!("client_2")), "client"),
        (with(none.clone(), "azp", json!(["client_1"])), "client"),
        (
            with(with(none.clone(), "azp", json!("client_1")), "client_id", json!("client_2")),
            "client",
        ),
        (with(none.clone(), "aud", json!(null)), "aud_type"),
    ] {
        assert_eq!(scene.refusal(&key.token(&claims)), code, "{claims}");
    }
    for name in ["azp", "client_id"] {
        let new = scene.new_claims(&key, &with(none.clone(), name, json!("client_1")));
        assert_eq!(new["aud"], "app");
    }
}

#[test]
fn a_client_named_by_the_protected_header_is_as_good_and_nothing_else_is() {
    let (key, mut scene) = es384();
    let audience = Audience::parse("app").unwrap();
    scene.policy.audience.when_missing =
        Some(MissingAudience { audience, clients: Vec::new(), client_sources: Vec::new() });
    let none = without(claims(), "aud");
    let token = |more: &str, claims: &Value| {
        key.signed(&format!(r#"{{"alg":"ES384","kid":"k1"{more}}}"#), &claims.to_string())
    };
    let mine = r#","client":"client_1","signer":"me""#;
    // Unless the configuration requires a header parameter, its value was not checked.
    assert_eq!(scene.refusal(&token(mine, &none)), "client");
    // Requiring another parameter does not tell for which client the token was made.
    scene.policy.headers = vec![("signer".into(), "me".into())];
    assert_eq!(scene.refusal(&token(mine, &none)), "client");

    scene.policy.headers.push(("client".into(), "client_1".into()));
    for claims in [
        none.clone(),
        with(none.clone(), "azp", json!("client_1")),
        with(none.clone(), "client_id", json!("client_1")),
        // Any client can set this claim, so it is ignored.
        with(none.clone(), "client", json!("client_2")),
    ] {
        let new = payload(&scene.new_token(&token(mine, &claims)));
        assert_eq!(new, with(claims, "aud", json!("app")));
    }
    let by_claim = with(none.clone(), "client", json!("client_1"));
    for (more, claims, code) in [
        (r#","client":"client_2","signer":"me""#, &none, "header_mismatch"),
        (r#","client":"client_10","signer":"me""#, &none, "header_mismatch"),
        (r#","client":["client_1"],"signer":"me""#, &none, "header_mismatch"),
        (r#","signer":"me""#, &none, "header_mismatch"),
        (r#","signer":"me""#, &by_claim, "header_mismatch"),
        (r#","client":"client_2","signer":"me""#, &by_claim, "header_mismatch"),
        (r#","client":"client_2","client":"client_1","signer":"me""#, &none, "duplicate_member"),
        // The claims name another client.
        (mine, &with(none.clone(), "azp", json!("client_2")), "client"),
        (mine, &with(none.clone(), "client_id", json!("client_2")), "client"),
        (mine, &with(none.clone(), "azp", json!(null)), "client"),
    ] {
        assert_eq!(scene.refusal(&token(more, claims)), code, "{more} {claims}");
    }
    // An unprotected header is impossible in the compact form. It would need a fourth part or the
    // JSON form.
    let unprotected = b64(r#"{"client":"client_1"}"#);
    let lacking = token(r#","signer":"me""#, &none);
    assert_eq!(scene.refusal(&format!("{lacking}.{unprotected}")), "format");
    let mut parts = lacking.split('.');
    let mut part = || parts.next().unwrap();
    let json = json!({
        "protected": part(), "payload": part(), "signature": part(),
        "header": { "client": "client_1" },
    });
    assert_eq!(scene.refusal(&json.to_string()), "format");
    // A token with an audience keeps it.
    let other = token(mine, &with(none, "aud", json!("other")));
    assert_eq!(payload(&scene.new_token(&other))["aud"], "other");
}

#[test]
fn a_required_header_is_compared_whole() {
    const SIGNER: &str = "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/app/mine/1";
    let (key, mut scene) = es384();
    let token = |more: &str| {
        let header = format!(r#"{{"alg":"ES384","kid":"k1"{more}}}"#);
        key.signed(&header, &claims().to_string())
    };
    let with_signer = |value: Value| token(&format!(r#","client":"app","signer":{value}"#));
    let demand = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let right = with_signer(json!(SIGNER));
    // Without required header parameters, every signer that shares the key is trusted.
    assert!(scene.judge(&with_signer(json!("arn:of:a:stranger")), &Ask::default()).is_ok());

    scene.policy.headers = vec![demand("signer", SIGNER), demand("client", "app")];
    let new = scene.new_token(&right);
    assert_eq!(payload(&new), claims());
    // A JSON string that is escaped differently is still the same string.
    let escaped = SIGNER.replacen('a', "\\u0061", 1);
    assert!(
        scene
            .judge(&token(&format!(r#","client":"app","signer":"{escaped}""#)), &Ask::default())
            .is_ok()
    );
    let foreign = SIGNER.replace("mine", "theirs");
    for value in [
        json!(foreign),
        json!(""),
        json!(format!("{SIGNER} ")),
        json!(format!("{SIGNER}0")),
        json!(SIGNER[..SIGNER.len() - 1]),
        json!(SIGNER.to_uppercase()),
        json!(format!("{SIGNER}\0")),
        json!([SIGNER]),
        json!([foreign, SIGNER]),
        json!({ SIGNER: SIGNER }),
        json!(null),
        json!(true),
        json!(1),
    ] {
        let refusal = scene.judge(&with_signer(value.clone()), &Ask::default()).unwrap_err();
        assert_eq!(refusal.code(), "header_mismatch", "{value}");
        // The error names the parameter, but neither the expected value nor the one found.
        let told = format!("{refusal} {refusal:?}");
        assert!(told.contains("signer") && !told.contains("arn:"), "{told}");
    }
    let refused = [
        token(""),
        token(&format!(r#","client":"app","Signer":"{SIGNER}""#)),
        token(&format!(r#","client":"app","x":{{"signer":"{SIGNER}"}}"#)),
        // All parameters are required, not one of them.
        token(&format!(r#","signer":"{SIGNER}""#)),
        token(&format!(r#","client":"other","signer":"{SIGNER}""#)),
        // A claim does not count as a header parameter.
        key.token(&with(with(claims(), "signer", json!(SIGNER)), "client", json!("app"))),
    ];
    for token in refused {
        assert_eq!(scene.refusal(&token), "header_mismatch", "{}", header(&token));
    }
    // With a repeated name, the parser accepts neither.
    let twice = token(&format!(r#","client":"app","signer":"{foreign}","signer":"{SIGNER}""#));
    assert_eq!(scene.refusal(&twice), "duplicate_member");
    // The check is in addition to the signature, not instead of it.
    let stranger = TestKey::new(Alg::Es384, "k1");
    let forged = stranger.signed(&header(&right).to_string(), &claims().to_string());
    assert_eq!(scene.refusal(&forged), "signature");
}

#[test]
fn a_demanded_header_keeps_tokens_from_passing_as_they_stand() {
    // The verifier does not require these parameters: if the key were in its set, it would accept
    // tokens of other signers.
    let key = TestKey::new(Alg::Rs256, "k1");
    let mut scene = Scene::new(&[&key]);
    let token = key.token(&claims());
    let verdict = scene.judge(&token, &Ask::default()).unwrap();
    assert!(matches!(verdict, Verdict::AsItStands { .. }));
    assert!(scene.policy.publishes());
    scene.policy.headers = vec![("signer".into(), "me".into())];
    assert!(!scene.policy.publishes());
    assert_eq!(scene.refusal(&token), "header_mismatch");
    let right = key.signed(r#"{"alg":"RS256","kid":"k1","signer":"me"}"#, &claims().to_string());
    assert_eq!(payload(&scene.new_token(&right)), claims());
}

#[test]
fn algorithms_are_the_issuers_choice() {
    let key = TestKey::new(Alg::Rs512, "k1");
    let mut scene = Scene::new(&[&key]);
    scene.policy.algorithms = AlgSet::of(&[Alg::Rs256, Alg::Es384]);
    assert_eq!(scene.refusal(&key.token(&claims())), "alg");
}

#[test]
fn a_key_is_used_for_its_own_algorithm_alone() {
    // The set says RS256, the token says PS256, and the RSA key could verify both (RFC 8725 §3.1).
    let key = TestKey::new(Alg::Ps256, "k1");
    let mut scene = Scene::new(&[&key]);
    let mut jwk = key.jwk().unwrap();
    jwk["alg"] = json!("RS256");
    scene.keys = read_keys(&json!({ "keys": [jwk.clone()] }));
    assert_eq!(scene.refusal(&key.token(&claims())), "alg");
    jwk.as_object_mut().unwrap().remove("alg");
    scene.keys = read_keys(&json!({ "keys": [jwk] }));
    assert!(scene.judge(&key.token(&claims()), &Ask::default()).is_ok());
}

#[test]
fn the_public_key_is_no_secret() {
    // The classic attack: HS256 with the text of the RSA public key (RFC 8725 §2.1).
    let rsa = TestKey::new(Alg::Rs256, "k1");
    let scene = Scene::new(&[&rsa]);
    let pem = rsa.spki_pem();
    let jwk = rsa.jwk().unwrap().to_string();
    let n = rsa.jwk().unwrap()["n"].as_str().unwrap().to_owned();
    for secret in [pem.as_bytes(), pem.trim().as_bytes(), jwk.as_bytes(), n.as_bytes()] {
        let input =
            format!("{}.{}", b64(r#"{"alg":"HS256","kid":"k1"}"#), b64(claims().to_string()));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        let forged = format!("{input}.{}", b64(aws_lc_rs::hmac::sign(&key, input.as_bytes())));
        assert_eq!(scene.refusal(&forged), "alg");
        // The same where the issuer also has HMAC tokens, with another secret.
        let hmac = TestKey::new(Alg::Hs256, "k2");
        let both = Scene::new(&[&rsa, &hmac]);
        assert_eq!(both.refusal(&forged), "signature");
        assert!(both.judge(&hmac.token(&claims()), &Ask::default()).is_ok());
    }
    for text in [pem, jwk] {
        let error = HmacSecret::new(Alg::Hs256, text.into_bytes().into()).err();
        assert_eq!(error, Some(SecretError::PublicKey));
    }
}

#[test]
fn a_secret_from_a_key_set_is_not_used() {
    let hmac = TestKey::new(Alg::Hs256, "k1");
    let es384 = TestKey::new(Alg::Es384, "k2");
    let mut scene = Scene::new(&[&es384]);
    let k = b64((0..32).map(|i| (i * 37 + 11) as u8).collect::<Vec<_>>());
    let oct = json!({"kty": "oct", "k": k, "kid": "k1", "alg": "HS256", "use": "sig"});
    scene.keys = read_keys(&json!({ "keys": [oct, es384.jwk().unwrap()] }));
    assert_eq!(scene.refusal(&hmac.token(&claims())), "alg");
    // Even where the operator allows the algorithm.
    scene.policy.algorithms = AlgSet::of(&[Alg::Hs256, Alg::Es384]);
    assert_eq!(scene.refusal(&hmac.token(&claims())), "signature");
}

#[test]
fn keys_in_the_header_are_not_used() {
    let (_, scene) = es384();
    let attacker = TestKey::new(Alg::Es384, "k1");
    let jwk = attacker.jwk().unwrap();
    for header in [
        json!({"alg": "ES384", "kid": "k1", "jwk": jwk}),
        json!({"alg": "ES384", "kid": "k1", "jku": "https://attacker.example/jwks"}),
        json!({"alg": "ES384", "kid": "k1", "x5u": "https://attacker.example/cert"}),
    ] {
        let forged = attacker.signed(&header.to_string(), &claims().to_string());
        assert_eq!(scene.refusal(&forged), "signature");
    }
}

#[test]
fn two_issuers_with_one_kid_stay_apart() {
    let (ours, theirs) = (TestKey::new(Alg::Es384, "1"), TestKey::new(Alg::Es384, "1"));
    let scene = Scene::new(&[&ours]);
    // A key of another issuer, with our issuer's name and `kid`.
    assert_eq!(scene.refusal(&theirs.token(&claims())), "signature");
    // A token of the other issuer, judged by our issuer's policy with that issuer's keys.
    let mut mixed = Scene::new(&[&theirs]);
    mixed.policy.issuers = vec![Issuer::parse(ISSUER).unwrap()];
    let token = theirs.token(&with(claims(), "iss", json!("https://theirs.example")));
    assert_eq!(mixed.refusal(&token), "iss");
}

#[test]
fn small_and_flawed_keys_are_not_used() {
    // A 1024-bit modulus, exponent 1, and the modulus of a ROCA key (powers of 65537 modulo small
    // primes).
    for jwk in [
        json!({"kty": "RSA", "kid": "k1", "e": "AQAB", "n": b64([0xff; 128])}),
        json!({"kty": "RSA", "kid": "k1", "e": "AQ", "n": b64([0xff; 256])}),
        json!({"kty": "RSA", "kid": "k1", "e": "Ag", "n": b64([0xff; 256])}),
    ] {
        let document = json!({ "keys": [jwk] }).to_string();
        let read = countersign::jose::jwks::normalize(document.as_bytes(), &Default::default());
        assert!(read.is_err(), "{document}");
    }
}

#[test]
fn a_kid_that_is_a_number_is_read_as_its_text() {
    let (key, mut scene) = es384();
    let mut jwk = key.jwk().unwrap();
    jwk["kid"] = json!(7);
    scene.keys = read_keys(&json!({ "keys": [jwk] }));
    let token = key.signed(r#"{"alg":"ES384","kid":7}"#, &claims().to_string());
    assert!(scene.judge(&token, &Ask::default()).is_ok());
}

#[test]
fn without_kid_each_fitting_key_is_tried_within_the_limit() {
    let keys: Vec<_> = (0..6).map(|i| TestKey::new(Alg::Es384, &format!("k{i}"))).collect();
    let scene = Scene::new(&keys.iter().collect::<Vec<_>>());
    let token = |i: usize| keys[i].signed(r#"{"alg":"ES384"}"#, &claims().to_string());
    for i in 0..4 {
        assert!(scene.judge(&token(i), &Ask::default()).is_ok(), "{i}");
    }
    assert_eq!(scene.refusal(&token(5)), "too_many_keys");
    // With a `kid`, the token costs one verification.
    assert!(scene.judge(&keys[5].token(&claims()), &Ask::default()).is_ok());
}

#[test]
fn an_unknown_kid_of_an_expired_token_asks_for_no_fetch() {
    let (_, scene) = es384();
    let old_key = TestKey::new(Alg::Es384, "rotated-away");
    assert_eq!(scene.refusal(&old_key.token(&claims())), "kid_unknown");
    let old = with(claims(), "exp", json!(NOW - 5));
    assert_eq!(scene.refusal(&old_key.token(&old)), "expired");
}

#[test]
fn der_signatures_and_padding_only_where_configured() {
    let (key, mut scene) = es384();
    let payload = claims().to_string();
    let input = format!("{}.{}", b64(key.header().to_string()), b64(&payload));
    let der = format!("{input}.{}", b64(der_of(&key.sign(input.as_bytes()))));
    assert_eq!(scene.refusal(&der), "sig_format");
    scene.policy.signature_form = SignatureForm::JoseOrDer;
    assert!(scene.judge(&der, &Ask::default()).is_ok());
    assert!(scene.judge(&key.token(&claims()), &Ask::default()).is_ok());
    let raw = key.sign(input.as_bytes());
    let other_message = format!("{input}.{}", b64(der_of(&key.sign(b"other"))));
    assert_eq!(scene.refusal(&other_message), "signature");
    assert_eq!(scene.refusal(&format!("{input}.{}", b64(&raw[..95]))), "signature");

    let pad = |text: String| format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4));
    // The members are chosen so that every part needs padding.
    let header = pad(b64(r#"{"alg":"ES384","kid":"k1","a":1}"#));
    let body = pad(b64(format!("{} ", payload)));
    let input = format!("{header}.{body}");
    assert!(input.contains('='), "{input}");
    let padded = format!("{input}.{}", pad(b64(key.sign(input.as_bytes()))));
    assert_eq!(scene.refusal(&padded), "b64");
    // The same where the token was parsed before its issuer was known.
    let read = CompactJws::parse(padded.as_str(), &scene.limits, true).unwrap();
    let judged = countersign::pipeline::countersign(&read, &scene.context(), &Ask::default());
    assert_eq!(judged.unwrap_err().code(), "b64");
    scene.policy.padded = true;
    let new = scene.new_token(&padded);
    assert!(!new.contains('='));
    assert_eq!(tokens::payload(&new), claims());
    let unpadded = padded.replace('=', "");
    assert_eq!(scene.refusal(&unpadded), "signature", "the signature covers the received bytes");
    assert_eq!(scene.refusal(&format!("{padded}=")), "b64");
    // The original can be restored too: it is embedded unshortened.
    assert_eq!(
        countersign::pipeline::restore(&new, &scene.own(), &scene.limits).as_deref(),
        Some(padded.as_str())
    );
}

/// Encodes `r || s` as a DER SEQUENCE of two INTEGERs.
fn der_of(raw: &[u8]) -> Vec<u8> {
    let int = |half: &[u8]| {
        let half = &half[half.iter().take_while(|byte| **byte == 0).count()..];
        let zero: &[u8] = if half[0] >= 0x80 { &[0] } else { &[] };
        [&[2, (half.len() + zero.len()) as u8], zero, half].concat()
    };
    let (r, s) = raw.split_at(raw.len() / 2);
    let body = [int(r), int(s)].concat();
    [&[0x30, body.len() as u8], body.as_slice()].concat()
}

#[test]
fn a_replay_after_exp_is_refused() {
    let (key, mut scene) = es384();
    let token = key.token(&claims());
    let first = scene.new_token(&token);
    assert_eq!(payload(&first)["exp"], NOW + 600);
    scene.now = UnixTime::from_secs(NOW + 600);
    assert_eq!(scene.refusal(&token), "expired");
}

#[test]
fn limits_are_settings() {
    let (key, mut scene) = es384();
    let token = key.token(&with(claims(), "big", json!("x".repeat(20_000))));
    assert_eq!(scene.refusal(&token), "too_large");
    scene.limits = Limits { token: 64 * 1024, ..Limits::default() };
    assert!(scene.judge(&token, &Ask::default()).is_ok());
}

#[test]
fn codes_are_stable_and_messages_hold_no_token() {
    let (key, scene) = es384();
    let claims = with(claims(), "iss", json!("https://secret-tenant.example"));
    let token = key.token(&claims);
    let refusal = scene.judge(&token, &Ask::default()).unwrap_err();
    assert_eq!(refusal.code(), "iss");
    assert!(!format!("{refusal} {refusal:?}").contains("secret-tenant"));
}

#[test]
fn what_is_read_before_verification_is_the_issuer_alone() {
    let (key, _) = es384();
    let limits = Limits::default();
    let token = key.token(&claims());
    let jws = CompactJws::parse(&token, &limits, false).unwrap();
    assert_eq!(jws.unverified_issuer().unwrap().as_str(), ISSUER);
    assert_eq!(jws.unverified_header().kid.as_deref(), Some("k1"));
    assert_eq!(jws.unverified_header().alg, Alg::Es384);
    let none = key.token(&without(claims(), "iss"));
    let none = CompactJws::parse(&none, &limits, false).unwrap();
    assert_eq!(none.unverified_issuer().unwrap_err().code(), "iss_missing");
}

#[test]
fn a_lifetime_longer_than_time_itself_is_no_trouble() {
    let (key, mut scene) = es384();
    scene.policy.max_lifetime = Some(Duration::MAX);
    assert_eq!(scene.new_claims(&key, &claims()), claims());
    let _: Value = claims();
}
