//! Project Wycheproof's vectors for every algorithm that we verify and that it covers, with the
//! keys from its JWKs. Files are used completely. Where our verdict differs from the project's, a
//! table gives the reason, and an entry that no longer applies fails the test too.

use std::collections::BTreeMap;

use countersign::jose::alg::{Alg, Curve};
use countersign::jose::jwk::{Material, PublicJwk, SignatureForm};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

/// Vectors on which our verdict differs from the project's: file, flag or `key`, number, reason.
const EXCEPTIONS: &[(&str, &str, usize, &str)] = &[];

#[derive(Default)]
struct Tally {
    vectors: usize,
    exceptions: BTreeMap<(String, String), usize>,
    faults: Vec<String>,
}

impl Tally {
    fn judge(&mut self, file: &str, id: usize, flags: &str, expected: TestResult, accepted: bool) {
        self.vectors += 1;
        // "Acceptable" vectors are those that some verifiers accept for compatibility. A strict
        // verifier does not.
        if accepted == (expected == TestResult::Valid) {
            return;
        }
        let excepted = EXCEPTIONS.iter().find(|(f, flag, ..)| *f == file && flags.contains(flag));
        match excepted {
            Some((f, flag, ..)) => {
                *self.exceptions.entry(((*f).into(), (*flag).into())).or_default() += 1;
            }
            None => {
                self.faults
                    .push(format!("{file} {id} [{flags}]: {expected:?}, accepted: {accepted}"));
            }
        }
    }

    /// Checks that all vectors met expectations, and that every exception for these files still
    /// applies.
    fn finish(self, files: &[&str], at_least: usize) {
        assert!(self.faults.is_empty(), "{}", self.faults.join("\n"));
        assert!(self.vectors >= at_least, "only {} vectors", self.vectors);
        for (file, flag, count, _) in EXCEPTIONS.iter().filter(|(file, ..)| files.contains(file)) {
            let seen = self.exceptions.get(&((*file).into(), (*flag).into())).copied();
            assert_eq!(seen.unwrap_or(0), *count, "stale exception: {file} {flag}");
        }
    }
}

fn verifies(key: &PublicJwk, alg: Alg, msg: &[u8], sig: &[u8]) -> bool {
    key.verifies(alg, SignatureForm::Jose, msg, sig)
}

#[test]
fn ecdsa_p1363() {
    use ecdsa::TestName::{
        EcdsaSecp256k1Sha256P1363, EcdsaSecp256r1Sha256P1363, EcdsaSecp384r1Sha384P1363,
        EcdsaSecp521r1Sha512P1363,
    };
    let files = [
        ("ES256", EcdsaSecp256r1Sha256P1363, Alg::Es256, Curve::P256),
        ("ES384", EcdsaSecp384r1Sha384P1363, Alg::Es384, Curve::P384),
        ("ES512", EcdsaSecp521r1Sha512P1363, Alg::Es512, Curve::P521),
        ("ES256K", EcdsaSecp256k1Sha256P1363, Alg::Es256k, Curve::Secp256k1),
    ];
    let mut tally = Tally::default();
    let mut jwks = 0;
    for (file, name, alg, curve) in files {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let key = match &group.jwk {
                Some(jwk) => {
                    jwks += 1;
                    let (x, y) = (&jwk.affine_x[..], &jwk.affine_y[..]);
                    ec(curve, x.into(), y.into())
                }
                None => {
                    let (x, y) = group.key.key[1..].split_at(curve.coordinate_len());
                    ec(curve, x.into(), y.into())
                }
            };
            for test in group.tests {
                let flags = format!("{:?}", test.flags);
                let accepted = verifies(&key, alg, &test.msg, &test.sig);
                tally.judge(file, test.tc_id, &flags, test.result, accepted);
            }
        }
    }
    assert!(jwks > 50, "only {jwks} keys came as JWK");
    tally.finish(&["ES256", "ES384", "ES512", "ES256K"], 800);
}

fn ec(curve: Curve, x: Box<[u8]>, y: Box<[u8]>) -> PublicJwk {
    PublicJwk::new(Material::Ec { curve, x, y }, None, None).unwrap()
}

