# By ID:
terraform import kms_dbt_service_token_rotation.airflow 6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab

# By project ID, environment, folder path and name:
terraform import kms_dbt_service_token_rotation.airflow 3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01/prod/airflow/airflow
