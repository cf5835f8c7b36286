data "kms_dbt_connections" "all" {
  project_id = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01"
}

output "connections_by_account" {
  value = {
    for connection in data.kms_dbt_connections.all.connections : connection.account_id => connection.name...
  }
}
