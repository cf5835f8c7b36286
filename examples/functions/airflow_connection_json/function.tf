variable "dbt_token" {
  type      = string
  sensitive = true
  ephemeral = true
}

locals {
  # Ephemeral as the token is: it goes into a write-only attribute, such as that of a secret store's secret.
  airflow_connection = provider::kms::airflow_connection_json("https://emea.dbt.com", "12345", var.dbt_token)
}
