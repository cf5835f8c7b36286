variable "dbt_token" {
  description = "dbt service token. Set it with TF_VAR_dbt_token."
  type        = string
  sensitive   = true
  ephemeral   = true
}

data "kms_project" "analytics" {
  slug = "analytics"
}

resource "kms_dbt_connection" "analytics" {
  name         = "analytics-prod"
  description  = "dbt account of the analytics team"
  project_id   = data.kms_project.analytics.id
  instance_url = "https://cloud.getdbt.com"
  account_id   = "12345"
  api_token    = var.dbt_token
}
