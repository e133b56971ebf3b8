//! `countersign keys`: the local signing keys. It works on the store itself, also beside a running
//! proxy, which sees the change within seconds.

use std::future::Future;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::Exit;
use super::args::{KeysArgs, KeysCommand, KeysPlace};
use super::output::{CliError, Output};
use crate::clock::Clock;
use crate::config::{self, RunOverrides};
use crate::jose::jwks::KeySet;
use crate::jose::names::UnixTime;
use crate::keyring::ring::RingState;
use crate::keyring::{KeyView, Keyring, KeyringError, KeyringSettings, Office, StoreError};

/// # Errors
/// [`CliError`] where the store cannot be read or written.
pub fn run(args: &KeysArgs, out: &mut Output) -> Result<Exit, CliError> {
    match &args.command {
        KeysCommand::List { place, json } => list(&settings(place)?, *json, out),
        KeysCommand::Rotate { place, now, json } => rotate(&settings(place)?, *now, *json, out),
        KeysCommand::Import { place, file, json } => import(&settings(place)?, file, *json, out),
        KeysCommand::Export { place, public, data_uri } => {
            let settings = settings(place)?;
            if *public || *data_uri {
                export_public(&settings, *data_uri, out)
            } else {
                export_private(&settings, out)
            }
        }
    }
}

fn settings(place: &KeysPlace) -> Result<KeyringSettings, CliError> {
    // The ring needs no upstream, which a configuration does.
    let upstream = place.config.is_none().then(|| "http://localhost".to_owned());
    let overrides =
        RunOverrides { data_dir: place.data_dir.clone(), upstream, ..RunOverrides::default() };
    Ok(config::load(place.config.as_deref(), &overrides, &config::env::ProcessEnv)?.keyring)
}

fn list(settings: &KeyringSettings, json: bool, out: &mut Output) -> Result<Exit, CliError> {
    let ring = load(settings)?;
    if json {
        out.json_pretty(&views(&ring));
        return Ok(Exit::Good);
    }
    out.line(format!("{:<43}  {:<5}  {:<7}  {}", "KID", "ALG", "STATE", "TIMES"));
    let now = Clock::system().now();
    for key in views(&ring) {
        let office = office(key.office);
        out.line(format!("{:<43}  {:<5}  {office:<7}  {}", key.kid, key.alg, times(&key, now)));
    }
    Ok(Exit::Good)
}

fn office(office: Office) -> &'static str {
    match office {
        Office::Next => "next",
        Office::Active => "active",
        Office::Retired => "retired",
    }
}

fn times(key: &KeyView, now: UnixTime) -> String {
    let ago = |t: i64| span(now.secs() - t);
    match key.office {
        Office::Next if key.usable > now.secs() => {
            format!("may sign in {}", span(key.usable - now.secs()))
        }
        Office::Next => "may sign".to_owned(),
        Office::Active => {
            format!("signs since {} ago", ago(key.activated.unwrap_or(key.published)))
        }
        Office::Retired => {
            let left = (key.horizon - now.secs()).max(0);
            format!("retired {} ago, published {} more", ago(key.retired.unwrap_or(0)), span(left))
        }
    }
}

