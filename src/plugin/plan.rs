//! Plans: the planned state that follows from schema, prior state and configuration.
//!
//! Core's proposed state isn't used: it has no defaults, and it matches the elements of sets without them.

use std::collections::BTreeSet;

use super::{
    diagnostics::Diagnostics,
    messages,
    path::{Path, Step},
    schema::{Attribute, Kind, Nesting, Schema, Usage, any_attribute, object_type},
    value::{Name, Value},
};

/// Plans a new object: what the provider sets is unknown, and write-only attributes are null.
pub(super) fn created(schema: &Schema, config: &Value) -> Value {
    complete(&schema.attributes, None, config, Unset::Unknown)
}

/// Plans an update: the prior state if nothing changes, and otherwise [`updated`].
pub(super) fn planned(schema: &Schema, prior: &Value, config: &Value) -> Value {
    let is_unchanged = kept(schema, prior, config).same_as(prior, schema.value_type());
    if is_unchanged { prior.clone() } else { updated(schema, prior, config) }
}

/// The planned object if it is updated, whether or not its configuration changed: computed attributes are unknown unless
/// they are stable.
pub(super) fn updated(schema: &Schema, prior: &Value, config: &Value) -> Value {
    complete(&schema.attributes, Some(prior), config, Unset::Unknown)
}

/// The planned object if only its stored state changes: computed attributes keep their prior values.
pub(super) fn kept(schema: &Schema, prior: &Value, config: &Value) -> Value {
    complete(&schema.attributes, Some(prior), config, Unset::Kept)
}

/// The attributes that require a replacement.
pub(super) fn replaced_by(schema: &Schema, prior: &Value, planned: &Value) -> Vec<Path> {
    let mut paths = Vec::new();
    replaced_in(&schema.attributes, prior, planned, &Path::root(), &mut paths);
    paths
}

/// Reports set elements that differ in the configuration but are equal with their defaults. Core would reject such a
/// plan as a bug of the provider.
pub(super) fn duplicates(schema: &Schema, config: &Value) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    duplicates_in(&schema.attributes, config, &Path::root(), &mut diagnostics);
    diagnostics
}

/// How to plan the value of a computed attribute that isn't stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unset {
    Kept,
    Unknown,
}

/// Completes a known object. Without a prior object, computed attributes are unknown.
fn complete(attributes: &[Attribute], prior: Option<&Value>, config: &Value, unset: Unset) -> Value {
    let prior = prior.filter(|prior| matches!(prior, Value::Map(_)));
    let pair = |attribute: &Attribute| {
        let name = attribute.name;
        let prior = prior.map(|prior| prior.attribute_or_null(name));
        let value = complete_attribute(attribute, prior, config.attribute_or_null(name), unset);
        (name.into(), value)
    };
    Value::Map(attributes.iter().map(pair).collect())
}

fn complete_attribute(attribute: &Attribute, prior: Option<&Value>, config: &Value, unset: Unset) -> Value {
    if attribute.write_only {
        return Value::Null;
    }
    // With ignore_changes, core copies the prior value of a computed attribute into the configuration.
    if attribute.usage == Usage::Computed {
        return set_by_provider(attribute, prior, unset);
    }
    let configured = match (&attribute.default, config.is_null()) {
        (Some(default), true) => default,
        (None, true) if attribute.usage == Usage::OptionalComputed => {
            return set_by_provider(attribute, prior, unset);
        }
        _ => config,
    };
    match &attribute.kind {
        Kind::Nested(nesting, nested) => complete_nested(*nesting, nested, prior, configured, unset),
        Kind::Plain(_) => configured.clone(),
    }
}

fn set_by_provider(attribute: &Attribute, prior: Option<&Value>, unset: Unset) -> Value {
    match prior {
        // An earlier configuration set it, and the current one doesn't.
        Some(prior) if attribute.usage == Usage::OptionalComputed && has_configured(attribute, prior) => {
            unknown(attribute)
        }
        Some(prior) if unset == Unset::Kept || attribute.stable => prior.clone(),
        _ => unknown(attribute),
    }
}

fn unknown(attribute: &Attribute) -> Value {
    if attribute.not_null { Value::unknown_not_null() } else { Value::unknown() }
}

