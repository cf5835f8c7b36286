//! What the lifecycle decides, tried on dbt connections.

use super::{ManagedObject, ObjectModel as _, ObjectResource};
use crate::{
    kms::{self, DbtConnection as Shown},
    plugin::{
        context::Context,
        diagnostics::Diagnostics,
        model::{Field, Model as _},
        private::Private,
        resource::{PlanCreate, PlanUpdate, Replaced, Resource as _, Stored},
        schema::Usage,
    },
    provider::{
        access::Access,
        dbt_connection::{DbtConnection, DbtConnectionModel as Model},
    },
    secret::Secret,
};

const ID: &str = "6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab";
const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn shown() -> Shown {
    serde_json::from_value(serde_json::json!({
        "id": ID, "name": "orders", "projectId": "p", "description": null, "version": 1, "orgId": "o",
        "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-02T00:00:00.000Z", "method": "api-token",
        "credentialsHash": HASH, "credentials": {"instanceUrl": "https://cloud.getdbt.com", "accountId": "1"},
    }))
    .unwrap()
}

/// A connection as it is in state.
fn stored() -> Model {
    Model::found(&shown())
}

/// The private state after `token` was sent for a state.
fn sent(token: &str, state: &Model) -> Private {
    let mut private = Private::default();
    DbtConnection::SECRET.unwrap().remember(&mut private, &Secret::new(token), state);
    private
}

fn known(text: &str) -> Field<String> {
    Field::Known(text.to_owned())
}

/// A planned update and its warnings, or the errors.
type Planned = Result<(Model, Vec<String>), Vec<String>>;

fn texts(diagnostics: &Diagnostics) -> Vec<String> {
    diagnostics.iter().map(|diagnostic| diagnostic.summary.clone()).collect()
}

/// Plans an update as the runtime does, from a state to a configuration without computed values.
async fn plan(prior: &Model, private: &mut Private, config: Model) -> Planned {
    let changed = {
        let mut kept = config.clone();
        kept.api_token = Field::Null;
        kept.keep_computed(prior, false);
        kept
    };
    let mut if_updated = changed.clone();
    if_updated.keep_computed(prior, true);
    let planned = if changed == *prior { prior.clone() } else { if_updated.clone() };
    let update = PlanUpdate {
        prior,
        config: &config,
        planned,
        if_updated: &|| Ok(if_updated.clone()),
        if_kept: &|| Ok(changed.clone()),
        replaces: false,
        private,
    };
    let mut cx = Context::default();
    let resource = ObjectResource::<DbtConnection>::new(Access::default());
    match resource.plan_update(&mut cx, update).await {
        Ok(planned) => Ok((planned, texts(&cx.diagnostics))),
        Err(errors) => Err(texts(&errors)),
    }
}

impl Model {
    /// Takes the computed values from the prior state; those that an update may change are unknown in an update.
    fn keep_computed(&mut self, prior: &Self, updates: bool) {
        self.id = prior.id.clone();
        self.org_id = prior.org_id.clone();
        self.method = prior.method.clone();
        self.is_platform_managed_credentials = prior.is_platform_managed_credentials.clone();
        self.created_at = prior.created_at.clone();
        if updates {
            (self.version, self.updated_at) = (Field::unknown(), Field::unknown());
            self.credentials_hash = Field::unknown();
        } else {
            (self.version, self.updated_at) = (prior.version.clone(), prior.updated_at.clone());
            self.credentials_hash = prior.credentials_hash.clone();
        }
    }
}

/// The configuration of a state, with a token.
fn config(state: &Model, token: &str) -> Model {
    Model { api_token: Field::Known(Secret::new(token)), ..state.clone() }
}

fn unknown_of(planned: &Model) -> Vec<&'static str> {
    let attributes = Model::attributes();
    let computed = attributes.iter().filter(|attribute| attribute.usage == Usage::Computed);
    let value = crate::plugin::model::AttributeType::into_value(planned.clone());
    computed
        .map(|attribute| attribute.name)
        .filter(|name| value.attribute(name).is_some_and(crate::plugin::value::Value::is_unknown))
        .collect()
}

const ALL: [&str; 3] = ["version", "updated_at", "credentials_hash"];

#[tokio::test]
async fn the_same_configuration_plans_nothing() {
    let prior = stored();
    let (planned, warnings) = plan(&prior, &mut sent("t", &prior), config(&prior, "t")).await.unwrap();
    assert_eq!((planned, warnings.len()), (prior, 0));
}

#[tokio::test]
async fn without_a_version_every_update_leaves_open_what_a_token_changes() {
    let prior = stored();
    let renamed = Model { name: known("other"), ..prior.clone() };
    let adopting = Model { adopt_existing: Field::Known(true), ..prior.clone() };
    for (config, token) in [(&renamed, "t"), (&adopting, "t"), (&prior, "another")] {
        let (planned, _) = plan(&prior, &mut sent("t", &prior), self::config(config, token)).await.unwrap();
        assert_eq!(unknown_of(&planned), ALL);
    }
}

#[tokio::test]
async fn with_a_version_only_what_an_update_changes_is_open() {
    let prior = Model { api_token_version: known("1"), ..stored() };
    let mut private = sent("t", &prior);
    let renamed = Model { name: known("other"), ..prior.clone() };
    let adopting = Model { adopt_existing: Field::Known(true), ..prior.clone() };
    let bumped = Model { api_token_version: known("2"), ..prior.clone() };
    let cases: [(&Model, &[&str]); 3] = [(&renamed, &ALL[..2]), (&adopting, &[]), (&bumped, &ALL)];
    for (wanted, unknown) in cases {
        let (planned, _) = plan(&prior, &mut private, config(wanted, "another")).await.unwrap();
        assert_eq!(unknown_of(&planned), unknown);
    }
}

