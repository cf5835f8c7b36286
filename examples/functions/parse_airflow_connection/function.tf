# Moves a connection from Airflow to the KMS, with its text in `TF_VAR_airflow_connection`. What is read from an ephemeral
# text is ephemeral too, so only the token can come from it. URL and account are stored in state, so they stand here:

variable "airflow_connection" {
  type      = string
  sensitive = true
  ephemeral = true
}

resource "kms_dbt_connection" "analytics" {
  name         = "analytics-prod"
  instance_url = "https://cloud.getdbt.com"
  account_id   = "12345"
  api_token    = provider::kms::parse_airflow_connection(var.airflow_connection).api_token
}
