variable "name" {
  description = "Name of the connection, a slug. It is unique in the project or, without a project, in the organization."
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

variable "secret" {
  description = "The secret of the KMS that holds the token for dbt: `name` and `env_slug`, and optionally `folder_path` (`/`) and `project_slug` (the connection's project)."
  type = object({
    name         = string
    project_slug = optional(string)
    env_slug     = string
    folder_path  = optional(string, "/")
  })
  nullable = false

  validation {
    condition     = var.secret.project_slug != null || var.project_slug != null
    error_message = "Set project_slug of the secret, or that of the connection: every secret belongs to a project."
  }
}

variable "rotation" {
  description = "Lets the KMS rotate dbt service tokens through the connection. It is passed to the module dbt-connection, which describes it. It requires `project_slug`."
  type = object({
    environment       = string
    secret_path       = optional(string)
    secret_name       = string
    token_name        = optional(string)
    permission_grants = set(object({ permission_set = string, project_id = optional(number) }))
    interval          = optional(number)
  })
  default = null

  validation {
    condition     = var.rotation == null || var.project_slug != null
    error_message = "A rotation requires project_slug, because its secret belongs to a project."
  }
}

variable "check_token" {
  description = "Whether each plan and apply tests the stored token at dbt. A token that dbt refuses is a warning."
  type        = bool
  default     = false
}
