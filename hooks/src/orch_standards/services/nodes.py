"""JSON and YAML as nodes that know their lines, and blocks of Terraform."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from ..project import Loader, Project, is_test
from ..report import Report

BLOCK = re.compile(r'^(?P<kind>resource|data)\s+"(?P<type>\w+)"\s+"(?P<name>\w+)"\s*\{', re.MULTILINE)
# What may hold a brace and is none of the block.
SKIPPED = re.compile(r'"(?:\\.|[^"\\\n])*"|#[^\n]*|//[^\n]*|/\*.*?\*/', re.DOTALL)
ACTIONS = re.compile(r'\bactions?"?\s*[=:]\s*(?P<value>\[[^\]]*\]|"[^"]*")', re.IGNORECASE)
EVERY_ACTION = re.compile(r'"(?:\*|[a-z0-9-]+:\*)"')


@dataclass(frozen=True)
class Block:
    """A resource of Terraform. line: where it begins, from 1. text: all of it."""

    path: str
    kind: str
    type: str
    name: str
    line: int
    text: str

    @property
    def address(self) -> str:
        return f"{'data.' if self.kind == 'data' else ''}{self.type}.{self.name}"

    def report(self, rule: str) -> Report:
        return Report(rule, self.path, self.line, self.address)


def definitions(project: Project, word: bytes, *suffixes: str) -> Iterator[tuple[str, yaml.MappingNode]]:
    """Files with this word whose first document is a mapping, with that.

    Tests are left out, as they may hold definitions that are wrong on purpose.
    """
    for path in project.with_suffix(*suffixes):
        if not is_test(path) and word in project.bytes(path):
            node = project.yaml_node(path)
            if isinstance(node, yaml.MappingNode):
                yield path, node


def members(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """Values of a mapping by key; empty for anything else."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def items(node: yaml.Node | None) -> list[yaml.Node]:
    """What a sequence holds; empty for anything else."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def text(node: yaml.Node | None) -> str:
    """A scalar's text; empty for anything else."""
    return node.value if isinstance(node, yaml.ScalarNode) else ""


def plain(node: yaml.Node | None) -> Any:
    """What a node stands for, as Python's own values."""
    return None if node is None else Loader("").construct_document(node)


def keys(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """Every key in a node, however deep."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield key
            yield from keys(value)
    for each in items(node):
        yield from keys(each)


def line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def blocks(project: Project) -> Iterator[Block]:
    """Resources in the files of Terraform. Its own tests are left out."""
    for path in project.with_suffix(".tf"):
        if not is_test(path):
            content = project.text(path)
            bare = SKIPPED.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), content)
            for match in BLOCK.finditer(content):
                end = _end(bare, match.end())
                number = content.count("\n", 0, match.start()) + 1
                yield Block(path, match["kind"], match["type"], match["name"], number, content[match.start() : end])


def _end(bare: str, start: int) -> int:
    depth, at = 1, start
    while depth and at < len(bare):
        depth += {"{": 1, "}": -1}.get(bare[at], 0)
        at += 1
    return at


def grants_everything(block: Block) -> Iterator[int]:
    """Lines of a policy that allow every action, of a service or at all."""
    for match in ACTIONS.finditer(block.text):
        for each in EVERY_ACTION.finditer(match["value"]):
            yield block.line + block.text.count("\n", 0, match.start("value") + each.start())
