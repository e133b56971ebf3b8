//! Lines of pingora's that are not written: one that says nothing, and those of its proxy, whose
//! errors quote heads. The request handler writes a line of its own for each.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Said at `error` whenever a pooled connection is looked at while its idle watcher still holds it, as
/// on the first requests of every process. pingora then opens another one, and nothing is lost.
const NO_ERROR: &str = "failed to acquire reusable stream";

/// The target of pingora's proxy.
const PROXY: &str = "pingora_proxy";

/// Formats as `F` does, and leaves out those. Not a filter: one that looks at an event's fields
/// trips over an assertion of tracing-subscriber 0.3 when no other filter wants the event.
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
    // Lines of the `log` crate have one callsite for each level; their target is a field.
    let metadata = event.metadata();
    if *metadata.level() > Level::WARN || metadata.target() != "log" {
        return false;
    }
    let mut message = Message(false);
    event.record(&mut message);
    message.0
}

/// Whether the message is one of them.
struct Message(bool);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 |= format!("{value:?}") == NO_ERROR;
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "log.target" {
            self.0 |= value.starts_with(PROXY);
        }
    }
}
