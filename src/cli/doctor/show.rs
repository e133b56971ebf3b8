//! A diagnosis on the terminal: the verdict first, then each fault once. `--verbose` shows every check.

use super::gather::Question;
use crate::auth_config::SOMEWHERE as PROXY;
use crate::cli::output::{one_line, paint, shortened, wrap};
use crate::doctor::changing::Changing;
use crate::doctor::exam::{Diagnosis, token_audiences};
use crate::doctor::finding::{
    BY_THE_RFCS, CUSTOM_JWT, Case, Finding, Level, NoAnswer, OIDC, Place, Setup,
};
use crate::doctor::summary::{self, MergedFault};
use crate::jose::json::quote as quoted;
use crate::jose::stable::is_left_out;

/// How many places of a fault, and causes of a finding, are shown.
const MANY: usize = 6;
/// How many characters are shown of a text that repeats a server's answer.
const LONG: usize = 200;

/// The lines, wrapped at `width`. Without a width they are not wrapped.
pub(super) struct Page {
    lines: Vec<String>,
    color: bool,
    width: Option<usize>,
}

impl Page {
    pub(super) fn new(color: bool, width: Option<usize>) -> Self {
        Self { lines: Vec::new(), color, width: width.map(|width| width.max(40)) }
    }

    fn paint(&self, style: &str, text: &str) -> String {
        paint(self.color, style, text)
    }

    fn sign(&self, level: Level) -> String {
        let (style, sign) = match level {
            Level::Good => ("1;32", "✓"),
            Level::Fault => ("1;31", "✗"),
            Level::Warning => ("1;33", "!"),
            Level::Alarm => ("1;97;41", "ALARM"),
            Level::Note => ("2", "·"),
        };
        self.paint(style, sign)
    }

    fn blank(&mut self) {
        self.lines.push(String::new());
    }

    fn bold(&mut self, text: &str) {
        let text = self.paint("1", text);
        self.lines.push(text);
    }

    /// `lead` (not wrapped, `indent` columns wide), then `text`, wrapped behind it.
    fn wrapped(&mut self, lead: &str, indent: usize, text: &str, style: Option<&str>) {
        let text = one_line(text);
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(20));
        for (i, line) in wrap(text.split(' '), room).into_iter().enumerate() {
            let line = match style {
                Some(style) => self.paint(style, &line),
                None => line,
            };
            match i {
                0 => self.lines.push(format!("{lead}{line}")),
                _ => self.lines.push(format!("{}{line}", " ".repeat(indent))),
            }
        }
    }

    fn fix(&mut self, text: &str) {
        let lead = format!("  {} ", self.paint("2", "fix:"));
        self.wrapped(&lead, 7, text, None);
    }

    pub(super) fn into_text(self) -> String {
        self.lines.iter().map(|line| one_line(line) + "\n").collect()
    }
}

pub(super) fn page(
    case: &Case,
    diagnosis: &Diagnosis,
    changing: Option<&Changing>,
    question: &Question<'_>,
    verbose: bool,
    mut page: Page,
) -> Page {
    let style = if diagnosis.refused() { "1;31" } else { "1;32" };
    page.wrapped("", 0, &summary::headline(case, diagnosis), Some(style));
    page.blank();
    verdicts(case, diagnosis, &mut page);
    for finding in case.notes.iter().filter(|finding| finding.about == "address") {
        warning(finding, &mut page);
    }
    let mut told = Vec::new();
    for (i, fault) in summary::faults(diagnosis).iter().enumerate() {
        page.blank();
        one_fault(i + 1, fault, &mut told, &mut page);
    }
    let warnings: Vec<_> =
        diagnosis.findings.iter().filter(|f| f.level == Level::Warning).collect();
    if !warnings.is_empty() {
        page.blank();
        warnings.into_iter().for_each(|finding| warning(finding, &mut page));
    }
    if let Some(changing) = changing {
        page.blank();
        claims(changing, &mut page);
    }
    if verbose {
        every_check(diagnosis, &mut page);
    }
    if case.profile.name == "convex" && !matches!(case.place, Place::ConvexCloud | Place::WebApp) {
        config(case, diagnosis, question, &mut page);
    }
    if !verbose && diagnosis.findings.iter().any(|f| f.level == Level::Fault) {
        page.blank();
        let hint = page.paint("2", "--verbose shows every check.");
        page.lines.push(hint);
    }
    page
}

