# For Terraform; OpenTofu runs token_check.tofutest.hcl instead.
mock_provider "kms" {}

variables {
  name        = "analytics-prod"
  account_id  = "12345"
  api_token   = "stand-in"
  check_token = true
}

run "the_check_is_on" {
  # Terraform mocks a list of nested objects as an empty list, so the check in this module would fail.
  override_module {
    target = module.token_health
  }

  assert {
    condition     = length(module.token_health) == 1
    error_message = "check_token must turn the check on."
  }
}
