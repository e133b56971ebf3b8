//! `[signing]`.

use std::path::Path;
use std::time::Duration;

use super::super::error::Checked;
use super::super::raw::RawSigning;
use super::place::At;
use super::secret;
use crate::env::Env;
use crate::jose::alg::Alg;
use crate::jose::sign::SigningKey;
use crate::keyring::{KeyringSettings, RedisKey, StoreSettings, outside};
use crate::setting::{self, Secret};

const SKEW: Duration = Duration::from_secs(60);
/// Long enough for a failover of Redis or a restart of a switch, and still short enough to wait.
const OUTAGE: Duration = Duration::from_secs(600);

pub(super) fn resolve(
    raw: &RawSigning,
    base: &Path,
    data_dir: &Path,
    max_age: u32,
    env: &impl Env,
) -> Checked<KeyringSettings> {
    let at = At::root("signing");
    let algorithm = match raw.algorithm.as_deref() {
        None => Alg::Rs256,
        Some(name) => {
            let alg = SigningKey::ALGORITHMS.iter().find(|alg| alg.name() == name);
            let names: Vec<&str> = SigningKey::ALGORITHMS.iter().map(Alg::name).collect();
            alg.ok_or_else(|| at.key("algorithm").choice(name, &names))?
        }
    };
    let rotate_every = match raw.rotate_every.as_deref() {
        None | Some("never") => None,
        Some(text) => Some(
            setting::duration(text).map_err(|invalid| at.key("rotate_every").invalid(invalid))?,
        ),
    };
    let skew = raw.skew.as_ref().map_or(SKEW, |skew| skew.0);
    let max_age = Duration::from_secs(max_age.into());
    let redis = raw.store.as_deref().is_some_and(|store| store.starts_with("redis"));
    let outage = match &raw.outage {
        Some(_) if !redis => {
            return Err(at.key("outage").fault("`outage` needs a Redis store"));
        }
        Some(outage) => outage.0,
        None => {
            if redis {
                OUTAGE
            } else {
                Duration::ZERO
            }
        }
    };
    if let Some(every) = rotate_every
        && every < 2 * (max_age + skew + outage)
    {
        return Err(at
            .key("rotate_every")
            .fault("a key would be replaced before every cache has seen it")
            .hint(if redis {
                "it is at least twice `server.max_age`, `signing.skew` and `signing.outage` together"
            } else {
                "it is at least twice `server.max_age` and `signing.skew` together"
            }));
    }
    let encryption_key = secret::optional(
        &at,
        ("encryption_key", raw.encryption_key.as_deref()),
        ("encryption_key_file", raw.encryption_key_file.as_deref()),
        base,
    )?;
    let store_at = at.key("store");
    let store = match raw.store.as_deref() {
        None => StoreSettings::File(data_dir.to_owned()),
        Some(text) => match text.split_once(':') {
            Some(("file", dir)) if !dir.is_empty() => StoreSettings::File(base.join(dir)),
            Some(("readonly", dir)) if !dir.is_empty() => StoreSettings::ReadOnly(base.join(dir)),
            Some(("env", name)) => {
                let keys = outside::from_variables(name, |name| env.var(name));
                let keys = keys.map_err(|why| {
                    store_at
                        .fault(why)
                        .hint("`countersign keys generate --output FILE` makes a key for it")
                })?;
                StoreSettings::Env { name: name.to_owned(), keys }
            }
            Some(("redis" | "rediss", _)) => {
                let key = encryption_key.as_ref().ok_or_else(|| {
                    at.key("encryption_key")
                        .fault("private keys are only kept in Redis encrypted")
                        .hint("`encryption_key = \"${COUNTERSIGN_ENCRYPTION_KEY}\"`, made by `openssl rand -base64 32`")
                })?;
                if !cfg!(feature = "redis") {
                    return Err(store_at.fault("this build is without the feature `redis`"));
                }
                let encryption_key = RedisKey(secret::key_32(&at.key("encryption_key"), key)?);
                StoreSettings::Redis { url: Secret::new(text.to_owned()), encryption_key }
            }
            _ => {
                return Err(store_at.fault("unknown kind of store").hint(
                    "write `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`",
                ));
            }
        },
    };
    Ok(KeyringSettings { algorithm, store, rotate_every, max_age, skew, outage })
}
