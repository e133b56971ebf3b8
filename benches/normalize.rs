//! How long a key set takes, on one core. The bound is 1 ms for 100 keys.
//!
//! `cargo bench --bench normalize`

#![allow(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use std::collections::HashMap;
use std::hint::black_box;

use countersign::jose::jwks::{Options, normalize};
use countersign::jose::publish::{Input, publish};
use countersign::profile::Profile;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};

/// `count` different RSA keys of 2048 bits. Any odd number will do: no code here checks that a modulus has
/// two large factors.
fn set(count: usize, fault: impl Fn(&mut Value)) -> String {
    let keys: Vec<_> = (0..count)
        .map(|i| {
            let mut n = [0x5b_u8; 256];
            n[0] = 0xc3;
            n[100..108].copy_from_slice(&(i as u64).to_be_bytes());
            let n = countersign::jose::base64url::encode(n);
            let mut key = json!({
                "kty": "RSA", "n": n, "e": "AQAB", "kid": format!("key-{i}"), "alg": "RS256",
                "use": "sig",
            });
            fault(&mut key);
            key
        })
        .collect();
    json!({"keys": keys}).to_string()
}

fn bench(c: &mut Criterion) {
    let options = Options::default();
    let mut group = c.benchmark_group("normalize");
    let clean = set(100, |_| {});
    let faulty = set(100, |key| {
        let padded = format!("{}==", key["n"].as_str().unwrap());
        key["n"] = padded.into();
        key["kty"] = "rsa".into();
        key["x5t"] = Value::Null;
        key.as_object_mut().unwrap().remove("alg");
    });
    for (name, document) in [("100 keys", &clean), ("100 keys with four faults each", &faulty)] {
        assert_eq!(normalize(document.as_bytes(), &options).unwrap().keys.keys().len(), 100);
        group.throughput(Throughput::Bytes(document.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| normalize(black_box(document.as_bytes()), &options).unwrap());
        });
    }
    group.finish();

    let keys = normalize(clean.as_bytes(), &options).unwrap().keys;
    let (profile, remembered) = (Profile::convex(), HashMap::new());
    let mut group = c.benchmark_group("publish");
    group.bench_function("100 keys", |b| {
        b.iter(|| {
            publish(&Input {
                own: &[],
                upstream: &[black_box(&keys)],
                profile: &profile,
                remembered: &remembered,
            })
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
