//! `keys rotate` and `keys import`, which change the ring.

use std::io::Read as _;
use std::time::Duration;

use serde::Serialize;
use zeroize::Zeroizing;

use super::super::Exit;
use super::super::output::{CliError, Output};
use super::list::span;
use super::{block_on, failed, none_there, outside, store};
use crate::clock::Clock;
use crate::keyring::{KeyView, Keyring, KeyringError, KeyringSettings, Uptake, admit};
use crate::rotation::KeyState;

/// How long to wait for running proxies. Each reads the store every second or two.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes read of a key file. Every key is far smaller.
const KEY_LIMIT: u64 = 64 * 1024;

/// What `rotate --json` prints.
#[derive(Serialize)]
struct Rotated<'a> {
    store: &'a str,
    epoch: u64,
    /// The new key.
    kid: &'a str,
    /// `next`: published and waiting; `active`: it signs.
    state: &'static str,
    /// Seconds since 1970.
    signs_from: i64,
    /// Proxies that run on this store; `null` where the store cannot tell.
    running: Option<usize>,
    /// How many of them still serve the old ring.
    behind: usize,
    keys: &'a [KeyView],
}

pub(super) fn rotate(
    settings: &KeyringSettings,
    now: bool,
    json: bool,
    out: &mut Output,
) -> Result<Exit, CliError> {
    let (status, served) = block_on(async {
        let (store, name) = store(settings)?;
        let at = |error: KeyringError| failed(&name, &error);
        if !store.rotates() {
            return Err(outside::unchanged(settings, &name, now));
        }
        if store.load(None).await.map_err(|e| at(e.into()))?.is_none() {
            return Err(none_there(&name));
        }
        let ring = Keyring::with_store(settings, store, Clock::system()).await.map_err(at)?;
        ring.rotate(now).await.map_err(at)?;
        let served = ring.wait_until_served(TIMEOUT).await.map_err(at)?;
        Ok((ring.status(), served))
    })?;
    let next = status.keys.iter().find(|key| key.state == KeyState::Next && !now);
    let active = status.keys.iter().find(|key| key.state == KeyState::Active);
    let Some(key) = next.or(active) else {
        return Err(failed(&status.store, &KeyringError::NoActive));
    };
    let Uptake { running, behind } = served;
    if json {
        out.json_pretty(&Rotated {
            store: &status.store,
            epoch: status.epoch,
            kid: &key.kid,
            state: key.state.name(),
            signs_from: key.activated.unwrap_or(key.usable),
            running,
            behind,
            keys: &status.keys,
        });
    }
    if let Uptake { running: Some(running), behind: behind @ 1.. } = served {
        let why = format!(
            "the new key is stored, but {behind} of {running} running proxies did not take it within {} s \
             and go on signing with the old one",
            TIMEOUT.as_secs()
        );
        return Err(CliError::new(&status.store, why).hint(
            "their logs and /readyz say why they cannot read the store; after a restart they use the new key",
        ));
    }
    if !json {
        out.line(outcome(&status.store, key, running));
    }
    Ok(Exit::Good)
}

/// The outcome in one line.
fn outcome(store: &str, key: &KeyView, running: Option<usize>) -> String {
    let kid = &key.kid;
    let wait = span(key.usable - Clock::system().now().secs());
    let proxies = match running {
        None | Some(0) => None,
        Some(1) => Some("the running proxy".to_owned()),
        Some(n) => Some(format!("{n} running proxies")),
    };
    match (key.state, proxies) {
        (KeyState::Next, None) => format!(
            "{store}: {kid} is published and signs in {wait}; no proxy runs on this store now, the next one will use it"
        ),
        (KeyState::Next, Some(proxies)) => {
            format!("{store}: {kid} is published by {proxies} and signs in {wait}")
        }
        (_, None) => {
            format!("{store}: {kid} signs from the next start on; no proxy runs on this store now")
        }
        (_, Some(proxies)) => format!("{store}: {kid} signs now, in {proxies}"),
    }
}

/// What `import --json` prints.
#[derive(Serialize)]
struct Imported<'a> {
    store: &'a str,
    kid: &'a str,
    alg: &'static str,
    /// False if the key was in the ring already.
    imported: bool,
}

pub(super) fn import(
    settings: &KeyringSettings,
    file: &str,
    json: bool,
    out: &mut Output,
) -> Result<Exit, CliError> {
    let text = match file {
        "-" => text(std::io::stdin().lock()).map_err(|e| CliError::new("stdin", e))?,
        _ => std::fs::File::open(file).and_then(text).map_err(|e| CliError::new(file, e))?,
    };
    let count = admit::count(&text);
    if count > 1 {
        let why = format!("it holds {count} private keys, and one is imported at a time");
        return Err(CliError::new(file, why).hint(format!(
            "of a backup the first one signs: `openssl pkey -in {file} -out one.pem`, then import one.pem. \
             The others are not needed: the tokens they signed stay valid only with the old ring"
        )));
    }
    let key = admit::parse(&text).map_err(|e| {
        CliError::new(file, e)
            .hint("PEM (PKCS#8, PKCS#1, SEC 1), a private JWK, or the base64 of either")
    })?;
    let (kid, alg) = (key.kid().to_string(), key.alg().name());
    let (imported, place) = block_on(async {
        let (store, name) = store(settings)?;
        if !store.rotates() {
            return Err(outside::unchanged(settings, &name, false));
        }
        let imported = Keyring::import(settings, key, Clock::system()).await;
        imported.map_err(|e| failed(&name, &e)).map(|imported| (imported, name))
    })?;
    if json {
        out.json_pretty(&Imported { store: &place, kid: &kid, alg, imported });
    } else {
        let text = if imported { "is in the ring" } else { "was in the ring already" };
        out.line(format_args!("{place}: {kid} ({alg}) {text}"));
    }
    Ok(Exit::Good)
}

fn text(from: impl std::io::Read) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    from.take(KEY_LIMIT).read_to_string(&mut text)?;
    Ok(text)
}
