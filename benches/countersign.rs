//! Verify and sign again, compared in one run with the bare operations of aws-lc: the difference is the cost
//! of parsing, checking and editing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "a benchmark stops at the first surprise"
)]

#[path = "../tests/support/tokens.rs"]
mod tokens;

use std::hint::black_box;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use countersign::jose::alg::{Alg, AlgSet};
use countersign::jose::jwk::SignatureForm;
use countersign::jose::jws::CompactJws;
use countersign::pipeline::{Ask, restore};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use tokens::*;

fn bare(c: &mut Criterion) {
    let mut group = c.benchmark_group("aws-lc");
    let message = vec![b'x'; 800];
    let rng = SystemRandom::new();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let mut sig = vec![0; rsa.public_modulus_len()];
    group.bench_function("sign RS256", |b| {
        b.iter(|| rsa.sign(&RSA_PKCS1_SHA256, &rng, black_box(&message), &mut sig).unwrap());
    });
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    group.bench_function("sign ES256", |b| {
        b.iter(|| ec.sign(&rng, black_box(&message)).unwrap());
    });
    for alg in [Alg::Rs256, Alg::Es256, Alg::Es384, Alg::EdDsa] {
        let key = TestKey::new(alg, "k1");
        let set = key.key_set();
        let sig = key.sign(&message);
        let jwk = &set.keys()[0];
        group.bench_function(format!("verify {alg}"), |b| {
            b.iter(|| assert!(jwk.verifies(alg, SignatureForm::Jose, black_box(&message), &sig)));
        });
    }
    group.finish();
}

fn ours(c: &mut Criterion) {
    let mut group = c.benchmark_group("countersign");
    let ask = Ask::default();
    for (input, output) in [
        (Alg::Es384, Alg::Rs256),
        (Alg::Es384, Alg::Es256),
        (Alg::EdDsa, Alg::Rs256),
        (Alg::Rs256, Alg::Es256),
    ] {
        let key = TestKey::new(input, "k1");
        let mut scene = Scene::signing(&[&key], output);
        scene.profile.accepts = AlgSet::EMPTY;
        let token = key.token(&claims());
        group.bench_function(format!("{input} to {output}"), |b| {
            b.iter(|| scene.judge(black_box(&token), &ask).unwrap());
        });
        let edited = key.token(&with(without(claims(), "iat"), "aud", json!(["app", "b"])));
        group.bench_function(format!("{input} to {output}, claims edited"), |b| {
            b.iter(|| scene.judge(black_box(&edited), &ask).unwrap());
        });
    }
    let key = TestKey::new(Alg::Es384, "k1");
    let scene = Scene::signing(&[&key], Alg::Rs256);
    let token = key.token(&claims());
    group.bench_function("parse alone", |b| {
        b.iter(|| CompactJws::parse(black_box(&token), &scene.limits, false).unwrap());
    });
    let new = scene.new_token(&token);
    let own = scene.own();
    group.bench_function("restore", |b| {
        b.iter(|| restore(black_box(&new), &own, &scene.limits).unwrap());
    });
    group.finish();
}

criterion_group!(benches, bare, ours);
criterion_main!(benches);
