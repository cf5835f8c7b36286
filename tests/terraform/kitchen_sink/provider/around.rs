//! One of each other kind of type: around the things.

use std::collections::BTreeMap;

use terraform_provider_kms::{
    model,
    plugin::{
        action::{Action, Progress},
        context::Context,
        data_source::DataSource,
        diagnostics::Diagnostics,
        ephemeral::EphemeralResource,
        function::{Function, FunctionError, Parameter, Signature},
        list_resource::{Found, FoundSender, ListResource},
        model::{Field, Model as _},
        path::Path,
        resource::Resource as _,
        schema::{Schema, computed, optional, required},
        value::{Number, Type, Value},
    },
};

use crate::{
    Faulty,
    secret_text::SecretText,
    store::Store,
    thing::{Thing, Things},
};

model! {
    /// A thing, looked up.
    pub struct ThingData {
        /// Name of the thing.
        name: String = required(),
        /// ID of the thing.
        id: String = computed(),
        /// Disks of the thing.
        disks: Vec<DiskData> = computed(),
    }
}

model! {
    /// A disk.
    pub struct DiskData {
        /// Size of the disk.
        size: i64 = computed(),
    }
}

pub struct ThingByName(pub Store);

impl DataSource for ThingByName {
    type Model = ThingData;

    fn schema(&self) -> Schema {
        ThingData::schema("Looks a thing up.")
    }

    async fn read(&self, _: &mut Context, config: ThingData) -> Result<ThingData, Diagnostics> {
        let found = self.0.all()?.into_iter().find(|thing| thing.name == config.name);
        let thing = found.ok_or_else(|| {
            Diagnostics::from_attribute_error(
                Path::attribute("name"),
                "No such thing",
                "Choose another name.",
            )
        })?;
        let disks = thing.disks.into_known().unwrap_or_default().into_iter();
        let disks = disks.filter_map(Field::into_known).map(|disk| DiskData { size: disk.size });
        Ok(ThingData { id: thing.id, disks: Field::Known(disks.collect()), ..config })
    }
}

pub struct FaultySource;

impl DataSource for FaultySource {
    type Model = Faulty;

    fn schema(&self) -> Schema {
        Faulty::schema("It can't be served.")
    }

    async fn read(&self, _: &mut Context, config: Faulty) -> Result<Faulty, Diagnostics> {
        Ok(config)
    }
}

model! {
    /// A token.
    pub struct TokenData {
        /// What the token is for.
        name: String = required(),
        /// The token itself.
        token: SecretText = computed(),
    }
}

pub struct Tokens;

impl EphemeralResource for Tokens {
    type Model = TokenData;

    fn schema(&self) -> Schema {
        TokenData::schema("Makes a token.")
    }

    fn validate(&self, config: &TokenData, diagnostics: &mut Diagnostics) {
        if config.name.as_str() == Some("nothing") {
            diagnostics.error(Some(Path::attribute("name")), "No token", "There is no token for nothing.");
        }
    }

    async fn open(&self, _: &mut Context, config: TokenData) -> Result<TokenData, Diagnostics> {
        let token = SecretText(format!("token-for-{}", config.name.text()));
        Ok(TokenData { token: Field::Known(token), ..config })
    }
}

model! {
    /// Which things to find.
    pub struct ThingListConfig {
        /// Finds only things whose names begin with this.
        prefix: String = optional(),
    }
}

pub struct ThingList(pub Store);

impl ListResource for ThingList {
    type Config = ThingListConfig;
    type Resource = Things;

    fn schema(&self) -> Schema {
        ThingListConfig::schema("Finds things.")
    }

    async fn list(
        &self,
        _: &mut Context,
        config: ThingListConfig,
        mut found: FoundSender<Things>,
    ) -> Result<(), Diagnostics> {
        let things = Things::new(self.0.clone());
        for thing in
            self.0.all()?.into_iter().filter(|thing| thing.name.text().starts_with(config.prefix.text()))
        {
            let identity = things.identity(&thing);
            // The runtime keeps the password out of what it returns.
            let state = Thing { password: Field::Known(SecretText("listed-password".into())), ..thing };
            let display_name = state.name.text().to_owned();
            if !found.send(Found { display_name, identity, state }).await {
                break;
            }
        }
        Ok(())
    }
}

