locals {
  # Ephemeral, because the token is.
  uri = provider::kms::airflow_connection_uri(var.instance_url, var.account_id, var.api_token)
}

resource "terraform_data" "this" {
  triggers_replace = [var.connection_id, var.instance_url, var.account_id, var.revision]

  provisioner "local-exec" {
    # Terraform shows the output of a failed command, ephemeral values included. So the output is discarded.
    command = "exec >/dev/null 2>&1; ${var.command}"

    environment = {
      AIRFLOW_CONNECTION_ID  = var.connection_id
      AIRFLOW_CONNECTION_URI = local.uri
    }
  }
}
