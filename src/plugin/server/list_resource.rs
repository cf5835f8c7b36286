//! Calls for list resources.

use std::sync::Arc;

use tonic::{Response, Status};

use super::{
    super::{
        context::Context,
        diagnostics::Diagnostics,
        list_resource::{FoundValue, ListOptions},
        proto::tfplugin6 as proto,
        provider::{Provider, TypeKind},
        wire::to_proto,
    },
    Call, Failure, Server, Shared, Stream, broken, decode, find, validated,
};

impl<P: Provider> Call<P> for proto::validate_list_resource_config::Request {
    type Response = proto::validate_list_resource_config::Response;

    const NAME: &'static str = "ValidateListResourceConfig";

    fn subject(&self) -> Option<(TypeKind, &str)> {
        Some((TypeKind::ListResource, &self.type_name))
    }

    async fn handle(self, server: &Shared<P>, cx: &mut Context) -> Result<Self::Response, Failure> {
        let list = find(&server.types.list_resources, &self.type_name)?;
        let config = decode(self.config, list.schema())?;
        validated(cx, list.validate(config))
    }
}

pub(super) fn list<P: Provider>(
    server: &Server<P>,
    request: proto::list_resource::Request,
) -> Result<Response<Stream<proto::list_resource::Event>>, Status> {
    let list = Arc::clone(find(&server.0.types.list_resources, &request.type_name)?);
    let resource = Arc::clone(find(&server.0.types.resources, &request.type_name)?);
    let config = decode(request.config, list.schema()).map_err(broken)?;
    let options = ListOptions { include_state: request.include_resource_object, limit: request.limit };
    let step = move |found: FoundValue| {
        let state = found.state.map(|state| resource.schema().without_write_only(state));
        to_proto::found(&found.display_name, &found.identity, state.as_ref())
    };
    let last = |diagnostics: Diagnostics| {
        let diagnostic = to_proto::diagnostics(diagnostics);
        (!diagnostic.is_empty()).then(|| proto::list_resource::Event { diagnostic, ..Default::default() })
    };
    Ok(server.stream(
        "ListResource",
        (TypeKind::ListResource, &request.type_name),
        step,
        last,
        |mut cx, found| async move {
            let result = list.list(&mut cx, config, options, found).await;
            (cx, result)
        },
    ))
}
