//! What a caller may do, and how the two servers put a refusal.

use serde::{Deserialize, Serialize};

use super::{
    answer::Refusal,
    options::{Options, Server},
    projects::{Folder, Project},
    state::AppConnection,
};

/// What an identity wants to do with an app connection, a secret, or a secret rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Read,
    Create,
    Edit,
    Delete,
    Connect,
    RotateCredentials,
    ReadSecret,
    DescribeSecret,
    ReadRotation,
    CreateRotation,
    EditRotation,
    DeleteRotation,
    RotateSecrets,
    ReadGeneratedCredentials,
}

/// Where a right is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    Everywhere,
    Organization,
    Project(String),
    /// One connection, by its id, and the rotations that use it. Lists leave them out without a word.
    Connection(String),
    /// The secrets and the rotations in an environment, by its slug.
    Environment(String),
    /// The secrets and the rotations at a secret path.
    Path(String),
}

/// What a right is asked for. Without any detail, the question is whether there is the right to anything at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Object<'o> {
    pub connection_id: Option<&'o str>,
    pub environment: Option<&'o str>,
    pub path: Option<&'o str>,
}

impl<'o> Object<'o> {
    /// Something in a folder of secrets.
    pub fn in_folder(folder: &'o Folder) -> Self {
        Self { environment: Some(&folder.environment), path: Some(&folder.path), ..Self::default() }
    }
}

/// A right that an identity lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    pub action: Action,
    pub scope: Scope,
}

/// Who makes a request.
#[derive(Clone, Debug)]
pub struct Caller {
    pub org_id: String,
    pub server: Server,
    pub connect_known: bool,
    pub denied: Vec<Denial>,
    /// The projects that it is a member of; `None` for all.
    pub member_of: Option<Vec<String>>,
}

/// The rights of a caller in one scope.
#[derive(Debug)]
pub struct Rights<'c> {
    caller: &'c Caller,
    project_id: Option<String>,
    /// A caller who is not a member has no rights at all.
    member: bool,
}

impl Caller {
    /// Who may do everything in the first organization.
    pub fn almighty(options: &Options) -> Self {
        Self {
            org_id: options.organizations[0].id.clone(),
            server: options.server,
            connect_known: true,
            denied: Vec::new(),
            member_of: None,
        }
    }

    pub fn is_member_of(&self, project_id: &str) -> bool {
        self.member_of.as_ref().is_none_or(|known| known.iter().any(|known| known == project_id))
    }

    /// The rights in an organization.
    ///
    /// # Errors
    /// Infisical's server refuses who has logged in to another organization. Hanzo's doesn't compare.
    pub fn in_organization(&self, org_id: &str) -> Result<Rights<'_>, Refusal> {
        if self.server == Server::Infisical && org_id != self.org_id {
            return Err(Refusal::forbidden("You are not allowed to access organization resource"));
        }
        Ok(Rights { caller: self, project_id: None, member: true })
    }

    /// The rights in a project.
    ///
    /// # Errors
    /// Infisical's server looks the project up and refuses who isn't a member; at Hanzo's such a caller simply has no
    /// rights, whether the project exists or not.
    pub fn in_project(&self, id: &str, projects: &[Project]) -> Result<Rights<'_>, Refusal> {
        self.rights_in_project(id, projects, None)
    }

    /// The rights to what only projects of one type have.
    ///
    /// # Errors
    /// As those of [`Caller::in_project`], and when the project is of another type.
    pub fn in_project_of_type(
        &self,
        id: &str,
        projects: &[Project],
        kind: &str,
    ) -> Result<Rights<'_>, Refusal> {
        self.rights_in_project(id, projects, Some(kind))
    }

    fn rights_in_project(
        &self,
        id: &str,
        projects: &[Project],
        kind: Option<&str>,
    ) -> Result<Rights<'_>, Refusal> {
        let project = projects.iter().find(|project| project.id == id);
        let listed = self.is_member_of(id);
        if self.server == Server::Infisical {
            let project =
                project.ok_or_else(|| Refusal::not_found(format!("Project with {id} not found")))?;
            if project.org_id != self.org_id {
                return Err(Refusal::forbidden(
                    "This project does not belong to your selected organization.",
                ));
            }
        }
        if let (Some(kind), Some(project)) = (kind, project)
            && project.kind != kind
        {
            return Err(Refusal::bad_request(format!(
                "The project is of type {}. Operations of type {kind} are not allowed.",
                project.kind
            )));
        }
        if self.server == Server::Infisical && !listed {
            return Err(Refusal::forbidden("You are not member of this project"));
        }
        Ok(Rights { caller: self, project_id: Some(id.into()), member: project.is_some() && listed })
    }

    /// The rights in the scope that a connection belongs to.
    ///
    /// # Errors
    /// As those of the scope.
    pub fn over(&self, connection: &AppConnection, projects: &[Project]) -> Result<Rights<'_>, Refusal> {
        match &connection.project_id {
            Some(project_id) => self.in_project(project_id, projects),
            None => self.in_organization(&connection.org_id),
        }
    }
}

