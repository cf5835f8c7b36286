//! Connections to dbt: their fields in requests and responses.

use serde::{Deserialize, Serialize};

use super::{
    error::Error,
    object::{NewObject, Object, ObjectPatch, or_default},
    request::Request,
};
use crate::secret::Secret;

/// The name of the app in routes and responses.
const APP: &str = "dbt";

/// The name of the method in requests and responses.
const METHOD: &str = "api-token";

/// The credentials with which the KMS calls dbt.
#[derive(Debug, Clone)]
pub struct DbtCredentials {
    /// The URL of the dbt instance, such as `https://cloud.getdbt.com`.
    pub instance_url: String,
    /// The ID of the dbt account: digits in practice.
    pub account_id: String,
    /// The dbt token.
    pub api_token: Secret,
}

/// The stored credentials as the KMS returns them, without the token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredDbtCredentials {
    /// The URL of the dbt instance.
    pub instance_url: String,
    /// The ID of the dbt account.
    pub account_id: String,
}

/// The place of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionPlace {
    /// The name.
    pub name: String,
    /// The project's ID; `None` if the organization is the scope.
    pub project_id: Option<String>,
}

impl ConnectionPlace {
    /// A name in a project, or in the organization.
    pub fn new(name: impl Into<String>, project_id: Option<&str>) -> Self {
        Self { name: name.into(), project_id: project_id.map(str::to_owned) }
    }
}

/// A connection to create.
#[derive(Debug, Clone)]
pub struct NewDbtConnection {
    /// Its name, a slug, and the scope in which the name is unique.
    pub place: ConnectionPlace,
    /// A description, if any.
    pub description: Option<String>,
    /// The credentials. The KMS tests them at dbt before it stores them.
    pub credentials: DbtCredentials,
}

/// A change of a connection; `None` keeps a field unchanged.
#[derive(Debug, Clone, Default)]
pub struct DbtConnectionPatch {
    /// The new name.
    pub name: Option<String>,
    /// The new description; `Some(None)` removes it.
    pub description: Option<Option<String>>,
    /// The new credentials, always complete.
    pub credentials: Option<DbtCredentials>,
    /// The connection's `credentials_hash` as last read. It is compared to detect that credentials were written since.
    pub hash_before: String,
}

/// A connection as the KMS returns it. Unknown fields are ignored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DbtConnection {
    /// The ID, a UUID.
    pub id: String,
    /// The name.
    pub name: String,
    /// The description, if it has one.
    #[serde(default)]
    pub description: Option<String>,
    /// The project's ID; `None` if the organization is the scope.
    #[serde(default)]
    pub project_id: Option<String>,
    /// The server's version number of the connection.
    #[serde(default, deserialize_with = "or_default")]
    pub version: i64,
    /// The organization's ID.
    #[serde(default, deserialize_with = "or_default")]
    pub org_id: String,
    /// When it was created: RFC 3339, UTC, in milliseconds.
    #[serde(default, deserialize_with = "or_default")]
    pub created_at: String,
    /// When it was last changed, in the same form.
    #[serde(default, deserialize_with = "or_default")]
    pub updated_at: String,
    /// Whether the KMS manages the credentials itself.
    #[serde(default, deserialize_with = "or_default")]
    pub is_platform_managed_credentials: bool,
    /// The app; absent in the responses of some servers.
    #[serde(default)]
    pub app: Option<String>,
    /// The method of its credentials.
    #[serde(default, deserialize_with = "or_default")]
    pub method: String,
    /// A fingerprint of the stored credentials: 64 hex digits, which change with every write of credentials, even equal
    /// ones, and at no other time.
    #[serde(default, deserialize_with = "or_default")]
    pub credentials_hash: String,
    /// The credentials, without the token.
    pub credentials: StoredDbtCredentials,
}

impl Object for DbtConnection {
    const COLLECTION: &'static str = "/api/v1/app-connections/dbt";
    const ONE: &'static str = "appConnection";
    const MANY: &'static str = "appConnections";
    const HAS_LIST_OF_ALL: bool = true;

    type Place = ConnectionPlace;
    type New = NewDbtConnection;
    type Patch = DbtConnectionPatch;
    type Deletion = ();

    fn id(&self) -> &str {
        &self.id
    }

    fn project_id(&self) -> Option<&str> {
        self.project_id.as_deref()
    }

    fn created_at(&self) -> &str {
        &self.created_at
    }

    fn updated_at(&self) -> &str {
        &self.updated_at
    }

    fn is_of_kind(&self) -> bool {
        self.app.as_deref().is_none_or(|app| app == APP)
    }

    fn is_whole(&self) -> bool {
        let Self { org_id, created_at, updated_at, method, credentials_hash, .. } = self;
        [org_id, created_at, updated_at, method, credentials_hash].iter().all(|text| !text.is_empty())
    }

    fn texts(&mut self) -> Vec<&mut String> {
        // Listed one by one, so that nobody forgets a new field.
        let Self {
            id: _,
            name,
            description,
            project_id,
            version: _,
            org_id,
            created_at,
            updated_at,
            is_platform_managed_credentials: _,
            app: _,
            method,
            credentials_hash,
            credentials: StoredDbtCredentials { instance_url, account_id },
        } = self;
        let mut texts =
            vec![name, org_id, created_at, updated_at, method, credentials_hash, instance_url, account_id];
        texts.extend(description.iter_mut().chain(project_id));
        texts
    }

