//! What countersign itself would do with the issuer and the token.

use super::Cause;
use super::finding::{CUSTOM_JWT, Case, Finding, Level, OIDC};
use super::fix;
use crate::jose::jws::CompactJws;
use crate::jose::names::{Limits, UnixTime};
use crate::jose::refusal::Refusal;
use crate::jose::verify::verify;

/// [`Finding::about`] for what countersign itself would do.
const OURS: &str = "countersign";

/// What countersign makes of the key set and of the token.
pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let read = match &case.ours.read {
        Err(no_answer) => {
            let causes = vec![Cause::new(no_answer.code, "$", no_answer.why.clone())];
            let finding = Finding::new(OURS, Level::Note, "cannot make a key set of this");
            return vec![Finding { causes, ..finding }];
        }
        Ok(read) => read,
    };
    let alarms = read.report.alarms.iter().map(|alarm| {
        let members = alarm.members.join(", ");
        let title = format!("{}: the issuer publishes a secret ({members})", alarm.path);
        let fix = "replace this key today: whoever fetched the set can sign as the issuer";
        Finding::new("secret", Level::Alarm, title).fix(fix)
    });
    let mut findings: Vec<_> = alarms.collect();
    let s = |n: usize| if n == 1 { "" } else { "s" };
    let count = read.keys.keys().len();
    let changes = read.report.changes.len();
    let mut title = format!("reads {count} key{}", s(count));
    if changes > 0 {
        title = format!("{title}, {changes} thing{} put right", s(changes));
    }
    findings.push(Finding::new(OURS, Level::Good, title));
    if case.question.token.is_some() {
        findings.push(match refusal(case) {
            None => Finding::new(OURS, Level::Good, "verifies the token; it can be countersigned"),
            Some(cause) => {
                let finding = Finding::new(OURS, Level::Note, "would not countersign the token");
                let fixes = fix::before_countersigning(&cause, case);
                let fixes = fixes.into_iter().map(str::to_owned).collect();
                Finding { causes: vec![cause], fixes, ..finding }
            }
        });
    }
    findings
}

/// Makes the reason why countersign would refuse the token a fault, if it has a fix, or takes the verifier's
/// where it is the same: in front of the faults that a proxy would repair, behind the expiry.
pub(super) fn promote(findings: &mut Vec<Finding>) {
    let Some(at) = findings.iter().position(|f| f.about == OURS && !f.fixes.is_empty()) else {
        return;
    };
    let code = findings[at].causes.first().map(|cause| cause.code);
    let alone = !findings.iter().any(|f| f.about == CUSTOM_JWT);
    let advised = |f: &&Finding| f.about != OURS && (f.about != OIDC || alone);
    let same = |f: &Finding| {
        let found = f.causes.iter().any(|cause| Some(cause.code) == code);
        f.level == Level::Fault && advised(&f) && found
    };
    let finding = findings.remove(findings.iter().position(same).unwrap_or(at));
    let expired = findings.first().is_some_and(|f| f.causes.iter().any(|c| c.code == "expired"));
    findings.insert(usize::from(expired), Finding { level: Level::Fault, ..finding });
}

/// Why countersign would refuse the token. `None` if it would take it, or if there is no token or no key
/// set to judge it with.
pub(super) fn refusal(case: &Case) -> Option<Cause> {
    let token = case.question.token.as_deref()?;
    let read = case.ours.read.as_ref().ok()?;
    refused_by(read, token, case.now)
}

/// Why these keys refuse the token.
pub fn refused_by(read: &super::finding::ReadKeys, token: &str, now: UnixTime) -> Option<Cause> {
    let limits = Limits::default();
    let verified = CompactJws::parse(token, &limits, false)
        .and_then(|jws| verify(&jws, &read.policy, &read.keys, &limits, now).map(drop));
    let refusal = verified.err()?;
    let text = match refusal {
        Refusal::Base64 | Refusal::Header | Refusal::Payload => {
            format!("the token is damaged, perhaps cut when it was copied: {refusal}")
        }
        _ => refusal.to_string(),
    };
    Some(Cause::new(refusal.code(), "token", text))
}

/// Whether the token cannot be read at all, so that its other faults mean nothing.
pub(super) fn is_damage(cause: &Cause) -> bool {
    ["b64", "header", "payload"].contains(&cause.code)
}
