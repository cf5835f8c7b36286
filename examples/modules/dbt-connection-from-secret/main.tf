data "kms_project" "of_secret" {
  slug = var.secret.project_slug == null ? var.project_slug : var.secret.project_slug
}

# The token exists only in memory: it is read for one run, and goes into a write-only attribute.
ephemeral "kms_secret" "token" {
  name         = var.secret.name
  workspace_id = data.kms_project.of_secret.id
  env_slug     = var.secret.env_slug
  folder_path  = var.secret.folder_path
}

module "connection" {
  source = "../dbt-connection"

  name         = var.name
  description  = var.description
  project_slug = var.project_slug
  instance_url = var.instance_url
  account_id   = var.account_id
  api_token    = ephemeral.kms_secret.token.value
  rotation     = var.rotation
  check_token  = var.check_token
}