/// One line each: the verdict for each kind of provider, and what countersign would do.
fn verdicts(case: &Case, diagnosis: &Diagnosis, page: &mut Page) {
    for verdict in &diagnosis.verdicts {
        let word = match verdict.accepts {
            true => page.paint("1;32", "would accept"),
            false => page.paint("1;31", "would refuse"),
        };
        page.lines.push(match verdict.way {
            BY_THE_RFCS => format!("the profile {} {word}", case.profile.name),
            way => format!("{way} {word}"),
        });
    }
    // A fetch that fails the same way for the verifier and for countersign is reported once.
    let lost = |fetched: &Result<_, NoAnswer>, no_answer: &NoAnswer| {
        fetched.as_ref().is_err_and(|other| other.code == no_answer.code)
    };
    let down = case.ours.read.as_ref().is_err_and(|no_answer| lost(&case.jwks, no_answer));
    if case.place == Place::Countersign || down {
        return;
    }
    let ours = diagnosis.findings.iter().filter(|f| f.about == "countersign");
    // A person whose tokens are accepted does not need to know what countersign would not do.
    let unneeded = |f: &&Finding| !diagnosis.refused() && f.title.starts_with("would not");
    let mut ours: Vec<_> = ours.filter(|finding| !unneeded(finding)).collect();
    ours.sort_by_key(|finding| finding.level != Level::Good);
    for finding in ours {
        let text = match (&case.ours.setup, finding.level) {
            (Setup::Issuer { why, .. }, Level::Good) if finding.title.starts_with("reads") => {
                format!("with an `[[issuer]]` (--upstream alone: {why}): {}", finding.title)
            }
            _ => match finding.causes.first() {
                Some(cause) => format!("{}: {}", finding.title, cause.text),
                None => finding.title.clone(),
            },
        };
        let level = match (finding.level, &case.ours.setup) {
            (Level::Good, Setup::Issuer { .. }) if finding.title.starts_with("reads") => {
                Level::Note
            }
            (Level::Good, _) => Level::Good,
            _ => Level::Fault,
        };
        let lead = format!("countersign {} ", page.sign(level));
        page.wrapped(&lead, 14, &text, None);
    }
}

fn one_fault(n: usize, fault: &MergedFault, told: &mut Vec<String>, page: &mut Page) {
    let number = if fault.alarm { "ALARM ".to_owned() } else { format!("{n}. ") };
    let indent = number.chars().count();
    let style = if fault.alarm { "1;97;41" } else { "1;31" };
    let lead = page.paint(style, &number);
    page.wrapped(&lead, indent, &fault.title, Some("1"));
    let pad = " ".repeat(3);
    let label = |name: &str, text: &str, page: &mut Page| {
        let lead = format!("{pad}{} ", page.paint("2", name));
        let indent = pad.len() + name.chars().count() + 1;
        page.wrapped(&lead, indent, text, None);
    };
    let seen: Vec<_> = fault.places.iter().take(MANY).map(String::as_str).collect();
    let more = fault.places.len().saturating_sub(MANY);
    let mut places = seen.join(", ");
    if more > 0 {
        places = format!("{places} and {more} more");
    }
    if !places.is_empty() {
        label("at", &places, page);
    }
    for (way, text, production) in &fault.says {
        label(&format!("{way} says:"), &flat(text), page);
        if let Some(production) = production {
            label("in production:", production, page);
        }
    }
    let fresh: Vec<_> = fault.fixes.iter().filter(|fix| !told.contains(fix)).cloned().collect();
    for (i, fix) in fresh.iter().enumerate() {
        label(if i == 0 { "fix:" } else { "or:" }, fix, page);
    }
    if fresh.is_empty() && !fault.fixes.is_empty() {
        label("fix:", "as above", page);
    }
    told.extend(fresh);
}

