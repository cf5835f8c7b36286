# In a file such as `find.tfquery.hcl`. `terraform query -generate-config-out=found.tf` (Terraform 1.14 or later) writes
# the resources and import blocks of what is found. They need no `api_token`. Terraform stops at
# 100, unless there is a `limit` beside `provider`:

list "kms_dbt_connection" "analytics" {
  provider = kms

  config {
    project_id  = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01"
    name_prefix = "analytics-"
  }
}
