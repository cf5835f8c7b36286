output "delivery_id" {
  description = "Identifies the last successful run of the command. It changes with each run."
  value       = terraform_data.this.id
}
