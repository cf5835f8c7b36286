//! Changes that others make at the KMS, within its rules.

use crate::{
    kms_emulator::{AppConnection, Credentials},
    model::{ACCOUNTS, DESCRIPTIONS, NAMES, SCOPES, TOKENS, URLS},
    steps::Edit,
    world::World,
};

impl World<'_> {
    pub fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::Describe { which, description } => {
                let description = DESCRIPTIONS[usize::from(description)].map(str::to_owned);
                self.change(which, |connection| connection.description = description);
            }
            Edit::Rename { which, name } => {
                let name = NAMES[usize::from(name)];
                let Some(connection) = self.nth(which) else { return };
                if self.is_free(name, connection.project_id.as_deref()) {
                    self.emulator.edit(&connection.id, |connection| connection.name = name.into());
                }
            }
            Edit::Credentials { which, url, account, token } => {
                let Some(connection) = self.nth(which) else { return };
                let written = Credentials::new(
                    URLS[usize::from(url)],
                    ACCOUNTS[usize::from(account)],
                    TOKENS[usize::from(token)],
                );
                self.emulator.write_credentials(&connection.id, |credentials| *credentials = written);
            }
            Edit::Delete { which } => {
                if let Some(connection) = self.nth(which).filter(|connection| !connection.in_use) {
                    self.emulator.delete(&connection.id);
                }
            }
            Edit::Make { name, scope, url, account } => {
                let credentials =
                    Credentials::new(URLS[usize::from(url)], ACCOUNTS[usize::from(account)], TOKENS[2]);
                let (name, scope) = (NAMES[usize::from(name)], SCOPES[usize::from(scope)]);
                self.make(name, scope, "dbt", &credentials);
            }
            Edit::MakeWanted { slot, url, account } => {
                let credentials =
                    Credentials::new(URLS[usize::from(url)], ACCOUNTS[usize::from(account)], TOKENS[2]);
                if let Some(place) = self.slot(slot).config.map(|config| config.place()) {
                    self.make(&place.name, place.scope.as_deref(), "dbt", &credentials);
                }
            }
            Edit::MakeOther { name, scope } => {
                let (name, scope) = (NAMES[usize::from(name)], SCOPES[usize::from(scope)]);
                self.make(name, scope, "github", &Credentials::new(URLS[0], ACCOUNTS[0], TOKENS[2]));
            }
            Edit::Use { which, used } => {
                if let Some(connection) = self.nth(which) {
                    let mut state = self.emulator.state();
                    let mut all = state.connections.iter_mut();
                    if let Some(found) = all.find(|one| one.id == connection.id) {
                        found.in_use = used;
                    }
                }
            }
        }
    }

    fn change(&mut self, which: u8, change: impl FnOnce(&mut AppConnection)) {
        if let Some(connection) = self.nth(which) {
            self.emulator.edit(&connection.id, change);
        }
    }

    fn make(&mut self, name: &str, scope: Option<&str>, app: &str, credentials: &Credentials) {
        if !self.is_free(name, scope) {
            return;
        }
        let id = self.emulator.create(name, scope, credentials);
        if let Some(made) = self.emulator.state().connections.iter_mut().find(|one| one.id == id) {
            made.app = app.into();
        }
        self.foreign.insert(id);
    }

    fn is_free(&self, name: &str, scope: Option<&str>) -> bool {
        let taken = |one: &AppConnection| one.name == name && one.project_id.as_deref() == scope;
        !self.emulator.connections().iter().any(taken)
    }
}
