"""The rules for Prometheus speak of metrics that the project's steps really leave."""

from __future__ import annotations

import re

import promql_parser
import yaml

METRIC = re.compile(r"\bpipeline_[a-z_]+")
SECONDS = re.compile(r"\d{3}")  # such as 86400, which would fit one grain of partitions only


def test_rules_use_metrics_that_exist(render):
    project = render()
    code = next(project.glob("src/*/platform/metrics.py")).read_text()
    written = set(re.findall(r'^    "(pipeline_\w+)": \("(?:counter|gauge)"', code, re.MULTILINE))
    groups = yaml.safe_load((project / "observability" / "prometheus_alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert rules
    for rule in rules:
        promql_parser.parse(rule["expr"])
        used = set(METRIC.findall(rule["expr"]))
        assert used, rule["alert"]
        assert used <= written, rule["alert"]
        assert not SECONDS.search(rule["expr"]), rule["alert"]
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "runbook"}
