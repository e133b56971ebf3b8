//! The access line: one for each request that ended.
//!
//! In a file or a pipe these are most of the lines, so they are formatted here: tracing's formatter and the
//! scrubber over a whole line take several times as long (docs/benchmarks.md, row 14). Their shape is the
//! formatter's, and what the client chose passes through the scrubber.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::OnceLock;

use serde::Serialize;
use tracing::Level;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use super::Format;
use super::writer::Queue;
use crate::scrub::scrub;

/// Target of the line.
const TARGET: &str = "countersign::access";
/// Its message.
const MESSAGE: &str = "request";
/// Maximum bytes of a method or a path in a line.
const MAX_FIELD: usize = 1024;
/// Bytes of a usual line.
const USUAL: usize = 320;

/// The facts of one finished request; see `docs/logging.md` for the fields.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Access<'a> {
    pub request_id: &'a str,
    pub method: &'a str,
    /// Only the path: a query may contain a code or a token.
    pub path: &'a str,
    pub status: u16,
    /// Why this program refused the request or could not forward it; the `code` of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'a str>,
    /// The route that answered.
    pub route: &'a str,
    pub bytes: u64,
    pub seconds: f64,
}

/// Where access lines go, if they do not go through tracing's formatter.
pub(super) static LINES: OnceLock<Lines> = OnceLock::new();

/// Formats access lines into the log's queue.
pub(super) struct Lines {
    pub(super) format: Format,
    pub(super) to: Queue,
}

/// Whether access lines are enabled; asked before they are built.
pub fn access_wanted() -> bool {
    tracing::enabled!(target: TARGET, Level::WARN)
}

impl Access<'_> {
    /// Writes the line at `info`, or at `warn` if the proxy itself failed.
    pub fn log(&self) {
        let access = Access { method: cut(self.method), path: cut(self.path), ..*self };
        match LINES.get() {
            Some(lines) => lines.write(&access),
            None => access.event(),
        }
    }

    fn is_failure(&self) -> bool {
        self.status >= 500
    }

    /// Hands the facts to tracing's formatter.
    fn event(&self) {
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    target: TARGET,
                    $level,
                    request_id = self.request_id,
                    method = self.method,
                    path = self.path,
                    status = self.status,
                    code = self.code,
                    route = self.route,
                    bytes = self.bytes,
                    seconds = self.seconds,
                    "request"
                )
            };
        }
        if self.is_failure() { line!(Level::WARN) } else { line!(Level::INFO) }
    }
}

impl Lines {
    fn write(&self, access: &Access<'_>) {
        if !access.is_failure() && !tracing::enabled!(target: TARGET, Level::INFO) {
            return;
        }
        let now = now();
        #[cfg(debug_assertions)]
        super::copy::line(&line(self.format, access, &now));
        self.queue(access, &now);
    }

    /// Scrubs what the client chose and hands the line to the queue.
    fn queue(&self, access: &Access<'_>, timestamp: &str) {
        let (id, method, path) =
            (scrub(access.request_id), scrub(access.method), scrub(access.path));
        let clean = Access { request_id: &id, method: &method, path: &path, ..*access };
        // The queue has no errors: a line that finds it full is counted.
        let _ = self.to.clone().write_all(line(self.format, &clean, timestamp).as_bytes());
    }
}

/// The time as tracing's formatter writes it.
fn now() -> String {
    let mut text = String::with_capacity(32);
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

/// The line as tracing's formatter writes it.
fn line(format: Format, access: &Access<'_>, timestamp: &str) -> String {
    #[derive(Serialize)]
    struct Json<'a> {
        timestamp: &'a str,
        level: &'a str,
        message: &'a str,
        #[serde(flatten)]
        access: &'a Access<'a>,
        target: &'a str,
    }
    let level = if access.is_failure() { "WARN" } else { "INFO" };
    let mut line = match format {
        Format::Json => {
            let fields = Json { timestamp, level, message: MESSAGE, access, target: TARGET };
            serde_json::to_string(&fields).unwrap_or_default()
        }
        Format::Text => {
            let Access { request_id, method, path, status, code, route, bytes, seconds } = access;
            let mut line = String::with_capacity(USUAL);
            let _ = write!(
                line,
                "{timestamp} {level:>5} {TARGET}: {MESSAGE} request_id={request_id:?} \
                 method={method:?} path={path:?} status={status}"
            );
            if let Some(code) = code {
                let _ = write!(line, " code={code:?}");
            }
            let _ = write!(line, " route={route:?} bytes={bytes} seconds={seconds:?}");
            line
        }
    };
    line.push('\n');
    line
}

