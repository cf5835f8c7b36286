//! The texts of the lifecycle, for every kind of object.

use super::{
    attribute_map::{self, AttributeMap},
    failures,
};
use crate::{
    kms::{self, AdoptError, ApiErrorKind, CreateError, Existing, Object as _},
    plugin::{diagnostics::Diagnostics, path::Path, text::line},
    provider::lifecycle::{ManagedObject, ObjectModel as _, ObjectOf, PlaceOf, scope_of},
};

/// The attribute map of a kind, with the fields of its declaration.
pub fn attributes<T: ManagedObject>() -> AttributeMap {
    AttributeMap { fields: T::Model::FIELDS, ..T::ATTRIBUTES }
}

/// The failure of a call in a scope. `task` is a verb, such as `create`, for the object of that name or ID.
pub fn failure<T: ManagedObject>(
    task: &str,
    label: &str,
    scope: kms::Scope<'_>,
    error: &kms::Error,
) -> Diagnostics {
    failures::failure_in(&format!("{task} the {} {label}", T::NOUN), error, attributes::<T>(), scope)
}

/// A name as texts show it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", line(name))
}

/// An attribute in which an existing object differs.
pub fn difference(attribute: &str, existing: &str) -> String {
    format!("{attribute} (it has {})", quoted(existing))
}

fn import_line<T: ManagedObject>(id: &str) -> String {
    // The provider doesn't learn the address of the resource that it works on.
    format!("  terraform import {}.NAME {id}", T::TYPE)
}

fn name_taken(detail: String) -> Diagnostics {
    Diagnostics::from_attribute_error(Path::attribute("name"), "Name already taken", detail)
}

/// The beginning of what is said of an object that has a name already.
fn there_is<T: ManagedObject>(place: &PlaceOf<T>, existing: &ObjectOf<T>) -> String {
    format!(
        "In {scope} there is already a {noun} named \"{name}\": {id}, created at {created}.",
        scope = T::scope_words(place),
        noun = T::NOUN,
        name = T::name_of(place),
        id = existing.id(),
        created = line(existing.created_at()),
    )
}

/// Why an object was not created.
pub fn create_failure<T: ManagedObject>(
    planned: &T::Model,
    place: &PlaceOf<T>,
    error: CreateError<ObjectOf<T>>,
) -> Diagnostics {
    let (noun, name, scope) = (T::NOUN, T::name_of(place), T::scope_words(place));
    let mut leftover = Diagnostics::new();
    may_be_left_over::<T>(planned, error.error(), &mut leftover);
    let leaves_something = T::leftover(planned).is_some();
    let failure = |error: &kms::Error| {
        let task = format!("create the {noun} {}", quoted(name));
        let attributes = attributes::<T>();
        let again = if leaves_something { attribute_map::LOOK_FOR_TOKENS_FIRST } else { attributes.again };
        failures::failure_in(&task, error, AttributeMap { again, ..attributes }, scope_of::<T>(place))
    };
    let mut diagnostics = match error {
        CreateError::NameTaken { existing: Existing::Visible(existing), .. } => name_taken(format!(
            "{} If an earlier apply was interrupted, it may have created it.\n\n{}",
            there_is::<T>(place, &existing),
            adoption_advice::<T>(planned, &existing),
        )),
        CreateError::NameTaken { existing, error } => {
            let mut diagnostics = failure(&error);
            let detail = match existing {
                Existing::OfOtherApp => of_other_kind::<T>(place),
                Existing::Unknown(error) => format!(
                    "In {scope} the name \"{name}\" is taken, but the {noun} that has it could not be looked up: {}. Apply \
                     again: the error then names it, or adopt_existing takes it over.",
                    kms::report(&error)
                ),
                _ => format!(
                    "In {scope} the name \"{name}\" is taken, but this machine identity may not read the {noun} that has \
                     it. Choose another name."
                ),
            };
            let summary = format!("The {noun} with this name can't be shown");
            diagnostics.warning(Some(Path::attribute("name")), summary, detail);
            diagnostics
        }
        CreateError::Unconfirmed { found, error } => {
            let what_now = match found {
                Some(found) => format!(
                    "{} Nothing shows that this apply created it.\n\n{}",
                    there_is::<T>(place, &found),
                    adoption_advice::<T>(planned, &found)
                ),
                None if leaves_something => format!(
                    "The provider could not determine whether the {noun} \"{name}\" was created in {scope}. Before \
                     you apply again, look for it in the KMS. If it exists, and if no other resource manages it, import it or \
                     set adopt_existing = true."
                ),
                None => format!(
                    "The provider could not determine whether the {noun} \"{name}\" was created in {scope}. Apply again: \
                     if it was, the error then names it and says how to adopt it."
                ),
            };
            Diagnostics::from_attribute_error(
                Path::attribute("name"),
                "Unconfirmed create",
                format!(
                    "Could not create the {noun} \"{name}\" for certain: {}.\n\n{what_now}",
                    kms::report(&error)
                ),
            )
        }
        CreateError::Failed(error) => failure(&error),
    };
    diagnostics.extend(leftover);
    diagnostics
}

