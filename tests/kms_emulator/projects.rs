//! Projects, and the secrets in them.

use serde_json::{Value, json};

use super::{
    answer::Refusal,
    random,
    rights::{Action, Caller},
    state::{Project, State},
};

/// The query of `GET /api/v3/secrets/raw/:name`.
#[derive(Debug)]
pub struct SecretQuery {
    pub workspace_id: Option<String>,
    pub environment: Option<String>,
    pub path: String,
}

impl State {
    pub fn secret(&self, caller: &Caller, name: &str, query: SecretQuery) -> Result<Value, Refusal> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let environment =
            given(query.environment).ok_or_else(|| Refusal::bad_request("Missing environment"))?;
        let workspace_id = given(query.workspace_id)
            .ok_or_else(|| Refusal::bad_request("You must provide workspaceSlug or workspaceId"))?;
        if !self.projects.iter().any(|project| project.id == workspace_id) {
            return Err(Refusal::not_found(format!(
                "Project with ID '{workspace_id}' not found during bot lookup. Are you sure you are using the correct project ID?"
            )));
        }
        let rights = caller.in_project(&workspace_id, &self.projects)?;
        if !rights.is_member() {
            return Err(Refusal::permission_denied("describeSecret", "secrets"));
        }
        let path = query.path.trim_end_matches('/');
        let found = self.secrets.iter().find(|secret| {
            secret.workspace_id == workspace_id
                && secret.environment == environment
                && secret.path.trim_end_matches('/') == path
                && secret.name == name
        });
        let secret =
            found.ok_or_else(|| Refusal::not_found(format!("Secret with name '{name}' not found")))?;
        if !rights.allow(Action::ReadSecret, None) {
            let message =
                format!("You do not have permission to view secret value on secret with name '{name}'");
            return Err(Refusal::new(403, "ForbiddenReadSecretError", message));
        }
        let metadata = secret.metadata.iter().map(|(key, value)| json!({"key": key, "value": value}));
        let id = random::uuid();
        Ok(json!({"secret": {
            "id": id,
            "_id": id,
            "workspace": secret.workspace_id,
            "environment": secret.environment,
            "version": 1,
            "type": "shared",
            "secretKey": secret.name,
            "secretValue": secret.value,
            "secretComment": "",
            "skipMultilineEncoding": false,
            "createdAt": self.timestamp(self.now()),
            "updatedAt": self.timestamp(self.now()),
            "secretValueHidden": false,
            "secretPath": secret.path,
            "tags": [],
            "secretMetadata": metadata.collect::<Vec<_>>(),
        }}))
    }

    /// `GET /api/v1/projects`: those that the caller is a member of.
    pub fn list_projects(&self, caller: &Caller) -> Value {
        let mut found: Vec<_> = self
            .projects
            .iter()
            .filter(|project| project.org_id == caller.org_id && caller.is_member_of(&project.id))
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        json!({"projects": found.into_iter().map(|project| self.project_json(project)).collect::<Vec<_>>()})
    }

    /// `GET /api/v1/projects/:projectId`
    pub fn project_by_id(&self, caller: &Caller, id: &str) -> Result<Value, Refusal> {
        let found = self.existing_project(id)?;
        caller.in_project(&found.id, &self.projects)?;
        Ok(json!({"project": self.project_json(found)}))
    }

    /// `GET /api/v1/projects/slug/:slug`
    pub fn project_by_slug(&self, caller: &Caller, slug: &str) -> Result<Value, Refusal> {
        let found =
            self.projects.iter().find(|project| project.name == slug && project.org_id == caller.org_id);
        let found =
            found.ok_or_else(|| Refusal::not_found(format!("Project with slug '{slug}' not found")))?;
        caller.in_project(&found.id, &self.projects)?;
        Ok(self.project_json(found))
    }

    /// # Errors
    /// A 404 when there is no such project in any organization.
    pub fn existing_project(&self, id: &str) -> Result<&Project, Refusal> {
        let found = self.projects.iter().find(|project| project.id == id);
        found.ok_or_else(|| Refusal::not_found(format!("Project with ID '{id}' not found")))
    }

    fn project_json(&self, project: &Project) -> Value {
        let environment =
            |slug: &str| json!({"id": format!("{}-{slug}", project.id), "slug": slug, "name": slug});
        let created = "2026-01-15T08:00:00.000Z";
        json!({
            "_id": project.id,
            "id": project.id,
            "name": project.name,
            "description": null,
            "type": "secret-manager",
            "slug": project.name,
            "autoCapitalization": false,
            "orgId": project.org_id,
            "createdAt": created,
            "updatedAt": created,
            "version": 3,
            "hasDeleteProtection": false,
            "secretSharing": true,
            "environments": [environment("dev"), environment("staging"), environment("prod")],
        })
    }
}
