output "id" {
  description = "ID of the connection."
  value       = kms_dbt_connection.this.id
}

output "credentials_hash" {
  description = "Changes whenever credentials were written: a version for write-only attributes that take `airflow_connection_uri`."
  value       = kms_dbt_connection.this.credentials_hash
}

output "last_rotated_at" {
  description = "When the rotation last made a new token. Null without `rotation`."
  value       = one(kms_dbt_service_token_rotation.this[*].last_rotated_at)
}

output "airflow_connection_uri" {
  description = "The connection as a URI for Airflow, with the token in it. Null without `airflow`."
  value       = var.airflow ? provider::kms::airflow_connection_uri(var.instance_url, var.account_id, local.api_token) : null
  ephemeral   = true
  sensitive   = true
}
