mock_provider "kms" {
  # The provider validates arguments under a mock too, and a rotation takes the UUID of a connection.
  mock_resource "kms_dbt_connection" {
    defaults = {
      id = "6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab"
    }
  }

  mock_data "kms_project" {
    defaults = {
      id = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01"
    }
  }
}

variables {
  name         = "airflow-prod"
  description  = "Token for Airflow"
  project_slug = "analytics"
  account_id   = "12345"
  api_token    = "stand-in"

  rotation = {
    environment       = "prod"
    secret_name       = "DBT_TOKEN"
    permission_grants = [{ permission_set = "job_admin" }]
  }
}

run "defaults" {
  assert {
    condition     = kms_dbt_service_token_rotation.this[0].name == "airflow-prod" && kms_dbt_service_token_rotation.this[0].description == "Token for Airflow"
    error_message = "The rotation must have the name and the description of the connection."
  }

  assert {
    condition     = kms_dbt_service_token_rotation.this[0].connection_id == kms_dbt_connection.this.id
    error_message = "The rotation must use the connection."
  }

  assert {
    condition     = kms_dbt_service_token_rotation.this[0].project_id == "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01"
    error_message = "The rotation must belong to the project of the connection."
  }

  assert {
    condition     = kms_dbt_service_token_rotation.this[0].environment == "prod" && kms_dbt_service_token_rotation.this[0].secret_name == "DBT_TOKEN"
    error_message = "The rotation must write the given secret."
  }

  assert {
    condition     = kms_dbt_service_token_rotation.this[0].secret_path == "/"
    error_message = "The default folder is the root."
  }

  assert {
    condition     = kms_dbt_service_token_rotation.this[0].token_name == "airflow-prod"
    error_message = "By default, the token has the name of the connection."
  }

  assert {
    condition     = kms_dbt_service_token_rotation.this[0].rotation_interval == 30
    error_message = "By default, the token is rotated every 30 days."
  }

  assert {
    condition     = one(kms_dbt_service_token_rotation.this[0].permission_grants).permission_set == "job_admin" && one(kms_dbt_service_token_rotation.this[0].permission_grants).project_id == null
    error_message = "The token must have the given permissions, in every dbt project."
  }

  assert {
    condition     = output.rotation_id == kms_dbt_service_token_rotation.this[0].id && output.last_rotated_at == kms_dbt_service_token_rotation.this[0].last_rotated_at
    error_message = "The outputs must be those of the rotation."
  }
}

run "every_argument" {
  command = plan

  variables {
    rotation = {
      environment       = "dev"
      secret_path       = "/airflow"
      secret_name       = "TOKEN"
      token_name        = "airflow"
      permission_grants = [{ permission_set = "job_runner", project_id = 7 }]
      interval          = 7
    }
  }

  assert {
    condition     = kms_dbt_service_token_rotation.this[0].environment == "dev" && kms_dbt_service_token_rotation.this[0].secret_path == "/airflow" && kms_dbt_service_token_rotation.this[0].secret_name == "TOKEN"
    error_message = "The rotation must write the given secret."
  }

  assert {
    condition     = kms_dbt_service_token_rotation.this[0].token_name == "airflow" && kms_dbt_service_token_rotation.this[0].rotation_interval == 7
    error_message = "The rotation must have the given token name and interval."
  }

  assert {
    condition     = one(kms_dbt_service_token_rotation.this[0].permission_grants).project_id == 7
    error_message = "The grant must be limited to the given dbt project."
  }
}

run "project_by_id" {
  command = plan

  variables {
    project_slug = null
    project_id   = "0b9c6c52-3c0e-4b0e-8f0a-5f6c1d2e3a4b"
  }

  assert {
    condition     = kms_dbt_service_token_rotation.this[0].project_id == "0b9c6c52-3c0e-4b0e-8f0a-5f6c1d2e3a4b"
    error_message = "The rotation must belong to the given project."
  }
}

run "rotation_without_a_project_is_refused" {
  command = plan

  variables {
    project_slug = null
  }

  expect_failures = [var.rotation]
}
