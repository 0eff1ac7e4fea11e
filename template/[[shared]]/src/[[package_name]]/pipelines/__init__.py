"""Pipelines: one package each, plain functions over tables. None of them imports an orchestrator."""
