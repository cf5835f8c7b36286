data "kms_project" "analytics" {
  slug = "analytics"
}

data "kms_dbt_connection" "analytics" {
  project_id = data.kms_project.analytics.id
  name       = "analytics-prod"
}

output "dbt_account" {
  value = data.kms_dbt_connection.analytics.account_id
}
