//! The configuration: the shipped file, every example of the documentation, and the error messages.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign::config::env::NoEnv;
use countersign::config::{self, Config, ConfigError, HostHeader, RunOverrides};
use countersign::issuer::Source;
use countersign::jose::alg::{Alg, AlgSet};
use countersign::jose::policy::ClientSource;
use countersign::keyring::StoreSettings;
use serde_json::Value;

const ENV: [(&str, &str); 8] = [
    ("HOME", "/home/user"),
    ("COUNTERSIGN_ENCRYPTION_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ("ISSUER_SECRET", "an-issuer-secret-of-more-than-32-bytes"),
    ("ISSUER_API_KEY", "hunter2"),
    ("INTROSPECTION_SECRET", "hunter2"),
    ("SUPABASE_JWT_SECRET", "super-secret-jwt-token-with-at-least-32-characters"),
    ("SHORT", "hunter2"),
    ("OTEL_API_KEY", "hunter2"),
];

fn load(text: &str) -> Result<Config, ConfigError> {
    config::load_text(text, Some(Path::new("c.toml")), &RunOverrides::default(), &ENV)
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn shipped() -> String {
    std::fs::read_to_string(root("conf/countersign.toml")).unwrap()
}

/// The shipped file with commented keys and tables made active; those of examples, whose paragraph says
/// "For example", only with `examples`.
fn uncommented(text: &str, examples: bool) -> String {
    let mut out = String::new();
    let mut example = false;
    for line in text.lines() {
        if line.trim().is_empty() || line.starts_with("# ---") {
            example = false;
        }
        example |= line.starts_with('#') && line.to_lowercase().contains("for example");
        let key = line
            .strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '['));
        match key {
            Some(key) if examples || !example => writeln!(out, "{key}").unwrap(),
            _ => writeln!(out, "{line}").unwrap(),
        }
    }
    out
}

#[test]
fn the_shipped_file_states_the_defaults() {
    let shipped = shipped();
    let as_it_stands = load(&shipped).unwrap();
    let defaults = load("[upstream]\nurl = \"https://auth.example.com\"").unwrap();
    assert_eq!(format!("{as_it_stands:#?}"), format!("{defaults:#?}"));
    let spelled_out = uncommented(&shipped, false);
    assert!(spelled_out.lines().filter(|line| line.contains(" = ")).count() > 30);
    let spelled_out = load(&spelled_out).unwrap();
    assert_eq!(format!("{spelled_out:#?}"), format!("{defaults:#?}"));
}

#[test]
fn the_shipped_examples_work_too() {
    let mut text = uncommented(&shipped(), true);
    if !cfg!(feature = "otel") {
        text = text.replace("endpoint = \"http://127.0.0.1:4318\"", "");
    }
    let config = load(&text).unwrap();
    let [issuer] = config.issuers.as_slice() else { panic!("one issuer") };
    assert_eq!(issuer.name().as_str(), "login");
    assert_eq!(issuer.policy.secrets.len(), 1);
    assert_eq!(issuer.policy.max_lifetime, Some(Duration::from_secs(3600)));
    assert_eq!(issuer.jwks_paths, ["/login/jwks.json", "/oauth/jwks"]);
    assert_eq!(config.tokens.len(), 1);
    assert!(matches!(config.keyring.store, StoreSettings::Redis { .. }));
    assert!(config.server.exchange.session.is_some());
    assert_eq!(config.server.exchange.introspection.len(), 1);
    assert_eq!(config.data_dir, Path::new("/var/lib/countersign"));
    // Its `Debug` output contains no secret.
    let printed = format!("{config:?}");
    for (_, secret) in &ENV[1..] {
        assert!(!printed.contains(secret), "{secret}");
    }
}

