//! Served sets of several sources: who keeps a `kid`, and who gives way.

use std::collections::HashMap;

use countersign::jose::alg::{Alg, AlgSet};
use countersign::jose::jwk::{Material, PublicJwk};
use countersign::jose::jwks::KeySet;
use countersign::jose::names::Kid;
use countersign::jose::publish::{Input, PublishedDocument, publish};
use countersign::jose::thumbprint::Thumbprint;
use countersign::profile::Profile;
use serde_json::{Value, json};

use crate::{keys, read, readers, serve};

fn jwk(name: &str, kid: &str) -> PublicJwk {
    let numbers = keys::numbers(name);
    let bytes = |member: &str| {
        countersign::jose::base64url::decode(numbers[member].as_str().unwrap()).unwrap().into()
    };
    let material = Material::Rsa { n: bytes("n"), e: bytes("e") };
    PublicJwk::new(material, Some(Kid::parse(kid).unwrap()), Some(Alg::Rs256)).unwrap()
}

fn set(entries: &[(&str, &str)]) -> KeySet {
    KeySet::new(entries.iter().map(|(name, kid)| jwk(name, kid)).collect())
}

struct Sources<'a> {
    own: &'a [PublicJwk],
    upstream: &'a [&'a KeySet],
    remembered: HashMap<Kid, Thumbprint>,
}

impl Sources<'_> {
    fn publish(&self) -> PublishedDocument {
        publish(&Input {
            own: self.own,
            upstream: self.upstream,
            profile: &Profile::convex(),
            remembered: &self.remembered,
        })
    }
}

/// The kids of a set and the keys behind them, in order.
fn served(document: &PublishedDocument) -> Vec<(String, String)> {
    let set: Value = serde_json::from_str(&document.body).unwrap();
    let name = |key: &Value| {
        let same = |name: &&&str| keys::numbers(name)["n"] == key["n"];
        (**["g", "o", "h"].iter().find(same).unwrap()).to_owned()
    };
    let keys = set["keys"].as_array().unwrap();
    keys.iter().map(|key| (key["kid"].as_str().unwrap().to_owned(), name(key))).collect()
}

fn is(document: &PublishedDocument, want: &[(&str, &str)]) {
    let want: Vec<_> = want.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(served(document), want);
    readers::all_parse(&document.body, true);
}

#[test]
fn our_own_keys_stand_first_and_keep_their_kids() {
    let own = [jwk("o", "x")];
    let upstream = set(&[("g", "g"), ("h", "x")]);
    let sources = Sources { own: &own, upstream: &[&upstream], remembered: HashMap::new() };
    let document = sources.publish();
    let h = jwk("h", "x");
    let thumb = h.thumbprint().as_str();
    // Only the issuer's key would be replaced, were kids compared within the issuer's set alone:
    // its holder could make verifiers read our tokens with its key.
    let kids: Vec<_> = served(&document).into_iter().map(|(kid, _)| kid).collect();
    assert_eq!(kids, ["x", "g", thumb]);
    assert!(document.kids.serves("x", own[0].thumbprint()));
    assert!(!document.kids.serves("x", h.thumbprint()));
    assert_eq!(document.kids.kid_of(h.thumbprint()).map(Kid::as_str), Some(thumb));
}

#[test]
fn two_issuers_with_one_kid_both_give_way() {
    let (a, b) = (set(&[("g", "1")]), set(&[("o", "1"), ("h", "2")]));
    let sources = Sources { own: &[], upstream: &[&a, &b], remembered: HashMap::new() };
    let (g, o) = (jwk("g", "1"), jwk("o", "1"));
    let document = sources.publish();
    is(&document, &[(g.thumbprint().as_str(), "g"), (o.thumbprint().as_str(), "o"), ("2", "h")]);
    assert!(!document.kids.serves("1", g.thumbprint()));
}

#[test]
fn a_kid_that_named_another_key_gives_way() {
    let upstream = set(&[("g", "1"), ("o", "2")]);
    let remembered = HashMap::from([
        (Kid::parse("1").unwrap(), jwk("h", "1").thumbprint().clone()),
        (Kid::parse("2").unwrap(), jwk("o", "2").thumbprint().clone()),
    ]);
    let g = jwk("g", "1");
    let document = Sources { own: &[], upstream: &[&upstream], remembered }.publish();
    is(&document, &[(g.thumbprint().as_str(), "g"), ("2", "o")]);
    assert_eq!(document.left_out[0].code, "kid_reused");
}

