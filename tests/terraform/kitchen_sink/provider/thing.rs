//! `sink_thing`: a resource with every kind of attribute, in every kind of nesting.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use serde_json::{Value as Json, json};
use terraform_provider_kms::{
    model,
    plugin::{
        context::Context,
        diagnostics::Diagnostics,
        model::{Field, Model as _, Set},
        path::Path,
        private::Private,
        resource::{Create, ImportKey, PlanCreate, PlanUpdate, Read, Resource, Stored, Update},
        schema::{Schema, StoredJson, computed, optional, optional_computed, required},
        value::{Number, Value},
    },
};

use crate::{secret_text::SecretText, store::Store};

model! {
    /// A thing.
    pub struct Thing {
        /// Name of the thing.
        name: String = required().rule(slug),
        /// Type of the thing.
        r#type: String = optional().default("plain").requires_replace(),
        /// Size of the thing.
        size: i64 = optional().default(1).number_rule(positive),
        /// Share of the thing.
        ratio: Number = optional(),
        /// Whether the thing has a note.
        enabled: bool = optional().default(true),
        /// Any value.
        anything: Value = optional(),
        /// Texts by name.
        tags: BTreeMap<String, Field<String>> = optional().rule(slug),
        /// Texts in order.
        labels: Vec<Field<String>> = optional().rule(slug),
        /// Texts in no order.
        groups: Set<Field<String>> = optional().rule(slug),
        /// Who has the thing.
        owner: Owner = optional(),
        /// Disks, in order.
        disks: Vec<Field<Disk>> = optional(),
        /// Ports by name.
        ports: BTreeMap<String, Field<Port>> = optional(),
        /// Rules, in no order.
        rules: Set<Field<Rule>> = optional(),
        /// Network, which the provider chooses otherwise.
        network: Network = optional_computed(),
        /// Home of the thing, which the provider chooses otherwise.
        home: String = optional_computed().stable().requires_replace(),
        /// Password, stored nowhere.
        password: SecretText = optional().write_only(),
        /// Stored number.
        pin: SecretText = optional(),
        /// Former name of `name`.
        label: String = optional().deprecated("Use name instead."),
        /// ID of the thing.
        id: String = computed().stable().not_null(),
        /// Realm of the thing.
        realm: String = computed().stable().not_null(),
        /// How often the thing was written.
        revision: i64 = computed().not_null(),
        /// Note on the thing, if it is enabled.
        note: String = computed(),
        /// What was found in the thing.
        found: Vec<Found> = computed(),
    }
}

model! {
    /// An owner.
    pub struct Owner {
        /// Name of the owner.
        name: String = required().rule(slug),
        /// Address of the owner.
        email: String = optional().default("nobody@example.com"),
        /// ID of the owner.
        id: String = computed().stable().not_null(),
        /// How often the owner was written.
        revision: i64 = computed(),
    }
}

model! {
    /// A disk.
    pub struct Disk {
        /// Size of the disk.
        size: i64 = required().number_rule(positive),
        /// Zone of the disk.
        zone: String = optional().requires_replace(),
        /// Partitions by name.
        partitions: BTreeMap<String, Field<Partition>> = optional(),
        /// ID of the disk.
        id: String = computed().stable().not_null(),
    }
}

model! {
    /// A partition of a disk.
    pub struct Partition {
        /// Size of the partition.
        size: i64 = optional().default(1),
        /// ID of the partition.
        id: String = computed().stable(),
    }
}

model! {
    /// A port.
    pub struct Port {
        /// Number of the port.
        number: i64 = required().number_rule(positive),
        /// Protocol of the port.
        protocol: String = optional().default("tcp").rule(slug),
        /// Token of the port, stored nowhere.
        token: SecretText = optional().write_only(),
        /// URL of the port.
        url: String = computed(),
    }
}

model! {
    /// A rule.
    pub struct Rule {
        /// A value.
        value: String = optional().default("zero"),
        /// Another value.
        default_value: String = optional().default("this is a default"),
        /// ID of the rule.
        id: String = computed().stable(),
    }
}

model! {
    /// A network.
    pub struct Network {
        /// Addresses of the network.
        cidr: String = optional_computed(),
        /// Gateway of the network.
        gateway: String = computed(),
    }
}

model! {
    /// Something found.
    pub struct Found {
        /// Name of it.
        name: String = computed(),
        /// Size of it, if it has one.
        size: i64 = computed(),
    }
}

model! {
    /// What distinguishes a thing from all others.
    pub struct ThingIdentity {
        /// ID of the thing.
        id: String = required().rule(thing_id),
        /// Realm of the thing.
        realm: String = optional(),
    }
}

fn slug(text: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.chars().all(legal) { Ok(()) } else { Err("must be of a-z, 0-9 and hyphens.".into()) }
}

fn positive(number: &Number) -> Result<(), String> {
    if number.as_i64().is_none_or(|int| int > 0) { Ok(()) } else { Err("must be positive.".into()) }
}

fn thing_id(text: &str) -> Result<(), String> {
    if text.starts_with("t-") { Ok(()) } else { Err("must begin with \"t-\".".into()) }
}

