//! Every text of this layer that a user can see: diagnostics, errors, help and notices. Logs don't count.
//!
//! The texts that come from a provider itself pass through other modules unchanged.

use super::{
    diagnostics::{Deferral, Diagnostic, Diagnostics},
    path::Path,
};

/// Expected types of a value. They complete "is not ..." and "expected ...".
pub(super) mod expected {
    use super::super::path::Path;

    pub(in super::super) const ATTRIBUTE: &str = "an attribute of the schema";
    pub(in super::super) const BOOL: &str = "a bool";
    pub(in super::super) const BOUND: &str = "a bound of a refinement";
    pub(in super::super) const COMPLETE: &str = "a complete value";
    pub(in super::super) const END: &str = "the end of the value";
    pub(in super::super) const EXTENSION: &str = "an extension value";
    pub(in super::super) const INTEGER: &str = "a whole number that fits in 64 bits";
    pub(in super::super) const JSON: &str = "JSON";
    pub(in super::super) const JSON_OBJECT: &str = "a JSON object";
    pub(in super::super) const KNOWN: &str = "a known value";
    pub(in super::super) const LIST: &str = "a list";
    pub(in super::super) const MAP: &str = "a map";
    pub(in super::super) const MSGPACK: &str = "msgpack";
    pub(in super::super) const ONLY_ATTRIBUTES: &str = "an object with the attributes of the schema only";
    pub(in super::super) const NUMBER: &str = "a number";
    pub(in super::super) const OBJECT: &str = "an object";
    pub(in super::super) const REFINEMENT: &str = "a refinement";
    pub(in super::super) const SET: &str = "a set";
    pub(in super::super) const SHORT_REFINEMENT: &str = "a refinement of at most 1024 bytes";
    pub(in super::super) const STRING: &str = "a string";
    pub(in super::super) const TYPE: &str = "a type";

    /// A value of a type in its JSON form.
    pub(in super::super) fn of_type(json: &str) -> String {
        format!("a value of type {json}")
    }

    /// A tuple with this number of elements.
    pub(in super::super) fn tuple(length: usize) -> String {
        format!("a tuple of {length} elements")
    }

    /// A set, seen from the value at `path` inside one of its elements.
    pub(in super::super) fn set_of(path: &Path, expected: &str) -> String {
        if path.0.is_empty() {
            format!("a set where each element is {expected}")
        } else {
            format!("a set where each element has {expected} at {path}")
        }
    }
}

/// A value that can't be decoded.
pub(super) fn undecodable(path: &Path, expected: &str) -> String {
    if path.0.is_empty() { format!("expected {expected}") } else { format!("expected {expected} at {path}") }
}

// Configurations.

/// A required attribute is null. `name` is the attribute's path as text, here and below.
pub(super) fn missing_attribute(path: Path, name: &str) -> Diagnostic {
    Diagnostic::error(
        Some(path),
        "Missing required attribute",
        format!("\"{name}\" is required, but its value is null."),
    )
}

/// The configuration sets a computed attribute.
pub(super) fn read_only_attribute(path: Path, name: &str) -> Diagnostic {
    Diagnostic::error(
        Some(path),
        "Read-only attribute",
        format!("\"{name}\" is set by the provider. Remove it from the configuration."),
    )
}

/// The configuration sets a deprecated attribute.
pub(super) fn deprecated_attribute(path: Path, name: &str, instead: &str) -> Diagnostic {
    Diagnostic::warning(Some(path), "Deprecated attribute", format!("\"{name}\" is deprecated. {instead}"))
}

/// An element of a collection is null where it can't be.
pub(super) fn null_element(path: Path, name: &str) -> Diagnostic {
    Diagnostic::error(
        Some(path),
        "Null element",
        format!("\"{name}\" is null. Remove the element, or set its value."),
    )
}

/// A value breaks a rule of its attribute. `problem` is the rule's own text.
pub(super) fn invalid_attribute(path: Path, attribute: &str, name: &str, problem: &str) -> Diagnostic {
    Diagnostic::error(Some(path), format!("Invalid {attribute}"), format!("\"{name}\" {problem}"))
}

/// The problem of a number that is not between two others.
pub(super) fn out_of_range(least: i64, greatest: i64) -> String {
    format!("must be a whole number from {least} to {greatest}.")
}

/// The problem of a collection that must have an element.
pub(super) const EMPTY_COLLECTION: &str = "must have at least one element.";

/// The problem of a collection that must not have null elements.
pub(super) const NULL_ELEMENTS: &str = "must not have null elements.";

