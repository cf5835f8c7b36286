//! Logs in the form that Terraform reads: one JSON object per line on stderr.
//!
//! Terraform's host (go-plugin's `log_entry.go`) reads `@level`, `@message`, `@timestamp` and `@module`, which must be
//! strings, and shows every other key as a field. It filters by TF_LOG_PROVIDER, or TF_LOG if that isn't set. The same
//! filter is applied here, so that lines that nobody sees aren't formatted.

use std::{
    fmt::{self, Write as _},
    io::Write as _,
};

use serde_json::{Map, Value as Json, json};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
};
use tracing_subscriber::{
    Layer,
    filter::filter_fn,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

use super::messages;

/// Keys of log fields. They are the same as in other providers (terraform-plugin-go's `internal/logging/keys.go`),
/// because log filters depend on them.
pub mod keys {
    /// The address of the provider.
    pub const PROVIDER_ADDRESS: &str = "tf_provider_addr";
    /// The name of a call.
    pub const RPC: &str = "tf_rpc";
    /// The ID of a call, unique in the process.
    pub const REQUEST_ID: &str = "tf_req_id";
    /// The managed resource type of a call.
    pub const RESOURCE_TYPE: &str = "tf_resource_type";
    /// The data source type of a call.
    pub const DATA_SOURCE_TYPE: &str = "tf_data_source_type";
    /// The ephemeral resource type of a call.
    pub const EPHEMERAL_RESOURCE_TYPE: &str = "tf_ephemeral_resource_type";
    /// The list resource type of a call.
    pub const LIST_RESOURCE_TYPE: &str = "tf_list_resource_type";
    /// The action type of a call.
    pub const ACTION_TYPE: &str = "tf_action_type";
    /// The duration of a call, in milliseconds.
    pub const DURATION: &str = "tf_req_duration_ms";
}

/// The host expects exactly six digits for the fraction of a second.
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// The maximum length of a message. The host doesn't parse longer lines.
const LONGEST_MESSAGE: usize = 32 * 1024;

/// Starts logging to stderr at the level that the environment sets, and reports panics in the form that Terraform
/// recognizes. `executable` is the name of the provider's package.
pub fn init(executable: &str, environment: impl Fn(&str) -> Option<String>) {
    report_crashes();
    let level = level(environment);
    if level == LevelFilter::OFF {
        return;
    }
    let provider = executable.replace('-', "_");
    let filter = filter_fn(move |metadata| shows(level, &provider, metadata.level(), metadata.target()))
        .with_max_level_hint(level);
    let subscriber = tracing_subscriber::registry().with(TerraformLayer.with_filter(filter));
    // Fails only if there is a subscriber already, as in a test that calls this twice.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Whether to log a line. Lines of other crates are not logged at any level: they quote what a peer sent, such
/// as the debug data of HTTP/2, and nothing redacts them. `provider` is the name of the provider's crate.
fn shows(level: LevelFilter, provider: &str, of: &Level, target: &str) -> bool {
    let crate_of = |path| str::split(path, "::").next();
    let is_own = crate_of(target) == Some(provider) || crate_of(target) == crate_of(module_path!());
    *of <= level && is_own
}

/// The level that the environment sets, interpreted as by Terraform: no variable means no logs, an unknown level means
/// all.
fn level(environment: impl Fn(&str) -> Option<String>) -> LevelFilter {
    let set = |name| environment(name).filter(|value| !value.is_empty());
    let Some(level) = set("TF_LOG_PROVIDER").or_else(|| set("TF_LOG")) else { return LevelFilter::OFF };
    match level.to_ascii_uppercase().as_str() {
        "OFF" => LevelFilter::OFF,
        "ERROR" => LevelFilter::ERROR,
        "WARN" => LevelFilter::WARN,
        "INFO" => LevelFilter::INFO,
        "DEBUG" => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

/// Terraform collects what follows a line that begins with `panic: ` and shows it to the user. The message of a panic
/// may quote the data that caused it, so only the location is shown.
fn report_crashes() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        let _ = std::io::stderr().write_all(messages::panic(location.as_deref()).as_bytes());
    }));
}

