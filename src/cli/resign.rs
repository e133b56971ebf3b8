//! `countersign resign` does to one token what the proxy would do, with the same configuration, signing
//! keys and issuer's keys, but without a listener.

use serde::Serialize;

use super::args::ResignArgs;
use super::output::{CliError, Output};
use super::{Exit, block_on, token};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::dns::Resolver;
use crate::issuer::{IssuerDeps, Issuers};
use crate::jose::jwks;
use crate::jose::jws::CompactJws;
use crate::jose::names::Audience;
use crate::jose::publish::{Input, publish};
use crate::jose::refusal::Refusal;
use crate::keyring::{Access, Keyring, KeyringError};
use crate::pipeline::{Ask, Context, Verdict, countersign};

/// What is printed with `--json`.
#[derive(Serialize)]
struct ResignOutput<'a> {
    token: &'a str,
    /// The verifier accepts the given token, and `token` is that one.
    as_it_stands: bool,
    expires: i64,
    issuer: Option<&'a str>,
    alg_in: Option<&'static str>,
    notes: &'a [&'static str],
}

#[derive(Serialize)]
struct RefusalOutput<'a> {
    error: &'a str,
    error_description: String,
}

/// Why there is no new token: the token was refused, or the command failed.
#[derive(Debug, thiserror::Error)]
enum ResignError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Cli(#[from] CliError),
}

/// # Errors
/// [`CliError`] when configuration, keys or token cannot be read. A refused token is [`Exit::No`].
pub fn run(args: &ResignArgs, out: &mut Output) -> Result<Exit, CliError> {
    let (found, overrides) = args.place.find(out);
    if found.path.is_none() {
        return Err(CliError::new("resign", "there is no configuration")
            .hint("name one by --config; it says which issuers and keys to use"));
    }
    let config = config::load(found.path.as_deref(), &overrides, &config::env::ProcessEnv)?;
    if config.discover {
        return Err(CliError::new("resign", "the configuration names no issuer")
            .hint("add an [[issuer]]; only a running proxy learns it from the upstream"));
    }
    let audience = args.audience.as_deref().map(Audience::parse).transpose();
    let audience = audience.map_err(|why| CliError::new("--audience", why))?;
    token::prompt(&args.token, out);
    let token = &token::read(&args.token, config.bridge.limits.token)?;

    let ask = Ask { audience: audience.as_ref(), ..Ask::default() };
    match block_on(resign(token, config, &ask)) {
        Ok(verdict) => {
            print(token, &verdict, args.json, out);
            Ok(Exit::Good)
        }
        Err(ResignError::Cli(error)) => Err(error),
        Err(ResignError::Refused(refusal)) => {
            let (error, error_description) = (refusal.code(), refusal.to_string());
            match args.json {
                true => out.json(&RefusalOutput { error, error_description }),
                false => out.error(&CliError::new(error, error_description)),
            }
            Ok(Exit::No)
        }
    }
}

async fn resign(token: &str, config: Config, ask: &Ask<'_>) -> Result<Verdict, ResignError> {
    let limits = config.bridge.limits;
    // Padding is allowed here, as in the bridge: `countersign` checks later whether the issuer may pad.
    let jws = CompactJws::parse(token, &limits, true)?;
    let clock = Clock::system();
    let alone = config.issuers.len() == 1;
    let deps = IssuerDeps {
        clock: clock.clone(),
        resolver: Resolver::system().map_err(|why| CliError::new("dns", why))?,
        data_dir: config.keyring.store.has_disk().then(|| config.data_dir.clone()),
        options: jwks::Options::default(),
    };
    let issuers = Issuers::new(config.issuers, deps).map_err(|why| CliError::new("issuer", why))?;
    let handle = issuers.of_token(&jws)?;
    let policy = handle.policy();
    let snapshot =
        handle.fresh_for(jws.unverified_header().kid.as_deref()).await.ok_or_else(|| {
            CliError::new("issuer_keys_unavailable", "the issuer's keys could not be read")
                .hint("`countersign doctor` says what is wrong with its key set")
        })?;
    let unusable = |why: KeyringError| CliError::new("signing keys", why);
    let store = config.keyring.open_store(Access::Operate, &clock).map_err(unusable)?;
    let keyring = Keyring::with_store(&config.keyring, store, clock.clone()).await;
    let keyring = keyring.map_err(unusable)?;
    let ring = keyring.snapshot();
    // The set that the verifier reads for this issuer. It contains the issuer's own keys only where no
    // other issuer shares it.
    let upstream = [&snapshot.keys];
    let shared = alone || !handle.settings().jwks_paths.is_empty();
    let published = publish(&Input {
        own: &ring.public,
        upstream: if shared { &upstream } else { &[] },
        profile: &config.profile,
        remembered: &Default::default(),
    });
    let context = Context {
        policy: &policy,
        keys: &snapshot.keys,
        published: &published.kids,
        signer: &ring.active,
        profile: &config.profile,
        limits: &limits,
        now: clock.now(),
    };
    let verdict = countersign(&jws, &context, ask)?;
    if let Verdict::Countersigned(new) = &verdict {
        // The new token is valid: its key must stay published until the token has expired.
        keyring.note_signed(new.expires).await;
    }
    Ok(verdict)
}

fn print(token: &str, verdict: &Verdict, json: bool, out: &mut Output) {
    let (token, expires, new) = match verdict {
        Verdict::AsItStands { expires, .. } => (token, expires, None),
        Verdict::Countersigned(new) => (new.jwt.as_str(), &new.expires, Some(new)),
    };
    let notes = new.map_or(&[][..], |new| &new.notes);
    if json {
        return out.json(&ResignOutput {
            token,
            as_it_stands: new.is_none(),
            expires: expires.secs(),
            issuer: new.map(|new| new.issuer.as_str()),
            alg_in: new.and_then(|new| new.alg_in).map(|alg| alg.name()),
            notes,
        });
    }
    if new.is_none() {
        out.note("the verifier accepts the token unchanged");
    }
    for note in notes {
        out.note(note);
    }
    out.line(token);
}
