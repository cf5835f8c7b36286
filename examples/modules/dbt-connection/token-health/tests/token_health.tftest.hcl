# Terraform and OpenTofu mock a list of nested objects as an empty list.
mock_provider "kms" {}

variables {
  connection_id = "6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab"
}

run "a_token_that_sees_no_project_fails_the_check" {
  expect_failures = [check.dbt_accepts_the_token]

  assert {
    condition     = output.connection_id == "6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab"
    error_message = "The output must be the ID of the connection."
  }
}