#[test]
fn every_key_is_in_the_shipped_file() {
    let schema: Value = serde_json::from_str(config::SCHEMA).unwrap();
    let shipped = shipped();
    let mut keys = Vec::new();
    let tables = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    for table in tables {
        keys.extend(table["properties"].as_object().into_iter().flat_map(|keys| keys.keys()));
    }
    assert!(keys.len() > 100, "{}", keys.len());
    for key in keys {
        let known = [format!("{key} = "), format!("{key}]"), format!(".{key}"), format!("`{key}`")];
        assert!(known.iter().any(|form| shipped.contains(form)), "{key} is not described");
    }
}

#[test]
fn the_schema_is_current() {
    let mut schema = schemars::schema_for!(config::raw::RawConfig).to_value();
    without_null(&mut schema);
    let schema = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::vars().any(|(name, _)| name == "COUNTERSIGN_UPDATE_DOCS") {
        std::fs::write(root("conf/countersign.schema.json"), &schema).unwrap();
        return;
    }
    assert!(
        config::SCHEMA == schema,
        "run this test with COUNTERSIGN_UPDATE_DOCS=1 and look at the difference"
    );
    assert!(!schema.contains("null"));
}

#[test]
fn a_default_in_the_schema_has_the_type_of_its_key() {
    let schema: Value = serde_json::from_str(config::SCHEMA).unwrap();
    for table in schema["$defs"].as_object().unwrap().values() {
        for (key, value) in table["properties"].as_object().into_iter().flatten() {
            let default = value.get("default").filter(|_| value["type"] == "string");
            assert!(default.is_none_or(Value::is_string), "{key}: {default:?}");
        }
    }
}

/// Removes `null`, which TOML does not have: an `Option` is a key that may be left out.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| !(key == "default" && value.is_null()));
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|name| name != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    map.insert("type".to_owned(), one);
                }
            }
            if let Some(Value::Array(values)) = map.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            if let Some(Value::Array(options)) = map.get_mut("anyOf") {
                options.retain(|option| option.get("type") != Some(&"null".into()));
                if let [Value::Object(one)] = options.as_slice() {
                    let one = one.clone();
                    map.remove("anyOf");
                    map.extend(one);
                }
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(list) => list.iter_mut().for_each(without_null),
        _ => {}
    }
}

#[test]
fn an_upstream_alone_is_enough() {
    let overrides = RunOverrides {
        upstream: Some("http://127.0.0.1:3001".into()),
        listen: Some(":9000".into()),
        admin: Some("off".into()),
        ..RunOverrides::default()
    };
    let config = config::load(None, &overrides, &NoEnv).unwrap();
    assert!(config.discover && config.tokens.is_empty() && config.issuers.is_empty());
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:9000 and [::]:9000");
    assert_eq!(config.admin.listen, None);
    assert_eq!(config.profile.accepts, AlgSet::of(&[Alg::Rs256]));
    assert_eq!(config.data_dir, Path::new("countersign-data"));
}

#[test]
fn a_flag_wins_over_the_file() {
    let overrides = RunOverrides {
        listen: Some("127.0.0.1:1".into()),
        threads: Some(3),
        data_dir: Some("/d".into()),
        log: Some("debug".into()),
        ..RunOverrides::default()
    };
    let text = "data_dir = \"/x\"\n[server]\nlisten = \"127.0.0.1:2\"\nthreads = 9\n\
                [upstream]\nurl = \"http://a\"\n[log]\nlevel = \"nonsense-is-overridden\"";
    let config = config::load_text(text, None, &overrides, &NoEnv).unwrap();
    assert_eq!(config.server.listen.port(), 1);
    assert_eq!(config.server.threads(), 3);
    assert_eq!(config.data_dir, Path::new("/d"));
}

