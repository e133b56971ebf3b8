//! A strict verifier of no particular vendor. A key set or a token that breaks an RFC is a fault. What the
//! RFCs allow, but some of the libraries we measured reject, is a doubt.

use super::finding::{BY_THE_RFCS, Case, Finding, Level};
use super::{Answer, Cause, fix};
use crate::jose::alg::Alg;
use crate::jose::tree::Json;
use crate::profile::{Judge, Profile};
use crate::verifier::explain::{self, key};

/// Checks the key set. `token` says why the token is refused, if there is one; empty if it is accepted.
pub(super) fn findings(case: &Case, token: Option<Vec<Cause>>) -> Vec<Finding> {
    let Found { mut faults, doubts } = match &case.jwks {
        Err(no_answer) => {
            Found::fault(Cause::new(no_answer.code, "address", no_answer.why.clone()))
        }
        Ok(answer) => key_set(answer, &case.question.profile),
    };
    if let (true, Ok(read)) = (faults.is_empty(), &case.ours.read) {
        let usable = |alg: Alg| read.keys.keys().iter().any(|key| key.permits(alg));
        if !case.question.profile.accepts.iter().any(usable) {
            let names: Vec<_> = case.question.profile.accepts.iter().map(Alg::name).collect();
            let text = format!("the set has no key for {}", names.join(" or "));
            faults.push(Cause::new("no_usable_key", "$.keys", text));
        }
    }
    let finding = |title: &str, causes: Vec<Cause>| {
        let level = if causes.is_empty() { Level::Good } else { Level::Fault };
        fix::finding(BY_THE_RFCS, level, title, causes, case)
    };
    let mut findings = vec![finding(&format!("key set {}", case.jwks_url), faults)];
    findings.extend(token.map(|causes| finding("token", causes)));
    if !doubts.is_empty() {
        let title = "not every library takes this set";
        findings.push(fix::finding(BY_THE_RFCS, Level::Warning, title, doubts, case));
    }
    findings
}

/// What is wrong with a key set.
#[derive(Default)]
struct Found {
    /// What the RFCs forbid.
    faults: Vec<Cause>,
    /// What only some libraries reject.
    doubts: Vec<Cause>,
}

fn key_set(answer: &Answer, profile: &Profile) -> Found {
    let mut found = Found::default();
    if answer.status != 200 {
        return Found::fault(Cause::new("status", "$", format!("it answers {}", answer.status)));
    }
    let media = answer.content_type.as_deref().unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !["application/json", "application/jwk-set+json"].contains(&media.as_str()) {
        let text = match media.as_str() {
            "" => "it is missing".to_owned(),
            other => format!("it is {other}; RFC 7517 §8.5.1 has application/jwk-set+json"),
        };
        found.doubts.push(Cause::new("content_type", "Content-Type", text));
    }
    let entries = match explain::entries(&answer.body) {
        Ok(entries) => entries,
        Err(cause) => return Found { faults: vec![cause], ..found },
    };
    let mut kids: Vec<&str> = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let place = format!("$.keys[{i}]");
        found.add_key(entry, &place, profile);
        if let Some(kid) = entry.get("kid").and_then(Json::text) {
            if kids.contains(&kid) {
                let text = "another key has it too: some take the first, some none";
                found.doubts.push(Cause::new("kid_twice", &format!("{place}.kid"), text));
            }
            kids.push(kid);
        }
    }
    found
}

impl Found {
    fn fault(cause: Cause) -> Self {
        Self { faults: vec![cause], doubts: Vec::new() }
    }

