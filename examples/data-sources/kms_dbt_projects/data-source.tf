# In a `check` block, a token that dbt rejects causes a warning in every plan, but no failure:

variable "connection_id" {
  type = string
}

check "dbt_accepts_the_token" {
  data "kms_dbt_projects" "analytics" {
    connection_id = var.connection_id
  }

  assert {
    condition     = length(data.kms_dbt_projects.analytics.projects) > 0
    error_message = "The token of the dbt connection sees no project."
  }
}
