# Actions require Terraform 1.14 or later. To rotate the token, run
# `terraform apply -invoke=action.kms_dbt_service_token_rotate.airflow`:

variable "rotation_id" {
  type = string
}

action "kms_dbt_service_token_rotate" "airflow" {
  config {
    rotation_id = var.rotation_id
  }
}
