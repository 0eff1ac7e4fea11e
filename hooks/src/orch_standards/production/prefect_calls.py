"""Who calls whom among the flows and tasks of a project, and with which options."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..names import FUNCTIONS, Definition, External, Meaning, Module, Value, meaning
from ..options import Options, keywords
from .sites import Site, Sites

DEEPEST = 5  # flows within flows
LIMITS = ("concurrency", "rate_limit", "slot")
SAME = ("with_options", "from_source")  # methods that return the same flow or task with other options


def underlying(found: Meaning) -> Definition | External | None:
    """The function that a flow or task is made of, through `.with_options(...)`; External for one from elsewhere."""
    if isinstance(found, Definition):
        return found
    if isinstance(found, Value) and is_variant(found):
        inner = meaning(found.node.func.value, found.scope)
        return inner if isinstance(inner, External) else underlying(inner)
    return None


def is_variant(found: Meaning) -> bool:
    """Whether it is what `.with_options(...)` returned."""
    node = found.node if isinstance(found, Value) else None
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SAME


def receiver(call: ast.Call, module: Module) -> tuple[Meaning, str]:
    """What is called, and by which method: ``extract.submit(day)`` is extract and submit, ``extract(day)`` has none."""
    scope = module.scope_of(call)
    found = meaning(call.func, scope)
    if isinstance(call.func, ast.Attribute) and underlying(found) is None:
        return meaning(call.func.value, scope), call.func.attr
    return found, ""


def takes_a_limit(function: Definition) -> bool:
    """Whether a function takes a concurrency limit in its own body."""
    found = (meaning(call.func, function.module.scope_of(call)) for call in calls_in(function))
    return any(isinstance(each, External) and each.package == "prefect" and each.last in LIMITS for each in found)


def calls_in(function: Definition) -> Iterator[ast.Call]:
    return (each for each in ast.walk(function.node) if isinstance(each, ast.Call))


class Calls:
    """callers: the flows and tasks that call a function. mapped: tasks that are run over a list."""

    def __init__(self, sites: Sites, flows: list[Site], tasks: list[Site]) -> None:
        self.flows = {site.function.node: site for site in flows}
        self.tasks = {site.function.node: site for site in tasks}
        self.modules = sites.modules
        self.callers: dict[ast.AST, list[Site]] = {}
        self.mapped: set[ast.AST] = set()
        self._as_it_is: set[ast.AST] = set()
        self._variants: dict[ast.AST, list[Options]] = {}
        for module in self.modules:
            for call in module.calls:
                self._note(call, module)

    def _note(self, call: ast.Call, module: Module) -> None:
        found, method = receiver(call, module)
        function = underlying(found)
        if not isinstance(function, Definition):
            return
        if method == "with_options":
            self._variants.setdefault(function.node, []).append(keywords(call, module.scope_of(call)))
            return
        if method == "map":
            self.mapped.add(function.node)
        if not is_variant(found):
            self._as_it_is.add(function.node)
        makers = self.flows | self.tasks
        caller = next((makers[each] for each in module.around(call) if each in makers), None)
        if caller:
            self.callers.setdefault(function.node, []).append(caller)

    def of(self, site: Site) -> list[Site]:
        """The flows and tasks that call this one."""
        return self.callers.get(site.function.node, [])

    def given_by_variants(self, site: Site, name: str) -> bool:
        """Whether the option comes from ``with_options``, and no call goes around it."""
        variants = self._variants.get(site.function.node, [])
        around = site.function.node in self._as_it_is
        return bool(variants) and not around and not any(each.lacks(name) for each in variants)

    def ends_in_time(self, flow: Site, depth: int = 0) -> bool:
        """Whether a flow has a time-out, or all that call it do."""
        callers = self.of(flow) if depth < DEEPEST else []
        by_callers = bool(callers) and all(self.ends_in_time(caller, depth + 1) for caller in callers)
        return by_callers or not flow.options.lacks("timeout_seconds")

    def calls_steps(self, flow: Site) -> bool:
        """Whether a flow leaves its work to tasks, other flows or deployments."""
        for call in calls_in(flow.function):
            found, _ = receiver(call, flow.function.module)
            function = underlying(found)
            if isinstance(function, Definition) and (function.node in self.flows or function.node in self.tasks):
                return True
            if isinstance(found, External) and found.last == "run_deployment":
                return True
        return False

    def takes_turns(self, site: Site, depth: int = 0) -> bool:
        """Whether runs wait for a limit: taken in the body, by the tags of a task, or by something that is called."""
        if takes_a_limit(site.function) or (site.function.node in self.tasks and site.options.has("tags")):
            return True
        below = [each for each in (self.tasks | self.flows).values() if site in self.of(each)]
        return depth < DEEPEST and any(self.takes_turns(each, depth + 1) for each in below)

    def handed_on(self) -> set[ast.AST]:
        """Flows that are handed on by name, so that code may deploy or serve them."""
        names = {node.name for node in self.flows}
        found = set()
        for module in self.modules:
            for node, parent in module.parents.items():
                name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
                is_called = isinstance(parent, (ast.Attribute, *FUNCTIONS)) or getattr(parent, "func", None) is node
                if name in names and not is_called:
                    what = meaning(node, module.scope_of(node))
                    found |= {what.node} if isinstance(what, Definition) else set()
        return found
