# With `api_token_version`, the token is sent only when the version changes, and the provider stores no digest of it:

variable "dbt_token" {
  type      = string
  sensitive = true
  ephemeral = true
}

resource "kms_dbt_connection" "marketing" {
  name              = "marketing-prod"
  instance_url      = "https://ab123.us1.dbt.com"
  account_id        = "67890"
  api_token         = var.dbt_token
  api_token_version = "2026-03"
}
