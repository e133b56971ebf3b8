//! `countersign keys`: the local signing keys. The commands work on the store itself, also while a proxy
//! runs: it takes a change within seconds. Every answer names the store.

mod change;
mod export;
mod list;
mod outside;

use std::sync::Arc;

use super::args::{ConfigPlace, KeysCommand};
use super::output::{CliError, Output};
use super::{Exit, block_on};
use crate::clock::Clock;
use crate::config::{self, RunOverrides};
use crate::keyring::ring::RingState;
use crate::keyring::store::Store;
use crate::keyring::{Access, KeyringError, KeyringSettings, StoreError};
use crate::log;

/// A placeholder: a configuration needs an upstream, and a ring does not.
const NO_UPSTREAM: &str = "http://upstream.invalid";

/// # Errors
/// [`CliError`] where the store cannot be read or written.
pub fn run(command: &KeysCommand, out: &mut Output) -> Result<Exit, CliError> {
    // Warnings of the store go to stderr while a command waits. The guard lives to the end: once it is
    // dropped, the log writes nothing.
    let _log = log::init(log::Format::Text, &log::Filter::warnings());
    match command {
        KeysCommand::List { place, json } => list::run(&settings(place, out)?, *json, out),
        KeysCommand::Rotate { place, now, json } => {
            change::rotate(&settings(place, out)?, *now, *json, out)
        }
        KeysCommand::Import { place, file, json } => {
            change::import(&settings(place, out)?, file, *json, out)
        }
        KeysCommand::Export { place, public: _, data_uri, private, json } => {
            let settings = settings(place, out)?;
            match private {
                Some(file) => export::private(&settings, file, *json, out),
                None => export::public(&settings, *data_uri, out),
            }
        }
        KeysCommand::Generate(args) => export::generate(args, out),
    }
}

/// The settings of the proxy that uses the store, found as `run` finds them.
fn settings(place: &ConfigPlace, out: &mut Output) -> Result<KeyringSettings, CliError> {
    let (found, overrides) = place.find(out);
    let overrides = RunOverrides { upstream: Some(NO_UPSTREAM.to_owned()), ..overrides };
    let config = config::load(found.path.as_deref(), &overrides, &config::env::ProcessEnv)?;
    Ok(config.keyring)
}

/// An open store and its name.
fn store(settings: &KeyringSettings) -> Result<(Arc<dyn Store>, String), CliError> {
    let store = settings
        .open_store(Access::Operate, &Clock::system())
        .map_err(|error| failed("the key store", &error))?;
    let name = store.describe();
    Ok((store, name))
}

/// The stored ring and the store's name. A command that only reads does not create a ring.
fn load(settings: &KeyringSettings) -> Result<(RingState, String), CliError> {
    block_on(async {
        let (store, name) = store(settings)?;
        match store.load(None).await {
            Ok(Some(ring)) => Ok((ring, name)),
            Ok(None) => Err(none_there(&name)),
            Err(error) => Err(failed(&name, &error.into())),
        }
    })
}

fn none_there(store: &str) -> CliError {
    CliError::new(store, "there are no keys yet").hint(
        "if your proxy uses another store, name it by --config, --data-dir or --store; `countersign \
         run` makes the first key, `keys import` adds yours",
    )
}

fn failed(store: &str, error: &KeyringError) -> CliError {
    // These name the store themselves.
    let failed = match error {
        KeyringError::Store(StoreError::Away { at, why, .. }) => CliError::new(at, why),
        _ => CliError::new(store, error),
    };
    failed.hint_if_any(error.hint())
}
