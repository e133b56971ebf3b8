//! An issuer signs with ES384, which the verifier refuses. Its token is verified with the issuer's own
//! key and signed again with RS256; what no rule touches stays byte for byte.
//!
//! ```sh
//! cargo run -p countersign-core --example countersign
//! ```
#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use std::collections::HashMap;
use std::error::Error;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use countersign_core::jose::alg::Alg;
use countersign_core::jose::base64url::encode;
use countersign_core::jose::jwks::{self, Options};
use countersign_core::jose::jws::CompactJws;
use countersign_core::jose::names::{Issuer, IssuerName, Limits, UnixTime};
use countersign_core::jose::policy::IssuerPolicy;
use countersign_core::jose::publish::{Input, publish};
use countersign_core::jose::sign::SigningKey;
use countersign_core::pipeline::{Ask, Context, Verdict, countersign};
use countersign_core::profile::Profile;

/// The core has no clock: time is an argument.
const NOW: i64 = 1_800_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let (document, token) = issuer()?;

    // What the issuer publishes, read whatever its shape.
    let keys = jwks::normalize(document.as_bytes(), &Options::default())?.keys;
    // What the operator trusts it for.
    let name = IssuerName::parse("main")?;
    let policy = IssuerPolicy::new(name, vec![Issuer::parse("https://auth.example")?]);
    // Our key, and the set the verifier reads: ours first, and the issuer's behind it.
    let signer = SigningKey::generate(Alg::Rs256)?;
    let (own, profile, limits) = ([signer.public().clone()], Profile::convex(), Limits::default());
    let remembered = HashMap::new();
    let input = Input { own: &own, upstream: &[&keys], profile: &profile, remembered: &remembered };
    let set = publish(&input);
    println!("served set: {}", set.body);

    let context = Context {
        policy: &policy,
        keys: &keys,
        published: &set.kids,
        signer: &signer,
        profile: &profile,
        limits: &limits,
        now: UnixTime::from_secs(NOW),
    };
    let jws = CompactJws::parse(token.as_str(), &limits, false)?;
    match countersign(&jws, &context, &Ask::default())? {
        Verdict::AsItStands { .. } => println!("the verifier takes it as it stands"),
        Verdict::Countersigned(new) => println!("new token: {}\n{:?}", new.jwt, new.notes),
    }
    Ok(())
}

/// A key set and a token of an issuer that is not ours.
fn issuer() -> Result<(String, String), Box<dyn Error>> {
    let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING)?;
    // An uncompressed point: a four, then both coordinates.
    let (x, y) = key.public_key().as_ref()[1..].split_at(48);
    let (x, y) = (encode(x), encode(y));
    // A bare array, as some hand-made servers send it.
    let document = format!(r#"[{{"kty":"EC","crv":"P-384","x":"{x}","y":"{y}","kid":"1"}}]"#);

    let header = encode(r#"{"alg":"ES384","kid":"1"}"#);
    let exp = NOW + 600;
    let claims = format!(
        r#"{{"iss":"https://auth.example","sub":"ada","aud":"app","iat":{NOW},"exp":{exp}}}"#
    );
    let input = format!("{header}.{}", encode(claims));
    let signature = key.sign(&SystemRandom::new(), input.as_bytes())?;
    Ok((document, format!("{input}.{}", encode(signature))))
}
