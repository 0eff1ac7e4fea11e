# What starts machines: schedules, files that land, and executions that end badly. What cannot be delivered is kept.
locals {
  arrivals = { for pipeline in local.machines.pipelines : pipeline.name => pipeline if pipeline.has_events }
}

resource "aws_scheduler_schedule" "this" {
  # checkov:skip=CKV_AWS_297: it holds the name of a pipeline and a time.
  for_each                     = local.machines.schedules
  name                         = "${local.name}-${each.key}"
  schedule_expression          = each.value.expression
  schedule_expression_timezone = each.value.timezone

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_sfn_alias.launch.arn
    role_arn = aws_iam_role.trigger.arn
    # Not by jsonencode, which would hide the keyword from Scheduler.
    input = "{\"pipeline\":\"${each.value.pipeline}\",\"scheduled_time\":\"<aws.scheduler.scheduled-time>\"}"

    dead_letter_config {
      arn = aws_sqs_queue.undelivered.arn
    }

    retry_policy {
      maximum_event_age_in_seconds = 3600
      maximum_retry_attempts       = 20
    }
  }
}

resource "aws_cloudwatch_event_rule" "arrival" {
  for_each    = local.arrivals
  name        = "${local.name}-arrival-${each.key}"
  description = "The input of a partition of ${each.key} is complete"

  event_pattern = jsonencode({
    source      = ["aws.s3"]
    detail-type = ["Object Created"]
    detail = {
      bucket = { name = [each.value.bucket] }
      object = { key = [{ wildcard = "${each.value.prefix}*${each.value.marker}" }] }
    }
  })
}

resource "aws_cloudwatch_event_target" "arrival" {
  for_each = local.arrivals
  rule     = aws_cloudwatch_event_rule.arrival[each.key].name
  arn      = aws_sfn_alias.launch.arn
  role_arn = aws_iam_role.trigger.arn

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 20
  }
}

# The bucket of this project tells EventBridge; another one must be told by whoever owns it.
resource "aws_s3_bucket_notification" "data" {
  bucket      = aws_s3_bucket.this["data"].id
  eventbridge = true
}

resource "aws_cloudwatch_event_rule" "failed" {
  name        = "${local.name}-failed"
  description = "A run of a pipeline has failed, timed out or was aborted"

  event_pattern = jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail = {
      status          = ["FAILED", "TIMED_OUT", "ABORTED"]
      stateMachineArn = local.resources.pipelines
    }
  })
}

resource "aws_cloudwatch_event_target" "failed" {
  rule     = aws_cloudwatch_event_rule.failed.name
  arn      = local.arns["platform-report"]
  role_arn = aws_iam_role.trigger.arn

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 20
  }
}

# Schedules and rules may start the launcher and the report, and nothing else.
resource "aws_iam_role" "trigger" {
  name = "${local.name}-trigger"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = ["scheduler.amazonaws.com", "events.amazonaws.com"] }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "trigger" {
  role = aws_iam_role.trigger.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "states:StartExecution"
        Resource = [local.arns["platform-launch"], aws_sfn_alias.launch.arn, local.arns["platform-report"]]
      },
      {
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = aws_sqs_queue.undelivered.arn
      },
    ]
  })
}

resource "aws_sqs_queue" "undelivered" {
  name                      = "${local.name}-undelivered"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "undelivered" {
  queue_url = aws_sqs_queue.undelivered.url

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.undelivered.arn
      Condition = {
        ArnEquals = { "aws:SourceArn" = concat([aws_cloudwatch_event_rule.failed.arn], values(aws_cloudwatch_event_rule.arrival)[*].arn) }
      }
    }]
  })
}