/// A key whose `kid` is the thumbprint of another would be found in its stead, once that one is
/// renamed to its thumbprint.
#[test]
fn a_kid_that_is_anothers_thumbprint_gives_way() {
    let o = jwk("o", "x");
    let upstream = set(&[("h", o.thumbprint().as_str()), ("o", "x"), ("g", "x")]);
    let sources = Sources { own: &[], upstream: &[&upstream], remembered: HashMap::new() };
    let (h, g) = (jwk("h", "x"), jwk("g", "x"));
    is(
        &sources.publish(),
        &[
            (h.thumbprint().as_str(), "h"),
            (o.thumbprint().as_str(), "o"),
            (g.thumbprint().as_str(), "g"),
        ],
    );
}

#[test]
fn the_issuer_may_already_publish_our_key() {
    let own = [jwk("o", "ours")];
    let upstream = set(&[("o", "ours"), ("g", "g")]);
    let sources = Sources { own: &own, upstream: &[&upstream], remembered: HashMap::new() };
    is(&sources.publish(), &[("ours", "o"), ("g", "g")]);
}

#[test]
fn the_alg_of_the_set_is_told_from_the_alg_of_the_token() {
    let mut g = keys::jwk("g", "g");
    g.as_object_mut().unwrap().remove("alg");
    let normalized = read(json!({"keys": [g]}).to_string().as_bytes()).unwrap();
    let document = serve(&normalized, &Profile::standard());
    let key = normalized.keys.keys()[0].thumbprint();
    assert!(document.kids.serves("g", key));
    assert!(document.kids.serves_for("g", key, Alg::Rs256));
    // The key verifies PS256 too, but a verifier that honours `alg` would not take the token.
    assert!(!document.kids.serves_for("g", key, Alg::Ps256));
    assert_eq!(normalized.keys.candidates(Some("g"), Alg::Ps256).count(), 1);
}

