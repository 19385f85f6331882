//! W3C Trace Context (`traceparent`) between the current span and the outside.

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use std::collections::HashMap;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const HEADER: &str = "traceparent";

/// The current span as others may refer to it: the value of a `traceparent` header.
pub fn current_traceparent() -> Option<String> {
    current()
        .map(|span| format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8()))
}

/// The id of the trace that the current span belongs to.
pub fn current_trace_id() -> Option<String> {
    current().map(|span| span.trace_id().to_string())
}

/// Makes `span` a part of the trace that `traceparent` names. Call before the span is entered; nonsense is ignored.
pub fn follow(span: &tracing::Span, traceparent: &str) {
    let carrier = HashMap::from([(HEADER.to_owned(), traceparent.to_owned())]);
    let context = TraceContextPropagator::new().extract(&carrier);
    if context.span().span_context().is_valid() {
        // Without a trace layer there is no trace to follow.
        let _ = span.set_parent(context);
    }
}

fn current() -> Option<SpanContext> {
    let context = tracing::Span::current().context();
    let span = context.span().span_context().clone();
    span.is_valid().then_some(span)
}

#[cfg(test)]
mod tests {
    use super::{current_trace_id, current_traceparent, follow};
    use crate::telemetry::export;
    use opentelemetry::trace::TracerProvider;
    use tracing_subscriber::layer::SubscriberExt;

    const REMOTE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn traced<T>(test: impl FnOnce() -> T) -> T {
        let provider = export::provider(None, "test").unwrap();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), test)
    }

    #[test]
    fn a_span_has_a_traceparent_although_nothing_is_exported() {
        traced(|| {
            let traceparent = tracing::info_span!("request").in_scope(current_traceparent).unwrap();
            let parts: Vec<_> = traceparent.split('-').map(str::len).collect();
            assert_eq!(parts, [2, 32, 16, 2]);
        });
    }

    #[test]
    fn a_span_that_follows_belongs_to_the_remote_trace_under_an_own_id() {
        traced(|| {
            let span = tracing::info_span!("request");
            follow(&span, REMOTE);
            let traceparent = span.in_scope(current_traceparent).unwrap();
            assert!(traceparent.starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
            assert!(!traceparent.contains("b7ad6b7169203331"));
            let child = span.in_scope(|| tracing::info_span!("child").in_scope(current_trace_id));
            assert_eq!(child.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        });
    }

    #[test]
    fn nonsense_starts_a_trace_of_its_own() {
        traced(|| {
            let span = tracing::info_span!("request");
            follow(&span, "00-00000000000000000000000000000000-b7ad6b7169203331-01");
            follow(&span, "hello");
            assert!(span.in_scope(current_traceparent).is_some());
        });
    }

    #[test]
    fn without_a_span_there_is_no_traceparent() {
        traced(|| assert_eq!(current_traceparent(), None));
    }
}
