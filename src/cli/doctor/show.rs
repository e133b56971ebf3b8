//! A diagnosis on the terminal.

use crate::cli::output::{one_line, paint};
use crate::doctor::exam::Diagnosis;
use crate::doctor::finding::{Case, Finding, Level};

/// Causes shown of one finding.
const MANY: usize = 6;

pub(super) fn text(case: &Case, diagnosis: &Diagnosis, color: bool) -> String {
    let mut lines = vec![format!("{}, checked as {} would", case.issuer, case.profile.name)];
    let mut about = "";
    for finding in &diagnosis.findings {
        if finding.about != about {
            about = finding.about;
            lines.push(String::new());
            lines.push(paint(color, "1", about));
        }
        show(finding, color, &mut lines);
    }
    lines.push(String::new());
    for verdict in &diagnosis.verdicts {
        let word = match verdict.accepts {
            true => paint(color, "1;32", "would accept"),
            false => paint(color, "1;31", "would refuse"),
        };
        lines.push(format!("{:<9} {word}", verdict.way));
    }
    if case.profile.name == "convex" && (diagnosis.readable || !diagnosis.refused()) {
        lines.extend(config(case, diagnosis, color));
    }
    lines.iter().map(|line| one_line(line) + "\n").collect()
}

fn show(finding: &Finding, color: bool, lines: &mut Vec<String>) {
    let (style, sign) = match finding.level {
        Level::Good => ("1;32", "✓"),
        Level::Fault => ("1;31", "✗"),
        Level::Warning => ("1;33", "!"),
        Level::Alarm => ("1;97;41", "ALARM"),
        Level::Note => ("2", "·"),
    };
    lines.push(format!("  {} {}", paint(color, style, sign), finding.title));
    let label = |text: &str| paint(color, "2", text);
    if let Some(says) = &finding.says {
        lines.push(format!("      {} {}", label("says "), shortened(says)));
    }
    for cause in finding.causes.iter().take(MANY) {
        lines.push(format!("      {} {}: {}", label("cause"), cause.place, cause.text));
    }
    if finding.causes.len() > MANY {
        lines.push(format!("      {} and {} more", label("cause"), finding.causes.len() - MANY));
    }
    for fix in &finding.fixes {
        lines.push(format!("      {} {fix}", label("fix  ")));
    }
}

/// The verifier repeats the whole answer in some texts; a page of HTML is cut here.
fn shortened(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match flat.char_indices().nth(400) {
        Some((at, _)) => format!("{}…", &flat[..at]),
        None => flat,
    }
}

/// The block that works: as things are where one way in accepts, with countersign in front else.
fn config(case: &Case, diagnosis: &Diagnosis, color: bool) -> Vec<String> {
    let accepts = |way| diagnosis.verdicts.iter().any(|v| v.way == way && v.accepts);
    let quoted = |t: &str| serde_json::to_string(t).unwrap_or_default();
    let audience = diagnosis.audience.as_deref().unwrap_or("<aud of your tokens>");
    let custom = |issuer: &str, jwks: &str, algorithm: &str| {
        vec![
            "  {".to_owned(),
            "    type: \"customJwt\",".to_owned(),
            format!("    issuer: {},", quoted(issuer)),
            format!("    jwks: {},", quoted(jwks)),
            format!("    algorithm: {},", quoted(algorithm)),
            format!("    applicationID: {},", quoted(audience)),
            "  },".to_owned(),
        ]
    };
    let (title, entry) = if accepts("customJwt") {
        let entry = custom(&case.spelled, &case.jwks_url, diagnosis.algorithm);
        ("as things are", entry)
    } else if accepts("OIDC") {
        let domain = quoted(&case.spelled);
        (
            "as things are",
            vec![format!("  {{ domain: {domain}, applicationID: {} }},", quoted(audience))],
        )
    } else {
        let jwks = "https://<countersign>/.well-known/jwks.json";
        ("with countersign in front", custom(&case.spelled, jwks, "RS256"))
    };
    let mut lines = vec![String::new(), paint(color, "1", &format!("auth.config.ts, {title}"))];
    lines.push("  export default { providers: [".to_owned());
    lines.extend(entry.into_iter().map(|l| format!("  {l}")));
    lines.push("  ] };".to_owned());
    if title != "as things are" {
        let origin = url::Url::parse(&case.jwks_url).map(|u| u.origin().ascii_serialization());
        lines.push(String::new());
        lines.push(paint(color, "1", "and on your side"));
        lines.push(format!(
            "  countersign run --upstream {} --public-url https://<countersign>",
            origin.unwrap_or_default()
        ));
    }
    lines
}
