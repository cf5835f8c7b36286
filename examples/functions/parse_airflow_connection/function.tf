# A connection that Airflow has moves into the KMS, with its text in `TF_VAR_airflow_connection`. All of an ephemeral
# text is ephemeral, so only the token is taken from it; URL and account are stored, and stand here:

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
