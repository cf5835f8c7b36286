//! Reading one secret of the KMS. Not under `/api/v1`, and limited by a count of its own.

use serde::{Deserialize, Deserializer};

use super::{client::Operation, error::Error, request::Request};
use crate::secret::Secret;

/// Which secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretQuery {
    /// The secret's key.
    pub name: String,
    /// The project's ID.
    pub project_id: String,
    /// The environment's slug.
    pub environment: String,
    /// The folder; `/` is the root.
    pub path: String,
}

/// A secret and what is noted about it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretValue {
    /// The secret's ID.
    #[serde(default)]
    pub id: String,
    /// The secret's key.
    #[serde(rename = "secretKey")]
    pub name: String,
    /// The value.
    #[serde(rename = "secretValue")]
    pub value: Secret,
    /// Counts the secret's changes.
    #[serde(default)]
    pub version: i64,
    /// The comment; empty if there is none.
    #[serde(rename = "secretComment", default)]
    pub comment: Option<String>,
    /// What its owners noted about it, in the server's order.
    #[serde(rename = "secretMetadata", default, deserialize_with = "pairs")]
    pub metadata: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct SecretResponse {
    secret: SecretValue,
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    #[serde(default)]
    value: Option<String>,
}

fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    let pairs = Option::<Vec<Pair>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(pairs.into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect())
}

impl Operation {
    /// Reads one secret.
    ///
    /// # Errors
    /// `Api` with [`NotFound`](super::ApiErrorKind::NotFound) if there is none; and every other error that a read can end
    /// in.
    pub async fn get_secret(&self, query: &SecretQuery) -> Result<SecretValue, Error> {
        // The server's word for a project is still "workspace" on this route.
        let request = Request::get("/api/v3/secrets/raw/:name", &[&query.name])?
            .with_query("workspaceId", Some(&query.project_id))
            .with_query("environment", Some(&query.environment))
            .with_query("secretPath", Some(&query.path))
            .with_query("type", Some("shared"));
        let secret = self.send::<SecretResponse>(&request).await?.secret;
        self.client.transport().redactor.add(&secret.value);
        if !secret.name.eq_ignore_ascii_case(&query.name) {
            return Err(request.unreadable("it is about another secret"));
        }
        Ok(secret)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kms::test_server::{Reply, Server};

    fn query() -> SecretQuery {
        SecretQuery {
            name: "DBT/TOKEN".to_owned(),
            project_id: "project-1".to_owned(),
            environment: "prod".to_owned(),
            path: "/data team".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_is_read_and_never_shown() {
        let server = Server::start(|seen, _| {
            assert_eq!(
                seen.target,
                "/api/v3/secrets/raw/DBT%2FTOKEN?workspaceId=project-1&environment=prod&secretPath=%2Fdata+team\
                 &type=shared"
            );
            let metadata = json!([{"key": "owner", "value": "data"}]);
            Reply::json(
                200,
                json!({"secret": {"id": "s1", "version": 3, "secretKey": "DBT/TOKEN", "secretValue": "dbtu_1",
                    "secretComment": "", "secretMetadata": metadata, "type": "shared"}}),
            )
        })
        .await;
        let secret = server.operation().get_secret(&query()).await.unwrap();
        assert_eq!(secret.value.expose(), "dbtu_1");
        assert_eq!(secret.metadata, [("owner".to_owned(), "data".to_owned())]);
        assert!(!format!("{secret:?}").contains("dbtu_1"));
    }

    #[tokio::test(start_paused = true)]
    async fn another_secret_than_asked_for_is_refused() {
        let server = Server::start(|_, _| {
            Reply::json(
                200,
                json!({"secret": {"secretKey": "OTHER", "secretValue": "v", "secretMetadata": null}}),
            )
        })
        .await;
        let error = server.operation().get_secret(&query()).await.unwrap_err();
        assert!(matches!(error.reason(), Some(crate::kms::Reason::Unreadable { .. })), "{error:?}");
    }
}
