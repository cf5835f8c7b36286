//! The plan and apply walks of Terraform's core, for one resource.

use terraform_provider_kms::plugin::value::Value;

use crate::{
    Checked, Violation,
    calls::{About, Applied, Calls, Object, Planned},
    core::text,
    model::{Action, Block, Place, Sent, Token, expected_action},
    steps::{Run, Tokens},
};

/// A resource: its block and its objects in the state.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    pub config: Option<Block>,
    pub object: Option<Object>,
    /// Deposed objects, still to be deleted.
    pub deposed: Vec<Object>,
}

/// The plan of one resource.
#[derive(Debug)]
pub struct SlotPlan {
    pub action: Action,
    /// The resource after the refresh.
    pub slot: Slot,
    planned: Option<Planned>,
    deposed: Vec<Planned>,
    /// Whether the apply may find that there is nothing to do, because the plan saw another token.
    may_vanish: bool,
}

/// The result of the apply of one resource.
#[derive(Debug)]
pub struct SlotResult {
    pub slot: Slot,
    pub action: Action,
    /// The object before the apply.
    pub before: Option<Object>,
    pub failed: bool,
    /// Creates under way when the provider was killed.
    pub cut: Vec<Place>,
    /// Whether the apply got to this resource.
    pub begun: bool,
}

/// A walk.
#[derive(Clone)]
pub struct Walk {
    pub calls: Calls,
    pub run: u32,
    pub options: Run,
}

impl Walk {
    fn about(&self, slot: u8, action: Action, place: Place) -> About {
        About { run: self.run, slot, action, place }
    }

    fn planned_token(&self, block: &Block) -> Token {
        match (self.options.tokens, block.token()) {
            (Tokens::AsConfigured, token) => token,
            (_, Token::Absent) => Token::Absent,
            (Tokens::Others, Token::Known(token)) => Token::Known((token + 1) % 3),
            (Tokens::Others | Tokens::Unknown, _) => Token::Unknown,
        }
    }

    /// Refreshes and plans one resource. `None` if that failed, and so the run.
    pub async fn plan(&self, number: u8, mut slot: Slot) -> Checked<Option<SlotPlan>> {
        let mut deposed_plans = Vec::new();
        let mut deposed = Vec::new();
        for object in std::mem::take(&mut slot.deposed) {
            let about = self.about(number, Action::Nothing, Place::of_state(&object.state));
            let Some(read) = self.refresh(&about, &object).await? else { return Ok(None) };
            let Some(object) = read else { continue };
            let Some(planned) = self.calls.of(number).plan_destroy(&about, &object).await? else {
                return Ok(None);
            };
            deposed_plans.push(planned);
            deposed.push(object);
        }
        slot.deposed = deposed;
        if let Some(object) = &slot.object {
            let about = self.about(number, Action::Nothing, Place::of_state(&object.state));
            let Some(read) = self.refresh(&about, object).await? else { return Ok(None) };
            slot.object = read;
        }
        let plan = |action, slot, planned, may_vanish| {
            Ok(Some(SlotPlan { action, slot, planned, deposed: deposed_plans, may_vanish }))
        };
        let (object, config) = (slot.object.as_ref(), slot.config.as_ref());
        let Some(config) = config else {
            let Some(object) = object else { return plan(Action::Nothing, slot, None, false) };
            let about = self.about(number, Action::Nothing, Place::of_state(&object.state));
            let Some(planned) = self.calls.of(number).plan_destroy(&about, object).await? else {
                return Ok(None);
            };
            return plan(Action::Delete, slot, Some(planned), false);
        };
        let about = self.about(number, Action::Nothing, config.place());
        let token = self.planned_token(config);
        let wanted = config.value(token);
        if self.calls.of(number).validate(&about, &wanted).await?.is_none() {
            return Ok(None);
        }
        let replace = self.options.replace == Some(number);
        let mut expected = expected_action(object, config, token);
        if replace && object.is_some() {
            expected = Action::Replace;
        }
        let is_refused = config.lacks_token(object, expected);
        let planned = self.calls.of(number).plan(&about, object, &wanted, replace).await?;
        let Some(planned) = planned else {
            if is_refused {
                self.calls.process.refuse(number);
            }
            return Ok(None);
        };
        if is_refused {
            return Err(Violation::new(
                "plan",
                format!("{expected:?} of resource {number} is planned without a token"),
            ));
        }
        let action = action_of(object, &planned);
        if action != expected {
            let text = format!("{action:?} is planned for resource {number} instead of {expected:?}");
            return Err(Violation::new("plan", text));
        }
        let may_vanish = self.options.tokens != Tokens::AsConfigured;
        plan(action, slot, Some(planned), may_vanish)
    }

    /// Reads an object of the state. The outer `None` means that it failed.
    async fn refresh(&self, about: &About, object: &Object) -> Checked<Option<Option<Object>>> {
        let calls = self.calls.of(about.slot);
        if calls.process.is_stopping() || calls.upgrade(about, object).await?.is_none() {
            return Ok(None);
        }
        calls.read(about, object).await
    }

    /// Applies the plan of one resource.
    pub async fn apply(&self, number: u8, plan: SlotPlan) -> Checked<SlotResult> {
        let SlotPlan { action, slot, planned, deposed, may_vanish } = plan;
        let before = slot.object.clone();
        let mut result = SlotResult { slot, action, before, failed: false, cut: Vec::new(), begun: true };
        for planned in deposed {
            let object = result.slot.deposed.remove(0);
            if let Some(kept) = self.delete(number, &object, Some(planned), &mut result).await? {
                result.slot.deposed.push(kept);
            }
        }
        let Some(planned) = planned else { return Ok(result) };
        match action {
            Action::Nothing => {}
            Action::Delete => {
                if let Some(object) = result.slot.object.take() {
                    result.slot.object = self.delete(number, &object, Some(planned), &mut result).await?;
                }
            }
            Action::Create | Action::Update => self.write(number, planned, may_vanish, &mut result).await?,
            Action::Replace => self.replace(number, planned, may_vanish, &mut result).await?,
        }
        Ok(result)
    }

