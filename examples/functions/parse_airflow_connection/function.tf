# Moves a connection from Airflow to the KMS. The Airflow connection is passed in `TF_VAR_airflow_connection`. Values parsed
# from an ephemeral value are ephemeral too, so only the token can come from it. `instance_url` and `account_id` are stored
# in state and must be set explicitly:

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
