//! `kms_dbt_connection`: a dbt connection of the KMS.

use crate::{
    kms::{
        self, AdoptError, ApiErrorKind, ConnectionPlace, CreateError, DbtConnectionPatch, DbtCredentials,
        Existing, NewDbtConnection, Scope,
    },
    model,
    plugin::{
        context::Context,
        diagnostics::Diagnostics,
        model::{Field, Model as _},
        path::Path,
        private::Private,
        resource::{Create, ImportKey, PlanUpdate, Read, Resource, Stored, Update},
        schema::{Schema, computed, optional, required},
    },
    provider::{
        access::Access,
        errors::{self, Blame},
        import_warnings::ImportWarning,
        rules,
        token_digest::TokenDigest,
    },
    secret::Secret,
};

type Connection = kms::DbtConnection;

model! {
    /// A dbt connection as Terraform sees it.
    pub struct DbtConnection {
        /// Name of the connection, unique in its project or, without `project_id`, in the organization. A slug:
        /// lower-case letters, digits and single inner hyphens, at most 64 characters.
        name: String = required().rule(rules::connection_name),
        /// What the connection is for. At most 256 characters.
        description: String = optional().rule(rules::description),
        /// ID of the project that the connection belongs to. Without it, the connection belongs to the organization.
        /// A changed value replaces the connection.
        project_id: String = optional().rule(rules::project_id).requires_replace(),
        /// URL of the dbt instance, such as `https://cloud.getdbt.com`, `https://emea.dbt.com` or
        /// `https://ab123.us1.dbt.com`. The KMS uses only its host name, and always HTTPS.
        instance_url: String = required().rule(rules::instance_url),
        /// ID of the dbt account.
        account_id: String = required().rule(rules::account_id),
        /// API token for dbt: a service token (`dbtc_...`) or a personal access token (`dbtu_...`). It goes from the
        /// configuration to the KMS and is stored neither in state nor in plan files, so it can be an ephemeral value.
        /// A changed token is noticed, unless `api_token_version` is set.
        api_token: Secret = required().sensitive().write_only().rule(rules::api_token),
        /// Any text that stands for the token's version. When it is set, the token is sent whenever this changes, and
        /// another token alone sends nothing; no digest of the token is kept.
        api_token_version: String = optional(),
        /// When the name is taken by a connection with the same `instance_url` and `account_id`, take that one over
        /// instead of failing, and send it the configured description and token. Meant for connections that no
        /// resource manages. Default: `false`. Changing this sends nothing.
        adopt_existing: bool = optional(),
        /// ID of the connection, a UUID.
        id: String = computed().stable().not_null(),
        /// ID of the organization.
        org_id: String = computed().stable().not_null(),
        /// How the KMS logs in to dbt: always `api-token`.
        method: String = computed().stable().not_null(),
        /// Version number that the server keeps of the connection.
        version: i64 = computed().not_null(),
        /// Whether the KMS manages the credentials by itself: always `false` for dbt.
        is_platform_managed_credentials: bool = computed().stable().not_null(),
        /// When the connection was created, as an RFC 3339 time.
        created_at: String = computed().stable().not_null(),
        /// When the connection was last changed, as an RFC 3339 time.
        updated_at: String = computed().not_null(),
        /// The server's fingerprint of the credentials that it stores. It changes at each write of credentials, and so
        /// shows when somebody else wrote them.
        credentials_hash: String = computed().not_null(),
    }
}

model! {
    /// What tells a dbt connection from all others.
    pub struct DbtConnectionIdentity {
        /// ID of the connection, a UUID.
        id: String = required().rule(rules::connection_id),
    }
}

/// Private state: the digest of the token that was sent last, unless `api_token_version` is set.
const TOKEN_DIGEST: &str = "api_token_digest";
/// Private state: the server's fingerprint of the credentials after we last sent them.
const SENT_CREDENTIALS_HASH: &str = "sent_credentials_hash";

