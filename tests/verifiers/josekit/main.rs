//! The josekit crate with a verifier for RS256. It fetches nothing: the program does, for each token.

#[path = "../lib/answer.rs"]
mod answer;

use std::time::SystemTime;

use josekit::jwk::JwkSet;
use josekit::jws::RS256;
use josekit::jwt::{self, JwtPayloadValidator};

fn main() {
    answer::answer("josekit", |question| {
        let set = JwkSet::from_bytes(answer::fetched(&question.jwks)?)?;
        let header = jwt::decode_header(&question.token)?;
        let kid = header.claim("kid").and_then(|kid| kid.as_str()).ok_or("the token has no kid")?;
        let key = *set.get(kid).first().ok_or("no key of this kid")?;
        let verifier = RS256.verifier_from_jwk(key)?;
        let (payload, _) = jwt::decode_with_verifier(&question.token, &verifier)?;
        let mut validator = JwtPayloadValidator::new();
        validator.set_base_time(SystemTime::now());
        validator.set_issuer(question.issuer.as_str());
        validator.set_audience(question.audience.as_str());
        validator.validate(&payload)?;
        Ok(())
    });
}
