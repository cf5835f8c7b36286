//! A complete resource type: a text file, which Terraform creates, reads, deletes and imports.

use std::{fs, io};

use super::{
    context::Context,
    diagnostics::Diagnostics,
    model::{Field, Model as _},
    resource::{Create, ImportKey, Read, Resource, Stored},
    schema::{Schema, required},
};
use crate::model;

model! {
    /// A text file.
    pub struct File {
        /// Where the file is.
        path: String = required().requires_replace(),
        /// Text in the file.
        text: String = required().requires_replace(),
    }
}

pub struct Files;

impl Resource for Files {
    type Model = File;
    type Identity = ();

    fn schema(&self) -> Schema {
        File::schema("A text file on the machine that runs Terraform.")
    }

    fn identity(&self, _: &File) {}

    async fn create(&self, _: &mut Context, create: Create<File>) -> Result<Stored<File>, Diagnostics> {
        fs::write(create.planned.path.text(), create.planned.text.text()).map_err(failed)?;
        Ok(Stored::new(create.planned))
    }

    async fn read(&self, _: &mut Context, read: Read<File>) -> Result<Option<Stored<File>>, Diagnostics> {
        match fs::read_to_string(read.prior.state.path.text()) {
            Ok(text) => Ok(Some(Stored::new(File { text: Field::Known(text), ..read.prior.state }))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    async fn delete(&self, _: &mut Context, prior: Stored<File>) -> Result<(), Diagnostics> {
        fs::remove_file(prior.state.path.text()).map_err(failed)
    }

    async fn import(&self, _: &mut Context, key: ImportKey<()>) -> Result<Stored<File>, Diagnostics> {
        Ok(Stored::new(File { path: Field::Known(key.into_id()), ..File::default() }))
    }
}

fn failed(error: io::Error) -> Diagnostics {
    Diagnostics::from_error("File can't be accessed", error.to_string())
}
