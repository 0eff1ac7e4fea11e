terraform {
  required_version = ">= 1.11"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 5.10"
    }
  }

  # `make infrastructure` names the account and the container, and a key for each environment and region.
  backend "azurerm" {
    use_azuread_auth = true
  }
}

provider "azurerm" {
  subscription_id     = var.subscription
  storage_use_azuread = true

  features {}
}

locals {
  name = "${var.project}-${var.environment}"
  tags = { project = var.project, environment = var.environment }
  # Names of accounts and vaults are one list for all of Azure, have 24 characters at most, and accounts have no hyphen.
  unique = "${substr(replace(local.name, "-", ""), 0, 16)}${substr(sha256("${var.subscription}/${var.region}/${local.name}"), 0, 8)}"
}

data "azurerm_client_config" "current" {}

resource "azurerm_resource_group" "this" {
  name     = "${local.name}-${var.region}"
  location = var.region
  tags     = local.tags
}
