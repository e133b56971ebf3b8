//! `Dockerfile` and `deploy/`, as far as they can be checked without a cluster or a container engine: by the
//! tools that will read them.

use crate::support::e2e;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A tool by name: from `scripts/install` if it is there, else from the machine.
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

/// Checks manifests against Kubernetes' own JSON schemas; unknown members are errors.
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
    // COUNTERSIGN_LISTEN would override the port that a platform sets.
    assert!(last.contains("ENV PORT=8080") && !last.contains("COUNTERSIGN_LISTEN"), "{last}");
    assert!(!text.contains("--mount"), "some platforms refuse cache mounts");
    assert!(text.contains("scripts/static-build"), "built as `make image` builds it");
    // The arguments that the script gives cargo; this cargo only prints them.
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
            "env[0].name=SECRET",
            "env[0].value=x",
            "config=[profile]\nname = \"standard\"",
        ],
    ]
    .concat();
    let many = good(&mut chart(&many));
    assert!(!many.contains("kind: PersistentVolumeClaim"), "the ring is in Redis");
    assert!(many.contains("    [profile]\n    name = \"standard\""), "{many}");
    for kind in ["PodDisruptionBudget", "NetworkPolicy", "Ingress"] {
        assert!(many.contains(&format!("kind: {kind}")), "{kind}: {many}");
    }
    for setting in
        ["topologySpreadConstraints:", "readOnlyRootFilesystem: true", "maxUnavailable: 0"]
    {
        assert!(many.contains(setting), "{setting}: {many}");
    }
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
    let both = ["keys.redis.existingSecret=a", "keys.env.existingSecret=b"];
    refused(&[LEAST, &both].concat(), "not both");
    // The reader must not have to guess which of two values counts.
    let twice = ["signing.rotateEvery=90d", "config=[signing]\nrotate_every = \"30d\""];
    refused(
        &[LEAST, &twice].concat(),
        "[signing] rotate_every, which is also set by signing.rotateEvery",
    );
    refused(&[LEAST, &["config=[ admin ] # x\nlisten = \"off\""]].concat(), "[admin] listen");
    refused(&[LEAST, &["maxAge=soon"]].concat(), "maxAge");
}

/// The program accepts every configuration that is shipped inside another file.
#[test]
fn the_program_reads_the_configurations_it_is_deployed_with() {
    let sidecar = std::fs::read_to_string(root().join("deploy/kubernetes/sidecar.yaml")).unwrap();
    let rendered = good(&mut chart(LEAST));
    for manifests in [sidecar, rendered] {
        program_takes(&embedded(&manifests, "countersign.toml: |"), &[]);
    }
}

/// Runs `countersign run --check` on a configuration, with these variables and no others.
fn program_takes(config: &str, env: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("countersign.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["run", "--check", "--config"]).arg(file).env_clear();
    command.env("HOME", folder.path()).envs(env.iter().copied());
    let output = run(&mut command);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}\n{config}");
}

/// Renders the values in `deploy/helm/values`: the configuration has them, each table once, and the program
/// accepts it with the variables that the Pod has.
fn settings_load(name: &str, env: &[(&str, &str)], holds: &[&str]) {
    let mut command = tool("helm");
    command.args(["template", "login", "deploy/helm/countersign", "--values"]);
    let rendered = good(command.arg(format!("deploy/helm/values/{name}.yaml")));
    kubernetes_takes(&rendered);
    let config = embedded(&rendered, "countersign.toml: |");
    for line in holds {
        assert!(config.contains(line), "{line}: {config}");
    }
    for variable in env {
        assert!(
            rendered.contains(&format!("- name: {}", variable.0)),
            "{}: {rendered}",
            variable.0
        );
    }
    program_takes(&config, env);
}

const RING_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[test]
fn real_settings_of_the_chart_load() {
    settings_load("better-auth-on-a-volume", &[], &["[signing]\nrotate_every = \"90d\""]);
    settings_load(
        "keycloak-on-redis",
        &[("SIGNING_STORE", "rediss://:p@r:6379/0"), ("SIGNING_ENCRYPTION_KEY", RING_KEY)],
        &[
            "max_age = \"120s\"\ngrace = \"20s\"",
            "hosts = [\"countersign.internal.example.com\"]",
            "host = \"client\"",
            "encryption_key = \"${SIGNING_ENCRYPTION_KEY}\"\noutage = \"20m\"",
        ],
    );
    settings_load(
        "supabase-with-a-secret",
        &[("SUPABASE_JWT_SECRET", "a-secret-of-at-least-32-characters")],
        &["host = \"upstream\"", "hosts = [\"status.example.com\"]"],
    );
}

/// A private key as one line of base64, as a platform's secret holds it.
fn signing_key() -> String {
    use base64::Engine as _;
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    base64::engine::general_purpose::STANDARD.encode(pair.serialize_pem())
}