const BLAME: Blame = Blame {
    project: Some("project_id"),
    name: Some("name"),
    credentials: Some("api_token"),
    object: None,
    fields: &[
        ("name", "name"),
        ("description", "description"),
        ("projectId", "project_id"),
        ("credentials.instanceUrl", "instance_url"),
        ("credentials.accountId", "account_id"),
        ("credentials.apiToken", "api_token"),
    ],
};

/// The resource type.
pub(in crate::provider) struct DbtConnectionResource {
    access: Access,
}

impl DbtConnectionResource {
    pub(in crate::provider) fn new(access: Access) -> Self {
        Self { access }
    }
}

/// Why the token has to be sent although no other field of the credentials changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenDue {
    /// Nothing was ever sent by Terraform: the connection was imported.
    Imported,
    /// The configured token is another one, or may turn out to be.
    Changed,
    /// `api_token_version` is another one, or is set or removed.
    VersionChanged,
    /// Somebody else wrote the credentials.
    WrittenElsewhere,
}

fn token_due(plan: &PlanUpdate<'_, DbtConnection>) -> Option<TokenDue> {
    let (prior, config, private) = (plan.prior, plan.config, &*plan.private);
    if is_ignored(&config.api_token) && config.api_token_version == prior.api_token_version {
        return None;
    }
    let sent_hash: Option<String> = private.get(SENT_CREDENTIALS_HASH);
    if sent_hash.is_none() {
        return Some(TokenDue::Imported);
    }
    if config.api_token_version != prior.api_token_version {
        return Some(TokenDue::VersionChanged);
    }
    if !config.api_token_version.is_null() {
        return None;
    }
    if sent_hash.as_deref() != prior.credentials_hash.as_str() {
        return Some(TokenDue::WrittenElsewhere);
    }
    let digest: Option<TokenDigest> = private.get(TOKEN_DIGEST);
    match (config.api_token.known(), digest) {
        (Some(token), Some(digest)) if digest.matches(token) => None,
        _ => Some(TokenDue::Changed),
    }
}

/// Whether `ignore_changes` lists the token. Core then puts the prior value in its place, which is null for what is
/// write-only; validation has seen the configured one.
fn is_ignored(api_token: &Field<Secret>) -> bool {
    api_token.is_null()
}

impl Resource for DbtConnectionResource {
    type Model = DbtConnection;
    type Identity = DbtConnectionIdentity;

    fn schema(&self) -> Schema {
        DbtConnection::schema(
            "A dbt connection: the credentials with which the KMS reaches a dbt account. The KMS tries them at dbt \
             before it stores them.",
        )
    }

    fn identity(&self, state: &DbtConnection) -> DbtConnectionIdentity {
        DbtConnectionIdentity { id: state.id.clone() }
    }

    fn validate(&self, config: &DbtConnection, _: &mut Diagnostics) {
        if let Some(token) = config.api_token.known() {
            self.access.keep_secret(token);
        }
    }

    async fn plan_update(
        &self,
        cx: &mut Context,
        plan: PlanUpdate<'_, DbtConnection>,
    ) -> Result<DbtConnection, Diagnostics> {
        self.claim(plan.prior);
        if let Some(token) = plan.config.api_token.known() {
            self.access.keep_secret(token);
        }
        let due = token_due(&plan);
        let (prior, planned) = (plan.prior, &plan.planned);
        let sends_credentials = due.is_some()
            || planned.instance_url != prior.instance_url
            || planned.account_id != prior.account_id;
        let sends =
            sends_credentials || planned.name != prior.name || planned.description != prior.description;
        let mut next = if sends { plan.if_updated } else { plan.planned };
        if !sends {
            next.version = prior.version.clone();
            next.updated_at = prior.updated_at.clone();
        }
        if !sends_credentials {
            next.credentials_hash = prior.credentials_hash.clone();
        } else if is_ignored(&plan.config.api_token) {
            cx.diagnostics.error(
                Some(Path::attribute("api_token")),
                "The API token is needed, but ignored",
                "\"instance_url\", \"account_id\" and \"api_token\" can only be sent together, and one of them or \
                 \"api_token_version\" changed. Remove \"api_token\" from ignore_changes to apply this.",
            );
        }
        if due == Some(TokenDue::Imported) {
            let further = match self.access.count_import() {
                ImportWarning::Show => "",
                ImportWarning::ShowLast => {
                    " Further imported connections behave the same way; this run shows no more warnings about them."
                }
                ImportWarning::Hide => return Ok(next),
            };
            cx.diagnostics.warning(
                Some(Path::attribute("api_token")),
                "The API token will be sent once",
                format!(
                    "The dbt connection \"{}\" was imported. The KMS never tells a connection's token, so it can't be \
                     compared with the configured one: the next apply sends the configured token once, in place. \
                     After that it is sent only when it changes.{further}",
                    prior.name.text()
                ),
            );
        }
        Ok(next)
    }

