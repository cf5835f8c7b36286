variable "connection_id" {
  description = "ID of the connection in Airflow."
  type        = string
  default     = "dbt_cloud_default"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]+$", var.connection_id))
    error_message = "connection_id must consist of letters, digits, underscores, dots and dashes, which Airflow accepts."
  }
}

variable "instance_url" {
  description = "URL of the dbt instance."
  type        = string
  default     = "https://cloud.getdbt.com"
  nullable    = false
}

variable "account_id" {
  description = "ID of the dbt account."
  type        = string
}

variable "api_token" {
  description = "Token with which Airflow logs in to dbt."
  type        = string
  sensitive   = true
  ephemeral   = true
}

variable "revision" {
  description = "A value that changes when the token changes, such as `credentials_hash` of the connection or `last_rotated_at` of its rotation. A new value runs the command again."
  type        = string
}

variable "command" {
  description = "Shell command that stores the connection where Airflow looks for it. It finds `AIRFLOW_CONNECTION_ID` and `AIRFLOW_CONNECTION_URI` in its environment, and its output is discarded."
  type        = string
}
