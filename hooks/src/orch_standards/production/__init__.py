"""production-shape: what a reviewer blocks a pull request for, one module for each engine of data/engines.toml."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from ..engines import engines
from ..project import Project
from ..report import Report
from . import imports
from .sites import Sites


def check(project: Project) -> Iterator[Report]:
    sites = Sites(project)
    for engine in engines():
        yield from import_module(f".{engine}", __package__).check(sites)
    yield from imports.check(sites)
