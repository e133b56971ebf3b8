//! Keys that are supplied from outside: the commands cannot change them, so they say who can, and how.

use super::super::output::CliError;
use super::list::span;
use crate::keyring::{KeySource, KeyState, KeyringSettings, StoreSettings};

/// The error of a command that would change such keys. `at_once`: the old key is compromised.
pub(super) fn unchanged(settings: &KeyringSettings, store: &str, at_once: bool) -> CliError {
    let wait = span((settings.max_age + settings.skew).as_secs().cast_signed());
    match &settings.store {
        StoreSettings::Supplied(KeySource::Variables { name, keys }) => {
            let has_next = keys.iter().any(|(state, _)| *state == KeyState::Next);
            let why = format!(
                "its keys come from the environment variable {name}: they are rotated where it is set, not here"
            );
            let hint = by_variables(name, &wait, has_next, at_once);
            CliError::new(store, why).hint(hint)
        }
        StoreSettings::Supplied(KeySource::Directory(dir)) => {
            let why = "its keys are mounted read-only: they are rotated at their source, not here";
            CliError::new(store, why).hint(format!(
                "at the source of {} (a Kubernetes Secret) put a new key, by `countersign keys generate --output \
                 new.pem`, in the place of the one that signs, and keep the old one beside it as `previous.pem`: \
                 a running proxy publishes the new key within two minutes, and signs with it once every cached \
                 copy has it",
                dir.display()
            ))
        }
        StoreSettings::File(_) | StoreSettings::Redis { .. } => {
            CliError::new(store, "the keys are not changed here")
        }
    }
}

/// The deployments of docs/operations.md.
fn by_variables(name: &str, wait: &str, has_next: bool, at_once: bool) -> String {
    const MAKE_KEY: &str = "`countersign keys generate --output new.pem` makes a key";
    if at_once {
        return format!(
            "{MAKE_KEY}; deploy with it in {name} and without the old key: the tokens that the old key signed fail \
             from then on"
        );
    }
    let first = match has_next {
        true => format!("{name}_NEXT is set"),
        false => format!("{MAKE_KEY}; deploy with it in {name}_NEXT"),
    };
    format!(
        "{first}; {wait} after that deployment (`max_age` and `skew`) deploy with the new key in {name} and the \
         old one in {name}_PREVIOUS; once the last token of the old key has expired, remove {name}_PREVIOUS"
    )
}
