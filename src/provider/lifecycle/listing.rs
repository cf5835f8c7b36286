//! Finding many objects: the data source that lists them, and the list resource that finds them for `terraform query`.

use std::{collections::BTreeMap, marker::PhantomData};

use super::{
    lookup::{shown_attributes, shown_value},
    object::{ManagedObject, ObjectModel as _, ObjectOf},
    resource::{ObjectIdentity, ObjectResource},
};
use crate::{
    kms::{ListScope, Object, Scope},
    model,
    plugin::{
        context::Context,
        data_source::DataSource,
        diagnostics::Diagnostics,
        list_resource::{Found, FoundSender, ListResource},
        model::{AttributeType, Attributes, Field, Model},
        schema::{Attribute, Kind, Nesting, Schema, computed, optional, required},
        value::{CodecError, Value},
    },
    provider::{
        access::Access,
        messages::{arguments, attribute_map::AttributeMap, failures},
        redaction, rules,
    },
};

model! {
    /// Where to look for objects.
    pub struct Search {
        /// ID of the project to search. If not set, only the organization itself is searched, not its projects.
        project_id: String = optional().rule(rules::project_id),
        /// Whether to list everything in the organization, including what belongs to its projects. The KMS checks
        /// only the machine identity's permission to read app connections in the organization, so the result includes
        /// projects of which the identity is not a member. Default: `false`.
        all_projects: bool = optional(),
        /// Only return objects whose names start with this prefix.
        name_prefix: String = optional(),
    }
}

impl Search {
    /// The attributes that a kind of object has use for.
    fn attributes_for<T: ManagedObject>() -> Vec<Attribute> {
        let mut attributes = Self::attributes();
        if !ObjectOf::<T>::HAS_LIST_OF_ALL {
            attributes.retain(|attribute| attribute.name != "all_projects");
            for project in attributes.iter_mut().filter(|attribute| attribute.name == "project_id") {
                project.usage = required().usage;
                project.description = "ID of the project to search.".to_owned();
            }
        }
        attributes
    }

    fn validate(&self, diagnostics: &mut Diagnostics) {
        if self.project_id.known().is_some() && self.all_projects.known() == Some(&true) {
            arguments::conflict("project_id", "all_projects", diagnostics);
        }
    }

    /// All objects that are found, sorted by name.
    ///
    /// # Errors
    /// The KMS doesn't list them. An unknown project is an error on the attribute `project_id`.
    async fn run<T: ManagedObject>(
        &self,
        access: &Access,
        cx: &mut Context,
    ) -> Result<Vec<T::Model>, Diagnostics> {
        let operation = access.operation(cx)?;
        let scope = match (self.project_id.as_str(), self.all_projects.known()) {
            (Some(id), _) => ListScope::Project(id),
            (None, Some(true)) => ListScope::All,
            (None, _) => ListScope::Organization,
        };
        let result = operation.list::<ObjectOf<T>>(scope).await;
        failures::note_waiting(&operation, &mut cx.diagnostics);
        let attributes = AttributeMap { project: Some("project_id"), ..T::ATTRIBUTES };
        let task = format!("list the {}s", T::NOUN);
        // The list of everything needs permissions in the organization only.
        let scope = self.project_id.as_str().map_or(Scope::Organization, Scope::Project);
        let list = result.map_err(|error| failures::failure_in(&task, &error, attributes, scope))?;
        if list.unreadable > 0 {
            arguments::incomplete_list(list.unreadable, T::NOUN, &mut cx.diagnostics);
        }
        let prefix = self.name_prefix.text();
        let found = list.objects.iter().map(T::Model::found);
        let mut found: Vec<_> = found.filter(|found| found.name().text().starts_with(prefix)).collect();
        // The server sorts by its own rules; plans must not depend on those.
        found.sort_by(|a, b| (a.name().text(), a.id().text()).cmp(&(b.name().text(), b.id().text())));
        let values = found.iter().cloned().map(shown_value::<T>).collect();
        redaction::warn(&format!("the listed {}s", T::NOUN), &Value::Sequence(values), &mut cx.diagnostics);
        Ok(found)
    }
}

