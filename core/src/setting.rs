//! Values as they are written in a configuration file: `"5s"`, `"16KiB"`,
//! `"https://auth.example.com"`.
//!
//! A settings type keeps the plain type of a field, and names one of these types in serde's `with`:
//!
//! ```
//! # use countersign_core::setting;
//! #[derive(serde::Deserialize)]
//! struct Timeouts {
//!     #[serde(with = "setting::Duration")]
//!     connect: std::time::Duration,
//! }
//! let read: Timeouts = serde_json::from_str(r#"{ "connect": "5s" }"#).unwrap();
//! assert_eq!(read.connect.as_secs(), 5);
//! ```
//!
//! Each is also a type of its own, for optional keys: `Option<setting::Duration>`.

use std::fmt::{self, Display};

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, Error, IntoDeserializer as _, SeqAccess, Visitor};
use serde::{Deserialize, Serializer};

/// Why a value is invalid, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}{}{}", part(HINT_MARK, hint.as_deref()), part(MEANT_MARK, meant.as_deref()))]
pub struct Invalid {
    /// Why the value is invalid.
    pub why: String,
    /// What to write instead, or what else there is to know.
    pub hint: Option<String>,
    /// The value that was probably meant. A caller that knows the key shows both as a line.
    pub meant: Option<String>,
}

/// What separates the parts of [`Invalid`] in its text.
const HINT_MARK: &str = "\nhint: ";
const MEANT_MARK: &str = "\nmeant: ";

impl Invalid {
    /// An invalid setting, with the reason.
    pub fn new(why: impl Display) -> Self {
        Self { why: why.to_string(), hint: None, meant: None }
    }

    #[must_use]
    /// Adds what to write instead.
    pub fn hint(self, hint: impl Display) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }

    #[must_use]
    /// Adds the value that was probably meant.
    pub fn meant(self, value: impl Display) -> Self {
        Self { meant: Some(value.to_string()), ..self }
    }

    /// Splits a serde error into reason and hint, because serde carries only text.
    pub fn from_message(message: &str) -> Self {
        let (message, meant) = split_part(message, MEANT_MARK);
        let (why, hint) = split_part(message, HINT_MARK);
        Self { why: why.to_owned(), hint, meant }
    }
}

fn split_part<'a>(message: &'a str, separator: &str) -> (&'a str, Option<String>) {
    match message.rsplit_once(separator) {
        Some((message, part)) => (message, Some(part.to_owned())),
        None => (message, None),
    }
}

fn part(separator: &str, text: Option<&str>) -> String {
    text.map(|text| format!("{separator}{text}")).unwrap_or_default()
}