/// A create that failed may have left something, if nobody knows what became of it.
pub fn may_be_left_over<T: ManagedObject>(
    planned: &T::Model,
    error: &kms::Error,
    diagnostics: &mut Diagnostics,
) {
    if let Some(leftover) = T::leftover(planned).filter(|_| error.may_have_left_tokens()) {
        diagnostics.warning(None, "Something may be left over", leftover);
    }
}

/// The KMS may create an object of this name a second time.
pub fn create_still_open<T: ManagedObject>(name: &str, diagnostics: &mut Diagnostics) {
    let noun = T::NOUN;
    diagnostics.warning(
        Some(Path::attribute("name")),
        "Create sent more than once",
        format!(
            "An earlier request to create the {noun} \"{name}\" got no response from the KMS, and the KMS may still perform it. As \
             long as a {noun} has this name, that request can't create another one. If this create failed, or if you rename or \
             destroy the {noun} soon, check the KMS afterwards for a {noun} named \"{name}\" that Terraform doesn't manage."
        ),
    );
}

/// What to do about an existing object that has the name.
fn adoption_advice<T: ManagedObject>(planned: &T::Model, existing: &ObjectOf<T>) -> String {
    format!(
        "If this resource is being replaced under create_before_destroy, that is the {noun} being replaced: choose another name, \
         or remove create_before_destroy.\n\nOtherwise, {advice}",
        noun = T::NOUN,
        advice = ways_out::<T>(planned, existing)
    )
}

/// How to get on with an existing object that has the name, as the rest of a sentence.
fn ways_out<T: ManagedObject>(planned: &T::Model, existing: &ObjectOf<T>) -> String {
    let (noun, import) = (T::NOUN, import_line::<T>(existing.id()));
    let differences = T::differences(planned, existing);
    if differences.is_empty() {
        let and_send = T::SECRET.map(|secret| format!(" and sends it the configured {}", secret.name));
        format!(
            "if no other resource manages it, import it to this resource's address:\n\n{import}\n\nor set \
             adopt_existing = true here, which takes it over{}. If another resource manages it, choose another name.",
            and_send.unwrap_or_default()
        )
    } else {
        format!(
            "choose another name, or, if no other resource manages it, import it to change it:\n\n{import}\n\n\
             adopt_existing does not apply: the existing {noun} has a different {}.",
            differences.join(" and ")
        )
    }
}

/// The plan shows that a name is taken by an object that this run doesn't manage.
pub fn taken_in_plan<T: ManagedObject>(
    planned: &T::Model,
    existing: &ObjectOf<T>,
    diagnostics: &mut Diagnostics,
) {
    let ways_out = ways_out::<T>(planned, existing);
    let detail = format!(
        "{} The apply fails, unless another resource of this configuration, or somebody in the KMS, renames or \
         deletes it first.\n\nOtherwise, {ways_out}",
        there_is::<T>(&T::place(planned), existing)
    );
    diagnostics.warning(Some(Path::attribute("name")), "Name already taken", detail);
}

const SAME_NAME: &str = "Two resources with one name";

/// Two resources of a plan have the same name, and at least one of them exists.
pub fn same_name<T: ManagedObject>(place: &PlaceOf<T>) -> Diagnostics {
    Diagnostics::from_attribute_error(Path::attribute("name"), SAME_NAME, has_same_name::<T>(place))
}

/// Two resources that a plan creates have the same name.
pub fn same_new_name<T: ManagedObject>(place: &PlaceOf<T>, diagnostics: &mut Diagnostics) {
    let detail =
        format!("{} The apply creates one of them, and fails for the other one.", has_same_name::<T>(place));
    diagnostics.warning(Some(Path::attribute("name")), SAME_NAME, detail);
}

