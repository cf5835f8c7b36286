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
  description = "Slug of the KMS project that the connection belongs to. Without `project_slug` and `project_id`, the connection belongs to the organization."
  type        = string
  default     = null
}

variable "project_id" {
  description = "ID of the KMS project that the connection belongs to. Use it instead of `project_slug` if the same configuration creates the project."
  type        = string
  default     = null

  validation {
    condition     = var.project_id == null || var.project_slug == null
    error_message = "Set project_slug or project_id, not both."
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
  description = "Token for dbt. It is required to create the connection. Without it, an imported connection keeps the token that the KMS stores."
  type        = string
  default     = null
  sensitive   = true
  ephemeral   = true
}

variable "rotation" {
  description = "Lets the KMS rotate dbt service tokens through the connection: `environment`, `secret_name` and `permission_grants`, and optionally `secret_path` (`/`), `token_name` (the connection's name) and `interval` (30 days). It requires a project."
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
    condition     = var.rotation == null || var.project_slug != null || var.project_id != null
    error_message = "A rotation requires project_slug or project_id, because its secret belongs to a project."
  }
}

variable "check_token" {
  description = "Whether each plan and apply tests the stored token at dbt. A token that dbt refuses is a warning."
  type        = bool
  default     = false
}