    async fn plan_destroy(&self, _: &mut Context, prior: &Stored<DbtConnection>) -> Result<(), Diagnostics> {
        self.claim(&prior.state);
        Ok(())
    }

    async fn create(
        &self,
        cx: &mut Context,
        create: Create<DbtConnection>,
    ) -> Result<Stored<DbtConnection>, Diagnostics> {
        let config = create.config;
        let operation = self.access.operation(cx)?;
        let credentials = credentials(&config)?;
        let new = NewDbtConnection {
            place: ConnectionPlace::new(config.name.text(), config.project_id.as_str()),
            description: config.description.known().cloned(),
            credentials: credentials.clone(),
        };
        let result = match operation.create::<Connection>(&new).await {
            Ok(connection) => Ok(connection),
            // Also where the answer was lost: what has the name now is taken over, whoever made it.
            Err(
                CreateError::NameTaken { existing: Existing::Visible(existing), .. }
                | CreateError::Unconfirmed { found: Some(existing), .. },
            ) if adopts(&config, &existing) => self.adopt(&operation, &new, &existing).await,
            Err(error) => Err(create_failure(&config, error)),
        };
        errors::note_waiting(&operation, &mut cx.diagnostics);
        let connection =
            result.map_err(|error| error.map_texts(|text| credentials.api_token.redact(text)))?;
        let mut private = Private::default();
        remember_sent(&mut private, &config, &connection);
        Ok(Stored { state: created(config, connection), private })
    }

    async fn read(
        &self,
        cx: &mut Context,
        read: Read<DbtConnection>,
    ) -> Result<Option<Stored<DbtConnection>>, Diagnostics> {
        let Stored { state: prior, private } = read.prior;
        self.claim(&prior);
        let operation = self.access.operation(cx)?;
        let (id, scope) = (prior.id.text(), last_scope(&prior));
        let result = operation.read::<Connection>(id, scope).await;
        errors::note_waiting(&operation, &mut cx.diagnostics);
        let connection = match result {
            Ok(connection) => connection,
            // Nobody has seen it yet, so it isn't gone: it was never there.
            Err(error) if error.is_not_found() && read.imported && scope == Scope::Unknown => {
                let detail = format!(
                    "There is no dbt connection with the ID {id}, neither of the organization nor in any project that \
                     this machine identity sees."
                );
                return Err(Diagnostics::from_error("No such connection", detail));
            }
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => {
                return Err(errors::failure(&format!("read the dbt connection {id}"), &error, BLAME));
            }
        };
        let sent_hash: Option<String> = private.get(SENT_CREDENTIALS_HASH);
        if sent_hash.is_some_and(|sent| sent != connection.credentials_hash) {
            warn_of_foreign_credentials(&prior, &connection, &mut cx.diagnostics);
        }
        Ok(Some(Stored { state: refreshed(prior, connection), private }))
    }

