data "kms_project" "analytics" {
  slug = "analytics"
}

# Pass the ID to arguments that take a project ID:

data "kms_dbt_connections" "analytics" {
  project_id = data.kms_project.analytics.id
}

output "environments" {
  description = "The names of the project's environments, by slug."
  value       = data.kms_project.analytics.environments
}
