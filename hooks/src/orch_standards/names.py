"""What a name in a file stands for: followed through imports, aliases and assignments, over the whole project.

Nothing is imported or run. What cannot be followed is `UNKNOWN`, and checks give it the benefit of the doubt.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

ENGINES = ("airflow", "dagster", "prefect", "temporalio")
# Never modules of a project, though it may have a tests/airflow/ or a logging.py.
NOT_OWN = frozenset((*ENGINES, "luigi", *sys.stdlib_module_names))
DEEPEST = 12  # steps through aliases and imports; real code needs three
WITHOUT_PARTS = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
CHANGES = ("update", "setdefault", "pop", "clear")  # methods that change a dictionary
Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class External:
    """Something of a package that is not of this project. dotted: ``airflow.sdk.dag``; ``X().y`` is y of an X."""

    dotted: str

    @property
    def package(self) -> str:
        return self.dotted.partition(".")[0]

    @property
    def last(self) -> str:
        return self.dotted.rpartition(".")[2]


@dataclass(frozen=True, eq=False)
class Definition:
    """A function or class of this project."""

    module: Module
    node: Function | ast.ClassDef


@dataclass(frozen=True, eq=False)
class Value:
    """An expression, and the scope its names belong to."""

    node: ast.expr
    scope: Scope


@dataclass(frozen=True, eq=False)
class Parameter:
    """A parameter of a function: whatever callers give it."""

    function: Function
    name: str


@dataclass(frozen=True, eq=False)
class OwnModule:
    """A module of this project, under the name it was imported by."""

    module: Module
    dotted: str


class Unknown:
    """What static analysis cannot say."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()
Meaning = External | Definition | Value | Parameter | OwnModule | Unknown


@dataclass(eq=False)
class Imported:
    dotted: str
    star: bool = False


@dataclass(eq=False)
class Scope:
    """Names bound in a module, class or function. touched: names whose value is changed after they were bound."""

    module: Module
    node: ast.AST
    outer: Scope | None
    bound: dict[str, list[Imported | Function | ast.ClassDef | ast.expr | Parameter | Unknown]] = field(
        default_factory=dict
    )
    stars: list[str] = field(default_factory=list)
    touched: dict[str, list[ast.AST]] = field(default_factory=dict)

    def bind(self, name: str, what: Imported | Function | ast.ClassDef | ast.expr | Parameter | Unknown) -> None:
        self.bound.setdefault(name, []).append(what)

    def owner(self, name: str) -> Scope | None:
        """The scope a name is found in; class bodies are not seen from the functions inside them."""
        scope: Scope | None = self
        while scope:
            if name in scope.bound and (scope is self or not isinstance(scope.node, ast.ClassDef)):
                return scope
            scope = scope.outer
        return None


class Modules(Protocol):
    """Where the modules of a repository are found."""

    def module(self, path: str) -> Module | None: ...

    def module_path(self, dotted: str, near: str) -> str | None: ...


