# Functions are not mocked: the provider itself computes the URI, without a KMS and a login.
mock_provider "kms" {
  mock_resource "kms_dbt_connection" {
    defaults = {
      credentials_hash = "3f8a"
    }
  }
}

variables {
  account_id = "12345"
  api_token  = "a/b"
  revision   = "1"
  command    = "exit 0"
}

# Only the command sees the URI. So the command is the assertion: if it fails, so does the apply.
run "defaults" {
  variables {
    command = "test \"$AIRFLOW_CONNECTION_ID $AIRFLOW_CONNECTION_URI\" = 'dbt_cloud_default dbt-cloud://12345:a%2Fb@cloud.getdbt.com'"
  }

  assert {
    condition     = output.delivery_id == terraform_data.this.id
    error_message = "The output must be that of the last run of the command."
  }

  assert {
    condition     = terraform_data.this.triggers_replace == ["dbt_cloud_default", "https://cloud.getdbt.com", "12345", "1"]
    error_message = "Connection, instance, account and revision must decide when the command runs."
  }
}

run "another_command_alone_does_not_run" {
  variables {
    command = "exit 1"
  }
}

run "every_argument" {
  variables {
    connection_id = "dbt_emea"
    instance_url  = "https://emea.dbt.com"
    account_id    = "67890"
    revision      = "2"
    command       = "test \"$AIRFLOW_CONNECTION_ID $AIRFLOW_CONNECTION_URI\" = 'dbt_emea dbt-cloud://67890:a%2Fb@emea.dbt.com'"
  }

  assert {
    condition     = terraform_data.this.triggers_replace == ["dbt_emea", "https://emea.dbt.com", "67890", "2"]
    error_message = "Another connection, instance or account and a new revision must run the command again."
  }
}

run "null_is_the_default" {
  variables {
    connection_id = null
    instance_url  = null
    command       = "test \"$AIRFLOW_CONNECTION_ID $AIRFLOW_CONNECTION_URI\" = 'dbt_cloud_default dbt-cloud://12345:a%2Fb@cloud.getdbt.com'"
  }
}

run "a_connection_id_that_airflow_refuses" {
  command = plan

  variables {
    connection_id = "dbt cloud"
  }

  expect_failures = [var.connection_id]
}

# Together with the connection of the KMS: the fingerprint of its credentials is the revision.
run "dbt_connection" {
  module {
    source = "../dbt-connection"
  }

  variables {
    name = "analytics-prod"
  }
}

run "the_fingerprint_is_the_revision" {
  variables {
    revision = run.dbt_connection.credentials_hash
  }

  assert {
    condition     = terraform_data.this.triggers_replace[3] == "3f8a"
    error_message = "The revision must be the fingerprint of the credentials."
  }
}