#[test]
fn a_wrong_flag_is_named_instead_of_a_place() {
    let wrong = |overrides: RunOverrides| {
        let text = "[upstream]\nurl = \"http://a\"\n[log]\nlevel = \"info\"";
        let error =
            config::load_text(text, Some(Path::new("c.toml")), &overrides, &NoEnv).unwrap_err();
        assert_eq!(error.position, None);
        format!("{error} | {}", error.hint.as_deref().unwrap_or_default())
    };
    let some = |text: &str| Some(text.to_owned());
    let none = RunOverrides::default;
    let faults = [
        wrong(RunOverrides { upstream: some("a.example"), ..none() }),
        wrong(RunOverrides { upstream: some("http://a/?q"), ..none() }),
        wrong(RunOverrides { listen: some("127.0.0.1"), ..none() }),
        wrong(RunOverrides { admin: some("on"), ..none() }),
        wrong(RunOverrides { public_url: some("http://a.example"), ..none() }),
        wrong(RunOverrides { profile: some("convx"), ..none() }),
        wrong(RunOverrides { log: some("loud"), ..none() }),
        wrong(RunOverrides { log_format: some("xml"), ..none() }),
    ];
    insta::assert_snapshot!(faults.join("\n"));
}

/// Each module owns its settings. The configuration fills them and depends on the modules, never the other
/// way round. The compiler holds this for the server crate, which cannot name the configuration.
#[test]
fn the_status_page_does_not_depend_on_the_configuration() {
    let files =
        std::fs::read_dir(root("src").join("admin")).unwrap().map(|file| file.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "rs")).collect();
    assert!(files.len() > 5);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains("crate::config"), "{}", file.display());
    }
}

#[test]
fn several_issuers_never_share_a_set() {
    let config = load(
        r#"
        [upstream]
        url = "http://127.0.0.1:3000/base/"
        [[issuer]]
        name = "a"
        issuer = "https://a"
        jwks = "/.well-known/jwks.json"
        [[issuer]]
        name = "b"
        issuer = "https://b"
        jwks = "/b/keys"
        [[issuer]]
        name = "c"
        issuer = "https://c"
        jwks = "https://c/keys"
        "#,
    )
    .unwrap();
    let paths: Vec<_> = config.issuers.iter().map(|issuer| issuer.jwks_paths.clone()).collect();
    // The common path is none of theirs.
    assert_eq!(paths, [["/_countersign/jwks/a.json"], ["/b/keys"], ["/_countersign/jwks/c.json"]]);
    let Source::Url(url) = &config.issuers[1].source else { panic!("a URL") };
    assert_eq!(url.as_str(), "http://127.0.0.1:3000/base/b/keys");
}

#[test]
fn a_header_with_a_meaning_of_its_own_is_not_demanded() {
    let demand = |name: &str| {
        load(&format!(
            "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/{{kid}}\"\n\
             required_headers = {{ \"{name}\" = \"x\" }}"
        ))
    };
    for name in ["alg", "kid", "typ", "crit", "cty", "enc", "jku", "jwk", "x5u", "x5c", "b64"] {
        let error = demand(name).unwrap_err();
        assert_eq!(error.key, Some(format!("issuer[0].required_headers.{name}")));
    }
    let config = demand("signer").unwrap();
    let policy = &config.issuers[0].policy;
    assert_eq!(policy.headers, [("signer".to_owned(), "x".to_owned())]);
    assert!(!policy.publishes());
}

#[test]
fn a_client_demanded_of_the_header_is_a_check_of_the_client() {
    let config = load(
        "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/{kid}\"\n\
         required_headers = { signer = \"me\", client = \"client_1\" }\n\
         audience_when_missing = { audience = \"app\" }",
    )
    .unwrap();
    let policy = &config.issuers[0].policy;
    assert_eq!(policy.bound_client(), Some("client_1"));
    assert!(policy.audience.when_missing.as_ref().unwrap().clients.is_empty());
}

#[test]
fn relative_paths_start_at_the_file() {
    let text = "[[issuer]]\nissuer = \"https://a\"\njwks = \"file:keys.json\"\n\
                [signing]\nstore = \"file:ring\"";
    let file = Some(Path::new("/etc/countersign/c.toml"));
    let config = config::load_text(text, file, &RunOverrides::default(), &NoEnv).unwrap();
    let Source::File(path) = &config.issuers[0].source else { panic!("a file") };
    assert_eq!(path, Path::new("/etc/countersign/keys.json"));
    let StoreSettings::File(dir) = &config.keyring.store else { panic!("a folder") };
    assert_eq!(dir, Path::new("/etc/countersign/ring"));
}

