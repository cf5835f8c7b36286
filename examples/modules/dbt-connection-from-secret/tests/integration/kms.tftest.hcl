# Needs a KMS, with host and login in the environment. Its project "analytics" has the secret DBT_TOKEN in "prod".
variables {
  name         = "module-test"
  project_slug = "analytics"
  account_id   = "12345"
  secret       = { name = "DBT_TOKEN", env_slug = "prod" }
}

# The KMS tests the token at dbt before it stores it, and the check tests it again.
run "create" {
  variables {
    check_token = true
  }

  assert {
    condition     = output.project_id == data.kms_project.of_secret.id
    error_message = "By default, connection and secret belong to the same project."
  }
}

run "the_same_token_changes_nothing" {
  command = plan

  assert {
    condition     = output.credentials_hash != null
    error_message = "Unknown in the plan would mean that the token is sent again."
  }
}

run "organization" {
  variables {
    name         = "module-test-organization"
    project_slug = null
    secret       = { name = "DBT_TOKEN", project_slug = "analytics", env_slug = "prod" }
  }

  assert {
    condition     = output.project_id == null
    error_message = "The project of the secret must not become that of the connection."
  }
}