    async fn update(
        &self,
        cx: &mut Context,
        update: Update<DbtConnection>,
    ) -> Result<Stored<DbtConnection>, Diagnostics> {
        let Update { prior: Stored { state: prior, mut private }, planned, config } = update;
        // Plans never hold the token. All else counts as it was planned: ignore_changes doesn't reach the configuration
        // of an apply.
        let wanted = DbtConnection { api_token: config.api_token, ..planned.clone() };
        let sends_credentials = planned.credentials_hash.is_unknown();
        let patch = DbtConnectionPatch {
            name: (planned.name != prior.name).then(|| planned.name.text().to_owned()),
            description: (planned.description != prior.description)
                .then(|| planned.description.known().cloned()),
            credentials: sends_credentials.then(|| credentials(&wanted)).transpose()?,
            hash_before: prior.credentials_hash.text().to_owned(),
        };
        if patch.is_empty() {
            // What changed concerns Terraform only.
            return Ok(Stored { state: planned, private });
        }
        let operation = self.access.operation(cx)?;
        let result = operation.update::<Connection>(prior.id.text(), &patch).await;
        errors::note_waiting(&operation, &mut cx.diagnostics);
        let connection = match result {
            Ok(connection) => connection,
            Err(error) => {
                let failure = update_failure(&operation, &prior, &planned, error).await;
                return Err(match patch.credentials {
                    Some(credentials) => failure.map_texts(|text| credentials.api_token.redact(text)),
                    None => failure,
                });
            }
        };
        if sends_credentials {
            remember_sent(&mut private, &wanted, &connection);
        }
        Ok(Stored { state: updated(planned, connection), private })
    }

    async fn delete(&self, cx: &mut Context, prior: Stored<DbtConnection>) -> Result<(), Diagnostics> {
        let (id, name) = (prior.state.id.text(), prior.state.name.text());
        if self.access.managed().is_adopted(id) {
            // Created first, the replacement found the name taken by this very connection and took it over.
            cx.diagnostics.warning(
                None,
                "Connection kept",
                format!(
                    "The dbt connection \"{name}\" ({id}) was to be deleted, but another resource has just taken it over, \
                     as its adopt_existing asks. It is kept, and belongs to that resource now."
                ),
            );
            return Ok(());
        }
        let operation = self.access.operation(cx)?;
        let result = operation.delete::<Connection>(id).await;
        errors::note_waiting(&operation, &mut cx.diagnostics);
        result.map_err(|error| {
            errors::failure(&format!("delete the dbt connection \"{name}\""), &error, BLAME)
        })?;
        self.access.managed().remove(id);
        Ok(())
    }

    async fn import(
        &self,
        cx: &mut Context,
        key: ImportKey<DbtConnectionIdentity>,
    ) -> Result<Stored<DbtConnection>, Diagnostics> {
        match key {
            ImportKey::Identity(identity) => Ok(Stored::new(stub(identity.id))),
            ImportKey::Id(id) if rules::is_connection_id(&id) => Ok(Stored::new(stub(Field::Known(id)))),
            ImportKey::Id(place) => self.find(cx, &place).await.map(Stored::new),
        }
    }
}

impl DbtConnectionResource {
    /// Notes that a resource of this run has this connection.
    fn claim(&self, state: &DbtConnection) {
        self.access.managed().add(state.id.text());
    }

    /// The state of a connection that Terraform didn't make.
    pub(in crate::provider) fn imported(connection: Connection) -> DbtConnection {
        refreshed(DbtConnection::default(), connection)
    }

    /// Takes a connection over that nothing in this run manages, and sends it what the configuration says.
    async fn adopt(
        &self,
        operation: &kms::Operation,
        new: &NewDbtConnection,
        existing: &Connection,
    ) -> Result<Connection, Diagnostics> {
        tracing::info!(id = %existing.id, "adopting the connection that has the name");
        let patch = DbtConnectionPatch {
            name: None,
            description: (existing.description != new.description).then(|| new.description.clone()),
            credentials: Some(new.credentials.clone()),
            hash_before: existing.credentials_hash.clone(),
        };
        match operation.adopt::<Connection>(&existing.id, &new.place, &patch).await {
            Ok(connection) => Ok(connection),
            Err(AdoptError::Managed) => Err(Diagnostics::from_attribute_error(
                Path::attribute("name"),
                "Name already taken",
                format!(
                    "In {} there is already a dbt connection named \"{}\": {}. Another resource of this configuration \
                     manages it, so adopt_existing does not take it over. Choose another name.",
                    errors::scope(new.place.project_id.as_deref()),
                    new.place.name,
                    existing.id
                ),
            )),
            Err(AdoptError::Failed(error)) => {
                let task = format!("take over the dbt connection \"{}\"", new.place.name);
                Err(errors::failure(&task, &error, BLAME))
            }
        }
    }

