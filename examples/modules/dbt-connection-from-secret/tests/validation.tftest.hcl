# Terraform's mock providers have no ephemeral resources, so this is the provider itself. Invalid variables end the plan
# before it asks the KMS for anything, so neither host nor token has to exist.
provider "kms" {
  host = "https://kms.invalid"

  auth = {
    token = "stand-in"
  }
}

variables {
  name       = "analytics-prod"
  account_id = "12345"
  secret     = { name = "DBT_TOKEN", env_slug = "prod" }
}

run "a_secret_without_a_project_is_refused" {
  command = plan

  expect_failures = [var.secret]
}

run "a_rotation_without_a_project_is_refused" {
  command = plan

  variables {
    rotation = {
      environment       = "prod"
      secret_name       = "ROTATED"
      permission_grants = [{ permission_set = "job_admin" }]
    }
  }

  expect_failures = [var.secret, var.rotation]
}
