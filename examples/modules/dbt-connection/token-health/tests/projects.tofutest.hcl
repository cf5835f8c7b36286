# Only OpenTofu can mock a list of nested objects that has elements.
mock_provider "kms" {
  mock_data "kms_dbt_projects" {
    defaults = {
      projects = [{ id = 1, name = "jaffle shop", description = null, created_at = null, updated_at = null }]
    }
  }
}

run "a_token_that_sees_a_project_passes_the_check" {
  variables {
    connection_id = "6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab"
  }

  assert {
    condition     = output.connection_id == "6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab"
    error_message = "The output must be the ID of the connection."
  }
}