model! {
    /// Which thing to touch.
    pub struct TouchConfig {
        /// ID of the thing.
        id: String = required(),
    }
}

pub struct Touch(pub Store);

impl Action for Touch {
    type Config = TouchConfig;

    fn schema(&self) -> Schema {
        TouchConfig::schema("Touches a thing.")
    }

    async fn invoke(
        &self,
        _: &mut Context,
        config: TouchConfig,
        progress: &Progress,
    ) -> Result<(), Diagnostics> {
        let thing = self.0.load(config.id.text())?;
        let thing =
            thing.ok_or_else(|| Diagnostics::from_error("No such thing", "There is nothing to touch."))?;
        progress.report(format!("Touched {}.", thing.name.text())).await;
        Ok(())
    }
}

fn signature(summary: &'static str, name: &'static str, value_type: Type, result: Type) -> Signature {
    let parameter = Parameter { name, description: "What to work on.", value_type };
    Signature { summary, description: summary, parameters: vec![parameter], result }
}

fn failed(text: &str) -> FunctionError {
    FunctionError { text: text.to_owned(), argument: Some(0) }
}

/// A list of texts becomes one.
pub struct Join;

impl Function for Join {
    fn signature(&self) -> Signature {
        signature("Joins texts.", "texts", Type::List(Box::new(Type::String)), Type::String)
    }

    fn call(&self, arguments: Vec<Value>) -> Result<Value, FunctionError> {
        let Some(Value::Sequence(texts)) = arguments.into_iter().next() else {
            return Err(failed("no list"));
        };
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            _ => None,
        };
        let texts: Option<Vec<String>> = texts.iter().map(text).collect();
        Ok(texts.ok_or_else(|| failed("has a text that is null."))?.join("+").into())
    }
}

/// A map of numbers becomes one.
pub struct Total;

impl Function for Total {
    fn signature(&self) -> Signature {
        signature("Adds numbers up.", "numbers", Type::Map(Box::new(Type::Number)), Type::Number)
    }

    fn call(&self, arguments: Vec<Value>) -> Result<Value, FunctionError> {
        let Some(Value::Map(numbers)) = arguments.into_iter().next() else { return Err(failed("no map")) };
        let number = |value: &Value| match value {
            Value::Number(number) => number.as_i64(),
            _ => None,
        };
        let numbers: Option<Vec<i64>> = numbers.values().map(number).collect();
        Ok(Value::from(numbers.ok_or_else(|| failed("has a number that is not whole."))?.iter().sum::<i64>()))
    }
}

/// An object becomes another one.
pub struct Swap;

impl Function for Swap {
    fn signature(&self) -> Signature {
        let pair = |a, b| Type::Object(BTreeMap::from([("a".into(), a), ("b".into(), b)]));
        signature("Swaps a and b.", "pair", pair(Type::String, Type::Bool), pair(Type::Bool, Type::String))
    }

    fn call(&self, arguments: Vec<Value>) -> Result<Value, FunctionError> {
        let Some(Value::Map(mut pair)) = arguments.into_iter().next() else { return Err(failed("no pair")) };
        let (a, b) = (pair.remove("a").unwrap_or(Value::Null), pair.remove("b").unwrap_or(Value::Null));
        Ok(Value::Map(BTreeMap::from([("a".into(), b), ("b".into(), a)])))
    }
}

/// Any value becomes the name of its type.
pub struct KindOf;

impl Function for KindOf {
    fn signature(&self) -> Signature {
        signature("Names the type of a value.", "value", Type::Dynamic, Type::String)
    }

    fn call(&self, arguments: Vec<Value>) -> Result<Value, FunctionError> {
        let Some(Value::Dynamic(value_type, value)) = arguments.into_iter().next() else {
            return Err(failed("no value"));
        };
        Ok(match *value {
            Value::Number(Number::Decimal(digits)) => digits.into(),
            _ => value_type.to_json().to_string().into(),
        })
    }
}
