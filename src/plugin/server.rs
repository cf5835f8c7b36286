//! The gRPC service: one recipe for every call (log, run apart, catch a crash, convert), then the table of types.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status};
use tracing::Instrument;

use super::{
    action::Progress,
    context::Context,
    diagnostics::Diagnostics,
    function::FunctionError,
    list_resource::{FoundValue, Wanted},
    log::keys,
    model::typed,
    private::Private,
    proto::tfplugin6::{self as proto, provider_server},
    provider::{Provider, Types},
    resource::{ImportKey, Reached},
    schema::Schema,
    value::{CodecError, Value},
    wire::{from_proto, to_proto},
};

/// How many messages a stream holds for a client that is slow to read them.
const STREAM_BUFFER: usize = 64;

/// Serves a [`Provider`] to Terraform.
pub(super) struct Server<P>(Arc<Shared<P>>);

impl<P> Clone for Server<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Shared<P> {
    provider: P,
    types: Types,
    schema: OnceLock<Schema>,
    stop: Mutex<CancellationToken>,
    tasks: TaskTracker,
    calls: AtomicU64,
}

/// What an answer needs so that any failure can be put into it.
trait Answer: Default + Send + 'static {
    fn diagnose(&mut self, diagnostics: Diagnostics);
}

macro_rules! answers {
    ($($message:ident)*) => {
        $(impl Answer for proto::$message::Response {
            fn diagnose(&mut self, diagnostics: Diagnostics) {
                self.diagnostics.extend(to_proto::diagnostics(diagnostics));
            }
        })*
    };
}

answers! {
    get_metadata get_provider_schema get_resource_identity_schemas validate_provider_config configure_provider
    validate_resource_config upgrade_resource_state upgrade_resource_identity read_resource plan_resource_change
    apply_resource_change import_resource_state move_resource_state generate_resource_config
    validate_data_resource_config read_data_source validate_ephemeral_resource_config open_ephemeral_resource
    renew_ephemeral_resource close_ephemeral_resource validate_list_resource_config get_functions
    validate_action_config plan_action
}

impl Answer for proto::call_function::Response {
    fn diagnose(&mut self, diagnostics: Diagnostics) {
        if let Some(first) = diagnostics.into_iter().next() {
            let text = format!("{}: {}", first.summary, first.detail);
            self.error = Some(to_proto::function_error(FunctionError { text, argument: None }));
        }
    }
}

/// The peer didn't keep to the protocol. Everything that a user can cause is a diagnostic instead.
fn broken(error: CodecError) -> Status {
    Status::invalid_argument(format!("the request can't be decoded: {error}"))
}

/// Decodes a value of the given schema's type.
fn decode(value: Option<proto::DynamicValue>, schema: &Schema) -> Result<Value, Status> {
    from_proto::value(value, schema.value_type()).map_err(broken)
}

/// An answer that says nothing but this.
fn diagnosed<A: Answer>(diagnostics: Diagnostics) -> A {
    let mut answer = A::default();
    answer.diagnose(diagnostics);
    answer
}

/// What a crash looks like to the user. The hook in `log` has written where it happened.
fn crashed() -> Diagnostics {
    Diagnostics::from_error(
        "The provider crashed",
        "This is a bug in the provider. What it was doing may have been done or not: look before you repeat it. \
         Please report this with the log that TF_LOG=DEBUG shows.",
    )
}

impl<P: Provider> Server<P> {
    pub(super) fn new(provider: P) -> Self {
        Self(Arc::new(Shared {
            types: provider.types(),
            provider,
            schema: OnceLock::new(),
            stop: Mutex::default(),
            tasks: TaskTracker::new(),
            calls: AtomicU64::new(0),
        }))
    }