#[test]
fn a_key_from_a_secret_loads_in_the_chart() {
    let key = signing_key();
    let env = [("COUNTERSIGN_SIGNING_KEY", key.as_str())];
    settings_load("three-replicas-and-a-secret", &env, &["env:COUNTERSIGN_SIGNING_KEY"]);
}

/// A key before the first table stays there, and a comment or a list is not taken for a table.
#[test]
fn the_chart_merges_tables_and_nothing_else() {
    let config = "config=data_dir = \"/data\"\n\n[signing] # ours\nskew = \"30s\"\n\n\
                  [server.limits]\nconnections = 10\n\n[server]\ngrace = \"9s\"\n\n\
                  [profile]\naccepts = [\n  \"RS256\"\\,\n]\n";
    let rendered = good(&mut chart(&[LEAST, &["signing.rotateEvery=30d", config]].concat()));
    let config = embedded(&rendered, "countersign.toml: |");
    assert!(config.trim_start().starts_with("data_dir = \"/data\""), "{config}");
    assert!(config.contains("[signing]\nrotate_every = \"30d\"\nskew = \"30s\""), "{config}");
    assert!(
        config.contains("public_url = \"https://auth.example.com\"\ngrace = \"9s\""),
        "{config}"
    );
    assert!(config.contains("[profile]\naccepts = [\n  \"RS256\",\n]"), "{config}");
    program_takes(&config, &[]);
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
    // 0 is the safest, 10 the least safe; an ordinary service has more than 9.
    good(
        Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=20"])
            .arg(&file),
    );
}

fn parsed(file: &str) -> Value {
    e2e::client("yaml", &json!({ "file": root().join(file) })).unwrap()
}

const COMPOSE: [&str; 4] = ["compose", "compose/better-auth", "compose/keycloak", "tunnel"];

#[test]
fn compose_takes_the_examples() {
    for folder in COMPOSE {
        let file = root().join("deploy").join(folder).join("compose.yaml");
        let found = e2e::client("compose", &json!({ "file": file })).unwrap();
        assert_eq!(found["good"], true, "{folder}: {}", found["errors"]);
        let countersign = &found["parsed"]["services"]["countersign"];
        assert_eq!(countersign["read_only"], true, "{folder}");
        assert_eq!(countersign["cap_drop"][0], "ALL", "{folder}");
    }
}

/// A value of a compose file as compose would fill it in: the default, or what is asked for.
fn filled(text: &str) -> String {
    let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
    let (inner, after) = rest.split_once('}').unwrap();
    let value = match (inner.split_once(":-"), inner.split_once(":?")) {
        (Some((_, default)), _) => default,
        (_, Some(("ENCRYPTION_KEY", _))) => RING_KEY,
        _ => "given",
    };
    format!("{before}{value}{}", filled(after))
}

#[test]
fn the_program_reads_the_configurations_of_compose() {
    for folder in ["compose/better-auth", "compose/keycloak"] {
        let compose = parsed(&format!("deploy/{folder}/compose.yaml"));
        let environment = compose["services"]["countersign"]["environment"].as_object().unwrap();
        let env: Vec<_> = environment
            .iter()
            .filter(|(name, _)| *name != "COUNTERSIGN_CONFIG")
            .map(|(name, value)| (name.as_str(), filled(value.as_str().unwrap())))
            .collect();
        let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let file = root().join("deploy").join(folder).join("countersign.toml");
        program_takes(&std::fs::read_to_string(file).unwrap(), &env);
    }
    let keycloak = parsed("deploy/compose/keycloak/compose.yaml");
    assert_eq!(keycloak["services"]["countersign"]["deploy"]["replicas"], 3);
}

/// Each platform's file, and the variables it gives the program.
fn platforms() -> Vec<(&'static str, Vec<(String, String)>)> {
    let pair = |name: &Value, value: &Value| {
        (name.as_str().unwrap().to_owned(), value.as_str().unwrap().to_owned())
    };
    let list = |list: &Value, name: &str| -> Vec<(String, String)> {
        let with_value = |entry: &&Value| entry["value"].is_string();
        list.as_array()
            .unwrap()
            .iter()
            .filter(with_value)
            .map(|e| pair(&e[name], &e["value"]))
            .collect()
    };
    let read = |file: &str| std::fs::read_to_string(root().join(file)).unwrap();
    let fly: toml::Table = read("deploy/fly/fly.toml").parse().unwrap();
    let fly = fly["env"].as_table().unwrap();
    let fly = fly.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect();
    let render = parsed("deploy/render/render.yaml");
    let run = parsed("deploy/cloud-run/service.yaml");
    let ecs: Value = serde_json::from_str(&read("deploy/ecs/task.json")).unwrap();
    let run = list(&run["spec"]["template"]["spec"]["containers"][0]["env"], "name");
    vec![
        ("fly", fly),
        ("render", list(&render["services"][0]["envVars"], "key")),
        ("cloud-run", run),
        ("ecs", list(&ecs["containerDefinitions"][0]["environment"], "name")),
    ]
}

