//! What users get other than by a clone: npm packages, the files of a release, the workflows that make them,
//! and the page for agents.

use crate::support::e2e;
use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use clap::CommandFactory as _;
use countersign::cli::args::Cli;
use countersign::jose::fault::{DocumentRefusal, KeyFault};
use serde_json::{Value, json};
use strum::VariantNames as _;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn good(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    out
}

fn name(key: &str) -> String {
    good(Command::new(root().join("scripts/names")).arg(key)).trim().to_owned()
}

fn variable(name: &str) -> String {
    std::env::vars().find(|(key, _)| key == name).map(|(_, value)| value).unwrap()
}

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Both packages, made from the binary under test and installed from their tarballs into an empty folder.
struct Installed {
    folder: tempfile::TempDir,
}

impl Installed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // Without debug information it is half as large.
        good(
            Command::new("strip")
                .arg("-o")
                .arg(at("binary"))
                .arg(env!("CARGO_BIN_EXE_countersign")),
        );
        let made = good(
            Command::new("node")
                .arg(root().join("packages/npm/build.mjs"))
                .arg("--out")
                .arg(at("tarballs"))
                .arg(at("binary"))
                .env("npm_config_cache", at("cache")),
        );
        std::fs::create_dir(at("app")).unwrap();
        // Otherwise npm would use a parent folder as the project.
        std::fs::write(at("app/package.json"), "{}").unwrap();
        good(
            Command::new("npm")
                .args(["install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund"])
                .args(made.lines())
                .current_dir(at("app"))
                .env("npm_config_cache", at("cache")),
        );
        // A PATH with node on it and nothing else.
        std::fs::create_dir(at("path")).unwrap();
        let node = good(Command::new("node").args(["-p", "process.execPath"]));
        std::os::unix::fs::symlink(node.trim(), at("path/node")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.path("app/node_modules/.bin/countersign"));
        command.env_clear().env("PATH", self.path("path")).env("HOME", self.path(""));
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = self.command().args(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (status.code(), text(&stdout), text(&stderr))
    }

    /// What the script in the main package prints on another platform, which Node is made to report.
    fn elsewhere(&self, platform: &str) -> (Option<i32>, String) {
        let script = self.path("app/node_modules/countersign/bin/countersign.js");
        let code = format!(
            "Object.defineProperty(process, 'platform', {{ value: '{platform}' }}); require({:?});",
            script.display().to_string()
        );
        let output = Command::new("node").args(["-e", &code]).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// A program of a test, stopped on drop.
struct Running(Child);

impl Running {
    fn kill(&self, pid: u32, signal: &str) {
        good(Command::new("kill").args(["-s", signal, &pid.to_string()]));
    }

    /// The process that the script started.
    fn binary(&self) -> u32 {
        let pid = self.0.id();
        let children = format!("/proc/{pid}/task/{pid}/children");
        std::fs::read_to_string(children).unwrap().trim().parse().unwrap()
    }

    fn ends(&mut self) -> std::process::ExitStatus {
        for _ in 0..1500 {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM: after SIGKILL the script could not stop the binary.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        for _ in 0..250 {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_npm_packages_work_with_node_alone() {
    let npm = Installed::new();
    let (status, out, _) = npm.run(&["--version"]);
    assert_eq!(
        (status, out.trim()),
        (Some(0), format!("countersign {}", name("version")).as_str())
    );
    let (status, _, error) = npm.run(&["normalize", "no-such-file"]);
    assert_eq!(status, Some(2), "{error}");

    let (status, out, error) = npm.run(&["demo"]);
    assert_eq!(status, Some(0), "{error}");
    assert!(out.contains("ACCEPT") && out.contains("REFUSE"), "{out}");

    let mut demo = npm.command().args(["demo", "--serve"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let demo = Running(demo);
    let issuer = lines
        .find_map(|line| {
            let line = line.unwrap();
            let words = line.strip_prefix("an auth server")?;
            Some(words.trim().to_owned())
        })
        .unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    let (status, out, error) = npm.run(&["doctor", &issuer]);
    assert_eq!(status, Some(1), "the issuer of the demonstration is broken: {out}{error}");

    // SIGTERM reaches the proxy, which stops in good order, and its status comes back.
    let mut proxy = serve(&npm, &issuer);
    proxy.kill(proxy.0.id(), "TERM");
    assert_eq!(proxy.ends().code(), Some(0));

    // A signal that ends the binary ends the script in the same way.
    let mut proxy = serve(&npm, &issuer);
    proxy.kill(proxy.binary(), "KILL");
    assert_eq!(proxy.ends().signal(), Some(9));
    drop(demo);

    let (status, error) = npm.elsewhere("sunos");
    assert_eq!(status, Some(2));
    for part in [
        "no npm package for sunos-",
        "there are packages for linux-",
        "container image",
        "cargo build",
    ] {
        assert!(error.contains(part), "{error}");
    }
    std::fs::remove_dir_all(npm.path("app/node_modules").join(name("npm-scope"))).unwrap();
    let (status, _, error) = npm.run(&["--version"]);
    assert_eq!(status, Some(2));
    assert!(error.contains("is not installed") && error.contains("--omit=optional"), "{error}");
}

/// `countersign run` by the npm package, ready.
fn serve(npm: &Installed, issuer: &str) -> Running {
    let (listen, admin) = (free_address(), free_address());
    let mut command = npm.command();
    command.args(["run", "--upstream", issuer, "--listen", &listen, "--admin", &admin]);
    command.args(["--public-url", &format!("http://{listen}"), "--data-dir"]).arg(npm.path("data"));
    let log = std::fs::File::create(npm.path("log")).unwrap();
    let mut proxy = Running(command.stderr(log).spawn().unwrap());
    for _ in 0..600 {
        if npm.run(&["healthcheck", "--live", "--admin", &admin]).0 == Some(0) {
            return proxy;
        }
        let log = || std::fs::read_to_string(npm.path("log")).unwrap();
        assert!(proxy.0.try_wait().unwrap().is_none(), "{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("not alive: {}", std::fs::read_to_string(npm.path("log")).unwrap());
}

#[test]
fn the_packages_name_what_they_are_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // A static binary is recognised by the loader that its header does not ask for.
    std::fs::write(at("static"), "\x7fELF").unwrap();
    std::fs::write(at("glibc"), "\x7fELF /lib64/ld-linux-x86-64.so.2").unwrap();
    std::fs::write(at("musl"), "\x7fELF /lib/ld-musl-aarch64.so.1").unwrap();
    let manifest = |package: &str| -> Value {
        let text = std::fs::read_to_string(at("out").join(package).join("package.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let build = |binaries: &[&str]| {
        let mut command = Command::new("node");
        command.arg(root().join("packages/npm/build.mjs")).arg("--out").arg(at("out"));
        good(command.args(binaries).current_dir(folder.path()).env("npm_config_cache", at("cache")))
    };
    let made = build(&["linux-x64=static", "darwin-arm64=static"]);
    assert_eq!(made.lines().count(), 3, "{made}");
    assert!(
        made.lines().last().unwrap().ends_with(&format!("/countersign-{}.tgz", name("version")))
    );
    let (linux, mac, main) = (manifest("linux-x64"), manifest("darwin-arm64"), manifest("main"));
    assert_eq!((&linux["os"][0], &linux["cpu"][0]), (&"linux".into(), &"x64".into()));
    assert_eq!(linux["libc"], Value::Null, "a static binary runs on every Linux");
    assert_eq!((&mac["os"][0], &mac["cpu"][0]), (&"darwin".into(), &"arm64".into()));
    // Exactly what was built: anybody could register a package name that is not published.
    let scope = name("npm-scope");
    let wanted = [format!("{scope}/darwin-arm64"), format!("{scope}/linux-x64")];
    let named: Vec<_> = main["optionalDependencies"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(named.iter().collect::<BTreeSet<_>>(), wanted.iter().collect());
    assert!(main["dependencies"].is_null() && main["scripts"].is_null(), "{main}");
    for package in [&linux, &mac, &main] {
        assert_eq!(package["version"], name("version"));
    }
    build(&["linux-x64=glibc", "linux-arm64=musl"]);
    assert_eq!(manifest("linux-x64")["libc"][0], "glibc");
    assert_eq!(manifest("linux-arm64")["libc"][0], "musl");
}

const TARGETS: [&str; 4] = [
    "aarch64-apple-darwin",
    "aarch64-unknown-linux-gnu",
    "x86_64-apple-darwin",
    "x86_64-unknown-linux-gnu",
];

#[test]
fn a_release_has_archives_sums_and_a_formula() {
    let folder = tempfile::tempdir().unwrap();
    let version = name("version");
    let mut pairs = Vec::new();
    for target in TARGETS {
        let binary = folder.path().join(target);
        std::fs::write(&binary, target).unwrap();
        pairs.push(format!("{target}={}", binary.display()));
    }
    let make = |out: &Path| {
        let mut command = Command::new(root().join("scripts/release-files"));
        good(command.arg(out).args(&pairs).env("SOURCE_DATE_EPOCH", "1700000000"));
        std::fs::read_to_string(out.join("SHA256SUMS")).unwrap()
    };
    let out = folder.path().join("out");
    let sums = make(&out);
    assert_eq!(sums, make(&folder.path().join("again")), "the same binaries give the same bytes");
    good(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&out));
    let formula = std::fs::read_to_string(out.join("countersign.rb")).unwrap();
    assert!(!formula.contains('@'), "{formula}");
    assert!(formula.contains(&format!("version \"{version}\"")), "{formula}");
    for target in TARGETS {
        let archive = format!("countersign-{version}-{target}");
        let sum =
            sums.lines().find_map(|l| l.strip_suffix(&format!("  {archive}.tar.gz"))).unwrap();
        let after = formula.split(&format!("{target}.tar.gz")).nth(1).unwrap();
        assert!(
            after.trim_start_matches(['"', '\n', ' ']).starts_with(&format!("sha256 \"{sum}\""))
        );
        let listed =
            good(Command::new("tar").arg("-tzf").arg(out.join(format!("{archive}.tar.gz"))));
        for file in ["countersign", "LICENSE", "conf/countersign.toml", "deploy/man/countersign.1"]
        {
            assert!(listed.lines().any(|line| line == format!("{archive}/{file}")), "{listed}");
        }
        // The addresses that `cargo binstall` uses.
        let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
        let binstall = &manifest["package"]["metadata"]["binstall"];
        let fill = |text: &toml::Value| {
            text.as_str().unwrap().replace("{ version }", &version).replace("{ target }", target)
        };
        assert!(fill(&binstall["pkg-url"]).ends_with(&format!("/v{version}/{archive}.tar.gz")));
        assert_eq!(fill(&binstall["bin-dir"]), format!("{archive}/{{ bin }}{{ binary-ext }}"));
    }
}

/// Text files of the project, without those from others.
fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    const NOT: [&str; 6] = ["target", "node_modules", ".git", "fixtures", "corpus", "flame"];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_symlink() || NOT.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            files(&path, out);
        } else if !name.ends_with(".lock") && name != "package-lock.json" {
            out.push(path);
        }
    }
}

#[test]
fn names_are_those_of_cargo_toml() {
    let repository = name("repository");
    let owner = repository.trim_start_matches("https://github.com/").split('/').next().unwrap();
    let published = name("published") == "true";
    let mut found = Vec::new();
    files(root(), &mut found);
    let mut faults = Vec::new();
    for path in &found {
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        let file = path.strip_prefix(root()).unwrap().display().to_string();
        for (n, line) in text.lines().enumerate() {
            for part in line.split("https://github.com/").skip(1) {
                let words: Vec<_> = part.splitn(3, ['/', '"', ' ', ')', '#']).collect();
                let ours = words.get(1).is_some_and(|name| *name == "countersign");
                if ours && words[0] != owner {
                    faults.push(format!("{file}:{}: another address than {repository}", n + 1));
                }
            }
            // Names that anybody could have registered.
            let tool = [
                "cargo install",
                "cargo binstall",
                "npm install",
                "npm i",
                "npx --yes",
                "brew install",
            ];
            let told = tool.iter().any(|tool| line.contains(&format!("{tool} countersign")));
            let comment = file == "Cargo.toml" && line.starts_with('#');
            if told && !published && !comment && file != "tests/project/packages.rs" {
                faults.push(format!("{file}:{}: nothing is published under this name", n + 1));
            }
        }
    }
    for line in read(".github/CODEOWNERS").lines().filter(|line| !line.starts_with('#')) {
        if !line.contains(&format!("@{owner}/")) {
            faults.push(format!(".github/CODEOWNERS: {line}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));

    // Until it is published, every block with npx builds the package first.
    for page in ["README.md", "docs/quickstart.md", "docs/deploy.md"] {
        for block in read(page).split("```").skip(1).step_by(2) {
            let made = block.find("make npm").unwrap_or(usize::MAX);
            let used = block.find("npx countersign").unwrap_or(usize::MAX);
            assert!(published || used == usize::MAX || made < used, "{page}: {block}");
        }
    }
}

#[test]
fn one_version_is_stated() {
    let version = name("version");
    let chart = read("deploy/helm/countersign/Chart.yaml");
    assert!(chart.contains(&format!("\nversion: {version}\nappVersion: {version}\n")), "{chart}");
    for file in
        ["deploy/kubernetes/sidecar.yaml", "deploy/cloud-run/service.yaml", "deploy/ecs/task.json"]
    {
        assert!(read(file).contains(&format!("countersign:{version}")), "{file}");
    }
}

#[test]
fn the_first_build_says_how_long_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let said = || {
        let mut command = Command::new(root().join("scripts/first-build"));
        let output = command.env("CARGO_TARGET_DIR", folder.path()).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let first = said();
    assert!(first.contains("minutes") && first.contains("once"), "{first}");
    std::fs::create_dir(folder.path().join("debug")).unwrap();
    std::fs::write(folder.path().join("debug/countersign"), "").unwrap();
    assert_eq!(said(), "", "not again");
    // Cargo shows its progress, too.
    let makefile = read("Makefile");
    let demo = makefile.split("\ndemo:").nth(1).unwrap().split("\n\n").next().unwrap();
    assert!(demo.contains("scripts/first-build") && !demo.contains("--quiet"), "{demo}");
}

#[test]
fn one_oldest_rust_is_stated() {
    let oldest = name("rust-version");
    let number = |text: &str| -> (u32, u32) {
        let mut parts = text.split('.').map(|part| part.parse().unwrap());
        (parts.next().unwrap(), parts.next().unwrap())
    };
    assert!(read("docs/packaging.md").contains(&format!("Rust {oldest} (")));
    let dockerfile = read("Dockerfile");
    for line in dockerfile.lines().filter(|line| line.starts_with("FROM rust:")) {
        let version = line.trim_start_matches("FROM rust:").split('-').next().unwrap();
        assert!(number(version) >= number(&oldest), "{line}");
    }
    // Every linked crate promises to build with that Rust version too.
    let metadata = good(
        Command::new(variable("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--offline", "--all-features"])
            .current_dir(root()),
    );
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let nodes: HashMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let mut reached = BTreeSet::new();
    let mut next = vec![metadata["resolve"]["root"].as_str().unwrap()];
    while let Some(id) = next.pop() {
        if !reached.insert(id) {
            continue;
        }
        for dependency in nodes[id]["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            if kinds.iter().any(|kind| kind["kind"] != "dev") {
                next.push(dependency["pkg"].as_str().unwrap());
            }
        }
    }
    assert!(reached.len() > 200, "{} crates only: is the search still right?", reached.len());
    for package in metadata["packages"].as_array().unwrap() {
        if !reached.contains(package["id"].as_str().unwrap()) {
            continue;
        }
        if let Some(version) = package["rust_version"].as_str() {
            assert!(number(version) <= number(&oldest), "{} wants {version}", package["name"]);
        }
    }
}

/// A tool from `scripts/install workflows` if it is there, else from the machine.
fn tool(name: &str) -> Command {
    let brought = root().join("target/tools/bin").join(name);
    let mut command = Command::new(if brought.exists() { brought } else { PathBuf::from(name) });
    command.current_dir(root());
    command
}

#[test]
fn the_workflows_are_valid_and_safe() {
    good(tool("zizmor").args(["--offline", "--no-progress", ".github"]));
    let workflows: Vec<_> = std::fs::read_dir(root().join(".github/workflows"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let schema = |name: &str| {
        let mut command = tool("check-jsonschema");
        command.args(["--builtin-schema", &format!("vendor.{name}")]);
        command
    };
    good(schema("github-workflows").args(&workflows));
    good(schema("dependabot").arg(".github/dependabot.yml"));
    let template = |name: &str| format!(".github/ISSUE_TEMPLATE/{name}.yml");
    good(schema("github-issue-config").arg(template("config")));
    good(schema("github-issue-forms").args([template("refused"), template("fault")]));

    let folder = tempfile::tempdir().unwrap();
    let mut scripts = Vec::new();
    for file in &workflows {
        let found = e2e::client("workflow", &json!({ "file": file, "to": folder.path() })).unwrap();
        scripts
            .extend(found.as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_owned()));
    }
    assert!(scripts.len() > 10, "{scripts:?}");
    let ours = ["names", "release-files", "first-build", "static-build"]
        .map(|name| format!("scripts/{name}"));
    good(tool("shellcheck").args(&scripts).args(ours));

    let ci = read(".github/workflows/ci.yml");
    assert!(ci.contains(".ci/run") && ci.contains("scripts/names rust-version"), "{ci}");
    for path in &workflows {
        let text = std::fs::read_to_string(path).unwrap();
        for word in text.split([' ', '(', ')', '\n', '"']) {
            if word.starts_with("scripts/") || word.starts_with("packages/") {
                assert!(root().join(word).exists(), "{}: {word}", path.display());
            }
        }
    }
}

/// The codes of `fn code`: the strings right after `=>`, alone or in a pair.
fn codes(file: &str) -> BTreeSet<String> {
    let text = read(file);
    let code = text.split("#[cfg(test)]").next().unwrap();
    let mut found = BTreeSet::new();
    for (n, _) in code.match_indices("=>") {
        let after = code[n + 2..].trim_start().trim_start_matches(['(', '{']).trim_start();
        if let Some(text) = after.strip_prefix('"').and_then(|text| text.split('"').next()) {
            found.insert(text.to_owned());
        }
    }
    found
}

#[test]
fn the_page_for_agents_is_whole() {
    let page = read("llms.txt");
    for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        assert!(
            page.contains(&format!("`countersign {}", command.get_name())),
            "{}",
            command.get_name()
        );
    }
    for line in ["- 0: good", "- 1: the answer is no", "- 2: could not run"] {
        assert!(page.contains(line), "{line}");
    }
    // OAuth's own `error` values, which are not our codes, and names of members.
    let not = [
        "invalid_request",
        "invalid_grant",
        "invalid_target",
        "unsupported_grant_type",
        "temporarily_unavailable",
        "server_error",
        "not_found",
        "section ",
        "n",
        "e",
        "x",
        "y",
        "kty",
        "use",
        "kid",
        "oth",
        "x5c",
        // Variants whose content gives the code.
        "member_missing",
        "other",
    ];
    let mut seen = 0;
    let mut all = BTreeSet::new();
    for file in [
        "server/src/answer.rs",
        "server/src/bridge/error.rs",
        "core/src/jose/refusal.rs",
        "core/src/jose/fault.rs",
    ] {
        all.extend(codes(file));
    }
    for derived in [KeyFault::VARIANTS, DocumentRefusal::VARIANTS] {
        all.extend(derived.iter().map(ToString::to_string));
    }
    for code in all.iter().filter(|code| !not.contains(&code.as_str())) {
        seen += 1;
        assert!(page.contains(&format!("`{code}`")), "llms.txt lacks {code}");
    }
    assert!(seen > 90, "{seen} codes only: is the search still right?");
    for link in page.split("](").skip(1).map(|part| part.split(')').next().unwrap()) {
        assert!(root().join(link).exists(), "llms.txt: {link}");
    }
}
