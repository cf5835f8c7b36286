# Put the block into a file with the extension `.tfquery.hcl`. `terraform query -generate-config-out=found.tf` (Terraform 1.14
# or later) then writes resource and import blocks for all results. They need no `api_token`. Terraform returns at most 100
# results unless the block sets `limit`:

list "kms_dbt_connection" "analytics" {
  provider = kms

  config {
    project_id  = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01"
    name_prefix = "analytics-"
  }
}
