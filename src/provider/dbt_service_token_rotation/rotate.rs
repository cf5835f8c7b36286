//! `kms_dbt_service_token_rotate`: rotates a dbt service token now.

use crate::{
    model,
    plugin::{
        action::{Action, Progress},
        context::Context,
        diagnostics::Diagnostics,
        model::Model as _,
        schema::{Schema, required},
    },
    provider::{
        access::Access,
        messages::{
            actions,
            attribute_map::{self, AttributeMap},
            failures,
        },
        rules,
    },
};

model! {
    /// Which rotation to perform.
    pub struct RotateConfig {
        /// ID of the dbt service token rotation, a UUID.
        rotation_id: String = required().rule(rules::uuid),
    }
}

const ATTRIBUTES: AttributeMap = AttributeMap {
    object: Some("rotation_id"),
    credentials: Some("rotation_id"),
    credentials_advice: attribute_map::CREDENTIALS_OF_ROTATION,
    account: Some("rotation_id"),
    instance: Some("rotation_id"),
    whose: attribute_map::OF_THE_CONNECTION,
    feature: Some("secret rotations"),
    again: attribute_map::LOOK_BEFORE_ROTATING_AGAIN,
    ..AttributeMap::NONE
};

/// The action type.
pub(in crate::provider) struct RotateServiceToken {
    access: Access,
}

impl RotateServiceToken {
    pub(in crate::provider) fn new(access: Access) -> Self {
        Self { access }
    }
}

impl Action for RotateServiceToken {
    type Config = RotateConfig;

    fn schema(&self) -> Schema {
        RotateConfig::schema(
            "Rotates a dbt service token immediately: the KMS revokes the older of the two valid tokens, creates a new one, and \
             stores it in the rotation's secret. The token that was current before remains valid until the next rotation. The \
             provider never retries this call, because each call revokes a token.",
        )
    }

    async fn plan(&self, cx: &mut Context, _: RotateConfig) -> Result<(), Diagnostics> {
        self.access.ensure_plannable(cx)
    }

    async fn invoke(
        &self,
        cx: &mut Context,
        config: RotateConfig,
        progress: &Progress,
    ) -> Result<(), Diagnostics> {
        let operation = self.access.operation(cx)?;
        let id = config.rotation_id.text();
        progress.report(actions::rotating(id)).await;
        let result = operation.rotate_service_token(id).await;
        failures::note_waiting(&operation, &mut cx.diagnostics);
        let task = format!("rotate the dbt service token of {id}");
        let rotation = result.map_err(|error| failures::failure(&task, &error, ATTRIBUTES))?;
        progress.report(actions::rotated(&rotation)).await;
        Ok(())
    }
}
