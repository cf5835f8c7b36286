//! The gRPC service. Every call follows the same steps: log, run in a separate task, turn a panic into a diagnostic,
//! convert. The files of this folder implement the calls, one file per kind of type; `service` lists them.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
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
    context::Context,
    diagnostics::{Deferral, Diagnostics},
    entry::Entry,
    log::keys,
    messages,
    proto::tfplugin6 as proto,
    provider::{Provider, TypeKind, Types},
    schema::Schema,
    value::{CodecError, Value},
    wire::{from_proto, to_proto},
};

mod action;
mod data_source;
mod deferrals;
mod ephemeral;
mod function;
mod list_resource;
mod provider;
mod resource;
mod service;
#[cfg(test)]
mod tests;

use deferrals::Deferrals;

/// How many messages a stream buffers for a slow client.
const STREAM_BUFFER: usize = 64;

/// Serves a [`Provider`] to Terraform.
pub(super) struct Server<P>(Arc<Shared<P>>);

impl<P> Clone for Server<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Shared<P> {
    provider: Entry<P>,
    types: Types,
    stop: Mutex<CancellationToken>,
    tasks: TaskTracker,
    calls: AtomicU64,
    deferrals: Deferrals,
}

/// A message that can carry diagnostics.
trait Diagnosed {
    fn diagnose(&mut self, diagnostics: Diagnostics);
}

macro_rules! diagnosed {
    ($($message:ident)*) => {
        $(impl Diagnosed for proto::$message::Response {
            fn diagnose(&mut self, diagnostics: Diagnostics) {
                self.diagnostics.extend(to_proto::diagnostics(diagnostics));
            }
        })*
    };
}

diagnosed! {
    get_metadata get_provider_schema get_resource_identity_schemas validate_provider_config configure_provider
    validate_resource_config upgrade_resource_state upgrade_resource_identity read_resource plan_resource_change
    apply_resource_change import_resource_state move_resource_state generate_resource_config
    validate_data_resource_config read_data_source validate_ephemeral_resource_config open_ephemeral_resource
    renew_ephemeral_resource close_ephemeral_resource validate_list_resource_config get_functions
    validate_action_config plan_action
}

/// Why a call failed.
enum Failure {
    /// An error for the user. The response is [`Call::unchanged`] with these diagnostics.
    Diagnosed(Diagnostics),
    /// The client violated the protocol.
    Broken(Status),
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Diagnosed(diagnostics)
    }
}

impl From<CodecError> for Failure {
    fn from(error: CodecError) -> Self {
        Self::Broken(broken(error))
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Broken(status)
    }
}

fn broken(error: CodecError) -> Status {
    to_proto::invalid_argument(&messages::undecodable_request(&error.to_string()))
}

/// A request with one response.
trait Call<P: Provider>: Clone + Send + Sized + 'static {
    type Response: Diagnosed + Default + Send + 'static;

    /// The name of the call in logs.
    const NAME: &'static str;

    /// The type that the call concerns, if any.
    fn subject(&self) -> Option<(TypeKind, &str)> {
        None
    }

    /// The response when the call fails or panics; diagnostics are added to it. Terraform drops whatever the response
    /// to a read or an apply omits.
    fn unchanged(&self) -> Self::Response {
        Self::Response::default()
    }

    /// Whether the client accepts a deferred response to this call. Calls that can't be deferred keep this.
    fn deferral_allowed(&self, _: &Shared<P>) -> bool {
        false
    }

    /// The response when the call is deferred: what is known without doing the work.
    fn deferred(self, _: &Shared<P>, _: proto::Deferred) -> Result<Self::Response, Failure> {
        Ok(self.unchanged())
    }

    /// Does the work. Diagnostics in the context are added to the response.
    fn handle(
        self,
        server: &Shared<P>,
        cx: &mut Context,
    ) -> impl Future<Output = Result<Self::Response, Failure>> + Send;
}

impl<P: Provider> Server<P> {
    pub(super) fn new(provider: P) -> Self {
        Self(Arc::new(Shared {
            types: provider.types(),
            provider: Entry::new(provider, P::schema),
            stop: Mutex::default(),
            tasks: TaskTracker::new(),
            calls: AtomicU64::new(0),
            deferrals: Deferrals::default(),
        }))
    }

