variable "project" {
  type        = string
  description = "Google Cloud project of the environment; each environment has one of its own"
}

variable "region" {
  type        = string
  description = "Where workflows, jobs and schedules run, such as europe-west3"
}

variable "image" {
  type        = string
  description = "Image of the project with its digest, as dist/image names it"
}

variable "environment" {
  type        = string
  description = "APP_ENV of the containers"
}

variable "permissions" {
  type        = map(list(string))
  description = "What the workflows may do, by scope: derived from their definitions"
}

variable "pipelines" {
  type = map(object({
    cron           = string
    timezone       = string
    landing_bucket = string
    variables      = map(string)
    deadline       = string
  }))
  description = "Pipelines by name, with what the configuration says of them"
}

variable "container" {
  type        = object({ cpu = optional(string, "1"), memory = optional(string, "1Gi") })
  description = "What a container of a step may use"
  default     = {}
}

variable "container_variables" {
  type        = map(string)
  description = "Further variables of the containers, such as APP_WAREHOUSE__URL; no secrets"
  default     = {}
}

variable "secrets" {
  type        = set(string)
  description = "Names of the secrets in Secret Manager that the containers read"
  default     = []
}

variable "input_buckets" {
  type        = set(string)
  description = "Further buckets that the containers read; those of the pipelines' landing places are known"
  default     = []
}

variable "output_buckets" {
  type        = set(string)
  description = "Buckets that the containers write to, such as those of deliveries"
  default     = []
}

variable "landing_location" {
  type        = string
  description = "Location of the landing buckets, where the triggers of arrivals must be; the region by default"
  default     = null
}

variable "notification_channels" {
  type        = list(string)
  description = "Ids of the channels of Cloud Monitoring that get the alerts"
  default     = []
}
