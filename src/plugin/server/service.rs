//! The table of calls.

use tonic::{Request, Response, Status};

use super::{
    super::{
        proto::tfplugin6::{self as proto, provider_server},
        provider::Provider,
    },
    Server, Stream, action, list_resource,
};

/// Implements the generated trait. The listed calls go through [`Server::call`]; the others are written out.
macro_rules! service {
    ($($call:ident)*; $($other:tt)*) => {
        #[tonic::async_trait]
        impl<P: Provider> provider_server::Provider for Server<P> {
            $(async fn $call(
                &self,
                request: Request<proto::$call::Request>,
            ) -> Result<Response<proto::$call::Response>, Status> {
                self.call(request).await
            })*

            $($other)*
        }
    };
}

service! {
    get_metadata
    get_provider_schema
    get_resource_identity_schemas
    validate_provider_config
    configure_provider
    validate_resource_config
    upgrade_resource_state
    upgrade_resource_identity
    read_resource
    plan_resource_change
    apply_resource_change
    import_resource_state
    move_resource_state
    generate_resource_config
    validate_data_resource_config
    read_data_source
    validate_ephemeral_resource_config
    open_ephemeral_resource
    renew_ephemeral_resource
    close_ephemeral_resource
    validate_list_resource_config
    get_functions
    call_function
    validate_action_config
    plan_action;

    async fn stop_provider(
        &self,
        _: Request<proto::stop_provider::Request>,
    ) -> Result<Response<proto::stop_provider::Response>, Status> {
        tracing::info!("stop requested: unsent requests are cancelled, writes in progress finish");
        self.stop();
        Ok(Response::new(proto::stop_provider::Response::default()))
    }

    type ListResourceStream = Stream<proto::list_resource::Event>;

    async fn list_resource(
        &self,
        request: Request<proto::list_resource::Request>,
    ) -> Result<Response<Self::ListResourceStream>, Status> {
        list_resource::list(self, request.into_inner())
    }

    type InvokeActionStream = Stream<proto::invoke_action::Event>;

    async fn invoke_action(
        &self,
        request: Request<proto::invoke_action::Request>,
    ) -> Result<Response<Self::InvokeActionStream>, Status> {
        action::invoke(self, request.into_inner())
    }
}
