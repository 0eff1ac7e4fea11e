"""Keyword arguments as they arrive: through dictionaries, aliases, partials, factories and subclasses."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from .names import (
    DEEPEST,
    ENGINES,
    FUNCTIONS,
    UNKNOWN,
    Definition,
    External,
    Function,
    Parameter,
    Scope,
    Unknown,
    Value,
    meaning,
)

PARTIALS = ("functools.partial",)
# Methods of a task or flow that return the same with other options.
VARIANTS = ("with_options", "override", "partial", "configured", "with_attributes")
COPIES = ("copy.copy", "copy.deepcopy", "types.MappingProxyType", "builtins.dict", "collections.OrderedDict")


@dataclass
class Options:
    """Named values. unknown: there may be more than these, or others in their place.

    parameters: ``**`` parameters of functions that are still to be filled in by the callers.
    """

    values: dict[str, Value | Unknown] = field(default_factory=dict)
    unknown: bool = False
    parameters: list[Parameter] = field(default_factory=list)

    def merged(self, later: Options) -> Options:
        values = {**self.values, **later.values}
        return Options(values, self.unknown or later.unknown, [*self.parameters, *later.parameters])

    @property
    def open(self) -> bool:
        return self.unknown or bool(self.parameters)

    def has(self, *names: str) -> bool:
        """Whether one of these is given, or may be for all we know."""
        return self.open or any(name in self.values for name in names)

    def given(self, name: str) -> Any:
        """The constant given under that name, None when nothing is given, UNKNOWN when it cannot be told."""
        if name not in self.values:
            return UNKNOWN if self.open else None
        return constant(self.values[name])

    def lacks(self, name: str) -> bool:
        """Whether nothing is given under that name for sure, or what switches it off: None, False, 0, empty."""
        return not isinstance(value := self.given(name), Unknown) and not value

    def sub(self, name: str) -> Options:
        """The dictionary given under that name."""
        value = self.values.get(name)
        if value is None:
            return Options(unknown=self.open)
        return Options(unknown=True) if isinstance(value, Unknown) else mapping(value.node, value.scope)


@dataclass
class Called:
    """What a call is of. preset: options it has already, from partials, factories or a base class.

    factory: the function of this project that makes the call, when there is one; inside: the options as that function
    writes them, before its callers' are filled in. applied: a decorator has been applied to a function already.
    """

    dotted: str
    preset: Options
    factory: Definition | None = None
    applied: bool = False
    inside: Options | None = None


def constant(value: Value | Unknown | ast.expr, scope: Scope | None = None) -> Any:
    """The constant an expression is, UNKNOWN when it is none. Lists, tuples and sets become tuples."""
    if isinstance(value, Unknown):
        return UNKNOWN
    node, scope = (value.node, value.scope) if isinstance(value, Value) else (value, scope)
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = constant(node.operand, scope)
        return -inner if isinstance(inner, int | float) else UNKNOWN
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return tuple(constant(each, scope) for each in node.elts)
    if isinstance(node, ast.Dict):
        return UNKNOWN if node.keys else {}
    if isinstance(node, ast.Name | ast.Attribute) and scope:
        found = meaning(node, scope)
        if isinstance(found, Value) and found.node is not node and not isinstance(found.node, ast.Name):
            return constant(found)
    return UNKNOWN


def mapping(node: ast.expr, scope: Scope, depth: int = 0) -> Options:
    """The keys of a dictionary, however it is put together."""
    if depth > DEEPEST:
        return Options(unknown=True)
    if isinstance(node, ast.Dict):
        return _display(node, scope, depth)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return mapping(node.left, scope, depth + 1).merged(mapping(node.right, scope, depth + 1))
    if isinstance(node, ast.IfExp):
        return _either([mapping(each, scope, depth + 1) for each in (node.body, node.orelse)])
    if isinstance(node, ast.BoolOp):
        return _either([mapping(each, scope, depth + 1) for each in node.values])
    if isinstance(node, ast.Call):
        return _built(node, scope, depth)
    if isinstance(node, ast.Constant) and node.value is None:
        return Options()
    if isinstance(node, ast.Name | ast.Attribute):
        return _named(node, scope, depth)
    return Options(unknown=True)


def _named(node: ast.Name | ast.Attribute, scope: Scope, depth: int) -> Options:
    owner = scope.owner(node.id) if isinstance(node, ast.Name) else None
    if owner and node.id in owner.touched and len(owner.bound[node.id]) == 1:
        first = owner.bound[node.id][0]
        start = mapping(first, owner, depth + 1) if isinstance(first, ast.expr) else Options(unknown=True)
        return _changed(start, owner.touched[node.id], owner, depth)
    found = meaning(node, scope)
    if isinstance(found, Parameter):
        return Options(parameters=[found])
    if isinstance(found, Value) and found.node is not node:
        return mapping(found.node, found.scope, depth + 1)
    return Options(unknown=True)


def _changed(options: Options, changes: list[ast.AST], scope: Scope, depth: int) -> Options:
    for change in changes:
        if isinstance(change, ast.Subscript):
            key = constant(change.slice, scope)
            more = Options({key: UNKNOWN}) if isinstance(key, str) else Options(unknown=True)
        elif isinstance(change, ast.AugAssign):
            more = mapping(change.value, scope, depth + 1)
        elif isinstance(change, ast.Call) and change.func.attr == "setdefault" and change.args:
            key = constant(change.args[0], scope)
            more = Options({key: UNKNOWN}) if isinstance(key, str) else Options(unknown=True)
        elif isinstance(change, ast.Call) and change.func.attr == "update":
            more = keywords(change, scope, depth + 1)
            for each in change.args:
                more = more.merged(mapping(each, scope, depth + 1))
        else:
            more = Options(unknown=True)
        options = options.merged(more)
    return options


def _display(node: ast.Dict, scope: Scope, depth: int) -> Options:
    found = Options()
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            found = found.merged(mapping(value, scope, depth + 1))
            continue
        name = constant(key, scope)
        found = found.merged(Options({name: Value(value, scope)}) if isinstance(name, str) else Options(unknown=True))
    return found


def _either(options: list[Options]) -> Options:
    """What holds whichever of these it is."""
    common = set(options[0].values).intersection(*(each.values for each in options[1:]))
    values = {name: options[0].values[name] if len(options) == 1 else UNKNOWN for name in common}
    parameters = [each for option in options for each in option.parameters]
    return Options(values, any(each.unknown for each in options), parameters)


def _built(node: ast.Call, scope: Scope, depth: int) -> Options:
    """A dictionary that a call returns."""
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("copy", "model_dump", "_asdict"):
        if node.func.attr == "copy" and not node.args:
            return mapping(node.func.value, scope, depth + 1)
        return Options(unknown=True)
    called = meaning(node.func, scope)
    if isinstance(called, External) and called.dotted in COPIES:
        found = Options()
        for each in node.args:
            found = found.merged(mapping(each, scope, depth + 1))
        return found.merged(keywords(node, scope, depth + 1))
    if isinstance(called, Definition) and isinstance(called.node, FUNCTIONS):
        inner = called.module.scopes[called.node]
        returned = [each.value for each in returns(called.node) if each.value is not None]
        if returned:
            found = _either([mapping(each, inner, depth + 1) for each in returned])
            return filled(found, called, node, scope, depth + 1)
    return Options(unknown=True)


def keywords(node: ast.Call, scope: Scope, depth: int = 0) -> Options:
    """The keyword arguments of a call, ``**`` ones taken apart."""
    found = Options()
    for each in node.keywords:
        if each.arg:
            found = found.merged(Options({each.arg: Value(each.value, scope)}))
        else:
            found = found.merged(mapping(each.value, scope, depth + 1))
    return found


def returns(function: Function) -> list[ast.Return]:
    """The return statements of a function, without those of functions inside it."""
    found, left = [], list(function.body)
    while left:
        node = left.pop()
        if isinstance(node, ast.Return):
            found.append(node)
        elif not isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            left += ast.iter_child_nodes(node)
    return found


def filled(options: Options, definition: Definition, call: ast.Call, scope: Scope, depth: int = 0) -> Options:
    """Options that a function gives on, with what a call of it passes in place of its parameters."""
    given = keywords(call, scope, depth)
    function, home = definition.node, definition.module.scope
    signature = function.args
    positional = [argument.arg for argument in (*signature.posonlyargs, *signature.args)]
    passed = dict(given.values)
    for name, given_here in zip(positional, call.args, strict=False):
        passed[name] = UNKNOWN if isinstance(given_here, ast.Starred) else Value(given_here, scope)
    defaults = dict(zip(reversed(positional), reversed(signature.defaults), strict=False))
    defaults |= {
        argument.arg: default
        for argument, default in zip(signature.kwonlyargs, signature.kw_defaults, strict=True)
        if default is not None
    }
    named = {*positional, *(argument.arg for argument in signature.kwonlyargs)}

    def argument(name: str) -> Value | Unknown:
        if name in passed:
            return passed[name]
        if name in defaults and not given.open:
            return Value(defaults[name], home)
        return UNKNOWN

    values: dict[str, Value | Unknown] = {}
    for key, value in options.values.items():
        parameter = meaning(value.node, value.scope) if isinstance(value, Value) else UNKNOWN
        own = isinstance(parameter, Parameter) and parameter.function is function
        values[key] = argument(parameter.name) if own else value
    found = Options(values, options.unknown)
    for parameter in options.parameters:
        if parameter.function is not function:
            found.parameters.append(parameter)
        elif signature.kwarg and signature.kwarg.arg == parameter.name:
            extra = {name: value for name, value in given.values.items() if name not in named}
            found = found.merged(Options(extra, given.unknown, given.parameters))
        else:
            value = argument(parameter.name)
            found = found.merged(
                Options(unknown=True) if isinstance(value, Unknown) else mapping(value.node, value.scope, depth + 1)
            )
    return found


def called(node: ast.expr, scope: Scope, depth: int = 0) -> Called | None:
    """What calling this expression makes, followed to a package; None when that cannot be told."""
    if depth > DEEPEST:
        return None
    if isinstance(node, ast.Attribute) and node.attr in VARIANTS:
        base = called(node.value, scope, depth + 1)
        if base:
            return base
    found = meaning(node, scope)
    if isinstance(found, External):
        return Called(found.dotted, Options())
    if isinstance(found, Value) and isinstance(found.node, ast.Call):
        return result(found.node, found.scope, depth + 1)
    if isinstance(found, Definition):
        if isinstance(found.node, ast.ClassDef):
            return _subclass(found, depth + 1)
        return None if decorated(found) else _factory(found, depth + 1)
    return None


def decorated(found: Definition) -> bool:
    """Whether an engine's decorator has made something else of a function: a call of it makes nothing new."""
    scope = found.module.scope_of(found.node)
    for each in found.node.decorator_list:
        what = decoration(each, scope)
        if what and what.dotted.partition(".")[0] in ENGINES:
            return True
    return False


