//! Connections to dbt: the credentials with which the KMS reaches a dbt account.

mod projects;
mod test;

pub(super) use self::{projects::DbtProjectsDataSource, test::DbtConnectionTest};
use super::{
    lifecycle::{ManagedObject, SecretAttribute, SentWith, object},
    messages::{
        attribute_map::{self, AttributeMap},
        lifecycle as lifecycle_messages, rules as messages,
    },
    rules,
};
use crate::{
    kms::{self, ConnectionPlace, DbtConnectionPatch, DbtCredentials, NewDbtConnection, Scope},
    plugin::{
        diagnostics::Diagnostics,
        schema::{computed, optional, required},
    },
    secret::Secret,
};

object! {
    /// A dbt connection as Terraform sees it.
    pub struct DbtConnectionModel shows kms::DbtConnection {
        /// Name of the connection, unique in its project or, without `project_id`, in the organization. A slug:
        /// lower-case letters, digits and single inner hyphens, at most 64 characters.
        name: String = required().rule(rules::slug) => |it| it.name.clone(),
        /// Description of the connection. At most 255 characters.
        description: String = optional().rule(rules::description) => |it| it.description.clone().filter(|text| !text.is_empty()),
        /// ID of the project that the connection belongs to. If not set, the connection belongs to the organization.
        project_id: String = optional().rule(rules::project_id).requires_replace() => |it| it.project_id.clone(),
        /// URL of the dbt instance, such as `https://cloud.getdbt.com`, `https://emea.dbt.com` or
        /// `https://ab123.us1.dbt.com`. The KMS uses only the host name, always over HTTPS. The plan warns of a URL
        /// that has more.
        instance_url: String = required().rule(rules::instance_url)
            => "credentials.instanceUrl" |it| it.credentials.instance_url.clone(),
        /// ID of the dbt account, a number.
        account_id: String = required().rule(rules::account_id)
            => "credentials.accountId" |it| it.credentials.account_id.clone(),
        /// API token for dbt: a service token (`dbtc_...`) or a personal access token (`dbtu_...`). It is sent to
        /// the KMS and stored neither in state nor in plan files, so it can be an ephemeral value. Required to create a
        /// connection. The provider detects a changed token, unless `api_token_version` is set. If `api_token` is not set,
        /// the KMS keeps the stored token, and `instance_url` and `account_id` can't be changed.
        api_token: Secret = optional().sensitive().write_only().rule(rules::api_token) => "credentials.apiToken",
        /// Arbitrary version string of the token. When set, the token is sent whenever the version changes, changing
        /// `api_token` alone has no effect, and no digest of the token is stored.
        api_token_version: String = optional(),
        /// Whether to adopt an existing connection with the same name, `instance_url` and `account_id` instead of failing.
        /// The apply then writes the configured description and token to it. The plan shows which connection will be
        /// adopted, and fails if another resource in the plan manages or adopts that connection. Changing only this
        /// attribute sends nothing to the KMS. Default: `false`.
        adopt_existing: bool = optional(),
        /// ID of the connection, a UUID.
        id: String = computed().stable().not_null() => |it| it.id.clone(),
        /// ID of the organization.
        org_id: String = computed().stable().not_null() => |it| it.org_id.clone(),
        /// How the KMS authenticates to dbt: always `api-token`.
        method: String = computed().stable().not_null() => |it| it.method.clone(),
        /// Version number of the connection, assigned by the KMS.
        version: i64 = computed().not_null() => |it| it.version,
        /// Whether the KMS manages the credentials itself: always `false` for dbt.
        is_platform_managed_credentials: bool = computed().stable().not_null()
            => |it| it.is_platform_managed_credentials,
        /// Time when the connection was created, in RFC 3339 format.
        created_at: String = computed().stable().not_null() => |it| it.created_at.clone(),
        /// Time of the last change of the connection, in RFC 3339 format.
        updated_at: String = computed().not_null() => |it| it.updated_at.clone(),
        /// Fingerprint of the stored credentials, computed by the KMS. It changes with every write of credentials, which
        /// reveals writes made outside Terraform.
        credentials_hash: String = computed().not_null() => |it| it.credentials_hash.clone(),
    }
}

/// The kind of object.
#[derive(Clone, Debug)]
pub(super) struct DbtConnection;

impl ManagedObject for DbtConnection {
    type Model = DbtConnectionModel;

