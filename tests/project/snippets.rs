//! Checks the code in the documents as a reader's project would: TypeScript by `tsc` against the real
//! packages, commands by the command line's own parser.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser as _;
use countersign::cli::args::Cli;
use serde_json::json;

use crate::support::documents::{blocks, documents, root};

/// The file a block belongs to, from its first line: `// convex/auth.config.ts`.
fn named(block: &str) -> Option<&str> {
    let name = block.lines().next()?.strip_prefix("// ")?;
    (!name.contains(' ') && (name.ends_with(".ts") || name.ends_with(".tsx"))).then_some(name)
}

/// Provider lines within sentences, completed to whole files.
fn provider_lines(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (n, line) in text.lines().enumerate() {
        for part in line.split('`').skip(1).step_by(2) {
            if part.starts_with("providers: [") {
                let whole = format!(
                    "export default {{ {part} }} satisfies import(\"convex/server\").AuthConfig;\n"
                );
                found.push((n + 1, whole));
            }
        }
    }
    found
}

/// Writes a file whose line numbers are those of the document.
fn write(file: &Path, first_line: usize, text: &str) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let clash = file.exists();
    assert!(!clash, "{} is on two pages' blocks", file.display());
    std::fs::write(file, "\n".repeat(first_line - 1) + text).unwrap();
}

/// Code that passes a page's hook to the provider that calls it.
fn hooks_fit(block: &str, file: &str) -> Option<String> {
    let hook = block.split("export function ").nth(1)?.split('(').next()?;
    hook.starts_with("useAuthFrom").then(|| {
        let module = file.trim_end_matches(".tsx");
        format!(
            "import {{ ConvexProviderWithAuth, type ConvexReactClient }} from \"convex/react\";\n\
             import {{ {hook} }} from \"./{module}\";\n\
             export const App = ({{ client }}: {{ client: ConvexReactClient }}) => (\n\
             <ConvexProviderWithAuth client={{client}} useAuth={{{hook}}}><p /></ConvexProviderWithAuth>\n\
             );\n"
        )
    })
}

/// The files that every page and example shares, from `docs/client.md`.
const SHARED: [&str; 2] = ["countersign.ts", "retry.ts"];

fn shared(documents: &[(String, String)], file: &str) -> String {
    let (_, page) = documents.iter().find(|(name, _)| name == "docs/client.md").unwrap();
    let all = blocks(page, "ts");
    let (_, text) = all.iter().find(|(_, text)| named(text) == Some(file)).unwrap();
    text.clone()
}

/// Runs `tsc --strict` over every file in the folder, and returns its output.
fn tsc(folder: &Path) -> Result<(), String> {
    let packages = root().join("tests/node/node_modules");
    assert!(
        packages.join(".bin/tsc").exists(),
        "the Node packages are missing: run `scripts/install node packages` (`make test` does)"
    );
    std::os::unix::fs::symlink(&packages, folder.join("node_modules")).unwrap();
    let types = root().join("tests/node/types");
    let config = json!({
        "compilerOptions": {
            "strict": true,
            "noEmit": true,
            "noUnusedLocals": true,
            "skipLibCheck": true,
            "target": "es2022",
            "lib": ["es2022", "dom", "dom.iterable"],
            "types": ["react"],
            "module": "esnext",
            "moduleResolution": "bundler",
            "moduleDetection": "force",
            "jsx": "react-jsx",
            // The package `firebase` maps its own parts like this.
            "paths": { "firebase/*": ["./node_modules/@firebase/*"] },
        },
        "include": ["**/*.ts", "**/*.tsx", format!("{}/*.d.ts", types.display())],
        "exclude": ["node_modules"],
    });
    std::fs::write(folder.join("tsconfig.json"), config.to_string()).unwrap();
    let output = Command::new(packages.join(".bin/tsc"))
        .args(["--pretty", "false", "--project"])
        .arg(folder)
        .current_dir(folder)
        .output()
        .expect("node is missing: run `scripts/install node` (`make test` does)");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(said) }
}

