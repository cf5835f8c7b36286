variable "dbt_token" {
  description = "Service token of dbt, for instance from TF_VAR_dbt_token."
  type        = string
  sensitive   = true
  ephemeral   = true
}

resource "kms_dbt_connection" "analytics" {
  name         = "analytics-prod"
  description  = "dbt account of the analytics team"
  project_id   = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01"
  instance_url = "https://cloud.getdbt.com"
  account_id   = "12345"
  api_token    = var.dbt_token
}
