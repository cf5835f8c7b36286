# Universal Auth, with the client secret in an ephemeral variable:

terraform {
  required_providers {
    kms = {
      source = "hanzoai/kms"
    }
  }
}

variable "kms_client_id" {
  type = string
}

variable "kms_client_secret" {
  type      = string
  sensitive = true
  ephemeral = true
}

provider "kms" {
  auth = {
    universal = {
      client_id     = var.kms_client_id
      client_secret = var.kms_client_secret
    }
  }
}
