# Put the block into a file with the extension `.tfquery.hcl`. `terraform query -generate-config-out=found.tf` (Terraform 1.14
# or later) then writes resource and import blocks for all results. Terraform returns at most 100 results unless the block sets
# `limit`:

list "kms_dbt_service_token_rotation" "all" {
  provider = kms

  config {
    project_id = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01"
  }
}
