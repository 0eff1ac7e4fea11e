"""config-complete: every environment has every key, and no file has an unknown one.

The keys there are come from the settings classes (pydantic-settings) of the project; without such classes, from
config/base.toml and what the other environments agree on.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .names import Definition, External, Module, Scope, meaning
from .options import keywords, mapping
from .project import Project
from .report import Report

FOLDER, BASE = "config", "base"
TABLE = re.compile(r"^\s*\[+\s*([^\]]+?)\s*\]+\s*(?:#.*)?$")
KEY = re.compile(r"""^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


@dataclass
class Schema:
    """Keys of a section. needed: without a default. open: other keys are allowed. each: what any other key holds."""

    keys: dict[str, Schema | None] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)
    open: bool = False
    each: Schema | None = None


def check(project: Project) -> Iterator[Report]:
    files = {
        path.rpartition("/")[2].removesuffix(".toml"): path
        for path in project.with_suffix(".toml")
        if path.count("/") == 1 and path.startswith(f"{FOLDER}/")
    }
    if BASE not in files:
        return
    base = project.toml(files[BASE])
    own = {name: project.toml(path) for name, path in files.items() if name != BASE}
    wanted = ["dev", *(project.answers.get("environments") or [])] if project.answers else []
    for name in wanted:
        if name not in own:
            yield Report("environment-without-file", files[BASE], 1, name)
    found = _settings_class(project)
    if found:
        schema, prefix = found
        for path, content in [(files[BASE], base), *((files[name], own[name]) for name in own)]:
            lines = lines_of_keys(project.text(path))
            for key in _unknown(content, schema):
                yield Report("unknown-key", path, lines.get(key, 1), key)
        for name, content in own.items():
            lines = lines_of_keys(project.text(files[name]))
            for key in _missing(_merged(base, content), schema):
                yield Report("missing-key", files[name], _nearest(key, lines), key)
        yield from _variables(project, schema, prefix)
    else:
        yield from _compared(project, files, base, own)


def _compared(
    project: Project, files: dict[str, str], base: dict[str, Any], own: dict[str, dict[str, Any]]
) -> Iterator[Report]:
    """Without a schema: what two environments set and base does not, all must; what one alone sets is unknown."""
    if len(own) < 2:
        return
    common = set(_leaves(base))
    keys = {name: set(_leaves(content)) for name, content in own.items()}
    for name, path in files.items():
        if name == BASE:
            continue
        lines = lines_of_keys(project.text(path))
        others = [keys[other] for other in keys if other != name]
        for key in sorted(keys[name] - common):
            if not any(key in other for other in others):
                yield Report("unknown-key", path, lines.get(key, 1), key)
        expected = {key for other in others for key in other if sum(key in each for each in keys.values()) > 1}
        for key in sorted(expected - common - keys[name]):
            yield Report("missing-key", path, 1, key)


def _leaves(content: dict[str, Any], before: str = "") -> Iterator[str]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}"


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {key: value for key, value in base.items() if isinstance(value, dict) and isinstance(over.get(key), dict)}
    return {**base, **over, **{key: _merged(value, over[key]) for key, value in both.items()}}


def _unknown(content: dict[str, Any], schema: Schema, before: str = "") -> Iterator[str]:
    for key, value in content.items():
        if key not in schema.keys and schema.each is None:
            if not schema.open:
                yield f"{before}{key}"
            continue
        inner = schema.keys.get(key, schema.each)
        if inner and isinstance(value, dict):
            yield from _unknown(value, inner, f"{before}{key}.")


def _nearest(key: str, lines: dict[str, int]) -> int:
    """Line of the table that a missing key would stand in, the file's first when there is none."""
    while key:
        key = key.rpartition(".")[0]
        if key in lines:
            return lines[key]
    return 1


def _missing(content: dict[str, Any], schema: Schema, before: str = "") -> Iterator[str]:
    if schema.each:
        for key in content.keys() - schema.keys.keys():
            if isinstance(content[key], dict):
                yield from _missing(content[key], schema.each, f"{before}{key}.")
    for key, inner in schema.keys.items():
        if key in content:
            if inner and isinstance(content[key], dict):
                yield from _missing(content[key], inner, f"{before}{key}.")
        elif key in schema.needed:
            needed = list(_missing({}, inner, f"{before}{key}.")) if inner else []
            yield from needed or [f"{before}{key}"]


def _variables(project: Project, schema: Schema, prefix: str) -> Iterator[Report]:
    """Variables in files of variables that override no key there is."""
    if not prefix:
        return
    line_of = re.compile(rf"^\s*(?:export\s+)?({re.escape(prefix)}[A-Z0-9_]+)\s*=", re.MULTILINE)
    extra = {"ENV", "ROOT"}
    for path in project.matching("*.env", ".env*", "*/.env*"):
        text = project.text(path)
        for match in line_of.finditer(text):
            name = match[1].removeprefix(prefix)
            parts = [part.lower() for part in name.split("__")]
            if name in extra or name.startswith("SECRET_") or _is_known(parts, schema):
                continue
            yield Report("unknown-key", path, text.count("\n", 0, match.start(1)) + 1, match[1])


