//! `countersign normalize`: the document on stdout, what was done to it on stderr.

use std::collections::HashMap;

use super::Exit;
use super::args::{NormalizeArgs, ReportFormat};
use super::output::{CliError, Output};
use super::source;
use crate::clock::Clock;
use crate::jose::jwks::{self, Change, Effect, Options, Report};
use crate::jose::publish::{Input, publish};
use crate::jose::report::excerpt;

/// # Errors
/// [`CliError`] when the source cannot be read; with the refusal's code when the document is refused.
pub fn run(args: &NormalizeArgs, out: &mut Output) -> Result<Exit, CliError> {
    let profile = super::profile(&args.profile)?;
    let options = Options { now: Some(Clock::system().now()), ..Options::default() };
    let document = source::read(&args.source, options.limits.document)?;
    let read = jwks::normalize(&document.body, &options).map_err(|refusal| {
        if let Some(report) = refusal.report() {
            print(report, args.report, out);
        }
        CliError::new(refusal.code(), &refusal).hint_if_any(refusal.hint())
    })?;
    let mut report = read.report;
    if let Some(other) = document.content_type.as_deref().filter(|text| !is_json(text)) {
        let before = Some(excerpt(other));
        report.warnings.push(Change { before, ..Change::new("$", "content_type", Effect::Noted) });
    }
    let set = publish(&Input {
        own: &[],
        upstream: &[&read.keys],
        profile: &profile,
        remembered: &HashMap::new(),
    });
    report.changes.extend(set.left_out);
    print(&report, args.report, out);
    if set.kids.is_empty() {
        let found = read.keys.keys().len();
        let why = format!("the profile `{}` publishes none of the {found} keys", profile.name);
        return Err(CliError::new("no_usable_key", why)
            .hint("this does not prevent countersigning: `run` publishes its own key"));
    }
    if args.report == ReportFormat::Text && report.lines().is_empty() {
        let (n, s) = (set.kids.len(), if set.kids.len() == 1 { "" } else { "s" });
        out.note(format_args!("{n} key{s}, unchanged"));
    }
    out.line(set.body);
    Ok(Exit::Good)
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
