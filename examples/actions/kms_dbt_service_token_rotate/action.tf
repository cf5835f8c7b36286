# Actions need Terraform 1.14 or later. `terraform apply -invoke=action.kms_dbt_service_token_rotate.airflow` rotates now:

variable "rotation_id" {
  type = string
}

action "kms_dbt_service_token_rotate" "airflow" {
  config {
    rotation_id = var.rotation_id
  }
}
