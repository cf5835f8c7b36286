terraform {
  required_version = ">= 1.11"

  required_providers {
    kms = {
      source  = "hanzoai/kms"
      version = "~> 0.1"
    }
  }
}

# The URL and the credentials of the KMS come from KMS_HOST and other environment variables.
provider "kms" {}

# Ephemeral: Terraform writes the value to neither state nor plan files.
variable "dbt_token" {
  type      = string
  sensitive = true
  ephemeral = true
}

resource "kms_dbt_connection" "analytics" {
  name         = "analytics-prod"
  instance_url = "https://cloud.getdbt.com"
  account_id   = "12345"
  api_token    = var.dbt_token
}
