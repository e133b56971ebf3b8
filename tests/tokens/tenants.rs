//! Issuers with many tenants, on real sockets: anyone can open a tenant there, but must not be able
//! to log in here.

use crate::support::proxy;
use crate::support::proxy::{Proxy, RequestExt as _, ResponseExt as _, Upstream, provider};
use crate::support::signer::Signer;
use countersign::config::{DiscoveredFault, issuer_from_discovery};
use countersign::jose::jwks::{Options, normalize};
use countersign::rewrite::discovery;
use serde_json::{Value, json};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID: &str = "urn:ietf:params:oauth:token-type:id_token";
const MINE: &str = "11111111-1111-1111-1111-111111111111";
const THEIRS: &str = "99999999-9999-9999-9999-999999999999";
const OUTPUT: &str = "https://login.example.com";

struct Scene {
    upstream: Upstream,
    proxy: Proxy,
}

impl Scene {
    /// `more` is added to the issuer's table. `marks` are keys by `kid`, with the `issuer` member
    /// of each.
    async fn start(more: &str, marks: &[(&str, &Signer, Option<String>)]) -> Self {
        provider();
        let upstream = Upstream::start().await;
        let url = upstream.url();
        let mut keys = vec![upstream.signer.jwk("e1")];
        for (kid, signer, mark) in marks {
            let mut jwk = signer.jwk(kid);
            if let Some(mark) = mark {
                jwk["issuer"] = json!(mark.replace("URL", &url));
            }
            keys.push(jwk);
        }
        upstream.tell(|told| told.jwks = json!({ "keys": keys }).to_string());
        let config = format!(
            "[[issuer]]\nname = \"many\"\nissuer = \"{url}/{{tenantid}}/v2.0\"\njwks = \"{url}/jwks\"\n{more}"
        );
        let proxy = Proxy::ready(&url, &config).await;
        Self { upstream, proxy }
    }

    fn iss(&self, tenant: &str) -> String {
        format!("{}/{tenant}/v2.0", self.upstream.url())
    }

    /// The claims of a user of `tenant`.
    fn claims(&self, tenant: &str) -> Value {
        let mut claims = self.upstream.claims();
        claims["iss"] = json!(self.iss(tenant));
        claims["tid"] = json!(tenant);
        claims
    }

    async fn exchange(&self, token: &str) -> Result<Value, String> {
        let form = [("grant_type", GRANT), ("subject_token", token), ("subject_token_type", ID)];
        let url = self.proxy.url("/_countersign/token");
        let answer = reqwest::Client::new().post(url).form(&form).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        match body["access_token"].as_str() {
            Some(new) => Ok(self.upstream.claims_of(new)),
            None => Err(body["code"].as_str().unwrap().to_owned()),
        }
    }