#[test]
fn an_expanded_value_brings_in_no_configuration() {
    let env = [("EVIL", "\"\nverify = false\n#")];
    let text = "[upstream]\nurl = \"http://a\"\n[upstream.tls]\nsni = \"${EVIL}\"";
    let config = config::load_text(text, None, &RunOverrides::default(), &env).unwrap();
    let tls = config.upstream.unwrap().tls;
    assert!(tls.verify);
    assert_eq!(tls.sni.as_deref(), Some("\"\nverify = false\n#"));
}

#[test]
fn the_configuration_says_what_names_a_missing_issuer_or_client() {
    let issuer = |more: &str| {
        load(&format!(
            "[[issuer]]\nissuer = \"https://a/apps/c1\"\njwks = \"https://a/jwks/c1\"\n{more}"
        ))
    };
    let missing = |words: &str| {
        let text = format!(
            "audience_when_missing = {{ audience = \"app\", clients = [\"c1\"], vouched_by = {words} }}"
        );
        let config = issuer(&text).unwrap();
        config.issuers[0].policy.audience.when_missing.clone().unwrap().client_sources
    };
    assert_eq!(missing("\"iss\""), [ClientSource::Issuer]);
    assert_eq!(missing("[\"iss\", \"jwks\"]"), [ClientSource::Issuer, ClientSource::Keys]);
    let config = issuer("issuer_when_missing = true\noutput_issuer = \"https://p\"").unwrap();
    assert!(config.issuers[0].policy.issuer_when_missing);
    assert!(!config.issuers[0].policy.sender_constrained);
    // An issuer whose tokens have no `iss` needs no `issuer`.
    let config = load(
        "[[issuer]]\nname = \"mine\"\nalgorithms = [\"HS256\"]\nsecret = \"${ISSUER_SECRET}\"\n\
         issuer_when_missing = true\noutput_issuer = \"https://p\"\n\
         audience_when_missing = { audience = \"app\", clients = [\"web\"], vouched_by = \"jwks\" }",
    )
    .unwrap();
    assert_eq!(config.issuers[0].policy.issuers[0].as_str(), "https://p");
}

#[test]
fn fields_of_an_answer_are_a_place() {
    let tokens = |headers: &str| {
        load(&format!(
            "[upstream]\nurl = \"http://a\"\n[[tokens]]\npath = \"/s\"\nheaders = {headers}"
        ))
    };
    let config = tokens("[\"Set-Auth-JWT\"]").unwrap();
    assert_eq!(config.tokens[0].headers, ["set-auth-jwt"]);
    assert!(config.tokens[0].reads_header() && !config.tokens[0].reads_body());
    for bad in ["Location", "set-cookie", "content-length", "a b", "transfer-encoding", ""] {
        let error = tokens(&format!("\"{bad}\"")).unwrap_err();
        assert_eq!(error.key.as_deref(), Some("tokens[0].headers"), "{bad}");
    }
}