/// What the data source holds: where it looked, and the objects.
#[derive(Clone, Debug)]
pub struct Objects<T: ManagedObject> {
    search: Search,
    found: Vec<T::Model>,
}

impl<T: ManagedObject> Model for Objects<T> {
    fn attributes() -> Vec<Attribute> {
        let mut attributes = Search::attributes_for::<T>();
        attributes.retain(|attribute| attribute.name != "name_prefix");
        attributes.push(Attribute {
            name: T::MANY,
            description: format!("The {}s, sorted by name.", T::NOUN),
            kind: Kind::Nested(Nesting::List, shown_attributes::<T>()),
            ..computed()
        });
        attributes
    }
}

impl<T: ManagedObject> AttributeType for Objects<T> {
    fn kind() -> Kind {
        Kind::Nested(Nesting::Single, Self::attributes())
    }

    fn from_value(value: Value) -> Result<Self, CodecError> {
        let mut attributes = Attributes::of(value)?;
        let search = Search {
            project_id: attributes.take("project_id")?,
            all_projects: attributes.take("all_projects")?,
            name_prefix: Field::Null,
        };
        Ok(Self { search, found: Vec::new() })
    }

    fn into_value(self) -> Value {
        let found = self.found.into_iter().map(shown_value::<T>).collect();
        let mut value = BTreeMap::from([
            ("project_id".into(), self.search.project_id.into_value()),
            (T::MANY.into(), Value::Sequence(found)),
        ]);
        if ObjectOf::<T>::HAS_LIST_OF_ALL {
            value.insert("all_projects".into(), self.search.all_projects.into_value());
        }
        Value::Map(value)
    }
}

/// The data source type that lists objects.
pub struct ObjectsDataSource<T> {
    access: Access,
    kind: PhantomData<fn(T)>,
}

impl<T: ManagedObject> ObjectsDataSource<T> {
    pub fn new(access: Access) -> Self {
        Self { access, kind: PhantomData }
    }
}

impl<T: ManagedObject> DataSource for ObjectsDataSource<T> {
    type Model = Objects<T>;

    fn schema(&self) -> Schema {
        Objects::<T>::schema(format!("Lists the {}s of {}.", T::NOUN, scopes::<T>()))
    }

    fn validate(&self, config: &Objects<T>, diagnostics: &mut Diagnostics) {
        config.search.validate(diagnostics);
    }

    async fn read(&self, cx: &mut Context, config: Objects<T>) -> Result<Objects<T>, Diagnostics> {
        let found = config.search.run::<T>(&self.access, cx).await?;
        Ok(Objects { found, ..config })
    }
}

/// What can be searched, in words.
fn scopes<T: ManagedObject>() -> &'static str {
    if ObjectOf::<T>::HAS_LIST_OF_ALL {
        "a project, of the organization itself, or of the organization and all its projects"
    } else {
        "a project"
    }
}

/// The list resource type.
pub struct ObjectList<T> {
    access: Access,
    kind: PhantomData<fn(T)>,
}

impl<T: ManagedObject> ObjectList<T> {
    pub fn new(access: Access) -> Self {
        Self { access, kind: PhantomData }
    }
}

impl<T: ManagedObject> ListResource for ObjectList<T> {
    type Config = Search;
    type Resource = ObjectResource<T>;

    fn schema(&self) -> Schema {
        Schema::new(
            format!(
                "Finds the {}s of {}, for example those created in the browser. `terraform query` generates the \
                 configuration that imports them.",
                T::NOUN,
                scopes::<T>()
            ),
            Search::attributes_for::<T>(),
        )
    }

    fn validate(&self, config: &Search, diagnostics: &mut Diagnostics) {
        config.validate(diagnostics);
    }

    async fn list(
        &self,
        cx: &mut Context,
        config: Search,
        mut found: FoundSender<ObjectResource<T>>,
    ) -> Result<(), Diagnostics> {
        for state in config.run::<T>(&self.access, cx).await? {
            let identity = ObjectIdentity { id: state.id().clone() };
            let display_name = state.name().text().to_owned();
            if !found.send(Found { display_name, identity, state }).await {
                break;
            }
        }
        Ok(())
    }
}
