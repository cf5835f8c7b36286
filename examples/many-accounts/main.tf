# One connection for each dbt account. The accounts are in terraform.tfvars; the tokens are either secrets of the KMS,
# named there, or come from the environment for the length of a run:
#
#   export TF_VAR_tokens='{"marketing": "..."}'
#
# Host and login of the KMS come from the environment too, so there is no provider block.

variable "accounts" {
  description = "The accounts, by the names that their connections get."
  type = map(object({
    account_id   = string
    description  = optional(string)
    instance_url = optional(string, "https://cloud.getdbt.com")
    project_slug = optional(string)
    secret = optional(object({
      name         = string
      project_slug = optional(string)
      env_slug     = string
      folder_path  = optional(string, "/")
    }))
  }))
}

variable "tokens" {
  description = "The tokens of the accounts that have no secret in the KMS, by name."
  type        = map(string)
  default     = {}
  sensitive   = true
  ephemeral   = true
}

locals {
  with_token  = { for name, account in var.accounts : name => account if account.secret == null }
  with_secret = { for name, account in var.accounts : name => account if account.secret != null }
}

module "dbt_connection" {
  source   = "../modules/dbt-connection"
  for_each = local.with_token

  name         = each.key
  description  = each.value.description
  project_slug = each.value.project_slug
  instance_url = each.value.instance_url
  account_id   = each.value.account_id
  api_token    = lookup(var.tokens, each.key, null)
  check_token  = true
}

module "dbt_connection_from_secret" {
  source   = "../modules/dbt-connection-from-secret"
  for_each = local.with_secret

  name         = each.key
  description  = each.value.description
  project_slug = each.value.project_slug
  instance_url = each.value.instance_url
  account_id   = each.value.account_id
  secret       = each.value.secret
  check_token  = true
}

output "connection_ids" {
  description = "The connections' IDs, by name."
  value       = { for name, connection in merge(module.dbt_connection, module.dbt_connection_from_secret) : name => connection.id }
}
