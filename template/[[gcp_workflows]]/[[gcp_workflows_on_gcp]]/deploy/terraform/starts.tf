# What starts the workflows: a schedule in the pipeline's time zone, and the arrival of its input in Cloud Storage. Either may come
# twice or both for one partition: the lock lets one execution work, and the others end well.
variable "landing_location" {
  description = "Location of the landing buckets, where the triggers of arrivals must be; the region by default."
  type        = string
  default     = null
}

locals {
  scheduled       = { for name, each in local.pipelines : name => each if each.cron != "" }
  arriving        = { for name, each in local.pipelines : name => each if each.landing_bucket != "" }
  landing_buckets = toset([for each in local.arriving : each.landing_bucket])
}

# Cloud Scheduler hands over no tick: the workflow takes the last partition that had ended when it starts.
resource "google_cloud_scheduler_job" "pipelines" {
  for_each = local.scheduled

  name             = "${local.name}-${each.key}"
  description      = "Starts ${each.key}"
  region           = var.region
  schedule         = each.value.cron
  time_zone        = each.value.timezone
  attempt_deadline = "60s"

  retry_config {
    retry_count          = 5
    min_backoff_duration = "10s"
    max_backoff_duration = "300s"
  }

  http_target {
    http_method = "POST"
    uri         = "https://workflowexecutions.googleapis.com/v1/${google_workflows_workflow.pipelines[each.key].id}/executions"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode(jsonencode({ argument = "{}" }))
    oauth_token {
      service_account_email = google_service_account.starter.email
    }
  }
}

# The watch over the SLA starts with the run, sleeps, and fails when the partition is not published then.
resource "google_cloud_scheduler_job" "deadlines" {
  for_each = local.scheduled

  name             = "${local.name}-${each.key}-deadline"
  description      = "Reports ${each.key} when it is late"
  region           = var.region
  schedule         = each.value.cron
  time_zone        = each.value.timezone
  attempt_deadline = "60s"

  retry_config {
    retry_count = 5
  }

  http_target {
    http_method = "POST"
    uri         = "https://workflowexecutions.googleapis.com/v1/${google_workflows_workflow.deadline.id}/executions"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode(jsonencode({ argument = each.value.deadline }))
    oauth_token {
      service_account_email = google_service_account.starter.email
    }
  }
}

# Every new object starts the workflow, and so does one that is written again; what is not the marker of a partition ends there at once.
resource "google_eventarc_trigger" "arrivals" {
  for_each = local.arriving

  name            = "${local.name}-${replace(each.key, "_", "-")}"
  location        = coalesce(var.landing_location, var.region)
  service_account = google_service_account.starter.email

  matching_criteria {
    attribute = "type"
    value     = "google.cloud.storage.object.v1.finalized"
  }
  matching_criteria {
    attribute = "bucket"
    value     = each.value.landing_bucket
  }
  destination {
    workflow = google_workflows_workflow.pipelines[each.key].id
  }
  depends_on = [google_project_iam_member.starter, google_project_iam_member.storage_events]
}

# Cloud Storage sends its events through Pub/Sub.
data "google_storage_project_service_account" "storage" {}

resource "google_project_iam_member" "storage_events" {
  for_each = toset(length(local.landing_buckets) > 0 ? ["roles/pubsub.publisher"] : [])

  project = var.google_project
  role    = each.key
  member  = "serviceAccount:${data.google_storage_project_service_account.storage.email_address}"
}
