//! Projects, and the cache of those that were read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Deserialize;

use super::{
    error::Error,
    redact::Redactor,
    request::Request,
    route_family::{Either, KnownFamily},
    shared_read::SharedRead,
};

/// A project of the KMS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// The ID.
    pub id: String,
    /// The slug, unique in the organization.
    pub slug: String,
    /// The name.
    pub name: String,
    /// The description.
    pub description: Option<String>,
    /// The server's product that the project belongs to, such as `secret-manager`. Older servers don't return it.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The organization's ID.
    pub org_id: String,
    /// The environments, in the server's order.
    pub environments: Vec<Environment>,
}

/// An environment of a project.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Environment {
    /// The slug, unique in the project.
    pub slug: String,
    /// The name.
    pub name: String,
}

impl Project {
    /// The project without secrets in its texts, which end up in states and in messages.
    pub(super) fn cleaned(mut self, redactor: &Redactor) -> Self {
        let Self { id, slug, name, description, kind, org_id, environments } = &mut self;
        let of_environments = environments.iter_mut().flat_map(|Environment { slug, name }| [slug, name]);
        let texts =
            [id, slug, name, org_id].into_iter().chain(description).chain(kind).chain(of_environments);
        texts.for_each(|text| redactor.hide(text));
        self
    }
}

/// The key of a project.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ProjectKey {
    /// Its ID.
    Id(String),
    /// Its slug.
    Slug(String),
}

impl ProjectKey {
    pub(super) fn requests(&self) -> Result<Either, Error> {
        let (newer, older, value) = match self {
            Self::Id(id) => ("/api/v1/projects/:id", "/api/v1/workspace/:id", id),
            Self::Slug(slug) => ("/api/v1/projects/slug/:slug", "/api/v2/workspace/:slug", slug),
        };
        Ok(Either { newer: Request::get(newer, &[value])?, older: Request::get(older, &[value])? })
    }

    pub(super) fn is_of(&self, project: &Project) -> bool {
        match self {
            Self::Id(id) => project.id.eq_ignore_ascii_case(id),
            Self::Slug(slug) => project.slug == *slug,
        }
    }
}

/// The response to a read by ID.
#[derive(Deserialize)]
pub(super) struct ProjectById {
    #[serde(alias = "workspace")]
    pub(super) project: Project,
}

/// The projects that a client has read.
#[derive(Default)]
pub(super) struct Projects {
    pub(super) family: KnownFamily,
    reads: Mutex<HashMap<ProjectKey, Arc<SharedRead<Project>>>>,
}

impl Projects {
    /// The shared read of the project with this key.
    pub(super) fn read(&self, key: &ProjectKey) -> Arc<SharedRead<Project>> {
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(reads.entry(key.clone()).or_default())
    }
}