    /// Signals all running calls to start nothing new, and creates a new signal for later calls.
    pub(super) fn stop(&self) {
        let mut stop = self.0.stop.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *stop).cancel();
    }

    /// Waits until no call is running. Call it when no new calls can arrive.
    pub(super) async fn finished(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    fn context(&self) -> Context {
        let stop = self.0.stop.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Context { stop, ..Context::default() }
    }

    fn span(&self, rpc: &'static str, subject: Option<(TypeKind, &str)>) -> tracing::Span {
        let name = |of: TypeKind| subject.filter(|(kind, _)| *kind == of).map(|(_, name)| name);
        tracing::info_span!(
            "rpc",
            { keys::PROVIDER_ADDRESS } = self.0.provider.item().address(),
            { keys::RPC } = rpc,
            { keys::REQUEST_ID } = self.0.calls.fetch_add(1, Ordering::Relaxed),
            { keys::RESOURCE_TYPE } = name(TypeKind::Resource),
            { keys::DATA_SOURCE_TYPE } = name(TypeKind::DataSource),
            { keys::EPHEMERAL_RESOURCE_TYPE } = name(TypeKind::EphemeralResource),
            { keys::LIST_RESOURCE_TYPE } = name(TypeKind::ListResource),
            { keys::ACTION_TYPE } = name(TypeKind::Action),
        )
    }

    /// Runs a call with one response. The work runs in a separate task, so that a panic becomes a diagnostic and a
    /// client that disconnects doesn't interrupt a write.
    async fn call<C: Call<P>>(&self, request: Request<C>) -> Result<Response<C::Response>, Status> {
        let request = request.into_inner();
        let span = self.span(C::NAME, request.subject());
        let begun = Instant::now();
        let unchanged = request.unchanged();
        let (server, mut cx) = (self.clone(), self.context());
        cx.deferral_allowed = request.deferral_allowed(&server.0);
        let work = async move {
            let deferrable = cx.deferral_allowed.then(|| request.clone());
            let result = request.handle(&server.0, &mut cx).await;
            match (&result, deferrable) {
                (Err(Failure::Diagnosed(error)), Some(request)) if !cx.diagnostics.has_errors() => {
                    match error.deferral() {
                        // The warnings so far come again when the call is made again.
                        Some(deferral) => (server.defer(request, deferral), Diagnostics::new()),
                        None => (result, cx.diagnostics),
                    }
                }
                _ => (result, cx.diagnostics),
            }
        };
        let (mut response, diagnostics) = match self.0.tasks.spawn(work.instrument(span.clone())).await {
            Ok((Ok(response), diagnostics)) => (response, diagnostics),
            Ok((Err(Failure::Diagnosed(error)), mut diagnostics)) => {
                diagnostics.extend(error);
                (unchanged, diagnostics)
            }
            Ok((Err(Failure::Broken(status)), _)) => return Err(status),
            // The panic hook in `log` has written where it happened.
            Err(_) => (unchanged, messages::crashed()),
        };
        response.diagnose(diagnostics);
        let duration = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        span.in_scope(|| tracing::trace!({ keys::DURATION } = duration, "responded"));
        Ok(Response::new(response))
    }

    fn defer<C: Call<P>>(&self, request: C, deferral: Deferral) -> Result<C::Response, Failure> {
        tracing::debug!(reason = ?deferral, "deferred");
        request.deferred(&self.0, to_proto::deferred(deferral))
    }

    /// Runs a call with a stream of responses. The work sends them while it runs; a client that disconnects doesn't
    /// interrupt it. `last` builds the final message from the diagnostics.
    fn stream<T: Send + 'static, E: Send + 'static, F>(
        &self,
        rpc: &'static str,
        subject: (TypeKind, &str),
        step: impl Fn(T) -> E + Send + 'static,
        last: impl FnOnce(Diagnostics) -> Option<E> + Send + 'static,
        work: impl FnOnce(Context, mpsc::Sender<T>) -> F,
    ) -> Response<Stream<E>>
    where
        F: Future<Output = (Context, Result<(), Diagnostics>)> + Send + 'static,
    {
        let (events, stream) = mpsc::channel(STREAM_BUFFER);
        let (sender, mut steps) = mpsc::channel(STREAM_BUFFER);
        let work = work(self.context(), sender).instrument(self.span(rpc, Some(subject)));
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
                Err(_) => messages::crashed(),
            };
            if let Some(event) = last(diagnostics) {
                let _ = events.send(Ok(event)).await;
            }
        });
        Response::new(Box::pin(ReceiverStream::new(stream)))
    }
}

type Stream<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

/// Looks up a type. Core only requests types that are in the schema.
fn find<'t, T: ?Sized>(table: &'t BTreeMap<&'static str, Arc<T>>, name: &str) -> Result<&'t Arc<T>, Status> {
    table.get(name).ok_or_else(|| to_proto::not_found(&messages::unknown_type(name)))
}

/// Decodes a value of the given schema's type.
fn decode(value: Option<proto::DynamicValue>, schema: &Schema) -> Result<Value, CodecError> {
    from_proto::value(value, schema.value_type())
}

/// The response to a validation, which only has diagnostics.
fn validated<R: Default>(cx: &mut Context, diagnostics: Diagnostics) -> Result<R, Failure> {
    cx.diagnostics.extend(diagnostics);
    Ok(R::default())
}
