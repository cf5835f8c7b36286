//! Calls for data sources.

use super::{
    super::{
        context::Context,
        plan,
        proto::tfplugin6 as proto,
        provider::{Provider, TypeKind},
        wire::to_proto,
    },
    Call, Failure, Shared, decode, find, validated,
};

impl<P: Provider> Call<P> for proto::validate_data_resource_config::Request {
    type Response = proto::validate_data_resource_config::Response;

    const NAME: &'static str = "ValidateDataResourceConfig";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::DataSource, &self.type_name))
    }

    async fn handle(self, server: &Shared<P>, cx: &mut Context) -> Result<Self::Response, Failure> {
        let data_source = find(&server.types.data_sources, &self.type_name)?;
        let config = decode(self.config, data_source.schema())?;
        validated(cx, data_source.validate(config))
    }
}

impl<P: Provider> Call<P> for proto::read_data_source::Request {
    type Response = proto::read_data_source::Response;

    const NAME: &'static str = "ReadDataSource";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::DataSource, &self.type_name))
    }

    fn deferral_allowed(&self, server: &Shared<P>) -> bool {
        server.deferrals.allowed_by(self.client_capabilities)
    }

    fn deferred(self, server: &Shared<P>, deferred: proto::Deferred) -> Result<Self::Response, Failure> {
        let schema = find(&server.types.data_sources, &self.type_name)?.schema();
        let state = plan::created(schema, &decode(self.config, schema)?);
        Ok(Self::Response { state: to_proto::value(&state), deferred: Some(deferred), ..Default::default() })
    }

    async fn handle(self, server: &Shared<P>, cx: &mut Context) -> Result<Self::Response, Failure> {
        let data_source = find(&server.types.data_sources, &self.type_name)?;
        let config = decode(self.config, data_source.schema())?;
        let state = data_source.read(cx, config).await?;
        Ok(Self::Response { state: to_proto::value(&state), ..Default::default() })
    }
}