    /// Looks for a connection by `PROJECT_ID/NAME`, or by `NAME` in the organization.
    async fn find(&self, cx: &mut Context, place: &str) -> Result<DbtConnection, Diagnostics> {
        let (project, name) = match place.split_once('/') {
            Some((project, name)) => (Some(project), name),
            None => (None, place),
        };
        if rules::connection_name(name).is_err() || project.is_some_and(|id| rules::project_id(id).is_err()) {
            return Err(Diagnostics::from_error(
                "Invalid import ID",
                format!(
                    "\"{place}\" names no dbt connection. Give the connection's ID (a UUID), or PROJECT_ID/NAME for a \
                     connection of a project, or NAME for one of the organization."
                ),
            ));
        }
        let operation = self.access.operation(cx)?;
        let result = operation.read_by_name(&ConnectionPlace::new(name, project)).await;
        errors::note_waiting(&operation, &mut cx.diagnostics);
        result.map(Self::imported).map_err(|error| {
            let scope = errors::scope(project);
            if error.is_not_found() {
                let hint = match project {
                    Some(_) => "",
                    None => " For a connection of a project, give PROJECT_ID/NAME.",
                };
                let detail = format!("There is no dbt connection named \"{name}\" in {scope}.{hint}");
                Diagnostics::from_error("No such connection", detail)
            } else {
                let task = format!("find a dbt connection named \"{name}\" in {scope}");
                errors::failure(&task, &error, Blame::default())
            }
        })
    }
}

/// A state of which only the ID is known. The read that follows an import fills in the rest, and tells if there is no
/// such connection.
fn stub(id: Field<String>) -> DbtConnection {
    DbtConnection { id, ..DbtConnection::default() }
}

/// The scope that a connection was last seen in. A [`stub`] has none yet.
fn last_scope(prior: &DbtConnection) -> Scope<'_> {
    match prior.project_id.as_str() {
        Some(id) => Scope::Project(id),
        None if prior.name.is_null() => Scope::Unknown,
        None => Scope::Organization,
    }
}

fn credentials(config: &DbtConnection) -> Result<DbtCredentials, Diagnostics> {
    match config.api_token.known() {
        Some(token) => Ok(DbtCredentials {
            instance_url: config.instance_url.text().to_owned(),
            account_id: config.account_id.text().to_owned(),
            api_token: token.clone(),
        }),
        None => Err(Diagnostics::from_attribute_error(
            Path::attribute("api_token"),
            "Missing API token",
            "The token is null or not known, now that it is to be sent. An ephemeral value must be there in apply as it \
             was in plan.",
        )),
    }
}

/// Remembers what was just sent, to notice later that it should be sent again.
fn remember_sent(private: &mut Private, config: &DbtConnection, connection: &Connection) {
    private.set(SENT_CREDENTIALS_HASH, Some(&connection.credentials_hash));
    let digest = match (&config.api_token_version, config.api_token.known()) {
        (Field::Null, Some(token)) => TokenDigest::of(token),
        _ => None,
    };
    private.set(TOKEN_DIGEST, digest);
}

/// The state right after a create: what was configured, and what the server decided.
fn created(config: DbtConnection, connection: Connection) -> DbtConnection {
    DbtConnection {
        api_token: Field::Null,
        id: Field::Known(connection.id),
        org_id: Field::Known(connection.org_id),
        method: Field::Known(connection.method),
        version: Field::Known(connection.version),
        is_platform_managed_credentials: Field::Known(connection.is_platform_managed_credentials),
        created_at: Field::Known(connection.created_at),
        updated_at: Field::Known(connection.updated_at),
        credentials_hash: Field::Known(connection.credentials_hash),
        ..config
    }
}

