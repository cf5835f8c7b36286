//! `kms_project`: a project of the KMS, so that configurations name it by its slug and not by its ID.

use std::collections::BTreeMap;

use crate::{
    kms::{Project, ProjectKey},
    model,
    plugin::{
        context::Context,
        data_source::DataSource,
        diagnostics::Diagnostics,
        model::{AttributeType as _, Field, Model as _},
        schema::{Schema, computed, optional_computed},
    },
    provider::{
        access::Access,
        messages::{arguments, attribute_map::AttributeMap, failures, lifecycle::quoted},
        redaction, rules,
    },
};

model! {
    /// A project.
    pub struct ProjectData {
        /// Slug of the project, unique in the organization. Set this or `id`.
        slug: String = optional_computed().rule(rules::slug),
        /// ID of the project. Set this or `slug`.
        id: String = optional_computed().rule(rules::known_project_id),
        /// Name of the project.
        name: String = computed(),
        /// Description of the project.
        description: String = computed(),
        /// Type of the project, such as `secret-manager`. Null if the server does not return a type.
        r#type: String = computed(),
        /// ID of the organization.
        org_id: String = computed(),
        /// Names of the project's environments, by slug.
        environments: BTreeMap<String, String> = computed(),
    }
}

/// The data source type.
pub(in crate::provider) struct ProjectDataSource {
    access: Access,
}

impl ProjectDataSource {
    pub(in crate::provider) fn new(access: Access) -> Self {
        Self { access }
    }
}

impl DataSource for ProjectDataSource {
    type Model = ProjectData;

    fn schema(&self) -> Schema {
        ProjectData::schema(
            "Looks up a KMS project by slug or ID, for arguments that take a project ID. All data sources with the same slug \
             or ID share one request per plan or apply.",
        )
    }

    fn validate(&self, config: &ProjectData, diagnostics: &mut Diagnostics) {
        if config.slug.is_null() && config.id.is_null() {
            arguments::neither("slug", "id", diagnostics);
        } else if config.slug.known().is_some() && config.id.known().is_some() {
            arguments::conflict("id", "slug", diagnostics);
        }
    }

    async fn read(&self, cx: &mut Context, config: ProjectData) -> Result<ProjectData, Diagnostics> {
        let operation = self.access.operation(cx)?;
        let (key, task, attribute) = match config.id.as_str() {
            Some(id) => (ProjectKey::Id(id.to_owned()), format!("read the project {id}"), "id"),
            None => {
                let slug = config.slug.text();
                (ProjectKey::Slug(slug.to_owned()), format!("find the project \"{slug}\""), "slug")
            }
        };
        let result = operation.project(&key).await;
        failures::note_waiting(&operation, &mut cx.diagnostics);
        let attributes =
            AttributeMap { project: Some(attribute), fields: &[("slug", "")], ..AttributeMap::NONE };
        let project = result.map_err(|error| failures::failure(&task, &error, attributes))?;
        let data = found(project, config);
        let what = format!("the project {}", quoted(data.slug.text()));
        redaction::warn(&what, &data.clone().into_value(), &mut cx.diagnostics);
        Ok(data)
    }
}

/// What the configuration sets stays as it is, whatever the server's spelling.
fn found(project: Project, config: ProjectData) -> ProjectData {
    let configured_or = |field: Field<String>, shown: String| match field {
        Field::Known(text) => Field::Known(text),
        _ => Field::Known(shown),
    };
    let environments = project.environments.into_iter();
    ProjectData {
        slug: configured_or(config.slug, project.slug),
        id: configured_or(config.id, project.id),
        name: Field::Known(project.name),
        description: project.description.into(),
        r#type: project.kind.into(),
        org_id: Field::Known(project.org_id),
        environments: Field::Known(environments.map(|it| (it.slug, it.name)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::Environment;

    #[test]
    fn what_is_found_is_shown_beside_what_is_configured() {
        let environment =
            |slug: &str, name: &str| Environment { slug: slug.to_owned(), name: name.to_owned() };
        let project = Project {
            id: "a1".to_owned(),
            slug: "analytics".to_owned(),
            name: "Analytics".to_owned(),
            description: Some("Of all teams.".to_owned()),
            kind: None,
            org_id: "org-1".to_owned(),
            environments: vec![environment("prod", "Production"), environment("dev", "Development")],
        };
        let config = ProjectData { id: Field::Known("A1".to_owned()), ..ProjectData::default() };
        let data = found(project, config);
        assert_eq!((data.id.text(), data.slug.text()), ("A1", "analytics"));
        assert_eq!((data.description.text(), data.r#type), ("Of all teams.", Field::Null));
        let names = [("dev", "Development"), ("prod", "Production")];
        let names = names.map(|(slug, name)| (slug.to_owned(), name.to_owned()));
        assert_eq!(data.environments, Field::Known(names.into()));
    }
}