fn has_same_name<T: ManagedObject>(place: &PlaceOf<T>) -> String {
    format!(
        "Another {} resource of this plan has the name \"{}\" in {} too. A name can be used there only once. Choose another name.",
        T::TYPE,
        T::name_of(place),
        T::scope_words(place)
    )
}

/// What a plan says of a create that can't succeed. Terraform plans creates before it destroys, too.
pub fn prevented_create<T: ManagedObject>(
    label: &str,
    scope: kms::Scope<'_>,
    error: &kms::Error,
) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    for mut problem in failure::<T>("create", label, scope, error) {
        problem.detail += "\n\nTerraform plans this create before a destroy, too. `terraform destroy -refresh=false` \
                           leaves it out.";
        diagnostics.push(problem);
    }
    diagnostics
}

/// Two resource instances manage one object.
pub fn managed_twice<T: ManagedObject>(state: &T::Model) -> Diagnostics {
    let (noun, type_name) = (T::NOUN, T::TYPE);
    Diagnostics::from_error(
        format!("Two resources for one {noun}"),
        format!(
            "Another {type_name} resource manages the {noun} \"{}\" ({}) too. The two would undo each other's changes, and \
             destroying one would delete the {noun} of both. Keep one of them. If this one is imported by an \"import\" block, \
             remove the block and the resource. Otherwise, remove one from the configuration, and from the state with \
             `terraform state rm` or with a \"removed\" block that has destroy = false. To destroy both, run \
             `terraform destroy -refresh=false`.",
            line(state.name().text()),
            line(state.id().text())
        ),
    )
}

/// The name is taken by the very object that is being replaced.
pub fn taken_by_the_replaced<T: ManagedObject>(place: &PlaceOf<T>, id: &str) -> Diagnostics {
    let (noun, name) = (T::NOUN, T::name_of(place));
    name_taken(format!(
        "In {} the {noun} \"{name}\" ({id}) is the one that this resource replaces. Under create_before_destroy it still \
         exists when its replacement is created. Choose another name, or remove create_before_destroy, so that Terraform \
         destroys it first.",
        T::scope_words(place)
    ))
}

/// Another resource manages the object that has the name.
pub fn taken_by_another<T: ManagedObject>(place: &PlaceOf<T>, existing: &ObjectOf<T>) -> Diagnostics {
    name_taken(format!(
        "{} Another resource of this configuration manages it, so no other one can. Choose another name.",
        there_is::<T>(place, existing)
    ))
}

/// A resource of a plan has an object that another one is to adopt.
pub fn planned_twice<T: ManagedObject>(id: &str, adopting: &str) -> Diagnostics {
    let (noun, type_name) = (T::NOUN, T::TYPE);
    Diagnostics::from_error(
        format!("Two resources for one {noun}"),
        format!(
            "This resource manages the {noun} {id}. Another {type_name} resource, named \"{adopting}\", has adopt_existing = \
             true and would take it over. Remove adopt_existing there and choose another name, or remove one of the two \
             resources."
        ),
    )
}

/// Two resources of a plan are to adopt one object.
pub fn adopted_twice<T: ManagedObject>(place: &PlaceOf<T>, existing: &ObjectOf<T>) -> Diagnostics {
    Diagnostics::from_error(
        format!("Two resources for one {}", T::NOUN),
        format!(
            "{} Another {} resource with this name has adopt_existing = true too, and only one can take it over. Choose \
             another name, or remove one of the two resources.",
            there_is::<T>(place, existing),
            T::TYPE
        ),
    )
}

/// What the plan says of an object that the apply will take over.
pub fn will_adopt<T: ManagedObject>(
    place: &PlaceOf<T>,
    existing: &ObjectOf<T>,
    diagnostics: &mut Diagnostics,
) {
    let and_send = match T::SECRET {
        Some(secret) => format!(" and sends it the configured description and {}", secret.name),
        None => " and gives it the configured values".to_owned(),
    };
    diagnostics.warning(
        Some(Path::attribute("adopt_existing")),
        format!("Existing {} will be adopted", T::NOUN),
        format!(
            "{} Instead of creating another one, the apply takes it over{and_send}, because adopt_existing is true.",
            there_is::<T>(place, existing)
        ),
    );
}