#[test]
fn eddsa_ed25519() {
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let x = group.jwk.x.to_vec().into();
        let key = PublicJwk::new(Material::Okp { curve: Curve::Ed25519, x }, None, None).unwrap();
        for test in group.tests {
            let flags = format!("{:?}", test.flags);
            let accepted = verifies(&key, Alg::EdDsa, &test.msg, &test.sig);
            tally.judge("EdDSA", test.tc_id, &flags, test.result, accepted);
        }
    }
    tally.finish(&["EdDSA"], 140);
}

#[test]
fn rsa_pkcs1() {
    use rsa_pkcs1_verify::TestName as Name;
    let files = [
        (
            "RS256",
            Alg::Rs256,
            &[Name::Rsa2048Sha256, Name::Rsa3072Sha256, Name::Rsa4096Sha256, Name::Rsa8192Sha256][..],
        ),
        (
            "RS384",
            Alg::Rs384,
            &[Name::Rsa2048Sha384, Name::Rsa3072Sha384, Name::Rsa4096Sha384, Name::Rsa8192Sha384],
        ),
        (
            "RS512",
            Alg::Rs512,
            &[Name::Rsa2048Sha512, Name::Rsa3072Sha512, Name::Rsa4096Sha512, Name::Rsa8192Sha512],
        ),
    ];
    let mut tally = Tally::default();
    for (file, alg, names) in files {
        for name in names {
            for group in rsa_pkcs1_verify::TestSet::load(*name).unwrap().test_groups {
                let (n, e) = match &group.jwk {
                    Some(jwk) => (&jwk.n, &jwk.e),
                    None => (&group.key.n, &group.key.e),
                };
                let key = rsa(n, e);
                for test in group.tests {
                    let flags = format!("{:?}", test.flags);
                    let accepted =
                        key.as_ref().is_some_and(|key| verifies(key, alg, &test.msg, &test.sig));
                    tally.judge(file, test.tc_id, &flags, test.result, accepted);
                }
            }
        }
    }
    tally.finish(&["RS256", "RS384", "RS512"], 2500);
}

#[test]
fn rsa_pss() {
    use rsa_pss_verify::TestName as Name;
    let files = [
        ("PS256", Alg::Ps256, Name::RsaPss2048Sha256Mgf1SaltLen32),
        ("PS256", Alg::Ps256, Name::RsaPss3072Sha256Mgf1SaltLen32),
        ("PS256", Alg::Ps256, Name::RsaPss4096Sha256Mgf1SaltLen32),
        ("PS384", Alg::Ps384, Name::RsaPss2048Sha384Mgf1SaltLen48),
        ("PS384", Alg::Ps384, Name::RsaPss4096Sha384Mgf1SaltLen48),
        ("PS512", Alg::Ps512, Name::RsaPss4096Sha512Mgf1SaltLen64),
    ];
    let mut tally = Tally::default();
    for (file, alg, name) in files {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let (n, e) = match &group.jwk {
                Some(jwk) => (&jwk.n, &jwk.e),
                None => (&group.key.n, &group.key.e),
            };
            let key = rsa(n, e);
            for test in group.tests {
                let flags = format!("{:?}", test.flags);
                let accepted =
                    key.as_ref().is_some_and(|key| verifies(key, alg, &test.msg, &test.sig));
                tally.judge(file, test.tc_id, &flags, test.result, accepted);
            }
        }
    }
    // A salt whose length differs from the hash's is not PS512 (RFC 7518 §3.5).
    let other = rsa_pss_verify::TestSet::load(Name::RsaPss4096Sha512Mgf1SaltLen32).unwrap();
    for group in other.test_groups {
        let key = rsa(&group.key.n, &group.key.e).unwrap();
        for test in group.tests {
            assert!(!verifies(&key, Alg::Ps512, &test.msg, &test.sig), "{}", test.tc_id);
        }
    }
    tally.finish(&["PS256", "PS384", "PS512"], 500);
}

/// The key; `None` if we refuse it.
fn rsa(n: &[u8], e: &[u8]) -> Option<PublicJwk> {
    let minimal = |int: &[u8]| {
        let zeros = int.iter().take_while(|byte| **byte == 0).count();
        Box::from(&int[zeros..])
    };
    PublicJwk::new(Material::Rsa { n: minimal(n), e: minimal(e) }, None, None).ok()
}