#[test]
fn every_platform_gives_the_program_what_it_needs() {
    let key = signing_key();
    for (platform, env) in platforms() {
        for name in ["COUNTERSIGN_UPSTREAM", "COUNTERSIGN_PUBLIC_URL", "COUNTERSIGN_STORE"] {
            assert!(env.iter().any(|(key, _)| key == name), "{platform} lacks {name}");
        }
        let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        // The file names the secret; the platform has the value.
        program_takes("", &[env.as_slice(), &[("COUNTERSIGN_SIGNING_KEY", &key)]].concat());
    }
}

/// Other settings of each platform: ports, health checks and probes that fit the image.
#[test]
fn platforms_ask_the_right_port_and_path() {
    const SET: &str = "/.well-known/jwks.json";
    let read = |file: &str| std::fs::read_to_string(root().join(file)).unwrap();
    let fly: toml::Table = read("deploy/fly/fly.toml").parse().unwrap();
    let service = &fly["http_service"];
    assert_eq!(
        service["internal_port"].as_integer(),
        fly["env"]["PORT"].as_str().unwrap().parse().ok()
    );
    assert_eq!(service["checks"][0]["path"].as_str(), Some(SET));
    let railway: Value = serde_json::from_str(&read("deploy/railway/railway.json")).unwrap();
    assert_eq!(railway["deploy"]["healthcheckPath"], SET);
    assert_eq!(railway["build"]["dockerfilePath"], "Dockerfile");
    let render = parsed("deploy/render/render.yaml");
    assert_eq!(render["services"][0]["healthCheckPath"], SET);
    assert!(root().join(render["services"][0]["dockerfilePath"].as_str().unwrap()).exists());

    let run = parsed("deploy/cloud-run/service.yaml");
    let template = &run["spec"]["template"];
    let containers = template["spec"]["containers"].as_array().unwrap();
    // The ingress container is the one with a port, and there is one.
    let with_ports: Vec<_> = containers.iter().filter(|c| c["ports"].is_array()).collect();
    assert_eq!(with_ports.len(), 1);
    assert_eq!(with_ports[0]["name"], "countersign");
    assert_eq!(with_ports[0]["startupProbe"]["httpGet"]["path"], SET);
    let order =
        template["metadata"]["annotations"]["run.googleapis.com/container-dependencies"].as_str();
    let order: Value = serde_json::from_str(order.unwrap()).unwrap();
    for (name, needs) in order.as_object().unwrap() {
        for name in [&Value::String(name.clone()), &needs[0]] {
            let container = containers.iter().find(|c| c["name"] == *name).unwrap();
            assert!(container["startupProbe"].is_object(), "who waits for {name} needs its probe");
        }
    }
    // The rest of it is a Pod: Kubernetes' schema knows every member.
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "x" },
        "spec": { "containers": containers },
    });
    kubernetes_takes(&pod.to_string());
}

/// Checked with the model of the ECS API from which Amazon's own client is generated.
#[test]
fn ecs_takes_the_task() {
    const CHECK: &str = "
import json, sys, botocore.session
from botocore.validate import ParamValidator
model = botocore.session.get_session().get_service_model('ecs')
shape = model.operation_model('RegisterTaskDefinition').input_shape
def unknown(value, shape, at):
    if shape.type_name == 'structure':
        for name in value:
            if name not in shape.members: sys.exit(f'{at}.{name} is unknown')
            unknown(value[name], shape.members[name], f'{at}.{name}')
    elif shape.type_name == 'list':
        for n, entry in enumerate(value): unknown(entry, shape.member, f'{at}[{n}]')
task = json.load(open(sys.argv[1]))
report = ParamValidator().validate(task, shape)
if report.has_errors(): sys.exit(report.generate_report())
unknown(task, shape, 'task')
";
    let brought = root().join("target/tools/venv/bin/python");
    let python = if brought.exists() { brought } else { PathBuf::from("python3") };
    good(Command::new(python).args(["-c", CHECK]).arg(root().join("deploy/ecs/task.json")));
}

