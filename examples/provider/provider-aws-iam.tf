# AWS IAM, with the AWS identity that Terraform runs as: a role in ECS, EKS, CodeBuild or on EC2, a profile, or keys in
# the environment:

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
