//! `[signing]`.

use std::path::Path;
use std::time::Duration;

use url::Url;

use super::super::error::{Checked, SettingFault};
use super::super::raw::RawSigning;
use super::place::At;
use super::secret;
use crate::env::Env;
use crate::jose::alg::Alg;
use crate::jose::sign::SigningKey;
use crate::keyring::{KeySource, KeyringSettings, RedisKey, StoreSettings, outside};
use crate::setting::{self, Secret};

const SKEW: Duration = Duration::from_secs(60);
/// Long enough for a failover of Redis or a restart of a switch, and still short enough to wait.
const OUTAGE: Duration = Duration::from_secs(600);

pub(super) fn resolve(
    raw: RawSigning,
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
    let rotate_every = raw.rotate_every.as_deref().filter(|text| *text != "never");
    let rotate_every = rotate_every.map(setting::duration).transpose();
    let rotate_every = rotate_every.map_err(|invalid| at.key("rotate_every").invalid(invalid))?;
    let skew = raw.skew.as_ref().map_or(SKEW, |skew| skew.0);
    let max_age = Duration::from_secs(max_age.into());
    let redis = raw.store.as_deref().is_some_and(|store| store.starts_with("redis"));
    at.key("outage").fault("`outage` needs a Redis store").when(raw.outage.is_some() && !redis)?;
    let default_outage = if redis { OUTAGE } else { Duration::ZERO };
    let outage = raw.outage.map_or(default_outage, |outage| outage.0);
    let hint = match redis {
        true => {
            "it is at least twice `server.max_age`, `signing.skew` and `signing.outage` together"
        }
        false => "it is at least twice `server.max_age` and `signing.skew` together",
    };
    at.key("rotate_every")
        .fault("a key would be replaced before every cache has seen it")
        .hint(hint)
        .when(rotate_every.is_some_and(|every| every < 2 * (max_age + skew + outage)))?;
    let file = raw.encryption_key_file.as_deref();
    let encryption_key =
        secret::text_or_file(&at, "encryption_key", raw.encryption_key, file, base)?;
    let store_at = at.key("store");
    let store = match raw.store.as_deref() {
        None => StoreSettings::File(data_dir.to_owned()),
        Some(text) => match text.split_once(':') {
            Some(("file", dir)) if !dir.is_empty() => StoreSettings::File(base.join(dir)),
            Some(("readonly", dir)) if !dir.is_empty() => {
                StoreSettings::Supplied(KeySource::Directory(base.join(dir)))
            }
            Some(("env", name)) => {
                let keys = outside::from_variables(name, |name| env.var(name));
                let keys = keys.map_err(|why| {
                    store_at
                        .fault(why)
                        .hint("`countersign keys generate --output FILE` makes a key for it")
                })?;
                StoreSettings::Supplied(KeySource::Variables { name: name.to_owned(), keys })
            }
            Some(("redis" | "rediss", _)) => {
                redis_address(&store_at, text)?;
                let key = encryption_key.as_ref().ok_or_else(|| {
                    at.key("encryption_key")
                        .fault("private keys are only kept in Redis encrypted")
                        .hint("`encryption_key = \"${COUNTERSIGN_ENCRYPTION_KEY}\"`, made by `openssl rand -base64 32`")
                })?;
                store_at
                    .fault("this build is without the feature `redis`")
                    .when(!cfg!(feature = "redis"))?;
                let encryption_key = RedisKey(secret::key_32(&at.key("encryption_key"), key)?);
                StoreSettings::Redis { url: Secret::new(text.to_owned()), encryption_key }
            }
            _ => return Err(unknown(&store_at, text)),
        },
    };
    Ok(KeyringSettings { algorithm, store, rotate_every, max_age, skew, outage })
}

const KINDS: &str = "write `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`";

/// Checks the address of a Redis. It may hold a password, so no message repeats it.
fn redis_address(at: &At, text: &str) -> Checked<()> {
    let form = "write `redis://HOST:6379/0`; with a password `redis://:PASSWORD@HOST:6379/0`, where `@`, `/`, \
        `:` and `%` in it are `%40`, `%2F`, `%3A` and `%25`";
    let url = Url::parse(text)
        .map_err(|why| at.fault(format_args!("it is no address of a Redis: {why}")).hint(form))?;
    at.fault("it is no address of a Redis: it has no host")
        .hint(form)
        .when(url.host_str().is_none_or(str::is_empty))?;
    let database = url.path().trim_matches('/');
    if !database.is_empty() && database.parse::<u32>().is_err() {
        let why = "what follows the host must be the number of a database";
        return Err(at.fault(why).hint("write `redis://HOST:6379/0`; `?ring=NAME` names the ring"));
    }
    Ok(())
}

/// The fault of a store that is none of ours. Most often it is the address of a Redis with another scheme, or
/// with none.
fn unknown(at: &At, text: &str) -> SettingFault {
    // A password may stand before the host.
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let port = |rest: &str| {
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
    };
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    let tls = matches!(scheme, Some("https" | "valkeys" | "tls"));
    let redis = if tls { "rediss" } else { "redis" };
    let secret = text.contains('@');
    match scheme {
        Some(scheme @ ("http" | "https" | "tcp" | "tls" | "valkey" | "valkeys")) => {
            let fault = at.fault(format_args!("`{scheme}:` is no kind of store"));
            if secret {
                fault.hint(format_args!("for a Redis or Valkey write `{redis}:` in its place"))
            } else {
                fault.meant(format_args!("{redis}://{rest}")).hint("that is a Redis or Valkey")
            }
        }
        None if port(rest) && !secret => at
            .fault("it lacks its kind")
            .meant(format_args!("redis://{rest}"))
            .hint("with TLS it is `rediss:`"),
        _ => at.fault("unknown kind of store").hint(KINDS),
    }
}
