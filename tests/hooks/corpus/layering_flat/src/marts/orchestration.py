"""The orchestrator's side: may import it."""

from dagster import AssetExecutionContext as context
