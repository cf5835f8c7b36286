//! The operations on app connections, with the server's order of checks.

use serde_json::{Value, json};

use super::{
    answer::Refusal,
    rights::{Action, Caller},
    rotation_rules::fits_description,
    state::{AppConnection, State},
    validation::{CreateBody, UpdateBody},
};

impl State {
    pub fn create(&mut self, caller: &Caller, body: CreateBody) -> Result<Value, Refusal> {
        match &body.project_id {
            // An empty text is falsy, so the organization's right counts.
            Some(project_id) if !project_id.is_empty() => {
                self.existing_project(project_id)?;
                caller.in_project(project_id, &self.projects)?.require(Action::Create, None)?;
            }
            _ => caller.in_organization(&caller.org_id)?.require(Action::Create, None)?,
        }
        self.dbt.check(&body.credentials)?;
        storable(body.description.as_deref(), "Create")?;
        self.check_name_free(&caller.org_id, &body.name, body.project_id.as_deref(), None)?;
        if body.project_id.as_deref() == Some("") {
            // There is no such project for the foreign key.
            return Err(Refusal::database("Create"));
        }
        let (description, project_id) = (body.description.as_deref(), body.project_id.as_deref());
        let created =
            self.insert(&body.name, description, project_id, &caller.org_id, &body.credentials).clone();
        Ok(json!({"appConnection": self.to_json(&created, false)}))
    }

    pub fn update(&mut self, caller: &Caller, id: &str, body: UpdateBody) -> Result<Value, Refusal> {
        let found = self.find(id)?.clone();
        caller.in_organization(&found.org_id)?;
        caller.over(&found, &self.projects)?.require(Action::Edit, Some(&found.id))?;
        if found.platform_managed && (body.platform_managed == Some(false) || body.credentials.is_some()) {
            return Err(Refusal::bad_request(
                "Cannot update credentials or management status for platform managed connections",
            ));
        }
        if let Some(credentials) = &body.credentials {
            if found.app != "dbt" {
                return Err(Refusal::bad_request(format!(
                    "Invalid credential format for {} Connection with method API Token",
                    found.app
                )));
            }
            self.dbt.check(credentials)?;
        }
        storable(body.description.as_ref().and_then(Option::as_deref), "Update by id")?;
        if let Some(name) = &body.name {
            self.check_name_free(&found.org_id, name, found.project_id.as_deref(), Some(&found.id))?;
        }
        let updated = self.write(&found.id, |connection, sealer| {
            if let Some(name) = body.name {
                connection.name = name;
            }
            if let Some(description) = body.description {
                connection.description = description;
            }
            if let Some(credentials) = body.credentials {
                connection.credentials = sealer.seal(&credentials);
            }
        });
        // A replica may still have had it.
        let updated = updated.cloned().ok_or_else(Refusal::internal)?;
        if updated.app != "dbt" {
            // The app isn't compared, so the change was made; only the answer doesn't fit its form.
            return Err(Refusal::internal());
        }
        Ok(json!({"appConnection": self.to_json(&updated, false)}))
    }

    pub fn delete(&mut self, caller: &Caller, id: &str) -> Result<Value, Refusal> {
        let connection = self.find(id)?.clone();
        caller.over(&connection, &self.projects)?.require(Action::Delete, Some(&connection.id))?;
        of_dbt(&connection, "ID", id)?;
        if connection.in_use || self.rotations.iter().any(|rotation| rotation.connection_id == connection.id)
        {
            return Err(Refusal::bad_request(
                "Cannot delete App Connection with existing connections. Remove all existing connections and try again.",
            ));
        }
        let before = self.connections.len();
        self.connections.retain(|other| other.id != connection.id);
        if self.connections.len() == before {
            return Err(Refusal::internal());
        }
        Ok(json!({"appConnection": self.to_json(&connection, false)}))
    }

    pub fn get(&self, caller: &Caller, id: &str) -> Result<Value, Refusal> {
        let connection = self.find(id)?;
        caller.over(connection, &self.projects)?.require(Action::Read, Some(&connection.id))?;
        of_dbt(connection, "ID", id)?;
        Ok(json!({"appConnection": self.to_json(connection, false)}))
    }

    pub fn get_by_name(
        &self,
        caller: &Caller,
        name: &str,
        project_id: Option<&str>,
    ) -> Result<Value, Refusal> {
        let scope = if project_id.is_some() { "project" } else { "organization" };
        let connection = self
            .in_scope(&caller.org_id, project_id)
            .find(|connection| connection.name == name)
            .ok_or_else(|| {
                let message = format!("Could not find App Connection with name {name} in {scope} scope.");
                Refusal::not_found(message)
            })?;
        caller.over(connection, &self.projects)?.require(Action::Read, Some(&connection.id))?;
        of_dbt(connection, "name", name)?;
        Ok(json!({"appConnection": self.to_json(connection, false)}))
    }

    /// With a project, its connections; without, all of the organization, those of its projects included.
    pub fn list(&self, caller: &Caller, project_id: Option<&str>) -> Result<Value, Refusal> {
        let rights = match project_id {
            Some(project_id) => caller.in_project(project_id, &self.projects)?,
            None => caller.in_organization(&caller.org_id)?,
        };
        rights.require(Action::Read, None)?;
        let found = self.seen().iter().filter(|connection| match project_id {
            Some(_) => connection.project_id.as_deref() == project_id,
            None => connection.org_id == caller.org_id,
        });
        let found = found
            .filter(|connection| connection.app == "dbt" && rights.allow(Action::Read, Some(&connection.id)));
        let shown = self.sorted(found).into_iter().map(|connection| self.to_json(connection, true));
        Ok(json!({"appConnections": shown.collect::<Vec<_>>()}))
    }

