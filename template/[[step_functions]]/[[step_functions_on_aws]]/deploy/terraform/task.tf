# The container of a step: the project's image, started by a state machine with the project's command.
variable "image" {
  description = "The image that CI has pushed, with its digest."
  type        = string
}

variable "cpu" {
  description = "Of a step, in units of 1,024 for one virtual CPU."
  type        = number
  default     = 1024
}

variable "memory" {
  description = "Of a step, in MB."
  type        = number
  default     = 4096
}

locals {
  # The repository, where the image is in a registry of AWS.
  repository = try(regex("^[0-9]+\\.dkr\\.ecr\\.[a-z0-9-]+\\.amazonaws\\.com/([^:@]+)", var.image)[0], "")
}

resource "aws_ecs_cluster" "this" {
  name = local.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_task_definition" "step" {
  family                   = local.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.task_start.arn

  volume {
    name = "tmp"
  }

  volume {
    name = "var"
  }

  container_definitions = jsonencode([{
    name                   = "step"
    image                  = var.image
    essential              = true
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    linuxParameters        = { initProcessEnabled = true }
    mountPoints = [
      { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false },
      { sourceVolume = "var", containerPath = "/app/var", readOnly = false },
    ]
    environment = [
      { name = "APP_ENV", value = var.environment },
      { name = "AWS_REGION", value = var.region },
      { name = "ORCHESTRATOR", value = "step_functions" },
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.steps.name
        awslogs-region        = var.region
        awslogs-stream-prefix = "step"
      }
    }
  }])
}

resource "aws_cloudwatch_log_group" "steps" {
  # checkov:skip=CKV_AWS_338: how long logs are kept is yours to say: it costs.
  name              = "/${local.name}/steps"
  retention_in_days = local.log_days
  kms_key_id        = aws_kms_key.this.arn
}

locals {
  assumed_by_tasks = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

# What the project's code is, in a container.
resource "aws_iam_role" "task" {
  name               = "${local.name}-step"
  assume_role_policy = local.assumed_by_tasks
}

resource "aws_iam_role_policy_attachment" "task" {
  role       = aws_iam_role.task.name
  policy_arn = aws_iam_policy.runs.arn
}

# The command that reports a run asks what became of it.
resource "aws_iam_role_policy" "task" {
  role = aws_iam_role.task.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "states:DescribeExecution"
      Resource = local.resources["runs_of:pipelines"]
    }]
  })
}

# What ECS does before the container starts: fetch the image, write its log.
resource "aws_iam_role" "task_start" {
  name               = "${local.name}-step-start"
  assume_role_policy = local.assumed_by_tasks
}

resource "aws_iam_role_policy" "task_start" {
  role = aws_iam_role.task_start.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.steps.arn}:*"
      }],
      local.repository == "" ? [] : [
        {
          # This action knows no resource.
          Effect   = "Allow"
          Action   = ["ecr:GetAuthorizationToken"]
          Resource = "*"
        },
        {
          Effect   = "Allow"
          Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
          Resource = "arn:aws:ecr:${var.region}:${local.account}:repository/${local.repository}"
        },
      ],
    )
  })
}
