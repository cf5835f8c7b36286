//! Calls for managed resources.

use super::{
    super::{
        context::Context,
        managed::{AnyResource, Change, Object, Planned},
        messages,
        private::Private,
        proto::tfplugin6 as proto,
        provider::{Provider, TypeKind},
        resource::ImportKey,
        value::{CodecError, Value},
        wire::{from_proto, to_proto},
    },
    Call, Failure, Shared, decode, find, validated,
};

/// Decodes the object in a request.
fn object(
    resource: &dyn AnyResource,
    state: Option<proto::DynamicValue>,
    private: &[u8],
    identity: Option<proto::ResourceIdentityData>,
) -> Result<Object, CodecError> {
    Ok(Object {
        state: decode(state, resource.schema())?,
        private: Private::from_bytes(private),
        identity: from_proto::identity(identity, resource.identity_schema().value_type())?,
    })
}

/// Decodes the change in a request.
fn change(
    resource: &dyn AnyResource,
    request: proto::plan_resource_change::Request,
) -> Result<Change, CodecError> {
    Ok(Change {
        prior: object(resource, request.prior_state, &request.prior_private, request.prior_identity)?,
        config: decode(request.config, resource.schema())?,
        removes: from_proto::is_null(request.proposed_new_state.as_ref()),
        planned_private: Private::from_bytes(&request.planned_private),
    })
}

fn planned_response(planned: Planned) -> proto::plan_resource_change::Response {
    let Planned { state, private, identity, requires_replace } = planned;
    proto::plan_resource_change::Response {
        planned_state: to_proto::value(&state),
        planned_private: private.to_bytes(),
        planned_identity: to_proto::identity(identity.as_ref()),
        requires_replace: requires_replace.iter().map(to_proto::path).collect(),
        ..Default::default()
    }
}

impl<P: Provider> Call<P> for proto::validate_resource_config::Request {
    type Response = proto::validate_resource_config::Response;

    const NAME: &'static str = "ValidateResourceConfig";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::Resource, &self.type_name))
    }

    async fn handle(self, server: &Shared<P>, cx: &mut Context) -> Result<Self::Response, Failure> {
        let resource = find(&server.types.resources, &self.type_name)?;
        let config = decode(self.config, resource.schema())?;
        let write_only_allowed = from_proto::write_only_allowed(self.client_capabilities);
        validated(cx, resource.validate(config, write_only_allowed))
    }
}

impl<P: Provider> Call<P> for proto::upgrade_resource_state::Request {
    type Response = proto::upgrade_resource_state::Response;

    const NAME: &'static str = "UpgradeResourceState";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::Resource, &self.type_name))
    }

    async fn handle(self, server: &Shared<P>, _: &mut Context) -> Result<Self::Response, Failure> {
        let resource = find(&server.types.resources, &self.type_name)?;
        let json = self.raw_state.unwrap_or_default().json;
        let state = resource.upgrade_state(self.version, &json)?;
        Ok(Self::Response { upgraded_state: to_proto::value(&state), ..Default::default() })
    }
}

impl<P: Provider> Call<P> for proto::upgrade_resource_identity::Request {
    type Response = proto::upgrade_resource_identity::Response;

    const NAME: &'static str = "UpgradeResourceIdentity";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::Resource, &self.type_name))
    }

    async fn handle(self, server: &Shared<P>, _: &mut Context) -> Result<Self::Response, Failure> {
        let resource = find(&server.types.resources, &self.type_name)?;
        let json = self.raw_identity.unwrap_or_default().json;
        let identity = resource.upgrade_identity(self.version, &json)?;
        Ok(Self::Response { upgraded_identity: to_proto::identity(Some(&identity)), ..Default::default() })
    }
}

impl<P: Provider> Call<P> for proto::read_resource::Request {
    type Response = proto::read_resource::Response;

    const NAME: &'static str = "ReadResource";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::Resource, &self.type_name))
    }

    fn unchanged(&self) -> Self::Response {
        Self::Response {
            new_state: self.current_state.clone(),
            private: self.private.clone(),
            new_identity: self.current_identity.clone(),
            ..Default::default()
        }
    }

    fn deferral_allowed(&self, server: &Shared<P>) -> bool {
        server.deferrals.allowed_by(self.client_capabilities)
    }

    fn deferred(self, _: &Shared<P>, deferred: proto::Deferred) -> Result<Self::Response, Failure> {
        Ok(Self::Response { deferred: Some(deferred), ..Call::<P>::unchanged(&self) })
    }

    async fn handle(self, server: &Shared<P>, cx: &mut Context) -> Result<Self::Response, Failure> {
        let resource = find(&server.types.resources, &self.type_name)?;
        let prior = object(resource.as_ref(), self.current_state, &self.private, self.current_identity)?;
        if prior.state.is_unknown() {
            return Err(messages::not_imported_yet().into());
        }
        let Object { state, private, identity } = resource.read(cx, prior).await?;
        Ok(Self::Response {
            new_state: to_proto::value(&state),
            private: private.to_bytes(),
            new_identity: to_proto::identity(identity.as_ref()),
            ..Default::default()
        })
    }
}

