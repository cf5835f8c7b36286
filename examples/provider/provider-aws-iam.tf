# AWS IAM, with the AWS identity under which Terraform runs: that of a role in ECS, EKS, CodeBuild or on EC2, of a profile,
# or of keys in the environment:

terraform {
  required_providers {
    kms = {
      source = "hanzoai/kms"
    }
  }
}

provider "kms" {
  auth = {
    aws_iam = {
      identity_id = "b7b9a3f2-2c64-4f0d-8e1b-7c3f5d9e6a01"
    }
  }
}
