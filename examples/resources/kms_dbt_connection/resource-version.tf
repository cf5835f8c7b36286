# With `api_token_version`, the token is sent when the version changes; another token alone sends nothing. Nothing that is
# derived from the token is kept:

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
