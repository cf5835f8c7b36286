import {
  to = kms_dbt_service_token_rotation.airflow
  identity = {
    id = "6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab"
  }
}
