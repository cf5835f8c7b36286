//! The dbt projects of a connection.

use serde::Deserialize;

use super::{client::Operation, error::Error, request::Request};

/// A dbt project that is visible to the stored credentials.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DbtProject {
    /// dbt's ID of the project.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its description, if it has one.
    pub description: Option<String>,
    /// When it was created, in dbt's format.
    pub created_at: Option<String>,
    /// When it was last changed, in dbt's format.
    pub updated_at: Option<String>,
}

#[derive(Deserialize)]
struct Projects {
    projects: Vec<DbtProject>,
}

impl Operation {
    /// The dbt projects that are visible to a connection's stored credentials. The KMS queries dbt, so this also tests
    /// the credentials.
    ///
    /// # Errors
    /// `Api` with [`NotFound`](super::ApiErrorKind::NotFound) if there is no such connection, and with
    /// [`CredentialsRefused`](super::ApiErrorKind::CredentialsRefused) or another kind of a failed call of dbt; and all
    /// other errors of reads.
    pub async fn dbt_projects(&self, id: &str) -> Result<Vec<DbtProject>, Error> {
        let request = Request::get("/api/v1/app-connections/dbt/:id/projects", &[id])?.of_list();
        let mut projects = self.send::<Projects>(&request).await?.projects;
        let redactor = &self.client.transport().redactor;
        for DbtProject { id: _, name, description, created_at, updated_at } in &mut projects {
            let others = description.iter_mut().chain(created_at).chain(updated_at);
            others.chain([name]).for_each(|text| redactor.hide(text));
        }
        Ok(projects)
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
