data "kms_project" "analytics" {
  slug = "analytics"
}

ephemeral "kms_secret" "dbt_token" {
  name         = "DBT_TOKEN"
  workspace_id = data.kms_project.analytics.id
  env_slug     = "prod"
}

resource "kms_dbt_connection" "analytics" {
  name         = "analytics-prod"
  instance_url = "https://cloud.getdbt.com"
  account_id   = "12345"
  api_token    = ephemeral.kms_secret.dbt_token.value
}
