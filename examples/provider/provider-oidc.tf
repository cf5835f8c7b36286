# OIDC, with a JWT that the CI system puts into the variable `KMS_AUTH_JWT`:

terraform {
  required_providers {
    kms = {
      source = "hanzoai/kms"
    }
  }
}

provider "kms" {
  auth = {
    oidc = {
      identity_id = "b7b9a3f2-2c64-4f0d-8e1b-7c3f5d9e6a01"
    }
  }
}