/// A time span in words, its two largest units.
fn span(secs: i64) -> String {
    let secs = secs.max(0);
    match (secs / 86_400, secs / 3600 % 24, secs / 60 % 60) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, m) => format!("{m} min"),
        (0, h, m) => format!("{h} h {m} min"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

fn rotate(
    settings: &KeyringSettings,
    now: bool,
    json: bool,
    out: &mut Output,
) -> Result<Exit, CliError> {
    let status = block_on(async {
        let ring = Keyring::open(settings.clone(), Clock::system()).await?;
        ring.rotate(now).await?;
        Ok(ring.status())
    })?;
    if json {
        out.json_pretty(&status);
        return Ok(Exit::Good);
    }
    let next = status.keys.iter().find(|key| key.office == Office::Next);
    match next {
        Some(next) => {
            let wait = span(next.usable - Clock::system().now().secs());
            out.line(format!("{} is published and signs in {wait}", next.kid));
        }
        None => out.line(format!("{} signs now", status.active)),
    }
    Ok(Exit::Good)
}

fn import(
    settings: &KeyringSettings,
    file: &str,
    json: bool,
    out: &mut Output,
) -> Result<Exit, CliError> {
    let mut text = Zeroizing::new(String::new());
    if file == "-" {
        std::io::stdin().read_to_string(&mut text).map_err(|e| CliError::new("stdin", e))?;
    } else {
        *text = std::fs::read_to_string(file).map_err(|e| CliError::new(file, e))?;
    }
    let key = crate::keyring::readonly::parse_key(&text)
        .map_err(|e| CliError::new(file, e).hint("PEM (PKCS#8, PKCS#1, SEC 1) or a private JWK"))?;
    let (kid, alg) = (key.kid().to_string(), key.alg());
    let new = block_on(Keyring::import(settings, key, Clock::system()))?;
    if json {
        out.json(&serde_json::json!({ "kid": kid, "alg": alg.name(), "imported": new }));
    } else if new {
        out.line(format!("{kid} ({alg}) is in the ring"));
    } else {
        out.line(format!("{kid} ({alg}) was in the ring already"));
    }
    Ok(Exit::Good)
}

fn export_public(
    settings: &KeyringSettings,
    data_uri: bool,
    out: &mut Output,
) -> Result<Exit, CliError> {
    let ring = load(settings)?;
    let keys = ring.keys.iter().map(|key| key.key.public().clone()).collect();
    let document = KeySet::new(keys).to_document();
    if data_uri {
        // Base64, so that nothing in it needs quoting where it is pasted.
        let body = STANDARD.encode(document);
        out.line(format!("data:application/json;charset=utf-8;base64,{body}"));
    } else {
        out.line(document);
    }
    Ok(Exit::Good)
}

/// PKCS#8 PEM of every key, the active one first; what `import` takes back one by one.
fn export_private(settings: &KeyringSettings, out: &mut Output) -> Result<Exit, CliError> {
    let mut ring = load(settings)?;
    ring.keys.sort_by_key(|key| key.times.office != Office::Active);
    for key in &ring.keys {
        let der = key.key.to_pkcs8().map_err(|e| CliError::new(&key.times.kid, e))?;
        let block = pem::Pem::new("PRIVATE KEY", der.to_vec());
        let text = Zeroizing::new(pem::encode_config(
            &block,
            pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
        ));
        out.text(text.as_str());
    }
    Ok(Exit::Good)
}

fn views(ring: &RingState) -> Vec<KeyView> {
    ring.keys.iter().map(KeyView::of).collect()
}

/// The stored ring; a command that only reads makes none.
fn load(settings: &KeyringSettings) -> Result<RingState, CliError> {
    let ring = block_on(async {
        let store = crate::keyring::open::store(settings, &Clock::system())?;
        let place = store.describe();
        Ok((store.load(None).await?, place))
    })?;
    match ring {
        (Some(ring), _) => Ok(ring),
        (None, place) => Err(CliError::new(place, "there are no keys yet")
            .hint("`countersign run` makes the first one, `keys import` takes in yours")),
    }
}

fn block_on<T>(work: impl Future<Output = Result<T, KeyringError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::new("the runtime", e))?;
    runtime.block_on(work).map_err(|error| {
        let hint = match &error {
            KeyringError::Store(StoreError::Ring { .. }) => {
                "nothing was changed; restore the ring from a backup, or move it away to start anew"
            }
            KeyringError::Store(StoreError::Io { .. }) => "nothing was changed",
            _ => return CliError::new("the key ring", &error),
        };
        CliError::new("the key ring", &error).hint(hint)
    })
}