/// The state right after an update: what was planned, and what the plan had left open.
fn updated(planned: DbtConnection, connection: Connection) -> DbtConnection {
    let text =
        |planned: Field<String>, actual| if planned.is_unknown() { Field::Known(actual) } else { planned };
    DbtConnection {
        version: if planned.version.is_unknown() {
            Field::Known(connection.version)
        } else {
            planned.version
        },
        updated_at: text(planned.updated_at, connection.updated_at),
        credentials_hash: text(planned.credentials_hash, connection.credentials_hash),
        ..planned
    }
}

/// The state after a look at the server: what it has, in the words of the prior state where they mean the same.
fn refreshed(prior: DbtConnection, connection: Connection) -> DbtConnection {
    DbtConnection {
        name: Field::Known(connection.name),
        description: same_description(prior.description, connection.description),
        project_id: connection.project_id.into(),
        instance_url: same_url(prior.instance_url, connection.credentials.instance_url),
        account_id: Field::Known(connection.credentials.account_id),
        api_token: Field::Null,
        api_token_version: prior.api_token_version,
        adopt_existing: prior.adopt_existing,
        // In the server's spelling: an import may give a UUID in upper case.
        id: Field::Known(connection.id),
        org_id: Field::Known(connection.org_id),
        method: Field::Known(connection.method),
        version: Field::Known(connection.version),
        is_platform_managed_credentials: Field::Known(connection.is_platform_managed_credentials),
        created_at: Field::Known(connection.created_at),
        updated_at: Field::Known(connection.updated_at),
        credentials_hash: Field::Known(connection.credentials_hash),
    }
}

/// No description and an empty one are the same to everybody but Terraform.
fn same_description(prior: Field<String>, actual: Option<String>) -> Field<String> {
    let empty = |text: Option<&str>| text.unwrap_or_default().is_empty();
    if empty(prior.as_str()) && empty(actual.as_deref()) { prior } else { actual.into() }
}

/// `https://x` and `https://x/` are the same URL.
fn same_url(prior: Field<String>, actual: String) -> Field<String> {
    match (prior.as_str().and_then(|url| url::Url::parse(url).ok()), url::Url::parse(&actual)) {
        (Some(before), Ok(now)) if before == now => prior,
        _ => Field::Known(actual),
    }
}

fn warn_of_foreign_credentials(
    prior: &DbtConnection,
    connection: &Connection,
    diagnostics: &mut Diagnostics,
) {
    let consequence = if prior.api_token_version.is_null() {
        "The next apply sends the configured credentials again, unless ignore_changes lists \"api_token\"."
    } else {
        "They stay as they are until \"api_token_version\" changes, for with it nothing else decides when the token is \
         sent."
    };
    diagnostics.warning(
        Some(Path::attribute("api_token")),
        "Credentials changed outside of Terraform",
        format!(
            "The credentials of the dbt connection \"{}\" are not those that Terraform sent last. The connection was \
             last changed at {}. {consequence}",
            connection.name, connection.updated_at
        ),
    );
}

/// Whether the configuration asks to take this connection over.
fn adopts(config: &DbtConnection, existing: &Connection) -> bool {
    config.adopt_existing.known() == Some(&true) && differences(config, existing).is_empty()
}

/// The attributes in which an existing connection is another one than the configured.
fn differences(config: &DbtConnection, existing: &Connection) -> Vec<String> {
    let stored = &existing.credentials;
    let same_instance =
        same_url(config.instance_url.clone(), stored.instance_url.clone()) == config.instance_url;
    let mut differences = Vec::new();
    if !same_instance {
        differences.push(format!("instance_url (it has \"{}\")", stored.instance_url));
    }
    if config.account_id.as_str() != Some(stored.account_id.as_str()) {
        differences.push(format!("account_id (it has \"{}\")", stored.account_id));
    }
    differences
}

