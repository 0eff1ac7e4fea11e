# A configuration of its own: it takes the environment of Container Apps, the storage and the vault that the environment has, and makes
# the factory. Its values follow from config/ and factory/ at each `make deploy`, so no file of them is committed.
terraform {
  required_version = ">= 1.11"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 5.10"
    }
  }

  # `make deploy` names the account, and a file for each environment.
  backend "azurerm" {
    container_name   = "tfstate"
    use_azuread_auth = true
  }
}

provider "azurerm" {
  features {}
  subscription_id = var.subscription
}