/// The Worker, with a mock of Cloudflare's package: with which variables the container starts, and that it
/// gets a request.
#[test]
fn the_cloudflare_worker_starts_the_container() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let package = at("node_modules/@cloudflare/containers");
    std::fs::create_dir_all(&package).unwrap();
    let main = r#"{ "name": "@cloudflare/containers", "type": "module", "exports": "./index.js" }"#;
    std::fs::write(package.join("package.json"), main).unwrap();
    let stand_in = "export class Container { constructor(ctx, env) { this.ctx = ctx; this.env = env; } }\n\
                    export const getContainer = (binding) => binding.container;\n";
    std::fs::write(package.join("index.js"), stand_in).unwrap();
    for file in ["worker.js", "package.json"] {
        std::fs::copy(root().join("deploy/cloudflare").join(file), at(file)).unwrap();
    }
    let script = r#"
        import worker, { Countersign } from "./worker.js";
        const env = { AUTH_SERVER: "https://a", PUBLIC_URL: "https://p", COUNTERSIGN_SIGNING_KEY: "k", COUNTERSIGN_SIGNING_KEY_NEXT: "n" };
        const { envVars, defaultPort } = new Countersign({}, env);
        env.COUNTERSIGN = { container: { fetch: (request) => `got ${request}` } };
        console.log(JSON.stringify({ envVars, defaultPort, answer: await worker.fetch("it", env) }));
    "#;
    std::fs::write(at("try.mjs"), script).unwrap();
    let said = good(Command::new("node").arg("try.mjs").current_dir(folder.path()));
    let said: Value = serde_json::from_str(&said).unwrap();
    let env = json!({
        "COUNTERSIGN_UPSTREAM": "https://a", "COUNTERSIGN_PUBLIC_URL": "https://p",
        "COUNTERSIGN_STORE": "env:COUNTERSIGN_SIGNING_KEY",
        "COUNTERSIGN_SIGNING_KEY": "k", "COUNTERSIGN_SIGNING_KEY_NEXT": "n",
    });
    assert_eq!(said, json!({ "envVars": env, "defaultPort": 8080, "answer": "got it" }));

    let text = std::fs::read_to_string(root().join("deploy/cloudflare/wrangler.jsonc")).unwrap();
    let bare: String = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect();
    let wrangler: Value = serde_json::from_str(&bare).unwrap();
    let class = &wrangler["containers"][0]["class_name"];
    assert_eq!(class, "Countersign");
    assert_eq!(*class, wrangler["durable_objects"]["bindings"][0]["class_name"]);
    assert_eq!(*class, wrangler["migrations"][0]["new_sqlite_classes"][0]);
    let image = wrangler["containers"][0]["image"].as_str().unwrap();
    assert!(root().join("deploy/cloudflare").join(image).exists());
}

/// A command of the page, its continued lines joined.
fn command_on_the_page(start: &str) -> String {
    let page = std::fs::read_to_string(root().join("docs/deploy.md")).unwrap();
    let joined = page.replace("\\\n", " ");
    let line = joined.lines().find(|line| line.starts_with(start));
    line.unwrap_or_else(|| panic!("docs/deploy.md has no `{start}`")).to_owned()
}

#[test]
fn the_helm_line_of_the_page_renders() {
    let line = command_on_the_page("helm install login");
    let mut command = tool("helm");
    let rendered = good(command.arg("template").args(line.split_whitespace().skip(2)));
    assert!(rendered.contains("image: \"registry.example.com/countersign:"), "{rendered}");
    assert!(rendered.contains("replicas: 3"), "{rendered}");
}

/// The page makes exactly the secrets that Keycloak's compose file needs.
#[test]
fn the_secrets_of_the_page_are_those_compose_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let line = command_on_the_page("printf");
    let made = line.replace("deploy/compose/keycloak/.env", ".env");
    good(Command::new("bash").args(["-euc", &made]).current_dir(folder.path()));
    let made = std::fs::read_to_string(folder.path().join(".env")).unwrap();
    let file =
        std::fs::read_to_string(root().join("deploy/compose/keycloak/compose.yaml")).unwrap();
    for asked in file.split("${").filter_map(|part| part.split_once(":?")).map(|(name, _)| name) {
        let value = made.lines().find_map(|line| line.strip_prefix(&format!("{asked}=")));
        assert!(value.is_some_and(|value| value.len() >= 32), "{asked}: {made}");
    }
}

/// The page names every file of the folder.
#[test]
fn every_file_to_deploy_is_on_the_page() {
    let page = std::fs::read_to_string(root().join("docs/deploy.md")).unwrap();
    for entry in std::fs::read_dir(root().join("deploy")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        // For packagers and for operators.
        if !["completions", "grafana", "man", "prometheus"].contains(&name.as_str()) {
            assert!(
                page.contains(&format!("deploy/{name}/")),
                "docs/deploy.md lacks deploy/{name}"
            );
        }
    }
    for word in page.split([' ', '`', '(', ')', '\n']) {
        let path = word.trim_start_matches("../").trim_start_matches("file://");
        if path.starts_with("deploy/") && path != "deploy/compose/keycloak/.env" {
            assert!(root().join(path).exists(), "{path}");
        }
    }
}

/// The two services of the compose example, started without containers, with the environment from the file:
/// the same addresses, but other ports.
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
