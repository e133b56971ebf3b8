//! `countersign doctor`: why a verifier refuses an issuer or a token, in the verifier's words, and the fix.

pub(super) mod fetch;
pub(super) mod gather;
pub(super) mod ours;
pub(super) mod show;

use std::io::IsTerminal as _;

use self::fetch::DoctorClient;
use self::gather::{gather, with_scheme};
use self::show::Page;
use super::args::DoctorArgs;
use super::output::{CliError, Output};
use super::{Exit, token};
use crate::doctor::changing;
use crate::doctor::exam::{self, examine};
use crate::doctor::finding::{Case, Place, Question};
use crate::doctor::summary;
use crate::inspect::MAX_TOKEN;
use crate::profile::Judge;

/// # Errors
/// [`CliError`] for an address or token that cannot be read. A fetch that fails is a finding.
pub fn run(args: &DoctorArgs, out: &mut Output) -> Result<Exit, CliError> {
    let profile = super::profile(&args.profile)?;
    if args.kind.is_some() && profile.judge != Judge::Convex {
        return Err(CliError::new("--for", format!("`{}` has one kind of provider", profile.name))
            .hint("leave `--for` out"));
    }
    let tokens = args.token.iter().map(|argument| token::read(argument, MAX_TOKEN));
    let tokens = tokens.collect::<Result<Vec<_>, _>>()?;
    let question = Question {
        address: args.url.clone(),
        issuer: args.issuer.clone(),
        audience: args.audience.clone(),
        token: tokens.first().cloned(),
        profile,
        kind: args.kind,
    };
    let case = fetch_case(question, args.allow_private)?;
    let diagnosis = examine(&case);
    let changing = (tokens.len() > 1).then(|| changing::between(&tokens));
    if args.json {
        out.json_pretty(&DoctorOutput {
            headline: summary::headline(&case, &diagnosis),
            issuer: &case.spelled,
            jwks: &case.jwks_url,
            profile: case.question.profile.name,
            place: case.place,
            accepts: !diagnosis.refused(),
            changing_claims: changing.as_ref().map(|changing| changing.as_deref().ok()),
            diagnosis: &diagnosis,
        });
    } else {
        let page = Page::new(out.color, width());
        let changing = changing.as_ref();
        out.text(show::page(&case, &diagnosis, changing, args.verbose, page));
    }
    Ok(if diagnosis.refused() { Exit::No } else { Exit::Good })
}

/// Fetches everything that the question needs.
///
/// # Errors
/// [`CliError`] when the argument is not an http or https address.
pub(super) fn fetch_case(question: Question, allow_private: bool) -> Result<Case, CliError> {
    let given = [&with_scheme(&question.address), question.issuer.as_deref().unwrap_or_default()];
    let client = DoctorClient::new(&given, allow_private);
    let client = client.map_err(|e| CliError::new("network", e))?;
    super::block_on(gather(question, &client))
}

/// Columns of the terminal; text for a file or a pipe is not wrapped.
fn width() -> Option<usize> {
    let stdout = std::io::stdout();
    let size = rustix::termios::tcgetwinsize(&stdout).ok().filter(|_| stdout.is_terminal())?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// What `--json` prints.
#[derive(serde::Serialize)]
struct DoctorOutput<'a> {
    /// The verdict and the one thing to do.
    headline: String,
    issuer: &'a str,
    jwks: &'a str,
    profile: &'a str,
    /// What answers at the address: `auth_server`, `countersign`, `convex_cloud`, `convex_site`, `web_app`.
    place: Place,
    /// A kind of provider would accept: either, or the one that `--for` names.
    accepts: bool,
    /// With several `--token`: private claims that differ; `null` where they cannot be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    changing_claims: Option<Option<&'a [String]>>,
    #[serde(flatten)]
    diagnosis: &'a exam::Diagnosis,
}