impl Rights<'_> {
    pub fn is_member(&self) -> bool {
        self.member
    }

    pub fn server(&self) -> Server {
        self.caller.server
    }

    /// Whether the caller may do something, to one connection or, with `None`, to any at all.
    pub fn allow(&self, action: Action, connection_id: Option<&str>) -> bool {
        self.allow_on(action, Object { connection_id, ..Object::default() })
    }

    /// Whether the caller may do something to an object.
    pub fn allow_on(&self, action: Action, object: Object<'_>) -> bool {
        let covers = |scope: &Scope| match scope {
            Scope::Everywhere => true,
            Scope::Organization => self.project_id.is_none(),
            Scope::Project(denied) => self.project_id.as_ref() == Some(denied),
            Scope::Connection(denied) => object.connection_id == Some(denied),
            Scope::Environment(denied) => object.environment == Some(denied),
            Scope::Path(denied) => object.path == Some(denied),
        };
        let known = action != Action::Connect || self.caller.connect_known;
        let denied = self.caller.denied.iter().any(|denial| denial.action == action && covers(&denial.scope));
        known && self.member && !denied
    }

    /// # Errors
    /// A 403 that names the action and the subject, when the right is missing.
    pub fn require(&self, action: Action, connection_id: Option<&str>) -> Result<(), Refusal> {
        self.require_on(action, Object { connection_id, ..Object::default() })
    }

    /// # Errors
    /// As those of [`Rights::require`].
    pub fn require_on(&self, action: Action, object: Object<'_>) -> Result<(), Refusal> {
        if self.allow_on(action, object) {
            return Ok(());
        }
        let (verb, subject) = match action {
            Action::Read => ("read", "app-connections"),
            Action::Create => ("create", "app-connections"),
            Action::Edit => ("edit", "app-connections"),
            Action::Delete => ("delete", "app-connections"),
            Action::Connect if !self.caller.connect_known => ("undefined", "app-connections"),
            Action::Connect => ("connect", "app-connections"),
            Action::RotateCredentials => ("rotate-credentials", "app-connections"),
            Action::ReadSecret => ("readValue", "secrets"),
            Action::DescribeSecret => ("describeSecret", "secrets"),
            Action::ReadRotation => ("read", "secret-rotation"),
            Action::CreateRotation => ("create", "secret-rotation"),
            Action::EditRotation => ("edit", "secret-rotation"),
            Action::DeleteRotation => ("delete", "secret-rotation"),
            Action::RotateSecrets => ("rotate-secrets", "secret-rotation"),
            Action::ReadGeneratedCredentials => ("read-generated-credentials", "secret-rotation"),
        };
        Err(Refusal::permission_denied(verb, subject))
    }
}
