//! What is in `Dockerfile` and `deploy/`, as far as it can be held to the light without a cluster or a
//! container engine: by the tools that will read it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "a test stops at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[path = "support/e2e.rs"]
mod e2e;

use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A tool by name: what `scripts/install` brought, then what the machine has.
fn tool(name: &str) -> Command {
    let brought = root().join("target/tools/bin").join(name);
    let mut command = Command::new(if brought.exists() { brought } else { PathBuf::from(name) });
    command.current_dir(root());
    command
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| {
        let name = command.get_program().to_string_lossy().into_owned();
        panic!("{name}: {error}; run `scripts/install linters helm systemd` (`make test` does)")
    })
}

fn good(command: &mut Command) -> String {
    let output = run(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Kubernetes' own JSON schemas, without a member they do not know.
fn kubernetes_takes(manifests: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("manifests.yaml");
    std::fs::write(&file, manifests).unwrap();
    for version in ["1.29.0", "1.37.0"] {
        good(tool("kubernetes-validate").args(["--strict", "-k", version]).arg(&file));
    }
}

#[test]
fn the_image_is_static_small_and_not_root() {
    good(tool("hadolint").arg("Dockerfile"));
    let text = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let last = text.rsplit("\nFROM ").next().unwrap();
    assert!(last.starts_with("scratch\n"), "nothing but the binary: {last}");
    assert!(last.contains("USER 10001:10001"), "a number: scratch has no names");
    assert!(last.contains(r#"CMD ["/countersign", "healthcheck"]"#), "scratch has no shell");
    assert!(last.contains(r#"VOLUME ["/data"]"#), "the keys outlive the container");
    assert!(text.contains("scripts/static-build"), "built as `make image` builds it");
    // What the script asks of cargo, which is one that only says so.
    let tools = tempfile::tempdir().unwrap();
    let cargo = tools.path().join("cargo");
    std::fs::write(&cargo, "#!/bin/sh\necho \"$RUSTFLAGS $CFLAGS $*\"\n").unwrap();
    good(Command::new("chmod").arg("755").arg(&cargo));
    let path = std::env::vars().find(|(name, _)| name == "PATH").unwrap().1;
    let path = format!("{}:{path}", tools.path().display());
    for target in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-musl"] {
        let script = root().join("scripts/static-build");
        let asked = good(Command::new(script).arg(target).env("PATH", &path));
        assert!(asked.contains("target-feature=+crt-static"), "{asked}");
        assert_eq!(asked.contains("pack-relative-relocs"), target.starts_with("x86_64"));
        assert!(asked.contains("-fno-unwind-tables"), "{asked}");
        assert!(asked.ends_with(&format!("target/{target}/release/countersign\n")), "{asked}");
    }
}

#[test]
fn kubernetes_takes_the_sidecar() {
    let text = std::fs::read_to_string(root().join("deploy/kubernetes/sidecar.yaml")).unwrap();
    kubernetes_takes(&text);
}

fn chart(values: &[&str]) -> Command {
    let mut command = tool("helm");
    command.args(["template", "try", "deploy/helm/countersign"]);
    for value in values {
        command.args(["--set", value]);
    }
    command
}

const LEAST: &[&str] = &["publicUrl=https://auth.example.com", "upstream=http://auth:3001"];

#[test]
fn the_chart_renders_what_kubernetes_takes() {
    good(
        tool("helm")
            .args(["lint", "--strict", "deploy/helm/countersign"])
            .args(["--set", LEAST[0], "--set", LEAST[1]]),
    );
    let least = good(&mut chart(LEAST));
    assert!(least.contains("kind: PersistentVolumeClaim"), "{least}");
    kubernetes_takes(&least);

    let many = [
        LEAST,
        &[
            "replicaCount=3",
            "keys.redis.existingSecret=ring",
            "ingress.enabled=true",
            "ingress.host=auth.example.com",
            "ingress.tlsSecret=tls",
            "podDisruptionBudget.enabled=true",
            "env[0].name=SECRET",
            "env[0].value=x",
            "config=[profile]\nname = \"standard\"",
        ],
    ]
    .concat();
    let many = good(&mut chart(&many));
    assert!(!many.contains("kind: PersistentVolumeClaim"), "the ring is in Redis");
    assert!(many.contains("    [profile]\n    name = \"standard\""), "{many}");
    kubernetes_takes(&many);
}

#[test]
fn the_chart_refuses_what_cannot_work() {
    let refused = |values: &[&str], why: &str| {
        let output = run(&mut chart(values));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(why), "{error}");
    };
    refused(&[], "publicUrl");
    refused(&["publicUrl=auth.example.com", LEAST[1]], "publicUrl");
    refused(&[LEAST[0], LEAST[1], "replicas=2"], "replicas");
    // Three replicas with a ring each: a token of one would not verify at another.
    refused(&[LEAST[0], LEAST[1], "replicaCount=3"], "keys.redis.existingSecret");
}

/// Every configuration that is shipped inside something else is one that the program reads.
#[test]
fn the_program_reads_the_configurations_it_is_deployed_with() {
    let sidecar = std::fs::read_to_string(root().join("deploy/kubernetes/sidecar.yaml")).unwrap();
    let rendered = good(&mut chart(LEAST));
    for manifests in [sidecar, rendered] {
        let text = embedded(&manifests, "countersign.toml: |");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("countersign.toml");
        std::fs::write(&file, &text).unwrap();
        good(
            Command::new(env!("CARGO_BIN_EXE_countersign"))
                .args(["run", "--check", "--config"])
                .arg(file),
        );
    }
}

/// A YAML block scalar, without its indentation.
fn embedded(yaml: &str, head: &str) -> String {
    let after = yaml.split(head).nth(1).unwrap();
    after
        .lines()
        .skip(1)
        .take_while(|l| l.is_empty() || l.starts_with("    "))
        .map(|l| l.strip_prefix("    ").unwrap_or(l))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn systemd_takes_the_unit_and_finds_little_exposed() {
    let folder = tempfile::tempdir().unwrap();
    let unit = std::fs::read_to_string(root().join("deploy/systemd/countersign.service"))
        .unwrap()
        .replace("/usr/local/bin/countersign", env!("CARGO_BIN_EXE_countersign"))
        .replace("Documentation=man:countersign(1)\n", "");
    let file = folder.path().join("countersign.service");
    std::fs::write(&file, unit).unwrap();
    let output = run(Command::new("systemd-analyze").arg("verify").arg(&file));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !said.contains("countersign.service:"), "{said}");
    // 0 is a safe, 10 an open door; an ordinary service has above 9.
    good(
        Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=20"])
            .arg(&file),
    );
}

#[test]
fn compose_takes_the_example() {
    let file = root().join("deploy/compose/compose.yaml");
    let found = e2e::client("compose", &json!({ "file": file })).unwrap();
    assert_eq!(found["good"], true, "{}", found["errors"]);
}

/// The two services of the compose example, started without containers, with the environment the file
/// gives them: the same addresses, on other ports.
#[tokio::test]
async fn the_compose_example_works() {
    let file = root().join("deploy/compose/compose.yaml");
    let parsed = e2e::client("compose", &json!({ "file": file })).unwrap()["parsed"].clone();
    let env = |service: &str, name: &str| -> String {
        let value: &Value = &parsed["services"][service]["environment"][name];
        value.as_str().unwrap_or_else(|| panic!("{service} {name}: {parsed}")).to_owned()
    };
    assert_eq!(env("issuer", "PUBLIC_URL"), env("countersign", "COUNTERSIGN_PUBLIC_URL"));
    let (port, upstream) = (e2e::free_port(), e2e::free_port());
    assert!(env("countersign", "COUNTERSIGN_UPSTREAM").ends_with(&env("issuer", "PORT")));

    let public = format!("http://127.0.0.1:{port}");
    let _issuer = e2e::Running(
        Command::new("node")
            .arg(root().join("deploy/compose/issuer.mjs"))
            .env("PUBLIC_URL", &public)
            .env("PORT", upstream.to_string())
            .spawn()
            .unwrap(),
    );
    let config = std::fs::read_to_string(root().join("deploy/compose/countersign.toml"))
        .unwrap()
        .replace("http://localhost:8080", &public);
    let upstream = format!("http://127.0.0.1:{upstream}");
    let options =
        e2e::ProxyOptions { port, upstream: Some(&upstream), config: Some(&config), env: &[] };
    let proxy = e2e::Proxy::start(&options).await;
    let answer = e2e::http_client()
        .post(format!("{public}/oidc/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("grant_type=client_credentials")
        .send()
        .await
        .unwrap();
    let tokens: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    for name in ["access_token", "id_token"] {
        let verdict = e2e::client(
            "jwks",
            &json!({
                "jwks": proxy.jwks(),
                "token": tokens[name],
                "issuer": format!("{public}/oidc"),
                "audience": if name == "id_token" { "app" } else { "https://api.example.com" },
            }),
        )
        .unwrap();
        assert_eq!(verdict["jose"]["ok"], true, "{verdict}");
    }
}