#[test]
fn what_the_profile_leaves_out_still_verifies() {
    let document = json!({"keys": [keys::jwk("k256", "k"), keys::jwk("p384", "e")]});
    let normalized = read(document.to_string().as_bytes()).unwrap();
    let mut picky = Profile::convex();
    picky.tolerates = AlgSet::of(&[Alg::Rs256]);
    picky.tolerates_bare = AlgSet::EMPTY;
    let left = serve(&normalized, &picky);
    assert_eq!(left.body, r#"{"keys":[]}"#);
    let codes: Vec<_> = left.left_out.iter().map(|c| (c.path.as_str(), c.code)).collect();
    assert_eq!(codes, [("$.keys[0]", "alg_profile"), ("$.keys[1]", "alg_profile")]);
    assert_eq!(normalized.keys.candidates(Some("k"), Alg::Es256k).count(), 1);
    assert_eq!(normalized.keys.candidates(Some("e"), Alg::Es384).count(), 1);
}

#[test]
fn tokens_find_keys_by_the_issuers_spelling() {
    let mut odd = Vec::new();
    for (name, kid) in [("g", json!(7)), ("o", json!("")), ("h", json!("a\nb"))] {
        let mut jwk = keys::jwk(name, "x");
        jwk["kid"] = kid;
        odd.push(jwk);
    }
    let set = json!({"keys": odd}).to_string();
    let keys = read(set.as_bytes()).unwrap().keys;
    for kid in ["7", "", "a\nb"] {
        assert_eq!(keys.candidates(Some(kid), Alg::Rs256).count(), 1, "{kid:?}");
    }
    // Every key has a name here, so an unknown one finds none.
    assert_eq!(keys.candidates(Some("other"), Alg::Rs256).count(), 0);
    assert_eq!(keys.candidates(None, Alg::Rs256).count(), 3);

    let mut nameless = keys::jwk("g", "x");
    nameless.as_object_mut().unwrap().remove("kid");
    let set = json!({"keys": [nameless, keys::jwk("o", "o")]}).to_string();
    let keys = read(set.as_bytes()).unwrap().keys;
    assert!(!keys.has_kid("other"));
    assert_eq!(keys.candidates(Some("other"), Alg::Rs256).count(), 1);
    assert_eq!(keys.candidates(Some("o"), Alg::Rs256).count(), 1);

    // Two keys under one kid: both are tried.
    let set = json!({"keys": [keys::jwk("g", "x"), keys::jwk("o", "x")]}).to_string();
    assert_eq!(read(set.as_bytes()).unwrap().keys.candidates(Some("x"), Alg::Rs256).count(), 2);
}

#[test]
fn an_rsa_key_without_alg_is_published_as_configured() {
    let mut g = keys::jwk("g", "g");
    g.as_object_mut().unwrap().remove("alg");
    let document = json!({"keys": [g]}).to_string();
    let options = countersign::jose::jwks::Options { rsa_alg: Alg::Ps256, ..crate::options() };
    let normalized = countersign::jose::jwks::normalize(document.as_bytes(), &options).unwrap();
    let standard = serve(&normalized, &Profile::standard());
    assert!(standard.body.contains(r#""alg":"PS256""#), "{}", standard.body);
    assert_eq!(serve(&normalized, &Profile::convex()).body, standard.body);
}

/// Other clients of the realm, logout tokens, and whatever passes unchanged are verified with this
/// set too.
#[test]
fn every_key_that_does_no_harm_is_published() {
    let rsa = |name: &str, alg: &str| {
        let mut jwk = keys::jwk(name, alg);
        jwk["alg"] = json!(alg);
        jwk
    };
    let document = json!({"keys": [
        rsa("g", "PS512"), rsa("o", "RS384"), rsa("h", "RS256"), keys::jwk("p256", "p256"),
        keys::jwk("p384", "p384"), keys::jwk("p521", "p521"), keys::jwk("ed", "ed"),
        keys::jwk("k256", "k256"),
        {"kty": "OKP", "crv": "X25519", "x": "eHh4", "kid": "x", "use": "enc"},
        {"kty": "AKP", "alg": "ML-DSA-65", "pub": "eHh4", "kid": "pq"},
    ]});
    let normalized = read(document.to_string().as_bytes()).unwrap();
    let convex = serve(&normalized, &Profile::convex());
    readers::all_parse(&convex.body, true);
    let set: Value = serde_json::from_str(&convex.body).unwrap();
    let published: Vec<_> = set["keys"].as_array().unwrap().iter().collect();
    let kids: Vec<_> = published.iter().map(|key| key["kid"].as_str().unwrap()).collect();
    assert_eq!(kids, ["PS512", "RS384", "RS256", "p256", "p384", "p521", "ed"]);
    let bare: Vec<_> = published.iter().filter(|key| key.get("alg").is_none()).collect();
    assert_eq!(bare.len(), 1);
    assert_eq!(bare[0]["crv"], "Ed25519");
    let lines: Vec<_> = convex.left_out.iter().map(|c| (c.path.as_str(), c.code)).collect();
    assert_eq!(lines, [("$.keys[6].alg", "alg_left_out"), ("$.keys[7]", "alg_profile")]);
    let ed = normalized.keys.candidates(Some("ed"), Alg::EdDsa).next().unwrap();
    assert!(convex.kids.serves_for("ed", ed.thumbprint(), Alg::EdDsa));
}

#[test]
fn one_key_of_several_algs_never_loses_rs256_and_says_what_goes() {
    for order in
        [["RS512", "RS384", "RS256"], ["RS256", "PS256", "RS512"], ["PS384", "RS256", "RS384"]]
    {
        let entries = order.map(|alg| {
            let mut jwk = keys::jwk("g", "k");
            jwk["alg"] = json!(alg);
            jwk
        });
        let normalized = read(json!({"keys": entries}).to_string().as_bytes()).unwrap();
        for profile in crate::profiles() {
            let set = serve(&normalized, &profile);
            assert!(set.body.contains(r#""alg":"RS256""#), "{order:?} {}", set.body);
            let gone: Vec<_> = set.left_out.iter().filter(|c| c.code == "alg_repeated").collect();
            assert_eq!(gone.len(), 2, "{order:?} {}", profile.name);
            // Each still verifies.
            for alg in order {
                let alg = Alg::from_name(alg).unwrap();
                assert_eq!(normalized.keys.candidates(Some("k"), alg).count(), 1);
            }
        }
    }
    // The same entry in two sets is one entry, and no line.
    let (a, b) = (set(&[("g", "1")]), set(&[("g", "1")]));
    let both = Sources { own: &[], upstream: &[&a, &b], remembered: HashMap::new() }.publish();
    is(&both, &[("1", "g")]);
    assert_eq!(both.left_out, []);
}
