# What no run can report itself: machines of the platform that fail, throttling, and events that were not delivered.
variable "alarm_topics" {
  description = "ARNs of the SNS topics that get alarms. Without one, alarms are seen in CloudWatch only."
  type        = list(string)
  default     = []
}

locals {
  alarms = merge(
    {
      for pair in setproduct(["launch", "report", "deadline", "late_file"], ["ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"]) :
      "${pair[0]}-${pair[1]}" => { machine = "platform-${pair[0]}", metric = pair[1] }
    },
    { for name in keys(local.definitions) : "${name}-throttled" => { machine = name, metric = "ExecutionThrottled" } },
  )
}

resource "aws_cloudwatch_metric_alarm" "machine" {
  for_each            = local.alarms
  alarm_name          = "${local.name}-${each.key}"
  namespace           = "AWS/States"
  metric_name         = each.value.metric
  dimensions          = { StateMachineArn = local.arns[each.value.machine] }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topics
}

resource "aws_cloudwatch_metric_alarm" "undelivered" {
  alarm_name          = "${local.name}-undelivered"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.undelivered.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topics
}
