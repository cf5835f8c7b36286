# No KMS is needed: the mock returns generated values for what the KMS would compute.
mock_provider "kms" {
  mock_data "kms_project" {
    defaults = {
      id = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01"
    }
  }
}

variables {
  name       = "analytics-prod"
  account_id = "12345"
  api_token  = "stand-in"
}

run "defaults" {
  assert {
    condition     = kms_dbt_connection.this.name == "analytics-prod" && kms_dbt_connection.this.account_id == "12345"
    error_message = "The connection must have the given name and account."
  }

  assert {
    condition     = kms_dbt_connection.this.instance_url == "https://cloud.getdbt.com"
    error_message = "The default instance is dbt's own."
  }

  assert {
    condition     = kms_dbt_connection.this.description == null
    error_message = "There is no default description."
  }

  assert {
    condition     = length(data.kms_project.this) == 0 && kms_dbt_connection.this.project_id == null
    error_message = "Without a project, the connection belongs to the organization."
  }

  assert {
    condition     = length(kms_dbt_service_token_rotation.this) == 0 && length(module.token_health) == 0
    error_message = "Rotation and token check are optional."
  }

  assert {
    condition     = output.id == kms_dbt_connection.this.id && output.credentials_hash == kms_dbt_connection.this.credentials_hash
    error_message = "The outputs must be those of the connection."
  }

  assert {
    condition     = output.project_id == null && output.rotation_id == null && output.last_rotated_at == null
    error_message = "Without a project and a rotation, their outputs are null."
  }
}

run "null_is_the_default_instance" {
  command = plan

  variables {
    instance_url = null
  }

  assert {
    condition     = kms_dbt_connection.this.instance_url == "https://cloud.getdbt.com"
    error_message = "A null instance_url must become the default."
  }
}

run "every_argument" {
  variables {
    description  = "dbt account of the analytics team"
    instance_url = "https://emea.dbt.com"
  }

  assert {
    condition     = kms_dbt_connection.this.description == "dbt account of the analytics team"
    error_message = "The connection must have the given description."
  }

  assert {
    condition     = kms_dbt_connection.this.instance_url == "https://emea.dbt.com"
    error_message = "The connection must have the given instance."
  }
}

run "project_by_slug" {
  command = plan

  variables {
    project_slug = "analytics"
  }

  assert {
    condition     = data.kms_project.this[0].slug == "analytics"
    error_message = "The project must be looked up by the given slug."
  }

  assert {
    condition     = kms_dbt_connection.this.project_id == "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01"
    error_message = "The connection must belong to the project of the slug."
  }
}

run "project_by_id" {
  command = plan

  variables {
    project_id = "0b9c6c52-3c0e-4b0e-8f0a-5f6c1d2e3a4b"
  }

  assert {
    condition     = length(data.kms_project.this) == 0
    error_message = "A project given by ID must not be looked up."
  }

  assert {
    condition     = output.project_id == "0b9c6c52-3c0e-4b0e-8f0a-5f6c1d2e3a4b"
    error_message = "The connection must belong to the given project."
  }
}

run "two_projects_are_refused" {
  command = plan

  variables {
    project_slug = "analytics"
    project_id   = "0b9c6c52-3c0e-4b0e-8f0a-5f6c1d2e3a4b"
  }

  expect_failures = [var.project_id]
}
