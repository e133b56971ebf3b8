//! `exp`, `nbf` and `iat` (RFC 7519 §4.1.4 to §4.1.6) as whole seconds.

use std::time::Duration;

use super::json::{self, Object};
use super::names::UnixTime;
use super::policy::ClaimRules;
use super::refusal::Refusal;

/// With `milliseconds`, larger values are milliseconds: 2 * 10^10 seconds is the year 2603, and
/// that many milliseconds is August 1970.
const MILLISECONDS_FROM: i64 = 20_000_000_000;

/// The times of a claims set. Fractions are cut off, so that no time moves into the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub exp: Option<UnixTime>,
    pub nbf: Option<UnixTime>,
    pub iat: Option<UnixTime>,
}

impl Times {
    /// # Errors
    /// `exp_type` and `exp_range`, for any of the three.
    pub(super) fn read(claims: &Object, rules: &ClaimRules) -> Result<Self, Refusal> {
        let read = |claim: &'static str| match claims.get(claim) {
            None => Ok(None),
            Some(value) => numeric_date(value, claim, rules).map(Some),
        };
        Ok(Self { exp: read("exp")?, nbf: read("nbf")?, iat: read("iat")? })
    }

    /// Checks that the claims are valid now. `leeway` never applies to `exp`: what we sign must not
    /// outlive the original.
    ///
    /// # Errors
    /// `expired`, `nbf`, `iat_future`.
    pub(super) fn check(self, now: UnixTime, leeway: Duration) -> Result<(), Refusal> {
        if self.is_expired(now) {
            return Err(Refusal::Expired);
        }
        let soon = now.plus(leeway);
        if self.nbf.is_some_and(|nbf| nbf > soon) {
            return Err(Refusal::NotBefore);
        }
        if self.iat.is_some_and(|iat| iat > soon) {
            return Err(Refusal::IssuedInFuture);
        }
        Ok(())
    }

    pub(super) fn is_expired(self, now: UnixTime) -> bool {
        self.exp.is_some_and(|exp| exp <= now)
    }
}

fn numeric_date(value: &str, claim: &'static str, rules: &ClaimRules) -> Result<UnixTime, Refusal> {
    let wrong = Refusal::TimeType { claim };
    let text = match json::string(value) {
        Some(text) if rules.numeric_strings => text,
        Some(_) => return Err(wrong),
        None => value.into(),
    };
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(wrong);
    }
    let mut secs = whole_seconds(&text).ok_or(wrong)?;
    if rules.milliseconds && secs >= MILLISECONDS_FROM {
        secs /= 1000;
    }
    // Not a time: it is in milliseconds, or an attack on a verifier's date type.
    if secs > UnixTime::LAST.secs() {
        return Err(Refusal::TimeRange { claim });
    }
    Ok(UnixTime::from_secs(secs))
}

/// The whole part of a decimal number, at most `i64::MAX`; `None` if the text is not a JSON number.
fn whole_seconds(text: &str) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().unwrap_or(i64::MAX));
    }
    let number: serde_json::Number = match serde_json::from_str(text) {
        Ok(number) => number,
        // Valid grammar, but out of range for a double: 1e400.
        Err(error) if error.to_string().starts_with("number out of range") => {
            return Some(i64::MAX);
        }
        Err(_) => return None,
    };
    // A cast from float to integer saturates; 2^53 and more are out of range anyway.
    number.as_f64().map(|number| number.floor() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(exp: &str, rules: &ClaimRules) -> Result<i64, &'static str> {
        let claims = Object::parse(format!(r#"{{"exp":{exp}}}"#), 8).unwrap();
        let times = Times::read(&claims, rules).map_err(|refusal| refusal.code())?;
        Ok(times.exp.unwrap().secs())
    }

    #[test]
    fn seconds_are_whole_and_in_range() {
        let rules = ClaimRules::default();
        for (text, expected) in [
            ("1700000000", Ok(1_700_000_000)),
            ("1.7e9", Ok(1_700_000_000)),
            ("1700000000.9", Ok(1_700_000_000)),
            ("0", Ok(0)),
            ("1700000000000", Err("exp_range")),
            ("1700000000000000", Err("exp_range")),
            ("9223372036854775808", Err("exp_range")),
            ("99999999999999999999999999", Err("exp_range")),
            ("1e300", Err("exp_range")),
            ("-5", Err("exp_type")),
            ("-0.5", Err("exp_type")),
            ("null", Err("exp_type")),
            ("true", Err("exp_type")),
            ("[1]", Err("exp_type")),
            (r#""1700000000""#, Err("exp_type")),
            (r#""2026-01-01T00:00:00Z""#, Err("exp_type")),
        ] {
            assert_eq!(read(text, &rules), expected, "{text}");
        }
    }

    #[test]
    fn options_read_strings_and_milliseconds() {
        let rules =
            ClaimRules { numeric_strings: true, milliseconds: true, ..ClaimRules::default() };
        for (text, expected) in [
            (r#""1700000000""#, Ok(1_700_000_000)),
            (r#""1700000000999""#, Ok(1_700_000_000)),
            ("1700000000999", Ok(1_700_000_000)),
            ("1700000000", Ok(1_700_000_000)),
            ("1700000000000000", Err("exp_range")),
            (r#"" 17""#, Err("exp_type")),
            (r#""017x""#, Err("exp_type")),
            (r#""""#, Err("exp_type")),
            (r#""2026-01-01T00:00:00Z""#, Err("exp_type")),
        ] {
            assert_eq!(read(text, &rules), expected, "{text}");
        }
    }
}
