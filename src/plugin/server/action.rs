//! Calls for actions.

use std::sync::Arc;

use tonic::{Response, Status};

use super::{
    super::{
        action::Progress,
        context::Context,
        proto::tfplugin6 as proto,
        provider::{Provider, TypeKind},
        wire::to_proto,
    },
    Call, Failure, Server, Shared, Stream, broken, decode, find, validated,
};

impl<P: Provider> Call<P> for proto::validate_action_config::Request {
    type Response = proto::validate_action_config::Response;

    const NAME: &'static str = "ValidateActionConfig";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::Action, &self.type_name))
    }

    async fn handle(self, server: &Shared<P>, cx: &mut Context) -> Result<Self::Response, Failure> {
        let action = find(&server.types.actions, &self.type_name)?;
        let config = decode(self.config, action.schema())?;
        validated(cx, action.validate(config))
    }
}

impl<P: Provider> Call<P> for proto::plan_action::Request {
    type Response = proto::plan_action::Response;

    const NAME: &'static str = "PlanAction";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::Action, &self.action_type))
    }

    fn deferral_allowed(&self, server: &Shared<P>) -> bool {
        server.deferrals.allowed_by(self.client_capabilities)
    }

    fn deferred(self, _: &Shared<P>, deferred: proto::Deferred) -> Result<Self::Response, Failure> {
        Ok(Self::Response { deferred: Some(deferred), ..Default::default() })
    }

    async fn handle(self, server: &Shared<P>, cx: &mut Context) -> Result<Self::Response, Failure> {
        let action = find(&server.types.actions, &self.action_type)?;
        let config = decode(self.config, action.schema())?;
        action.plan(cx, config).await?;
        Ok(Self::Response::default())
    }
}

pub(super) fn invoke<P: Provider>(
    server: &Server<P>,
    request: proto::invoke_action::Request,
) -> Result<Response<Stream<proto::invoke_action::Event>>, Status> {
    use proto::invoke_action::event::{Completed, Type};
    let action = Arc::clone(find(&server.0.types.actions, &request.action_type)?);
    let config = decode(request.config, action.schema()).map_err(broken)?;
    let event = |event| proto::invoke_action::Event { r#type: Some(event) };
    let step = move |message: String| event(Type::Progress(to_proto::progress(&message)));
    let last = move |diagnostics| {
        let diagnostics = to_proto::diagnostics(diagnostics);
        Some(event(Type::Completed(Completed { diagnostics })))
    };
    Ok(server.stream(
        "InvokeAction",
        (TypeKind::Action, &request.action_type),
        step,
        last,
        |mut cx, messages| async move {
            let result = action.invoke(&mut cx, config, &Progress::new(messages)).await;
            (cx, result)
        },
    ))
}
