output "connection_id" {
  description = "ID of the connection whose token is checked."
  value       = var.connection_id
}
