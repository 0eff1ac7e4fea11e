terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.7"
    }
  }

  # `make infrastructure` names the bucket, and a prefix for each environment and region.
  backend "gcs" {}
}

provider "google" {
  project = var.google_project
  region  = var.region

  default_labels = {
    project     = var.project
    environment = var.environment
  }
}

locals {
  name = "${var.project}-${var.environment}"
}
