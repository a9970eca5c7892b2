//! One log event as one line of JSON, with the members the logging rules name.

use super::Conversation;
use std::fmt::{self, Write};
use std::time::SystemTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Events of this target are access lines: one per answered request.
const ACCESS: &str = "access";

/// The members that fields of events become; a field that is not here keeps its name.
const MEMBERS: &[(&str, &[&str])] = &[
    ("message", &["Message", "MessageTemplate"]),
    ("trace_id", &["TraceId"]),
    ("request_id", &["RequestId"]),
    ("method", &["HttpMethod"]),
    ("status", &["HttpStatus", "ResponseStatusCode"]),
    ("user_agent", &["UserAgent"]),
    ("error_code", &["ErrorCode"]),
    ("error_type", &["ErrorType"]),
    ("error", &["ExceptionMessage"]),
    ("fault_id", &["FaultId"]),
    ("health_status", &["HealthStatus"]),
];

/// Formats events as JSON lines.
pub(super) struct JsonLines {
    /// The members that are the same in every line of this process, as JSON text.
    constant: String,
}

/// Writes an event's fields as JSON members.
struct Members<'a, 'w> {
    out: &'a mut Writer<'w>,
    has_trace_id: bool,
    result: fmt::Result,
}

/// Escapes what is written through it for use inside a JSON string.
struct Escaped<'a>(&'a mut dyn Write);

// === impl JsonLines ===

impl JsonLines {
    /// Lines of this process, which runs in `environment`.
    pub fn of_this_process(environment: &str) -> Self {
        let mut constant = String::new();
        for (name, value) in [
            ("Application", env!("CARGO_PKG_NAME")),
            ("FeatureVersion", env!("CARGO_PKG_VERSION")),
            ("Team", "catalog"),
            ("Environment", environment),
            ("Hostname", &hostname()),
            ("InstanceId", &uuid::Uuid::new_v4().to_string()),
        ] {
            // Writing to a `String` does not fail.
            let _ = write!(constant, ",\"{name}\":\"");
            let _ = Escaped(&mut constant).write_str(value);
            constant.push('"');
        }
        Self { constant }
    }
}

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    JsonFields: for<'a> FormatFields<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let target = event.metadata().target();
        let kind = if target == ACCESS {
            "Access"
        } else {
            "Application"
        };
        write!(
            out,
            "{{\"timestamp\":\"{:.3}\",\"Level\":\"{}\",\"LogType\":\"{kind}\",\"Feature\":\"{target}\"{}",
            now(),
            event.metadata().level(),
            self.constant
        )?;

        let mut members = Members {
            out: &mut out,
            has_trace_id: false,
            result: Ok(()),
        };
        event.record(&mut members);
        members.result?;
        if !members.has_trace_id
            && let Some(conversation) = Conversation::current()
        {
            write!(out, ",\"TraceId\":\"{conversation}\"")?;
        }
        write_spans(context, &mut out)?;
        out.write_str("}\n")
    }
}

// === impl Members ===

impl Members<'_, '_> {
    /// Writes one member per name that `field` goes by.
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>, is_text: bool) {
        // Where in its source a library logs from: paths of the machine that built it.
        if matches!(field.name(), "log.file" | "log.line" | "log.module_path") {
            return;
        }
        for name in members_of(&field.name()) {
            self.has_trace_id |= *name == "TraceId";
            self.result = self.result.and_then(|()| {
                write!(self.out, ",\"{name}\":")?;
                if !is_text {
                    return self.out.write_fmt(value);
                }
                self.out.write_char('"')?;
                Escaped(self.out).write_fmt(value)?;
                self.out.write_char('"')
            });
        }
    }
}

impl Visit for Members<'_, '_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN and no infinities.
        self.write(field, format_args!("{value}"), !value.is_finite());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, format_args!("{value}"), false);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, format_args!("{value}"), false);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, format_args!("{value}"), false);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, format_args!("{value}"), true);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.write(field, format_args!("{value}"), true);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, format_args!("{value:?}"), true);
    }
}

