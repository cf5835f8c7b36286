data "kms_project" "analytics" {
  slug = "analytics"
}

data "kms_dbt_connections" "all" {
  project_id = data.kms_project.analytics.id
}

output "connections_by_account" {
  value = {
    for connection in data.kms_dbt_connections.all.connections : connection.account_id => connection.name...
  }
}
