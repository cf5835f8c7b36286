variable "name" {
  description = "Name of the connection, unique in its project or, without `project_id`, in the organization: a slug."
  type        = string
}

variable "description" {
  description = "What the connection is for."
  type        = string
  default     = null
}

variable "project_id" {
  description = "ID of the KMS project that the connection belongs to. Without it, the connection belongs to the organization."
  type        = string
  default     = null
}

variable "instance_url" {
  description = "URL of the dbt instance."
  type        = string
  default     = "https://cloud.getdbt.com"
}

variable "account_id" {
  description = "ID of the dbt account."
  type        = string
}

variable "api_token" {
  description = "Token for dbt. Give this or `secret`."
  type        = string
  default     = null
  sensitive   = true
  ephemeral   = true
}

variable "secret" {
  description = "The secret of the KMS that holds the token for dbt. Give this or `api_token`."
  type = object({
    name         = string
    workspace_id = string
    env_slug     = string
    folder_path  = optional(string, "/")
  })
  default = null
}

variable "airflow" {
  description = "Whether to give the connection as Airflow takes it, in `airflow_connection_uri`."
  type        = bool
  default     = false
}

variable "check_token" {
  description = "Whether each plan asks dbt if the stored token is still good. A token that isn't is a warning, and fails nothing."
  type        = bool
  default     = false
}
