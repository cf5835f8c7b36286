//! The model of a `kms_dbt_service_token_rotation`: its configurations, what is sent, and the agreement of state and KMS.

use kms_emulator::{Folder, OTHER_PROJECT_ID, PROJECT_ID, Rotation};
use serde_json::{Map, json};
use terraform_provider_kms::plugin::value::{Number, Value};
use time::OffsetDateTime;

use crate::{
    calls::Object,
    core::{ROTATION, get, text},
    host::object,
    model::{Action, DESCRIPTIONS, NAMES, Place},
};

/// The IDs of the connections through which rotations make tokens. No step changes them.
pub const CONNECTION_IDS: [&str; 2] =
    ["5b1e0000-0000-4000-8000-000000000001", "5b1e0000-0000-4000-8000-000000000002"];
/// Project, environment and path.
pub const FOLDERS: [(&str, &str, &str); 4] = [
    (PROJECT_ID, "prod", "/"),
    (PROJECT_ID, "prod", "/dbt/nightly"),
    (PROJECT_ID, "dev", "/"),
    (OTHER_PROJECT_ID, "prod", "/"),
];
pub const SECRETS: [&str; 3] = ["DBT_TOKEN", "AIRFLOW", "nightly.token"];
pub const TOKEN_NAMES: [&str; 2] = ["nightly", "For \"Airflow\" & others"];
/// Sets of permissions, each with the number of a dbt project.
pub const GRANTS: [&[(&str, Option<i64>)]; 3] =
    [&[("job_admin", None)], &[("developer", Some(7)), ("job_admin", None)], &[("developer", Some(70_471))]];
/// Days.
pub const INTERVALS: [Option<i64>; 3] = [None, Some(7), Some(90)];
/// Hours and minutes.
pub const TIMES: [Option<(i64, i64)>; 2] = [None, Some((3, 30))];

/// The block of a rotation. Numbers are indexes into the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RotationConfig {
    pub name: u8,
    pub folder: u8,
    pub connection: u8,
    pub description: u8,
    pub secret: u8,
    pub token_name: u8,
    pub grants: u8,
    pub interval: u8,
    pub time: u8,
    /// Without automatic rotation.
    pub manual: bool,
    pub keeps_tokens: bool,
    pub keeps_secret: bool,
    pub adopt: bool,
    pub create_before_destroy: bool,
    /// If not 0, names that nothing else has, of the rotation and of its secret. For settling.
    pub unique_name: u8,
}

/// The fields that can be changed in place, as requests have them.
type Fields = Map<String, serde_json::Value>;

impl RotationConfig {
    pub fn place(&self) -> Place {
        let name = match self.unique_name {
            0 => NAMES[usize::from(self.name)].to_owned(),
            number => format!("settled-{number}"),
        };
        Place { name, scope: Some(scope_of(&self.folder())) }
    }

    pub fn folder(&self) -> Folder {
        let (project, environment, path) = FOLDERS[usize::from(self.folder)];
        Folder::new(project, environment, path)
    }

    pub fn secret(&self) -> String {
        match self.unique_name {
            0 => SECRETS[usize::from(self.secret)].to_owned(),
            number => format!("SETTLED_{number}"),
        }
    }

