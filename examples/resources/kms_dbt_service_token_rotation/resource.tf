variable "dbt_token" {
  description = "dbt token with permission to manage service tokens."
  type        = string
  sensitive   = true
  ephemeral   = true
}

resource "kms_dbt_connection" "analytics" {
  name         = "analytics-prod"
  project_id   = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01"
  instance_url = "https://cloud.getdbt.com"
  account_id   = "12345"
  api_token    = var.dbt_token
}

resource "kms_dbt_service_token_rotation" "airflow" {
  name          = "airflow"
  project_id    = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01"
  connection_id = kms_dbt_connection.analytics.id
  environment   = "prod"
  secret_path   = "/airflow"
  secret_name   = "DBT_TOKEN"
  token_name    = "airflow"

  permission_grants = [
    { permission_set = "job_admin", project_id = 70403 },
    { permission_set = "metadata_only" },
  ]

  rotation_interval = 30
  rotate_at_utc     = { hours = 3 }
}
