# For OpenTofu, which evaluates a check also in an overridden module.
mock_provider "kms" {
  mock_resource "kms_dbt_connection" {
    defaults = {
      id = "6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab"
    }
  }
}

variables {
  name        = "analytics-prod"
  account_id  = "12345"
  api_token   = "stand-in"
  check_token = true
}

run "the_check_is_on" {
  override_data {
    target = module.token_health.data.kms_dbt_projects.this

    values = {
      projects = [{ id = 1, name = "jaffle shop", description = null, created_at = null, updated_at = null }]
    }
  }

  assert {
    condition     = length(module.token_health) == 1
    error_message = "check_token must turn the check on."
  }
}
