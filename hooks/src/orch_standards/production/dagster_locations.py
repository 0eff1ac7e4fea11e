"""Dagster's code locations: which files are loaded together, as one knows nothing of another."""

from __future__ import annotations

import ast
from functools import cached_property

from ..names import External, Module, meaning
from .sites import Site, Sites, imported_by

DEFINERS = ("Definitions", "definitions", "repository")


class Locations:
    """The files that each `Definitions` brings together."""

    def __init__(self, sites: Sites) -> None:
        self.sites = sites

    @cached_property
    def _reached(self) -> list[tuple[str, set[str]]]:
        """Folder and files of each code location."""
        definers = dict.fromkeys(site.module for site in self.sites.of("dagster") if site.last in DEFINERS)
        found = [(module.path.rpartition("/")[0], self._closure(module)) for module in definers]
        # A file of definitions that another one imports is a part of that one's location.
        return [(folder, files) for folder, files in found if not any(files < other for _, other in found)]

    def _closure(self, module: Module) -> set[str]:
        found, left = {module.path}, [module]
        while left:
            each = left.pop()
            paths = list(imported_by(each, late=True))
            if _loads_a_folder(each):
                folder = each.path.rpartition("/")[0]
                paths += [path for path in self.sites.project.with_suffix(".py") if path.startswith(f"{folder}/")]
            for path in paths:
                other = self.sites.project.module(path) if path not in found else None
                if other:
                    found.add(path)
                    left.append(other)
        return found

    def of(self, path: str) -> set[int]:
        """The code locations that a file is in, by number; the nearest where no `Definitions` is seen to load it."""
        inside = {number for number, (_, files) in enumerate(self._reached) if path in files}
        if inside or not self._reached:
            return inside
        shared = [_shared(path, folder) for folder, _ in self._reached]
        return {number for number, depth in enumerate(shared) if depth == max(shared)}

    def together(self, path: str, site: Site) -> bool:
        """Whether what stands in a file can be about a site."""
        return path == site.path or not self._reached or bool(self.of(path) & self.of(site.path))


def _loads_a_folder(module: Module) -> bool:
    """Whether modules are loaded by where they stand, as `load_from_defs_folder` does."""
    for call in module.calls:
        found = meaning(call.func, module.scope_of(call))
        if (
            isinstance(found, External)
            and found.package == "dagster"
            and found.last.startswith(("load_from", "load_defs"))
        ):
            return True
        loads = isinstance(found, External) and found.last in (
            "load_assets_from_package_module",
            "load_assets_from_package_name",
        )
        if loads and not isinstance(call.func, ast.Call):
            return True
    return False


def _shared(path: str, folder: str) -> int:
    first, second = path.split("/")[:-1], folder.split("/") if folder else []
    number = 0
    while number < min(len(first), len(second)) and first[number] == second[number]:
        number += 1
    return number
