# The login comes from the environment: KMS_UNIVERSAL_AUTH_CLIENT_ID and KMS_UNIVERSAL_AUTH_CLIENT_SECRET, or the
# variables of another method.

terraform {
  required_version = ">= 1.11"

  required_providers {
    kms = {
      source  = "hanzoai/kms"
      version = "~> 0.1"
    }
  }
}

provider "kms" {
  host = "https://kms.example.com"
}
