//! Time limits and repeats.

use std::time::Duration;

use super::{
    block::{MAX_RETRIES, MAX_RETRY_WAIT, ProviderConfig, REQUEST_TIMEOUT},
    source::{Setting, Source, is_set},
};
use crate::{
    plugin::{diagnostics::Diagnostics, model::Field, schema::StringRule},
    provider::{
        messages::{rules as reason, settings},
        rules,
    },
};

const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_MAX_RETRIES: u32 = 8;
const DEFAULT_MAX_RETRY_WAIT: Duration = Duration::from_secs(600);
/// More repeats than this only hide a fault.
const MOST_RETRIES: u32 = 100;

/// How long and how often the client tries.
pub struct Limits {
    pub request_timeout: Duration,
    pub max_retries: u32,
    pub max_retry_wait: Duration,
}

/// Refuses a number of repeats that is out of range. The rules of the other attributes are part of the schema.
pub fn validate(config: &ProviderConfig, diagnostics: &mut Diagnostics) {
    if let Some(number) = config.max_retries.known()
        && let Err(problem) = retries(number.as_i64())
    {
        invalid(&MAX_RETRIES, true, &problem, diagnostics);
    }
}

/// The limits. Where one is invalid, its default takes its place, and the diagnostics have an error.
pub fn limits(config: &ProviderConfig, source: Source<'_>, diagnostics: &mut Diagnostics) -> Limits {
    let mut duration = |setting: &Setting, field: &Field<String>, rule: StringRule, default: Duration| {
        let Some(text) = source.text(setting, Some(field)) else { return default };
        rule(&text).and_then(|()| rules::parse_duration(&text)).unwrap_or_else(|problem| {
            invalid(setting, is_set(field), &problem, diagnostics);
            default
        })
    };
    let request_timeout = duration(
        &REQUEST_TIMEOUT,
        &config.request_timeout,
        rules::positive_duration,
        DEFAULT_REQUEST_TIMEOUT,
    );
    let max_retry_wait =
        duration(&MAX_RETRY_WAIT, &config.max_retry_wait, rules::duration, DEFAULT_MAX_RETRY_WAIT);
    Limits { request_timeout, max_retries: max_retries(config, source, diagnostics), max_retry_wait }
}

fn max_retries(config: &ProviderConfig, source: Source<'_>, diagnostics: &mut Diagnostics) -> u32 {
    if let Some(number) = config.max_retries.known() {
        // Validation has refused what is out of range.
        return retries(number.as_i64()).unwrap_or(DEFAULT_MAX_RETRIES);
    }
    let Some(text) = source.variable(MAX_RETRIES.variable) else { return DEFAULT_MAX_RETRIES };
    retries(text.parse().ok()).unwrap_or_else(|problem| {
        invalid(&MAX_RETRIES, false, &problem, diagnostics);
        DEFAULT_MAX_RETRIES
    })
}

fn retries(number: Option<i64>) -> Result<u32, String> {
    match number.and_then(|number| u32::try_from(number).ok()).filter(|number| *number <= MOST_RETRIES) {
        Some(number) => Ok(number),
        None => Err(reason::not_retries(MOST_RETRIES)),
    }
}

fn invalid(setting: &Setting, in_block: bool, problem: &str, diagnostics: &mut Diagnostics) {
    settings::invalid(setting.attribute, &setting.subject(in_block), problem, diagnostics);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plugin::value::Number,
        provider::config::tests::{error, known, ready, text, with_token},
    };

    #[test]
    fn limits_come_from_the_block_the_environment_or_the_defaults() {
        let config = ready(&with_token(), &[]);
        assert_eq!(config.request_timeout, Duration::from_secs(30));
        assert_eq!((config.max_retries, config.max_retry_wait), (8, Duration::from_secs(600)));
        let variables =
            [("KMS_REQUEST_TIMEOUT", "5s"), ("KMS_MAX_RETRIES", "2"), ("KMS_MAX_RETRY_WAIT", "1m30s")];
        let config = ready(&with_token(), &variables);
        assert_eq!(config.request_timeout, Duration::from_secs(5));
        assert_eq!((config.max_retries, config.max_retry_wait), (2, Duration::from_secs(90)));
        let block = ProviderConfig {
            request_timeout: text("500ms"),
            max_retries: known(Number::Int(0)),
            max_retry_wait: text("0s"),
            ..with_token()
        };
        let config = ready(&block, &variables);
        assert_eq!(config.request_timeout, Duration::from_millis(500));
        assert_eq!((config.max_retries, config.max_retry_wait), (0, Duration::ZERO));
        for (name, value) in
            [("KMS_REQUEST_TIMEOUT", "0s"), ("KMS_MAX_RETRIES", "2.5"), ("KMS_MAX_RETRY_WAIT", "soon")]
        {
            let error = error(&with_token(), &[(name, value)]);
            assert!(error.contains(&format!("The variable {name} must")), "{error}");
        }
        for number in [Number::Int(-1), Number::Int(101), Number::Decimal("2.5".into())] {
            let error = error(&ProviderConfig { max_retries: known(number), ..with_token() }, &[]);
            assert!(error.contains("whole number from 0 to 100"), "{error}");
        }
    }
}
