"""production-shape: what a reviewer blocks a pull request for, one module per engine."""

from __future__ import annotations

from collections.abc import Iterator

from ..project import Project
from ..report import Report
from . import airflow, dagster, imports, prefect
from .sites import Sites


def check(project: Project) -> Iterator[Report]:
    sites = Sites(project)
    for engine in (airflow, dagster, prefect):
        yield from engine.check(sites)
    yield from imports.check(sites)