/// What the plan says of an object that the apply won't take over.
pub fn will_not_adopt<T: ManagedObject>(
    place: &PlaceOf<T>,
    existing: &ObjectOf<T>,
    differences: &[String],
    diagnostics: &mut Diagnostics,
) {
    diagnostics.warning(
        Some(Path::attribute("adopt_existing")),
        format!("Existing {} will not be adopted", T::NOUN),
        format!(
            "{} adopt_existing does not apply: it has a different {}. As long as it has the name, the create fails.",
            there_is::<T>(place, existing),
            differences.join(" and ")
        ),
    );
}

/// What the plan says when it could not look for an object to adopt.
pub fn adoption_unknown<T: ManagedObject>(
    place: &PlaceOf<T>,
    error: &kms::Error,
    diagnostics: &mut Diagnostics,
) {
    let detail = match error.api_kind() {
        Some(ApiErrorKind::OtherApp) => of_other_kind::<T>(place),
        _ => format!(
            "The provider could not determine whether the {} \"{}\" exists in {}: {}. If it does, the apply takes it over \
             or fails, as adopt_existing describes.",
            T::NOUN,
            T::name_of(place),
            T::scope_words(place),
            kms::report(error)
        ),
    };
    let summary = format!("No {} to adopt could be found", T::NOUN);
    diagnostics.warning(Some(Path::attribute("adopt_existing")), summary, detail);
}

fn of_other_kind<T: ManagedObject>(place: &PlaceOf<T>) -> String {
    format!(
        "In {}, {} has the name \"{}\". Choose another name.",
        T::scope_words(place),
        T::ATTRIBUTES.other_kind,
        T::name_of(place)
    )
}

/// Why an object was not adopted.
pub fn adopt_failure<T: ManagedObject>(
    place: &PlaceOf<T>,
    existing: &ObjectOf<T>,
    error: &AdoptError,
) -> Diagnostics {
    match error {
        AdoptError::Managed => taken_by_another::<T>(place, existing),
        AdoptError::Failed(error) => {
            failure::<T>("take over", &quoted(T::name_of(place)), scope_of::<T>(place), error)
        }
    }
}

/// Why an update failed. `existing` is the object that has the new name, if that is taken.
pub fn update_failure<T: ManagedObject>(
    prior: &T::Model,
    error: &kms::Error,
    existing: Option<(&PlaceOf<T>, &ObjectOf<T>)>,
) -> Diagnostics {
    match existing {
        Some((place, existing)) => name_taken(format!(
            "{} Choose another name, or rename or delete that one first. If no other resource manages it, import it to a \
             resource of its own:\n\n{}",
            there_is::<T>(place, existing),
            import_line::<T>(existing.id())
        )),
        None => failure::<T>("update", &quoted(prior.name().text()), T::scope(prior), error),
    }
}

/// A create needs the secret, and the configuration has none.
pub fn secret_missing_to_create<T: ManagedObject>() -> Diagnostics {
    let Some(secret) = T::SECRET else { return Diagnostics::new() };
    let (noun, name) = (T::NOUN, secret.name);
    let reason = format!(
        "Creating a {noun} needs {name:?}. A {noun} that exists can be imported without it. If this one was deleted in the KMS, \
         remove the resource, or set {name:?} to create it again."
    );
    secret_missing(name, &reason)
}

/// An update needs the secret, and the configuration has none.
pub fn secret_missing_to_update<T: ManagedObject>(prior: &T::Model, planned: &T::Model) -> Diagnostics {
    let Some(secret) = T::SECRET else { return Diagnostics::new() };
    let together: Vec<_> = secret.sent_with.iter().map(|attribute| quoted(attribute.name)).collect();
    let in_kms: Vec<_> = secret
        .sent_with
        .iter()
        .filter(|attribute| attribute.changes(prior, planned))
        .map(|attribute| format!("{} = {:?}", attribute.name, (attribute.value)(prior).text()))
        .collect();
    let or_keep = if in_kms.is_empty() {
        String::new()
    } else {
        format!(
            " The KMS has {}. To keep that, for instance because somebody changed it there, set it in the configuration.",
            in_kms.join(" and ")
        )
    };
    let reason = format!(
        "The KMS takes {} and {:?} only together, and one of them or {:?} changes.{or_keep}",
        together.join(", "),
        secret.name,
        secret.version_name
    );
    secret_missing(secret.name, &reason)
}

fn secret_missing(name: &'static str, reason: &str) -> Diagnostics {
    Diagnostics::from_attribute_error(
        Path::attribute(name),
        format!("Missing {name}"),
        format!(
            "{reason}\n\nIf the configuration sets {name:?} and ignore_changes lists it, remove it from ignore_changes: Terraform hides it from \
             the provider."
        ),
    )
}

