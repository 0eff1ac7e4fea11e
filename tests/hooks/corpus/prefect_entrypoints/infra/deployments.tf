resource "prefect_deployment" "terraform" {
  name       = "main"
  entrypoint = "jobs/terraform.py:run"
}

resource "prefect_work_pool" "bounded" {
  name              = "bounded"
  type              = "docker"
  concurrency_limit = 4
}
