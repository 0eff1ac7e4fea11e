"""Orchestrators that a cloud runs: their definitions are JSON or YAML, and Terraform deploys them.

Each has two files here: a module, whose ``check(project)`` yields reports, and the rules of the same name as TOML, in
the form of ``data/rules.toml``.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module, resources

from ..project import Project
from ..report import Report


def names() -> list[str]:
    """The services that there are rules of."""
    files = resources.files(__package__).iterdir()
    return sorted(each.name.removesuffix(".toml") for each in files if each.name.endswith(".toml"))


def check(project: Project) -> Iterator[Report]:
    for name in names():
        yield from import_module(f".{name}", __package__).check(project)
