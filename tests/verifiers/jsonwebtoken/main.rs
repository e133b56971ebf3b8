//! The jsonwebtoken crate, as its example for a key set has it. It fetches nothing: the program does, for
//! each token.

#[path = "../lib/answer.rs"]
mod answer;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};

fn main() {
    answer::answer("jsonwebtoken", |question| {
        let set: JwkSet = serde_json::from_str(&answer::fetched(&question.jwks)?)?;
        let header = decode_header(&question.token)?;
        let kid = header.kid.ok_or("the token has no kid")?;
        let key = DecodingKey::from_jwk(set.find(&kid).ok_or("no key of this kid")?)?;
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[&question.audience]);
        validation.set_issuer(&[&question.issuer]);
        decode::<serde_json::Value>(&question.token, &key, &validation)?;
        Ok(())
    });
}
