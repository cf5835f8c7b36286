# Actions require Terraform 1.14 or later. `terraform apply -invoke=action.kms_dbt_connection_test.analytics` invokes this
# action at any time. In this example it also runs after each create and update of the connection:

variable "dbt_token" {
  type      = string
  sensitive = true
  ephemeral = true
}

resource "kms_dbt_connection" "analytics" {
  name         = "analytics-prod"
  instance_url = "https://cloud.getdbt.com"
  account_id   = "12345"
  api_token    = var.dbt_token

  lifecycle {
    action_trigger {
      events  = [after_create, after_update]
      actions = [action.kms_dbt_connection_test.analytics]
    }
  }
}

action "kms_dbt_connection_test" "analytics" {
  config {
    connection_id = kms_dbt_connection.analytics.id
  }
}
