"""Which texts an expression may stand for: through variables, callers of a function, and loops over constants."""

from __future__ import annotations

import ast
import itertools
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from orch_standards.names import FUNCTIONS, Module, Parameter, Scope, Unknown, Value, meaning
from orch_standards.options import constant

from .facts import GUESSED, READ, RESOLVED, Fact, weakest

DEEPEST = 8
MOST = 200  # texts of one expression; what has more is shown as it is written
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
LOOPS = (ast.For, ast.AsyncFor, *COMPREHENSIONS)
NOTHING = Fact("none", RESOLVED)
Callers = Callable[[ast.AST], list[tuple[ast.Call, Module]]]


@dataclass(frozen=True)
class Found:
    """An expression that another one stands for, and how that is known."""

    node: ast.expr
    scope: Scope
    confidence: str = READ


def texts(value: Value | Unknown | None, callers: Callers) -> list[Fact]:
    """The texts that a value may be, at least one; what cannot be told is written in braces, as a guess."""
    if not isinstance(value, Value):
        return [Fact("{?}", GUESSED)]
    return list(dict.fromkeys(_texts(value.node, value.scope, callers, 0)))[:MOST]


def _texts(node: ast.expr, scope: Scope, callers: Callers, depth: int) -> Iterator[Fact]:
    for each in expressions(node, scope, callers, depth):
        for fact in _text(each.node, each.scope, callers, depth):
            yield Fact(fact.value, weakest(fact.confidence, each.confidence))


def _text(node: ast.expr, scope: Scope, callers: Callers, depth: int) -> Iterator[Fact]:
    if isinstance(node, ast.Constant):
        yield Fact("none" if node.value is None else str(node.value), READ)
    elif depth > DEEPEST:
        yield _unclear(node)
    elif isinstance(node, ast.JoinedStr):
        parts = [each.value if isinstance(each, ast.FormattedValue) else each for each in node.values]
        yield from _joined(parts, scope, callers, depth)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _joined([node.left, node.right], scope, callers, depth)
    elif parts := _formatted(node):
        yield from _joined(parts, scope, callers, depth)
    elif any(isinstance(each, ast.Name) and each.id == "__file__" for each in ast.walk(node)):
        yield Fact(PurePosixPath(scope.module.path).stem, GUESSED)
    elif (value := constant(node, scope)) is not None and isinstance(value, str | int | float):
        yield Fact(str(value), RESOLVED)
    else:
        yield _unclear(node)


def _formatted(node: ast.expr) -> list[ast.expr]:
    """The parts of ``"load_{}".format(table)`` and ``"load_%s" % table``, none for any other form."""
    plain = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"
    if plain and isinstance(node.func.value, ast.Constant) and isinstance(node.func.value.value, str):
        given: dict[str, ast.expr] = {str(number): each for number, each in enumerate(node.args)}
        given |= {each.arg: each.value for each in node.keywords if each.arg}
        try:
            pieces = list(string.Formatter().parse(node.func.value.value))
        except ValueError:
            return []
        counter = itertools.count()
        parts = []
        for text, name, *_ in pieces:
            parts.append(ast.copy_location(ast.Constant(text), node))
            if name is not None:
                parts.append(given.get(name or str(next(counter)), node))
        return [] if node in parts else parts
    percent = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant)
    if percent and isinstance(node.left.value, str):
        pieces = node.left.value.split("%s")
        values = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
        if len(pieces) == len(values) + 1 and "%" not in "".join(pieces):
            texts = [ast.copy_location(ast.Constant(each), node) for each in pieces]
            return [texts[0], *(part for pair in zip(values, texts[1:], strict=True) for part in pair)]
    return []


def _unclear(node: ast.expr) -> Fact:
    return Fact("{" + " ".join(ast.unparse(node).split())[:60] + "}", GUESSED)