    fn is_at(&self, place: &ConnectionPlace) -> bool {
        // Older servers store names in lower case.
        self.name.eq_ignore_ascii_case(&place.name) && self.project_id == place.project_id
    }

    fn project_of(place: &ConnectionPlace) -> Option<&str> {
        place.project_id.as_deref()
    }

    fn get_by_name(place: &ConnectionPlace) -> Result<Request, Error> {
        let route = format!("{}/connection-name/:name", Self::COLLECTION);
        Ok(Request::get(route, &[&place.name])?.with_query("projectId", place.project_id.as_deref()))
    }

    fn delete(id: &str, (): ()) -> Result<Request, Error> {
        Request::delete(format!("{}/:id", Self::COLLECTION), &[id])
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CredentialsBody<'a> {
    instance_url: &'a str,
    account_id: &'a str,
    api_token: &'a str,
}

impl DbtCredentials {
    fn body(&self) -> CredentialsBody<'_> {
        CredentialsBody {
            instance_url: &self.instance_url,
            account_id: &self.account_id,
            api_token: self.api_token.expose(),
        }
    }

    /// Whether `stored` is equal to these credentials.
    fn are_shown_by(&self, stored: &StoredDbtCredentials) -> bool {
        self.instance_url == stored.instance_url && self.account_id == stored.account_id
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewBody<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<&'a str>,
    method: &'static str,
    credentials: CredentialsBody<'a>,
}

impl NewObject<DbtConnection> for NewDbtConnection {
    fn body(&self) -> impl Serialize {
        NewBody {
            name: &self.place.name,
            description: self.description.as_deref(),
            project_id: self.place.project_id.as_deref(),
            method: METHOD,
            credentials: self.credentials.body(),
        }
    }

    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.credentials.api_token]
    }

    fn place(&self) -> ConnectionPlace {
        self.place.clone()
    }

    fn is_shown_by(&self, found: &DbtConnection) -> bool {
        found.name == self.place.name
            && found.description == self.description
            && found.project_id == self.place.project_id
            && found.method == METHOD
            && self.credentials.are_shown_by(&found.credentials)
    }
}

#[derive(Serialize)]
struct PatchBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// `Some(None)` is written as null.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<CredentialsBody<'a>>,
}

impl ObjectPatch<DbtConnection> for DbtConnectionPatch {
    fn body(&self) -> impl Serialize {
        PatchBody {
            name: self.name.as_deref(),
            description: self.description.as_ref().map(Option::as_deref),
            credentials: self.credentials.as_ref().map(DbtCredentials::body),
        }
    }

    fn secrets(&self) -> Vec<&Secret> {
        self.credentials.iter().map(|credentials| &credentials.api_token).collect()
    }

    fn is_empty(&self) -> bool {
        self.name.is_none() && self.description.is_none() && self.credentials.is_none()
    }

    fn is_shown_by(&self, seen: &DbtConnection, is_changed_since: bool) -> bool {
        let name = self.name.as_ref().is_none_or(|name| *name == seen.name);
        let description =
            self.description.as_ref().is_none_or(|description| *description == seen.description);
        // The token can't be read back. A fingerprint that changed after the request proves that it was written.
        let credentials = self.credentials.as_ref().is_none_or(|credentials| {
            credentials.are_shown_by(&seen.credentials)
                && seen.credentials_hash != self.hash_before
                && is_changed_since
        });
        name && description && credentials
    }

    fn leaves_a_mark(&self) -> bool {
        self.credentials.is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kms::object::{Many, One};

    #[test]
    fn absent_null_and_unknown_fields_do_no_harm() {
        let credentials = json!({"instanceUrl": "u", "accountId": "1", "region": "eu"});
        let sparse =
            json!({"id": "id-1", "name": "a", "credentials": credentials, "new": {"x": [1.5, 1e99]}});
        let nulls = json!({"id": "id-1", "name": "a", "description": null, "projectId": null, "version": null,
            "orgId": null, "createdAt": null, "updatedAt": null, "isPlatformManagedCredentials": null, "app": null,
            "method": null, "credentialsHash": null, "gatewayId": null, "project": null, "credentials": credentials});
        for connection in [sparse, nulls] {
            let text = json!({"new": 1, "appConnection": connection}).to_string();
            let read = serde_json::from_str::<One<DbtConnection>>(&text).unwrap().0;
            assert_eq!((read.description.as_deref(), read.project_id.as_deref()), (None, None));
            assert_eq!(read.credentials.account_id, "1");
            assert!(read.is_of_kind() && !read.is_whole());
        }
    }

    #[test]
    fn an_odd_entry_leaves_the_rest_of_a_list_readable() {
        let good = json!({"id": "id-1", "name": "a", "credentials": {"instanceUrl": "u", "accountId": "1"}});
        let list = json!({"appConnections": [
            good, {"id": 7}, null, "x", {"id": "id-2", "name": "b", "credentials": null},
            {"id": "id-3", "name": "c", "app": "github", "credentials": {"instanceUrl": "u", "accountId": "1"}},
        ]});
        let many: Many<DbtConnection> = serde_json::from_str(&list.to_string()).unwrap();
        assert_eq!((many.objects.len(), many.unreadable), (1, 5));
        for broken in [r#"{"appConnections": [{"id": }]}"#, r#"{"appConnections": {}}"#, "{}"] {
            assert!(serde_json::from_str::<Many<DbtConnection>>(broken).is_err(), "{broken}");
        }
    }
}
