//! Conversions to generated messages. Every text for users leaves through [`line`] or [`lines`], which
//! `tests/layers.rs` checks: Terraform prints texts as they are, and they can contain what a server returned.

use tonic::Status;

use super::super::{
    diagnostics::{Deferral, Diagnostic, Diagnostics, Severity},
    function::{FunctionError, Signature},
    path::{Path, Step},
    proto::tfplugin6 as proto,
    schema::{Attribute, Kind, Nesting, Schema, Usage},
    text,
    value::Value,
};

const MARKDOWN: i32 = proto::StringKind::Markdown as i32;

pub fn value(value: &Value) -> Option<proto::DynamicValue> {
    Some(proto::DynamicValue { msgpack: value.to_msgpack(), json: Vec::new() })
}

pub fn identity(identity: Option<&Value>) -> Option<proto::ResourceIdentityData> {
    identity.map(|identity| proto::ResourceIdentityData { identity_data: value(identity) })
}

pub fn path(path: &Path) -> proto::AttributePath {
    use proto::attribute_path::{Step as Message, step::Selector};
    let step = |step: &Step| Message {
        selector: Some(match step {
            Step::Attribute(name) => Selector::AttributeName(name.clone()),
            Step::Key(key) => Selector::ElementKeyString(key.clone()),
            Step::Index(index) => Selector::ElementKeyInt(*index),
        }),
    };
    proto::AttributePath { steps: path.0.iter().map(step).collect() }
}

pub fn diagnostics(diagnostics: Diagnostics) -> Vec<proto::Diagnostic> {
    diagnostics.into_iter().map(diagnostic).collect()
}

fn diagnostic(diagnostic: Diagnostic) -> proto::Diagnostic {
    use proto::diagnostic::Severity as Message;
    let severity = match diagnostic.severity {
        Severity::Error => Message::Error,
        Severity::Warning => Message::Warning,
    };
    proto::Diagnostic {
        severity: severity.into(),
        summary: line(&diagnostic.summary),
        detail: lines(&diagnostic.detail),
        // An empty path isn't the same as no path: core would try to resolve it.
        attribute: diagnostic.attribute.filter(|p| !p.0.is_empty()).as_ref().map(path),
    }
}

pub fn deferred(deferral: Deferral) -> proto::Deferred {
    use proto::deferred::Reason;
    let reason = match deferral {
        Deferral::ResourceConfigUnknown => Reason::ResourceConfigUnknown,
        Deferral::ProviderConfigUnknown => Reason::ProviderConfigUnknown,
        Deferral::AbsentPrerequisite => Reason::AbsentPrereq,
    };
    proto::Deferred { reason: reason.into() }
}

/// A text on one line.
fn line(text: &str) -> String {
    text::line(text).into_owned()
}

/// A text that may have several lines.
fn lines(text: &str) -> String {
    text::lines(text).into_owned()
}

/// A message of an action that runs.
pub fn progress(message: &str) -> proto::invoke_action::event::Progress {
    proto::invoke_action::event::Progress { message: line(message) }
}

/// An object that a list found. `state` has no write-only values.
pub fn found(display_name: &str, identity: &Value, state: Option<&Value>) -> proto::list_resource::Event {
    proto::list_resource::Event {
        identity: self::identity(Some(identity)),
        display_name: line(display_name),
        resource_object: state.and_then(value),
        diagnostic: Vec::new(),
    }
}

/// The status of a request that doesn't follow the protocol.
pub fn invalid_argument(message: &str) -> Status {
    Status::invalid_argument(line(message))
}

/// The status of a request that names something unknown.
pub fn not_found(message: &str) -> Status {
    Status::not_found(line(message))
}

pub fn schema(schema: &Schema) -> proto::Schema {
    proto::Schema {
        version: schema.version(),
        block: Some(proto::schema::Block {
            version: schema.version(),
            attributes: schema.attributes.iter().map(attribute).collect(),
            description: schema.description.clone(),
            description_kind: MARKDOWN,
            ..Default::default()
        }),
    }
}

fn attribute(attribute: &Attribute) -> proto::schema::Attribute {
    let (value_type, nested_type) = match &attribute.kind {
        Kind::Plain(value_type) => (value_type.to_json_bytes(), None),
        Kind::Nested(nesting, attributes) => (Vec::new(), Some(object(*nesting, attributes))),
    };
    proto::schema::Attribute {
        name: attribute.name.to_owned(),
        r#type: value_type,
        nested_type,
        description: attribute.description.clone(),
        description_kind: MARKDOWN,
        required: attribute.is_required(),
        optional: matches!(attribute.usage, Usage::Optional | Usage::OptionalComputed),
        // A default differs from the configured null, which core accepts from computed attributes only.
        computed: attribute.is_computed(),
        sensitive: attribute.sensitive,
        write_only: attribute.write_only,
        deprecated: attribute.deprecated.is_some(),
        deprecation_message: attribute.deprecated.unwrap_or_default().to_owned(),
    }
}

fn object(nesting: Nesting, attributes: &[Attribute]) -> proto::schema::Object {
    use proto::schema::object::NestingMode;
    let nesting = match nesting {
        Nesting::Single => NestingMode::Single,
        Nesting::List => NestingMode::List,
        Nesting::Set => NestingMode::Set,
        Nesting::Map => NestingMode::Map,
    };
    proto::schema::Object { attributes: attributes.iter().map(attribute).collect(), nesting: nesting.into() }
}

