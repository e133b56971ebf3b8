//! A strict verifier of no particular vendor. A key set or a token that breaks an RFC is a fault. What the
//! RFCs allow, but some of the libraries we measured reject, is a doubt.

use super::finding::{BY_THE_RFCS as WAY, Case, Finding, Level, Verdict};
use super::{Answer, Cause, fix};
use crate::jose::alg::Alg;
use crate::jose::tree::Json;
use crate::profile::{Judge, Profile};
use crate::verifier::explain::{self, key};

/// Checks the key set, then the token.
pub(super) fn checked(
    case: &Case,
    token: Option<Result<(), Cause>>,
    findings: &mut Vec<Finding>,
) -> Verdict {
    let before = findings.len();
    let title = format!("key set {}", case.jwks_url);
    let mut doubts = Vec::new();
    let mut causes = match &case.jwks {
        Err(no_answer) => vec![Cause::new(no_answer.code, "address", no_answer.why.clone())],
        Ok(answer) => key_set(answer, &case.profile, &mut doubts),
    };
    if let (true, Ok(read)) = (causes.is_empty(), &case.ours.read) {
        let usable = |alg: Alg| read.keys.keys().iter().any(|key| key.permits(alg));
        if !case.profile.accepts.iter().any(usable) {
            let names: Vec<_> = case.profile.accepts.iter().map(Alg::name).collect();
            let text = format!("the set has no key for {}", names.join(" or "));
            causes.push(Cause::new("no_usable_key", "$.keys", text));
        }
    }
    findings.push(found(title, causes, case));
    if let Some(said) = token {
        findings.push(found("token".to_owned(), said.err().into_iter().collect(), case));
    }
    let verdict = Verdict::of(WAY, &findings[before..]);
    if !doubts.is_empty() {
        let title = "not every library takes this set";
        findings.push(fix::finding(WAY, Level::Warning, title, doubts, case));
    }
    verdict
}

fn found(title: String, causes: Vec<Cause>, case: &Case) -> Finding {
    let level = if causes.is_empty() { Level::Good } else { Level::Fault };
    fix::finding(WAY, level, title, causes, case)
}

/// The faults of a key set. What only some libraries reject goes into `doubts`.
fn key_set(answer: &Answer, profile: &Profile, doubts: &mut Vec<Cause>) -> Vec<Cause> {
    if answer.status != 200 {
        return vec![Cause::new("status", "$", format!("it answers {}", answer.status))];
    }
    let media = answer.content_type.as_deref().unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !["application/json", "application/jwk-set+json"].contains(&media.as_str()) {
        let text = match media.as_str() {
            "" => "it is missing".to_owned(),
            other => format!("it is {other}; RFC 7517 §8.5.1 has application/jwk-set+json"),
        };
        doubts.push(Cause::new("content_type", "Content-Type", text));
    }
    let entries = match explain::entries(&answer.body) {
        Ok(entries) => entries,
        Err(cause) => return vec![cause],
    };
    let mut look = KeyCheck { profile, faults: Vec::new(), doubts };
    let mut kids: Vec<&str> = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let place = format!("$.keys[{i}]");
        look.key(entry, &place);
        if let Some(kid) = entry.get("kid").and_then(Json::text) {
            if kids.contains(&kid) {
                let text = "another key has it too: some take the first, some none";
                look.doubts.push(Cause::new("kid_twice", &format!("{place}.kid"), text));
            }
            kids.push(kid);
        }
    }
    look.faults
}

struct KeyCheck<'a> {
    profile: &'a Profile,
    faults: Vec<Cause>,
    doubts: &'a mut Vec<Cause>,
}