/// Whether a nested attribute contains a value that only a configuration can have set.
fn has_configured(attribute: &Attribute, value: &Value) -> bool {
    let Kind::Nested(nesting, attributes) = &attribute.kind else { return false };
    let configured = |object: &Value| {
        attributes.iter().any(|inner| {
            let value = object.attribute_or_null(inner.name);
            !value.is_null() && (!inner.is_computed() || has_configured(inner, value))
        })
    };
    match (nesting, value) {
        (Nesting::Single, object) => configured(object),
        (_, Value::Sequence(objects)) => objects.iter().any(configured),
        (_, Value::Map(objects)) => objects.values().any(configured),
        _ => false,
    }
}

/// Completes a nested attribute: each object with its matching prior object.
fn complete_nested(
    nesting: Nesting,
    attributes: &[Attribute],
    prior: Option<&Value>,
    config: &Value,
    unset: Unset,
) -> Value {
    let element = |prior: Option<&Value>, config: &Value| match config {
        Value::Map(_) => complete(attributes, prior, config, unset),
        null_or_unknown => null_or_unknown.clone(),
    };
    match (nesting, config) {
        (Nesting::Single, config) => element(prior, config),
        (Nesting::List, Value::Sequence(configs)) => {
            let priors = sequence(prior);
            let pairs = configs.iter().enumerate();
            Value::Sequence(pairs.map(|(i, config)| element(priors.get(i), config)).collect())
        }
        (Nesting::Set, Value::Sequence(configs)) => {
            let mut priors: Vec<&Value> = sequence(prior).iter().collect();
            let mut pair = |config: &Value| {
                let same = priors.iter().position(|prior| may_come_from(attributes, prior, config));
                element(same.map(|position| priors.remove(position)), config)
            };
            Value::Sequence(configs.iter().map(&mut pair).collect())
        }
        (Nesting::Map, Value::Map(configs)) => {
            let prior_of = |key: &str| prior.and_then(|prior| prior.attribute(key));
            let pairs = configs.iter();
            Value::Map(pairs.map(|(key, config)| (key.clone(), element(prior_of(key), config))).collect())
        }
        (_, null_or_unknown) => null_or_unknown.clone(),
    }
}

fn sequence(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value::Sequence(elements)) => elements,
        _ => &[],
    }
}

fn keys(value: &Value) -> Vec<&Name> {
    match value {
        Value::Map(elements) => elements.keys().collect(),
        _ => Vec::new(),
    }
}

/// Whether an element of a set in the prior state matches a configured one: everything that the configuration sets is
/// equal.
fn may_come_from(attributes: &[Attribute], prior: &Value, config: &Value) -> bool {
    let kept = match config {
        Value::Map(_) => complete(attributes, Some(prior), config, Unset::Kept),
        null_or_unknown => null_or_unknown.clone(),
    };
    kept.same_as(prior, &object_type(attributes))
}

fn replaced_in(attributes: &[Attribute], prior: &Value, planned: &Value, path: &Path, paths: &mut Vec<Path>) {
    for attribute in attributes {
        let (prior, planned) =
            (prior.attribute_or_null(attribute.name), planned.attribute_or_null(attribute.name));
        // The type matters only where the values differ, and it is not for free.
        if prior == planned || prior.same_as(planned, &attribute.value_type()) {
            continue;
        }
        let path = path.and(attribute.name);
        let Kind::Nested(nesting, nested) = &attribute.kind else {
            if attribute.requires_replace {
                paths.push(path);
            }
            continue;
        };
        // An unknown value may differ in any attribute, and elements of sets have no paths.
        let as_a_whole = planned.is_unknown() || *nesting == Nesting::Set;
        if attribute.requires_replace || (as_a_whole && any_attribute(nested, |inner| inner.requires_replace))
        {
            paths.push(path);
        } else if !as_a_whole {
            replaced_in_elements(*nesting, nested, prior, planned, &path, paths);
        }
    }
}

fn replaced_in_elements(
    nesting: Nesting,
    attributes: &[Attribute],
    prior: &Value,
    planned: &Value,
    path: &Path,
    paths: &mut Vec<Path>,
) {
    match nesting {
        Nesting::Single => replaced_in(attributes, prior, planned, path, paths),
        Nesting::List | Nesting::Set => {
            let (priors, planned) = (sequence(Some(prior)), sequence(Some(planned)));
            for index in 0..priors.len().max(planned.len()) {
                let [prior, planned] = [priors, planned].map(|all| all.get(index).unwrap_or(&Value::Null));
                replaced_in(attributes, prior, planned, &path.then(Step::Index(index as i64)), paths);
            }
        }
        Nesting::Map => {
            let keys: BTreeSet<&Name> = [prior, planned].into_iter().flat_map(keys).collect();
            for key in keys {
                let (prior, planned) = (prior.attribute_or_null(key), planned.attribute_or_null(key));
                replaced_in(attributes, prior, planned, &path.then(Step::Key(key.to_string())), paths);
            }
        }
    }
}