    async fn replace(
        &self,
        number: u8,
        planned: Planned,
        may_vanish: bool,
        result: &mut SlotResult,
    ) -> Checked {
        let Some(old) = result.slot.object.take() else { return Ok(()) };
        if result.slot.config.is_some_and(|config| config.creates_before_destroy()) {
            result.slot.deposed.push(old);
            let failed_before = std::mem::take(&mut result.failed);
            self.write(number, planned, may_vanish, result).await?;
            let failed = result.failed;
            result.failed |= failed_before;
            let Some(old) = result.slot.deposed.pop() else { return Ok(()) };
            if failed && result.slot.object.is_none() {
                result.slot.object = Some(old);
            } else if failed {
                result.slot.deposed.push(old);
            } else if let Some(kept) = self.delete(number, &old, None, result).await? {
                result.slot.deposed.push(kept);
            }
            return Ok(());
        }
        // Core passes the private state and the identity of the planned create, which has no identity yet.
        let delete = Planned { state: Value::Null, ..planned.clone() };
        if let Some(kept) = self.delete(number, &old, Some(delete), result).await? {
            result.slot.object = Some(kept);
            return Ok(());
        }
        self.write(number, planned, may_vanish, result).await
    }

    /// Deletes an object. Returns it if it stays in the state.
    async fn delete(
        &self,
        number: u8,
        object: &Object,
        planned: Option<Planned>,
        result: &mut SlotResult,
    ) -> Checked<Option<Object>> {
        let about = self.about(number, Action::Delete, Place::of_state(&object.state));
        let kept = Ok(Some(object.clone()));
        if self.calls.process.is_stopping() || self.calls.of(number).upgrade(&about, object).await?.is_none()
        {
            result.failed = true;
            return kept;
        }
        let planned = match planned {
            Some(planned) => planned,
            None => match self.calls.of(number).plan_destroy(&about, object).await? {
                Some(planned) => planned,
                None => {
                    result.failed = true;
                    return kept;
                }
            },
        };
        let applied =
            self.calls.of(number).apply(&about, Some(object), planned, &Value::Null, |_| None).await?;
        result.failed |= applied.failed;
        Ok(applied.object)
    }

    /// Creates or updates: plans again with known values, compares with the first plan, and applies.
    async fn write(&self, number: u8, first: Planned, may_vanish: bool, result: &mut SlotResult) -> Checked {
        let Some(config) = result.slot.config else { return Ok(()) };
        let object = result.slot.object.clone();
        let action = if object.is_none() { Action::Create } else { Action::Update };
        let about = self.about(number, action, config.place());
        let failed_before = std::mem::replace(&mut result.failed, true);
        if self.calls.process.is_stopping() {
            result.begun = false;
            return Ok(());
        }
        if let Some(object) = &object
            && self.calls.of(number).upgrade(&about, object).await?.is_none()
        {
            return Ok(());
        }
        let wanted = config.value(config.token());
        if self.calls.of(number).validate(&about, &wanted).await?.is_none() {
            return Ok(());
        }
        // As Terraform 1.16 does and older releases don't.
        let handed_over = if self.run.is_multiple_of(2) { first.private.clone() } else { Vec::new() };
        let Some(planned) =
            self.calls.of(number).plan_again(&about, object.as_ref(), &wanted, handed_over).await?
        else {
            return Ok(());
        };
        self.check_second_plan(number, &first, &planned)?;
        let again = action_of(object.as_ref(), &planned);
        if again == Action::Nothing && may_vanish {
            (result.action, result.failed) = (Action::Nothing, failed_before);
            return Ok(());
        }
        if again != action {
            let text =
                format!("the apply of resource {number} would {again:?} where the plan said {action:?}");
            return Err(Violation::new("core", text));
        }
        let sends_credentials = object
            .as_ref()
            .is_none_or(|object| config.expected_patch(object, config.token()).contains_key("credentials"));
        let earlier = object.as_ref().and_then(|object| object.sent.clone());
        let sent = |state: &_| match (sends_credentials, config.token()) {
            (true, Token::Known(token)) => {
                let versioned = config.connection().is_some_and(|config| config.version().is_some());
                text(state, "credentials_hash").map(|hash| Sent { token, hash: hash.to_owned(), versioned })
            }
            _ => earlier,
        };
        let Applied { object, failed, cut } =
            self.calls.of(number).apply(&about, object.as_ref(), planned, &wanted, sent).await?;
        result.slot.object = object;
        result.failed = failed || failed_before;
        if cut && action == Action::Create {
            result.cut.push(config.place());
        }
        Ok(())
    }

    /// The second plan may know more than the first one, but must not contradict it.
    fn check_second_plan(&self, number: u8, first: &Planned, second: &Planned) -> Checked {
        let faults = self.calls.of(number).kind.faults_of_completion(&first.state, &second.state);
        match faults.is_empty() {
            true => Ok(()),
            false => Err(Violation::new("core", format!("inconsistent final plan: {}", faults.join("; ")))),
        }
    }
}

fn action_of(object: Option<&Object>, planned: &Planned) -> Action {
    match object {
        None => Action::Create,
        Some(_) if planned.replaces => Action::Replace,
        Some(object) if object.state == planned.state => Action::Nothing,
        Some(_) => Action::Update,
    }
}