// === impl Escaped ===

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
            let (plain, special) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut characters = special.chars();
            match characters.next() {
                Some(c @ ('"' | '\\')) => write!(self.0, "\\{c}")?,
                Some(c) => write!(self.0, "\\u{:04x}", u32::from(c))?,
                None => {}
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// The members a field is written as.
fn members_of<'a>(field: &'a &'static str) -> &'a [&'static str] {
    MEMBERS
        .iter()
        .find(|(name, _)| name == field)
        .map_or(std::slice::from_ref(field), |(_, members)| members)
}

/// The fields of the spans around an event, outermost first.
fn write_spans<S>(context: &FmtContext<'_, S, JsonFields>, out: &mut Writer<'_>) -> fmt::Result
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let Some(scope) = context.event_scope() else {
        return Ok(());
    };
    for (depth, span) in scope.from_root().enumerate() {
        out.write_str(if depth == 0 { ",\"Spans\":[" } else { "," })?;
        match span.extensions().get::<FormattedFields<JsonFields>>() {
            Some(fields) if !fields.is_empty() => out.write_str(fields)?,
            _ => out.write_str("{}")?,
        }
    }
    out.write_char(']')
}

/// The time a line is written.
#[allow(
    clippy::disallowed_methods,
    reason = "a log line tells when it was written, whatever the service's clock believes"
)]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::try_from(SystemTime::now()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// The name of the machine, or of the container.
fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim_end().to_owned())
        .or_else(|_| std::env::var("HOSTNAME"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

    /// Collects what is logged.
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(work: impl FnOnce()) -> Vec<Value> {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines::of_this_process("test"))
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_has_the_members_the_logging_rules_name() {
        let lines = logged(|| {
            tracing::info!(
                target: "access",
                trace_id = "t", request_id = "r", method = "GET", request_uri = "/products",
                status = 200_u16, request_time = 0.25, user_agent = "curl", error_code = "X",
                "Request answered"
            );
        });
        let line = lines.first().unwrap();
        for (member, expected) in [
            ("Level", "INFO"),
            ("LogType", "Access"),
            ("Message", "Request answered"),
            ("MessageTemplate", "Request answered"),
            ("Application", "product-catalog"),
            ("Feature", "access"),
            ("FeatureVersion", env!("CARGO_PKG_VERSION")),
            ("Environment", "test"),
            ("Team", "catalog"),
            ("TraceId", "t"),
            ("RequestId", "r"),
            ("HttpMethod", "GET"),
            ("request_uri", "/products"),
            ("UserAgent", "curl"),
            ("ErrorCode", "X"),
        ] {
            assert_eq!(line[member], expected, "{member}");
        }
        assert_eq!(line["HttpStatus"], 200);
        assert_eq!(line["ResponseStatusCode"], 200);
        assert_eq!(line["request_time"], 0.25);
        assert!(!line["InstanceId"].as_str().unwrap().is_empty());
        assert!(line["Hostname"].is_string());
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(timestamp.ends_with('Z') && timestamp.parse::<jiff::Timestamp>().is_ok());
    }

    #[test]
    fn a_librarys_line_tells_its_name_but_no_path_of_the_build() {
        let lines = logged(|| {
            tracing::warn!(
                "log.target" = "sled::pagecache",
                "log.file" = "/somebody/.cargo/registry/lib.rs",
                "log.line" = 7,
                "something"
            );
        });
        let line = lines.first().unwrap();
        assert_eq!(line["log.target"], "sled::pagecache");
        assert!(!line.to_string().contains("somebody"), "{line}");
    }

    #[test]
    fn hostile_text_stays_inside_its_member() {
        let hostile = "quote \" backslash \\ newline \n bell \u{7} ünïcode";
        let lines = logged(|| tracing::warn!(user_agent = hostile, nan = f64::NAN, "{hostile}"));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["UserAgent"], hostile);
        assert_eq!(lines[0]["Message"], hostile);
        assert_eq!(lines[0]["nan"], "NaN");
    }

    #[test]
    fn every_line_of_a_conversation_carries_its_id_once() {
        let conversation = Conversation::new();
        let lines = logged(|| {
            conversation.scope(|| {
                tracing::info!("inside");
                tracing::info!(trace_id = "its own", "inside");
            });
            tracing::info!("outside");
        });
        assert_eq!(lines[0]["TraceId"], conversation.to_string());
        assert_eq!(lines[1]["TraceId"], "its own");
        assert_eq!(lines[2].get("TraceId"), None);
    }

    #[test]
    fn fields_of_spans_are_kept() {
        let lines = logged(|| {
            tracing::info_span!("outer", a = 1)
                .in_scope(|| tracing::info_span!("inner").in_scope(|| tracing::info!("inside")));
        });
        assert_eq!(lines[0]["Spans"], serde_json::json!([{"a": 1}, {}]));
    }
}