/// Version 0 had a title in the place of the name.
fn title_to_name(mut stored: StoredJson) -> Result<StoredJson, String> {
    let title = stored.remove("title").ok_or("it has no title.")?;
    stored.insert("name".into(), title);
    Ok(stored)
}

/// Version 1 had the sizes of disks alone.
fn sizes_to_disks(mut stored: StoredJson) -> Result<StoredJson, String> {
    if let Some(Json::Array(sizes)) = stored.remove("disk_sizes") {
        let disk = |(index, size)| json!({"size": size, "id": format!("disk-{index}")});
        stored.insert("disks".into(), sizes.into_iter().enumerate().map(disk).collect());
    }
    Ok(stored)
}

/// Private state: the digest of the password that was set last.
const PASSWORD: &str = "password";
/// Private state: the revision that was written last.
const REVISION: &str = "revision";

fn digest(password: &SecretText) -> u64 {
    let mut hasher = DefaultHasher::new();
    password.0.hash(&mut hasher);
    hasher.finish()
}

pub struct Things {
    store: Store,
}

impl Things {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

impl Resource for Things {
    type Model = Thing;
    type Identity = ThingIdentity;

    fn schema(&self) -> Schema {
        Thing::schema("A thing.").upgrades([title_to_name, sizes_to_disks])
    }

    fn identity(&self, state: &Thing) -> ThingIdentity {
        ThingIdentity { id: state.id.clone(), realm: state.realm.clone() }
    }

    fn validate(&self, config: &Thing, diagnostics: &mut Diagnostics) {
        if config.password.known().is_some() && config.pin.known().is_some() {
            let detail = "Set either \"password\" or \"pin\".";
            diagnostics.error(Some(Path::attribute("pin")), "Two ways to lock", detail);
        }
    }

    async fn plan_create(&self, cx: &mut Context, plan: PlanCreate<'_, Self>) -> Result<Thing, Diagnostics> {
        let mut planned = plan.planned;
        match planned.name.as_str() {
            Some("forbidden") => {
                let path = Path::attribute("name");
                return Err(Diagnostics::from_attribute_error(path, "Forbidden name", "Choose another one."));
            }
            Some("foreseen") => planned.note = Field::Known("foreseen".into()),
            _ => {}
        }
        if let (Some(replaced), Some("irreplaceable")) = (plan.replaced, planned.name.as_str()) {
            assert!(replaced.private.get::<i64>(REVISION).is_some(), "it was written");
            let id = replaced.identity.and_then(|identity| identity.id.into_known());
            let detail = format!("It would replace {}.", id.as_deref().unwrap_or("an unknown one"));
            cx.diagnostics.error(Some(Path::attribute("type")), "Irreplaceable thing", detail);
        }
        plan.private.set("planned_for", planned.name.known());
        Ok(planned)
    }

    async fn plan_update(&self, _: &mut Context, plan: PlanUpdate<'_, Thing>) -> Result<Thing, Diagnostics> {
        let sent: Option<u64> = plan.private.get(PASSWORD);
        let password_changed = match &plan.config.password {
            Field::Null => false,
            Field::Unknown(_) => true,
            Field::Known(password) => sent != Some(digest(password)),
        };
        let prior = plan.prior;
        let mut planned = if password_changed { (plan.if_updated)()? } else { plan.planned };
        let only_labels =
            Thing { labels: prior.labels.clone(), revision: prior.revision.clone(), ..planned.clone() };
        if !password_changed && unchanged(&only_labels, prior) {
            // Labels are Terraform's alone: nothing is written.
            planned = Thing { labels: planned.labels, ..prior.clone() };
        }
        Ok(planned)
    }

    async fn plan_destroy(&self, _: &mut Context, prior: &Stored<Thing>) -> Result<(), Diagnostics> {
        match prior.state.name.as_str() {
            Some("protected") => Err(Diagnostics::from_error("Protected thing", "It can't be removed.")),
            _ => Ok(()),
        }
    }

    async fn create(&self, cx: &mut Context, create: Create<Thing>) -> Result<Stored<Thing>, Diagnostics> {
        let Create { config, mut planned, mut private } = create;
        let planned_for: Option<String> = private.get("planned_for");
        assert_eq!(planned_for.as_deref(), planned.name.as_str(), "what the plan remembered arrives");
        private.set::<String>("planned_for", None);
        planned.id = Field::Known(self.store.new_id()?);
        planned.realm = Field::Known("sink".into());
        if planned.name.as_str() == Some("half") {
            self.store.save(&planned)?;
            cx.diagnostics.error(Some(Path::attribute("name")), "Half created", "The other half failed.");
            return Ok(Stored { state: planned, private });
        }
        let thing = settled(planned, 1);
        self.store.save(&thing)?;
        remember(&mut private, &config, &thing);
        // The runtime keeps the password out of the state.
        Ok(Stored {
            state: Thing { password: config.password, ports: config_ports(&thing, config.ports), ..thing },
            private,
        })
    }