    /// Those of the organization that the caller may connect with, and those of a project.
    pub fn available(&self, caller: &Caller, project_id: Option<&str>) -> Result<Value, Refusal> {
        let rights = caller.in_organization(&caller.org_id)?;
        let of_organization = self
            .in_scope(&caller.org_id, None)
            .filter(|connection| rights.allow(Action::Connect, Some(&connection.id)));
        let mut found: Vec<_> = of_organization.collect();
        if let Some(project_id) = project_id {
            self.existing_project(project_id)?;
            let rights = caller.in_project(project_id, &self.projects)?;
            rights.require(Action::Connect, None)?;
            let of_project = self
                .in_scope(&caller.org_id, Some(project_id))
                .filter(|connection| rights.allow(Action::Connect, Some(&connection.id)));
            found.extend(of_project);
        }
        let found = found.into_iter().filter(|connection| connection.app == "dbt");
        let found = self.sorted(found).into_iter().map(|connection| {
            json!({
                "app": connection.app,
                "name": connection.name,
                "id": connection.id,
                "projectId": connection.project_id,
                "orgId": connection.org_id,
            })
        });
        Ok(json!({"appConnections": found.collect::<Vec<_>>()}))
    }

    /// dbt connections have no rotation of their own credentials, so there is nothing to rotate.
    pub fn rotate_credentials(&self, caller: &Caller, id: &str) -> Result<Value, Refusal> {
        let connection = self.find(id)?;
        of_dbt(connection, "ID", id)?;
        caller.over(connection, &self.projects)?.require(Action::RotateCredentials, Some(&connection.id))?;
        Err(Refusal::not_found("Credential rotation is not configured for this connection"))
    }

    /// The dbt projects that the stored credentials see.
    pub fn dbt_projects(&self, caller: &Caller, id: &str) -> Result<Value, Refusal> {
        let connection = self.connect(caller, id)?;
        let projects = self.dbt.projects(&self.sealer.open(&connection.credentials))?;
        Ok(json!({"projects": projects.iter().map(|project| project.to_json()).collect::<Vec<_>>()}))
    }

    /// The connection, for who may call dbt through it.
    pub fn connect(&self, caller: &Caller, id: &str) -> Result<&AppConnection, Refusal> {
        let connection = self.find(id)?;
        caller.over(connection, &self.projects)?.require(Action::Connect, Some(&connection.id))?;
        if connection.app != "dbt" {
            return Err(Refusal::bad_request(format!(
                "{} Connection with ID {id} cannot be used to connect to DBT",
                connection.app
            )));
        }
        Ok(connection)
    }

    /// The server looks a connection up by its id alone, whoever asks.
    pub fn find(&self, id: &str) -> Result<&AppConnection, Refusal> {
        let found = self.seen().iter().find(|connection| connection.id.eq_ignore_ascii_case(id));
        found.ok_or_else(|| Refusal::not_found(format!("Could not find App Connection with ID {id}")))
    }

    fn in_scope<'s>(
        &'s self,
        org_id: &'s str,
        project_id: Option<&'s str>,
    ) -> impl Iterator<Item = &'s AppConnection> {
        in_scope(self.seen(), org_id, project_id)
    }

    fn sorted<'s>(&self, found: impl Iterator<Item = &'s AppConnection>) -> Vec<&'s AppConnection> {
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(|connection| {
            let name = connection.name.to_lowercase();
            if self.options.lists_ignore_hyphens { name.replace('-', "") } else { name }
        });
        found
    }

    /// Names are unique in a scope, across all apps.
    fn check_name_free(
        &self,
        org_id: &str,
        name: &str,
        project_id: Option<&str>,
        except: Option<&str>,
    ) -> Result<(), Refusal> {
        let taken =
            |connection: &AppConnection| connection.name == name && except != Some(connection.id.as_str());
        if in_scope(&self.connections, org_id, project_id).any(taken) {
            return Err(Refusal::bad_request(format!(
                "An App Connection with the name \"{name}\" already exists"
            )));
        }
        Ok(())
    }
}

fn in_scope<'s>(
    connections: &'s [AppConnection],
    org_id: &'s str,
    project_id: Option<&'s str>,
) -> impl Iterator<Item = &'s AppConnection> {
    connections.iter().filter(move |connection| {
        connection.project_id.as_deref() == project_id
            && (project_id.is_some() || connection.org_id == org_id)
    })
}

/// The id or the name is given back as it came.
fn of_dbt(connection: &AppConnection, called: &str, as_given: &str) -> Result<(), Refusal> {
    if connection.app == "dbt" {
        return Ok(());
    }
    Err(Refusal::bad_request(format!("App Connection with {called} {as_given} is not for App \"dbt\"")))
}

/// Whether the database can store a description.
fn storable(description: Option<&str>, operation: &'static str) -> Result<(), Refusal> {
    if fits_description(description) { Ok(()) } else { Err(Refusal::database(operation)) }
}
