# State machines: one for each pipeline, and those of the platform, from the definitions in workflows/.
variable "machines_file" {
  description = "What follows from config/ and the definitions: policies, schedules, permissions. `make machines ENV=...` writes it."
  type        = string
  default     = ""
}

variable "pipelines_folder" {
  description = "Where the definitions of the pipelines are, from this folder."
  type        = string
  default     = "../../workflows"
}

locals {
  buckets = toset(["data"])
  # What containers call, for a network without a way out.
  services = toset(["ecr.api", "ecr.dkr", "kms", "logs", "secretsmanager", "states", "sts"])

  account  = data.aws_caller_identity.current.account_id
  machines = jsondecode(file("${path.module}/${coalesce(var.machines_file, "machines/${var.environment}.json")}"))
  definitions = merge(
    { for name in ["run_step", "report", "deadline", "late_file", "launch", "backfill"] : "platform-${name}" => "../../workflows/platform/${name}.asl.json" },
    { for name in keys(local.machines.policies) : name => "${var.pipelines_folder}/${name}.asl.json" },
  )
  # Names, not references, as machines name each other.
  prefix = "arn:aws:states:${var.region}:${local.account}:stateMachine:${local.name}-"
  arns   = { for name in keys(local.definitions) : name => "${local.prefix}${name}" }
  runs   = { for name, arn in local.arns : name => "${replace(arn, ":stateMachine:", ":execution:")}:*" }

  values = {
    package         = local.machines.package
    table           = aws_dynamodb_table.executions.name
    cluster         = aws_ecs_cluster.this.arn
    task_definition = aws_ecs_task_definition.step.arn
    security_group  = aws_security_group.runs.id
    machine_prefix  = local.prefix
    run_step_arn    = local.arns["platform-run_step"]
    report_arn      = local.arns["platform-report"]
    deadline_arn    = local.arns["platform-deadline"]
    late_file_arn   = local.arns["platform-late_file"]
    launch_arn      = local.arns["platform-launch"]
    # JSON within the texts of a JSON file.
    subnets   = replace(jsonencode(aws_subnet.private[*].id), "\"", "\\\"")
    pipelines = replace(jsonencode(local.machines.pipelines), "\"", "\\\"")
  }

  # What the permissions in machines/<env>.json are for, by the names that they have there.
  resources = merge(
    { for name, arn in local.arns : name => [arn] },
    { for name, arn in local.runs : "runs_of:${name}" => [arn, replace(arn, ":*", "/*")] },
    {
      any                 = ["*"]
      table               = [aws_dynamodb_table.executions.arn]
      task_definition     = [aws_ecs_task_definition.step.arn]
      task_roles          = [aws_iam_role.task.arn, aws_iam_role.task_start.arn]
      rule_of_ecs         = ["arn:aws:events:${var.region}:${local.account}:rule/StepFunctionsGetEventsForECSTaskRule"]
      rule_of_machines    = ["arn:aws:events:${var.region}:${local.account}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"]
      pipelines           = [for name in keys(local.machines.policies) : local.arns[name]]
      "runs_of:pipelines" = [for name in keys(local.machines.policies) : local.runs[name]]
    },
  )
}

resource "aws_sfn_state_machine" "this" {
  # checkov:skip=CKV_AWS_284: the history of an execution shows each step with its time.
  # checkov:skip=CKV_AWS_285: payloads hold names only, and an error's text may hold more.
  for_each = local.definitions
  name     = "${local.name}-${each.key}"
  type     = "STANDARD"
  role_arn = aws_iam_role.machine[each.key].arn
  publish  = true

  definition = templatefile("${path.module}/${each.value}", merge(local.values, {
    policies = replace(jsonencode(lookup(local.machines.policies, each.key, {})), "\"", "\\\"")
  }))

  logging_configuration {
    level                  = "ERROR"
    include_execution_data = false
    log_destination        = "${aws_cloudwatch_log_group.machines.arn}:*"
  }

  depends_on = [aws_iam_role_policy.machine]
}

# Triggers start this version of the launcher; going back to an earlier one is a change of the alias.
resource "aws_sfn_alias" "launch" {
  name = "current"

  routing_configuration {
    state_machine_version_arn = aws_sfn_state_machine.this["platform-launch"].state_machine_version_arn
    weight                    = 100
  }
}

resource "aws_cloudwatch_log_group" "machines" {
  # checkov:skip=CKV_AWS_338: how long logs are kept is yours to say: it costs.
  name              = "/aws/vendedlogs/states/${local.name}"
  retention_in_days = local.log_days
  kms_key_id        = aws_kms_key.this.arn
}

# One role for each machine. What it may do follows from its definition; nothing is written here by hand.
resource "aws_iam_role" "machine" {
  for_each = local.definitions
  name     = "${local.name}-${each.key}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "states.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "machine" {
  for_each = local.definitions
  role     = aws_iam_role.machine[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for permission in local.machines.permissions[each.key] : merge(
        {
          Effect   = "Allow"
          Action   = permission.actions
          Resource = local.resources[permission.resource]
        },
        permission.passed_to == "" ? {} : { Condition = { StringEquals = { "iam:PassedToService" = permission.passed_to } } },
      )
    ]
  })
}

# Tokens of runs that wait for input, and places of shared limits. Everything in it may be lost: runs look again.
resource "aws_dynamodb_table" "executions" {
  # checkov:skip=CKV_AWS_119: it holds names of runs, under a key of AWS.
  name         = "${local.name}-executions"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }

  ttl {
    attribute_name = "expires"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}

output "machines" {
  description = "The ARN of each state machine."
  value       = { for name, machine in aws_sfn_state_machine.this : name => machine.arn }
}
