//! The texts about dbt connections.

use crate::plugin::{diagnostics::Diagnostics, path::Path};

/// A URL of which the KMS uses the host alone.
pub fn only_the_host_is_used(host: &str, diagnostics: &mut Diagnostics) {
    let detail = format!(
        "The KMS uses the host name of \"instance_url\" alone, and calls https://{host}. It ignores http://, a \
         port, and a path and what follows it. If this host is right, set \"instance_url\" to \
         \"https://{host}\"."
    );
    let attribute = Some(Path::attribute("instance_url"));
    diagnostics.warning(attribute, "Only the host of instance_url is used", detail);
}

/// An account that dbt most likely doesn't have.
pub fn account_is_no_number(diagnostics: &mut Diagnostics) {
    let detail = "The IDs of dbt accounts consist of digits alone. \"account_id\" has other characters, so dbt will \
                  probably not find the account, and the apply will fail. Copy the number from the account settings \
                  of dbt.";
    diagnostics.warning(Some(Path::attribute("account_id")), "account_id is not a number", detail);
}
