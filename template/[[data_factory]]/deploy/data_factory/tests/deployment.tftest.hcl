# What the deployment promises, read from a plan with the project's own values: `make plan-test` creates nothing.
mock_provider "azurerm" {}

variables {
  subscription          = "00000000-0000-0000-0000-000000000000"
  resource_group        = "flights"
  region                = "westeurope"
  container_environment = "/subscriptions/0/resourceGroups/flights/providers/Microsoft.App/managedEnvironments/flights"
  log_workspace         = "/subscriptions/0/resourceGroups/flights/providers/Microsoft.OperationalInsights/workspaces/flights"
  action_group          = "/subscriptions/0/resourceGroups/flights/providers/Microsoft.Insights/actionGroups/people"
  vault                 = "/subscriptions/0/resourceGroups/flights/providers/Microsoft.KeyVault/vaults/flights"
  image                 = "registry.example.com/data/flights@sha256:0"
  decisions_table = {
    id  = "/subscriptions/0/resourceGroups/flights/providers/Microsoft.Storage/storageAccounts/landing/tableServices/default/tables/decisions"
    url = "https://landing.table.core.windows.net/decisions"
  }
  landing_account = {
    id       = "/subscriptions/0/resourceGroups/flights/providers/Microsoft.Storage/storageAccounts/landing"
    endpoint = "https://landing.blob.core.windows.net/"
  }
}

run "definitions_are_published_as_they_are" {
  command = plan

  assert {
    condition = alltrue([
      for name, each in azurerm_data_factory_pipeline.pipelines :
      jsonencode(jsondecode(each.activities_json)) == jsonencode(jsondecode(file("../../factory/pipeline/pl_${name}.json")).properties.activities)
    ])
    error_message = "a pipeline's activities are those of its file"
  }
  assert {
    condition     = jsonencode(sort(concat(local.later, keys(azurerm_data_factory_pipeline.platform)))) == jsonencode(sort([for file in fileset("../../factory", "pipeline/platform_*.json") : trimsuffix(basename(file), ".json")]))
    error_message = "every definition of the platform is published"
  }
}

run "only_the_factory_tries_again" {
  command = plan

  assert {
    condition     = azurerm_container_app_job.steps.replica_retry_limit == 0
    error_message = "the job must not try again: the factory knows which exit code another attempt may help"
  }
  assert {
    condition     = alltrue([for each in azurerm_data_factory_trigger_tumbling_window.pipelines : each.retry[0].count == 0])
    error_message = "a window does not repeat a run that has used up its attempts"
  }
}

run "windows_begin_where_the_schedule_says" {
  command = plan

  assert {
    condition = jsonencode({ for name, each in azurerm_data_factory_trigger_tumbling_window.pipelines : name => each.start_time }) == jsonencode({
      for name, each in var.pipelines : name => each.first_window if each.first_window != ""
    })
    error_message = "each pipeline with a schedule has windows from its first one on, and no other has any"
  }
  assert {
    condition     = alltrue([for each in azurerm_data_factory_trigger_tumbling_window.pipelines : each.activated])
    error_message = "a trigger that is not activated starts nothing"
  }
}

run "a_late_run_is_counted_after_its_sla" {
  command = plan

  assert {
    condition     = jsonencode({ for name, each in azurerm_data_factory_pipeline.pipelines : name => each.monitor_metrics_after_duration }) == jsonencode({ for name, each in var.pipelines : name => each.sla })
    error_message = "the metric of late runs counts from the SLA on"
  }
}

run "the_role_holds_the_derived_permissions" {
  command = plan

  assert {
    condition     = jsonencode({ for about, role in azurerm_role_definition.factory : about => sort(role.permissions[0].actions) }) == jsonencode(var.permissions)
    error_message = "the factory's roles are exactly the derived permissions"
  }
}

run "a_late_file_is_looked_at" {
  command = plan

  assert {
    condition = jsonencode({ for name, each in azurerm_data_factory_trigger_blob_event.late : name => [each.blob_path_begins_with, each.blob_path_ends_with] }) == jsonencode({
      for name, each in var.pipelines : name => [each.late_files.begins_with, each.late_files.ends_with] if each.late_files != null
    })
    error_message = "markers of the pipelines that are republished start a look, and no other files"
  }
  assert {
    condition     = alltrue([for each in azurerm_data_factory_trigger_blob_event.late : !each.ignore_empty_blobs && each.activated])
    error_message = "markers are empty, and a trigger that is not activated starts nothing"
  }
  assert {
    condition     = azurerm_data_factory_pipeline.late.concurrency == 1
    error_message = "one late file is worked on at a time: of an event that comes twice, the second then finds nothing late"
  }
}

run "people_are_asked_through_one_table" {
  command = plan

  assert {
    condition     = azurerm_role_assignment.decisions[0].scope == var.decisions_table.id && azurerm_role_assignment.decisions[0].role_definition_name == "Storage Table Data Contributor"
    error_message = "the factory writes into the table of decisions"
  }
}

run "secrets_are_read_and_nothing_else" {
  command = plan

  assert {
    condition     = azurerm_role_assignment.secrets[0].role_definition_name == "Key Vault Secrets User" && azurerm_role_assignment.secrets[0].scope == var.vault
    error_message = "the containers read the secrets of their vault"
  }
  assert {
    condition     = alltrue([for each in azurerm_role_assignment.landing : each.role_definition_name == "Storage Blob Data Reader"])
    error_message = "what lands is read and not written"
  }
}

run "runs_that_fail_or_are_late_are_reported_once" {
  command = plan

  assert {
    condition     = jsonencode([for name in ["failed", "late"] : azurerm_monitor_metric_alert.this[name].criteria[0].metric_name]) == jsonencode(["PipelineFailedRuns", "PipelineElapsedTimeRuns"])
    error_message = "alerts watch the metrics of failed and of late runs"
  }
  assert {
    condition     = alltrue([for each in azurerm_monitor_metric_alert.this["failed"].criteria[0].dimension[0].values : startswith(each, "pl_") || each == "platform_late_file"])
    error_message = "only definitions that no other one starts alert: those of the platform fail within them"
  }
}
