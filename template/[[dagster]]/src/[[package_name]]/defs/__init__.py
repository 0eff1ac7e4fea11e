"""Dagster definitions, one module for each pipeline. Dagster loads everything in this folder."""
