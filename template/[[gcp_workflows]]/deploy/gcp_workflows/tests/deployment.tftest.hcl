# What the deployment promises, read from a plan with the project's own values: `make plan-test` creates nothing.
mock_provider "google" {}

variables {
  project = "flights"
  region  = "europe-west3"
  image   = "registry.example.com/data/flights@sha256:0"
}

run "the_platform_follows_each_definition" {
  command = plan

  assert {
    condition = alltrue([
      for name, each in google_workflows_workflow.pipelines :
      endswith(each.source_contents, file("../../workflows/platform/subworkflows.yaml")) && startswith(each.source_contents, file("../../workflows/${name}.workflow.yaml"))
    ])
    error_message = "a workflow is the team's file and the platform's subworkflows"
  }
}

run "only_the_workflow_tries_again" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_job.steps.template[0].template[0].max_retries == 0
    error_message = "the job must not try again: the workflow knows which exit code another attempt may help"
  }
}

run "a_schedule_has_its_time_zone_and_a_pipeline_without_one_has_none" {
  command = plan

  assert {
    condition = jsonencode({ for name, each in google_cloud_scheduler_job.pipelines : name => [each.schedule, each.time_zone] }) == jsonencode({
      for name, each in var.pipelines : name => [each.cron, each.timezone] if each.cron != ""
    })
    error_message = "each pipeline with a cron has a schedule in its own time zone, and no other has one"
  }
  assert {
    condition     = alltrue([for each in google_cloud_scheduler_job.pipelines : each.retry_config[0].retry_count > 0])
    error_message = "a start that gets no answer is tried again"
  }
}

run "every_scheduled_run_has_a_deadline" {
  command = plan

  assert {
    condition = jsonencode({ for name, each in google_cloud_scheduler_job.deadlines : name => [each.schedule, each.time_zone] }) == jsonencode({
      for name, each in google_cloud_scheduler_job.pipelines : name => [each.schedule, each.time_zone]
    })
    error_message = "the watch over the SLA starts with the run"
  }
  assert {
    condition     = strcontains(google_monitoring_alert_policy.failed.conditions[0].condition_matched_log[0].filter, google_workflows_workflow.deadline.name)
    error_message = "the policy reports late runs"
  }
}

run "only_what_lands_in_cloud_storage_starts_by_arrival" {
  command = plan

  assert {
    condition     = toset(keys(google_eventarc_trigger.arrivals)) == toset([for name, each in var.pipelines : name if each.landing_bucket != ""])
    error_message = "a trigger exists where the input lands in Cloud Storage"
  }
}

run "roles_hold_the_derived_permissions" {
  command = plan

  assert {
    condition     = jsonencode({ for scope, role in google_project_iam_custom_role.workflows : scope => sort(role.permissions) }) == jsonencode(var.permissions)
    error_message = "each scope has a role of exactly the derived permissions"
  }
}

run "executions_that_fail_are_reported" {
  command = plan

  assert {
    condition     = strcontains(google_monitoring_alert_policy.failed.conditions[0].condition_matched_log[0].filter, "jsonPayload.state=\"FAILED\"")
    error_message = "the policy matches the log of failed executions"
  }
}

run "locks_outlive_no_history_and_are_not_public" {
  command = plan

  assert {
    condition     = google_storage_bucket.locks.public_access_prevention == "enforced" && google_storage_bucket.locks.uniform_bucket_level_access
    error_message = "nobody outside reads the locks"
  }
}
