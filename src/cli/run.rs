//! `countersign run`: the proxy.

use std::io::IsTerminal as _;

use super::Exit;
use super::args::RunArgs;
use super::output::{CliError, Output, paint};
use crate::config;
use crate::issuer::publisher::COMMON_PATH;
use crate::log;
use crate::serve::{self, OnStart, Options, RunError, Started, reachable};

/// # Errors
/// [`CliError`] for a bad configuration or what keeps the proxy from running.
pub fn run(args: &RunArgs, out: &mut Output) -> Result<Exit, CliError> {
    let found = config::find(args.config.as_deref());
    let config = args.load()?;
    if args.check {
        if let Some(note) = found.note() {
            out.note(note);
        }
        out.note("the configuration is good");
        return Ok(Exit::Good);
    }
    // The guard lives to the end: dropping it writes the lines that still wait.
    let _log =
        log::init(config.log.format, &config.log.filter).map_err(|e| CliError::new("log", e))?;
    if let Some(note) = found.note() {
        tracing::info!("{note}");
    }
    let again = args.clone();
    let upstream = config.upstream.as_ref().map(|upstream| upstream.url.to_string());
    let has_public_url = config.server.public_url.is_some();
    let mut terminal = Output::system();
    let show_banner: OnStart = Box::new(move |started| {
        let color = terminal.err_color;
        terminal.note(banner(upstream.as_deref(), has_public_url, started, color));
    });
    // For a person at a terminal. Elsewhere the log line `listening` has all of it.
    let person = config.log.format == log::Format::Text && std::io::stderr().is_terminal();
    let options = Options {
        upgrade: args.upgrade,
        reload: Some(Box::new(move || again.load())),
        started: person.then_some(show_banner),
    };
    serve::run(config, options)?;
    Ok(Exit::Good)
}

/// What a terminal shows when the proxy listens: the addresses to use next.
fn banner(upstream: Option<&str>, has_public_url: bool, started: &Started, color: bool) -> String {
    let Started { url, store, .. } = started;
    let mut text = String::new();
    let mut row = |what: &str, value: &str, aside: &str| {
        text.push_str(&format!("\n  {what:<12}{}", paint(color, "1", value)));
        if !aside.is_empty() {
            text.push_str(&format!("  {}", paint(color, "2", aside)));
        }
    };
    if let Some(upstream) = upstream {
        row("auth server", upstream.trim_end_matches('/'), "");
    }
    let aside = match has_public_url {
        true => "",
        false => "from this machine; set --public-url to the address that clients use",
    };
    row("clients", url, aside);
    row("Convex", &format!("{url}{COMMON_PATH}"), "`jwks:` in convex/auth.config.ts");
    match started.admin.first() {
        Some(admin) => row("status page", &format!("http://{}/", reachable(*admin)), ""),
        None => row("status page", "off", "--admin turns it on"),
    }
    let made = match started.made {
        true => "created a new signing key",
        false => "existing signing keys",
    };
    row("keys", store, made);
    match started.data_dir.as_ref().map(|dir| dir.display().to_string()) {
        Some(dir) if store.contains(&dir) => {}
        Some(dir) => row("data", &dir, "last good key sets of the issuers"),
        None => row("data", "none", "last good key sets are kept only in memory"),
    }
    text + "\n"
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        let text = error.to_string();
        // The text already has the form `<what>: <why>`.
        let (what, why) = text.split_once(": ").unwrap_or(("run", &text));
        let hint = match &error {
            RunError::Listen(error) => Some(error.hint()),
            RunError::Keyring(error) => error.hint().map(str::to_owned),
            _ => None,
        };
        Self::new(what, why).hint_if_any(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> Started {
        Started {
            public: vec!["0.0.0.0:8080".parse().unwrap()],
            admin: vec!["0.0.0.0:9090".parse().unwrap()],
            url: "https://login.example.com".to_owned(),
            store: "file:/var/lib/countersign".to_owned(),
            kid: "k".to_owned(),
            made: true,
            data_dir: Some("/var/lib/countersign".into()),
        }
    }

    #[test]
    fn a_person_is_told_where_to_go_next() {
        let text = banner(Some("https://auth.example.com/"), true, &started(), false);
        for part in [
            "auth server https://auth.example.com\n",
            "clients     https://login.example.com\n",
            "Convex      https://login.example.com/.well-known/jwks.json  `jwks:`",
            "status page http://127.0.0.1:9090/\n",
            "keys        file:/var/lib/countersign  created a new signing key\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("Some(") && !text.contains("data  "), "{text}");
        let elsewhere = Started {
            admin: Vec::new(),
            store: "env:KEY".to_owned(),
            made: false,
            data_dir: None,
            ..started()
        };
        let text = banner(None, false, &elsewhere, false);
        assert!(text.contains("status page off") && text.contains("only in memory"), "{text}");
        assert!(text.contains("set --public-url"), "{text}");
    }
}
