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
                let beside = finding.about == OIDC && diagnosis.verdicts.len() > 1;
                add(finding, beside, &mut faults);
            }
            _ => {}
        }
    }
    faults
}

fn add(finding: &Finding, beside: bool, faults: &mut Vec<MergedFault>) {
    let said = |fault: &mut MergedFault| {
        let Some(says) = &finding.says else { return };
        if !fault.says.iter().any(|(way, text, _)| *way == finding.about || text == says) {
            fault.says.push((finding.about, says.clone(), finding.in_production));
        }
    };
    let fixes = |fault: &mut MergedFault| {
        for fix in &finding.fixes {
            if !fault.fixes.contains(fix) {
                fault.fixes.push(fix.clone());
            }
        }
    };
    let fresh = faults.len();
    for cause in &finding.causes {
        let at = faults.iter().position(|fault| fault.code == cause.code);
        let fault = match at {
            Some(at) => &mut faults[at],
            None if beside => continue,
            None => {
                faults.push(MergedFault {
                    code: cause.code,
                    title: cause.text.clone(),
                    ..MergedFault::default()
                });
                let last = faults.len() - 1;
                &mut faults[last]
            }
        };
        if !beside && !fault.places.contains(&cause.place) {
            fault.places.push(cause.place.clone());
        }
        if at.is_some_and(|at| at < fresh) {
            // The other kind of provider found this fault too: add its text, if it differs.
            said(fault);
        }
    }
    // One message may be about several kinds of fault. It is shown with the first.
    if let Some(fault) = faults.get_mut(fresh) {
        said(fault);
        fixes(fault);
    }
}

/// The first address that a verifier on the internet cannot reach.
fn closed(case: &Case) -> Option<&str> {
    let plain = [&case.issuer, &case.jwks_url].into_iter().find(|url| unreachable(url).is_some());
    plain.or(case.closed.first().map(|(url, _)| url)).map(String::as_str)
}

/// The first line: the verdict, and the one thing to do.
pub fn headline(case: &Case, diagnosis: &Diagnosis) -> String {
    let who = match case.profile.judge {
        Judge::Convex => "Convex".to_owned(),
        _ if case.profile.name == "standard" => "A verifier by the RFCs".to_owned(),
        _ => format!("A verifier of the profile `{}`", case.profile.name),
    };
    let what = match &case.token {
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
            Place::Countersign if !secret => match closed(case) {
                Some(address) => format!("{who} would accept {what}, once it can reach {address}."),
                None => format!("{who} would accept {what}: all is well."),
            },
            _ => format!("{who} would accept {what}: {todo}."),
        };
    }
    let todo = match case.place {
        Place::ConvexCloud => {
            "this is the address of your Convex deployment, not of an auth server; give the address \
             that your users log in at"
                .to_owned()
        }
        Place::WebApp => {
            "this is a web app that answers every path with its page; give the address of the auth \
             server"
                .to_owned()
        }
        _ => match faults(diagnosis).into_iter().find(|fault| !fault.alarm) {
            Some(MergedFault { fixes, .. }) if !fixes.is_empty() => fixes[0].clone(),
            Some(fault) => fault.title,
            None => "ask with `--verbose`, which shows every check".to_owned(),
        },
    };
    let end = if todo.ends_with(['.', '?']) { "" } else { "." };
    let todo = match case.place {
        Place::ConvexCloud | Place::WebApp => todo,
        _ => format!("fix: {todo}"),
    };
    let mut letters = todo.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{who} would refuse {what}. {first}{}{end}", letters.as_str())
}
