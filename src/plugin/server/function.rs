//! Calls for functions.

use std::collections::HashMap;

use super::{
    super::{
        context::Context,
        diagnostics::Diagnostics,
        function::FunctionError,
        messages,
        proto::tfplugin6 as proto,
        provider::{Provider, Types},
        wire::{from_proto, to_proto},
    },
    Call, Diagnosed, Failure, Shared, find,
};

/// All functions, as the schema lists them.
pub(super) fn functions(types: &Types) -> HashMap<String, proto::Function> {
    let functions = types.functions.iter();
    functions.map(|(name, f)| ((*name).to_owned(), to_proto::function(&f.signature()))).collect()
}

impl<P: Provider> Call<P> for proto::get_functions::Request {
    type Response = proto::get_functions::Response;

    const NAME: &'static str = "GetFunctions";

    async fn handle(self, server: &Shared<P>, _: &mut Context) -> Result<Self::Response, Failure> {
        Ok(Self::Response { functions: functions(&server.types), diagnostics: Vec::new() })
    }
}

impl Diagnosed for proto::call_function::Response {
    fn diagnose(&mut self, diagnostics: Diagnostics) {
        if let Some(first) = diagnostics.into_iter().next() {
            let text = messages::function_error(&first);
            self.error = Some(to_proto::function_error(FunctionError { text, argument: None }));
        }
    }
}

impl<P: Provider> Call<P> for proto::call_function::Request {
    type Response = proto::call_function::Response;

    const NAME: &'static str = "CallFunction";

    async fn handle(self, server: &Shared<P>, _: &mut Context) -> Result<Self::Response, Failure> {
        let function = find(&server.types.functions, &self.name)?;
        let parameters = function.signature().parameters;
        if self.arguments.len() != parameters.len() {
            return Err(to_proto::invalid_argument(messages::wrong_number_of_arguments()).into());
        }
        let pairs = self.arguments.into_iter().zip(&parameters);
        let arguments = pairs
            .map(|(argument, parameter)| from_proto::value(Some(argument), &parameter.value_type))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(match function.call(arguments) {
            Ok(result) => Self::Response { result: to_proto::value(&result), error: None },
            Err(error) => Self::Response { result: None, error: Some(to_proto::function_error(error)) },
        })
    }
}
