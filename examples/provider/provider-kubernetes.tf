# Kubernetes, with the service account token of the pod that Terraform runs in:

terraform {
  required_providers {
    kms = {
      source = "hanzoai/kms"
    }
  }
}

provider "kms" {
  auth = {
    kubernetes = {
      identity_id = "b7b9a3f2-2c64-4f0d-8e1b-7c3f5d9e6a01"
    }
  }
}
