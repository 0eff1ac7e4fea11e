# A configuration of its own, not a part of deploy/terraform/ as on AWS: that one brings a network, a bucket and an identity, and the
# workflows take what the environment has. Its values follow from config/ at each `make deploy`, so no file of them is committed.
terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.7"
    }
  }

  # `make deploy` names the bucket, and a folder for each environment.
  backend "gcs" {}
}

provider "google" {
  project = var.project
  region  = var.region
}
