//! A diagnosis on the terminal: the verdict first, then each fault once. `--verbose` shows every check.

use crate::auth_config::EXAMPLE_URL as PROXY;
use crate::cli::output::{one_line, paint, shell_word, shortened, wrap};
use crate::doctor::changing::NotComparable;
use crate::doctor::exam::{Diagnosis, token_audiences};
use crate::doctor::finding::{BY_THE_RFCS, CUSTOM_JWT, Case, Finding, Level, OIDC, Place, Setup};
use crate::doctor::summary::{self, MergedFault};
use crate::jose::json::quote as quoted;
use crate::jose::stable::is_left_out;

/// How many places of a fault, and causes of a finding, are shown.
const MAX_SHOWN: usize = 6;
/// How many characters are shown of a text that repeats a server's answer.
const MAX_TEXT: usize = 200;

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

    fn line(&mut self, text: impl Into<String>) {
        self.lines.push(text.into());
    }

    fn blank(&mut self) {
        self.line("");
    }

    fn bold(&mut self, text: &str) {
        self.line(self.paint("1", text));
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
                0 => self.line(format!("{lead}{line}")),
                _ => self.line(format!("{}{line}", " ".repeat(indent))),
            }
        }
    }

    /// `text` behind the sign of `level`.
    fn signed(&mut self, level: Level, text: &str) {
        self.wrapped(&format!("{} ", self.sign(level)), 2, text, None);
    }

    fn fix(&mut self, text: &str) {
        self.wrapped(&format!("  {} ", self.paint("2", "fix:")), 7, text, None);
    }
}

pub(super) fn page(
    case: &Case,
    diagnosis: &Diagnosis,
    changing: Option<&Result<Vec<String>, NotComparable>>,
    verbose: bool,
    mut page: Page,
) -> String {
    let style = if diagnosis.refused() { "1;31" } else { "1;32" };
    page.wrapped("", 0, &summary::headline(case, diagnosis), Some(style));
    page.blank();
    verdicts(case, diagnosis, &mut page);
    for finding in case.notes.iter().filter(|finding| finding.about == "address") {
        warning(finding, &mut page);
    }
    let mut shown_fixes = Vec::new();
    for (i, fault) in summary::faults(diagnosis).iter().enumerate() {
        page.blank();
        one_fault(i + 1, fault, &mut shown_fixes, &mut page);
    }
    let warnings = diagnosis.findings.iter().filter(|f| f.level == Level::Warning);
    for (i, finding) in warnings.enumerate() {
        if i == 0 {
            page.blank();
        }
        warning(finding, &mut page);
    }
    if let Some(changing) = changing {
        page.blank();
        claims(changing, &mut page);
    }
    if verbose {
        every_check(diagnosis, &mut page);
    }
    if case.question.profile.name == "convex"
        && !matches!(case.place, Place::ConvexCloud | Place::WebApp)
    {
        config(case, diagnosis, &mut page);
    }
    if !verbose && diagnosis.findings.iter().any(|f| f.level == Level::Fault) {
        page.blank();
        page.line(page.paint("2", "--verbose shows every check."));
    }
    page.lines.iter().map(|line| one_line(line) + "\n").collect()
}

/// One line each: the verdict for each kind of provider, and what countersign would do.
fn verdicts(case: &Case, diagnosis: &Diagnosis, page: &mut Page) {
    for verdict in &diagnosis.verdicts {
        let word = match verdict.accepts {
            true => page.paint("1;32", "would accept"),
            false => page.paint("1;31", "would refuse"),
        };
        page.line(match verdict.way {
            BY_THE_RFCS => format!("the profile {} {word}", case.question.profile.name),
            way => format!("{way} {word}"),
        });
    }
    // A fetch that fails the same way for the verifier and for countersign is reported once.
    let down = match (&case.ours.read, &case.jwks) {
        (Err(ours), Err(theirs)) => ours.code == theirs.code,
        _ => false,
    };
    if case.place == Place::Countersign || down {
        return;
    }
    let ours = diagnosis.findings.iter().filter(|f| f.about == "countersign");
    // A person whose tokens are accepted does not need to know what countersign would not do.
    let needed = |f: &&Finding| diagnosis.refused() || !f.title.starts_with("would not");
    let mut ours: Vec<_> = ours.filter(needed).collect();
    ours.sort_by_key(|finding| finding.level != Level::Good);
    for finding in ours {
        let reads = finding.level == Level::Good && finding.title.starts_with("reads");
        let (level, text) = match (&case.ours.setup, finding.causes.first()) {
            (Setup::Issuer { why, .. }, _) if reads => {
                let title = &finding.title;
                (Level::Note, format!("with an `[[issuer]]` (--upstream alone: {why}): {title}"))
            }
            (_, Some(cause)) => (Level::Fault, format!("{}: {}", finding.title, cause.text)),
            (_, None) => (Level::Good, finding.title.clone()),
        };
        page.wrapped(&format!("countersign {} ", page.sign(level)), 14, &text, None);
    }
}

fn one_fault(n: usize, fault: &MergedFault, shown_fixes: &mut Vec<String>, page: &mut Page) {
    let (style, number) = match fault.alarm {
        true => ("1;97;41", "ALARM ".to_owned()),
        false => ("1;31", format!("{n}. ")),
    };
    page.wrapped(&page.paint(style, &number), number.len(), &fault.title, Some("1"));
    let mut label = |name: &str, text: &str| {
        let lead = format!("   {} ", page.paint("2", name));
        page.wrapped(&lead, name.chars().count() + 4, text, None);
    };
    let mut places = fault.places[..fault.places.len().min(MAX_SHOWN)].join(", ");
    if fault.places.len() > MAX_SHOWN {
        places = format!("{places} and {} more", fault.places.len() - MAX_SHOWN);
    }
    if !places.is_empty() {
        label("at", &places);
    }
    for (way, text, production) in &fault.says {
        label(&format!("{way} says:"), &flat(text));
        if let Some(production) = production {
            label("in production:", production);
        }
    }
    let new_fixes = fault.fixes.iter().filter(|fix| !shown_fixes.contains(fix));
    let new_fixes: Vec<_> = new_fixes.cloned().collect();
    for (i, fix) in new_fixes.iter().enumerate() {
        label(if i == 0 { "fix:" } else { "or:" }, fix);
    }
    if new_fixes.is_empty() && !fault.fixes.is_empty() {
        label("fix:", "as above");
    }
    shown_fixes.extend(new_fixes);
}

