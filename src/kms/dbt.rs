//! What is particular to connections to dbt.

use serde::{Deserialize, Serialize};

use super::{Credentials, Error, Operation, send::Request};
use crate::secret::Secret;

/// What the KMS needs to call dbt.
#[derive(Debug, Clone)]
pub struct DbtCredentials {
    /// The URL of the dbt instance, such as `https://cloud.getdbt.com`.
    pub instance_url: String,
    /// The ID of the dbt account: digits in practice.
    pub account_id: String,
    /// The token that dbt gave.
    pub api_token: Secret,
}

/// What the KMS tells of the credentials that it stores.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DbtStored {
    /// The URL of the dbt instance.
    pub instance_url: String,
    /// The ID of the dbt account.
    pub account_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    instance_url: &'a str,
    account_id: &'a str,
    api_token: &'a str,
}

impl Credentials for DbtCredentials {
    const APP: &'static str = "dbt";
    const METHOD: &'static str = "api-token";
    type Stored = DbtStored;

    fn body(&self) -> impl Serialize {
        Body {
            instance_url: &self.instance_url,
            account_id: &self.account_id,
            api_token: self.api_token.expose(),
        }
    }

    fn matches(&self, stored: &DbtStored) -> bool {
        self.instance_url == stored.instance_url && self.account_id == stored.account_id
    }
}

/// A project of dbt, as the stored credentials see it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DbtProject {
    /// dbt's ID of the project.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its description, if it has one.
    pub description: Option<String>,
    /// When it was made, as dbt writes it.
    pub created_at: Option<String>,
    /// When it was last changed, as dbt writes it.
    pub updated_at: Option<String>,
}

#[derive(Deserialize)]
struct Projects {
    projects: Vec<DbtProject>,
}

impl Operation {
    /// The dbt projects that a connection's stored credentials see. The KMS asks dbt, so this is a live test of them.
    ///
    /// # Errors
    /// `Api` with [`NotFound`](super::ApiErrorKind::NotFound) if there is no such connection, with
    /// [`CredentialsRefused`](super::ApiErrorKind::CredentialsRefused) or another kind if dbt refused them; and what
    /// every read may end in: `Config`, `Auth`, `Transport`, `Decode`, `Redirected`, `RateLimited`, `Cancelled`.
    pub async fn dbt_projects(&self, id: &str) -> Result<Vec<DbtProject>, Error> {
        let request = Request::get("/api/v1/app-connections/dbt/:id/projects", &[id])?.of_list();
        Ok(self.send::<Projects>(&request).await?.projects)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kms::test_server::{Reply, Server};

    #[tokio::test(start_paused = true)]
    async fn projects_are_read_through_a_connection() {
        let server = Server::start(|seen, _| {
            assert!(seen.is("GET", "/api/v1/app-connections/dbt/id-1/projects"));
            Reply::json(
                200,
                json!({"projects": [
                    {"id": 70_403_103_919_i64, "name": "Jaffle", "description": null, "createdAt": "a", "updatedAt": "b"},
                    {"id": 2, "name": "Bare"},
                ]}),
            )
        })
        .await;
        let projects = server.operation().dbt_projects("id-1").await.unwrap();
        assert_eq!((projects[0].id, projects[0].name.as_str()), (70_403_103_919, "Jaffle"));
        assert_eq!(projects[1].created_at, None);
    }
}
