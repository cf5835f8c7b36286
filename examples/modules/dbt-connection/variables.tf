variable "name" {
  description = "Name of the connection, unique in its project or, without `project_slug`, in the organization: a slug."
  type        = string
}

variable "description" {
  description = "What the connection is for."
  type        = string
  default     = null
}

variable "project_slug" {
  description = "Slug of the KMS project that the connection belongs to. Without it, the connection belongs to the organization."
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
  description = "The secret of the KMS that holds the token for dbt: `name`, `env_slug`, and as needed `folder_path` and `project_slug`. Without `project_slug`, it is a secret of the connection's project. Give this or `api_token`."
  type = object({
    name         = string
    project_slug = optional(string)
    env_slug     = string
    folder_path  = optional(string, "/")
  })
  default = null

  validation {
    condition     = var.secret == null || try(var.secret.project_slug, null) != null || var.project_slug != null
    error_message = "Give the project_slug of the secret, or that of the connection."
  }
}

variable "rotation" {
  description = "Makes the KMS rotate dbt service tokens through the connection: `environment`, `secret_name`, `permission_grants`, and as needed `secret_path`, `token_name` and `interval` (days). It needs `project_slug`."
  type = object({
    environment       = string
    secret_path       = optional(string, "/")
    secret_name       = string
    token_name        = optional(string)
    permission_grants = set(object({ permission_set = string, project_id = optional(number) }))
    interval          = optional(number, 30)
  })
  default = null

  validation {
    condition     = var.rotation == null || var.project_slug != null
    error_message = "A rotation needs project_slug: its secret belongs to a project."
  }
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