def _is_known(parts: list[str], schema: Schema | None) -> bool:
    if not parts or schema is None:
        return True
    if parts[0] in schema.keys:
        return _is_known(parts[1:], schema.keys[parts[0]])
    return schema.open or (schema.each is not None and _is_known(parts[1:], schema.each))


# Settings classes


def _settings_class(project: Project) -> tuple[Schema, str] | None:
    """Keys of the class that reads the settings, and the prefix of its variables."""
    for module in project.python("BaseSettings"):
        for each in module.definitions:
            if isinstance(each, ast.ClassDef) and _is_settings(each, module) and "/tests/" not in f"/{module.path}":
                schema = _schema(Definition(module, each), set())
                config = _model_config(each, module)
                prefix = config.get("env_prefix")
                for call in module.calls:
                    target = meaning(call.func, module.scope_of(call))
                    if isinstance(target, Definition) and target.node is each:
                        # What the code gives by itself is no key of the files.
                        for name in keywords(call, module.scope_of(call)).values:
                            schema.needed.discard(name)
                return schema, prefix if isinstance(prefix, str) else ""
    return None


def _is_settings(node: ast.ClassDef, module: Module) -> bool:
    bases = [meaning(base, module.scope) for base in node.bases]
    return any(isinstance(base, External) and base.last == "BaseSettings" for base in bases)


def _model_config(node: ast.ClassDef, module: Module) -> dict[str, Any]:
    scope = module.scopes[node]
    for value in scope.bound.get("model_config", []):
        if isinstance(value, ast.Call):
            options = keywords(value, scope)
            return {name: options.given(name) for name in options.values}
        if isinstance(value, ast.Dict):
            options = mapping(value, scope)
            return {name: options.given(name) for name in options.values}
    return {}


def _schema(found: Definition, seen: set[ast.AST]) -> Schema:
    schema = Schema()
    if found.node in seen:
        return Schema(open=True)
    seen = seen | {found.node}
    scope = found.module.scopes[found.node]
    outer = scope.outer or found.module.scope
    for base in found.node.bases:
        up = meaning(base, outer)
        if isinstance(up, Definition) and isinstance(up.node, ast.ClassDef):
            inherited = _schema(up, seen)
            schema.keys |= inherited.keys
            schema.needed |= inherited.needed
            schema.open = schema.open or inherited.open
        elif not isinstance(up, External):
            schema.open = True
    extra = _model_config(found.node, found.module).get("extra")
    schema.open = extra == "allow" if isinstance(extra, str) else schema.open  # what is ignored silently is unknown too
    for part in found.node.body:
        if not isinstance(part, ast.AnnAssign) or not isinstance(part.target, ast.Name):
            continue
        name = part.target.id
        if name == "model_config" or name.startswith("_") or _is_class_variable(part.annotation):
            continue
        schema.keys[name] = _section(part.annotation, scope, seen)
        schema.needed.discard(name)
        if part.value is None or _is_needed_field(part.value, scope):
            schema.needed.add(name)
    return schema


def _is_class_variable(annotation: ast.expr) -> bool:
    return "ClassVar" in ast.unparse(annotation)


def _is_needed_field(value: ast.expr, scope: Scope) -> bool:
    """Whether a field has ``Field(...)`` for a value that gives no default."""
    if not isinstance(value, ast.Call):
        return False
    called = meaning(value.func, scope)
    if not (isinstance(called, External) and called.last == "Field"):
        return False
    if value.args:
        return isinstance(value.args[0], ast.Constant) and value.args[0].value is Ellipsis
    return not keywords(value, scope).has("default", "default_factory")


def _section(annotation: ast.expr, scope: Scope, seen: set[ast.AST]) -> Schema | None:
    """The keys of what an annotation names, None where it is no section."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return None
    if isinstance(annotation, ast.BinOp):
        return _section(annotation.left, scope, seen) or _section(annotation.right, scope, seen)
    if isinstance(annotation, ast.Subscript):
        name = (
            annotation.value.attr
            if isinstance(annotation.value, ast.Attribute)
            else getattr(annotation.value, "id", "")
        )
        inside = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        if name in ("dict", "Dict", "Mapping", "MutableMapping"):
            return Schema(open=True, each=_section(inside[-1], scope, seen))
        if name in ("Optional", "Annotated"):
            return _section(inside[0], scope, seen)
        return None
    found = meaning(annotation, scope) if isinstance(annotation, ast.Name | ast.Attribute) else None
    if isinstance(found, Definition) and isinstance(found.node, ast.ClassDef):
        return _schema(found, seen)
    value = getattr(found, "node", None)
    if isinstance(value, ast.Subscript | ast.BinOp):  # an alias of a type
        return _section(value, found.scope, seen)
    return None


def lines_of_keys(text: str) -> dict[str, int]:
    """Line of each key and table of a TOML text, by its dotted name."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.split("\n"), 1):
        head = TABLE.match(line)
        if head:
            table = _plain(head[1])
            found.setdefault(table, number)
            parts = table.split(".")
            for end in range(1, len(parts)):
                found.setdefault(".".join(parts[:end]), number)
            continue
        key = KEY.match(line)
        if key:
            name = _plain(key[1])
            found.setdefault(f"{table}.{name}" if table else name, number)
    return found


def _plain(dotted: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in dotted.split("."))
