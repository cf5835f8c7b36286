terraform {
  required_version = ">= 1.11"

  required_providers {
    kms = {
      source  = "hanzoai/kms"
      version = ">= 0.1"
    }
  }
}