/// Deserializes a string and parses it.
///
/// # Errors
/// The error of `parse`, at the position of the value.
pub fn text<'de, D: Deserializer<'de>, T, F: Display>(
    deserializer: D,
    parse: fn(&str) -> Result<T, F>,
) -> Result<T, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// A type that is written as a string: how it is parsed, and how the JSON schema shows its default.
macro_rules! written {
    ($(#[$doc:meta])* $name:ident, $plain:ty, $parse:expr, $show:expr) => {
        $(#[$doc])*
        // In the schema, only a field's own comment describes it.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "schema", schemars(with = "String", inline, description = ""))]
        pub struct $name(pub $plain);

        impl $name {
            /// # Errors
            /// How to write the value.
            pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$plain, D::Error> {
                text(from, $parse)
            }

            /// # Errors
            /// The serializer's own.
            pub fn serialize<S: Serializer>(value: &$plain, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(&$show(value))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                text(from, $parse).map(Self)
            }
        }
    };
}

written! {
    /// `"300ms"`, `"5s"`, `"10m"`, `"12h"`, `"7d"`; `"0s"` is zero.
    Duration, std::time::Duration, duration, show_duration
}
written! {
    /// The same in whole seconds, for HTTP's `max-age`.
    Seconds, u32, seconds, |value: &u32| format!("{value}s")
}
written! {
    /// Bytes: `"4096"`, `"16KiB"`, `"1MiB"`; KB and MB count in thousands.
    Size, usize, size, |value: &usize| show_size(*value)
}
written! {
    /// An `http` or `https` URL without credentials and fragment.
    Url, url::Url, http_url, url::Url::as_str
}

/// # Errors
/// How to write a duration.
pub fn duration(text: &str) -> Result<std::time::Duration, Invalid> {
    let invalid = || {
        Invalid::new(format_args!("invalid duration `{text}`"))
            .hint("write `300ms`, `5s`, `10m`, `12h` or `7d`")
    };
    let (number, unit) = split(text);
    let number: u64 = number.parse().map_err(|_| invalid())?;
    let milliseconds = match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" | "min" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let total = milliseconds.and_then(|factor| number.checked_mul(factor)).ok_or_else(invalid)?;
    // Limited to a century, so that later sums of times cannot overflow.
    if total > 36_525 * 86_400_000 {
        return Err(Invalid::new(format_args!("`{text}` is longer than a century")));
    }
    Ok(std::time::Duration::from_millis(total))
}

fn show_duration(value: &std::time::Duration) -> String {
    let (seconds, milliseconds) = (value.as_secs(), value.subsec_millis());
    match seconds {
        _ if milliseconds > 0 => format!("{}ms", value.as_millis()),
        0..600 => format!("{seconds}s"),
        _ if seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        _ if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        _ if seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

fn seconds(text: &str) -> Result<u32, Invalid> {
    let too_long = |_| Invalid::new(format_args!("`{text}` is too long"));
    u32::try_from(duration(text)?.as_secs()).map_err(too_long)
}

/// # Errors
/// How to write a size.
pub fn size(text: &str) -> Result<usize, Invalid> {
    let invalid = || {
        Invalid::new(format_args!("invalid size `{text}`")).hint("write `4096`, `16KiB` or `1MiB`")
    };
    let (number, unit) = split(text);
    let number: usize = number.parse().map_err(|_| invalid())?;
    let factor = match unit {
        "" | "B" => 1,
        "KiB" | "K" => 1024,
        "MiB" | "M" => 1024 * 1024,
        "GiB" | "G" => 1024 * 1024 * 1024,
        "KB" | "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(invalid()),
    };
    number.checked_mul(factor).ok_or_else(invalid)
}

fn show_size(value: usize) -> String {
    match value {
        _ if value > 0 && value.is_multiple_of(1024 * 1024) => {
            format!("{}MiB", value / (1024 * 1024))
        }
        _ if value > 0 && value.is_multiple_of(1024) => format!("{}KiB", value / 1024),
        _ => value.to_string(),
    }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// # Errors
/// Why the URL is invalid, without its user name or password.
pub fn http_url(text: &str) -> Result<url::Url, Invalid> {
    const NO_SCHEME: &str = "it lacks its scheme, `https://` or `http://`";
    let completed = with_scheme(text);
    let why = match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => return check_parts(url),
        // A host and its port look like a scheme and a path: `localhost:3000`.
        Ok(_) if !text.contains("://") && completed.is_some() => NO_SCHEME.to_owned(),
        Ok(url) => format!("`{}:` is neither `http:` nor `https:`", url.scheme()),
        Err(url::ParseError::RelativeUrlWithoutBase) if completed.is_some() => NO_SCHEME.to_owned(),
        Err(url::ParseError::RelativeUrlWithoutBase) => "not an absolute URL".to_owned(),
        Err(why) => format!("invalid URL: {why}"),
    };
    Err(match completed {
        Some(url) => Invalid::new(why).meant(url),
        None => Invalid::new(why).hint("write it like `https://auth.example.com`"),
    })
}

/// The URL, unless it has credentials or a fragment.
fn check_parts(mut url: url::Url) -> Result<url::Url, Invalid> {
    let why = if !url.username().is_empty() || url.password().is_some() {
        "a URL must not carry a user name or password"
    } else if url.fragment().is_some() {
        "a URL must not carry a fragment (`#…`)"
    } else {
        return Ok(url);
    };
    url.set_fragment(None);
    // A query may hold a secret. These two fail only for URLs without a host.
    let bare = url.set_username("").and_then(|()| url.set_password(None));
    Err(match bare {
        Ok(()) if url.query().is_none() => Invalid::new(why).meant(shown(&url)),
        _ => Invalid::new(why).hint("leave it out"),
    })
}

/// A URL as people write it: without the slash of an empty path.
pub fn shown(url: &url::Url) -> &str {
    match url.path() {
        "/" => url.as_str().trim_end_matches('/'),
        _ => url.as_str(),
    }
}

/// The URL that `text` becomes by a scheme: `http:` for this machine and private addresses, else
/// `https:`. `None` if that is not a URL, or might show a secret.
fn with_scheme(text: &str) -> Option<String> {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let rest = text.strip_prefix("//").unwrap_or(text);
    if rest.starts_with(['/', '.']) || rest.contains(['@', '?', '#', '\\']) {
        return None;
    }
    let url = url::Url::parse(&format!("https://{rest}")).ok()?;
    let inside = match url.host()? {
        url::Host::Domain(name) => !name.contains('.') || name.ends_with(".localhost"),
        url::Host::Ipv4(ip) => ip.is_loopback() || ip.is_private() || ip.is_unspecified(),
        url::Host::Ipv6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unspecified(),
    };
    let scheme = if inside { "http" } else { "https" };
    Some(format!("{scheme}://{rest}"))
}

/// A string or a list of strings, each of which becomes a `T`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany<T = String>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> OneOrMany<T> {
    /// # Errors
    /// A type other than a string or a list of strings, or a string that is not a `T`.
    pub fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Vec<String>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Vec<String>, E> {
                Ok(vec![text.to_owned()])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<String>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq))
            }
        }

        let texts = from.deserialize_any(Either)?;
        texts.into_iter().map(|text| T::deserialize(text.into_deserializer())).collect()
    }
}