    /// Asks all calls under way to begin nothing new, and arms a new signal for those to come.
    pub(super) fn stop(&self) {
        let mut stop = self.0.stop.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *stop).cancel();
    }

    /// Waits until no call is under way. To be called when no more can come.
    pub(super) async fn finished(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    fn context(&self) -> Context {
        let stop = self.0.stop.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Context { stop, diagnostics: Diagnostics::new() }
    }

    fn span(&self, rpc: &'static str, type_name: &str) -> tracing::Span {
        let id = self.0.calls.fetch_add(1, Ordering::Relaxed);
        let address = self.0.provider.address();
        // The field names are those of `keys`, which people's log filters know.
        tracing::info_span!(
            "rpc",
            tf_provider_addr = address,
            tf_rpc = rpc,
            tf_req_id = id,
            tf_resource_type = type_name
        )
    }

    /// The recipe. The work runs as a task of its own: a crash in it becomes a diagnostic, and a client that hangs up
    /// doesn't interrupt a write. `fallback` is what to answer after a crash, besides the diagnostic.
    async fn run<A: Answer, F>(
        &self,
        rpc: &'static str,
        type_name: &str,
        fallback: A,
        work: impl FnOnce(Self, Context) -> F,
    ) -> Result<Response<A>, Status>
    where
        F: Future<Output = Result<A, Status>> + Send + 'static,
    {
        let span = self.span(rpc, type_name);
        let begun = Instant::now();
        let task = work(self.clone(), self.context()).instrument(span.clone());
        let answer = match self.0.tasks.spawn(task).await {
            Ok(answer) => answer,
            Err(_) => {
                let mut answer = fallback;
                answer.diagnose(crashed());
                Ok(answer)
            }
        };
        let duration = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        span.in_scope(|| tracing::trace!({ keys::DURATION } = duration, "answered"));
        answer.map(Response::new)
    }

    /// The recipe for calls that answer in steps. The work sends them while it runs; a client that hangs up doesn't
    /// interrupt it. `last` makes the closing message from what the work, or its crash, had to say.
    fn stream<T: Send + 'static, E: Send + 'static, F>(
        &self,
        rpc: &'static str,
        type_name: &str,
        step: impl Fn(T) -> E + Send + 'static,
        last: impl FnOnce(Diagnostics) -> Option<E> + Send + 'static,
        work: impl FnOnce(Context, mpsc::Sender<T>) -> F,
    ) -> Response<Stream<E>>
    where
        F: Future<Output = (Context, Result<(), Diagnostics>)> + Send + 'static,
    {
        let (events, stream) = mpsc::channel(STREAM_BUFFER);
        let (sender, mut steps) = mpsc::channel(STREAM_BUFFER);
        let work = work(self.context(), sender).instrument(self.span(rpc, type_name));
        let work = self.0.tasks.spawn(work);
        self.0.tasks.spawn(async move {
            while let Some(item) = steps.recv().await {
                if events.send(Ok(step(item))).await.is_err() {
                    return;
                }
            }
            let diagnostics = match work.await {
                Ok((mut cx, result)) => {
                    cx.diagnostics.extend(result.err().unwrap_or_default());
                    cx.diagnostics
                }
                Err(_) => crashed(),
            };
            if let Some(event) = last(diagnostics) {
                let _ = events.send(Ok(event)).await;
            }
        });
        Response::new(Box::pin(ReceiverStream::new(stream)))
    }

    fn types(&self) -> &Types {
        &self.0.types
    }

    fn provider_schema(&self) -> &Schema {
        self.0.schema.get_or_init(|| self.0.provider.schema())
    }
}

/// Looks a type up in its table. Core asks only for types that the schema names.
fn find<'t, T: ?Sized>(
    table: &'t std::collections::BTreeMap<&'static str, Arc<T>>,
    name: &str,
) -> Result<&'t Arc<T>, Status> {
    table.get(name).ok_or_else(|| Status::not_found(format!("this provider has no type {name}")))
}

fn capabilities() -> Option<proto::ServerCapabilities> {
    Some(proto::ServerCapabilities {
        plan_destroy: true,
        get_provider_schema_optional: true,
        move_resource_state: false,
        generate_resource_config: true,
    })
}

