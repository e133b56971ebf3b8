//! Newtypes for every string from outside. No code after this file takes a `&str` for a kid, an
//! issuer or an audience.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::setting;

/// Longest `kid` that is kept unchanged, in bytes. RFC 7517 §4.5 sets no limit; header lines and
/// logs do.
pub const MAX_KID: usize = 1024;
/// Longest `iss` or `aud`, in bytes.
pub const MAX_NAME: usize = 2048;

/// Why a string is not a valid name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no characters.
    #[error("is empty")]
    Empty,
    /// It is longer than this many bytes.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// A control character could break a header or a log line.
    #[error("contains a control character")]
    Control,
    /// A character that is not allowed in a file name or a metric label.
    #[error("may contain only letters, digits, `.`, `_` and `-`")]
    Label,
}

fn checked(text: &str, max: usize) -> Result<(), NameError> {
    match text {
        "" => Err(NameError::Empty),
        _ if text.len() > max => Err(NameError::TooLong(max)),
        _ if text.chars().any(char::is_control) => Err(NameError::Control),
        _ => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $checked:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline, with = "String"))]
        pub struct $type(Arc<str>);

        impl $type {
            /// # Errors
            /// [`NameError`] when `text` is empty, too long or holds a character it must not.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                $checked(text).map(|()| Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                setting::text(from, Self::parse)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        // Sound, because equality and hash are those of the text.
        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// A key ID, RFC 7517 §4.5: case-sensitive, not empty, no control characters.
    Kid, |text| checked(text, MAX_KID)
}
name! {
    /// A value of `iss`, RFC 7519 §4.1.1, compared byte for byte. Not always a URL: some issuers
    /// omit the scheme.
    Issuer, |text| checked(text, MAX_NAME)
}
name! {
    /// A value of `aud`, RFC 7519 §4.1.3.
    Audience, |text| checked(text, MAX_NAME)
}

name! {
    /// The operator's short name for an issuer: 1 to 64 of `[A-Za-z0-9._-]`, the first not a dot. It
    /// is a metric label and a file name, so the alphabet is narrow.
    IssuerName, label
}

fn label(text: &str) -> Result<(), NameError> {
    checked(text, 64)?;
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.chars().all(ok) && !text.starts_with('.') { Ok(()) } else { Err(NameError::Label) }
}

impl Kid {
    /// A key ID this program computed itself; base64url text of a hash is always a valid one.
    pub(super) fn from_thumbprint(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

/// Whole seconds since 1970-01-01T00:00:00Z, RFC 7519 §2 `NumericDate`. The core receives the time
/// as a value of this type; only `clock.rs` asks the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnixTime(i64);

impl UnixTime {
    /// The last second of the year 9999: most calendars and clocks end there.
    pub const LAST: Self = Self(253_402_300_799);

    /// Seconds since 1970.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs)
    }

    /// Seconds since 1970.
    pub const fn secs(self) -> i64 {
        self.0
    }

    /// Later by this duration; at most the end of time.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(by.as_secs()))
    }

    /// Earlier by this duration; at least the beginning.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(by.as_secs()))
    }

    /// The time since `earlier`; zero if it is in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Limits on key sets and tokens, `[limits]`. Each default says where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Size of a key set document after decompression. The largest real ones are under 100 KiB.
    #[serde(with = "setting::Size")]
    pub document: usize,
    /// Usable keys in one set; dropped entries do not count. `document` limits the work.
    /// The strictest known client (Nimbus JOSE) reads 51,200 bytes, 100 RSA keys.
    pub keys: usize,
    /// JSON nesting of a key set document, of a protected header or of a claims set.
    pub depth: usize,
    /// Size of a compact JWS. Most servers limit a header line to 16 KiB.
    #[serde(with = "setting::Size")]
    pub token: usize,
    /// Signature checks per token (keys tried if the kid is missing or not unique).
    pub signature_checks: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { document: 512 * 1024, keys: 1000, depth: 32, token: 16 * 1024, signature_checks: 4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kid_that_could_break_a_log_line_is_refused() {
        assert_eq!(Kid::parse("a\nb"), Err(NameError::Control));
        assert_eq!(Kid::parse(""), Err(NameError::Empty));
        assert_eq!(Kid::parse(&"k".repeat(5000)), Err(NameError::TooLong(MAX_KID)));
        assert_eq!(Kid::parse("a/b+c= 鍵🔑").map(|k| k.to_string()), Ok("a/b+c= 鍵🔑".into()));
    }

    #[test]
    fn an_issuer_name_is_safe_as_a_file_name() {
        for bad in ["../x", "a/b", ".hidden", "a b", "é"] {
            assert!(IssuerName::parse(bad).is_err(), "{bad}");
        }
        assert!(IssuerName::parse("logto-eu.1").is_ok());
    }

    #[test]
    fn time_arithmetic_saturates() {
        let late = UnixTime::from_secs(i64::MAX);
        assert_eq!(late.plus(Duration::from_secs(1)), late);
        assert_eq!(UnixTime::from_secs(5).since(UnixTime::from_secs(9)), Duration::ZERO);
    }
}
