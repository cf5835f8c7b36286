variable "connection_id" {
  description = "ID of the connection whose token is checked."
  type        = string
}

check "dbt_accepts_the_token" {
  data "kms_dbt_projects" "this" {
    connection_id = var.connection_id
  }

  assert {
    condition     = length(data.kms_dbt_projects.this.projects) > 0
    error_message = "The token of the dbt connection ${var.connection_id} sees no project."
  }
}