def _joined(parts: list[ast.expr], scope: Scope, callers: Callers, depth: int) -> Iterator[Fact]:
    possible = [list(_texts(each, scope, callers, depth + 1)) for each in parts]
    for chosen in itertools.islice(itertools.product(*possible), MOST):
        sure = weakest(*(each.confidence for each in chosen), RESOLVED)
        # A part that is None was to be given by somebody who is not seen.
        yield Fact("".join(each.value for each in chosen), GUESSED if NOTHING in chosen else sure)


def expressions(node: ast.expr, scope: Scope, callers: Callers, depth: int = 0) -> list[Found]:
    """What an expression stands for: one for a variable, several for a parameter or the variable of a loop."""
    if depth > DEEPEST:
        return [Found(node, scope, GUESSED)]
    if isinstance(node, ast.Name):
        items = _turns(node, scope, callers, depth)
        if items:
            return items
    if isinstance(node, ast.Name | ast.Attribute):
        found = meaning(node, scope)
        if isinstance(found, Value) and found.node is not node and not isinstance(found.node, ast.Name):
            inner = expressions(found.node, found.scope, callers, depth + 1)
            return [Found(each.node, each.scope, weakest(each.confidence, RESOLVED)) for each in inner]
        if isinstance(found, Parameter):
            return _passed(found, callers, depth) or [Found(node, scope, GUESSED)]
    if isinstance(node, ast.Subscript):
        return _picked(node, scope, callers, depth) or [Found(node, scope, GUESSED)]
    return [Found(node, scope, READ)]


def _passed(parameter: Parameter, callers: Callers, depth: int) -> list[Found]:
    """What the callers of a function give for a parameter, its default where they give nothing."""
    signature = parameter.function.args
    positional = [each.arg for each in (*signature.posonlyargs, *signature.args)]
    defaults = dict(zip(reversed(positional), reversed(signature.defaults), strict=False))
    defaults |= {each.arg: value for each, value in zip(signature.kwonlyargs, signature.kw_defaults, strict=True)}
    found: list[Found] = []
    for call, module in callers(parameter.function):
        given = next((each.value for each in call.keywords if each.arg == parameter.name), None)
        if given is None and parameter.name in positional:
            number = positional.index(parameter.name)
            plain = not any(isinstance(each, ast.Starred) for each in call.args)
            given = call.args[number] if plain and number < len(call.args) else None
        scope = module.scope_of(call)
        if given is None:
            given, scope = defaults.get(parameter.name), module.scope
        if given is not None:
            inner = expressions(given, scope, callers, depth + 1)
            found += [Found(each.node, each.scope, weakest(each.confidence, RESOLVED)) for each in inner]
    return found


def _picked(node: ast.Subscript, scope: Scope, callers: Callers, depth: int) -> list[Found]:
    """The value of a constant key in what is a display of a dictionary or list."""
    key = constant(node.slice, scope)
    found = []
    for each in expressions(node.value, scope, callers, depth + 1):
        if isinstance(each.node, ast.Dict):
            pairs = zip(each.node.keys, each.node.values, strict=True)
            chosen = next((value for name, value in pairs if name and constant(name, each.scope) == key), None)
        elif isinstance(each.node, ast.List | ast.Tuple) and isinstance(key, int) and key < len(each.node.elts):
            chosen = each.node.elts[key]
        else:
            chosen = None
        if chosen is not None:
            inner = expressions(chosen, each.scope, callers, depth + 1)
            found += [Found(one.node, one.scope, weakest(one.confidence, each.confidence, RESOLVED)) for one in inner]
    return found


# Loops


def _turns(name: ast.Name, scope: Scope, callers: Callers, depth: int) -> list[Found]:
    """What a loop puts into a variable, none when it is no loop's or the loop is over something unknown."""
    for around in scope.module.around(name):
        if isinstance(around, FUNCTIONS):
            return []
        for target, over in loops_of(around):
            place = _place(target, name.id)
            if place is None:
                continue
            found = []
            for item in items(over, scope, callers, depth + 1) or []:
                for position in place:
                    parts = item.node.elts if isinstance(item.node, ast.Tuple | ast.List) else []
                    item = Found(parts[position], item.scope) if position < len(parts) else None
                    if item is None:
                        return []
                found += expressions(item.node, item.scope, callers, depth + 1)
            return [Found(each.node, each.scope, weakest(each.confidence, RESOLVED)) for each in found]
    return []