type Stream<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl<P: Provider> provider_server::Provider for Server<P> {
    async fn get_metadata(
        &self,
        _: Request<proto::get_metadata::Request>,
    ) -> Result<Response<proto::get_metadata::Response>, Status> {
        self.run("GetMetadata", "", Default::default(), |server, _| async move {
            use proto::get_metadata::{FunctionMetadata, Response, TypeMetadata};
            fn names<'t>(names: impl Iterator<Item = &'t &'static str>) -> Vec<TypeMetadata> {
                names.map(|name| TypeMetadata { type_name: (*name).to_owned() }).collect()
            }
            let types = server.types();
            let functions = types.functions.keys();
            Ok(Response {
                server_capabilities: capabilities(),
                diagnostics: Vec::new(),
                resources: names(types.resources.keys()),
                data_sources: names(types.data_sources.keys()),
                ephemeral_resources: names(types.ephemeral_resources.keys()),
                list_resources: names(types.list_resources.keys()),
                actions: names(types.actions.keys()),
                functions: functions.map(|name| FunctionMetadata { name: (*name).to_owned() }).collect(),
            })
        })
        .await
    }

    async fn get_provider_schema(
        &self,
        _: Request<proto::get_provider_schema::Request>,
    ) -> Result<Response<proto::get_provider_schema::Response>, Status> {
        self.run("GetProviderSchema", "", Default::default(), |server, _| async move {
            macro_rules! schemas {
                ($table:ident) => {
                    server
                        .types()
                        .$table
                        .iter()
                        .map(|(name, entry)| ((*name).to_owned(), to_proto::schema(entry.schema())))
                };
            }
            let action = |(name, schema)| (name, proto::ActionSchema { schema: Some(schema) });
            Ok(proto::get_provider_schema::Response {
                provider: Some(to_proto::schema(server.provider_schema())),
                resource_schemas: schemas!(resources).collect(),
                data_source_schemas: schemas!(data_sources).collect(),
                ephemeral_resource_schemas: schemas!(ephemeral_resources).collect(),
                list_resource_schemas: schemas!(list_resources).collect(),
                action_schemas: schemas!(actions).map(action).collect(),
                functions: functions(server.types()),
                server_capabilities: capabilities(),
                provider_meta: None,
                diagnostics: Vec::new(),
            })
        })
        .await
    }

    async fn get_resource_identity_schemas(
        &self,
        _: Request<proto::get_resource_identity_schemas::Request>,
    ) -> Result<Response<proto::get_resource_identity_schemas::Response>, Status> {
        self.run("GetResourceIdentitySchemas", "", Default::default(), |server, _| async move {
            let schemas = server.types().resources.iter().map(|(name, resource)| {
                ((*name).to_owned(), to_proto::identity_schema(resource.identity_schema()))
            });
            Ok(proto::get_resource_identity_schemas::Response {
                identity_schemas: schemas.collect(),
                diagnostics: Vec::new(),
            })
        })
        .await
    }

    async fn validate_provider_config(
        &self,
        request: Request<proto::validate_provider_config::Request>,
    ) -> Result<Response<proto::validate_provider_config::Response>, Status> {
        let request = request.into_inner();
        self.run("ValidateProviderConfig", "", Default::default(), |server, _| async move {
            let schema = server.provider_schema();
            let config = decode(request.config, schema)?;
            let mut diagnostics = schema.validate(&config, false);
            match typed(config) {
                Ok(config) => server.0.provider.validate(&config, &mut diagnostics),
                Err(error) => diagnostics.extend(error),
            }
            Ok(diagnosed(diagnostics))
        })
        .await
    }

    async fn configure_provider(
        &self,
        request: Request<proto::configure_provider::Request>,
    ) -> Result<Response<proto::configure_provider::Response>, Status> {
        let request = request.into_inner();
        self.run("ConfigureProvider", "", Default::default(), |server, _| async move {
            let config = decode(request.config, server.provider_schema())?;
            let mut diagnostics = Diagnostics::new();
            match typed(config) {
                Ok(config) => {
                    server.0.provider.configure(&request.terraform_version, config, &mut diagnostics);
                }
                Err(error) => diagnostics.extend(error),
            }
            Ok(diagnosed(diagnostics))
        })
        .await
    }

    async fn stop_provider(
        &self,
        _: Request<proto::stop_provider::Request>,
    ) -> Result<Response<proto::stop_provider::Response>, Status> {
        tracing::info!("asked to stop: what has not been sent is cancelled, writes under way finish");
        self.stop();
        Ok(Response::new(proto::stop_provider::Response::default()))
    }

    async fn validate_resource_config(
        &self,
        request: Request<proto::validate_resource_config::Request>,
    ) -> Result<Response<proto::validate_resource_config::Response>, Status> {
        let request = request.into_inner();
        let type_name = request.type_name.clone();
        self.run("ValidateResourceConfig", &type_name, Default::default(), |server, _| async move {
            let resource = find(&server.types().resources, &request.type_name)?;
            let config = decode(request.config, resource.schema())?;
            let write_only_allowed = from_proto::write_only_allowed(request.client_capabilities);
            Ok(diagnosed(resource.validate(config, write_only_allowed)))
        })
        .await
    }

    async fn upgrade_resource_state(
        &self,
        request: Request<proto::upgrade_resource_state::Request>,
    ) -> Result<Response<proto::upgrade_resource_state::Response>, Status> {
        let request = request.into_inner();
        let type_name = request.type_name.clone();
        self.run("UpgradeResourceState", &type_name, Default::default(), |server, _| async move {
            let resource = find(&server.types().resources, &request.type_name)?;
            let json = request.raw_state.unwrap_or_default().json;
            let mut answer = proto::upgrade_resource_state::Response::default();
            match resource.upgrade(&json) {
                Ok(state) => answer.upgraded_state = to_proto::value(&state),
                Err(error) => answer.diagnose(Diagnostics::from_error(
                    "Stored state can't be read",
                    format!("The state of this resource was not written by this provider: it is {error}."),
                )),
            }
            Ok(answer)
        })
        .await
    }

    async fn upgrade_resource_identity(
        &self,
        request: Request<proto::upgrade_resource_identity::Request>,
    ) -> Result<Response<proto::upgrade_resource_identity::Response>, Status> {
        let request = request.into_inner();
        let type_name = request.type_name.clone();
        self.run("UpgradeResourceIdentity", &type_name, Default::default(), |server, _| async move {
            let resource = find(&server.types().resources, &request.type_name)?;
            let json = request.raw_identity.unwrap_or_default().json;
            let mut answer = proto::upgrade_resource_identity::Response::default();
            match Value::from_stored_json(&json, resource.identity_schema().value_type()) {
                Ok(identity) => answer.upgraded_identity = to_proto::identity(Some(&identity)),
                Err(error) => answer.diagnose(Diagnostics::from_error(
                    "Stored identity can't be read",
                    format!("The identity of this resource was not written by this provider: it is {error}."),
                )),
            }
            Ok(answer)
        })
        .await
    }

    async fn read_resource(
        &self,
        request: Request<proto::read_resource::Request>,
    ) -> Result<Response<proto::read_resource::Response>, Status> {
        let request = request.into_inner();
        let type_name = request.type_name.clone();
        // Whatever is not sent back is lost, after an error too.
        let unchanged = proto::read_resource::Response {
            new_state: request.current_state.clone(),
            private: request.private.clone(),
            new_identity: request.current_identity.clone(),
            ..Default::default()
        };
        self.run("ReadResource", &type_name, unchanged.clone(), |server, mut cx| async move {
            let resource = find(&server.types().resources, &request.type_name)?;
            let state = decode(request.current_state, resource.schema())?;
            let private = Private::from_bytes(&request.private);
            let result = resource.read(&mut cx, state, private).await;
            let mut answer = match result {
                Ok(reached) => proto::read_resource::Response {
                    new_state: to_proto::value(&reached.state),
                    private: reached.private.to_bytes(),
                    new_identity: to_proto::identity(reached.identity.as_ref()),
                    ..Default::default()
                },
                Err(diagnostics) => {
                    cx.diagnostics.extend(diagnostics);
                    unchanged
                }
            };
            answer.diagnose(cx.diagnostics);
            Ok(answer)
        })
        .await
    }

    async fn plan_resource_change(
        &self,
        request: Request<proto::plan_resource_change::Request>,
    ) -> Result<Response<proto::plan_resource_change::Response>, Status> {
        let request = request.into_inner();
        let type_name = request.type_name.clone();
        let echo = proto::plan_resource_change::Response {
            planned_private: request.prior_private.clone(),
            planned_identity: request.prior_identity.clone(),
            ..Default::default()
        };
        self.run("PlanResourceChange", &type_name, echo.clone(), |server, mut cx| async move {
            let resource = find(&server.types().resources, &request.type_name)?;
            let schema = resource.schema();
            let prior = decode(request.prior_state, schema)?;
            let proposed = decode(request.proposed_new_state, schema)?;
            let config = decode(request.config, schema)?;
            let private = Private::from_bytes(&request.prior_private);
            let creates = prior.is_null();
            let mut answer = echo;
            if creates {
                // A create has no identity until it has happened; one may be left from the object it replaces.
                answer.planned_identity = None;
            }
            match resource.plan(&mut cx, prior, proposed, config, &private) {
                Ok(planned) => {
                    answer.planned_state = to_proto::value(&planned.state);
                    answer.requires_replace = planned.requires_replace.iter().map(to_proto::path).collect();
                }
                Err(diagnostics) => cx.diagnostics.extend(diagnostics),
            }
            answer.diagnose(cx.diagnostics);
            Ok(answer)
        })
        .await
    }

    async fn apply_resource_change(
        &self,
        request: Request<proto::apply_resource_change::Request>,
    ) -> Result<Response<proto::apply_resource_change::Response>, Status> {
        let request = request.into_inner();
        let type_name = request.type_name.clone();
        let unchanged = proto::apply_resource_change::Response {
            new_state: request.prior_state.clone(),
            private: request.planned_private.clone(),
            new_identity: request.planned_identity.clone(),
            ..Default::default()
        };
        self.run("ApplyResourceChange", &type_name, unchanged.clone(), |server, mut cx| async move {
            let resource = find(&server.types().resources, &request.type_name)?;
            let schema = resource.schema();
            let prior = decode(request.prior_state, schema)?;
            let planned = decode(request.planned_state, schema)?;
            let config = decode(request.config, schema)?;
            let private = Private::from_bytes(&request.planned_private);
            let result = resource.apply(&mut cx, prior, planned, config, private).await;
            let mut answer = match result {
                Ok(reached) => applied(&reached),
                Err(diagnostics) => {
                    cx.diagnostics.extend(diagnostics);
                    unchanged
                }
            };
            answer.diagnose(cx.diagnostics);
            Ok(answer)
        })
        .await
    }

    async fn import_resource_state(
        &self,
        request: Request<proto::import_resource_state::Request>,
    ) -> Result<Response<proto::import_resource_state::Response>, Status> {
        let request = request.into_inner();
        let type_name = request.type_name.clone();
        self.run("ImportResourceState", &type_name, Default::default(), |server, mut cx| async move {
            let resource = find(&server.types().resources, &request.type_name)?;
            let identity_type = resource.identity_schema().value_type();
            let key = match from_proto::identity(request.identity, identity_type).map_err(broken)? {
                Some(identity) => ImportKey::Identity(identity),
                None => ImportKey::Id(request.id),
            };
            let mut answer = proto::import_resource_state::Response::default();
            match resource.import(&mut cx, key).await {
                Ok(reached) => {
                    answer.imported_resources.push(proto::import_resource_state::ImportedResource {
                        type_name: request.type_name,
                        state: to_proto::value(&reached.state),
                        private: reached.private.to_bytes(),
                        identity: to_proto::identity(reached.identity.as_ref()),
                    });
                }
                Err(diagnostics) => cx.diagnostics.extend(diagnostics),
            }
            answer.diagnose(cx.diagnostics);
            Ok(answer)
        })
        .await
    }

    async fn move_resource_state(
        &self,
        request: Request<proto::move_resource_state::Request>,
    ) -> Result<Response<proto::move_resource_state::Response>, Status> {
        let request = request.into_inner();
        self.run("MoveResourceState", &request.target_type_name, Default::default(), |_, _| async move {
            Ok(diagnosed(Diagnostics::from_error(
                "Resource can't be moved across types",
                "No other resource type's state can become one of this type. Remove it from the state with a \
                 `removed` block and import it anew.",
            )))
        })
        .await
    }

    async fn generate_resource_config(
        &self,
        request: Request<proto::generate_resource_config::Request>,
    ) -> Result<Response<proto::generate_resource_config::Response>, Status> {
        let request = request.into_inner();
        let type_name = request.type_name.clone();
        self.run("GenerateResourceConfig", &type_name, Default::default(), |server, _| async move {
            let resource = find(&server.types().resources, &request.type_name)?;
            let schema = resource.schema();
            let state = decode(request.state, schema)?;
            Ok(proto::generate_resource_config::Response {
                config: to_proto::value(&schema.config_of(state)),
                diagnostics: Vec::new(),
            })
        })
        .await
    }

    async fn validate_data_resource_config(
        &self,
        request: Request<proto::validate_data_resource_config::Request>,
    ) -> Result<Response<proto::validate_data_resource_config::Response>, Status> {
        let request = request.into_inner();
        let type_name = request.type_name.clone();
        self.run("ValidateDataResourceConfig", &type_name, Default::default(), |server, _| async move {
            let data_source = find(&server.types().data_sources, &request.type_name)?;
            let config = decode(request.config, data_source.schema())?;
            Ok(diagnosed(data_source.validate(config)))
        })
        .await
    }

    async fn read_data_source(
        &self,
        request: Request<proto::read_data_source::Request>,
    ) -> Result<Response<proto::read_data_source::Response>, Status> {
        let request = request.into_inner();
        let type_name = request.type_name.clone();
        self.run("ReadDataSource", &type_name, Default::default(), |server, mut cx| async move {
            let data_source = find(&server.types().data_sources, &request.type_name)?;
            let config = decode(request.config, data_source.schema())?;
            let mut answer = proto::read_data_source::Response::default();
            match data_source.read(&mut cx, config).await {
                Ok(state) => answer.state = to_proto::value(&state),
                Err(diagnostics) => cx.diagnostics.extend(diagnostics),
            }
            answer.diagnose(cx.diagnostics);
            Ok(answer)
        })
        .await
    }

    async fn validate_ephemeral_resource_config(
        &self,
        request: Request<proto::validate_ephemeral_resource_config::Request>,
    ) -> Result<Response<proto::validate_ephemeral_resource_config::Response>, Status> {
        let request = request.into_inner();
        let type_name = request.type_name.clone();
        self.run("ValidateEphemeralResourceConfig", &type_name, Default::default(), |server, _| async move {
            let ephemeral = find(&server.types().ephemeral_resources, &request.type_name)?;
            let config = decode(request.config, ephemeral.schema())?;
            Ok(diagnosed(ephemeral.validate(config)))
        })
        .await
    }

    async fn open_ephemeral_resource(
        &self,
        request: Request<proto::open_ephemeral_resource::Request>,
    ) -> Result<Response<proto::open_ephemeral_resource::Response>, Status> {
        let request = request.into_inner();
        let type_name = request.type_name.clone();
        self.run("OpenEphemeralResource", &type_name, Default::default(), |server, mut cx| async move {
            let ephemeral = find(&server.types().ephemeral_resources, &request.type_name)?;
            let config = decode(request.config, ephemeral.schema())?;
            let mut answer = proto::open_ephemeral_resource::Response::default();
            match ephemeral.open(&mut cx, config).await {
                Ok(result) => answer.result = to_proto::value(&result),
                Err(diagnostics) => cx.diagnostics.extend(diagnostics),
            }
            answer.diagnose(cx.diagnostics);
            Ok(answer)
        })
        .await
    }

    async fn renew_ephemeral_resource(
        &self,
        request: Request<proto::renew_ephemeral_resource::Request>,
    ) -> Result<Response<proto::renew_ephemeral_resource::Response>, Status> {
        // No result asks for renewal, so nothing is to be done.
        let private = request.into_inner().private;
        Ok(Response::new(proto::renew_ephemeral_resource::Response { private, ..Default::default() }))
    }

    async fn close_ephemeral_resource(
        &self,
        _: Request<proto::close_ephemeral_resource::Request>,
    ) -> Result<Response<proto::close_ephemeral_resource::Response>, Status> {
        // Core calls this after every open, and an error here would fail the run: nothing is to be done.
        Ok(Response::new(proto::close_ephemeral_resource::Response::default()))
    }

    async fn validate_list_resource_config(
        &self,
        request: Request<proto::validate_list_resource_config::Request>,
    ) -> Result<Response<proto::validate_list_resource_config::Response>, Status> {
        let request = request.into_inner();
        let type_name = request.type_name.clone();
        self.run("ValidateListResourceConfig", &type_name, Default::default(), |server, _| async move {
            let list = find(&server.types().list_resources, &request.type_name)?;
            let config = decode(request.config, list.schema())?;
            Ok(diagnosed(list.validate(config)))
        })
        .await
    }

    type ListResourceStream = Stream<proto::list_resource::Event>;

    async fn list_resource(
        &self,
        request: Request<proto::list_resource::Request>,
    ) -> Result<Response<Self::ListResourceStream>, Status> {
        let request = request.into_inner();
        let list = Arc::clone(find(&self.types().list_resources, &request.type_name)?);
        let config = decode(request.config, list.schema())?;
        let wanted = Wanted { include_state: request.include_resource_object, limit: request.limit };
        let last = |diagnostics: Diagnostics| {
            let diagnostic = to_proto::diagnostics(diagnostics);
            (!diagnostic.is_empty()).then(|| proto::list_resource::Event { diagnostic, ..Default::default() })
        };
        Ok(self.stream("ListResource", &request.type_name, list_event, last, |mut cx, found| async move {
            let result = list.list(&mut cx, config, wanted, found).await;
            (cx, result)
        }))
    }

    async fn get_functions(
        &self,
        _: Request<proto::get_functions::Request>,
    ) -> Result<Response<proto::get_functions::Response>, Status> {
        self.run("GetFunctions", "", Default::default(), |server, _| async move {
            let functions = functions(server.types());
            Ok(proto::get_functions::Response { functions, diagnostics: Vec::new() })
        })
        .await
    }

    async fn call_function(
        &self,
        request: Request<proto::call_function::Request>,
    ) -> Result<Response<proto::call_function::Response>, Status> {
        let request = request.into_inner();
        self.run("CallFunction", "", Default::default(), |server, _| async move {
            let function = find(&server.types().functions, &request.name)?;
            let parameters = function.signature().parameters;
            let arguments = request.arguments.into_iter().zip(&parameters);
            let arguments = arguments
                .map(|(argument, parameter)| from_proto::value(Some(argument), &parameter.value_type))
                .collect::<Result<Vec<_>, _>>()
                .map_err(broken)?;
            if arguments.len() != parameters.len() {
                return Err(Status::invalid_argument(
                    "the number of arguments is not that of the parameters",
                ));
            }
            Ok(match function.call(arguments) {
                Ok(result) => {
                    proto::call_function::Response { result: to_proto::value(&result), error: None }
                }
                Err(error) => proto::call_function::Response {
                    result: None,
                    error: Some(to_proto::function_error(error)),
                },
            })
        })
        .await
    }

    async fn validate_action_config(
        &self,
        request: Request<proto::validate_action_config::Request>,
    ) -> Result<Response<proto::validate_action_config::Response>, Status> {
        let request = request.into_inner();
        let type_name = request.type_name.clone();
        self.run("ValidateActionConfig", &type_name, Default::default(), |server, _| async move {
            let action = find(&server.types().actions, &request.type_name)?;
            let config = decode(request.config, action.schema())?;
            Ok(diagnosed(action.validate(config)))
        })
        .await
    }

    async fn plan_action(
        &self,
        request: Request<proto::plan_action::Request>,
    ) -> Result<Response<proto::plan_action::Response>, Status> {
        let request = request.into_inner();
        let type_name = request.action_type.clone();
        self.run("PlanAction", &type_name, Default::default(), |server, _| async move {
            // Validation has seen the same configuration; an action changes nothing that could be planned.
            find(&server.types().actions, &request.action_type)?;
            Ok(proto::plan_action::Response::default())
        })
        .await
    }

    type InvokeActionStream = Stream<proto::invoke_action::Event>;

    async fn invoke_action(
        &self,
        request: Request<proto::invoke_action::Request>,
    ) -> Result<Response<Self::InvokeActionStream>, Status> {
        use proto::invoke_action::event::{Completed, Type};
        let request = request.into_inner();
        let action = Arc::clone(find(&self.types().actions, &request.action_type)?);
        let config = decode(request.config, action.schema())?;
        let event = |event| proto::invoke_action::Event { r#type: Some(event) };
        let step = move |message| event(Type::Progress(proto::invoke_action::event::Progress { message }));
        let last = move |diagnostics| {
            let diagnostics = to_proto::diagnostics(diagnostics);
            Some(event(Type::Completed(Completed { diagnostics })))
        };
        Ok(self.stream("InvokeAction", &request.action_type, step, last, |mut cx, messages| async move {
            let result = action.invoke(&mut cx, config, &Progress::new(messages)).await;
            (cx, result)
        }))
    }
}

