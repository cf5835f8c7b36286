data "kms_dbt_service_token_rotation" "airflow" {
  project_id  = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01"
  environment = "prod"
  secret_path = "/airflow"
  name        = "airflow"
}

output "next_rotation" {
  value = data.kms_dbt_service_token_rotation.airflow.next_rotation_at
}
