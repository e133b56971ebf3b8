//! A diagnosis for a person in a hurry: the verdict and the one thing to do in one sentence, then each fault
//! once, even if both kinds of provider find it.

use super::address::unreachable;
use super::exam::Diagnosis;
use super::finding::{CUSTOM_JWT, Case, Finding, Level, OIDC, Place};
use crate::profile::Judge;

/// One fault, as one or both kinds of provider found it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergedFault {
    pub code: &'static str,
    pub alarm: bool,
    pub title: String,
    /// `$.keys[2].alg`, …: all places of this kind.
    pub places: Vec<String>,
    /// What each kind of provider says: its name, the text, and the text in production if it differs.
    pub says: Vec<(&'static str, String, Option<&'static str>)>,
    pub fixes: Vec<String>,
}

/// The alarms, and the faults because of which no kind of provider in question accepts.
pub fn faults(diagnosis: &Diagnosis) -> Vec<MergedFault> {
    let mut faults: Vec<MergedFault> = Vec::new();
    for finding in &diagnosis.findings {
        match finding.level {
            Level::Alarm => faults.push(MergedFault {
                code: "secret",
                alarm: true,
                title: finding.title.clone(),
                fixes: finding.fixes.clone(),
                ..MergedFault::default()
            }),
            Level::Fault if diagnosis.refused() => {
                // Of two kinds of provider we advise the first. `--verbose` shows the other's own faults.
                let secondary = finding.about == OIDC && diagnosis.verdicts.len() > 1;
                add(finding, secondary, &mut faults);
            }
            _ => {}
        }
    }
    faults
}

fn add(finding: &Finding, secondary: bool, faults: &mut Vec<MergedFault>) {
    let known = faults.len();
    for cause in &finding.causes {
        let at = match faults.iter().position(|fault| fault.code == cause.code) {
            Some(at) => at,
            None if secondary => continue,
            None => {
                let (code, title) = (cause.code, cause.text.clone());
                faults.push(MergedFault { code, title, ..MergedFault::default() });
                faults.len() - 1
            }
        };
        let fault = &mut faults[at];
        if !secondary && !fault.places.contains(&cause.place) {
            fault.places.push(cause.place.clone());
        }
        if at < known {
            // The other kind of provider found this fault too: add its text, if it differs.
            fault.add_text(finding);
        }
    }
    // One message may be about several kinds of fault. It is shown with the first.
    if let Some(fault) = faults.get_mut(known) {
        fault.add_text(finding);
        fault.fixes.clone_from(&finding.fixes);
    }
}

impl MergedFault {
    fn add_text(&mut self, finding: &Finding) {
        let Some(says) = &finding.says else { return };
        if !self.says.iter().any(|(way, text, _)| *way == finding.about || text == says) {
            self.says.push((finding.about, says.clone(), finding.in_production));
        }
    }
}

/// The first address that a verifier on the internet cannot reach.
fn first_unreachable(case: &Case) -> Option<&str> {
    let plain = [&case.issuer, &case.jwks_url].into_iter().find(|url| unreachable(url).is_some());
    plain.or(case.unreachable.first().map(|(url, _)| url)).map(String::as_str)
}

/// The first line: the verdict, and the one thing to do.
pub fn headline(case: &Case, diagnosis: &Diagnosis) -> String {
    let who = match case.question.profile.judge {
        Judge::Convex => "Convex".to_owned(),
        _ if case.question.profile.name == "standard" => "A verifier by the RFCs".to_owned(),
        _ => format!("A verifier of the profile `{}`", case.question.profile.name),
    };
    let what = match &case.question.token {
        Some(_) => format!("this token of {}", case.spelled),
        None => format!("the tokens of {}", case.spelled),
    };
    if !diagnosis.refused() {
        let secret = diagnosis.findings.iter().any(|f| f.level == Level::Alarm);
        let todo = match (diagnosis.accepts(CUSTOM_JWT), diagnosis.accepts(OIDC)) {
            _ if secret => "but its key set holds a secret: replace that key today",
            (true, true) => {
                "you need no proxy: set a customJwt provider in auth.config.ts (OIDC works too)"
            }
            (true, false) => "you need no proxy: set a customJwt provider in auth.config.ts",
            (false, true) => "you need no proxy: set an OIDC provider in auth.config.ts",
            (false, false) => "you need no proxy",
        };
        return match case.place {
            Place::Countersign if !secret => match first_unreachable(case) {
                Some(address) => format!("{who} would accept {what}, once it can reach {address}."),
                None => format!("{who} would accept {what}: all is well."),
            },
            _ => format!("{who} would accept {what}: {todo}."),
        };
    }
    let todo = match case.place {
        Place::ConvexCloud => {
            "This is the address of your Convex deployment, not of an auth server; give the address \
             that your users log in at"
                .to_owned()
        }
        Place::WebApp => {
            "This is a web app that answers every path with its page; give the address of the auth \
             server"
                .to_owned()
        }
        _ => match faults(diagnosis).into_iter().find(|fault| !fault.alarm) {
            Some(fault) => format!("Fix: {}", fault.fixes.first().unwrap_or(&fault.title)),
            None => "Fix: ask with `--verbose`, which shows every check".to_owned(),
        },
    };
    let end = if todo.ends_with(['.', '?']) { "" } else { "." };
    format!("{who} would refuse {what}. {todo}{end}")
}
