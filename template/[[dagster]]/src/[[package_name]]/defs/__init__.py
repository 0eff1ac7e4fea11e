"""Dagster definitions: whatever stands in the modules of this folder is loaded, a module for each pipeline."""