fn warning(finding: &Finding, page: &mut Page) {
    page.wrapped(&format!("{} ", page.sign(finding.level)), 2, &finding.title, None);
    for cause in finding.causes.iter().take(MANY) {
        page.wrapped("  ", 2, &format!("{}: {}", cause.place, cause.text), None);
    }
    finding.fixes.iter().for_each(|fix| page.fix(fix));
}

fn claims(changing: &Changing, page: &mut Page) {
    let text = match changing {
        Changing::Claims(names) if names.is_empty() => {
            "no private claim changes between these tokens: a renewal re-runs no query".to_owned()
        }
        Changing::Claims(names) => format!(
            "{} from token to token: {}. Convex keys its query cache by all private claims, so that \
             every renewal re-runs every query that reads the identity (convex-backend#542)",
            if names.len() == 1 { "one claim changes" } else { "these claims change" },
            names.join(", ")
        ),
        Changing::OtherPerson => {
            "the tokens differ in `iss` or `sub`: give two of one person, to see which claims change"
                .to_owned()
        }
        Changing::Unreadable => "one of the tokens cannot be decoded; nothing to compare".to_owned(),
    };
    let good = matches!(changing, Changing::Claims(names) if names.is_empty());
    let level = if good { Level::Good } else { Level::Warning };
    page.wrapped(&format!("{} ", page.sign(level)), 2, &text, None);
    if let Changing::Claims(names) = changing
        && !names.is_empty()
    {
        // A `drop` rule drops a whole claim, nested members included.
        let mut list: Vec<_> = names.iter().map(|n| n.split('.').next().unwrap_or(n)).collect();
        list.dedup();
        let (known, others): (Vec<_>, Vec<_>) = list.into_iter().partition(|n| is_left_out(n));
        let mut settings = Vec::new();
        if !known.is_empty() {
            let known = known.join(", ");
            settings.push(format!(
                "`stable_claims = true` under [profile] (leaves {known} out of exchanged tokens)"
            ));
        }
        if !others.is_empty() {
            settings.push(format!("`drop = {others:?}` under [issuer.claims]"));
        }
        let text = format!(
            "if no query needs them, let the auth server leave them out, or countersign: {}",
            settings.join(" and ")
        );
        page.fix(&text);
    }
}

fn every_check(diagnosis: &Diagnosis, page: &mut Page) {
    let mut about = "";
    for finding in &diagnosis.findings {
        if finding.about != about {
            about = finding.about;
            page.blank();
            page.bold(about);
        }
        let lead = format!("  {} ", page.sign(finding.level));
        page.wrapped(&lead, 4, &finding.title, None);
        let says = finding.says.as_deref().map(|text| ("says  ", flat(text)));
        let detail = finding.detail.as_deref().map(|text| ("log   ", flat(text)));
        let production = finding.in_production.map(|text| ("prod. ", text.to_owned()));
        let causes = finding.causes.iter().map(|c| ("cause ", format!("{}: {}", c.place, c.text)));
        let fixes = finding.fixes.iter().map(|fix| ("fix   ", fix.clone()));
        let rows = says.into_iter().chain(production).chain(detail).chain(causes).chain(fixes);
        for (name, text) in rows {
            let lead = format!("      {}", page.paint("2", name));
            page.wrapped(&lead, 12, &text, None);
        }
    }
}

/// The verifier's text on one line: it sometimes repeats the whole answer, which may be a page of HTML.
fn flat(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    shortened(&flat, LONG)
}

