//! Calls for ephemeral resources.

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

impl<P: Provider> Call<P> for proto::validate_ephemeral_resource_config::Request {
    type Response = proto::validate_ephemeral_resource_config::Response;

    const NAME: &'static str = "ValidateEphemeralResourceConfig";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::EphemeralResource, &self.type_name))
    }

    async fn handle(self, server: &Shared<P>, cx: &mut Context) -> Result<Self::Response, Failure> {
        let ephemeral = find(&server.types.ephemeral_resources, &self.type_name)?;
        let config = decode(self.config, ephemeral.schema())?;
        validated(cx, ephemeral.validate(config))
    }
}

impl<P: Provider> Call<P> for proto::open_ephemeral_resource::Request {
    type Response = proto::open_ephemeral_resource::Response;

    const NAME: &'static str = "OpenEphemeralResource";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::EphemeralResource, &self.type_name))
    }

    /// Terraform handles a deferred response, but fills in no capabilities here. So those of
    /// ConfigureProvider count too.
    fn deferral_allowed(&self, server: &Shared<P>) -> bool {
        server.deferrals.allowed() || server.deferrals.allowed_by(self.client_capabilities)
    }

    fn deferred(self, server: &Shared<P>, deferred: proto::Deferred) -> Result<Self::Response, Failure> {
        let schema = find(&server.types.ephemeral_resources, &self.type_name)?.schema();
        let result = plan::created(schema, &decode(self.config, schema)?);
        Ok(Self::Response {
            result: to_proto::value(&result),
            deferred: Some(deferred),
            ..Default::default()
        })
    }

    async fn handle(self, server: &Shared<P>, cx: &mut Context) -> Result<Self::Response, Failure> {
        let ephemeral = find(&server.types.ephemeral_resources, &self.type_name)?;
        let config = decode(self.config, ephemeral.schema())?;
        let result = ephemeral.open(cx, config).await?;
        Ok(Self::Response { result: to_proto::value(&result), ..Default::default() })
    }
}

/// No result requests renewal, so there is nothing to do.
impl<P: Provider> Call<P> for proto::renew_ephemeral_resource::Request {
    type Response = proto::renew_ephemeral_resource::Response;

    const NAME: &'static str = "RenewEphemeralResource";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::EphemeralResource, &self.type_name))
    }

    async fn handle(self, _: &Shared<P>, _: &mut Context) -> Result<Self::Response, Failure> {
        Ok(Self::Response { private: self.private, ..Default::default() })
    }
}

/// Core makes this call after every open, and an error here would fail the run. There is nothing to do.
impl<P: Provider> Call<P> for proto::close_ephemeral_resource::Request {
    type Response = proto::close_ephemeral_resource::Response;

    const NAME: &'static str = "CloseEphemeralResource";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::EphemeralResource, &self.type_name))
    }

    async fn handle(self, _: &Shared<P>, _: &mut Context) -> Result<Self::Response, Failure> {
        Ok(Self::Response::default())
    }
}
