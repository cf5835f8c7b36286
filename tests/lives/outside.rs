//! Changes that others make at the KMS, within its rules.

use kms_emulator::{
    Credentials, DbtRefusal,
    rights::Caller,
    rotation_rules::{self, UpdateRotation},
};

use crate::{
    model::{ACCOUNTS, Block, DESCRIPTIONS, Kept, NAMES, Place, SCOPES, TOKENS, URLS},
    rotation::RotationConfig,
    steps::Edit,
    world::World,
};

impl World<'_> {
    pub fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::Describe { which, description } => {
                let description = DESCRIPTIONS[usize::from(description)].map(str::to_owned);
                match self.nth(which) {
                    Some(Kept::Connection(one, _)) => {
                        self.emulator.edit(&one.id, |one| one.description = description);
                    }
                    Some(Kept::Rotation(one)) => {
                        self.emulator.edit_rotation(&one.id, |one| one.description = description);
                    }
                    None => {}
                }
            }
            Edit::Rename { which, name } => {
                let name = NAMES[usize::from(name)];
                let Some(kept) = self.nth(which) else { return };
                if !self.is_free(&Place { name: name.into(), ..kept.place() }) {
                    return;
                }
                match kept {
                    Kept::Connection(one, _) => self.emulator.edit(&one.id, |one| one.name = name.into()),
                    Kept::Rotation(one) => {
                        self.emulator.edit_rotation(&one.id, |one| one.name = name.into());
                    }
                }
            }
            Edit::Credentials { which, url, account, token } => {
                let Some(Kept::Connection(connection, _)) = self.nth(which) else { return };
                let written = Credentials::new(
                    URLS[usize::from(url)],
                    ACCOUNTS[usize::from(account)],
                    TOKENS[usize::from(token)],
                );
                self.emulator.write_credentials(&connection.id, |credentials| *credentials = written);
            }
            Edit::Delete { which } => match self.nth(which).filter(|kept| !kept.is_in_use()) {
                Some(Kept::Connection(connection, _)) => self.emulator.delete(&connection.id),
                Some(Kept::Rotation(rotation)) => {
                    self.emulator.delete_rotation(&rotation.id);
                    self.leftovers.keep_all(&rotation.id);
                }
                None => {}
            },
            Edit::MakeRotation { config } => self.make_rotation(&config),
            Edit::Reconfigure { which, config } => self.reconfigure(which, &config),
            Edit::Rotate { which } => {
                if let Some(Kept::Rotation(rotation)) = self.nth(which) {
                    self.emulator.rotate_by_clock(&rotation.id);
                }
            }
            Edit::Refuse { create, delete } => {
                let refusal = |refuses: bool| {
                    refuses.then(|| DbtRefusal { status: 403, reason: "Not an owner.".into() })
                };
                let mut state = self.emulator.state();
                state.dbt.refuses_to_create = refusal(create);
                state.dbt.refuses_to_delete = refusal(delete);
            }
            Edit::FailToStore { fails } => self.emulator.state().options.fails_to_store_rotations = fails,
            Edit::Make { name, scope, url, account } => {
                let credentials =
                    Credentials::new(URLS[usize::from(url)], ACCOUNTS[usize::from(account)], TOKENS[2]);
                let (name, scope) = (NAMES[usize::from(name)], SCOPES[usize::from(scope)]);
                self.make(name, scope, "dbt", &credentials);
            }
            Edit::MakeWanted { slot, url, account } => {
                let credentials =
                    Credentials::new(URLS[usize::from(url)], ACCOUNTS[usize::from(account)], TOKENS[2]);
                match self.slot(slot).config {
                    Some(Block::Connection(config)) => {
                        let place = config.place();
                        self.make(&place.name, place.scope.as_deref(), "dbt", &credentials);
                    }
                    Some(Block::Rotation(config)) => {
                        self.make_rotation(&RotationConfig { connection: account, grants: url, ..config });
                    }
                    None => {}
                }
            }
            Edit::MakeOther { name, scope } => {
                let (name, scope) = (NAMES[usize::from(name)], SCOPES[usize::from(scope)]);
                self.make(name, scope, "github", &Credentials::new(URLS[0], ACCOUNTS[0], TOKENS[2]));
            }
            Edit::Use { which, used } => {
                if let Some(Kept::Connection(connection, _)) = self.nth(which) {
                    let mut state = self.emulator.state();
                    let mut all = state.connections.iter_mut();
                    if let Some(found) = all.find(|one| one.id == connection.id) {
                        found.in_use = used;
                    }
                }
            }
        }
    }

    fn reconfigure(&mut self, which: u8, config: &RotationConfig) {
        let Some(Kept::Rotation(rotation)) = self.nth(which) else { return };
        let mut state = self.emulator.state();
        let caller = Caller::almighty(&state.options);
        let body = config.body().into();
        let wanted = rotation_rules::create(Some(&body), state.options.name_rule).expect("a good body");
        let change = UpdateRotation {
            description: Some(wanted.description),
            auto: Some(wanted.auto),
            interval: Some(wanted.interval),
            rotate_at: Some(wanted.rotate_at),
            parameters: Some(wanted.parameters),
            secret_name: Some(wanted.secret_name),
            name: None,
        };
        // The KMS may refuse it, for the secret's name.
        let _ = state.update_rotation(&caller, &rotation.id, change);
    }

    /// Makes a rotation, if the KMS and dbt allow it.
    fn make_rotation(&mut self, config: &RotationConfig) {
        let state = self.emulator.state();
        let is_good = state.dbt.refuses_to_create.is_none()
            && !state.options.fails_to_store_rotations
            && state.secret_value(&config.folder(), &config.secret()).is_none();
        drop(state);
        // A replica that lags may not show the connection yet.
        if is_good
            && self.is_free(&config.place())
            && let Ok(id) = self.emulator.try_to_create_rotation(&config.body().into())
        {
            self.foreign.insert(id);
        }
    }

    fn make(&mut self, name: &str, scope: Option<&str>, app: &str, credentials: &Credentials) {
        if !self.is_free(&Place { name: name.into(), scope: scope.map(str::to_owned) }) {
            return;
        }
        let id = self.emulator.create(name, scope, credentials);
        if let Some(made) = self.emulator.state().connections.iter_mut().find(|one| one.id == id) {
            made.app = app.into();
        }
        self.foreign.insert(id);
    }

    fn is_free(&self, place: &Place) -> bool {
        !self.kms().values().any(|kept| kept.place() == *place)
    }
}