def decoration(node: ast.expr, scope: Scope, depth: int = 0) -> Called | None:
    """What a decorator is of, with its options."""
    return result(node, scope, depth) if isinstance(node, ast.Call) else called(node, scope, depth)


def result(node: ast.Call, scope: Scope, depth: int = 0) -> Called | None:
    """What calling the result of a call makes: of a partial, or of a decorator with its options."""
    function = meaning(node.func, scope)
    if isinstance(function, External) and function.dotted in PARTIALS and node.args:
        base = called(node.args[0], scope, depth + 1)
        return base and Called(base.dotted, base.preset.merged(keywords(node, scope)), base.factory)
    return made(node, scope, depth + 1)


def _factory(found: Definition, depth: int) -> Called | None:
    """A function of this project that makes something of a package and returns it."""
    inner = found.module.scopes[found.node]
    for each in returns(found.node):
        if isinstance(each.value, ast.Name | ast.Attribute):
            target = meaning(each.value, inner)
            if isinstance(target, Definition) and isinstance(target.node, FUNCTIONS):
                # A decorator of their own: the function it returns does the decorating.
                inner_result = _factory(target, depth + 1) if target.node is not found.node else None
                if inner_result:
                    return Called(inner_result.dotted, inner_result.preset, found, applied=True)
                continue
            node, where = (target.node, target.scope) if isinstance(target, Value) else (None, None)
        else:
            node, where = each.value, inner
        if isinstance(node, ast.Call):
            within = made(node, where, depth + 1)
            if within:
                return Called(within.dotted, within.preset, found, within.applied)
    return None