/// The client doesn't support write-only attributes.
pub(super) fn write_only_unsupported(path: Path, name: &str) -> Diagnostic {
    Diagnostic::error(
        Some(path),
        "Write-only attributes require Terraform 1.11 or later",
        format!(
            "\"{name}\" is write-only: its value must not be stored. This client would store it in the state. Use \
             Terraform 1.11 or later, or OpenTofu 1.11 or later."
        ),
    )
}

/// Two elements of a set are equal once defaults apply.
pub(super) fn duplicate_element(path: Path) -> Diagnostic {
    let detail = format!(
        "Two elements of \"{path}\" are equal: one sets an attribute to its default value, and the other omits it. Remove one \
         of them."
    );
    Diagnostic::error(Some(path), "Duplicate set element", detail)
}

/// A value has the right Terraform type, but the attribute allows only some values of it.
pub(super) fn invalid_value(path: &Path, expected: &str) -> Diagnostic {
    let (attribute, subject) = match path.0.is_empty() {
        true => (None, "The value".to_owned()),
        false => (Some(path.clone()), format!("\"{path}\"")),
    };
    Diagnostic::error(attribute, "Invalid value", format!("{subject} is not {expected}."))
}

/// An identity in an import block is invalid. Paths into the resource don't lead there.
pub(super) fn invalid_identity(problem: &str) -> Diagnostic {
    Diagnostic::error(None, "Invalid identity", format!("In the identity, {problem}"))
}

// Stored states and identities. `what` is "state" or "identity".

/// The stored JSON doesn't have the shape of its schema version.
pub(super) fn unreadable_stored(what: &str, path: &Path, expected: &str) -> Diagnostic {
    let subject = match path.0.is_empty() {
        true => "it".to_owned(),
        false => format!("the value of \"{path}\""),
    };
    Diagnostic::error(
        None,
        format!("Stored {what} can't be read"),
        format!("This provider did not write the {what} of this resource: {subject} is not {expected}."),
    )
}

/// The schema version of what is stored is unknown.
pub(super) fn unsupported_version(what: &str, version: i64, latest: i64) -> Diagnostic {
    Diagnostic::error(
        None,
        format!("Stored {what} has an unsupported version"),
        format!(
            "The {what} of this resource has schema version {version}. This release of the provider supports versions up \
             to {latest}. Use a newer release of the provider."
        ),
    )
}

/// An upgrade of what is stored failed. `problem` is the upgrade's own text.
pub(super) fn failed_upgrade(what: &str, from: i64, problem: &str) -> Diagnostic {
    Diagnostic::error(
        None,
        format!("Stored {what} can't be upgraded"),
        format!(
            "Could not upgrade the {what} of this resource from schema version {from} to {}: {problem}",
            from + 1
        ),
    )
}

// Resources.

/// The provider returned a new object without its identity.
pub(super) fn incomplete_identity() -> Diagnostic {
    let detail = "This is a bug in the provider: it returned the object without a complete identity.";
    Diagnostic::error(None, "Incomplete resource identity", detail)
}

/// A read or an update returned another object than before.
pub(super) fn changed_identity(attribute: &str) -> Diagnostic {
    Diagnostic::error(
        None,
        "Resource identity changed",
        format!(
            "The provider found a different object than the one in the state: \"{attribute}\" in its identity differs. Remove this \
             resource from the state, and import the object that it should manage."
        ),
    )
}

/// A resource type without updates was asked to update.
pub(super) fn update_unsupported() -> Diagnostics {
    Diagnostics::from_error(
        "Update not supported",
        "This is a bug in the provider: it planned an update, and this resource type does not support updates.",
    )
}

/// A resource type without import.
pub(super) fn import_unsupported() -> Diagnostics {
    Diagnostics::from_error(
        "Import not supported",
        "This resource type does not support import. Terraform can only manage objects that it created.",
    )
}

/// Terraform reads or plans an object whose import is deferred.
pub(super) fn not_imported_yet() -> Diagnostics {
    Diagnostics::from_error(
        "The object is not imported yet",
        "Its import was deferred, so nothing is known of it. Apply what the import waits for first.",
    )
    .or_deferred(Deferral::AbsentPrerequisite)
}

/// A `moved` block leads from another resource type.
pub(super) fn move_unsupported() -> Diagnostics {
    Diagnostics::from_error(
        "Move between resource types not supported",
        "The provider can't convert the state of another resource type. Remove that resource from the state with a `removed` \
         block, and import the object as a resource of this type.",
    )
}