    pub fn connection(&self) -> &'static str {
        CONNECTION_IDS[usize::from(self.connection)]
    }

    pub fn token_name(&self) -> &'static str {
        TOKEN_NAMES[usize::from(self.token_name)]
    }

    fn grants(&self) -> &'static [(&'static str, Option<i64>)] {
        GRANTS[usize::from(self.grants)]
    }

    fn fields(&self) -> Fields {
        let grants = self.grants().iter().map(|(set, project)| match project {
            Some(project) => json!({"permissionSet": set, "projectId": project}),
            None => json!({"permissionSet": set}),
        });
        let (hours, minutes) = TIMES[usize::from(self.time)].unwrap_or_default();
        fields([
            self.place().name.into(),
            DESCRIPTIONS[usize::from(self.description)].into(),
            (!self.manual).into(),
            INTERVALS[usize::from(self.interval)].unwrap_or(30).into(),
            json!({"hours": hours, "minutes": minutes}),
            json!({"tokenName": self.token_name(), "permissionGrants": grants.collect::<Vec<_>>()}),
            json!({"serviceToken": self.secret()}),
        ])
    }

    /// The body of a create.
    pub fn body(&self) -> Fields {
        let folder = self.folder();
        let mut body = self.fields();
        body.retain(|_, value| !value.is_null());
        body.insert("projectId".into(), folder.project_id.into());
        body.insert("connectionId".into(), self.connection().into());
        body.insert("environment".into(), folder.environment.into());
        body.insert("secretPath".into(), folder.path.into());
        body
    }

    /// The body that an update must send.
    pub fn patch(&self, object: &Object) -> Fields {
        difference(&fields_of_state(&object.state), self.fields())
    }

    /// Whether a PATCH may be the one that adopts a rotation: all that differs, or some of it, if nobody saw it before.
    pub fn is_adoption(&self, adopted: Option<&Rotation>, body: &Fields) -> bool {
        match adopted {
            Some(adopted) => *body == difference(&fields_of(adopted), self.fields()),
            None => difference(&self.fields(), body.clone()).is_empty(),
        }
    }

    /// The block as core sends it.
    pub fn value(&self) -> Value {
        let folder = self.folder();
        let int = |number: i64| Value::Number(Number::Int(number));
        let unless = |set: bool| if set { Value::Bool(false) } else { Value::Null };
        let map = |fields: [(&'static str, Value); 2]| {
            Value::Map(fields.map(|(name, value)| (name.into(), value)).into())
        };
        let grants = self.grants().iter().map(|(set, project)| {
            map([("permission_set", Value::string(*set)), ("project_id", project.map_or(Value::Null, int))])
        });
        let time = TIMES[usize::from(self.time)];
        let path = if folder.path == "/" { Value::Null } else { Value::string(folder.path) };
        let attributes = [
            ("name", Value::string(self.place().name)),
            ("description", DESCRIPTIONS[usize::from(self.description)].map_or(Value::Null, Value::string)),
            ("project_id", Value::string(folder.project_id)),
            ("connection_id", Value::string(self.connection())),
            ("environment", Value::string(folder.environment)),
            ("secret_path", path),
            ("secret_name", Value::string(self.secret())),
            ("token_name", Value::string(self.token_name())),
            ("permission_grants", Value::Sequence(grants.collect())),
            ("rotation_interval", INTERVALS[usize::from(self.interval)].map_or(Value::Null, int)),
            (
                "rotate_at_utc",
                time.map_or(Value::Null, |(hours, minutes)| {
                    map([("hours", int(hours)), ("minutes", int(minutes))])
                }),
            ),
            ("auto_rotation_enabled", unless(self.manual)),
            ("revoke_tokens_on_destroy", unless(self.keeps_tokens)),
            ("delete_secret_on_destroy", unless(self.keeps_secret)),
            ("adopt_existing", if self.adopt { Value::Bool(true) } else { Value::Null }),
        ];
        object(&ROTATION.value_type, &attributes)
    }

    /// The action that a plan must have for an object that exists.
    pub fn expected_action(&self, object: &Object) -> Action {
        let state = &object.state;
        if object.tainted
            || Place::of_state(state).scope != self.place().scope
            || text(state, "connection_id") != Some(self.connection())
        {
            return Action::Replace;
        }
        let flags = [
            ("revoke_tokens_on_destroy", Value::Bool(!self.keeps_tokens)),
            ("delete_secret_on_destroy", Value::Bool(!self.keeps_secret)),
            ("adopt_existing", get(&self.value(), "adopt_existing").clone()),
        ];
        if !self.patch(object).is_empty() || flags.iter().any(|(name, value)| get(state, name) != value) {
            Action::Update
        } else {
            Action::Nothing
        }
    }

    /// Whether a rotation can't be created as long as another one is there, because both need the secret's name.
    pub fn takes_place_of(&self, object: &Object) -> bool {
        self.place().scope == Place::of_state(&object.state).scope
            && text(&object.state, "secret_name") == Some(&self.secret())
    }
}