#[tokio::test]
async fn without_a_token_what_needs_one_is_refused() {
    let prior = stored();
    let moved = Model { account_id: known("2"), ..prior.clone() };
    let errors = plan(&prior, &mut Private::default(), moved).await.unwrap_err();
    assert_eq!(errors, ["Missing api_token"]);
    let renamed = Model { name: known("other"), ..prior.clone() };
    let respelled = Model { instance_url: known("https://cloud.getdbt.com/"), ..prior.clone() };
    for needs_none in [renamed, respelled] {
        let (_, warnings) = plan(&prior, &mut Private::default(), needs_none).await.unwrap();
        assert_eq!(warnings, Vec::<String>::new());
    }
}

#[tokio::test]
async fn credentials_written_elsewhere_are_drift_of_those_who_give_a_token() {
    let before = stored();
    let prior = Model { credentials_hash: known("fedcba9876543210"), ..before.clone() };
    let warning = ["Credentials changed outside of Terraform"];
    let (planned, warnings) = plan(&prior, &mut sent("t", &before), config(&prior, "t")).await.unwrap();
    assert_eq!((unknown_of(&planned), warnings), (ALL.to_vec(), warning.map(str::to_owned).to_vec()));
    let (planned, warnings) = plan(&prior, &mut sent("t", &before), prior.clone()).await.unwrap();
    assert_eq!((planned, warnings.len()), (prior.clone(), 0));
    let versioned = Model { api_token_version: known("1"), ..prior };
    let mut private = sent("t", &Model { api_token_version: known("1"), ..before });
    let (planned, warnings) = plan(&versioned, &mut private, config(&versioned, "t")).await.unwrap();
    assert_eq!((planned, warnings), (versioned, warning.map(str::to_owned).to_vec()));
}

#[tokio::test]
async fn an_imported_connection_is_sent_its_token_once() {
    let prior = stored();
    let (planned, warnings) = plan(&prior, &mut Private::default(), config(&prior, "t")).await.unwrap();
    assert_eq!(unknown_of(&planned), ALL);
    assert_eq!(warnings, ["api_token will be sent once"]);
}

#[tokio::test]
async fn a_create_needs_a_token_and_remembers_what_it_replaces() {
    let resource = ObjectResource::<DbtConnection>::new(Access::default());
    let mut cx = Context::default();
    let mut prior = Private::default();
    plan(&stored(), &mut prior, config(&stored(), "t")).await.unwrap();
    for token in [Field::Null, Field::Known(Secret::new("t")), Field::unknown()] {
        let config = Model { api_token: token, adopt_existing: Field::Known(true), ..stored() };
        let mut private = Private::default();
        let replaced = Some(Replaced { identity: None, private: prior.clone() });
        let create = PlanCreate { config: &config, planned: stored(), private: &mut private, replaced };
        let planned = resource.plan_create(&mut cx, create).await;
        assert_eq!(planned.is_ok(), !config.api_token.is_null());
        assert_eq!(private.planned::<String>("id").as_deref(), planned.is_ok().then_some(ID));
    }
}

#[tokio::test]
async fn one_plan_gives_a_connection_to_one_resource() {
    let access = Access::default();
    let resource = ObjectResource::<DbtConnection>::new(access.clone());
    let mut cx = Context::default();
    assert_eq!(access.managed().plan_adoption(ID, "orders"), kms::Adoption::Free);
    let errors = resource.plan_destroy(&mut cx, &Stored::new(stored())).await.unwrap_err();
    assert_eq!(texts(&errors), ["Two resources for one dbt connection"]);
}

#[test]
fn only_the_same_account_at_the_same_instance_is_adopted() {
    let existing = shown();
    let planned =
        |url: &str, account: &str| Model { instance_url: known(url), account_id: known(account), ..stored() };
    let differences = |planned: &Model| DbtConnection::differences(planned, &existing);
    assert_eq!(differences(&planned("https://cloud.getdbt.com/", "1")), Vec::<String>::new());
    assert_eq!(
        differences(&planned("https://emea.dbt.com", "2")),
        ["instance_url (it has \"https://cloud.getdbt.com\")", "account_id (it has \"1\")"]
    );
    let later = Model { instance_url: Field::unknown(), account_id: Field::unknown(), ..stored() };
    assert_eq!(differences(&later), Vec::<String>::new(), "it may turn out to be the same");
}

#[test]
fn the_prior_spelling_stays_where_it_means_the_same() {
    let prior =
        Model { description: known(""), instance_url: known("https://cloud.getdbt.com/"), ..stored() };
    let refreshed = |object: &Shown| {
        let mut state = prior.clone();
        state.show(object);
        DbtConnection::keep_spelling(&prior, &mut state);
        state
    };
    assert_eq!(refreshed(&shown()), prior);
    let mut changed = shown();
    changed.description = Some("by hand".into());
    changed.credentials.instance_url = "https://emea.dbt.com".into();
    let state = refreshed(&changed);
    assert_eq!(state.description, known("by hand"));
    assert_eq!(state.instance_url, known("https://emea.dbt.com"));
}

#[test]
fn an_empty_description_of_the_kms_is_none_until_it_is_configured() {
    let object = Shown { description: Some(String::new()), ..shown() };
    assert_eq!(Model::found(&object).description, Field::Null);
    for configured in [Field::Null, known("")] {
        let prior = Model { description: configured.clone(), ..stored() };
        let mut state = prior.clone();
        state.show(&object);
        DbtConnection::keep_spelling(&prior, &mut state);
        assert_eq!(state.description, configured);
    }
}
