//! Logging: one line per event on stderr, as text or as JSON.
//!
//! Three measures keep secrets out of it (`docs/logging.md`):
//! 1. what our crates log has named fields, and none of them is a token, a key or a header value;
//! 2. other crates log at `info` at most: below that, HTTP libraries print header lines and bodies;
//! 3. [`mod@scrub`] blanks what looks like a secret in every finished line, whichever code wrote it; in
//!    an access line of a file or a pipe, in the fields that the client chose.
//!
//! A slow reader of the log never delays a request: `writer` has the queue.

mod access;
#[cfg(debug_assertions)]
pub mod copy;
mod quiet;
mod writer;

use std::io::{self, IsTerminal as _, Write};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt;

pub use self::access::{Access, access_wanted};
use self::quiet::Quiet;
pub use self::writer::{Guard, lost_lines};
use crate::clock::Clock;
use crate::otel;
use crate::scrub::scrub;
use crate::setting::{self, Invalid};

/// `[log]`
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `text` or `json`: one JSON object per line, fields at the top level.
    pub format: Format,
    /// `error`, `warn`, `info`, `debug`, `trace`, `off`, or `target=level` pairs.
    #[serde(rename = "level")]
    #[schemars(with = "String")]
    pub filter: Filter,
}

/// Shape of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// The log level, or levels by target, `info,countersign::access=off`.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Targets);

/// Why the log could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    #[error("a logger is already installed")]
    Installed,
}

/// The beginning of every target of ours: `countersign`, `countersign_server`, `countersign_core`.
const OWN: &str = "countersign";
/// Our crates; every other one is limited to [`OTHERS`].
const OWN_CRATES: [&str; 3] = [OWN, "countersign_server", "countersign_core"];
/// The maximum level of other crates. pingora prints response headers at `debug` and whole requests
/// at `trace`; h2 and hyper print header lists.
const OTHERS: LevelFilter = LevelFilter::INFO;

impl Default for Filter {
    fn default() -> Self {
        Self::at(LevelFilter::INFO)
    }
}

impl Filter {
    /// The level of a command that is not the proxy.
    pub fn warnings() -> Self {
        Self::at(LevelFilter::WARN)
    }

    /// One level for our crates. Others are one step quieter, so that a proxy at `info` does not
    /// log each connection.
    fn at(level: LevelFilter) -> Self {
        let others =
            if level >= LevelFilter::DEBUG { OTHERS } else { level.min(LevelFilter::WARN) };
        let filter = Targets::new().with_default(others).with_target(OWN, level);
        // Spans are exported, not logged.
        Self(filter.with_target(otel::TARGET, LevelFilter::OFF))
    }
}

impl FromStr for Filter {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = || {
            Invalid::new(format_args!("invalid log level `{text}`")).hint(
                "write `error`, `warn`, `info`, `debug`, `trace`, `off`, or `target=level` pairs",
            )
        };
        let mut filter = Self::default().0;
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            filter = match part.split_once('=') {
                None => Self::at(part.parse().map_err(|_| bad())?).0,
                Some((target, level)) => {
                    let level: LevelFilter = level.trim().parse().map_err(|_| bad())?;
                    let target = target.trim();
                    // `countersign::issuer` means the module, whichever of our crates it is in.
                    if let Some(module) = target.strip_prefix("countersign::") {
                        filter = filter.with_target(format!("countersign_server::{module}"), level);
                    }
                    let own = target.split("::").next().is_some_and(|of| OWN_CRATES.contains(&of));
                    filter.with_target(target, if own { level } else { level.min(OTHERS) })
                }
            };
        }
        Ok(Self(filter))
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        setting::text(from, str::parse)
    }
}

/// Installs the process's logger. Lines of the `log` crate (pingora) use it too. Dropping the guard
/// writes the lines that still wait.
///
/// # Errors
/// [`LogError::Installed`] on a second call.
pub fn init(format: Format, filter: &Filter) -> Result<Guard, LogError> {
    let (queue, guard) = writer::stderr();
    let access = access::Lines { format, to: queue.clone() };
    let is_terminal = io::stderr().is_terminal();
    let lines = layer(format, is_terminal, crate::env::no_color().is_none(), queue);
    let logger = registry().with(lines.with_filter(filter.0.clone()));
    #[cfg(feature = "otel")]
    let logger = logger.with(otel::layer());
    #[cfg(debug_assertions)]
    let logger = logger.with(copy::layer());
    logger.try_init().map_err(|_| LogError::Installed)?;
    if !is_terminal {
        let _ = access::LINES.set(access);
    }
    log_panics();
    Ok(guard)
}

type BoxedLayer = Box<dyn Layer<registry::Registry> + Send + Sync>;

/// Formats events into lines. On a terminal a person reads along: short times, no module names, and the level
/// in its colour.
fn layer<W>(format: Format, is_terminal: bool, colors: bool, to: W) -> BoxedLayer
where
    W: Write + Clone + Send + Sync + 'static,
{
    let colors = colors && is_terminal && format == Format::Text;
    let writer = move || LineWriter { to: to.clone(), colors };
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
    match format {
        Format::Json => {
            let layer = layer.json().flatten_event(true);
            let layer = layer.with_current_span(false).with_span_list(false);
            layer.map_event_format(Quiet).boxed()
        }
        Format::Text if is_terminal => {
            layer.with_target(false).with_timer(TimeOfDay).map_event_format(Quiet).boxed()
        }
        Format::Text => layer.map_event_format(Quiet).boxed(),
    }
}

