"""Dagster definitions, loaded by themselves: one module per pipeline (team), and what pipelines share (platform)."""
