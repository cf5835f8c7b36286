output "id" {
  description = "ID of the connection."
  value       = module.connection.id
}

output "project_id" {
  description = "ID of the connection's project. Null if the connection belongs to the organization."
  value       = module.connection.project_id
}

output "credentials_hash" {
  description = "Fingerprint of the stored credentials. It changes with each write of credentials, so it is a version for write-only attributes that take the same token."
  value       = module.connection.credentials_hash
}

output "rotation_id" {
  description = "ID of the rotation. Null without `rotation`."
  value       = module.connection.rotation_id
}

output "last_rotated_at" {
  description = "When the KMS last rotated the token. Null without `rotation`."
  value       = module.connection.last_rotated_at
}