/// The `auth.config.ts` that works: without a proxy if the verifier accepts already, else with countersign.
fn config(case: &Case, diagnosis: &Diagnosis, question: &Question<'_>, page: &mut Page) {
    let custom = diagnosis.accepts(CUSTOM_JWT);
    let as_things_are = custom || diagnosis.accepts(OIDC);
    if !as_things_are && (!diagnosis.readable || case.place == Place::Countersign) {
        return;
    }
    let theirs = case.token.as_deref().map(token_audiences);
    let without_aud = theirs.as_ref().is_some_and(Vec::is_empty) && case.audience.is_none();
    let audience = match theirs {
        // Not the one that was just found to be wrong.
        Some(theirs) if diagnosis.audience.as_ref().is_none_or(|asked| !theirs.contains(asked)) => {
            theirs.into_iter().next().or_else(|| diagnosis.audience.clone())
        }
        _ => diagnosis.audience.clone(),
    };
    let application = match (&audience, without_aud) {
        (_, true) if !as_things_are => {
            "applicationID: \"my-app\", // the `audience` that you give `audience_when_missing`"
                .into()
        }
        (_, true) => {
            "// no applicationID: the tokens have no `aud`, so any token of this issuer is taken"
                .into()
        }
        (Some(audience), _) => format!("applicationID: {},", quoted(audience)),
        (None, _) => "applicationID: \"my-app\", // the `aud` of your tokens".to_owned(),
    };
    page.blank();
    page.bold(match (as_things_are, case.place) {
        (true, Place::Countersign) => "convex/auth.config.ts",
        (true, _) => "convex/auth.config.ts, without a proxy",
        (false, _) => "convex/auth.config.ts, with countersign in front",
    });
    let (jwks, algorithm) = match custom {
        true => (case.jwks_url.clone(), diagnosis.algorithm),
        false => (format!("{PROXY}/.well-known/jwks.json"), "RS256"),
    };
    let entry = if as_things_are && !custom {
        vec![format!("domain: {},", quoted(&case.actual_issuer)), application]
    } else {
        vec![
            "type: \"customJwt\",".to_owned(),
            format!("issuer: {},", quoted(&case.actual_issuer)),
            format!("jwks: {},", quoted(&jwks)),
            format!("algorithm: {},", quoted(algorithm)),
            application,
        ]
    };
    page.lines.push("  export default { providers: [".to_owned());
    page.lines.push("    {".to_owned());
    page.lines.extend(entry.into_iter().map(|line| format!("      {line}")));
    page.lines.push("    },".to_owned());
    page.lines.push("  ] };".to_owned());
    if as_things_are {
        return;
    }
    page.blank();
    let note = format!("{PROXY} stands for the address that you give the proxy.");
    match &case.ours.setup {
        Setup::Upstream(upstream) => {
            page.bold("the proxy");
            page.lines
                .push(format!("  countersign run --upstream {upstream} --public-url {PROXY}"));
        }
        Setup::Issuer { file, .. } => {
            page.bold("countersign.toml");
            page.lines.extend(file.lines().map(|line| format!("  {line}").trim_end().to_owned()));
            page.blank();
            page.bold("the same, with comments, and the proxy");
            let (from, issuer) = match question.issuer.is_none() && case.token.is_none() {
                true => (shell(question.address), String::new()),
                false => {
                    (shell(&case.jwks_url), format!(" --issuer {}", shell(&case.actual_issuer)))
                }
            };
            page.lines.push(format!("  countersign init --from {from}{issuer}"));
            page.lines
                .push(format!("  countersign run --config countersign.toml --public-url {PROXY}"));
        }
        Setup::None => return,
    }
    page.wrapped("  ", 2, &note, Some("2"));
}

/// `text` as one word of a shell's command line, quoted if needed.
fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::shell;

    #[test]
    fn what_is_to_be_copied_is_one_word() {
        assert_eq!(shell("https://a.example/jwks"), "https://a.example/jwks");
        assert_eq!(shell("https://a/k?p=1&q"), "'https://a/k?p=1&q'");
        assert_eq!(shell("a'; rm"), "'a'\\''; rm'");
    }
}
