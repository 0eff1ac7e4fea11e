"""In this repository `pipelines` is the orchestrator's folder, and pyproject.toml says so."""

from dagster import AssetKey
