variable "dbt_token" {
  type      = string
  sensitive = true
  ephemeral = true
}

locals {
  # Ephemeral, because the token is. Pass it to a write-only attribute, for example of a secret in a secret store.
  airflow_connection = provider::kms::airflow_connection_json("https://emea.dbt.com", "12345", var.dbt_token)
}
