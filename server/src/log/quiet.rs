//! Drops some lines of pingora: two without meaning, and those of its proxy, whose errors quote
//! headers. The request handler writes its own line for each.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Logged at `error` whenever a pooled connection is checked while its idle watcher still holds it, as on
/// the first requests of every process. pingora then opens another connection, and nothing is lost.
const NO_ERROR: &str = "failed to acquire reusable stream";
/// Logged at `error` each second while `--upgrade` waits, which it says itself.
const WAITING: &str = "No incoming socket transfer";

/// The target of pingora's proxy.
const PROXY: &str = "pingora_proxy";

/// Formats as `F` does, and drops those lines. Not a filter: a filter that reads an event's fields
/// triggers an assertion of tracing-subscriber 0.3 if no other filter wants the event.
pub(super) struct Quiet<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for Quiet<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if says_nothing(event) { Ok(()) } else { self.0.format_event(context, writer, event) }
    }
}

fn says_nothing(event: &Event<'_>) -> bool {
    // Lines of the `log` crate have one callsite per level; their target is a field.
    let metadata = event.metadata();
    if *metadata.level() > Level::WARN || metadata.target() != "log" {
        return false;
    }
    let mut message = Message(false);
    event.record(&mut message);
    message.0
}

/// Whether the message is one of those.
struct Message(bool);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let text = format!("{value:?}");
            self.0 |= text == NO_ERROR || text.starts_with(WAITING);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "log.target" {
            self.0 |= value.starts_with(PROXY);
        }
    }
}