/// The beginning of a text that a client chose: a log line stays short, whatever the request.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_FIELD);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Sink, logged};
    use super::super::writer;
    use super::*;

    fn access(status: u16) -> Access<'static> {
        Access {
            request_id: "r-1",
            method: "POST",
            path: "/token",
            status,
            code: (status >= 400).then_some("expired"),
            route: "token",
            bytes: 12,
            seconds: 0.25,
        }
    }

    #[test]
    fn a_line_is_what_tracings_formatter_would_write() {
        let odd =
            Access { method: "M\"\\", path: "/é/\u{1b}[2m%22", seconds: 1.5e-7, ..access(500) };
        for access in [access(200), access(404), access(502), odd] {
            for format in [Format::Text, Format::Json] {
                let formatted = logged(format, "info", || access.event());
                let from = formatted.find("20").unwrap();
                let timestamp = formatted[from..].split(['"', ' ']).next().unwrap();
                let ours = line(format, &access, timestamp);
                match format {
                    Format::Text => assert_eq!(ours, formatted),
                    Format::Json => {
                        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text);
                        assert_eq!(parse(&ours).unwrap(), parse(&formatted).unwrap());
                    }
                }
            }
        }
    }

    #[test]
    fn what_a_client_chose_is_scrubbed_and_cut() {
        let token = "eyJhbGciOiJFUzM4NCJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlLW9mLXRoaXM";
        let long = format!("/{token}/{}", "a/".repeat(2 * MAX_FIELD));
        for format in [Format::Text, Format::Json] {
            let sink = Sink::default();
            let (to, guard) = writer::queued(sink.clone());
            let lines = Lines { format, to };
            // Not `write`: it keeps the line before scrubbing for scripts/scan-logs.
            lines.queue(&Access { path: cut(&long), request_id: token, ..access(200) }, &now());
            drop(guard);
            let line = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
            assert_eq!(line.matches("[token]").count(), 2, "{line}");
            assert!(!line.contains("eyJ") && line.len() < 2 * MAX_FIELD, "{line}");
            assert!(line.ends_with('\n') && line.lines().count() == 1, "{line:?}");
        }
    }

    #[test]
    fn an_access_line_is_one_json_object() {
        let line = logged(Format::Json, "info", || access(400).event());
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        for (field, value) in [
            ("request_id", "r-1".into()),
            ("method", "POST".into()),
            ("path", "/token".into()),
            ("status", 400.into()),
            ("code", "expired".into()),
            ("seconds", 0.25.into()),
            ("target", TARGET.into()),
            ("message", "request".into()),
        ] {
            let value: serde_json::Value = value;
            assert_eq!(line[field], value, "{field}");
        }
    }

    #[test]
    fn a_good_request_has_no_code() {
        let line = logged(Format::Text, "info", || access(200).event());
        assert!(line.contains("status=200") && !line.contains("code"), "{line}");
    }

    #[test]
    fn a_failed_request_is_a_warning() {
        assert!(logged(Format::Text, "warn", || access(502).event()).contains("WARN"));
        assert_eq!(logged(Format::Text, "warn", || access(404).event()), "");
    }

    #[test]
    fn a_target_can_be_turned_off() {
        let out = logged(Format::Text, "info,countersign::access=off", || access(200).event());
        assert_eq!(out, "");
    }

    #[test]
    fn a_long_path_is_cut() {
        assert_eq!(cut("/short"), "/short");
        assert_eq!(cut(&"é".repeat(5000)).len(), MAX_FIELD);
        assert_eq!(cut(&format!("/{}", "é".repeat(5000))).len(), MAX_FIELD - 1);
    }
}
