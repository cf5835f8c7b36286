//! The directory that holds the things, each in a file that is called by its ID.
//!
//! A test changes a thing behind Terraform's back through files beside it: `ID.note` and `ID.realm` hold other values for
//! these two.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, RwLock},
};

use terraform_provider_kms::plugin::{
    diagnostics::Diagnostics,
    model::{AttributeType as _, Field, Model as _},
    value::Value,
};

use crate::thing::Thing;

#[derive(Clone, Default)]
pub struct Store(Arc<RwLock<Option<PathBuf>>>);

impl Store {
    pub fn open(&self, directory: String) {
        *self.0.write().unwrap() = Some(directory.into());
    }

    fn directory(&self) -> Result<PathBuf, Diagnostics> {
        let directory = self.0.read().unwrap().clone();
        directory.ok_or_else(|| {
            Diagnostics::from_error("No directory", "Set \"directory\" in the provider block.")
        })
    }

    /// An ID that no thing has yet.
    pub fn new_id(&self) -> Result<String, Diagnostics> {
        let directory = self.directory()?;
        Ok((1..).map(|number| format!("t-{number}")).find(|id| !directory.join(id).exists()).unwrap())
    }

    pub fn save(&self, thing: &Thing) -> Result<(), Diagnostics> {
        let bytes = thing.clone().into_value().without_unknown().to_msgpack();
        fs::write(self.directory()?.join(thing.id.text()), bytes)
            .map_err(|error| Diagnostics::from_error("Thing can't be written", error.to_string()))
    }

    pub fn load(&self, id: &str) -> Result<Option<Thing>, Diagnostics> {
        let directory = self.directory()?;
        let Ok(bytes) = fs::read(directory.join(id)) else { return Ok(None) };
        let value = Value::from_msgpack(&bytes, Thing::schema("").value_type()).unwrap();
        let mut thing = Thing::from_value(value).unwrap();
        if let Ok(note) = fs::read_to_string(directory.join(format!("{id}.note"))) {
            thing.note = Field::Known(note);
        }
        if let Ok(realm) = fs::read_to_string(directory.join(format!("{id}.realm"))) {
            thing.realm = Field::Known(realm);
        }
        Ok(Some(thing))
    }

    pub fn remove(&self, id: &str) -> Result<(), Diagnostics> {
        let _ = fs::remove_file(self.directory()?.join(id));
        Ok(())
    }

    /// All things, by ID.
    pub fn all(&self) -> Result<Vec<Thing>, Diagnostics> {
        let entries = fs::read_dir(self.directory()?).into_iter().flatten();
        let mut ids: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| !name.contains('.'))
            .collect();
        ids.sort();
        ids.iter().filter_map(|id| self.load(id).transpose()).collect()
    }
}