/// `12:34:56` of UTC.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        let secs = Clock::system().now().secs().rem_euclid(86_400);
        write!(w, "{:02}:{:02}:{:02}Z", secs / 3600, secs / 60 % 60, secs % 60)
    }
}

/// A panic's message may quote its input; it passes through the scrubber like any line.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
        tracing::error!(place, reason = text, "a thread panicked");
    }));
}

/// Scrubs each line, then colours its level: escapes inside a line would hide a secret from the scrubber.
struct LineWriter<W> {
    to: W,
    colors: bool,
}

impl<W: Write> Write for LineWriter<W> {
    // The formatter writes each event in one piece, so no secret is cut in two.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let clean = scrub(&text);
        let colored = self.colors.then(|| colored(&clean)).flatten();
        self.to.write_all(colored.as_deref().unwrap_or(&clean).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The line with a coloured level, the second word, and a dimmed time.
fn colored(line: &str) -> Option<String> {
    let (time, rest) = line.split_once(' ')?;
    let (level, rest) = rest.trim_start().split_once(' ')?;
    let style = match level {
        "ERROR" => "1;31",
        "WARN" => "1;33",
        "INFO" => "32",
        _ => "2",
    };
    Some(format!("\u{1b}[2m{time}\u{1b}[0m \u{1b}[{style}m{level:>5}\u{1b}[0m {rest}"))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    pub(super) struct Sink(pub(super) Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(buf);
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(super) fn logged(format: Format, filter: &str, say: impl FnOnce()) -> String {
        let sink = Sink::default();
        let lines = layer(format, false, false, sink.clone());
        let filter: Filter = filter.parse().unwrap();
        let subscriber = registry().with(lines.with_filter(filter.0));
        tracing::subscriber::with_default(subscriber, say);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn another_crate_never_says_more_than_info() {
        for filter in ["trace", "trace,pingora_core=trace", "pingora_core=trace,h2=debug"] {
            let out = logged(Format::Text, filter, || {
                tracing::trace!(target: "pingora_core::protocols", "Writing request header");
                tracing::debug!(target: "h2::codec", "headers");
            });
            assert_eq!(out, "", "{filter}");
        }
        let out =
            logged(Format::Text, "trace", || tracing::trace!(target: "countersign::x", "own"));
        assert!(out.contains("own"));
    }

    #[test]
    fn our_crates_are_one_to_the_filter() {
        let out = |filter| {
            logged(Format::Text, filter, || {
                tracing::debug!(target: "countersign::serve", "program");
                tracing::debug!(target: "countersign_server::issuer::handle", "server");
                tracing::debug!(target: "countersign_core::jose", "core");
            })
        };
        for (filter, wanted) in [
            ("info", &[][..]),
            ("countersign_server=debug", &["server"]),
            ("countersign_core=trace", &["core"]),
            ("countersign_server::issuer=debug", &["server"]),
            ("countersign::issuer=debug", &["server"]),
            ("countersign::serve=debug", &["program"]),
            ("debug,countersign::issuer=off", &["program", "core"]),
        ] {
            let out = out(filter);
            for word in ["program", "server", "core"] {
                let line = out.lines().any(|line| line.ends_with(&format!(": {word}")));
                assert_eq!(line, wanted.contains(&word), "{filter}: {out}");
            }
        }
    }

    #[test]
    fn a_terminal_gets_short_lines_and_no_secret() {
        let token = "eyJhbGciOiJFUzM4NCJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlLW9mLXRoaXM";
        let sink = Sink::default();
        let subscriber = registry().with(layer(Format::Text, true, true, sink.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(url = "https://u:hunter2@a.example", "got {token}");
        });
        let line = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let (time, rest) = line.split_once("Z\u{1b}[0m ").unwrap();
        assert_eq!(time.len(), "\u{1b}[2m12:34:56".len(), "{line}");
        assert!(rest.starts_with("\u{1b}[1;33m WARN\u{1b}[0m got [token]"), "{line:?}");
        assert!(!line.contains("eyJ") && !line.contains("hunter2"), "{line}");
        assert_eq!(line.matches('\u{1b}').count(), 4, "{line:?}");
    }

    #[test]
    fn what_says_nothing_is_not_written_and_its_neighbours_are() {
        let nothing = "failed to acquire reusable stream";
        for format in [Format::Text, Format::Json] {
            let out = logged(format, "info", || {
                tracing::error!(target: "log", "{nothing}");
                tracing::error!(target: "log", "{nothing}: another");
                tracing::error!(target: "countersign", "{nothing}");
            });
            assert_eq!(out.lines().count(), 2, "{out}");
            assert!(out.contains("another") && out.contains("countersign"), "{out}");
        }
    }

    #[test]
    fn a_wrong_level_is_reported() {
        let wrong = "verbose".parse::<Filter>().unwrap_err();
        assert!(wrong.to_string().contains("invalid log level `verbose`"), "{wrong}");
        assert!("countersign=loud".parse::<Filter>().is_err());
    }

    #[test]
    fn a_secret_in_a_line_does_not_come_out() {
        let token = "eyJhbGciOiJFUzM4NCJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlLW9mLXRoaXM";
        for format in [Format::Text, Format::Json] {
            let out = logged(format, "info", || tracing::info!(value = token, "oops {token}"));
            assert!(!out.contains("eyJ"), "{out}");
            assert!(out.contains("[token]"), "{out}");
        }
    }
}