def _subclass(found: Definition, depth: int) -> Called | None:
    scope = found.module.scopes[found.node].outer or found.module.scope
    for base in found.node.bases:
        up = called(base, scope, depth + 1)
        if up is None:
            continue
        preset = up.preset
        for part in found.node.body:
            if isinstance(part, FUNCTIONS) and part.name == "__init__":
                for call in ast.walk(part):
                    if isinstance(call, ast.Call) and _is_super_init(call):
                        own = keywords(call, found.module.scopes[part])
                        # What its own parameters pass on is seen at the calls.
                        kept = [each for each in own.parameters if each.function is not part]
                        preset = preset.merged(Options(own.values, own.unknown, kept))
            if isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name):
                preset = preset.merged(
                    Options({part.targets[0].id: Value(part.value, found.module.scopes[found.node])})
                )
        return Called(up.dotted, preset, up.factory)
    return None


def _is_super_init(call: ast.Call) -> bool:
    called = call.func
    if not isinstance(called, ast.Attribute) or called.attr != "__init__":
        return False
    return isinstance(called.value, ast.Call) and getattr(called.value.func, "id", "") == "super"


def made(node: ast.Call, scope: Scope, depth: int = 0) -> Called | None:
    """What this call makes, with all its options."""
    if depth > DEEPEST:
        return None
    base = called(node.func, scope, depth + 1)
    if base is None and isinstance(node.func, ast.Call):
        base = result(node.func, scope, depth + 1)
    if base is None:
        return None
    target = meaning(node.func, scope)
    if base.factory and isinstance(target, Definition) and target.node is base.factory.node:
        options = filled(base.preset, base.factory, node, scope, depth + 1)
        return Called(base.dotted, options, base.factory, base.applied, inside=base.preset)
    return Called(base.dotted, base.preset.merged(keywords(node, scope)), base.factory, base.applied)
