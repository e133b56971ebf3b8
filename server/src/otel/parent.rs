//! W3C Trace Context: the parent of a request's span, and the headers for the upstream.

use http::{HeaderMap, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceState};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;

use super::TRACEPARENT;

/// The client's span; `None` if the header is missing, invalid or repeated (Trace Context §3.2.1).
/// Its `tracestate` is forwarded unchanged and not exported.
pub(super) fn of(headers: &HeaderMap) -> Option<SpanContext> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let (Some(_), None) = (given.next(), given.next()) else { return None };
    let found = TraceContextPropagator::new()
        .extract_with_context(&Context::new(), &HeaderExtractor(headers));
    let found = found.span().span_context().clone();
    let state = TraceState::default();
    let bare =
        SpanContext::new(found.trace_id(), found.span_id(), found.trace_flags(), true, state);
    bare.is_valid().then_some(bare)
}

/// `traceparent` for a child of `span`, version 00.
pub(super) fn written(span: &SpanContext) -> Option<HeaderValue> {
    let sampled = u8::from(span.is_sampled());
    let text = format!("00-{}-{}-{sampled:02x}", span.trace_id(), span.span_id());
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::super::TRACESTATE;
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(values: &[&str]) -> HeaderMap {
        let value = |text: &&str| (TRACEPARENT, HeaderValue::try_from(*text).unwrap());
        let mut headers: HeaderMap = HeaderMap::new();
        for (name, value) in values.iter().map(value) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn a_parent_is_read_and_written_alike() {
        let mut headers = headers(&[GOOD]);
        headers.insert(TRACESTATE, HeaderValue::from_static("vendor=secret"));
        let parent = of(&headers).unwrap();
        assert!(parent.is_remote() && parent.is_sampled());
        assert_eq!(written(&parent).unwrap(), GOOD);
        assert_eq!(parent.trace_state().header(), "");
    }

    #[test]
    fn what_is_no_parent_is_none() {
        for wrong in [
            "",
            "x",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        ] {
            assert!(of(&headers(&[wrong])).is_none(), "{wrong}");
        }
        assert!(of(&headers(&[GOOD, GOOD])).is_none());
        assert!(of(&headers(&[])).is_none());
    }
}
