//! `countersign verify` checks the signature alone, over any payload. It reads no claim and no
//! configuration. If a key set does not say clearly which key is meant, the answer is no.
//!
//! It checks an HMAC only if `--alg` names it, since `oct` keys found at an address are not secret. In a
//! batch without `--alg` it also checks an HMAC with the `oct` keys of the token's own line, if each has an
//! `alg`: whoever wrote the line knows the secret.

use std::io::BufRead;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::args::VerifyArgs;
use super::output::{CliError, Output};
use super::{Exit, source, token};
use crate::jose::alg::{Alg, AlgSet};
use crate::jose::check::{self, Secrets};
use crate::jose::jwks::{self, KeySet, Options};
use crate::jose::jws::Envelope;
use crate::jose::names::Limits;

/// Bytes. A JWS on the command line may carry any document.
const TOKEN_LIMIT: usize = 1024 * 1024;

/// The answer for one token.
#[derive(Debug, Serialize)]
struct VerifyOutput {
    valid: bool,
    /// The stable code of what failed; null when nothing did.
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<&'static str>,
}

impl From<Result<Alg, &'static str>> for VerifyOutput {
    fn from(checked: Result<Alg, &'static str>) -> Self {
        Self { valid: checked.is_ok(), reason: checked.err(), alg: checked.ok().map(|a| a.name()) }
    }
}

/// One line of `--batch`.
#[derive(Deserialize)]
struct BatchLine<'a> {
    #[serde(borrow)]
    token: &'a RawValue,
    #[serde(borrow)]
    jwks: Option<&'a RawValue>,
}

/// # Errors
/// [`CliError`] when the key set or the token cannot be read; a token that is not valid is an answer.
pub fn run(args: &VerifyArgs, out: &mut Output) -> Result<Exit, CliError> {
    let verifier = SignatureVerifier::new(&args.algs)?;
    let keys = args.jwks.as_deref().map(|source| verifier.read_keys(source)).transpose()?;
    if args.batch {
        return batch(args, &verifier, keys.as_ref(), out);
    }
    let keys = keys.ok_or_else(|| CliError::new("verify", "--jwks is needed"))?;
    token::prompt(&args.token, out);
    let checked = verifier.check(&token::read(&args.token, TOKEN_LIMIT)?, &keys);
    match checked {
        _ if args.json => out.json(&VerifyOutput::from(checked)),
        Ok(alg) => {
            out.line(format_args!("valid: {alg}"));
            out.note("only the signature was checked, not times or other claims (`countersign inspect` shows them)");
        }
        Err(code) => out.line(format_args!("invalid: {code}")),
    }
    Ok(if checked.is_ok() { Exit::Good } else { Exit::No })
}

/// Every line gets its answer, so the command as a whole succeeds.
fn batch(
    args: &VerifyArgs,
    verifier: &SignatureVerifier,
    keys: Option<&Keys>,
    out: &mut Output,
) -> Result<Exit, CliError> {
    let failed = |why: std::io::Error| CliError::new(&args.token, why);
    let input: Box<dyn BufRead> = if args.token == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::io::BufReader::new(std::fs::File::open(&args.token).map_err(failed)?))
    };
    for line in input.split(b'\n') {
        let line = line.map_err(failed)?;
        if !line.trim_ascii().is_empty() {
            out.json(&VerifyOutput::from(verifier.check_line(&line, keys)));
        }
    }
    Ok(Exit::Good)
}

/// A key set document and what was read of it.
struct Keys {
    document: Vec<u8>,
    /// The key set is in the same batch line as the token.
    in_line: bool,
    set: Result<KeySet, &'static str>,
}

struct SignatureVerifier {
    algorithms: AlgSet,
    /// `--alg` was not given.
    any: bool,
    limits: Limits,
}

impl SignatureVerifier {
    fn new(names: &[String]) -> Result<Self, CliError> {
        let algorithm = |name: &String| {
            Alg::from_name(name).ok_or_else(|| {
                let all: Vec<_> = Alg::all().map(Alg::name).collect();
                CliError::new("--alg", format_args!("`{name}` is not an algorithm we verify"))
                    .hint(format_args!("one of {}", all.join(", ")))
            })
        };
        let algorithms = names.iter().map(algorithm).collect::<Result<Vec<_>, _>>()?;
        let any = names.is_empty();
        let algorithms = if any { AlgSet::asymmetric() } else { AlgSet::of(&algorithms) };
        Ok(Self { algorithms, any, limits: Limits { token: TOKEN_LIMIT, ..Limits::default() } })
    }

    fn read_keys(&self, source: &str) -> Result<Keys, CliError> {
        let keys = self.keys(source::read(source, self.limits.document)?.body.into(), false);
        match keys.set {
            // A set of secrets has no public key, but it is enough for a token with an HMAC.
            Err(code) if !self.algorithms.iter().any(Alg::is_hmac) => {
                let why = format_args!("{source} holds no key set with a usable key");
                Err(CliError::new(code, why)
                    .hint("`countersign normalize` says what is wrong with it"))
            }
            _ => Ok(keys),
        }
    }

    fn keys(&self, document: Vec<u8>, in_line: bool) -> Keys {
        let options = Options { limits: self.limits, ..Options::default() };
        let read = jwks::normalize(&document, &options);
        let set = read.map(|read| read.keys).map_err(|refusal| refusal.code());
        Keys { document, in_line, set }
    }

    fn check_line(&self, line: &[u8], keys: Option<&Keys>) -> Result<Alg, &'static str> {
        let line = serde_json::from_slice::<BatchLine<'_>>(line).map_err(|_| "line")?;
        let token = serde_json::from_str::<String>(line.token.get()).map_err(|_| "format")?;
        let Some(jwks) = line.jwks else { return self.check(&token, keys.ok_or("no_keys")?) };
        // The key set may also be quoted as a JSON string.
        let text = serde_json::from_str::<String>(jwks.get());
        let document = text.unwrap_or_else(|_| jwks.get().to_owned());
        self.check(&token, &self.keys(document.into_bytes(), true))
    }

    fn check(&self, token: &str, keys: &Keys) -> Result<Alg, &'static str> {
        let jws = Envelope::parse(token, &self.limits, false).map_err(|refusal| refusal.code())?;
        let alg = jws.unverified_header().alg;
        let asked = self.algorithms.contains(alg) || (self.any && keys.in_line);
        let checked = if alg.is_hmac() && asked {
            Secrets::read(&keys.document)
                .and_then(|secrets| secrets.check(token, AlgSet::of(&[alg]), &self.limits))
        } else {
            let set = keys.set.as_ref().map_err(|code| *code)?;
            check::check(token, set, self.algorithms, &self.limits)
        };
        checked.map_err(|refusal| refusal.code())
    }
}