impl KeyCheck<'_> {
    fn fault(&mut self, code: &'static str, place: &str, text: impl Into<String>) {
        self.faults.push(Cause::new(code, place, text));
    }

    fn doubt(&mut self, code: &'static str, place: &str, text: impl Into<String>) {
        self.doubts.push(Cause::new(code, place, text));
    }

    /// RFC 7517 §4, RFC 7518 §6, RFC 8037 §2.
    fn key(&mut self, key: &Json, place: &str) {
        self.faults.extend(key::shape(key, place));
        if !key.is_object() {
            return;
        }
        let at = |name: &str| format!("{place}.{name}");
        let text = |name: &str| key.get(name).and_then(Json::text);
        match text("kid") {
            Some("") => self.doubt("kid_missing", &at("kid"), "it is empty"),
            None if key.present("kid").is_none() => {
                let text = "there is none: some verifiers never try such a key";
                self.doubt("kid_missing", &at("kid"), text);
            }
            _ => {}
        }
        match text("alg") {
            None if key.present("alg").is_none() => {
                let text = "there is none: some verifiers want to be told";
                self.doubt("alg_missing", &at("alg"), text);
            }
            Some(name) if text("use") != Some("enc") => {
                let known =
                    Alg::from_name(name).is_some_and(|a| self.profile.tolerates.contains(a));
                if !known && self.profile.judge == Judge::WholeSet {
                    let text = format!("it does not know `{name}` and refuses the whole set");
                    self.fault("alg_unknown", &at("alg"), text);
                } else if !known {
                    let text =
                        format!("some libraries do not know `{name}` and refuse the whole set");
                    self.doubt("alg_unknown", &at("alg"), text);
                }
            }
            _ => {}
        }
        if let Some(other) = text("use").filter(|name| !["sig", "enc"].contains(name)) {
            self.doubt("use", &at("use"), format!("`{other}` is not `sig`"));
        }
        let ops = key.get("key_ops").and_then(Json::texts);
        if ops.is_some_and(|ops| !ops.contains(&"verify")) {
            self.doubt("key_ops", &at("key_ops"), "`verify` is not in it");
        }
        let curve = text("crv");
        let number = |name: &str| key.get(name).and_then(|value| key::number(value).ok());
        match text("kty") {
            Some("RSA") => {
                for name in ["n", "e"] {
                    let Some(bytes) = number(name) else { continue };
                    if bytes.first() == Some(&0) {
                        let text = "it has a leading zero byte (RFC 7518 §2)";
                        self.doubt("leading_zero", &at(name), text);
                    }
                    let bits = bytes.iter().skip_while(|b| **b == 0).count() * 8;
                    if name == "n" && bits < 2048 {
                        let text = format!("{bits} bits; 2048 are the least (RFC 7518 §3.3)");
                        self.fault("rsa_small", &at(name), text);
                    }
                }
            }
            Some("EC") => {
                let length = match curve {
                    Some("P-256" | "secp256k1") => Some(32),
                    Some("P-384") => Some(48),
                    Some("P-521") => Some(66),
                    Some(other) => {
                        let text = format!("some libraries do not know `{other}`");
                        self.doubt("crv_unknown", &at("crv"), text);
                        None
                    }
                    None => None,
                };
                for name in ["x", "y"] {
                    let Some(bytes) = number(name) else { continue };
                    if let Some(length) = length.filter(|length| bytes.len() != *length) {
                        let text = format!(
                            "{} bytes; its curve has {length} (RFC 7518 §6.2.1)",
                            bytes.len()
                        );
                        self.fault("coordinate_length", &at(name), text);
                    }
                }
            }
            Some("OKP") => {
                let text = "not every library knows OKP; some refuse the whole set";
                self.doubt("kty_okp", &at("kty"), text);
            }
            Some("oct") => {
                self.fault("kty_secret", &at("kty"), "a secret has no place in a public set");
            }
            Some(other) => {
                let text = format!("some libraries do not know `{other}` and refuse the whole set");
                self.doubt("kty_unknown", &at("kty"), text);
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
        let mut doubts = Vec::new();
        let faults = key_set(&answer, &Profile::standard(), &mut doubts);
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