/// Writes every event with the fields of its spans.
struct TerraformLayer;

/// The fields of a span, stored with the span.
struct SpanFields(Map<String, Json>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TerraformLayer {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields.0));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(SpanFields(outer)) = span.extensions().get() {
                fields.0.extend(outer.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
        }
        event.record(&mut fields);
        let line = line(event.metadata().level(), event.metadata().target(), fields.0);
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

fn line(level: &Level, target: &str, mut fields: Map<String, Json>) -> String {
    let message = match fields.remove("message") {
        Some(Json::String(message)) => message.chars().take(LONGEST_MESSAGE).collect(),
        _ => String::new(),
    };
    let timestamp = OffsetDateTime::now_utc().format(TIMESTAMP).unwrap_or_default();
    fields.insert("@level".into(), json!(level.as_str().to_ascii_lowercase()));
    fields.insert("@message".into(), json!(message));
    fields.insert("@module".into(), json!(target.replace("::", ".")));
    fields.insert("@timestamp".into(), json!(timestamp));
    let mut line = Json::Object(fields).to_string();
    line.push('\n');
    line
}

#[derive(Default)]
struct Fields(Map<String, Json>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.0.insert(field.name().to_owned(), Json::String(text));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_terraform_reads_them() {
        let level_of = |provider: &str, general: &str| {
            level(|name| match name {
                "TF_LOG_PROVIDER" => Some(provider.to_owned()),
                "TF_LOG" => Some(general.to_owned()),
                _ => None,
            })
        };
        assert_eq!(level(|_| None), LevelFilter::OFF);
        assert_eq!(level_of("", ""), LevelFilter::OFF);
        assert_eq!(level_of("", "debug"), LevelFilter::DEBUG);
        assert_eq!(level_of("WARN", "TRACE"), LevelFilter::WARN);
        assert_eq!(level_of("off", "TRACE"), LevelFilter::OFF);
        assert_eq!(level_of("JSON", ""), LevelFilter::TRACE);
        assert_eq!(level_of("1", ""), LevelFilter::TRACE);
    }

    #[test]
    fn lines_of_other_crates_are_not_logged() {
        let provider = "terraform_provider_example";
        let shows = |level, of, target| shows(level, provider, &of, target);
        let runtime = concat!(module_path!(), "::anything");
        for own in [provider, "terraform_provider_example::api", runtime] {
            assert!(
                shows(LevelFilter::DEBUG, Level::DEBUG, own) && shows(LevelFilter::INFO, Level::WARN, own)
            );
            assert!(!shows(LevelFilter::DEBUG, Level::TRACE, own), "{own}");
        }
        for other in ["h2::codec", "hyper_util", "terraform_provider_example_other"] {
            assert!(!shows(LevelFilter::TRACE, Level::DEBUG, other), "{other}");
            assert!(!shows(LevelFilter::DEBUG, Level::DEBUG, other), "{other}");
            assert!(!shows(LevelFilter::DEBUG, Level::ERROR, other), "{other}");
        }
    }

    #[test]
    fn a_line_has_what_the_host_insists_on() {
        let fields = Map::from_iter([("message".to_owned(), json!("hi")), ("status".to_owned(), json!(200))]);
        let line = line(&Level::DEBUG, "provider::module", fields);
        let json: Json = serde_json::from_str(&line).unwrap();
        assert_eq!(json["@level"], "debug");
        assert_eq!(json["@message"], "hi");
        assert_eq!(json["status"], 200);
        let timestamp = json["@timestamp"].as_str().unwrap();
        assert_eq!(timestamp.len(), "2026-01-02T03:04:05.123456Z".len(), "{timestamp}");
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
    }
}
