variable "notification_channels" {
  description = "Ids of the channels of Cloud Monitoring that get the alerts."
  type        = list(string)
  default     = []
}

# One alert for each execution that fails. Its message names pipeline, partition, step, class of the error, exit code and attempt; that of
# a deadline says that a partition is late.
resource "google_monitoring_alert_policy" "failed" {
  display_name          = "${local.name}: a run failed"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels

  conditions {
    display_name = "an execution of a workflow failed"
    condition_matched_log {
      filter = <<-EOT
        resource.type="workflows.googleapis.com/Workflow"
        resource.labels.workflow_id=~"^(${join("|", concat([for each in google_workflows_workflow.pipelines : each.name], [google_workflows_workflow.deadline.name]))})$"
        log_id("workflows.googleapis.com/executions_system")
        jsonPayload.state="FAILED"
      EOT
      label_extractors = {
        workflow  = "EXTRACT(resource.labels.workflow_id)"
        execution = "EXTRACT(labels.\"workflows.googleapis.com/execution_id\")"
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
    notification_rate_limit {
      period = "300s"
    }
  }

  documentation {
    mime_type = "text/markdown"
    subject   = "$${log.extracted_label.workflow} failed"
    content   = "Execution $${log.extracted_label.execution} of $${log.extracted_label.workflow} failed. Its message names partition, step and error. See docs/runbook.md, *A failed run*."
  }
}

# A schedule that cannot start its workflow, after all its retries.
resource "google_monitoring_alert_policy" "not_started" {
  display_name          = "${local.name}: a schedule started nothing"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels

  conditions {
    display_name = "Cloud Scheduler got no answer from Workflows"
    condition_matched_log {
      filter = <<-EOT
        resource.type="cloud_scheduler_job"
        resource.labels.job_id=~"^${local.name}-(${join("|", keys(local.scheduled))})(-deadline)?$"
        severity>=ERROR
      EOT
    }
  }

  alert_strategy {
    auto_close = "86400s"
    notification_rate_limit {
      period = "300s"
    }
  }
}