// The protocol.

/// The provider declares what this runtime can't serve.
pub(super) fn faulty_schema(faults: &[String]) -> Diagnostics {
    let list: String = faults.iter().map(|fault| format!("\n  - {fault}")).collect();
    Diagnostics::from_error(
        "Invalid provider schema",
        format!("This is a bug in the provider. Its declarations have these faults:\n{list}"),
    )
}

/// The provider crashed during a call.
pub(super) fn crashed() -> Diagnostics {
    Diagnostics::from_error(
        "The provider crashed",
        "This is a bug in the provider. The operation may or may not have taken effect: check before you run it again. Please \
         report the bug with the log that TF_LOG=DEBUG shows.",
    )
}

/// A diagnostic as the error of a function, which has no summary.
pub(super) fn function_error(diagnostic: &Diagnostic) -> String {
    format!("{}: {}", diagnostic.summary, diagnostic.detail)
}

/// A call has the wrong number of arguments.
pub(super) fn wrong_number_of_arguments() -> &'static str {
    "wrong number of arguments"
}

/// A request doesn't follow the protocol.
pub(super) fn undecodable_request(error: &str) -> String {
    format!("could not decode the request: {error}")
}

/// A request names a type that the schema doesn't have.
pub(super) fn unknown_type(name: &str) -> String {
    format!("unknown type {name}")
}

/// A request names a gRPC service that isn't there.
pub(super) fn unknown_service() -> &'static str {
    "unknown service"
}

// The start of the process.

/// PLUGIN_CLIENT_CERT can't be used.
pub(super) fn invalid_client_certificate() -> &'static str {
    "PLUGIN_CLIENT_CERT must contain exactly one PEM certificate"
}

/// The certificate of this process could not be generated.
pub(super) fn no_server_certificate() -> &'static str {
    "could not generate the server certificate"
}

/// TLS could not be set up.
pub(super) fn no_tls() -> &'static str {
    "could not set up TLS"
}

/// The socket could not be opened, or the handshake line could not be written.
pub(super) fn no_listener() -> &'static str {
    "could not listen for Terraform"
}

/// The system has no random bytes.
pub(super) fn no_random_bytes() -> &'static str {
    "no random bytes available"
}

/// PLUGIN_UNIX_SOCKET_GROUP names no group.
pub(super) fn unknown_group(group: &str) -> String {
    format!("unknown group {group}")
}

/// No TCP port is free. Compiled for tests too, as its caller.
#[cfg(any(test, not(unix)))]
pub(super) fn no_free_port() -> &'static str {
    "no free port from PLUGIN_MIN_PORT to PLUGIN_MAX_PORT"
}

/// An argument is not an option.
pub(super) fn unknown_option(argument: &str) -> String {
    format!("unknown option '{argument}'; --help lists the options")
}

/// A person started the program without an option.
pub(super) fn not_started_by_terraform() -> &'static str {
    "not started by Terraform"
}

/// The last line of a program that failed.
pub(super) fn failure(executable: &str, error: &str) -> String {
    format!("{executable}: {error}\n")
}

/// The output of `--version`, and the first line of `--help`.
pub(super) fn version(executable: &str, version: &str) -> String {
    format!("{executable} {version}\n")
}

