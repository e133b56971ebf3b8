//! npm's jose and jwks-rsa read every set that `countersign normalize` writes over the corpus, and
//! verify by each of its keys (`tests/node/normalizer.mjs`).

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use countersign::profile::Profile;
use serde_json::{Value, json};

use crate::{corpus, keys, readers};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn run(command: &mut Command, input: Vec<u8>) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{command:?}: {error}: run `scripts/install node packages`")
        });
    let mut stdin = child.stdin.take().unwrap();
    // What ends early says why on its standard error.
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// What the program writes for a document; `None` where it refuses.
fn normalized(name: &str, profile: &str) -> Option<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["normalize", "--profile", profile]);
    command.arg(file("tests/corpus/in").join(name));
    let output = run(&mut command, Vec::new());
    match output.status.code() {
        Some(0) => Some(serde_json::from_slice(&output.stdout).unwrap()),
        Some(2) => None,
        other => panic!("{name}: {other:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn token(kid: &str, alg: &str, signer: &keys::Key) -> Value {
    let payload = json!({"iss": "https://issuer.example", "sub": "u", "exp": 4_102_444_800_i64});
    let good = keys::sign(signer, alg, kid, &payload);
    json!({"kid": kid, "alg": alg, "forged": readers::forge(&good), "good": good})
}

#[test]
fn jose_and_jwks_rsa_take_every_set_and_verify_by_every_key() {
    let mut asked = Vec::new();
    for name in corpus::names() {
        let signers = corpus::signers(&name);
        for profile in Profile::NAMES {
            let Some(set) = normalized(&name, profile) else { continue };
            let mut tokens = Vec::new();
            for key in set["keys"].as_array().unwrap() {
                let (kid, alg) = (key["kid"].as_str().unwrap(), keys::alg_of(key));
                tokens.push(token(kid, alg, &keys::keys()[&signers[kid]]));
            }
            asked.push(json!({"name": format!("{name}, {profile}"), "set": set, "tokens": tokens}));
        }
    }
    let mut node = Command::new("node");
    node.current_dir(file("tests/node")).args(["--no-warnings", "normalizer.mjs"]);
    let output = run(&mut node, serde_json::to_vec(&asked).unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["faults"], json!([]), "{found}");
    let count = |name: &str| found[name].as_u64().unwrap();
    assert_eq!(count("sets"), asked.len() as u64);
    let tokens: usize = asked.iter().map(|one| one["tokens"].as_array().unwrap().len()).sum();
    for reader in ["jose", "jwks-rsa"] {
        assert_eq!(count(reader) + count("unknown"), tokens as u64, "{reader}: {found}");
        assert!(count(reader) > 500, "{found}");
    }
}