def loops_of(node: ast.AST) -> list[tuple[ast.expr, ast.expr]]:
    """Variables and what they go over, of a loop or comprehension."""
    if isinstance(node, ast.For | ast.AsyncFor):
        return [(node.target, node.iter)]
    return [(each.target, each.iter) for each in node.generators] if isinstance(node, COMPREHENSIONS) else []


def _place(target: ast.expr, name: str) -> list[int] | None:
    """Where in the target of a loop a name stands: [] for the whole, [0, 1] for the second of the first."""
    if isinstance(target, ast.Name):
        return [] if target.id == name else None
    for number, each in enumerate(getattr(target, "elts", ())):
        inside = _place(each, name)
        if inside is not None:
            return [number, *inside]
    return None


def items(over: ast.expr, scope: Scope, callers: Callers, depth: int = 0) -> list[Found] | None:
    """What a loop goes over, None when it is not known before a run."""
    if isinstance(over, ast.Call):
        return _items_of_call(over, scope, callers, depth)
    found = expressions(over, scope, callers, depth)
    if len(found) != 1:
        return None
    node, where = found[0].node, found[0].scope
    if isinstance(node, ast.List | ast.Tuple | ast.Set) and not any(isinstance(e, ast.Starred) for e in node.elts):
        return [Found(each, where) for each in node.elts]
    if isinstance(node, ast.Dict) and all(node.keys):
        return [Found(each, where) for each in node.keys if each]
    if isinstance(node, ast.Call) and node is not over:
        return _items_of_call(node, where, callers, depth)
    return None


def _items_of_call(call: ast.Call, scope: Scope, callers: Callers, depth: int) -> list[Found] | None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name == "range" and len(call.args) == 1:
        last = constant(call.args[0], scope)
        within = isinstance(last, int) and last <= MOST
        return [Found(ast.copy_location(ast.Constant(n), call), scope) for n in range(last)] if within else None
    if name in ("sorted", "list", "tuple", "set") and len(call.args) == 1 and not call.keywords:
        return items(call.args[0], scope, callers, depth + 1)
    if name == "enumerate" and call.args:
        inner = items(call.args[0], scope, callers, depth + 1)
        return inner and [_pair(ast.Constant(n), each, call) for n, each in enumerate(inner)]
    if name in ("items", "values", "keys") and isinstance(call.func, ast.Attribute):
        found = expressions(call.func.value, scope, callers, depth + 1)
        if len(found) == 1 and isinstance(found[0].node, ast.Dict) and all(found[0].node.keys):
            node, where = found[0].node, found[0].scope
            pairs = list(zip(node.keys, node.values, strict=True))
            if name == "items":
                return [_pair(key, Found(value, where), call) for key, value in pairs if key]
            return [Found(value if name == "values" else key, where) for key, value in pairs if key]
    return None


def _pair(first: ast.expr, second: Found, place: ast.Call) -> Found:
    return Found(ast.copy_location(ast.Tuple([first, second.node], ast.Load()), place), second.scope)


def repeated(node: ast.AST, module: Module, callers: Callers, within: ast.AST | None = None) -> tuple[int | None, str]:
    """How often loops around a node run it, None for as often as only a run can tell, and what they go over.

    within: the node whose own loops are not counted again.
    """
    outside = set(map(id, module.around(within))) if within is not None else set()
    number: int | None = 1
    over = []
    for around in module.around(node):
        if id(around) in outside or isinstance(around, FUNCTIONS):
            break
        if isinstance(around, ast.While):
            number, over = None, [*over, "while"]
        for _, each in loops_of(around):
            turns = items(each, module.scope_of(around), callers)
            number = None if turns is None or number is None else number * len(turns)
            size = "n" if turns is None else len(turns)
            over.append(f"{' '.join(ast.unparse(each).split())[:40]} ({size})")
    return number, " x ".join(reversed(over))