/// Project, environment and path, as an import has them in front of the name.
pub fn scope_of(folder: &Folder) -> String {
    let Folder { project_id, environment, path } = folder;
    format!("{project_id}/{environment}{}", path.trim_end_matches('/'))
}

/// The query of a deletion.
pub fn deletion(object: &Object, makes_room: bool) -> String {
    let is = |name| get(&object.state, name) != &Value::Bool(false);
    let secret = makes_room || is("delete_secret_on_destroy");
    format!("deleteSecrets={secret}&revokeGeneratedCredentials={}", is("revoke_tokens_on_destroy"))
}

/// The differences between a state and the KMS. `timestamp` is how the KMS shows a time.
pub fn disagreements(
    state: &Value,
    rotation: &Rotation,
    timestamp: impl Fn(OffsetDateTime) -> String,
) -> Vec<String> {
    let differing = difference(&fields_of_state(state), fields_of(rotation));
    let mut found: Vec<String> = differing.keys().cloned().collect();
    let next = rotation.next_at.map(kms_emulator::DueTime::to_text);
    let status = if rotation.failed { "failed" } else { "success" };
    for (name, actual) in [
        ("id", Some(rotation.id.as_str())),
        ("connection_id", Some(&rotation.connection_id)),
        ("project_id", Some(&rotation.folder.project_id)),
        ("environment", Some(&rotation.folder.environment)),
        ("secret_path", Some(&rotation.folder.path)),
        ("status", Some(status)),
        ("last_rotation_message", rotation.last_message.as_deref()),
        ("last_rotated_at", Some(&timestamp(rotation.last_rotated_at))),
        ("next_rotation_at", next.as_deref()),
        ("created_at", Some(&timestamp(rotation.created_at))),
        ("updated_at", Some(&timestamp(rotation.updated_at))),
    ] {
        if text(state, name) != actual {
            found.push(format!("{name} in state is not what the KMS has"));
        }
    }
    found
}

fn fields(values: [serde_json::Value; 7]) -> Fields {
    let names = [
        "name",
        "description",
        "isAutoRotationEnabled",
        "rotationInterval",
        "rotateAtUtc",
        "parameters",
        "secretsMapping",
    ];
    names.into_iter().map(str::to_owned).zip(values).collect()
}

fn fields_of(rotation: &Rotation) -> Fields {
    fields([
        rotation.name.as_str().into(),
        rotation.description.as_deref().into(),
        rotation.auto.into(),
        rotation.interval.into(),
        rotation.rotate_at.to_json(),
        rotation.parameters.to_json(),
        json!({"serviceToken": rotation.secret_name}),
    ])
}

fn fields_of_state(state: &Value) -> Fields {
    let int = |value: &Value| match value {
        Value::Number(Number::Int(number)) => Some(*number),
        _ => None,
    };
    let Value::Sequence(grants) = get(state, "permission_grants") else { return Fields::new() };
    let grants = grants.iter().map(|grant| {
        let mut shown = json!({"permissionSet": text(grant, "permission_set")});
        if let Some(project) = int(get(grant, "project_id")) {
            shown["projectId"] = project.into();
        }
        shown
    });
    let time = get(state, "rotate_at_utc");
    fields([
        text(state, "name").into(),
        text(state, "description").into(),
        (get(state, "auto_rotation_enabled") == &Value::Bool(true)).into(),
        int(get(state, "rotation_interval")).into(),
        json!({"hours": int(get(time, "hours")), "minutes": int(get(time, "minutes"))}),
        json!({"tokenName": text(state, "token_name"), "permissionGrants": grants.collect::<Vec<_>>()}),
        json!({"serviceToken": text(state, "secret_name")}),
    ])
}

/// The fields that are to be others than they are.
fn difference(before: &Fields, mut wanted: Fields) -> Fields {
    wanted.retain(|name, value| before.get(name) != Some(value));
    wanted
}
