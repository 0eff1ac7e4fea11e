# Each "secret:NAME" in the configuration of this environment is a secret, of which a person sets the value: no state knows it.
locals {
  configuration = concat(
    ["${path.module}/../../config/${var.environment}.toml"],
    [for file in fileset("${path.module}/../../config/pipelines", "*.toml") : "${path.module}/../../config/pipelines/${file}"],
  )
  secrets = toset(flatten([
    for line in split("\n", join("\n", [for file in local.configuration : file(file)])) :
    regexall("\"secret:([A-Za-z0-9-]+)\"", line) if !startswith(trimspace(line), "#")
  ]))
}

output "secrets" {
  description = "The names of the secrets that the configuration asks for."
  value       = local.secrets
}
