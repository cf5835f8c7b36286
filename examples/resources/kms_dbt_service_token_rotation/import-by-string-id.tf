import {
  to = kms_dbt_service_token_rotation.airflow
  id = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01/prod/airflow/airflow"
}
