//! Functions: pure computations for configurations, without access to servers or the provider's configuration.

use super::value::{Type, Value};

/// A function.
///
/// Terraform calls it several times and compares the results, so it must be deterministic.
pub trait Function: Send + Sync + 'static {
    /// Its parameters and result.
    fn signature(&self) -> Signature;

    /// Computes the result. Arguments are known, not null, and of the declared types.
    ///
    /// # Errors
    /// An argument is invalid.
    fn call(&self, arguments: Vec<Value>) -> Result<Value, FunctionError>;
}

/// The parameters and the result of a function.
#[derive(Debug)]
pub struct Signature {
    /// The summary, in one line of plain text.
    pub summary: &'static str,
    /// The description, in Markdown.
    pub description: &'static str,
    /// Its parameters, in order.
    pub parameters: Vec<Parameter>,
    /// The type of its result.
    pub result: Type,
}

/// A parameter of a function.
#[derive(Debug)]
pub struct Parameter {
    /// Its name, for messages and documentation.
    pub name: &'static str,
    /// The description, in Markdown.
    pub description: &'static str,
    /// Its type.
    pub value_type: Type,
}

/// The error of a function. It must not contain an argument's value, which may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionError {
    /// What is wrong, in the user's terms.
    pub text: String,
    /// The index of the invalid argument, from 0.
    pub argument: Option<i64>,
}