fn duplicates_in(attributes: &[Attribute], config: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    for attribute in attributes {
        let Kind::Nested(nesting, nested) = &attribute.kind else { continue };
        let path = path.and(attribute.name);
        match (nesting, config.attribute(attribute.name)) {
            (Nesting::Single, Some(object)) => duplicates_in(nested, object, &path, diagnostics),
            (Nesting::List, Some(Value::Sequence(objects))) => {
                for (index, object) in objects.iter().enumerate() {
                    duplicates_in(nested, object, &path.then(Step::Index(index as i64)), diagnostics);
                }
            }
            (Nesting::Map, Some(Value::Map(objects))) => {
                for (key, object) in objects {
                    duplicates_in(nested, object, &path.then(Step::Key(key.to_string())), diagnostics);
                }
            }
            (Nesting::Set, Some(Value::Sequence(objects))) => {
                let known = objects.iter().filter(|object| object.is_wholly_known() && !object.is_null());
                let completed: Vec<_> =
                    known.map(|config| complete(nested, None, config, Unset::Unknown)).collect();
                let value_type = object_type(nested);
                let repeated = |(index, one): (usize, &Value)| {
                    completed[..index].iter().any(|other| one.same_as(other, &value_type))
                };
                if completed.iter().enumerate().any(repeated) {
                    diagnostics.push(messages::duplicate_element(path));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            schema::{computed, optional, optional_computed, required, testing::*},
            value::Type,
        },
        *,
    };

    fn unknown() -> Value {
        Value::unknown()
    }

    fn not_null() -> Value {
        Value::unknown_not_null()
    }

    /// Attributes of each kind, for the resource and for its nested objects.
    fn attributes() -> Vec<Attribute> {
        vec![
            string("key", required()),
            string("zone", optional().requires_replace()),
            string("mode", optional().default("fast")),
            string("id", computed().stable().not_null()),
            string("hash", computed()),
            string("alias", optional_computed()),
            string("token", optional().write_only()),
        ]
    }

    fn flat() -> Schema {
        Schema::new("Test.", attributes())
    }

    fn nested(nesting: Nesting) -> Schema {
        let attributes =
            attributes().into_iter().filter(|a| nesting != Nesting::Set || !a.write_only).collect();
        let items = attribute("items", optional(), Kind::Nested(nesting, attributes));
        Schema::new("Test.", vec![string("name", required()), string("tag", computed()), items])
    }

    /// A configuration. Attributes that aren't set are null.
    fn config<const N: usize>(set: [(&str, Value); N]) -> Value {
        let mut config =
            object(["key", "zone", "mode", "id", "hash", "alias", "token"].map(|name| (name, Value::Null)));
        set.into_iter()
            .for_each(|(name, value)| super::super::schema::testing::set(&mut config, name, value));
        config
    }

    /// A state after an apply.
    fn state<const N: usize>(set: [(&str, Value); N]) -> Value {
        let mut state = config([
            ("mode", "fast".into()),
            ("id", "1".into()),
            ("hash", "h".into()),
            ("alias", "a".into()),
        ]);
        set.into_iter().for_each(|(name, value)| super::super::schema::testing::set(&mut state, name, value));
        state
    }

    fn without_token(value: Value) -> Value {
        let Value::Map(mut attributes) = value else { return value };
        attributes.remove("token");
        Value::Map(attributes)
    }

    fn outer(items: Value) -> Value {
        object([("name", "n".into()), ("tag", Value::Null), ("items", items)])
    }

    fn outer_state(items: Value) -> Value {
        object([("name", "n".into()), ("tag", "t".into()), ("items", items)])
    }

    fn planned(schema: &Schema, prior: Option<&Value>, config: &Value) -> Value {
        match prior {
            Some(prior) => super::planned(schema, prior, config),
            None => created(schema, config),
        }
    }

    fn items(schema: &Schema, prior: Option<Value>, config: Value) -> Value {
        let prior = prior.map(outer_state);
        planned(schema, prior.as_ref(), &outer(config)).attribute("items").cloned().unwrap()
    }

    /// The plan of a new object, or of a new nested one.
    fn new<const N: usize>(set: [(&str, Value); N]) -> Value {
        let mut new =
            config([("mode", "fast".into()), ("id", not_null()), ("hash", unknown()), ("alias", unknown())]);
        set.into_iter().for_each(|(name, value)| super::super::schema::testing::set(&mut new, name, value));
        new
    }

    #[test]
    fn a_new_object_has_its_defaults_and_all_that_the_provider_sets_is_unknown() {
        let planned = planned(&flat(), None, &config([("key", "k".into()), ("token", "t".into())]));
        assert_eq!(planned, new([("key", "k".into())]));
    }

    #[test]
    fn configured_values_win_over_defaults_and_over_the_provider() {
        let config = config([("key", unknown()), ("mode", "slow".into()), ("alias", "mine".into())]);
        let expected = new([("key", unknown()), ("mode", "slow".into()), ("alias", "mine".into())]);
        assert_eq!(planned(&flat(), None, &config), expected);
    }

    #[test]
    fn an_unchanged_configuration_plans_the_prior_state() {
        let prior = state([("key", "k".into())]);
        let config = config([("key", "k".into()), ("token", "another".into())]);
        assert_eq!(super::planned(&flat(), &prior, &config), prior);
        let expected = state([("key", "k".into()), ("hash", unknown()), ("alias", unknown())]);
        assert_eq!(updated(&flat(), &prior, &config), expected);
    }

    #[test]
    fn a_changed_configuration_keeps_what_is_stable_and_nothing_else_that_the_provider_sets() {
        let prior = state([("key", "k".into())]);
        let config = config([("key", "other".into())]);
        let expected = state([("key", "other".into()), ("hash", unknown()), ("alias", unknown())]);
        assert_eq!(super::planned(&flat(), &prior, &config), expected);
        assert_eq!(updated(&flat(), &prior, &config), expected);
        assert_eq!(kept(&flat(), &prior, &config), state([("key", "other".into())]));
    }

    #[test]
    fn a_stable_value_that_is_null_stays_null() {
        let prior = state([("key", "k".into()), ("id", Value::Null)]);
        let planned = planned(&flat(), Some(&prior), &config([("key", "other".into())]));
        assert_eq!(planned.attribute("id"), Some(&Value::Null));
    }

    #[test]
    fn a_removed_value_goes_back_to_its_default_and_a_new_default_is_an_update() {
        let prior = state([("key", "k".into()), ("mode", "slow".into())]);
        let planned = planned(&flat(), Some(&prior), &config([("key", "k".into())]));
        assert_eq!(planned.attribute("mode"), Some(&"fast".into()));
        assert_eq!(planned.attribute("hash"), Some(&unknown()));
    }

    #[test]
    fn a_computed_value_in_the_configuration_by_ignore_changes_means_nothing() {
        let prior = state([("key", "k".into())]);
        let config = config([("key", "k".into()), ("hash", "h".into())]);
        assert_eq!(planned(&flat(), Some(&prior), &config), prior);
    }

    #[test]
    fn nested_objects_are_planned_like_the_resource() {
        let (configured, prior) = (config([("key", "k".into())]), state([("key", "k".into())]));
        let of = |name: &str, value: &Value| object([(name, value.clone())]);
        for (nesting, wrap) in [
            (Nesting::Single, (|value: &Value| value.clone()) as fn(&Value) -> Value),
            (Nesting::List, |value| list([value.clone()])),
            (Nesting::Set, |value| list([without_token(value.clone())])),
            (Nesting::Map, |value| object([("a", value.clone())])),
        ] {
            let schema = nested(nesting);
            let new = new([("key", "k".into())]);
            assert_eq!(items(&schema, None, wrap(&configured)), wrap(&new), "{nesting:?} created");
            assert_eq!(
                items(&schema, Some(wrap(&prior)), wrap(&configured)),
                wrap(&prior),
                "{nesting:?} unchanged"
            );
            assert_eq!(items(&schema, Some(Value::Null), wrap(&configured)), wrap(&new), "{nesting:?} added");
            assert_eq!(items(&schema, Some(wrap(&prior)), Value::Null), Value::Null, "{nesting:?} removed");
            assert_eq!(items(&schema, Some(wrap(&prior)), unknown()), unknown(), "{nesting:?} unknown");
            let prior = outer_state(wrap(&prior));
            let whole = planned(&schema, Some(&prior), &outer(unknown()));
            assert_eq!(whole.attribute("tag"), Some(&unknown()), "{nesting:?}: a change inside is a change");
        }
        let changed = config([("key", "other".into())]);
        let expected = state([("key", "other".into()), ("hash", unknown()), ("alias", unknown())]);
        assert_eq!(
            items(&nested(Nesting::Map), Some(of("a", &prior)), of("a", &changed)),
            of("a", &expected),
            "what is stable is kept inside too"
        );
    }

    #[test]
    fn elements_of_lists_keep_their_places_and_of_maps_their_keys() {
        let at = |key: &str| config([("key", key.into())]);
        let was = |key: &str, id: &str| state([("key", key.into()), ("id", id.into())]);
        let ids = |value: &Value| -> Vec<Value> {
            let elements: Vec<&Value> = match value {
                Value::Sequence(elements) => elements.iter().collect(),
                Value::Map(elements) => elements.values().collect(),
                _ => Vec::new(),
            };
            elements
                .into_iter()
                .map(|element| element.attribute("id").cloned().unwrap_or(Value::Null))
                .collect()
        };
        let grown = items(&nested(Nesting::List), Some(list([was("a", "1")])), list([at("b"), at("a")]));
        assert_eq!(ids(&grown), ["1".into(), not_null()]);
        let prior = object([("x", was("a", "1")), ("y", was("b", "2"))]);
        let moved = items(&nested(Nesting::Map), Some(prior), object([("y", at("b")), ("z", at("a"))]));
        assert_eq!(ids(&moved), ["2".into(), not_null()]);
        let mixed = items(&nested(Nesting::List), None, list([Value::Null, unknown(), at("a")]));
        assert_eq!(ids(&mixed), [Value::Null, Value::Null, not_null()]);
    }

    #[test]
    fn elements_of_sets_are_found_again_by_what_is_configured() {
        let at = |key: &str, mode: Value| without_token(config([("key", key.into()), ("mode", mode)]));
        let was = |key: &str, mode: &str, id: &str| {
            without_token(state([("key", key.into()), ("mode", mode.into()), ("id", id.into())]))
        };
        let schema = nested(Nesting::Set);
        let prior = || Some(list([was("a", "fast", "1"), was("b", "slow", "2"), was("c", "fast", "3")]));
        let same = list([at("c", Value::Null), at("b", "slow".into()), at("a", "fast".into())]);
        assert!(
            items(&schema, prior(), same).same_as(&prior().unwrap(), &schema.attributes[2].value_type()),
            "an element that sets the default is the one that leaves it out"
        );
        let changed = items(&schema, prior(), list([at("b", "slow".into()), at("c", "slow".into())]));
        let ids: Vec<_> =
            sequence(Some(&changed)).iter().map(|e| e.attribute("id").cloned().unwrap()).collect();
        assert_eq!(ids, ["2".into(), not_null()]);
        let unknown_key = without_token(config([("key", unknown())]));
        let planned = items(&schema, prior(), list([unknown_key]));
        assert_eq!(sequence(Some(&planned))[0].attribute("id"), Some(&not_null()));
    }

    #[test]
    fn a_nested_default_is_completed_like_a_configuration() {
        let default = config([("key", "k".into())]);
        let items = attribute(
            "items",
            optional().default(list([default])),
            Kind::Nested(Nesting::List, attributes()),
        );
        let schema = Schema::new("Test.", vec![items]);
        let planned = planned(&schema, None, &object([("items", Value::Null)]));
        assert_eq!(planned, object([("items", list([new([("key", "k".into())])]))]));
        let prior = object([("items", list([state([("key", "k".into())])]))]);
        assert_eq!(super::planned(&schema, &prior, &object([("items", Value::Null)])), prior);
    }

    #[test]
    fn what_the_provider_may_set_as_a_whole_is_kept_unless_a_configuration_had_set_it() {
        let inner = vec![string("key", optional()), string("id", computed())];
        let items = attribute("items", optional_computed(), Kind::Nested(Nesting::Single, inner));
        let schema = Schema::new("Test.", vec![items]);
        let nothing = object([("items", Value::Null)]);
        let state = |key: Value| object([("items", object([("key", key), ("id", "1".into())]))]);
        assert_eq!(planned(&schema, None, &nothing), object([("items", unknown())]));
        assert_eq!(planned(&schema, Some(&state(Value::Null)), &nothing), state(Value::Null));
        assert_eq!(planned(&schema, Some(&state("k".into())), &nothing), object([("items", unknown())]));
    }

    fn replaced(schema: &Schema, prior: &Value, planned: &Value) -> Vec<String> {
        replaced_by(schema, prior, planned).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_changed_attributes_replace_and_are_named_at_every_depth() {
        let in_zone = |zone: Value| state([("key", "k".into()), ("zone", zone)]);
        let (a, b) = (in_zone("a".into()), in_zone("b".into()));
        assert_eq!(replaced(&flat(), &a, &b), ["zone"]);
        assert_eq!(replaced(&flat(), &a, &a), Vec::<String>::new());
        assert_eq!(replaced(&flat(), &a, &state([("key", "other".into()), ("zone", "a".into())])), [""; 0]);
        assert_eq!(replaced(&flat(), &a, &in_zone(unknown())), ["zone"]);
        let case = |nesting, prior: Value, planned: Value| {
            replaced(&nested(nesting), &outer_state(prior), &outer_state(planned))
        };
        assert_eq!(case(Nesting::Single, a.clone(), b.clone()), ["items.zone"]);
        assert_eq!(case(Nesting::Single, Value::Null, b.clone()), ["items.zone"], "it appears");
        assert_eq!(case(Nesting::Single, a.clone(), Value::Null), ["items.zone"], "it goes");
        assert_eq!(case(Nesting::Single, a.clone(), unknown()), ["items"], "it may be another one");
        assert_eq!(case(Nesting::Single, in_zone(Value::Null), Value::Null), [""; 0]);
        assert_eq!(
            case(Nesting::List, list([a.clone(), a.clone()]), list([a.clone(), b.clone()])),
            ["items[1].zone"]
        );
        assert_eq!(case(Nesting::List, list([a.clone()]), list([a.clone(), b.clone()])), ["items[1].zone"]);
        assert_eq!(case(Nesting::List, list([a.clone(), b.clone()]), list([a.clone()])), ["items[1].zone"]);
        let (x, y) = (object([("x", a.clone())]), object([("x", a.clone()), ("y", b.clone())]));
        assert_eq!(case(Nesting::Map, x.clone(), y.clone()), ["items[\"y\"].zone"]);
        assert_eq!(case(Nesting::Map, y, x), ["items[\"y\"].zone"]);
        let in_set = |value: &Value| without_token(value.clone());
        assert_eq!(case(Nesting::Set, list([in_set(&a)]), list([in_set(&b)])), ["items"]);
        let two = |x: &Value, y: &Value| list([in_set(x), in_set(y)]);
        assert_eq!(case(Nesting::Set, two(&a, &b), two(&b, &a)), [""; 0], "the order means nothing");
    }

    #[test]
    fn elements_that_are_the_same_with_their_defaults_are_refused() {
        let schema = nested(Nesting::Set);
        let at = |mode: Value| without_token(config([("key", "k".into()), ("mode", mode)]));
        let found = |elements: Value| -> Vec<String> {
            let diagnostics = duplicates(&schema, &outer(elements));
            diagnostics.iter().map(|d| d.attribute.clone().unwrap_or_default().to_string()).collect()
        };
        assert_eq!(found(list([at(Value::Null), at("fast".into())])), ["items"]);
        assert_eq!(found(list([at(Value::Null), at("slow".into())])), [""; 0]);
        assert_eq!(found(list([at(Value::Null), at(unknown())])), [""; 0], "it may be another one");
        assert_eq!(found(unknown()), [""; 0]);
    }

    #[test]
    fn sets_deep_inside_are_searched_for_duplicates() {
        let set = attribute(
            "set",
            optional(),
            Kind::Nested(Nesting::Set, vec![string("mode", optional().default("x"))]),
        );
        let map = attribute("map", optional(), Kind::Nested(Nesting::Map, vec![set]));
        let schema =
            Schema::new("Test.", vec![attribute("list", optional(), Kind::Nested(Nesting::List, vec![map]))]);
        let elements = list([object([("mode", Value::Null)]), object([("mode", "x".into())])]);
        let config =
            object([("list", list([object([("map", object([("a", object([("set", elements)]))]))])]))]);
        let diagnostics = duplicates(&schema, &config);
        let path = diagnostics.iter().next().and_then(|d| d.attribute.clone()).unwrap();
        assert_eq!(path.to_string(), "list[0].map[\"a\"].set");
    }

    #[test]
    fn a_plain_set_in_another_order_is_no_change() {
        let tags = attribute("tags", optional(), Kind::Plain(Type::Set(Box::new(Type::String))));
        let schema = Schema::new("Test.", vec![tags]);
        let with = |a: &str, b: &str| object([("tags", list([a.into(), b.into()]))]);
        assert_eq!(planned(&schema, Some(&with("a", "b")), &with("b", "a")), with("a", "b"));
    }
}