#[test]
fn every_typescript_block_is_taken_by_the_compiler() {
    let folder = tempfile::tempdir().unwrap();
    let documents = documents();
    let (mut seen, mut hooks) = (0, 0);
    for (name, text) in &documents {
        let page = folder.path().join(name.trim_end_matches(".md"));
        for language in ["ts", "tsx"] {
            for (line, block) in blocks(text, language) {
                seen += 1;
                let typed = !block.contains("providers:") || block.contains("satisfies AuthConfig");
                assert!(typed, "{name}:{line}: its providers are held to no type");
                let unnamed = format!("line-{line}.{language}");
                let file = named(&block).unwrap_or(&unnamed);
                write(&page.join(file), line, &block);
                if let Some(used) = hooks_fit(&block, file) {
                    hooks += 1;
                    write(&page.join(format!("use-{file}")), 1, &used);
                }
            }
        }
        for (line, whole) in provider_lines(text) {
            seen += 1;
            write(&page.join(format!("provider-{line}.ts")), line, &whole);
        }
        for (file, name) in SHARED.map(|name| (page.join(name), name)) {
            if page.is_dir() && !file.exists() {
                write(&file, 1, &shared(&documents, name));
            }
        }
    }
    assert!(seen >= 30, "{seen} blocks only: is the search still right?");
    assert!(hooks >= 10, "{hooks} hooks only: is the search still right?");
    if let Err(said) = tsc(folder.path()) {
        panic!("tsc, each file with its page's line numbers:\n{said}");
    }
}

/// The sources of an example, below its folder.
fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "ts" || e == "tsx") {
            out.push(path);
        }
    }
}

#[test]
fn every_example_is_taken_by_the_compiler() {
    let folder = tempfile::tempdir().unwrap();
    let documents = documents();
    for example in ["react-vite", "nextjs", "tanstack-start", "expo"] {
        let mut files = Vec::new();
        sources(&root().join("examples").join(example), &mut files);
        let mut copies = 0;
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let name = file.file_name().and_then(|name| name.to_str()).unwrap();
            if SHARED.contains(&name) {
                copies += 1;
                assert_eq!(text, shared(&documents, name), "{} is not the page's", file.display());
            }
            let below = file.strip_prefix(root().join("examples")).unwrap();
            write(&folder.path().join(below), 1, &text);
        }
        assert_eq!(copies, SHARED.len(), "{example}");
    }
    if let Err(said) = tsc(folder.path()) {
        panic!("{said}");
    }
}

/// The check works: the compiler sees a wrong algorithm and a missing member.
#[test]
fn a_wrong_provider_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let config = |provider: &str| {
        format!(
            "export default {{ providers: [{provider}] }} satisfies import(\"convex/server\").AuthConfig;\n"
        )
    };
    let wrong = r#"{ type: "customJwt", issuer: "a", jwks: "b", algorithm: "ES384" }"#;
    write(&folder.path().join("wrong.ts"), 1, &config(wrong));
    write(&folder.path().join("less.ts"), 1, &config(r#"{ domain: "a" }"#));
    let said = tsc(folder.path()).unwrap_err();
    assert!(said.contains("wrong.ts(1,") && said.contains("less.ts(1,"), "{said}");
}

#[test]
fn the_block_that_init_prints_is_taken_by_the_compiler() {
    let folder = tempfile::tempdir().unwrap();
    let init = |more: &[&str], to: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["init", "--force", "--upstream", "https://auth.example.com"])
            .args(more)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success());
        std::fs::write(folder.path().join(to), output.stdout).unwrap();
    };
    init(&[], "alone.ts");
    init(&["--public-url", "https://login.example.com", "--audience", "a\"b"], "all.ts");
    tsc(folder.path()).unwrap();
}

/// The commands in a shell block, continued lines joined.
fn commands(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.trim().trim_start_matches("$ "));
    let uncommented = lines.map(|line| line.split(" #").next().unwrap().trim().to_owned());
    uncommented.filter(|line| line.starts_with("countersign ")).collect()
}

#[test]
fn every_command_in_the_documents_is_one_the_program_takes() {
    let mut faults = Vec::new();
    let mut seen = 0;
    for (name, text) in documents() {
        for language in ["sh", "console"] {
            for (line, block) in blocks(&text, language) {
                for command in commands(&block) {
                    seen += 1;
                    let end = command.find(['|', '>', ';', '&']).unwrap_or(command.len());
                    let words = command[..end].split_whitespace().map(|w| w.trim_matches('"'));
                    if let Err(error) = Cli::try_parse_from(words) {
                        faults.push(format!("{name}:{line}: {command}: {error}"));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen >= 10, "{seen} commands only: is the search still right?");
}

/// The shell can parse every shell block.
#[test]
fn every_shell_block_parses() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in documents() {
        for (line, block) in blocks(&text, "sh") {
            let file: PathBuf = folder.path().join("block.sh");
            std::fs::write(&file, &block).unwrap();
            let output = Command::new("bash").arg("-n").arg(&file).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}:{line}: {said}");
        }
    }
}
