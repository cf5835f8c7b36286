//! Calls for the provider itself: schemas and configuration.

use super::{
    super::{
        context::Context,
        messages,
        model::typed,
        proto::tfplugin6 as proto,
        provider::{Provider, Types, faults},
        wire::to_proto,
    },
    Call, Failure, Shared, decode,
    function::functions,
    validated,
};

fn capabilities() -> Option<proto::ServerCapabilities> {
    Some(proto::ServerCapabilities {
        plan_destroy: true,
        get_provider_schema_optional: true,
        move_resource_state: false,
        generate_resource_config: true,
    })
}

impl<P: Provider> Call<P> for proto::get_metadata::Request {
    type Response = proto::get_metadata::Response;

    const NAME: &'static str = "GetMetadata";

    async fn handle(self, server: &Shared<P>, _: &mut Context) -> Result<Self::Response, Failure> {
        use proto::get_metadata::{FunctionMetadata, TypeMetadata};
        fn names<'t>(names: impl Iterator<Item = &'t &'static str>) -> Vec<TypeMetadata> {
            names.map(|name| TypeMetadata { type_name: (*name).to_owned() }).collect()
        }
        let Types {
            resources, data_sources, ephemeral_resources, list_resources, actions, functions, ..
        } = &server.types;
        let functions = functions.keys().map(|name| FunctionMetadata { name: (*name).to_owned() });
        Ok(Self::Response {
            server_capabilities: capabilities(),
            diagnostics: Vec::new(),
            resources: names(resources.keys()),
            data_sources: names(data_sources.keys()),
            ephemeral_resources: names(ephemeral_resources.keys()),
            list_resources: names(list_resources.keys()),
            actions: names(actions.keys()),
            functions: functions.collect(),
        })
    }
}

impl<P: Provider> Call<P> for proto::get_provider_schema::Request {
    type Response = proto::get_provider_schema::Response;

    const NAME: &'static str = "GetProviderSchema";

    /// Terraform makes this call first in every command, so faulty declarations are reported here.
    async fn handle(self, server: &Shared<P>, _: &mut Context) -> Result<Self::Response, Failure> {
        let faults = faults(server.provider.schema(), &server.types);
        if !faults.is_empty() {
            return Err(messages::faulty_schema(&faults).into());
        }
        macro_rules! schemas {
            ($table:ident) => {
                server
                    .types
                    .$table
                    .iter()
                    .map(|(name, entry)| ((*name).to_owned(), to_proto::schema(entry.schema())))
            };
        }
        let action = |(name, schema)| (name, proto::ActionSchema { schema: Some(schema) });
        Ok(Self::Response {
            provider: Some(to_proto::schema(server.provider.schema())),
            resource_schemas: schemas!(resources).collect(),
            data_source_schemas: schemas!(data_sources).collect(),
            ephemeral_resource_schemas: schemas!(ephemeral_resources).collect(),
            list_resource_schemas: schemas!(list_resources).collect(),
            action_schemas: schemas!(actions).map(action).collect(),
            functions: functions(&server.types),
            server_capabilities: capabilities(),
            provider_meta: None,
            diagnostics: Vec::new(),
        })
    }
}

impl<P: Provider> Call<P> for proto::get_resource_identity_schemas::Request {
    type Response = proto::get_resource_identity_schemas::Response;

    const NAME: &'static str = "GetResourceIdentitySchemas";

    async fn handle(self, server: &Shared<P>, _: &mut Context) -> Result<Self::Response, Failure> {
        let schemas = server.types.identity_schemas().into_iter();
        let schemas = schemas
            .filter(|(_, schema)| !schema.attributes.is_empty())
            .map(|(name, schema)| (name.to_owned(), to_proto::identity_schema(schema)));
        Ok(Self::Response { identity_schemas: schemas.collect(), diagnostics: Vec::new() })
    }
}

impl<P: Provider> Call<P> for proto::validate_provider_config::Request {
    type Response = proto::validate_provider_config::Response;

    const NAME: &'static str = "ValidateProviderConfig";

    async fn handle(self, server: &Shared<P>, cx: &mut Context) -> Result<Self::Response, Failure> {
        let config = decode(self.config, server.provider.schema())?;
        validated(cx, server.provider.validate(config, false, P::validate))
    }
}

impl<P: Provider> Call<P> for proto::configure_provider::Request {
    type Response = proto::configure_provider::Response;

    const NAME: &'static str = "ConfigureProvider";

    async fn handle(self, server: &Shared<P>, cx: &mut Context) -> Result<Self::Response, Failure> {
        server.deferrals.configure(&self.terraform_version, self.client_capabilities);
        let config = typed(decode(self.config, server.provider.schema())?)?;
        server.provider.item().configure(&self.terraform_version, config, &mut cx.diagnostics);
        Ok(Self::Response::default())
    }
}