    async fn read(&self, _: &mut Context, read: Read<Thing>) -> Result<Option<Stored<Thing>>, Diagnostics> {
        let Stored { state, private } = read.prior;
        let id = state.id.text();
        let Some(found) = self.store.load(id)? else {
            let missing = || Diagnostics::from_error("No such thing", format!("There is no thing {id}."));
            return if read.imported { Err(missing()) } else { Ok(None) };
        };
        Ok(Some(Stored { state: found, private }))
    }

    async fn update(&self, _: &mut Context, update: Update<Thing>) -> Result<Stored<Thing>, Diagnostics> {
        let Update { prior, planned, config } = update;
        let mut private = prior.private;
        let revision = prior.state.revision.into_known().unwrap_or_default() + 1;
        let thing = settled(planned, revision);
        self.store.save(&thing)?;
        remember(&mut private, &config, &thing);
        Ok(Stored { state: thing, private })
    }

    async fn delete(&self, _: &mut Context, prior: Stored<Thing>) -> Result<(), Diagnostics> {
        self.store.remove(prior.state.id.text())
    }

    async fn import(
        &self,
        _: &mut Context,
        key: ImportKey<ThingIdentity>,
    ) -> Result<Stored<Thing>, Diagnostics> {
        let id = match key {
            ImportKey::Id(id) => Field::Known(id),
            ImportKey::Identity(identity) => identity.id,
        };
        Ok(Stored::new(Thing { id, ..Thing::default() }))
    }
}

/// Whether two things differ in nothing but what an update alone would make unknown.
fn unchanged(planned: &Thing, prior: &Thing) -> bool {
    let mut planned = planned.clone();
    planned.note = prior.note.clone();
    planned.found = prior.found.clone();
    match (&mut planned.network, &prior.network) {
        (Field::Known(network), Field::Known(before)) => network.gateway = before.gateway.clone(),
        (network, before) if network.is_unknown() => *network = before.clone(),
        _ => {}
    }
    if let (Field::Known(owner), Field::Known(before)) = (&mut planned.owner, &prior.owner) {
        owner.revision = before.revision.clone();
    }
    if let (Field::Known(ports), Field::Known(before)) = (&mut planned.ports, &prior.ports) {
        for (name, port) in ports {
            if let (Field::Known(port), Some(Field::Known(before))) = (port, before.get(name)) {
                port.url = before.url.clone();
            }
        }
    }
    planned == *prior
}

fn remember(private: &mut Private, config: &Thing, thing: &Thing) {
    private.set(PASSWORD, config.password.known().map(digest));
    private.set(REVISION, thing.revision.known());
}

/// The ports with their tokens, as a careless type would return them.
fn config_ports(
    thing: &Thing,
    config: Field<BTreeMap<String, Field<Port>>>,
) -> Field<BTreeMap<String, Field<Port>>> {
    let (Field::Known(mut ports), Field::Known(config)) = (thing.ports.clone(), config) else {
        return thing.ports.clone();
    };
    for (name, port) in &mut ports {
        if let (Field::Known(port), Some(Field::Known(configured))) = (port, config.get(name)) {
            port.token = configured.token.clone();
        }
    }
    Field::Known(ports)
}

fn settle<T>(field: &mut Field<T>, value: T) {
    if field.is_unknown() {
        *field = Field::Known(value);
    }
}

/// The thing with everything decided that the plan had left open.
fn settled(mut thing: Thing, revision: i64) -> Thing {
    let name = thing.name.text().to_owned();
    settle(&mut thing.revision, revision);
    settle(&mut thing.home, format!("home-of-{name}"));
    if thing.note.is_unknown() {
        thing.note = (thing.enabled == Field::Known(true)).then(|| format!("note {revision}")).into();
    }
    let found = |name: &str, size| Found { name: Field::Known(name.into()), size };
    settle(&mut thing.found, vec![found("bolt", Field::Known(7)), found("dust", Field::Null)]);
    settle(&mut thing.network, Network { cidr: Field::unknown(), gateway: Field::unknown() });
    if let Field::Known(network) = &mut thing.network {
        settle(&mut network.cidr, "10.0.0.0/8".into());
        settle(&mut network.gateway, "10.0.0.1".into());
    }
    if let Field::Known(owner) = &mut thing.owner {
        settle(&mut owner.id, format!("owner-of-{name}"));
        settle(&mut owner.revision, revision);
    }
    for (index, disk) in thing.disks.known_mut().into_iter().flatten().enumerate() {
        let Field::Known(disk) = disk else { continue };
        settle(&mut disk.id, format!("disk-{index}"));
        for (key, partition) in disk.partitions.known_mut().into_iter().flatten() {
            if let Field::Known(partition) = partition {
                settle(&mut partition.id, format!("partition-{index}-{key}"));
            }
        }
    }
    for (key, port) in thing.ports.known_mut().into_iter().flatten() {
        if let Field::Known(port) = port {
            settle(&mut port.url, format!("{key}://{}", port.number.known().unwrap_or(&0)));
        }
    }
    for rule in thing.rules.known_mut().into_iter().flat_map(|rules| &mut rules.0) {
        if let Field::Known(rule) = rule {
            settle(&mut rule.id, format!("rule-{}", rule.value.text()));
        }
    }
    thing
}
