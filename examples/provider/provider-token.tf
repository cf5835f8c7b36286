# An existing access token. The provider can't renew it, so it must be valid for the whole run:

terraform {
  required_providers {
    kms = {
      source = "hanzoai/kms"
    }
  }
}

variable "kms_token" {
  type      = string
  sensitive = true
  ephemeral = true
}

provider "kms" {
  auth = {
    token = var.kms_token
  }
}