/// Why an update failed. If the new name is taken, the connection that has it is looked up.
async fn update_failure(
    operation: &kms::Operation,
    prior: &DbtConnection,
    planned: &DbtConnection,
    error: kms::Error,
) -> Diagnostics {
    if error.api_kind() == Some(ApiErrorKind::NameTaken) {
        let (name, project) = (planned.name.text(), planned.project_id.as_str());
        let place = ConnectionPlace::new(name, project);
        if let Ok(existing) = operation.get_by_name::<Connection>(&place).await {
            return Diagnostics::from_attribute_error(
                Path::attribute("name"),
                "Name already taken",
                format!(
                    "In {} there is already a dbt connection named \"{name}\": {id}, created at {}. Choose another name, \
                     or rename or delete that one first. To manage it too, import it to a resource of its own:\n\n  \
                     terraform import kms_dbt_connection.NAME {id}",
                    errors::scope(project),
                    existing.created_at,
                    id = existing.id,
                ),
            );
        }
    }
    errors::failure(&format!("update the dbt connection \"{}\"", prior.name.text()), &error, BLAME)
}

fn create_failure(config: &DbtConnection, error: CreateError<Connection>) -> Diagnostics {
    let name = config.name.text();
    let task = format!("create the dbt connection \"{name}\"");
    let scope = errors::scope(config.project_id.as_str());
    match error {
        CreateError::NameTaken { existing: Existing::Visible(existing), .. } => {
            Diagnostics::from_attribute_error(
                Path::attribute("name"),
                "Name already taken",
                format!(
                    "In {scope} there is already a dbt connection named \"{name}\": {id}, created at {created}. If an \
                 earlier apply was interrupted, it may have made it.\n\n{advice}",
                    id = existing.id,
                    created = existing.created_at,
                    advice = adoption_advice(config, &existing),
                ),
            )
        }
        CreateError::NameTaken { existing, error } => {
            let mut diagnostics = errors::failure(&task, &error, BLAME);
            let detail = match existing {
                Existing::OfOtherApp => format!(
                    "In {scope}, a connection of another app has the name \"{name}\". Choose another name."
                ),
                Existing::Unknown(error) => format!(
                    "In {scope}, a connection named \"{name}\" exists, but it could not be looked up: {}. Apply again: \
                     the error then names it, or adopt_existing takes it over.",
                    kms::report(&error)
                ),
                _ => format!(
                    "In {scope}, a connection named \"{name}\" exists, but this machine identity may not read it. \
                     Choose another name."
                ),
            };
            let summary = "The connection with this name can't be shown";
            diagnostics.warning(Some(Path::attribute("name")), summary, detail);
            diagnostics
        }
        CreateError::Unconfirmed { found, error } => {
            let what_now = match found {
                Some(found) => format!(
                    "In {scope} there is now a dbt connection named \"{name}\": {}, created at {}. Nothing shows that \
                     this apply made it.\n\n{}",
                    found.id,
                    found.created_at,
                    adoption_advice(config, &found)
                ),
                None => format!(
                    "The provider could not determine whether the connection \"{name}\" was created in {scope}. Apply \
                     again: if it was, the error then names it and says how to adopt it."
                ),
            };
            Diagnostics::from_attribute_error(
                Path::attribute("name"),
                "Unconfirmed create",
                format!("Could not {task} for certain: {}.\n\n{what_now}", kms::report(&error)),
            )
        }
        CreateError::Failed(error) => errors::failure(&task, &error, BLAME),
    }
}

/// What to do about an existing connection that has the name.
fn adoption_advice(config: &DbtConnection, existing: &Connection) -> String {
    let id = &existing.id;
    // The provider isn't told the address of the resource that it works on.
    let import = format!("  terraform import kms_dbt_connection.NAME {id}");
    let differences = differences(config, existing);
    if differences.is_empty() {
        format!(
            "To manage that one with this resource, import it to this resource's address:\n\n{import}\n\nor set \
             adopt_existing = true here, which takes it over and sends it the configured token. Else choose another \
             name."
        )
    } else {
        format!(
            "It is not the same connection, for it differs in {}; so adopt_existing doesn't take it over. Choose \
             another name, or import it to change it:\n\n{import}",
            differences.join(" and ")
        )
    }
}
