data "kms_project" "this" {
  count = var.project_slug == null ? 0 : 1

  slug = var.project_slug
}

# The project of the secret, where that is another one.
data "kms_project" "of_secret" {
  count = try(var.secret.project_slug, null) == null ? 0 : 1

  slug = var.secret.project_slug
}

# The token's value is written nowhere: it is read for the length of a run, and goes into a write-only attribute.
ephemeral "kms_secret" "token" {
  count = var.secret == null ? 0 : 1

  name         = var.secret.name
  workspace_id = concat(data.kms_project.of_secret, data.kms_project.this)[0].id
  env_slug     = var.secret.env_slug
  folder_path  = var.secret.folder_path
}

locals {
  api_token = var.secret == null ? var.api_token : one(ephemeral.kms_secret.token[*].value)
}

resource "kms_dbt_connection" "this" {
  name         = var.name
  description  = var.description
  project_id   = one(data.kms_project.this[*].id)
  instance_url = var.instance_url
  account_id   = var.account_id
  api_token    = local.api_token

  lifecycle {
    precondition {
      condition     = (var.api_token == null) != (var.secret == null)
      error_message = "Give the token itself in api_token, or the secret of the KMS that holds it in secret: one of the two."
    }
  }
}

# The KMS makes dbt service tokens through the connection, and keeps the current one in a secret.
resource "kms_dbt_service_token_rotation" "this" {
  count = var.rotation == null ? 0 : 1

  name              = var.name
  description       = var.description
  project_id        = one(data.kms_project.this[*].id)
  connection_id     = kms_dbt_connection.this.id
  environment       = var.rotation.environment
  secret_path       = var.rotation.secret_path
  secret_name       = var.rotation.secret_name
  token_name        = coalesce(var.rotation.token_name, var.name)
  permission_grants = var.rotation.permission_grants
  rotation_interval = var.rotation.interval
}

# A check can't be switched off, but a module can.
module "token_health" {
  source = "./token-health"
  count  = var.check_token ? 1 : 0

  connection_id = kms_dbt_connection.this.id
}
