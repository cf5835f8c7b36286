//! Functions: pure computations for configurations. They reach no server and know no provider configuration.

use super::value::{Type, Value};

/// A function.
///
/// Terraform calls it several times and compares the results, so it must give the same result for the same arguments.
pub trait Function: Send + Sync + 'static {
    /// Its parameters and result.
    fn signature(&self) -> Signature;

    /// Computes. Arguments are known, not null, and of the declared types.
    ///
    /// # Errors
    /// An argument makes no sense.
    fn call(&self, arguments: Vec<Value>) -> Result<Value, FunctionError>;
}

/// The parameters and the result of a function.
#[derive(Debug)]
pub struct Signature {
    /// What it does, in one line of plain text.
    pub summary: &'static str,
    /// What it does, in Markdown.
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
    /// What it is, in Markdown.
    pub description: &'static str,
    /// Its type.
    pub value_type: Type,
}

/// Why a function has no result. Never holds an argument's value, which may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionError {
    /// What is wrong, in the user's terms.
    pub text: String,
    /// Which argument is to blame, counted from 0.
    pub argument: Option<i64>,
}
