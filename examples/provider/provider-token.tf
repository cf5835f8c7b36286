# An access token that you already have. It can't be renewed, so it must outlive the run:

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