impl<T: AsRef<str>> OneOrMany<T> {
    /// # Errors
    /// The serializer's own.
    pub fn serialize<S: Serializer>(value: &[T], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(value.iter().map(AsRef::as_ref))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::deserialize(from).map(Self)
    }
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[cfg(feature = "schema")]
impl<T> schemars::JsonSchema for OneOrMany<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }]
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn durations() {
        for (text, seconds, shown) in [
            ("300s", 300, "300s"),
            ("7d", 604_800, "7d"),
            (" 5 min ", 300, "300s"),
            ("60m", 3600, "1h"),
            ("10m", 600, "10m"),
            ("0s", 0, "0s"),
        ] {
            let read = duration(text).unwrap();
            assert_eq!(read, Duration::from_secs(seconds), "{text}");
            assert_eq!(show_duration(&read), shown);
            assert_eq!(duration(shown), Ok(read));
        }
        assert_eq!(show_duration(&Duration::from_millis(1500)), "1500ms");
        for bad in ["", "5", "s", "-1s", "1.5h", "1y", "99999999999999999999s", "40000d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes, shown) in [
            ("512KiB", 524_288, "512KiB"),
            ("1 MiB", 1_048_576, "1MiB"),
            ("4097", 4097, "4097"),
            ("0", 0, "0"),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
            assert_eq!(show_size(bytes), shown);
        }
        for bad in ["", "KiB", "-1", "1TiB", "18446744073709551615GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_url_error_shows_no_password() {
        let error = http_url("https://u:hunter2@a").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
        assert_eq!(error.meant.as_deref(), Some("https://a"));
        for text in ["u:hunter2@a", "//u:hunter2@a", "a?key=hunter2", "https://a?key=hunter2#f"] {
            assert!(!http_url(text).unwrap_err().to_string().contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_url_without_its_scheme_is_completed() {
        let meant = |text: &str| http_url(text).unwrap_err().meant;
        for (text, url) in [
            ("auth.example.com", "https://auth.example.com"),
            ("auth.example.com:8443/a", "https://auth.example.com:8443/a"),
            ("//auth.example.com", "https://auth.example.com"),
            ("tcp://auth.example.com", "https://auth.example.com"),
            ("localhost:3000", "http://localhost:3000"),
            ("auth:3000", "http://auth:3000"),
            ("127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("[::1]:3000", "http://[::1]:3000"),
            ("8.8.8.8", "https://8.8.8.8"),
            ("https://a.example/b#c", "https://a.example/b"),
            ("https://a.example/#c", "https://a.example"),
        ] {
            assert_eq!(meant(text).as_deref(), Some(url), "{text}");
            assert!(http_url(url).is_ok());
        }
        for text in ["", "/a", "./a", "a b", "mailto:me", "file:///a", "https://"] {
            assert_eq!(meant(text), None, "{text}");
        }
    }

    #[test]
    fn a_hint_passes_through_serde() {
        let invalid = duration("5x").unwrap_err();
        assert_eq!(Invalid::from_message(&invalid.to_string()), invalid);
        assert_eq!(Invalid::from_message("why"), Invalid::new("why"));
        for invalid in [Invalid::new("why").meant("x"), Invalid::new("why").hint("y").meant("x")] {
            assert_eq!(Invalid::from_message(&invalid.to_string()), invalid);
        }
    }
}
