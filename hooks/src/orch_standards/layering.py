"""layering: business code imports no orchestrator, directly or through a module of the project.

Which code that is, a team says in one of three ways: ``business`` names it, ``orchestration`` names all that is not,
or a contract of import-linter forbids it an orchestrator. Where nothing is said, folders with usual names are taken.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase

from .names import ENGINES, Module
from .project import Project, is_test
from .report import Report

# Of the template; and what other repositories call the code that knows no orchestrator.
BUSINESS = ("src/*/pipelines/*", "src/*/platform/*")
USUAL_NAMES = {"domain", "business", "business_logic", "transforms", "transformations", "usecases", "use_cases"}


def check(project: Project) -> Iterator[Report]:
    business = [path for path in project.with_suffix(".py") if _is_business(path, project)]
    reached = _Reached(project, set(business))
    for path in business:
        module = project.module(path)
        if module is None:
            continue
        for line, dotted in _imported(module):
            engine = _engine(dotted)
            if engine:
                yield Report("business-imports-orchestrator", path, line, engine)
                continue
            other = project.module_path(dotted, path) or project.module_path(dotted.rpartition(".")[0], path)
            if other and other not in business and reached.by(other):
                yield Report("business-imports-orchestrator", path, line, f"{dotted}, and with it {reached.by(other)}")


def _is_business(path: str, project: Project) -> bool:
    settings = project.settings
    if any(fnmatchcase(path, each) for each in settings.business):
        return True
    if any(_is_module(path, each) for each in settings.forbidden):
        return True
    if settings.orchestration:
        return not is_test(path) and not any(fnmatchcase(path, each) for each in settings.orchestration)
    if settings.business or settings.forbidden:
        return False
    usual = USUAL_NAMES.intersection(path.split("/")[:-1]) and not is_test(path)
    return bool(usual) or any(fnmatchcase(path, each) for each in BUSINESS)


def _is_module(path: str, dotted: str) -> bool:
    """Whether a file is a module, or in a package, of that name."""
    wanted = f"/{dotted.removesuffix('.**').removesuffix('.*').replace('.', '/')}"
    return f"/{path}".endswith(f"{wanted}.py") or f"{wanted}/" in f"/{path}"


def _engine(dotted: str) -> str:
    first = dotted.partition(".")[0]
    # Integrations are named after their engine: dagster_dbt, prefect_aws.
    return first if first in ENGINES or first.startswith(tuple(f"{name}_" for name in ENGINES)) else ""


def _imported(module: Module) -> Iterator[tuple[int, str]]:
    for node in module.imports:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        else:
            base = module.absolute(node)
            if _engine(base):
                yield node.lineno, base
            else:
                for alias in node.names:
                    yield node.lineno, f"{base}.{alias.name}" if base else alias.name
    for call in module.calls:
        called = call.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name in ("import_module", "__import__") and call.args:
            first = call.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield call.lineno, first.value


class _Reached:
    """Which orchestrator the import of a module brings with it."""

    def __init__(self, project: Project, business: set[str]) -> None:
        self.project, self.business = project, business
        self.known: dict[str, str] = {}

    def by(self, path: str) -> str:
        if path in self.known:
            return self.known[path]
        self.known[path] = ""  # what imports itself brings nothing more
        module = self.project.module(path)
        for _, dotted in _imported(module) if module else ():
            engine = _engine(dotted)
            if not engine:
                other = self.project.module_path(dotted, path)
                other = other or self.project.module_path(dotted.rpartition(".")[0], path)
                engine = self.by(other) if other and other not in self.business else ""
            if engine:
                self.known[path] = engine
                break
        return self.known[path]