/// A secret that the plan had is missing in the apply.
pub fn secret_gone<T: ManagedObject>() -> Diagnostics {
    let name = T::SECRET.map(|secret| secret.name).unwrap_or_default();
    Diagnostics::from_attribute_error(
        Path::attribute(name),
        format!("Missing {name}"),
        format!(
            "{name:?} is null or unknown during apply, and has to be sent. An ephemeral value must be available in apply as it \
             was in plan."
        ),
    )
}

/// A version without a secret.
pub fn version_without_secret<T: ManagedObject>(diagnostics: &mut Diagnostics) {
    let Some(secret) = T::SECRET else { return };
    let detail = format!(
        "{:?} only controls when {:?} is sent. Set {:?} too, or remove {:?}.",
        secret.version_name, secret.name, secret.name, secret.version_name
    );
    diagnostics.error(Some(Path::attribute(secret.version_name)), format!("Missing {}", secret.name), detail);
}

/// An imported object gets the configured secret once.
pub fn sent_once<T: ManagedObject>(
    name: &str,
    has_version: bool,
    is_last: bool,
    diagnostics: &mut Diagnostics,
) {
    let Some(secret) = T::SECRET else { return };
    let name = line(name);
    let trigger = if has_version { secret.version_name } else { "it" };
    let further = if is_last {
        " Further imported objects behave the same way; this run shows no more warnings about them."
    } else {
        ""
    };
    diagnostics.warning(
        Some(Path::attribute(secret.name)),
        format!("{} will be sent once", secret.name),
        format!(
            "Terraform has never sent the {secret} of the {noun} \"{name}\", and the KMS does not return the stored one, so the \
             two can't be compared. The next apply sends the configured {secret} once, in place; after that, only when \
             {trigger} changes. To leave the stored one alone, remove {secret} from the configuration.{further}",
            secret = secret.name,
            noun = T::NOUN,
        ),
    );
}

/// Somebody else wrote the secret.
pub fn written_elsewhere<T: ManagedObject>(prior: &T::Model, is_due: bool, diagnostics: &mut Diagnostics) {
    let Some(secret) = T::SECRET else { return };
    let consequence = if is_due {
        format!("The next apply sends the configured {} again.", secret.name)
    } else {
        format!("Terraform leaves them alone until {:?} changes.", secret.version_name)
    };
    diagnostics.warning(
        Some(Path::attribute(secret.name)),
        "Credentials changed outside of Terraform",
        format!(
            "The {} \"{}\" no longer has the credentials that Terraform sent last. It was last changed at {}. {consequence}",
            T::NOUN,
            line(prior.name().text()),
            line(prior.updated_at().text())
        ),
    );
}

/// A deletion is left out, because another resource adopted the object.
pub fn kept<T: ManagedObject>(name: &str, id: &str, diagnostics: &mut Diagnostics) {
    let (noun, name) = (T::NOUN, line(name));
    diagnostics.warning(
        None,
        format!("Existing {noun} kept"),
        format!(
            "The {noun} \"{name}\" ({id}) was to be deleted, but its replacement has just taken it over, because \
             adopt_existing is true. It is kept."
        ),
    );
}

/// An imported ID that nothing has.
pub fn no_such_id<T: ManagedObject>(id: &str) -> Diagnostics {
    let noun = T::NOUN;
    Diagnostics::from_error(
        format!("No such {noun}"),
        format!(
            "There is no {noun} with the ID {id}, neither in the organization nor in any project that this machine identity \
             sees."
        ),
    )
}

/// A place that nothing is at.
pub fn nothing_at<T: ManagedObject>(place: &PlaceOf<T>) -> Diagnostics {
    let noun = T::NOUN;
    Diagnostics::from_error(
        format!("No such {noun}"),
        format!(
            "There is no {noun} named \"{}\" in {}. An import takes the ID (a UUID), or {}.",
            T::name_of(place),
            T::scope_words(place),
            T::IMPORT_FORMS
        ),
    )
}

/// Text of an import that names nothing.
pub fn invalid_import<T: ManagedObject>(text: &str) -> Diagnostics {
    let (noun, text) = (T::NOUN, line(text));
    Diagnostics::from_error(
        "Invalid import ID",
        format!("\"{text}\" does not identify a {noun}. Give its ID (a UUID), or {}.", T::IMPORT_FORMS),
    )
}
