# OpenTofu mocks ephemeral resources too: their values are generated.
mock_provider "kms" {
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
  name         = "analytics-prod"
  project_slug = "analytics"
  account_id   = "12345"
  secret       = { name = "DBT_TOKEN", env_slug = "prod" }
}

run "defaults" {
  assert {
    condition     = data.kms_project.of_secret.slug == "analytics"
    error_message = "By default, the secret is in the project of the connection."
  }

  assert {
    condition     = var.instance_url == "https://cloud.getdbt.com" && var.secret.folder_path == "/"
    error_message = "The default instance is dbt's own, the default folder the root."
  }

  assert {
    condition     = output.id == "6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab" && output.project_id == "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01"
    error_message = "The outputs must be those of the connection."
  }

  assert {
    condition     = output.credentials_hash == module.connection.credentials_hash && output.credentials_hash != null
    error_message = "The outputs must be those of the connection."
  }

  assert {
    condition     = output.rotation_id == null && output.last_rotated_at == null
    error_message = "The rotation is optional."
  }
}

run "secret_of_another_project" {
  variables {
    project_slug = null
    secret       = { name = "DBT_TOKEN", project_slug = "platform", env_slug = "prod" }
  }

  assert {
    condition     = data.kms_project.of_secret.slug == "platform"
    error_message = "The secret must be read in its own project."
  }

  assert {
    condition     = output.project_id == null
    error_message = "The project of the secret must not become that of the connection."
  }
}

run "rotation" {
  variables {
    rotation = {
      environment       = "prod"
      secret_name       = "ROTATED"
      permission_grants = [{ permission_set = "job_admin" }]
    }
  }

  assert {
    condition     = output.rotation_id != null && output.last_rotated_at != null
    error_message = "The outputs must be those of the rotation."
  }
}