class Module:
    """A parsed file. parents: the node around each node. scopes: of the module, and of each function and class."""

    def __init__(self, modules: Modules, path: str, tree: ast.Module) -> None:
        self.modules, self.path, self.tree = modules, path, tree
        self.parents: dict[ast.AST, ast.AST] = {}
        self.scope = Scope(self, tree, None)
        self.scopes: dict[ast.AST, Scope] = {tree: self.scope}
        self.calls: list[ast.Call] = []
        self.definitions: list[Function | ast.ClassDef] = []
        self.imports: list[ast.Import | ast.ImportFrom] = []
        self._read(tree, self.scope)

    @property
    def package(self) -> list[str]:
        """Folders the file is in, which relative imports count from."""
        return self.path.split("/")[:-1]

    def _read(self, node: ast.AST, scope: Scope) -> None:
        for name in node._fields:
            value = getattr(node, name, None)
            for child in value if isinstance(value, list) else (value,):
                if not isinstance(child, ast.AST) or isinstance(child, WITHOUT_PARTS):
                    continue
                self.parents[child] = node
                handler = HANDLERS.get(type(child))
                self._read(child, (handler and handler(self, child, scope)) or scope)

    def _read_import(self, node: ast.Import, scope: Scope) -> None:
        self.imports.append(node)
        for alias in node.names:
            if alias.asname:
                scope.bind(alias.asname, Imported(alias.name))
            else:
                first = alias.name.partition(".")[0]
                scope.bind(first, Imported(first))

    def _read_import_from(self, node: ast.ImportFrom, scope: Scope) -> None:
        self.imports.append(node)
        base = self.absolute(node)
        for alias in node.names:
            if alias.name == "*":
                scope.stars.append(base)
            else:
                scope.bind(alias.asname or alias.name, Imported(f"{base}.{alias.name}"))

    def absolute(self, node: ast.ImportFrom) -> str:
        """The module that ``from ... import`` names, relative ones from the project's root."""
        if not node.level:
            return node.module or ""
        package = self.package[: len(self.package) - node.level + 1]
        return ".".join([*package, *([node.module] if node.module else [])])

    def _read_definition(self, node: Function | ast.ClassDef, scope: Scope) -> Scope:
        self.definitions.append(node)
        scope.bind(node.name, node)
        inner = self.scopes[node] = Scope(self, node, scope)
        if isinstance(node, FUNCTIONS):
            given = node.args
            every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            for argument in filter(None, every):
                inner.bind(argument.arg, Parameter(node, argument.arg))
        return inner

    def _read_lambda(self, node: ast.Lambda, scope: Scope) -> Scope:
        inner = self.scopes[node] = Scope(self, node, scope)
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                inner.bind(argument.arg, UNKNOWN)
        return inner

    def _read_assign(self, node: ast.Assign, scope: Scope) -> None:
        for target in node.targets:
            self._read_target(target, node.value, scope)

    def _read_annotated(self, node: ast.AnnAssign | ast.NamedExpr, scope: Scope) -> None:
        if node.value is not None:
            self._read_target(node.target, node.value, scope)

    def _read_target(self, target: ast.expr, value: ast.expr | None, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            scope.bind(target.id, UNKNOWN if value is None else value)
        elif isinstance(target, ast.Tuple | ast.List):
            values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            same = len(values) == len(target.elts) and not any(isinstance(each, ast.Starred) for each in values)
            for number, each in enumerate(target.elts):
                self._read_target(each, values[number] if same else None, scope)
        elif isinstance(target, ast.Starred):
            self._read_target(target.value, None, scope)
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            self._touch(target.value.id, target, scope)

    def _touch(self, name: str, node: ast.AST, scope: Scope) -> None:
        owner = scope.owner(name) or scope
        owner.touched.setdefault(name, []).append(node)

    def _read_augmented(self, node: ast.AugAssign, scope: Scope) -> None:
        if isinstance(node.target, ast.Name):
            self._touch(node.target.id, node, scope)

    def _read_loop(self, node: ast.For | ast.AsyncFor | ast.comprehension, scope: Scope) -> None:
        self._read_target(node.target, None, scope)

    def _read_with(self, node: ast.With | ast.AsyncWith, scope: Scope) -> None:
        for item in node.items:
            if item.optional_vars is not None:
                self._read_target(item.optional_vars, item.context_expr, scope)

    def _read_handler(self, node: ast.ExceptHandler, scope: Scope) -> None:
        if node.name:
            scope.bind(node.name, UNKNOWN)

    def _read_call(self, node: ast.Call, scope: Scope) -> None:
        self.calls.append(node)
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr in CHANGES and isinstance(called.value, ast.Name):
            self._touch(called.value.id, node, scope)

    # Where a node stands

    def scope_of(self, node: ast.AST) -> Scope:
        """The scope whose names an expression reads. Decorators and defaults read the scope around their function."""
        child, parent = node, self.parents.get(node)
        while parent is not None:
            if parent in self.scopes:
                inside = not isinstance(parent, FUNCTIONS) or child in parent.body
                if isinstance(parent, ast.ClassDef):
                    inside = child in parent.body
                if inside:
                    return self.scopes[parent]
            child, parent = parent, self.parents.get(parent)
        return self.scope

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, the nearest first."""
        parent = self.parents.get(node)
        while parent is not None:
            yield parent
            parent = self.parents.get(parent)

    # What a name means

    def find(self, name: str, depth: int = 0) -> Meaning:
        """What a name of this module means to those who import it."""
        return meaning_of_name(name, self.scope, depth)


HANDLERS = {
    ast.Import: Module._read_import,
    ast.ImportFrom: Module._read_import_from,
    ast.FunctionDef: Module._read_definition,
    ast.AsyncFunctionDef: Module._read_definition,
    ast.ClassDef: Module._read_definition,
    ast.Lambda: Module._read_lambda,
    ast.Assign: Module._read_assign,
    ast.AnnAssign: Module._read_annotated,
    ast.NamedExpr: Module._read_annotated,
    ast.AugAssign: Module._read_augmented,
    ast.For: Module._read_loop,
    ast.AsyncFor: Module._read_loop,
    ast.comprehension: Module._read_loop,
    ast.With: Module._read_with,
    ast.AsyncWith: Module._read_with,
    ast.ExceptHandler: Module._read_handler,
    ast.Call: Module._read_call,
}


def meaning(node: ast.expr, scope: Scope, depth: int = 0) -> Meaning:
    """What an expression stands for; a `Value` when it is neither a name nor an attribute that can be followed."""
    if depth > DEEPEST:
        return UNKNOWN
    if isinstance(node, ast.Name):
        return meaning_of_name(node.id, scope, depth)
    if isinstance(node, ast.Attribute):
        return _attribute(meaning(node.value, scope, depth + 1), node.attr, scope.module, depth + 1)
    return Value(node, scope)


def meaning_of_name(name: str, scope: Scope, depth: int = 0) -> Meaning:
    owner = scope.owner(name)
    module = scope.module
    if owner is None:
        for base in module.scope.stars:
            found = _imported(f"{base}.{name}", module, depth + 1)
            if not isinstance(found, Unknown):
                return found
        return External(f"builtins.{name}") if not module.scope.stars else UNKNOWN
    if depth > DEEPEST:
        return UNKNOWN
    bindings = owner.bound[name]
    first = bindings[0]
    if isinstance(first, Imported):  # several are a try for one version after the other
        return _imported(first.dotted, module, depth + 1)
    if isinstance(first, (*FUNCTIONS, ast.ClassDef)):
        return Definition(module, first)
    if len(bindings) > 1 or isinstance(first, Unknown):
        return UNKNOWN
    if isinstance(first, Parameter):
        return first
    found = meaning(first, owner, depth + 1)
    # A changed dictionary keeps its name, by which the changes are found.
    if isinstance(found, Value) and name in owner.touched:
        return Value(ast.copy_location(ast.Name(name, ast.Load()), first), owner)
    return found


def _imported(dotted: str, module: Module, depth: int) -> Meaning:
    if depth > DEEPEST:
        return UNKNOWN
    if dotted.partition(".")[0] in NOT_OWN:
        return External(dotted)
    modules = module.modules
    path = modules.module_path(dotted, module.path)
    if path and path != module.path:
        other = modules.module(path)
        return OwnModule(other, dotted) if other else UNKNOWN
    base, _, name = dotted.rpartition(".")
    path = modules.module_path(base, module.path) if base else None
    other = modules.module(path) if path else None
    if path and other is None:
        return UNKNOWN
    if other and other is not module:
        return other.find(name, depth + 1) if name in other.scope.bound or other.scope.stars else UNKNOWN
    return External(dotted)


def _attribute(base: Meaning, name: str, module: Module, depth: int) -> Meaning:
    if isinstance(base, External):
        return _imported(f"{base.dotted}.{name}", module, depth)
    if isinstance(base, OwnModule):
        if name in base.module.scope.bound or base.module.scope.stars:
            return base.module.find(name, depth)
        return _imported(f"{base.dotted}.{name}", module, depth)
    if isinstance(base, Definition) and isinstance(base.node, ast.ClassDef):
        inner = base.module.scopes[base.node]
        return meaning_of_name(name, inner, depth) if name in inner.bound else _inherited(base, name, depth)
    if isinstance(base, Value) and isinstance(base.node, ast.Call):
        made = meaning(base.node.func, base.scope, depth)
        if isinstance(made, External):
            return External(f"{made.dotted}().{name}")
        if isinstance(made, Definition) and isinstance(made.node, ast.ClassDef):
            return _attribute(made, name, module, depth)
    return UNKNOWN


def _inherited(base: Definition, name: str, depth: int) -> Meaning:
    """What a class has from the classes it is derived from."""
    scope = base.module.scopes[base.node].outer or base.module.scope
    for each in base.node.bases if depth <= DEEPEST else ():
        above = meaning(each, scope, depth + 1)
        if isinstance(above, External) and above.package != "builtins":
            return External(f"{above.dotted}().{name}" if name[:1].islower() else f"{above.dotted}.{name}")
        found = _attribute(above, name, base.module, depth + 1) if isinstance(above, Definition) else UNKNOWN
        if not isinstance(found, Unknown):
            return found
    return UNKNOWN
