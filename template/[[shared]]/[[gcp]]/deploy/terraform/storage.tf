# Buckets, one for each name in local.buckets. Their names are one list for all projects of Google Cloud.
resource "google_storage_bucket" "this" {
  # checkov:skip=CKV_GCP_62: who reads and writes is in Cloud Audit Logs, where the project has them.
  for_each                    = local.buckets
  name                        = "${local.name}-${each.key}-${substr(sha256("${var.google_project}/${var.region}"), 0, 8)}"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 90
    }

    action {
      type = "Delete"
    }
  }
}

output "buckets" {
  description = "Names of the buckets. The input of a pipeline lands in landing/ of the bucket `data`."
  value       = { for name, bucket in google_storage_bucket.this : name => bucket.name }
}
