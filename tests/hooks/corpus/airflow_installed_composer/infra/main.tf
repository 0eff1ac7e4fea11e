resource "google_composer_environment" "tides" {
  config {
    software_config {
      image_version = "composer-3-airflow-3.1.0"
      airflow_config_overrides = {
        core-max_active_runs_per_dag     = "3"
        core-default_task_retries        = "2"
        scheduler-catchup_by_default     = "False"
      }
    }
  }
}