    /// RFC 7517 §4, RFC 7518 §6, RFC 8037 §2.
    fn add_key(&mut self, key: &Json, place: &str, profile: &Profile) {
        self.faults.extend(key::shape(key, place));
        if !key.is_object() {
            return;
        }
        let cause =
            |code, name: &str, text: &str| Cause::new(code, &format!("{place}.{name}"), text);
        let mut fault = |code, name: &str, text: &str| self.faults.push(cause(code, name, text));
        let mut doubt = |code, name: &str, text: &str| self.doubts.push(cause(code, name, text));
        let text = |name: &str| key.get(name).and_then(Json::text);
        match text("kid") {
            Some("") => doubt("kid_missing", "kid", "it is empty"),
            None if key.present("kid").is_none() => {
                doubt("kid_missing", "kid", "it is missing: some verifiers never try such a key");
            }
            _ => {}
        }
        match text("alg") {
            None if key.present("alg").is_none() => {
                doubt("alg_missing", "alg", "it is missing: some verifiers require it");
            }
            Some(name) if text("use") != Some("enc") => {
                let known = Alg::from_name(name).is_some_and(|a| profile.tolerates.contains(a));
                if !known && profile.judge == Judge::WholeSet {
                    let text = format!("it does not know `{name}` and refuses the whole set");
                    fault("alg_unknown", "alg", &text);
                } else if !known {
                    let text =
                        format!("some libraries do not know `{name}` and refuse the whole set");
                    doubt("alg_unknown", "alg", &text);
                }
            }
            _ => {}
        }
        if let Some(other) = text("use").filter(|name| !["sig", "enc"].contains(name)) {
            doubt("use", "use", &format!("`{other}` is not `sig`"));
        }
        let ops = key.get("key_ops").and_then(Json::texts);
        if ops.is_some_and(|ops| !ops.contains(&"verify")) {
            doubt("key_ops", "key_ops", "`verify` is not in it");
        }
        let number = |name: &str| key.get(name).and_then(|value| key::number(value).ok());
        match text("kty") {
            Some("RSA") => {
                for name in ["n", "e"] {
                    let Some(bytes) = number(name) else { continue };
                    if bytes.first() == Some(&0) {
                        doubt("leading_zero", name, "it has a leading zero byte (RFC 7518 §2)");
                    }
                    let bits = bytes.iter().skip_while(|b| **b == 0).count() * 8;
                    if name == "n" && bits < 2048 {
                        let text = format!("{bits} bits; 2048 are the least (RFC 7518 §3.3)");
                        fault("rsa_small", name, &text);
                    }
                }
            }
            Some("EC") => {
                let length = match text("crv") {
                    Some("P-256" | "secp256k1") => 32,
                    Some("P-384") => 48,
                    Some("P-521") => 66,
                    Some(other) => {
                        doubt(
                            "crv_unknown",
                            "crv",
                            &format!("some libraries do not know `{other}`"),
                        );
                        return;
                    }
                    None => return,
                };
                for name in ["x", "y"] {
                    let bytes = number(name).map_or(length, |bytes| bytes.len());
                    if bytes != length {
                        let text =
                            format!("{bytes} bytes; its curve has {length} (RFC 7518 §6.2.1)");
                        fault("coordinate_length", name, &text);
                    }
                }
            }
            Some("OKP") => {
                doubt("kty_okp", "kty", "not every library knows OKP; some refuse the whole set");
            }
            Some("oct") => fault("kty_secret", "kty", "a secret has no place in a public set"),
            Some(other) => {
                let text = format!("some libraries do not know `{other}` and refuse the whole set");
                doubt("kty_unknown", "kty", &text);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn look(set: &str) -> (Vec<&'static str>, Vec<&'static str>) {
        let answer = Answer {
            status: 200,
            content_type: Some("application/json; charset=utf-8".into()),
            body: set.as_bytes().to_vec(),
            ..Answer::default()
        };
        let Found { faults, doubts } = key_set(&answer, &Profile::standard());
        let codes = |causes: Vec<Cause>| causes.into_iter().map(|cause| cause.code).collect();
        (codes(faults), codes(doubts))
    }

    fn key(member: &str) -> String {
        let (x, y) = (URL_SAFE_NO_PAD.encode([7; 32]), URL_SAFE_NO_PAD.encode([9; 32]));
        let mut key = serde_json::json!({
            "kty": "EC", "crv": "P-256", "kid": "a", "alg": "ES256", "use": "sig", "x": x, "y": y,
        });
        let more: serde_json::Value = serde_json::from_str(member).unwrap();
        for (name, value) in more.as_object().unwrap() {
            match value.is_null() {
                true => drop(key.as_object_mut().unwrap().remove(name)),
                false => key[name] = value.clone(),
            }
        }
        format!("{{\"keys\":[{key}]}}")
    }

    #[test]
    fn a_plain_set_has_neither_fault_nor_doubt() {
        assert_eq!(look(&key("{}")), (vec![], vec![]));
        assert_eq!(look(&key("{\"key_ops\":[\"verify\"],\"x5t\":\"a\"}")), (vec![], vec![]));
    }

    #[test]
    fn faults_are_what_the_rfcs_forbid() {
        let rsa = |bytes: usize| {
            let n = URL_SAFE_NO_PAD.encode(vec![0xC3; bytes]);
            key(&format!("{{\"kty\":\"RSA\",\"alg\":\"RS256\",\"n\":\"{n}\",\"e\":\"AQAB\"}}"))
        };
        assert_eq!(look(&rsa(256)), (vec![], vec![]));
        for (set, code) in [
            (rsa(128), "rsa_small"),
            ("[]".into(), "not_object"),
            ("{}".into(), "no_keys"),
            ("{\"keys\":[1]}".into(), "entry"),
            ("<html>".into(), "html"),
            (key("{\"kty\":null}"), "kty_missing"),
            (key("{\"kid\":7}"), "kid_type"),
            (key("{\"x\":null}"), "member_missing"),
            (key("{\"x\":\"AA==\"}"), "b64"),
            (key("{\"x\":\"AAAA\"}"), "coordinate_length"),
            (key("{\"kty\":\"oct\",\"k\":\"AAAA\"}"), "kty_secret"),
            (key("{\"key_ops\":\"verify\"}"), "member_type"),
            ("{\"keys\":[{\"kty\":\"x\",\"kty\":\"x\"}]}".into(), "duplicate_member"),
        ] {
            let (faults, _) = look(&set);
            assert_eq!(faults.first(), Some(&code), "{set}");
        }
    }

    #[test]
    fn doubts_are_what_libraries_stumble_over() {
        for (set, code) in [
            (key("{\"kid\":null}"), "kid_missing"),
            (key("{\"alg\":null}"), "alg_missing"),
            (key("{\"alg\":\"ES256K\"}"), "alg_unknown"),
            (key("{\"use\":\"signature\"}"), "use"),
            (key("{\"key_ops\":[\"sign\"]}"), "key_ops"),
            (key("{\"kty\":\"AKP\"}"), "kty_unknown"),
            (key("{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}"), "kty_okp"),
            (key("{}").replace("]}", &format!(",{}", &key("{}")[9..])), "kid_twice"),
        ] {
            assert_eq!(look(&set), (vec![], vec![code]), "{set}");
        }
    }
}
