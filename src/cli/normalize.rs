//! `countersign normalize`: the document on stdout, what was done to it on stderr.

use std::collections::HashMap;

use super::Exit;
use super::args::{NormalizeArgs, ReportFormat};
use super::output::{CliError, Output};
use super::source;
use crate::clock::Clock;
use crate::issuer::fetch::Document;
use crate::jose::jwks::{self, Change, DocumentRefusal, Effect, Options, Report};
use crate::jose::publish::{Input, publish};
use crate::profile::Profile;

/// # Errors
/// [`CliError`] when the source cannot be read; with the refusal's code when the document is refused.
pub fn run(args: &NormalizeArgs, out: &mut Output) -> Result<Exit, CliError> {
    let profile = super::profile(&args.profile)?;
    let options = Options { now: Some(Clock::system().now()), ..Options::default() };
    let document = source::read(&args.source, options.limits.document)?;
    let (body, kids, report) = match normalize(&document, &options, &profile) {
        Ok(done) => done,
        Err((report, error)) => {
            if let Some(report) = report {
                print(&report, args.report, out);
            }
            return Err(error);
        }
    };
    print(&report, args.report, out);
    if let (true, ReportFormat::Text) = (report.lines().is_empty(), args.report) {
        out.note(match kids {
            1 => "1 key, unchanged".to_owned(),
            kids => format!("{kids} keys, unchanged"),
        });
    }
    out.line(body);
    Ok(Exit::Good)
}

/// The report of the keys, if they were read, and why there is no document.
type Refused = (Option<Box<Report>>, CliError);

fn normalize(
    document: &Document,
    options: &Options,
    profile: &Profile,
) -> Result<(String, usize, Report), Refused> {
    let read = jwks::normalize(&document.body, options).map_err(|refusal| refused(&refusal))?;
    let mut report = read.report;
    if let Some(odd) = document.content_type.as_deref().filter(|text| !is_json(text)) {
        let before = Some(crate::jose::report::excerpt(odd));
        report.warnings.push(Change { before, ..Change::new("$", "content_type", Effect::Noted) });
    }
    let upstream = [&read.keys];
    let remembered = HashMap::new();
    let set = publish(&Input { own: &[], upstream: &upstream, profile, remembered: &remembered });
    report.changes.extend(set.left_out);
    if set.kids.is_empty() {
        let found = read.keys.keys().len();
        let why = format!("the profile `{}` publishes none of the {found} keys", profile.name);
        let error = CliError::new("no_usable_key", why)
            .hint("this does not prevent countersigning: `run` publishes its own key");
        return Err((Some(Box::new(report)), error));
    }
    Ok((set.body, set.kids.len(), report))
}

fn refused(refusal: &DocumentRefusal) -> Refused {
    let error = CliError::new(refusal.code(), refusal).hint_if_any(refusal.hint());
    (refusal.report().cloned().map(Box::new), error)
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.eq_ignore_ascii_case("application/jwk-set+json")
}

fn print(report: &Report, format: ReportFormat, out: &mut Output) {
    match format {
        ReportFormat::Text => {
            for line in report.lines() {
                out.note(line);
            }
        }
        ReportFormat::Json => match serde_json::to_string(report) {
            Ok(text) => out.note(text),
            Err(error) => out.error(&CliError::new("report", error)),
        },
    }
}
