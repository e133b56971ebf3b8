//! `countersign inspect` shows what a token contains, without trusting it.

use super::args::InspectArgs;
use super::output::{CliError, Output, one_line, paint};
use super::{Exit, token};
use crate::clock::Clock;
use crate::inspect::{Form, Inspection, MAX_TOKEN, Outcome, ProfileView, inspect};
use crate::jose::tree::Json;

/// # Errors
/// [`CliError`] when there is no token, or it cannot be decoded.
pub fn run(args: &InspectArgs, out: &mut Output) -> Result<Exit, CliError> {
    token::prompt(&args.token, out);
    let token = token::read(&args.token, MAX_TOKEN)?;
    let inspection = inspect(&token, Clock::system().now());
    if inspection.form == Form::Malformed {
        let why: Vec<_> = inspection.notes.iter().map(|note| note.text.as_str()).collect();
        return Err(CliError::new("token", why.join("; ")));
    }
    if args.json {
        out.json_pretty(&inspection);
    } else {
        out.text(text(&inspection, out.color));
    }
    Ok(Exit::Good)
}

fn text(inspection: &Inspection, color: bool) -> String {
    let bold = |t: &str| paint(color, "1", t);
    let dim = |t: &str| paint(color, "2", t);
    let mut lines = Vec::new();
    if let Some(header) = &inspection.header {
        lines.push(bold("header"));
        members(header, &mut lines, |_| None);
    }
    if let Some(claims) = &inspection.claims {
        lines.push(bold("claims"));
        members(claims, &mut lines, |name| {
            let time = inspection.times.iter().find(|t| t.claim == name)?;
            let utc = time.utc.as_deref().map(|utc| format!("{utc}, ")).unwrap_or_default();
            Some(dim(&format!("{utc}{}", time.relative)))
        });
    }
    if let Some(bytes) = inspection.signature_bytes {
        lines.push(format!("{}  {bytes} bytes, {}", bold("signature"), dim("not checked here")));
    }
    for note in &inspection.notes {
        lines.push(format!("{} {}", paint(color, "1;33", "!"), note.text));
    }
    lines.push(String::new());
    lines.push(bold("what a verifier would say, were the signature good"));
    for view in &inspection.profiles {
        profile(view, color, &mut lines);
    }
    lines.iter().map(|line| one_line(line) + "\n").collect()
}

fn members(tree: &Json, lines: &mut Vec<String>, aside: impl Fn(&str) -> Option<String>) {
    // A name may hold anything, line ends included, so it is escaped as in JSON, without the quotes.
    let name = |n: &str| Json::String(n.into()).to_string().trim_matches('"').to_owned();
    let width = tree.members().iter().map(|(n, _)| name(n).chars().count()).max().unwrap_or(0);
    for (member, value) in tree.members() {
        let shown = name(member);
        let pad = " ".repeat(width.min(24).saturating_sub(shown.chars().count()));
        let aside = aside(member).map(|a| format!("  {a}")).unwrap_or_default();
        lines.push(format!("  {shown}{pad}  {value}{aside}"));
    }
}

fn profile(view: &ProfileView, color: bool, lines: &mut Vec<String>) {
    let sign = match view.outcome {
        Outcome::AsItStands => paint(color, "1;32", "✓"),
        Outcome::Countersigned => paint(color, "1;33", "✗"),
        Outcome::Refused => paint(color, "1;31", "✗"),
    };
    lines.push(format!("  {:<10} {sign} {}", view.profile, view.outcome.sentence()));
    for reason in &view.reasons {
        lines.push(format!("               {}", reason.text));
    }
}
