# Behind an access gateway, here Cloudflare Access with a service token. The login comes from the environment:

terraform {
  required_providers {
    kms = {
      source = "hanzoai/kms"
    }
  }
}

variable "gateway_client_id" {
  type      = string
  sensitive = true
  ephemeral = true
}

variable "gateway_client_secret" {
  type      = string
  sensitive = true
  ephemeral = true
}

provider "kms" {
  custom_headers = {
    CF-Access-Client-Id     = var.gateway_client_id
    CF-Access-Client-Secret = var.gateway_client_secret
  }
}
