variable "project_id" {
  description = "ID of the KMS project that holds the secret with the current token."
  type        = string
}

variable "hand_over" {
  description = "Shell command that stores the connection in Airflow's secrets backend. It gets the connection in AIRFLOW_CONN_DBT_CLOUD_DEFAULT."
  type        = string
}

resource "kms_dbt_service_token_rotation" "airflow" {
  name          = "airflow"
  project_id    = var.project_id
  connection_id = kms_dbt_connection.analytics.id
  environment   = "prod"
  secret_name   = "AIRFLOW_DBT_TOKEN"
  token_name    = "airflow"

  permission_grants = [{ permission_set = "job_runner" }]
}

ephemeral "kms_secret" "token" {
  # The condition is unknown until the rotation is created or updated, so the secret is not read before that.
  name = (
    kms_dbt_service_token_rotation.airflow.last_rotated_at != ""
    ? kms_dbt_service_token_rotation.airflow.secret_name
    : null
  )
  workspace_id = kms_dbt_service_token_rotation.airflow.project_id
  env_slug     = kms_dbt_service_token_rotation.airflow.environment
  folder_path  = kms_dbt_service_token_rotation.airflow.secret_path
}

resource "terraform_data" "airflow" {
  # A time, not a token. It changes with each rotation, and the command then runs again.
  triggers_replace = kms_dbt_service_token_rotation.airflow.last_rotated_at

  provisioner "local-exec" {
    # Terraform prints the output of a failing command, including ephemeral values, so the output is discarded.
    command = "exec >/dev/null 2>&1; ${var.hand_over}"

    environment = {
      AIRFLOW_CONN_DBT_CLOUD_DEFAULT = provider::kms::airflow_connection_uri(
        kms_dbt_connection.analytics.instance_url,
        kms_dbt_connection.analytics.account_id,
        ephemeral.kms_secret.token.value,
      )
    }
  }
}