fn warning(finding: &Finding, page: &mut Page) {
    page.signed(finding.level, &finding.title);
    for cause in finding.causes.iter().take(MAX_SHOWN) {
        page.wrapped("  ", 2, &format!("{}: {}", cause.place, cause.text), None);
    }
    finding.fixes.iter().for_each(|fix| page.fix(fix));
}

fn claims(changing: &Result<Vec<String>, NotComparable>, page: &mut Page) {
    let names = match changing {
        Ok(names) if names.is_empty() => {
            let text = "no private claim changes between these tokens: a renewal re-runs no query";
            return page.signed(Level::Good, text);
        }
        Err(NotComparable::OtherPerson) => {
            let text = "the tokens differ in `iss` or `sub`: give two of one person, to see which claims \
                        change";
            return page.signed(Level::Warning, text);
        }
        Err(NotComparable::Unreadable) => {
            let text = "one of the tokens cannot be decoded; nothing to compare";
            return page.signed(Level::Warning, text);
        }
        Ok(names) => names,
    };
    let text = format!(
        "{} from token to token: {}. Convex keys its query cache by all private claims, so that \
         every renewal re-runs every query that reads the identity (convex-backend#542)",
        if names.len() == 1 { "one claim changes" } else { "these claims change" },
        names.join(", ")
    );
    page.signed(Level::Warning, &text);
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
    page.fix(&format!(
        "if no query needs them, let the auth server leave them out, or countersign: {}",
        settings.join(" and ")
    ));
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
    shortened(&flat, MAX_TEXT)
}

/// The `auth.config.ts` that works: without a proxy if the verifier accepts already, else with countersign.
fn config(case: &Case, diagnosis: &Diagnosis, page: &mut Page) {
    let custom = diagnosis.accepts(CUSTOM_JWT);
    let accepted = custom || diagnosis.accepts(OIDC);
    if !accepted && (!diagnosis.readable || case.place == Place::Countersign) {
        return;
    }
    let issuer = &case.actual_issuer;
    let (jwks, algorithm) = match custom {
        true => (case.jwks_url.clone(), diagnosis.algorithm),
        false => (format!("{PROXY}/.well-known/jwks.json"), "RS256"),
    };
    page.blank();
    page.bold(match (accepted, case.place) {
        (true, Place::Countersign) => "convex/auth.config.ts",
        (true, _) => "convex/auth.config.ts, without a proxy",
        (false, _) => "convex/auth.config.ts, with countersign in front",
    });
    page.line("  export default { providers: [");
    page.line("    {");
    if accepted && !custom {
        page.line(format!("      domain: {},", quoted(issuer)));
    } else {
        page.line("      type: \"customJwt\",");
        page.line(format!("      issuer: {},", quoted(issuer)));
        page.line(format!("      jwks: {},", quoted(&jwks)));
        page.line(format!("      algorithm: {},", quoted(algorithm)));
    }
    page.line(format!("      {}", application_id(case, diagnosis, accepted)));
    page.line("    },");
    page.line("  ] };");
    if accepted {
        return;
    }
    page.blank();
    match &case.ours.setup {
        Setup::Upstream(upstream) => {
            page.bold("the proxy");
            page.line(format!("  countersign run --upstream {upstream} --public-url {PROXY}"));
        }
        Setup::Issuer { file, .. } => {
            page.bold("countersign.toml");
            page.lines.extend(file.lines().map(|line| format!("  {line}").trim_end().to_owned()));
            page.blank();
            page.bold("the same, with comments, and the proxy");
            let from = match case.question.issuer.is_none() && case.question.token.is_none() {
                true => shell_word(&case.question.address),
                false => format!("{} --issuer {}", shell_word(&case.jwks_url), shell_word(issuer)),
            };
            page.line(format!("  countersign init --from {from}"));
            page.line(format!("  countersign run --config countersign.toml --public-url {PROXY}"));
        }
        Setup::None => return,
    }
    let note = format!("{PROXY} stands for the address that you give the proxy.");
    page.wrapped("  ", 2, &note, Some("2"));
}

/// The line with `applicationID`, the `aud` of the tokens.
fn application_id(case: &Case, diagnosis: &Diagnosis, accepted: bool) -> String {
    let checked = diagnosis.audience.as_ref();
    let audiences = case.question.token.as_deref().map(token_audiences);
    if audiences.as_ref().is_some_and(Vec::is_empty) && case.question.audience.is_none() {
        return match accepted {
            true => "// no applicationID: the tokens have no `aud`, so any token of this issuer is taken",
            false => "applicationID: \"my-app\", // the `audience` that you give `audience_when_missing`",
        }
        .to_owned();
    }
    // Not the one that was just found to be wrong.
    let audiences = audiences.unwrap_or_default();
    let other = audiences.first().filter(|_| checked.is_none_or(|aud| !audiences.contains(aud)));
    match other.or(checked) {
        Some(audience) => format!("applicationID: {},", quoted(audience)),
        None => "applicationID: \"my-app\", // the `aud` of your tokens".to_owned(),
    }
}
