variable "subscription" {
  type        = string
  description = "Id of the Azure subscription of the environment"
}

variable "resource_group" {
  type        = string
  description = "Name of the resource group of the environment; each environment has one of its own"
}

variable "region" {
  type        = string
  description = "Where the factory and its containers run, such as westeurope"
}

variable "container_environment" {
  type        = string
  description = "Id of the environment of Container Apps that the containers of the steps run in"
}

variable "log_workspace" {
  type        = string
  description = "Id of the workspace of Log Analytics that keeps what runs there were"
}

variable "action_group" {
  type        = string
  description = "Id of the action group of Azure Monitor that gets the alerts"
}

variable "image" {
  type        = string
  description = "Image of the project with its digest, as dist/image names it"
}

variable "registry" {
  type        = object({ id = string, server = string })
  description = "Azure Container Registry that has the image; null for a registry that anybody may read"
  default     = null
}

variable "environment" {
  type        = string
  description = "APP_ENV of the containers"
}

variable "permissions" {
  type        = map(list(string))
  description = "What the factory may do with the job of the steps (step_job) and with itself (factory): derived from the definitions"
}

variable "global_parameters" {
  type        = map(object({ type = string, value = string }))
  description = "Global parameters of the factory that follow from the configuration"
}

variable "pipelines" {
  type = map(object({
    first_window      = string
    sla               = string
    waits_for_files   = bool
    waits_for_people  = bool
    landing_container = string
    late_files        = optional(object({ begins_with = string, ends_with = string }))
  }))
  description = "Pipelines by name, with what the configuration says of them"

  validation {
    condition     = alltrue([for each in var.pipelines : !each.waits_for_files || each.landing_container != ""])
    error_message = "A definition looks for files in Blob Storage, and they land elsewhere: set landing.url of the pipeline to a place such as az://landing/orders, or take the activity input_has_landed out of its definition."
  }
}

variable "landing_account" {
  type        = object({ id = string, endpoint = string })
  description = "Storage account that input lands in: its id, and its endpoint for blobs; null where no pipeline waits for files"
  default     = null
}

variable "decisions_table" {
  type        = object({ id = string, url = string })
  description = "Table of Azure Storage in which runs that wait for people leave an address, its id and URL; null where none waits"
  default     = null
}

variable "container" {
  type        = object({ cpu = optional(number, 0.5), memory = optional(string, "1Gi") })
  description = "What a container of a step may use"
  default     = {}
}

variable "container_variables" {
  type        = map(string)
  description = "Further variables of the containers, such as APP_WAREHOUSE__URL; no secrets"
  default     = {}
}

variable "vault" {
  type        = string
  description = "Id of the Key Vault that the containers read their secrets from; null for none"
  default     = null
}

variable "output_storage" {
  type        = set(string)
  description = "Ids of storage accounts or their containers that the steps write to, such as those of deliveries"
  default     = []
}

variable "longest_step_seconds" {
  type        = number
  description = "When Container Apps itself ends a container; the factory stops it at the time-out of its step, which must be shorter"
  default     = 86400
}
