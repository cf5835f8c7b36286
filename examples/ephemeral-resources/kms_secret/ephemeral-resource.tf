ephemeral "kms_secret" "dbt_token" {
  name         = "DBT_TOKEN"
  workspace_id = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01"
  env_slug     = "prod"
}

resource "kms_dbt_connection" "analytics" {
  name         = "analytics-prod"
  instance_url = "https://cloud.getdbt.com"
  account_id   = "12345"
  api_token    = ephemeral.kms_secret.dbt_token.value
}