/// How to use the program. `more` is the provider's own part.
pub(super) fn help(local_name: &str, source: &str, more: &str) -> String {
    let separator = if more.is_empty() { "" } else { "\n" };
    format!(
        "This is a Terraform provider. Terraform starts it; you don't need to run it yourself.

To use it, add it to a configuration and run `terraform init`:

    terraform {{
      required_providers {{
        {local_name} = {{ source = \"{source}\" }}
      }}
    }}

Options:
    --version   print the version
    --help      print this help
    --debug     keep running for a debugger, and print the variable that makes Terraform use this process
{separator}{more}"
    )
}

/// How to connect Terraform to a provider that was started with `--debug`.
pub(super) fn reattach(value: &str) -> String {
    format!(
        "The provider is running. To use it, set this variable in another terminal and run Terraform there. Press Ctrl-C to \
         stop the provider.\n\n\tTF_REATTACH_PROVIDERS='{value}'\n\n"
    )
}

/// What Terraform shows of a crash: it looks for lines that begin with `panic: `.
pub(super) fn panic(location: Option<&str>) -> String {
    format!("panic: the provider crashed at {}\n", location.unwrap_or("an unknown location"))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{diagnostics::Severity, path::Step},
        *,
    };

    fn diagnostic(diagnostic: &Diagnostic) -> String {
        let Diagnostic { severity, summary, detail, attribute, deferral: _ } = diagnostic;
        let severity = match severity {
            Severity::Error => "Error",
            Severity::Warning => "Warning",
        };
        let with = attribute.as_ref().map(|path| format!("  with {path}\n")).unwrap_or_default();
        format!("{severity}: {summary}\n{with}{detail}\n")
    }

    fn all(diagnostics: &Diagnostics) -> String {
        diagnostics.iter().map(diagnostic).collect()
    }

    /// `tests/layers.rs` checks that nothing of this module is missing here.
    #[test]
    fn texts() {
        let name = || Path::attribute("items").then(Step::Index(2)).and("name");
        let text = "items[2].name";
        let texts = [
            "# Expected values".to_owned(),
            [
                expected::ATTRIBUTE,
                expected::ONLY_ATTRIBUTES,
                expected::BOOL,
                expected::BOUND,
                expected::COMPLETE,
                expected::END,
                expected::EXTENSION,
                expected::INTEGER,
                expected::JSON,
                expected::JSON_OBJECT,
                expected::KNOWN,
                expected::LIST,
                expected::MAP,
                expected::MSGPACK,
                expected::NUMBER,
                expected::OBJECT,
                expected::REFINEMENT,
                expected::SET,
                expected::SHORT_REFINEMENT,
                expected::STRING,
                expected::TYPE,
            ]
            .join("\n"),
            expected::of_type("[\"list\",\"string\"]"),
            expected::tuple(2),
            expected::set_of(&Path::root(), expected::KNOWN),
            expected::set_of(&Path::attribute("size"), expected::INTEGER),
            undecodable(&Path::root(), expected::MSGPACK),
            undecodable(&name(), expected::STRING),
            "\n# Configurations".to_owned(),
            diagnostic(&missing_attribute(name(), text)),
            diagnostic(&read_only_attribute(name(), text)),
            diagnostic(&deprecated_attribute(name(), text, "Use title instead.")),
            diagnostic(&null_element(name(), text)),
            diagnostic(&invalid_attribute(name(), "name", text, "must not be empty.")),
            out_of_range(1, 9),
            EMPTY_COLLECTION.to_owned(),
            NULL_ELEMENTS.to_owned(),
            diagnostic(&write_only_unsupported(name(), text)),
            diagnostic(&duplicate_element(Path::attribute("items"))),
            diagnostic(&invalid_value(&Path::root(), expected::OBJECT)),
            diagnostic(&invalid_value(&name(), expected::INTEGER)),
            diagnostic(&invalid_identity("\"id\" must be a UUID.")),
            "\n# Stored states".to_owned(),
            diagnostic(&unreadable_stored("state", &Path::root(), expected::JSON)),
            diagnostic(&unreadable_stored("identity", &name(), expected::STRING)),
            diagnostic(&unsupported_version("state", 3, 2)),
            diagnostic(&failed_upgrade("state", 0, "it has no title.")),
            "\n# Resources".to_owned(),
            diagnostic(&incomplete_identity()),
            diagnostic(&changed_identity("id")),
            all(&update_unsupported()),
            all(&not_imported_yet()),
            all(&import_unsupported()),
            all(&move_unsupported()),
            "\n# Protocol".to_owned(),
            all(&faulty_schema(&["a: declared twice".to_owned(), "b: no description".to_owned()])),
            all(&crashed()),
            crashed().iter().map(function_error).collect(),
            wrong_number_of_arguments().to_owned(),
            undecodable_request("expected a string"),
            unknown_type("example_thing"),
            unknown_service().to_owned(),
            "\n# Process".to_owned(),
            invalid_client_certificate().to_owned(),
            no_server_certificate().to_owned(),
            no_tls().to_owned(),
            no_listener().to_owned(),
            no_random_bytes().to_owned(),
            unknown_group("staff"),
            no_free_port().to_owned(),
            unknown_option("--verbose"),
            not_started_by_terraform().to_owned(),
            failure("terraform-provider-example", not_started_by_terraform()),
            version("terraform-provider-example", "1.2.3"),
            help("example", "acme/example", ""),
            help("example", "acme/example", "Environment variables:\n    EXAMPLE_HOST\n"),
            reattach("{\"registry.terraform.io/acme/example\":{}}"),
            panic(None),
            panic(Some("src/lib.rs:1:2")),
        ];
        insta::assert_snapshot!(texts.join("\n"));
    }
}
