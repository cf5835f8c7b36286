//! Upgrades of states and identities that older releases of a provider stored, in JSON.

use serde_json::Value as Json;

use super::{
    diagnostics::Diagnostics,
    messages::{self, expected},
    schema::{Schema, StoredJson},
    value::{CodecError, Value},
};

/// Upgrades a stored value to the current version of its schema. Attributes that are no longer in the schema are
/// dropped, new ones are null.
///
/// # Errors
/// The JSON doesn't match its version, the version is unknown, or a step failed. `what` is "state" or "identity".
pub(super) fn upgrade(schema: &Schema, version: i64, json: &[u8], what: &str) -> Result<Value, Diagnostics> {
    let unreadable = |error: CodecError| messages::unreadable_stored(what, error.path(), error.expected());
    let steps = usize::try_from(version).ok().and_then(|version| schema.upgrade_steps().get(version..));
    let Some(steps) = steps else {
        return Err(messages::unsupported_version(what, version, schema.version()).into());
    };
    if steps.is_empty() {
        return Value::from_stored_json(json, schema.value_type()).map_err(|error| unreadable(error).into());
    }
    let mut stored: StoredJson =
        serde_json::from_slice(json).map_err(|_| unreadable(CodecError::new(expected::JSON_OBJECT)))?;
    for (step, from) in steps.iter().zip(version..) {
        stored = step(stored).map_err(|problem| messages::failed_upgrade(what, from, &problem))?;
    }
    let json = Json::Object(stored).to_string();
    Value::from_stored_json(json.as_bytes(), schema.value_type()).map_err(|error| unreadable(error).into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::schema::{StoredJson, required, testing::*},
        *,
    };

    fn rename(mut stored: StoredJson) -> Result<StoredJson, String> {
        let title = stored.remove("title").ok_or("it has no title.")?;
        stored.insert("name".into(), title);
        Ok(stored)
    }

    fn add_size(mut stored: StoredJson) -> Result<StoredJson, String> {
        stored.insert("size".into(), json!("small"));
        Ok(stored)
    }

    fn schema() -> Schema {
        Schema::new("Test.", vec![string("name", required()), string("size", required())])
            .upgrades([rename, add_size])
    }

    fn upgraded(version: i64, json: &str) -> Result<Value, String> {
        upgrade(&schema(), version, json.as_bytes(), "state").map_err(|diagnostics| {
            diagnostics.iter().map(|d| format!("{}: {}", d.summary, d.detail)).collect()
        })
    }

    #[test]
    fn each_older_version_goes_through_the_steps_that_it_lacks() {
        let expected = object([("name", "n".into()), ("size", "small".into())]);
        assert_eq!(schema().version(), 2);
        assert_eq!(upgraded(0, r#"{"title":"n"}"#), Ok(expected.clone()));
        assert_eq!(upgraded(1, r#"{"name":"n"}"#), Ok(expected));
        let large = object([("name", "n".into()), ("size", "large".into())]);
        assert_eq!(upgraded(2, r#"{"name":"n","size":"large"}"#), Ok(large));
    }

    #[test]
    fn attributes_that_went_are_dropped_and_new_ones_are_null() {
        let expected = object([("name", "n".into()), ("size", Value::Null)]);
        assert_eq!(upgraded(2, r#"{"name":"n","gone":1}"#), Ok(expected));
        assert_eq!(
            upgraded(1, r#"{"name":"n","gone":1}"#),
            Ok(object([("name", "n".into()), ("size", "small".into())]))
        );
    }

    #[test]
    fn what_no_version_stored_is_a_clear_error() {
        let error = upgraded(0, r#"{"name":"n"}"#).unwrap_err();
        assert!(error.ends_with("from schema version 0 to 1: it has no title."), "{error}");
        let error = upgraded(3, "{}").unwrap_err();
        assert!(error.contains("supports versions up to 2. Use a newer release"), "{error}");
        assert!(upgraded(-1, "{}").is_err());
        let error = upgraded(2, r#"{"name":["n"]}"#).unwrap_err();
        assert!(error.contains(r#"the value of "name" is not a value of type "string"."#), "{error}");
        for version in [0, 2] {
            let error = upgraded(version, "not json").unwrap_err();
            assert!(
                error.contains("This provider did not write the state of this resource: it is not"),
                "{error}"
            );
        }
    }
}
