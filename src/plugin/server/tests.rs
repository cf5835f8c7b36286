//! Tests of the server through the generated trait.

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
        /// What to do: `crash`, `fail` or `wait`; any other text succeeds.
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
            Some("wait") => {
                Err(Diagnostics::from_error("Waits", "").or_deferred(Deferral::AbsentPrerequisite))
            }
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

    async fn read(&self, cx: &mut Context, read: Read<Thing>) -> Result<Option<Stored<Thing>>, Diagnostics> {
        if read.prior.state.how.as_str() == Some("wait") {
            cx.diagnostics.warning(None, "Will read", "");
        }
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
async fn one_resource_is_deferred_where_the_client_allows_it() {
    let server = Server::new(Fake);
    let read = |how, deferral_allowed| {
        Request::new(proto::read_resource::Request {
            type_name: "fake_thing".into(),
            current_state: thing(how),
            private: b"{\"kept\":1}".to_vec(),
            client_capabilities: Some(proto::ClientCapabilities { deferral_allowed, ..Default::default() }),
            ..Default::default()
        })
    };
    let answer = server.read_resource(read("wait", true)).await.unwrap().into_inner();
    let reason = proto::deferred::Reason::AbsentPrereq.into();
    assert_eq!(answer.deferred, Some(proto::Deferred { reason }));
    assert_eq!((answer.new_state, answer.private), (thing("wait"), b"{\"kept\":1}".to_vec()));
    assert_eq!(summaries(&answer.diagnostics), Vec::<&str>::new(), "it warns when it is read");
    let answer = server.read_resource(read("wait", false)).await.unwrap().into_inner();
    assert_eq!((summaries(&answer.diagnostics), answer.deferred), (vec!["Will read", "Waits"], None));
    let answer = server.read_resource(read("fail", true)).await.unwrap().into_inner();
    assert_eq!((summaries(&answer.diagnostics), answer.deferred), (vec!["Failed"], None));
    // An apply can't be deferred.
    let answer = server.apply_resource_change(apply(Some("x"), Some("wait"))).await.unwrap().into_inner();
    assert_eq!((summaries(&answer.diagnostics), answer.new_state), (vec!["Waits"], thing("x")));
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

/// A resource that the test controls: it creates and reads the objects in `Puppets`.
mod puppet {
    use std::sync::{Arc, Mutex};

    use super::super::super::{
        diagnostics::Diagnostics,
        list_resource::{Found, FoundSender, ListResource},
        resource::{ImportKey, PlanCreate},
        schema::{StoredJson, required},
    };
    use super::*;

    model! {
        /// A puppet.
        pub struct Puppet {
            /// Its name.
            name: String = required(),
            /// Stored nowhere.
            token: String = optional().write_only(),
            /// Its number.
            id: String = computed().stable(),
            /// Its mood.
            mood: String = computed(),
        }
    }

    model! {
        /// The identity of a puppet.
        pub struct PuppetIdentity {
            /// Its number.
            id: String = required().rule(number),
            /// Its location.
            place: String = optional(),
        }
    }

    fn number(text: &str) -> Result<(), String> {
        if text.parse::<u8>().is_ok() { Ok(()) } else { Err("must be a number.".into()) }
    }

    fn nickname_to_name(mut stored: StoredJson) -> Result<StoredJson, String> {
        let name = stored.remove("nickname").ok_or("it has no nickname.")?;
        stored.insert("name".into(), name);
        Ok(stored)
    }

    /// The result of a read, and whether the last read followed an import.
    #[derive(Clone, Default)]
    pub struct Puppets {
        pub found: Arc<Mutex<Option<Puppet>>>,
        pub imported: Arc<Mutex<Option<bool>>>,
    }

    pub fn puppet(name: &str, id: &str) -> Puppet {
        Puppet {
            name: Field::Known(name.into()),
            token: Field::Known("hidden".into()),
            id: Field::Known(id.into()),
            mood: Field::Known("fine".into()),
        }
    }

    impl Resource for Puppets {
        type Model = Puppet;
        type Identity = PuppetIdentity;

        fn schema(&self) -> Schema {
            Puppet::schema("A puppet.").upgrades([nickname_to_name])
        }

        fn identity(&self, state: &Puppet) -> PuppetIdentity {
            PuppetIdentity { id: state.id.clone(), place: Field::Known("here".into()) }
        }

        async fn plan_create(
            &self,
            cx: &mut Context,
            plan: PlanCreate<'_, Self>,
        ) -> Result<Puppet, Diagnostics> {
            cx.diagnostics.warning(None, "Planned", "");
            plan.private.set("planned", Some(1));
            Ok(Puppet { token: plan.config.token.clone(), mood: Field::Known("fine".into()), ..plan.planned })
        }

        async fn create(
            &self,
            cx: &mut Context,
            create: Create<Puppet>,
        ) -> Result<Stored<Puppet>, Diagnostics> {
            assert_eq!(create.private.get::<i64>("planned"), Some(1), "what the plan remembered");
            if create.config.name.text() == "half" {
                cx.diagnostics.error(None, "Half created", "");
                let (id, mood) = (Field::Known("1".into()), Field::unknown());
                return Ok(Stored::new(Puppet { id, mood, ..create.planned }));
            }
            if create.config.name.text() == "anonymous" {
                return Ok(Stored::new(Puppet { id: Field::Null, ..create.planned }));
            }
            Ok(Stored::new(Puppet { token: create.config.token, ..puppet(create.config.name.text(), "1") }))
        }

        async fn read(
            &self,
            _: &mut Context,
            read: Read<Puppet>,
        ) -> Result<Option<Stored<Puppet>>, Diagnostics> {
            *self.imported.lock().unwrap() = Some(read.imported);
            assert!(!read.imported || read.prior.private.is_empty(), "the runtime's own entry is not shown");
            Ok(self.found.lock().unwrap().clone().map(Stored::new))
        }

        async fn update(
            &self,
            _: &mut Context,
            update: Update<Puppet>,
        ) -> Result<Stored<Puppet>, Diagnostics> {
            let found = self.found.lock().unwrap().clone();
            Ok(Stored::new(found.unwrap_or(update.planned)))
        }

        async fn delete(&self, _: &mut Context, _: Stored<Puppet>) -> Result<(), Diagnostics> {
            Ok(())
        }

        async fn import(
            &self,
            _: &mut Context,
            key: ImportKey<PuppetIdentity>,
        ) -> Result<Stored<Puppet>, Diagnostics> {
            Ok(Stored::new(match key {
                ImportKey::Id(name) => Puppet { name: Field::Known(name), ..Puppet::default() },
                ImportKey::Identity(identity) => Puppet { id: identity.id, ..Puppet::default() },
            }))
        }
    }

    impl ListResource for Puppets {
        type Config = ();
        type Resource = Self;

        fn schema(&self) -> Schema {
            <()>::schema("Puppets.")
        }

        async fn list(
            &self,
            _: &mut Context,
            (): (),
            mut found: FoundSender<Self>,
        ) -> Result<(), Diagnostics> {
            let state = puppet("a", "1");
            let identity = self.identity(&state);
            found.send(Found { display_name: "a".into(), identity, state }).await;
            Ok(())
        }
    }

    pub struct Stage(pub Puppets);

    impl Provider for Stage {
        type Config = ();

        fn address(&self) -> &'static str {
            "registry.terraform.io/example/stage"
        }

        fn schema(&self) -> Schema {
            <()>::schema("A provider.")
        }

        fn configure(&self, _: &str, (): (), _: &mut Diagnostics) {}

        fn types(&self) -> Types {
            Types::new()
                .resource("stage_puppet", self.0.clone())
                .list_resource("stage_puppet", self.0.clone())
        }
    }

    pub fn value(puppet: &Puppet) -> Option<proto::DynamicValue> {
        to_proto::value(&puppet.clone().into_value())
    }

    /// A puppet as in Terraform's state, without the token.
    pub fn stored(name: &str, id: &str) -> Puppet {
        Puppet { token: Field::Null, ..puppet(name, id) }
    }

    pub fn decoded(value: Option<proto::DynamicValue>) -> Puppet {
        Puppet::from_value(from_proto::value(value, Puppet::schema("").value_type()).unwrap()).unwrap()
    }

    pub fn identity(id: &str, place: Option<&str>) -> Option<proto::ResourceIdentityData> {
        let place = place.map(str::to_owned).into();
        to_proto::identity(Some(&PuppetIdentity { id: Field::Known(id.into()), place }.into_value()))
    }

    pub fn read(
        state: &Puppet,
        private: &[u8],
        current_identity: Option<proto::ResourceIdentityData>,
    ) -> Request<proto::read_resource::Request> {
        Request::new(proto::read_resource::Request {
            type_name: "stage_puppet".into(),
            current_state: value(state),
            private: private.to_vec(),
            current_identity,
            ..Default::default()
        })
    }
}

use puppet::{Puppet, Puppets, Stage, puppet as any_puppet};

#[tokio::test]
async fn a_create_is_planned_by_the_type_and_keeps_what_is_write_only_to_itself() {
    let server = Server::new(Stage(Puppets::default()));
    let config = Puppet { id: Field::Null, mood: Field::Null, ..any_puppet("a", "") };
    let request = proto::plan_resource_change::Request {
        type_name: "stage_puppet".into(),
        prior_state: to_proto::value(&Value::Null),
        proposed_new_state: puppet::value(&config),
        config: puppet::value(&config),
        ..Default::default()
    };
    let planned = server.plan_resource_change(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(summaries(&planned.diagnostics), ["Planned"]);
    let plan = puppet::decoded(planned.planned_state.clone());
    assert_eq!((plan.token.is_null(), plan.id.is_unknown(), plan.mood.as_str()), (true, true, Some("fine")));
    assert_eq!(planned.planned_identity, None);
    let apply = |config: Puppet| {
        let planned_state = Puppet { name: config.name.clone(), ..plan.clone() };
        Request::new(proto::apply_resource_change::Request {
            type_name: "stage_puppet".into(),
            prior_state: to_proto::value(&Value::Null),
            planned_state: puppet::value(&planned_state),
            config: puppet::value(&config),
            planned_private: planned.planned_private.clone(),
            ..Default::default()
        })
    };
    let applied = server.apply_resource_change(apply(config.clone())).await.unwrap().into_inner();
    assert_eq!(summaries(&applied.diagnostics), [""; 0]);
    assert_eq!(puppet::decoded(applied.new_state), puppet::stored("a", "1"));
    assert_eq!(applied.new_identity, puppet::identity("1", Some("here")));
    // Values that remained unknown are null, and there is an error.
    let half = apply(Puppet { name: Field::Known("half".into()), ..config.clone() });
    let half = server.apply_resource_change(half).await.unwrap().into_inner();
    assert_eq!(summaries(&half.diagnostics), ["Half created"]);
    let expected = Puppet { mood: Field::Null, ..puppet::stored("half", "1") };
    assert_eq!(puppet::decoded(half.new_state), expected);
    let anonymous = apply(Puppet { name: Field::Known("anonymous".into()), ..config });
    let anonymous = server.apply_resource_change(anonymous).await.unwrap().into_inner();
    assert_eq!(summaries(&anonymous.diagnostics), ["Incomplete resource identity"]);
}

#[tokio::test]
async fn an_object_keeps_its_identity() {
    let puppets = Puppets::default();
    let server = Server::new(Stage(puppets.clone()));
    let (same, other) = (puppet::stored("a", "1"), puppet::stored("a", "2"));
    let known = || puppet::identity("1", Some("here"));
    for (found, imported, identity, errors) in [
        (&same, false, known(), vec![]),
        (&same, false, puppet::identity("1", None), vec![]),
        (&same, false, None, vec![]),
        (&other, false, known(), vec!["Resource identity changed"]),
        (&other, true, known(), vec![]),
    ] {
        *puppets.found.lock().unwrap() = Some(found.clone());
        let mut private = Private::default();
        if imported {
            private.mark_imported();
        }
        let request = puppet::read(&same, &private.to_bytes(), identity);
        let response = server.read_resource(request).await.unwrap().into_inner();
        assert_eq!(summaries(&response.diagnostics), errors);
        assert_eq!(*puppets.imported.lock().unwrap(), Some(imported));
        assert_eq!(response.private, b"");
        let expected = if errors.is_empty() { found.id.text() } else { "1" };
        assert_eq!(response.new_identity, puppet::identity(expected, Some("here")));
    }
    *puppets.found.lock().unwrap() = Some(other.clone());
    let update = proto::apply_resource_change::Request {
        type_name: "stage_puppet".into(),
        prior_state: puppet::value(&same),
        planned_state: puppet::value(&same),
        config: puppet::value(&same),
        planned_identity: known(),
        ..Default::default()
    };
    let response = server.apply_resource_change(Request::new(update)).await.unwrap().into_inner();
    assert_eq!(summaries(&response.diagnostics), ["Resource identity changed"]);
    assert_eq!(response.new_identity, known());
}

#[tokio::test]
async fn an_import_checks_the_identity_and_need_not_know_all_of_it() {
    let server = Server::new(Stage(Puppets::default()));
    let import = |id: &str, identity| {
        Request::new(proto::import_resource_state::Request {
            type_name: "stage_puppet".into(),
            id: id.into(),
            identity,
            ..Default::default()
        })
    };
    let refused = server.import_resource_state(import("", puppet::identity("x", None))).await;
    let refused = refused.unwrap().into_inner().diagnostics;
    assert_eq!(refused[0].detail, "In the identity, \"id\" must be a number.");
    assert_eq!((refused.len(), &refused[0].attribute), (1, &None));
    let imported = server.import_resource_state(import("", puppet::identity("1", None))).await;
    let imported = imported.unwrap().into_inner().imported_resources.remove(0);
    assert_eq!(imported.identity, puppet::identity("1", Some("here")));
    assert!(Private::from_bytes(&imported.private).take_imported());
    let by_name = server.import_resource_state(import("a", None)).await.unwrap().into_inner();
    assert_eq!(summaries(&by_name.diagnostics), [""; 0], "the read that follows finds the rest out");
    assert_eq!(by_name.imported_resources[0].identity, None);
}

#[tokio::test]
async fn older_states_are_upgraded_and_lose_what_is_write_only() {
    let server = Server::new(Stage(Puppets::default()));
    for (version, json) in [
        (0, r#"{"nickname":"a","token":"hidden","id":"1","mood":"fine"}"#),
        (1, r#"{"name":"a","token":"hidden","id":"1","mood":"fine","gone":1}"#),
    ] {
        let raw_state = Some(proto::RawState { json: json.into(), ..Default::default() });
        let request =
            proto::upgrade_resource_state::Request { type_name: "stage_puppet".into(), version, raw_state };
        let response = server.upgrade_resource_state(Request::new(request)).await.unwrap().into_inner();
        assert_eq!(summaries(&response.diagnostics), [""; 0]);
        assert_eq!(puppet::decoded(response.upgraded_state), puppet::stored("a", "1"));
    }
}

#[tokio::test]
async fn listed_states_have_nothing_that_is_write_only() {
    use tokio_stream::StreamExt as _;
    let server = Server::new(Stage(Puppets::default()));
    let request = proto::list_resource::Request {
        type_name: "stage_puppet".into(),
        config: to_proto::value(&Value::Map(BTreeMap::new())),
        include_resource_object: true,
        limit: 10,
    };
    let mut stream = server.list_resource(Request::new(request)).await.unwrap().into_inner();
    let event = stream.next().await.unwrap().unwrap();
    assert_eq!(puppet::decoded(event.resource_object), puppet::stored("a", "1"));
    assert!(stream.next().await.is_none());
}

/// Faults of declarations outside the schemas.
#[tokio::test]
async fn a_provider_with_faults_refuses_to_give_its_schema() {
    use super::super::function::{Function, FunctionError, Parameter, Signature};
    use super::super::value::Type;

    struct Twice(&'static str);

    impl Function for Twice {
        fn signature(&self) -> Signature {
            let parameter = |name| Parameter { name, description: "It is.", value_type: Type::String };
            let parameters = vec![parameter("a"), parameter(self.0)];
            Signature { summary: "It is.", description: "It is.", parameters, result: Type::String }
        }

        fn call(&self, _: Vec<Value>) -> Result<Value, FunctionError> {
            Ok(Value::Null)
        }
    }

    struct Faulty(fn() -> Types);

    impl Provider for Faulty {
        type Config = Thing;

        fn address(&self) -> &'static str {
            "registry.terraform.io/example/faulty"
        }

        fn schema(&self) -> Schema {
            Thing::schema("A provider.")
        }

        fn configure(&self, _: &str, _: Thing, _: &mut Diagnostics) {}

        fn types(&self) -> Types {
            (self.0)()
        }
    }

    type Case = (fn() -> Types, &'static str);
    let cases: [Case; 8] = [
        (Types::new, "provider: id: computed, but is not returned to Terraform"),
        (
            || Types::new().resource("fake_thing", Things).resource("fake_thing", Things),
            "resource fake_thing: declared twice",
        ),
        (|| Types::new().resource("Fake", Things), "resource Fake: the name must consist of a-z"),
        (|| Types::new().resource("fake_thing", Things), "identity of resource fake_thing: id: an identity"),
        (
            || Types::new().list_resource("fake_puppet", Puppets::default()),
            "list resource fake_puppet: there is no managed resource of this name",
        ),
        (
            || Types::new().resource("fake_thing", Things).list_resource("fake_thing", Puppets::default()),
            "list resource fake_thing: the managed resource of this name is of another Rust type",
        ),
        (
            || Types::new().function("twice", Twice("a")),
            "function twice: the parameter name \"a\" is invalid",
        ),
        (|| Types::new().function("odd", Twice("B")), "function odd: the parameter name \"B\" is invalid"),
    ];
    for (types, expected) in cases {
        let request = Request::new(proto::get_provider_schema::Request {});
        let response = Server::new(Faulty(types)).get_provider_schema(request).await.unwrap().into_inner();
        assert_eq!(summaries(&response.diagnostics), ["Invalid provider schema"]);
        assert!(response.diagnostics[0].detail.contains(expected), "{}", response.diagnostics[0].detail);
        assert_eq!(response.provider, None);
    }
    let request = Request::new(proto::get_provider_schema::Request {});
    let sound = Server::new(Stage(Puppets::default())).get_provider_schema(request).await.unwrap();
    assert_eq!(summaries(&sound.into_inner().diagnostics), [""; 0]);
}

#[tokio::test]
async fn the_smallest_resource_creates_reads_imports_and_deletes() {
    use super::super::hello_world::{File, Files};

    struct Hello;

    impl Provider for Hello {
        type Config = ();

        fn address(&self) -> &'static str {
            "registry.terraform.io/example/hello"
        }

        fn schema(&self) -> Schema {
            <()>::schema("A provider.")
        }

        fn configure(&self, _: &str, (): (), _: &mut Diagnostics) {}

        fn types(&self) -> Types {
            Types::new().resource("hello_file", Files)
        }
    }

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("greeting");
    let file = |text: &str| File {
        path: Field::Known(path.to_str().unwrap().into()),
        text: Field::Known(text.into()),
    };
    let value = |file: Option<File>| to_proto::value(&file.map_or(Value::Null, |file| file.into_value()));
    let type_name = || "hello_file".to_owned();
    let server = Server::new(Hello);
    assert_eq!(server.0.provider.item().faults(), Vec::<String>::new());
    let apply = |prior: Option<File>, planned: Option<File>| {
        let request = proto::apply_resource_change::Request {
            type_name: type_name(),
            prior_state: value(prior),
            planned_state: value(planned.clone()),
            config: value(planned),
            ..Default::default()
        };
        server.apply_resource_change(Request::new(request))
    };
    let created = apply(None, Some(file("Hello!"))).await.unwrap().into_inner();
    assert_eq!((summaries(&created.diagnostics), created.new_identity), (vec![], None));
    assert_eq!(created.new_state, value(Some(file("Hello!"))));
    std::fs::write(&path, "Changed.").unwrap();
    let id = path.to_str().unwrap().to_owned();
    let import = proto::import_resource_state::Request { type_name: type_name(), id, ..Default::default() };
    let imported = server.import_resource_state(Request::new(import)).await.unwrap().into_inner();
    let read = |current_state| {
        let request =
            proto::read_resource::Request { type_name: type_name(), current_state, ..Default::default() };
        server.read_resource(Request::new(request))
    };
    let found = read(imported.imported_resources[0].state.clone()).await.unwrap().into_inner();
    assert_eq!(found.new_state, value(Some(file("Changed."))));
    let deleted = apply(Some(file("Changed.")), None).await.unwrap().into_inner();
    assert_eq!((summaries(&deleted.diagnostics), deleted.new_state), (vec![], value(None)));
    assert!(!path.exists());
    assert_eq!(read(value(Some(file("Changed.")))).await.unwrap().into_inner().new_state, value(None));
}