    const TYPE: &'static str = "kms_dbt_connection";
    const NOUN: &'static str = "dbt connection";
    const MANY: &'static str = "connections";
    const DESCRIPTION: &'static str = "Manages a dbt connection: the credentials that the KMS uses to access a dbt account. The \
                                       KMS validates them with dbt before it stores them.";
    const PLACE: &'static [&'static str] = &["name", "project_id"];
    const IMPORT_FORMS: &'static str =
        "PROJECT_ID/NAME for a connection of a project, or NAME for one of the organization";
    const ATTRIBUTES: AttributeMap = AttributeMap {
        project: Some("project_id"),
        name: Some("name"),
        credentials: Some("api_token"),
        credentials_advice: attribute_map::WRITTEN_CREDENTIALS,
        account: Some("account_id"),
        instance: Some("instance_url"),
        ..AttributeMap::NONE
    };
    const SECRET: Option<SecretAttribute<DbtConnectionModel>> = Some(SecretAttribute {
        name: "api_token",
        version_name: "api_token_version",
        sent_with: &[
            SentWith { name: "instance_url", value: |model| &model.instance_url, is_same: is_same_url },
            SentWith { name: "account_id", value: |model| &model.account_id, is_same: str::eq },
        ],
        value: |model| &model.api_token,
        version: |model| &model.api_token_version,
        hash: |model| &model.credentials_hash,
        hash_mut: |model| &mut model.credentials_hash,
    });

    fn place(model: &DbtConnectionModel) -> ConnectionPlace {
        ConnectionPlace::new(model.name.text(), model.project_id.as_str())
    }

    fn name_of(place: &ConnectionPlace) -> &str {
        &place.name
    }

    fn scope_words(place: &ConnectionPlace) -> String {
        place.project_id.as_ref().map_or("the organization".to_owned(), |id| format!("the project {id}"))
    }

    fn parse_place(text: &str) -> Option<ConnectionPlace> {
        let (project, name) = match text.split_once('/') {
            Some((project, name)) => (Some(project), name),
            None => (None, text),
        };
        let is_legal = rules::slug(name).is_ok() && project.is_none_or(|id| rules::project_id(id).is_ok());
        is_legal.then(|| ConnectionPlace::new(name, project))
    }

    fn scope(state: &DbtConnectionModel) -> Scope<'_> {
        match state.project_id.as_str() {
            Some(id) => Scope::Project(id),
            None if state.name.is_null() => Scope::Unknown,
            None => Scope::Organization,
        }
    }

    fn new_object(planned: &DbtConnectionModel, secret: Option<Secret>) -> NewDbtConnection {
        NewDbtConnection {
            place: Self::place(planned),
            description: planned.description.known().cloned(),
            credentials: credentials(planned, secret.unwrap_or_default()),
        }
    }

    fn patch(
        prior: &DbtConnectionModel,
        planned: &DbtConnectionModel,
        secret: Option<Secret>,
    ) -> DbtConnectionPatch {
        DbtConnectionPatch {
            name: (planned.name != prior.name).then(|| planned.name.text().to_owned()),
            description: (planned.description != prior.description)
                .then(|| planned.description.known().cloned()),
            credentials: secret.map(|secret| credentials(planned, secret)),
            hash_before: prior.credentials_hash.text().to_owned(),
        }
    }

    fn differences(planned: &DbtConnectionModel, existing: &kms::DbtConnection) -> Vec<String> {
        let stored = &existing.credentials;
        let mut differences = Vec::new();
        if planned.instance_url.as_str().is_some_and(|url| !is_same_url(url, &stored.instance_url)) {
            differences.push(lifecycle_messages::difference("instance_url", &stored.instance_url));
        }
        if planned.account_id.as_str().is_some_and(|id| id != stored.account_id) {
            differences.push(lifecycle_messages::difference("account_id", &stored.account_id));
        }
        differences
    }

    fn deletion(_: &DbtConnectionModel, _: bool) {}

    fn validate(config: &DbtConnectionModel, diagnostics: &mut Diagnostics) {
        let url = config.instance_url.as_str().filter(|url| rules::instance_url(url).is_ok());
        if let Some(host) = url.and_then(rules::host_without_the_rest) {
            messages::only_the_host_is_used(&host, diagnostics);
        }
        let account = config.account_id.as_str().filter(|id| rules::account_id(id).is_ok());
        if account.is_some_and(|id| !rules::is_account_number(id)) {
            messages::account_is_no_number(diagnostics);
        }
    }

    fn keep_spelling(prior: &DbtConnectionModel, state: &mut DbtConnectionModel) {
        // No description and an empty one are the same to everybody but Terraform. Shown as none, an imported connection
        // needs no change if the configuration has none.
        if prior.description.text().is_empty() && state.description.text().is_empty() {
            state.description = prior.description.clone();
        }
        if is_same_url(prior.instance_url.text(), state.instance_url.text()) {
            state.instance_url = prior.instance_url.clone();
        }
    }
}

fn credentials(planned: &DbtConnectionModel, api_token: Secret) -> DbtCredentials {
    DbtCredentials {
        instance_url: planned.instance_url.text().to_owned(),
        account_id: planned.account_id.text().to_owned(),
        api_token,
    }
}

/// `https://x` and `https://x/` are the same URL.
fn is_same_url(one: &str, other: &str) -> bool {
    matches!((url::Url::parse(one), url::Url::parse(other)), (Ok(one), Ok(other)) if one == other)
}