/// Identity attributes are plain; a required one must be given to import by identity.
pub fn identity_schema(schema: &Schema) -> proto::ResourceIdentitySchema {
    let attribute = |attribute: &Attribute| proto::resource_identity_schema::IdentityAttribute {
        name: attribute.name.to_owned(),
        r#type: attribute.value_type().to_json_bytes(),
        required_for_import: attribute.is_required(),
        optional_for_import: !attribute.is_required(),
        description: attribute.description.clone(),
    };
    proto::ResourceIdentitySchema {
        version: schema.version(),
        identity_attributes: schema.attributes.iter().map(attribute).collect(),
    }
}

pub fn function(signature: &Signature) -> proto::Function {
    proto::Function {
        parameters: signature
            .parameters
            .iter()
            .map(|parameter| proto::function::Parameter {
                name: parameter.name.to_owned(),
                r#type: parameter.value_type.to_json_bytes(),
                description: parameter.description.to_owned(),
                description_kind: MARKDOWN,
                ..Default::default()
            })
            .collect(),
        variadic_parameter: None,
        r#return: Some(proto::function::Return { r#type: signature.result.to_json_bytes() }),
        summary: signature.summary.to_owned(),
        description: signature.description.to_owned(),
        description_kind: MARKDOWN,
        deprecation_message: String::new(),
    }
}

pub fn function_error(error: FunctionError) -> proto::FunctionError {
    proto::FunctionError { text: lines(&error.text), function_argument: error.argument }
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{
            schema::{computed, optional, required, testing::string},
            value::Type,
        },
        *,
    };

    #[test]
    fn a_diagnostic_about_the_whole_has_no_path() {
        let mut all = Diagnostics::new();
        all.error(None, "s", "d");
        all.error(Some(Path::root()), "s", "d");
        all.warning(Some(Path::attribute("a").then(Step::Index(1))), "s", "d");
        let messages = diagnostics(all);
        assert_eq!(messages[0].attribute, None);
        assert_eq!(messages[1].attribute, None);
        assert_eq!(messages[2].attribute.as_ref().map(|p| p.steps.len()), Some(2));
        // Core takes 0 for neither an error nor a warning.
        assert_eq!(messages.iter().map(|m| m.severity).collect::<Vec<_>>(), [1, 1, 2]);
    }

    #[test]
    fn a_diagnostic_has_nothing_that_a_terminal_would_interpret() {
        let message = &diagnostics(Diagnostics::from_error("a\u{1b}[2Jb", "c\n\td\u{202e}e\u{9b}"))[0];
        let shown = (message.summary.as_str(), message.detail.as_str());
        assert_eq!(shown, ("a\\u{1b}[2Jb", "c\n\td\\u{202e}e\\u{9b}"));
    }

    #[test]
    fn no_text_has_anything_that_a_terminal_would_interpret() {
        let (hostile, shown) = ("a\u{1b}]0;x\u{7}\u{202e}b\r", "a\\u{1b}]0;x\\u{7}\\u{202e}b\\r");
        let broken = format!("{hostile}\nError: fake");
        let on_one_line = format!("{shown}\\nError: fake");
        assert_eq!(progress(&broken).message, on_one_line);
        assert_eq!(found(&broken, &Value::Null, None).display_name, on_one_line);
        assert_eq!(diagnostics(Diagnostics::from_error(broken.as_str(), ""))[0].summary, on_one_line);
        assert_eq!(invalid_argument(&broken).message(), on_one_line);
        assert_eq!(not_found(&broken).message(), on_one_line);
        let error = FunctionError { text: broken.clone(), argument: None };
        assert_eq!(function_error(error).text, format!("{shown}\nError: fake"));
    }

    #[test]
    fn an_attribute_has_a_type_or_a_nested_type_and_never_both() {
        let inner = Attribute { name: "key", ..required() };
        let nested = Attribute {
            name: "items",
            kind: Kind::Nested(Nesting::List, vec![inner]),
            ..computed().deprecated("Use x.")
        };
        let message = attribute(&nested);
        assert!(message.r#type.is_empty() && message.nested_type.is_some());
        assert!(message.computed && !message.optional && message.deprecated);
        assert_eq!(message.deprecation_message, "Use x.");
        let plain = attribute(&Attribute { kind: Kind::Plain(Type::Bool), ..required() });
        assert!(plain.r#type == b"\"bool\"" && plain.nested_type.is_none() && plain.required);
    }

    #[test]
    fn an_attribute_with_a_default_is_computed_for_terraform() {
        let message = attribute(&string("a", optional().default("x")));
        assert!(message.optional && message.computed && !message.required);
        let message = attribute(&string("a", optional()));
        assert!(message.optional && !message.computed);
    }

    #[test]
    fn each_way_of_nesting_has_its_own_mode() {
        let modes = [Nesting::Single, Nesting::List, Nesting::Set, Nesting::Map]
            .map(|nesting| object(nesting, &[string("a", required())]).nesting);
        assert_eq!(modes, [1, 2, 3, 4]);
    }

    #[test]
    fn an_absent_identity_is_no_message_and_null_is_a_value() {
        assert_eq!(identity(None), None);
        assert_eq!(value(&Value::Null).map(|v| v.msgpack), Some(vec![0xc0]));
    }
}