impl<P: Provider> Call<P> for proto::plan_resource_change::Request {
    type Response = proto::plan_resource_change::Response;

    const NAME: &'static str = "PlanResourceChange";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::Resource, &self.type_name))
    }

    fn unchanged(&self) -> Self::Response {
        Self::Response {
            planned_private: self.prior_private.clone(),
            planned_identity: self.prior_identity.clone(),
            ..Default::default()
        }
    }

    fn deferral_allowed(&self, server: &Shared<P>) -> bool {
        server.deferrals.allowed_by(self.client_capabilities)
    }

    fn deferred(self, server: &Shared<P>, deferred: proto::Deferred) -> Result<Self::Response, Failure> {
        let resource = find(&server.types.resources, &self.type_name)?;
        let planned = resource.plan_by_schema(change(resource.as_ref(), self)?);
        Ok(Self::Response { deferred: Some(deferred), ..planned_response(planned) })
    }

    async fn handle(self, server: &Shared<P>, cx: &mut Context) -> Result<Self::Response, Failure> {
        let resource = find(&server.types.resources, &self.type_name)?;
        let change = change(resource.as_ref(), self)?;
        if change.prior.state.is_unknown() {
            return Err(messages::not_imported_yet().into());
        }
        Ok(planned_response(resource.plan(cx, change).await?))
    }
}

impl<P: Provider> Call<P> for proto::apply_resource_change::Request {
    type Response = proto::apply_resource_change::Response;

    const NAME: &'static str = "ApplyResourceChange";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::Resource, &self.type_name))
    }

    fn unchanged(&self) -> Self::Response {
        Self::Response {
            new_state: self.prior_state.clone(),
            private: Private::kept_bytes(&self.planned_private),
            new_identity: self.planned_identity.clone(),
            ..Default::default()
        }
    }

    async fn handle(self, server: &Shared<P>, cx: &mut Context) -> Result<Self::Response, Failure> {
        let resource = find(&server.types.resources, &self.type_name)?;
        let schema = resource.schema();
        let prior =
            object(resource.as_ref(), self.prior_state, &self.planned_private, self.planned_identity)?;
        let planned = decode(self.planned_state, schema)?;
        let config = decode(self.config, schema)?;
        let Object { state, private, identity } = resource.apply(cx, prior, planned, config).await?;
        Ok(Self::Response {
            new_state: to_proto::value(&state),
            private: private.to_bytes(),
            new_identity: to_proto::identity(identity.as_ref()),
            ..Default::default()
        })
    }
}

impl<P: Provider> Call<P> for proto::import_resource_state::Request {
    type Response = proto::import_resource_state::Response;

    const NAME: &'static str = "ImportResourceState";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::Resource, &self.type_name))
    }

    fn deferral_allowed(&self, server: &Shared<P>) -> bool {
        server.deferrals.allowed_by(self.client_capabilities)
    }

    /// Nothing is known of the object but the identity that an import may name it by. Core reads and plans it
    /// next, as after any import.
    fn deferred(self, _: &Shared<P>, deferred: proto::Deferred) -> Result<Self::Response, Failure> {
        let imported = proto::import_resource_state::ImportedResource {
            type_name: self.type_name,
            state: to_proto::value(&Value::unknown()),
            private: Vec::new(),
            identity: self.identity,
        };
        Ok(Self::Response {
            imported_resources: vec![imported],
            deferred: Some(deferred),
            ..Default::default()
        })
    }

    async fn handle(self, server: &Shared<P>, cx: &mut Context) -> Result<Self::Response, Failure> {
        let resource = find(&server.types.resources, &self.type_name)?;
        let key = match from_proto::identity(self.identity, resource.identity_schema().value_type())? {
            Some(identity) => ImportKey::Identity(identity),
            None => ImportKey::Id(self.id),
        };
        let Object { state, private, identity } = resource.import(cx, key).await?;
        let imported = proto::import_resource_state::ImportedResource {
            type_name: self.type_name,
            state: to_proto::value(&state),
            private: private.to_bytes(),
            identity: to_proto::identity(identity.as_ref()),
        };
        Ok(Self::Response { imported_resources: vec![imported], ..Default::default() })
    }
}

impl<P: Provider> Call<P> for proto::move_resource_state::Request {
    type Response = proto::move_resource_state::Response;

    const NAME: &'static str = "MoveResourceState";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::Resource, &self.target_type_name))
    }

    async fn handle(self, _: &Shared<P>, _: &mut Context) -> Result<Self::Response, Failure> {
        Err(messages::move_unsupported().into())
    }
}

impl<P: Provider> Call<P> for proto::generate_resource_config::Request {
    type Response = proto::generate_resource_config::Response;

    const NAME: &'static str = "GenerateResourceConfig";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::Resource, &self.type_name))
    }

    async fn handle(self, server: &Shared<P>, _: &mut Context) -> Result<Self::Response, Failure> {
        let schema = find(&server.types.resources, &self.type_name)?.schema();
        let state = decode(self.state, schema)?;
        Ok(Self::Response { config: to_proto::value(&schema.config_of(state)), diagnostics: Vec::new() })
    }
}
