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