fn applied(reached: &Reached) -> proto::apply_resource_change::Response {
    proto::apply_resource_change::Response {
        new_state: to_proto::value(&reached.state),
        private: reached.private.to_bytes(),
        new_identity: to_proto::identity(reached.identity.as_ref()),
        ..Default::default()
    }
}

fn list_event(found: FoundValue) -> proto::list_resource::Event {
    proto::list_resource::Event {
        identity: to_proto::identity(Some(&found.identity)),
        display_name: found.display_name,
        resource_object: found.state.as_ref().and_then(to_proto::value),
        diagnostic: Vec::new(),
    }
}

fn functions(types: &Types) -> std::collections::HashMap<String, proto::Function> {
    let functions = types.functions.iter();
    functions.map(|(name, f)| ((*name).to_owned(), to_proto::function(&f.signature()))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use provider_server::Provider as _;

    use super::*;
    use crate::{
        model,
        plugin::{
            model::{Field, Model as _},
            resource::{Create, ImportKey, PlanUpdate, Resource, Stored, Update},
            schema::{Schema, computed, optional},
        },
    };

    model! {
        /// A thing that crashes on demand.
        pub struct Thing {
            /// What to do: `crash`, `fail`, or else succeed.
            how: String = optional(),
            /// Decided by the provider.
            id: String = computed().stable(),
        }
    }

    impl Thing {
        fn act(&self) -> Result<(), Diagnostics> {
            match self.how.as_str() {
                Some("crash") => panic!("on demand"),
                Some("fail") => Err(Diagnostics::from_error("Failed", "")),
                _ => Ok(()),
            }
        }

        fn stored(self) -> Stored<Self> {
            Stored { state: Self { id: Field::Known("1".into()), ..self }, private: Private::default() }
        }
    }

    struct Things;

    impl Resource for Things {
        type Model = Thing;
        type Identity = Thing;

        fn schema(&self) -> Schema {
            Thing::schema("A thing.")
        }

        fn identity(&self, state: &Thing) -> Thing {
            state.clone()
        }

        fn plan_update(&self, _: &mut Context, plan: PlanUpdate<'_, Thing>) -> Thing {
            plan.proposed
        }

        async fn create(&self, _: &mut Context, create: Create<Thing>) -> Result<Stored<Thing>, Diagnostics> {
            create.config.act()?;
            Ok(create.config.stored())
        }

        async fn read(
            &self,
            _: &mut Context,
            prior: Stored<Thing>,
        ) -> Result<Option<Stored<Thing>>, Diagnostics> {
            prior.state.act()?;
            Ok(Some(prior))
        }

        async fn update(&self, _: &mut Context, update: Update<Thing>) -> Result<Stored<Thing>, Diagnostics> {
            update.config.act()?;
            Ok(update.planned.stored())
        }

        async fn delete(&self, cx: &mut Context, prior: Stored<Thing>) -> Result<(), Diagnostics> {
            prior.state.act()?;
            cx.stop.cancelled().await;
            Ok(())
        }

        async fn import(&self, _: &mut Context, _: ImportKey<Thing>) -> Result<Stored<Thing>, Diagnostics> {
            Err(Diagnostics::from_error("Failed", ""))
        }
    }

    struct Fake;

    impl Provider for Fake {
        type Config = Thing;

        fn address(&self) -> &'static str {
            "registry.terraform.io/example/fake"
        }

        fn schema(&self) -> Schema {
            Thing::schema("A provider.")
        }

        fn configure(&self, _: &str, _: Thing, _: &mut Diagnostics) {}

        fn types(&self) -> Types {
            Types::new().resource("fake_thing", Things)
        }
    }

    fn thing(how: &str) -> Option<proto::DynamicValue> {
        use crate::plugin::model::AttributeType as _;
        let thing = Thing { how: Field::Known(how.into()), id: Field::Known("1".into()) };
        to_proto::value(&thing.into_value())
    }

    fn apply(prior: Option<&str>, how: Option<&str>) -> Request<proto::apply_resource_change::Request> {
        Request::new(proto::apply_resource_change::Request {
            type_name: "fake_thing".into(),
            prior_state: prior.map_or_else(|| to_proto::value(&Value::Null), thing),
            planned_state: how.map_or_else(|| to_proto::value(&Value::Null), thing),
            config: how.map_or_else(|| to_proto::value(&Value::Null), thing),
            planned_private: b"{\"kept\":1}".to_vec(),
            ..Default::default()
        })
    }

    fn summaries(diagnostics: &[proto::Diagnostic]) -> Vec<&str> {
        diagnostics.iter().map(|d| d.summary.as_str()).collect()
    }

    #[tokio::test]
    async fn a_crash_is_a_diagnostic_that_keeps_the_state_and_the_provider_alive() {
        let server = Server::new(Fake);
        let answer =
            server.apply_resource_change(apply(Some("x"), Some("crash"))).await.unwrap().into_inner();
        assert_eq!(summaries(&answer.diagnostics), ["The provider crashed"]);
        assert_eq!(answer.new_state, thing("x"), "an update that crashed may not have happened");
        assert_eq!(answer.private, b"{\"kept\":1}");
        let read = proto::read_resource::Request {
            type_name: "fake_thing".into(),
            current_state: thing("crash"),
            private: b"{\"kept\":1}".to_vec(),
            ..Default::default()
        };
        let answer = server.read_resource(Request::new(read)).await.unwrap().into_inner();
        assert_eq!(summaries(&answer.diagnostics), ["The provider crashed"]);
        assert_eq!((answer.new_state, answer.private), (thing("crash"), b"{\"kept\":1}".to_vec()));
        let answer = server.apply_resource_change(apply(None, Some("x"))).await.unwrap().into_inner();
        assert_eq!(summaries(&answer.diagnostics), Vec::<&str>::new());
    }

    #[tokio::test]
    async fn a_failure_keeps_the_prior_state_and_a_failed_create_has_none() {
        let server = Server::new(Fake);
        let answer = server.apply_resource_change(apply(Some("x"), Some("fail"))).await.unwrap().into_inner();
        assert_eq!(summaries(&answer.diagnostics), ["Failed"]);
        assert_eq!((answer.new_state, answer.private), (thing("x"), b"{\"kept\":1}".to_vec()));
        let answer = server.apply_resource_change(apply(None, Some("fail"))).await.unwrap().into_inner();
        assert_eq!(answer.new_state, to_proto::value(&Value::Null));
        let answer = server.apply_resource_change(apply(Some("fail"), None)).await.unwrap().into_inner();
        assert_eq!(answer.new_state, thing("fail"), "what could not be deleted is still there");
    }

    #[tokio::test]
    async fn a_caller_that_hangs_up_does_not_interrupt_the_work() {
        let server = Server::new(Fake);
        let call = server.apply_resource_change(apply(Some("x"), None));
        assert!(
            tokio::time::timeout(Duration::from_millis(50), call).await.is_err(),
            "it waits to be stopped"
        );
        assert_eq!(server.0.tasks.len(), 1, "the work went with its caller");
        server.stop();
        server.finished().await;
    }

    #[tokio::test]
    async fn a_planned_destroy_echoes_what_is_remembered() {
        let server = Server::new(Fake);
        let request = proto::plan_resource_change::Request {
            type_name: "fake_thing".into(),
            prior_state: thing("x"),
            proposed_new_state: to_proto::value(&Value::Null),
            config: to_proto::value(&Value::Null),
            prior_private: b"{\"kept\":1}".to_vec(),
            ..Default::default()
        };
        let answer = server.plan_resource_change(Request::new(request)).await.unwrap().into_inner();
        assert_eq!(answer.planned_state, to_proto::value(&Value::Null));
        assert_eq!(answer.planned_private, b"{\"kept\":1}");
    }
}