/// Configurations with one fault each.
const BAD: &[&str] = &[
    "[server]\nlisen = \"127.0.0.1:8080\"",
    "[sever]\nlisten = \"127.0.0.1:8080\"",
    "[upstream]\nzebra = 1",
    "[upstream]\nurl = \"http://a\"\n[server]\nthreads = \"${SHORT}\"",
    "[upstream]\nurl = \"http://a\"\n[server]\nthreads = -1",
    "[server\nlisten = 1",
    "[server]\nlisten = \"127.0.0.1\"",
    "[server]\nlisten = \"${UNSET_VARIABLE}\"",
    "[upstream]\nurl = \"auth.example.com\"",
    "[upstream]\nurl = \"https://user:pass@auth.example.com\"",
    "[upstream]\nurl = \"http://a\"\nhost = \"clint\"",
    "[upstream]\nurl = \"http://a\"\nhost = \"a b.example\"",
    "[upstream]\nurl = \"http://a\"\nhost = \"user@a.example\"",
    "[upstream]\nurl = \"http://a\"\n[upstream.tls]\nclient_cert = \"a.pem\"",
    "",
    "[server]\nlisten = \":8080\"",
    "[upstream]\nurl = \"http://a\"\n[server]\npublic_url = \"http://auth.example.com\"",
    "[upstream]\nurl = \"http://a\"\n[server]\nmax_age = \"5 minutes\"",
    "[upstream]\nurl = \"http://a\"\n[server.limits]\nbody = \"1TB\"",
    "[upstream]\nurl = \"http://a\"\n[profile]\nname = \"convx\"",
    "[upstream]\nurl = \"http://a\"\n[profile]\npublish = [\"HS256\"]",
    "[upstream]\nurl = \"http://a\"\n[signing]\nalgorithm = \"ES384\"",
    "[upstream]\nurl = \"http://a\"\n[signing]\nrotate_every = \"5m\"",
    "[upstream]\nurl = \"http://a\"\n[signing]\nstore = \"redis://localhost\"",
    "[upstream]\nurl = \"http://a\"\n[signing]\nstore = \"redis://localhost\"\nencryption_key = \"${SHORT}\"",
    "[upstream]\nurl = \"http://a\"\n[signing]\nstore = \"etcd:a\"",
    "[[issuer]]\njwks = \"https://a/jwks\"",
    "[[issuer]]\nissuer = \"https://a\"",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"/jwks\"",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"{ keys: [] }\"",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://{kid}.a/\"",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/{kid}\"",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/{kid}\"\nrequired_headers = {}",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/{kid}\"\nrequired_headers = { client = \"c\", iss = \"https://a\" }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/{kid}\"\nrequired_headers = { kid = \"k1\" }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nrequired_headers = { signer = \"\" }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nrequired_headers = { \"\" = \"x\" }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nrequired_headers = { signer = 7 }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nrequired_headers = \"signer\"",
    "[[issuer]]\nissuer = [\"https://a\", \"\"]\njwks = \"https://a/jwks\"",
    "[[issuer]]\nissuer = 7",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nalgorithms = [\"none\"]",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nalgorithms = [\"RS257\"]",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nalgorithms = []",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nalgorithms = [\"HS256\"]",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nsecret = \"${ISSUER_SECRET}\"",
    "[[issuer]]\nissuer = \"https://a\"\nalgorithms = [\"HS256\"]\nsecret = \"${SHORT}\"",
    "[[issuer]]\nissuer = \"https://a\"\nalgorithms = [\"HS512\"]\nsecret = \"${ISSUER_SECRET}\"",
    "[[issuer]]\nissuer = \"https://a\"\nalgorithms = [\"HS256\"]\nsecret = \"\"\"-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOC\n-----END PUBLIC KEY-----\"\"\"",
    "[[issuer]]\nissuer = \"https://a\"\nalgorithms = [\"HS256\"]\nsecret_file = \"/nonexistent/secret\"",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\naudience_when_missing = { audience = \"app\" }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\naudience_when_missing = { audience = \"app\", clients = [] }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\naudience_when_missing = { audience = \"app\", clients = [\"a\", \"\"] }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nrequired_headers = { signer = \"me\" }\naudience_when_missing = { audience = \"app\" }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nclaims = { set = { exp = 1 } }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nclaims = { rename = { admin = \"aud\" } }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nclaims = { rename = { iat = \"x\" } }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nclaims = { drop = [\"email\", \"nbf\"] }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nclaims = { drop = [\"sub\"] }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\n[issuer.claims.set]\nrole = \"user\"\niss = \"https://b\"",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nclaims = { set = { sub = \"admin\" } }",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://a/{t}/v2\"\njwks = \"https://a/jwks\"\n",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://a/{t}/v2\"\njwks = \"https://a/jwks\"\ntenants = { claim = \"tid\" }",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://a/{t}/v2\"\njwks = \"https://a/jwks\"\ntenants = { claim = \"tid\", allow = [] }",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://a/{t}/v2\"\njwks = \"https://a/jwks\"\ntenants = { claim = \"tid\", allow = [\"t1\", \"any\"] }",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://a/{t}/v2\"\njwks = \"https://a/jwks\"\ntenants = { claim = \"tid\", allow = [\"*\"] }",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://a/{t}/v2\"\njwks = \"https://a/jwks\"\ntenants = { claim = \"iss\", allow = \"any\" }",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://a/{t}/v2\"\njwks = \"https://a/jwks\"\ntenants = { claim = \"tid\", allow = [\"t1\"] }\n",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://a/{t}/v2\"\njwks = \"https://a/jwks\"\noutput_issuer = \"https://p\"\ntenants = { claim = \"tid\", allow = \"any\", keep_issuer = true }",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://a/{t}/v2\"\njwks = \"https://a/jwks\"\ntenants = { claim = \"tid\", allow = [\"t1\"] }\noutput_issuer = \"https://p/{t}\"",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://a/{t\"\njwks = \"https://a/jwks\"\ntenants = { claim = \"tid\", allow = [\"t1\"] }\noutput_issuer = \"https://p\"",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://{t}.a/v2\"\njwks = \"https://a/jwks\"\ntenants = { claim = \"tid\", allow = [\"t1\"] }\noutput_issuer = \"https://p\"",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://a/v2\"\njwks = \"https://a/jwks\"\ntenants = { claim = \"tid\", allow = [\"t1\"] }\n",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://a/{t}/v2\"\njwks = \"https://a/jwks\"\ntenants = { claim = \"tid\", allow = [\"t1\"] }\noutput_issuer = \"https://p\"\n[[issuer]]\nname = \"b\"\nissuer = \"https://a/{u}/v2\"\njwks = \"https://a/jwks\"\ntenants = { claim = \"tid\", allow = [\"t1\"] }\noutput_issuer = \"https://q\"",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\noutput_issuer = \"https://p\"\n[[issuer]]\nname = \"b\"\nissuer = \"https://b\"\njwks = \"https://a/jwks\"\noutput_issuer = \"https://p\"",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\noutput_issuer = \"https://b\"\n[[issuer]]\nname = \"b\"\nissuer = \"https://b\"\njwks = \"https://a/jwks\"\n",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\noutput_issuer = \"https://b/t9/v2\"\n[[issuer]]\nname = \"b\"\nissuer = \"https://b/{t}/v2\"\njwks = \"https://a/jwks\"\ntenants = { claim = \"tid\", allow = \"any\", keep_issuer = true }",
    "[[issuer]]\nname = \"a\"\nissuer = \"https://a/{t}/v2\"\njwks = \"https://a/jwks\"\ntenants = { claim = \"tid\", allow = [\"t1\"] }\noutput_issuer = \"https://p\"\n[exchange.session]\nurl = \"http://a/s\"\nissuer = \"https://a/t1/v2\"\naudience = \"app\"\nclaims = { sub = \"id\" }",
    "[[issuer]]\nname = \"../a\"\nissuer = \"https://a\"\njwks = \"https://a/jwks\"",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\n\n[[issuer]]\nname = \"b\"\nissuer = [\"https://b\", \"https://a\"]\njwks = \"https://b/jwks\"",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\n\n[[issuer]]\nissuer = \"https://a/2\"\njwks = \"https://b/jwks\"",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\njwks_path = \"/k\"\n\n[[issuer]]\nissuer = \"https://b\"\njwks = \"https://b/jwks\"\njwks_path = \"/k\"",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\njwks_path = \"/.well-known/jwks.json\"\n\n[[issuer]]\nissuer = \"https://b\"\njwks = \"https://b/jwks\"",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nrefresh = { cooldown = \"0s\" }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nfetch = { headers = { \"x y\" = \"1\" } }",
    "[upstream]\nurl = \"http://a\"\n[[tokens]]\njson = \"access_token\"",
    "[upstream]\nurl = \"http://a\"\n[[tokens]]\npath = \"/token\"",
    "[upstream]\nurl = \"http://a\"\n[[tokens]]\npath = \"token\"\njson = \"a\"",
    "[upstream]\nurl = \"http://a\"\n[[tokens]]\npath = \"/t\"\njson = [\"ok\", \"a..b\"]",
    "[upstream]\nurl = \"http://a\"\n[[tokens]]\npath = \"/t\"\nbearer = \"swop\"",
    "[upstream]\nurl = \"http://a\"\n[[tokens]]\npath = \"/t\"\njson = \"a\"\n[[tokens]]\npath = \"/t\"\ncookies = \"a\"",
    "[upstream]\nurl = \"http://a\"\n[discovery]\nendpoints = true",
    "[discovery]\nissuer = \"https://p\"\n[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"",
    "[upstream]\nurl = \"http://a\"\n[exchange]\ncors_origins = [\"https://app.example.com/\"]",
    "[upstream]\nurl = \"http://a\"\n[exchange]\ncors_origins = \"*\"\n[exchange.session]\nurl = \"http://a/s\"\nissuer = \"https://s\"\naudience = \"app\"\ncookies = [\"sid\"]\nclaims = { sub = \"id\" }",
    "[upstream]\nurl = \"http://a\"\n[exchange.session]\nurl = \"http://a/s\"\nissuer = \"https://s\"\naudience = \"app\"\nclaims = { email = \"mail\" }",
    "[upstream]\nurl = \"http://a\"\n[exchange.session]\nurl = \"http://a/s\"\nissuer = \"https://s\"\naudience = \"app\"\nclaims = { sub = \"users[*].id\" }",
    "[upstream]\nurl = \"http://a\"\n[[exchange.introspection]]\nurl = \"http://a/i\"\nclient_id = \"c\"\nclient_secret = \"${SHORT}\"",
    "[upstream]\nurl = \"http://a\"\n[log]\nlevel = \"loud\"",
    "[upstream]\nurl = \"http://a\"\n[limits]\ntoken = \"16\"",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nissuer_when_missing = true",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\nissuer_when_missing = true\noutput_issuer = \"https://p\"\n[[issuer]]\nissuer = \"https://b\"\njwks = \"https://b/jwks\"",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\naudience_when_missing = { audience = \"app\", clients = [\"c1\"], vouched_by = \"iss\" }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks/c12\"\naudience_when_missing = { audience = \"app\", clients = [\"c1\"], vouched_by = \"jwks\" }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks/c1\"\naudience_when_missing = { audience = \"app\", clients = [\"c1\", \"c2\"], vouched_by = \"jwks\" }",
    "[[issuer]]\nissuer = \"https://a\"\njwks = \"https://a/jwks\"\naudience_when_missing = { audience = \"app\", clients = [\"c1\"], vouched_by = \"azp\" }",
    "[upstream]\nurl = \"http://a\"\n[[tokens]]\npath = \"/**\"\njson = \"t\"\n[[tokens]]\npath = \"/a/*\"\njson = \"t\"",
    "[upstream]\nurl = \"http://a\"\n[[tokens]]\npath = \"/a\"\nheaders = \"Location\"",
];

#[test]
fn errors_say_where_what_and_what_is_allowed() {
    let mut told = String::new();
    for text in BAD {
        let Err(error) = load(text) else { panic!("accepted:\n{text}") };
        writeln!(told, "{text}\n--> {error}").unwrap();
        if let Some(hint) = &error.hint {
            writeln!(told, "    hint: {hint}").unwrap();
        }
        told.push('\n');
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    insta::assert_snapshot!(told);
}

#[test]
fn every_error_of_a_file_has_a_position() {
    for text in BAD.iter().filter(|text| !text.is_empty()) {
        let error = load(text).unwrap_err();
        let whole = error.key.as_deref() == Some("upstream") && !text.contains("[upstream]");
        assert!(error.position.is_some() || whole, "{error}");
    }
}

/// A hosted server finds its tenant by the `Host`, and answers to no other name.
#[test]
fn a_hosted_upstream_hears_its_own_name_unless_told_otherwise() {
    let host = |toml: &str| load(toml).unwrap().upstream.unwrap().host.unwrap();
    let at = |url: &str| format!("[upstream]\nurl = \"{url}\"\n");
    let hosted = at("https://tenant.example.com");
    let public = |url: &str| format!("[server]\npublic_url = \"{url}\"\n");
    assert_eq!(host(&hosted), HostHeader::Upstream);
    let other = format!("{}{hosted}", public("https://login.example.com"));
    assert_eq!(host(&other), HostHeader::Upstream);
    // The same name at another port. With the same port the upstream would be this proxy.
    let same = format!("{}{hosted}", public("https://tenant.example.com:8443"));
    assert_eq!(host(&same), HostHeader::Client);
    assert_eq!(host(&format!("{hosted}host = \"client\"\n")), HostHeader::Client);
    assert_eq!(host(&at("http://auth:3000")), HostHeader::Client);
    assert_eq!(host(&at("https://10.0.0.1")), HostHeader::Client);
    for (flag, expected) in [
        ("client", HostHeader::Client),
        ("upstream", HostHeader::Upstream),
        ("auth.example.com:8443", HostHeader::Name("auth.example.com:8443".into())),
    ] {
        let overrides =
            RunOverrides { upstream_host: Some(flag.to_owned()), ..RunOverrides::default() };
        let config = config::load_text(&hosted, None, &overrides, &NoEnv).unwrap();
        assert_eq!(config.upstream.unwrap().host, Some(expected));
    }
    let overrides =
        RunOverrides { upstream_host: Some("upstrem".to_owned()), ..RunOverrides::default() };
    let error = config::load_text(&hosted, None, &overrides, &NoEnv).unwrap_err().to_string();
    assert!(error.contains("--upstream-host") && error.contains("`upstream`"), "{error}");
}

/// Fields of `[issuer.fetch]` that only the program sets cannot be configured, and have their defaults.
#[test]
fn a_configured_issuer_may_be_inside_the_network() {
    let toml = |more: &str| {
        format!(
            "[upstream]\nurl = \"http://127.0.0.1:1\"\n[[issuer]]\nissuer = \"https://a.example\"\n\
             jwks = \"https://a.example/jwks\"\n[issuer.fetch]\nredirects = 1\n{more}"
        )
    };
    let config = load(&toml("")).unwrap();
    let fetch = &config.issuers[0].fetch;
    assert!(fetch.inside && fetch.forwarded.is_none() && fetch.redirects == 1);
    for key in ["inside = false", "forwarded = {}"] {
        let error = load(&toml(key)).unwrap_err();
        assert_eq!(error.why, "unknown key", "{key}: {error}");
    }
    let served = load(&toml("").replace("https://a.example/jwks", "/jwks")).unwrap();
    let forwarded = served.issuers[0].fetch.forwarded.clone().unwrap();
    assert_eq!(forwarded.host, "127.0.0.1:1");
}

#[test]
fn a_host_makes_no_upstream() {
    let overrides =
        RunOverrides { upstream_host: Some("upstream".to_owned()), ..RunOverrides::default() };
    let error = config::load_text("", None, &overrides, &NoEnv).unwrap_err();
    assert!(error.hint.unwrap().contains("--upstream "), "{}", error.why);
    let toml = "[[issuer]]\nissuer = \"https://a.example\"\njwks = \"https://a.example/jwks\"\n";
    let config = config::load_text(toml, None, &overrides, &NoEnv).unwrap();
    assert!(config.upstream.is_none());
}
