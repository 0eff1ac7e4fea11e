resource "prefect_deployment" "terraform" {
  name       = "main"
  entrypoint = "jobs/terraform.py:run"
}
