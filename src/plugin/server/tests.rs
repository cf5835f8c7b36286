//! The server over its calls, as the generated code makes them.

use std::time::Duration;

use provider_server::Provider as _;

use super::{
    super::{
        model::{AttributeType as _, Field, Model as _},
        private::Private,
        proto::tfplugin6::provider_server,
        resource::{Create, Read, Resource, Stored, Update},
        schema::{computed, optional},
    },
    *,
};
use crate::model;

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

    async fn create(&self, _: &mut Context, create: Create<Thing>) -> Result<Stored<Thing>, Diagnostics> {
        create.config.act()?;
        Ok(create.config.stored())
    }

    async fn read(&self, _: &mut Context, read: Read<Thing>) -> Result<Option<Stored<Thing>>, Diagnostics> {
        read.prior.state.act()?;
        Ok(Some(read.prior))
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
    let answer = server.apply_resource_change(apply(Some("x"), Some("crash"))).await.unwrap().into_inner();
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
    assert!(tokio::time::timeout(Duration::from_millis(50), call).await.is_err(), "it waits to be stopped");
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
