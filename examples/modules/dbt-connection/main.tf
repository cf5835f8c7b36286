data "kms_project" "this" {
  count = var.project_slug == null ? 0 : 1

  slug = var.project_slug
}

locals {
  project_id = var.project_slug == null ? var.project_id : one(data.kms_project.this[*].id)
}

resource "kms_dbt_connection" "this" {
  name         = var.name
  description  = var.description
  project_id   = local.project_id
  instance_url = var.instance_url
  account_id   = var.account_id
  api_token    = var.api_token
}

# The KMS creates dbt service tokens through the connection, and keeps the current one in a secret.
resource "kms_dbt_service_token_rotation" "this" {
  count = var.rotation == null ? 0 : 1

  name              = var.name
  description       = var.description
  project_id        = local.project_id
  connection_id     = kms_dbt_connection.this.id
  environment       = var.rotation.environment
  secret_path       = var.rotation.secret_path
  secret_name       = var.rotation.secret_name
  token_name        = coalesce(var.rotation.token_name, var.name)
  permission_grants = var.rotation.permission_grants
  rotation_interval = var.rotation.interval
}

# A check block has no count, but a module has.
module "token_health" {
  source = "./token-health"
  count  = var.check_token ? 1 : 0

  connection_id = kms_dbt_connection.this.id
}