    async fn of(&self, claims: &Value) -> Result<Value, String> {
        self.exchange(&self.upstream.token(claims)).await
    }
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn listed() -> String {
    format!("output_issuer = \"{OUTPUT}\"\ntenants = {{ claim = \"tid\", allow = [\"{MINE}\"] }}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_not_listed_does_not_log_in() {
    let scene = Scene::start(&listed(), &[]).await;
    let mine = scene.claims(MINE);
    let theirs = scene.claims(THEIRS);
    let new = scene.of(&mine).await.unwrap();
    assert_eq!(new, with(mine.clone(), "iss", json!(OUTPUT)));
    let mut untied = mine.clone();
    untied.as_object_mut().unwrap().remove("tid");
    for (claims, code) in [
        // Signed with the same key, and otherwise valid.
        (theirs.clone(), "tenant"),
        (with(theirs.clone(), "tid", json!(MINE)), "tenant"),
        (with(mine.clone(), "tid", json!(THEIRS)), "tenant"),
        (with(mine.clone(), "tid", json!([MINE])), "tenant"),
        (with(mine.clone(), "tid", json!([THEIRS, MINE])), "tenant"),
        (with(mine.clone(), "tid", json!({ MINE: MINE })), "tenant"),
        (with(mine.clone(), "tid", Value::Null), "tenant"),
        (with(mine.clone(), "tid", json!(format!("{MINE} "))), "tenant"),
        (untied, "tenant"),
        // The template itself is not a tenant's issuer.
        (scene.claims("{tenantid}"), "issuer_unknown"),
        (scene.claims("{}"), "issuer_unknown"),
        (scene.claims(""), "issuer_unknown"),
        (scene.claims(".."), "issuer_unknown"),
        (scene.claims(&format!("{THEIRS}/../{MINE}")), "issuer_unknown"),
        (scene.claims(&format!("{MINE}%2f")), "issuer_unknown"),
        (scene.claims(&format!("{MINE}?x=")), "issuer_unknown"),
        (scene.claims(&"a".repeat(65)), "issuer_unknown"),
        (with(mine.clone(), "iss", json!(scene.iss(MINE) + "/")), "issuer_unknown"),
        (with(mine.clone(), "iss", json!(scene.upstream.url())), "issuer_unknown"),
        (with(mine.clone(), "iss", json!(OUTPUT)), "issuer_unknown"),
        (with(mine.clone(), "iss", json!([scene.iss(MINE)])), "iss"),
    ] {
        assert_eq!(scene.of(&claims).await, Err(code.to_owned()), "{claims}");
    }
    // A key of the attacker is not a key of the server.
    let stranger = Signer::es384();
    let token = stranger.token(&json!({"alg": "ES384", "kid": "e1"}), &mine);
    assert_eq!(scene.exchange(&token).await, Err("signature".to_owned()));
    // The verifier cannot check the tenant, so the server's keys are not published to it.
    let set = reqwest::get(scene.proxy.url("/.well-known/jwks.json")).await.unwrap();
    let set: Value = set.json().await.unwrap();
    let keys = set["keys"].as_array().unwrap();
    assert!(!keys.is_empty() && keys.iter().all(|key| key["kid"] != "e1"), "{set}");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_tenant_may_when_that_is_written_out_and_iss_may_stay() {
    let tenants = "tenants = { claim = \"tid\", allow = \"any\", keep_issuer = true }\n";
    let scene = Scene::start(tenants, &[]).await;
    for tenant in [MINE, THEIRS] {
        let claims = scene.claims(tenant);
        assert_eq!(scene.of(&claims).await.as_ref(), Ok(&claims));
        let other = with(claims, "tid", json!("another"));
        assert_eq!(scene.of(&other).await, Err("tenant".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_marked_for_another_tenant_signs_for_none_but_those() {
    let [every, mine, theirs, odd] = std::array::from_fn(|_| Signer::es384());
    let marks = [
        ("every", &every, Some("URL/{tenantid}/v2.0".to_owned())),
        ("mine", &mine, Some(format!("URL/{MINE}/v2.0"))),
        ("theirs", &theirs, Some(format!("URL/{THEIRS}/v2.0"))),
        ("odd", &odd, Some("urn:someone-else".to_owned())),
    ];
    let allow = format!("allow = [\"{MINE}\", \"{THEIRS}\"]");
    let more = format!("output_issuer = \"{OUTPUT}\"\ntenants = {{ claim = \"tid\", {allow} }}\n");
    let scene = Scene::start(&more, &marks).await;
    let signed = |(kid, signer): (&str, &Signer), tenant: &str| {
        signer.token(&json!({"alg": "ES384", "kid": kid}), &scene.claims(tenant))
    };
    for (key, of_mine, of_theirs) in [
        (("e1", &scene.upstream.signer), true, true),
        (("every", &every), true, true),
        (("mine", &mine), true, false),
        (("theirs", &theirs), false, true),
        (("odd", &odd), false, false),
    ] {
        for (tenant, good) in [(MINE, of_mine), (THEIRS, of_theirs)] {
            let said = scene.exchange(&signed(key, tenant)).await;
            match good {
                true => assert_eq!(said.unwrap()["tid"], tenant, "{}", key.0),
                false => assert_eq!(said, Err("key_issuer".to_owned()), "{} {tenant}", key.0),
            }
        }
    }
}

#[test]
fn whose_key_it_is_outlives_a_restart_and_is_not_published() {
    let key = Signer::es384();
    let mark = |value: Value| with(key.jwk("k"), "issuer", value);
    let read = |keys: Value| {
        let document = json!({ "keys": keys }).to_string();
        normalize(document.as_bytes(), &Options::default()).unwrap().keys
    };
    for (keys, marks) in [
        (json!([key.jwk("k")]), vec![]),
        (json!([mark(Value::Null)]), vec![]),
        (json!([mark(json!("https://a/{t}"))]), vec!["https://a/{t}"]),
        // The same key listed twice is one key for both issuers.
        (
            json!([mark(json!("https://a")), mark(json!("https://b"))]),
            vec!["https://a", "https://b"],
        ),
        (json!([mark(json!("https://a")), key.jwk("k")]), vec!["https://a"]),
        (json!([key.jwk("k"), mark(json!("https://a"))]), vec!["https://a"]),
        // A value that is not an issuer matches none.
        (json!([mark(json!(7))]), vec!["a number"]),
        (json!([mark(json!(""))]), vec![""]),
    ] {
        let set = read(keys.clone());
        let stated = |set: &countersign::jose::jwks::KeySet| -> Vec<String> {
            set.keys()[0].issuers().iter().map(ToString::to_string).collect()
        };
        assert_eq!(stated(&set), marks, "{keys}");
        let kept = normalize(set.to_document().as_bytes(), &Options::default()).unwrap().keys;
        assert_eq!(stated(&kept), marks, "{keys}");
        assert!(kept.same_keys(&set));
        let one = &set.keys()[0];
        let out = one.to_json(one.kid().unwrap(), one.alg());
        assert!(!out.contains("issuer"), "{out}");
    }
    // A change of the `issuer` member makes a different set: results made under the old one are
    // invalid.
    let (a, b) = (read(json!([mark(json!("https://a"))])), read(json!([mark(json!("https://b"))])));
    assert!(!a.same_keys(&b));
}

#[test]
fn a_template_is_not_learnt() {
    provider();
    let folder = tempfile::tempdir().unwrap();
    let config = proxy::config("https://login.example", "", folder.path());
    let document = json!({
        "issuer": "https://login.example/{tenantid}/v2.0",
        "jwks_uri": "https://login.example/common/keys",
    });
    let found = discovery::read(document.to_string().as_bytes()).unwrap();
    let upstream = config.upstream.clone().unwrap();
    let fault = issuer_from_discovery(Some(&found), &upstream, &config, false).unwrap_err();
    assert!(matches!(fault, DiscoveredFault::Template(_)));
    assert_eq!(fault.code(), "discovery_issuer_template");
    let text = fault.to_string();
    assert!(text.contains("{tenantid}") && text.contains("[[issuer]]"), "{text}");
}
