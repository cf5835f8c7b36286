//! Projects, with their environments and folders.

use serde_json::{Value, json};

use super::{answer::Refusal, random, rights::Caller, secrets::StoredSecret, state::State, validation};

/// The type of the projects that have secrets.
pub const SECRET_MANAGER: &str = "secret-manager";

/// A project, which can own app connections and secrets.
#[derive(Clone, Debug)]
pub struct Project {
    pub id: String,
    pub name: String,
    pub org_id: String,
    /// `secret-manager`, except for projects of another of the server's products.
    pub kind: String,
    /// Slugs, which are the names too.
    pub environments: Vec<String>,
}

impl Project {
    pub fn new(id: &str, name: &str, org_id: &str) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            org_id: org_id.into(),
            kind: SECRET_MANAGER.into(),
            environments: ["dev", "staging", "prod"].map(Into::into).to_vec(),
        }
    }
}

/// A folder of secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    pub project_id: String,
    pub environment: String,
    /// `/`, or a path that begins with a slash and doesn't end with one.
    pub path: String,
}

impl Folder {
    pub fn new(project_id: &str, environment: &str, path: &str) -> Self {
        Self {
            project_id: project_id.into(),
            environment: environment.into(),
            path: validation::remove_trailing_slash(path).into(),
        }
    }

    pub fn of_secret(secret: &StoredSecret) -> Self {
        Self::new(&secret.workspace_id, &secret.environment, &secret.path)
    }

    pub fn id(&self) -> String {
        random::derived_uuid(&[&self.project_id, &self.environment, &self.path])
    }

    pub fn environment_json(&self) -> Value {
        environment_json(&self.project_id, &self.environment)
    }
}

fn environment_json(project_id: &str, slug: &str) -> Value {
    json!({"id": random::derived_uuid(&[project_id, slug]), "slug": slug, "name": slug})
}

impl State {
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

    /// `GET /api/v1/projects/:projectId` and `GET /api/v1/workspace/:workspaceId`, which have another word for it.
    pub fn project_by_id(&self, caller: &Caller, id: &str, word: &str) -> Result<Value, Refusal> {
        let found = self.existing_project(id)?;
        caller.in_project(&found.id, &self.projects)?;
        Ok(json!({word: self.project_json(found)}))
    }

    /// `GET /api/v1/projects/slug/:slug` and `GET /api/v2/workspace/:slug`
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

    /// # Errors
    /// A 404 in other words, where the server asks for the key that a project once had.
    pub fn project_with_bot(&self, id: &str) -> Result<(), Refusal> {
        if self.projects.iter().any(|project| project.id == id) {
            return Ok(());
        }
        Err(Refusal::not_found(format!(
            "Project with ID '{id}' not found during bot lookup. Are you sure you are using the correct project ID?"
        )))
    }

    /// The folder at a path: a root folder, one that was made, or one that a test put a secret into.
    ///
    /// # Errors
    /// A 400 when there can't be such a folder.
    pub fn folder(&self, project_id: &str, environment: &str, path: &str) -> Result<Option<Folder>, Refusal> {
        let valid = |name: &str| {
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        if !path.split('/').all(valid) {
            return Err(Refusal::bad_request(
                "Invalid secret path. Only alphanumeric characters, dashes, and underscores are allowed.",
            ));
        }
        let wanted = Folder::new(project_id, environment, path);
        let root = wanted.path == "/"
            && self.projects.iter().any(|project| {
                project.id == project_id && project.environments.iter().any(|slug| slug == environment)
            });
        let there = root
            || self.folders.contains(&wanted)
            || self.secrets.iter().any(|secret| Folder::of_secret(secret) == wanted);
        Ok(there.then_some(wanted))
    }

    /// Makes a folder, and those on the way to it.
    pub fn make_folder(&mut self, project_id: &str, environment: &str, path: &str) {
        let path = validation::remove_trailing_slash(path);
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
        for end in ends {
            let folder = Folder::new(project_id, environment, &path[..end]);
            if !self.folders.contains(&folder) {
                self.folders.push(folder);
            }
        }
    }

    fn project_json(&self, project: &Project) -> Value {
        let environments = project.environments.iter().map(|slug| environment_json(&project.id, slug));
        let created = "2026-01-15T08:00:00.000Z";
        json!({
            "_id": project.id,
            "id": project.id,
            "name": project.name,
            "description": null,
            "type": project.kind,
            "slug": project.name,
            "autoCapitalization": false,
            "orgId": project.org_id,
            "createdAt": created,
            "updatedAt": created,
            "version": 3,
            "hasDeleteProtection": false,
            "secretSharing": true,
            "environments": environments.collect::<Vec<_>>(),
        })
    }
}
