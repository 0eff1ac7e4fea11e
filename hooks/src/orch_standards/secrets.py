"""no-plaintext-secrets: values of secrets written into files. A finding never shows the value."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import yaml

from .names import Module
from .project import Project
from .report import Report

# Words of a name that say its value is secret, when they are its last ones.
SECRET_WORDS = re.compile(
    r"(?:^|_)(?:password|passwd|passphrase|pwd|secret|token|api_?key|access_?key|secret_?key|private_?key|auth_?key"
    r"|account_?key|client_?secret|credentials?)s?$"
)
NOT_SECRET = re.compile(
    r"(?:^|_)(?:next|page|continuation|csrf|pagination|sync|cancellation|public)_?(?:token|key)s?$"
    r"|(?:^|_)(?:existing|pull)_?secrets?$"
)
# Values that stand for a secret without being one.
REFERENCE = re.compile(
    r"^(?:secret|env|vault|ref|file|aws|gcp|azure|op|ssm|sm|doppler)[:+]|^arn:aws|^projects/|^\$|[{<]|\{\{|^%|^!|^/|^\*+$|^\.{3}$|^x+$",
    re.IGNORECASE,
)
PLACEHOLDER = re.compile(
    r"^(?:your|my|some|the|insert|replace|enter|todo|example|dummy|none|null|true|false|redacted)\b", re.IGNORECASE
)
URL = re.compile(r"[a-z][a-z0-9+.-]*://(?P<user>[^\s:/@'\"<>{}$]*):(?P<password>[^\s/@'\"]+)@[^\s'\"]+", re.IGNORECASE)
CAPITALS = re.compile(r"^[A-Z][A-Z_]*$")
TOKENS = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_[A-Za-z0-9_]{40,}\b|\bglpat-[\w-]{20,}\b"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}\b|\bsk_live_[A-Za-z0-9]{16,}\b|\bAIza[\w-]{35}\b|\bdapi[0-9a-f]{32}\b"
    r"|\bpypi-[\w-]{50,}\b|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}|hooks\.slack\.com/services/T\w+/B\w+/\w{16,}"
    r"|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"
)
# A text without any of these has no token; looking for them is much quicker than for the tokens.
TOKEN_STARTS = (
    *(
        "AKIA",
        "ASIA",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "xox",
        "sk_live_",
        "AIza",
        "dapi",
    ),
    *("pypi-", "eyJ", "hooks.slack.com/services/", "PRIVATE KEY-----"),
)
PLAIN = (
    ".toml",
    ".yml",
    ".yaml",
    ".env",
    ".ini",
    ".cfg",
    ".conf",
    ".properties",
    ".json",
    ".sh",
    ".tf",
    ".tfvars",
    ".md",
    ".sql",
)
LINE = re.compile(r"""^\s*(?:export\s+|-\s+)?["']?(?P<name>[A-Za-z][\w.-]*)["']?\s*[:=]\s*(?P<value>.+?)\s*,?\s*$""")
SHORTEST = 4


def check(project: Project) -> Iterator[Report]:
    for path in project.files:
        name = path.rpartition("/")[2]
        if name.endswith(".lock") or name in ("uv.lock", "package-lock.json"):
            continue
        if path.endswith(".py"):
            yield from _in_text(project, path)
            yield from _in_python(project, path)
        elif path.endswith(PLAIN) or name.startswith((".env", "Dockerfile", "Makefile")):
            yield from _in_text(project, path)
            if path.endswith((".yml", ".yaml")):
                yield from _in_yaml(project, path)
            elif not path.endswith((".md", ".sql")):
                yield from _in_lines(project, path)


def is_secret_name(name: str) -> bool:
    """Whether a name says that its value is secret: ``db_password``, ``apiKey``; not ``primary_key``, ``token_url``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_").replace(".", "_")
    return bool(SECRET_WORDS.search(words)) and not NOT_SECRET.search(words)


def is_secret_value(value: str) -> bool:
    """Whether a value is one that opens something, not a reference, a placeholder, a sentence or another name."""
    if len(value) < SHORTEST or any(letter.isspace() for letter in value):
        return False
    if REFERENCE.search(value) or PLACEHOLDER.search(value) or CAPITALS.match(value):
        return False
    # The name of a column, a variable or a key in a store: the words of the name, in lower case.
    return not (re.fullmatch(r"[a-z_.-]+", value) and is_secret_name(value))


def _in_text(project: Project, path: str) -> Iterator[Report]:
    text = project.text(path)
    if any(start in text for start in TOKEN_STARTS):
        for match in TOKENS.finditer(text):
            yield Report("known-token", path, text.count("\n", 0, match.start()) + 1)
    if "://" not in text or "@" not in text:
        return
    for match in URL.finditer(text):
        password = match["password"]
        shown = password == match["user"] or _shown(password)  # as in examples: postgres:postgres
        if not (shown or REFERENCE.search(password) or CAPITALS.match(password) or PLACEHOLDER.search(password)):
            yield Report("password-in-url", path, text.count("\n", 0, match.start()) + 1)


def _shown(password: str) -> bool:
    """Whether it is the word for a password, as examples have it."""
    return password.lower() in ("password", "pass", "pwd", "passwd", "pw", "secret", "token", "user")


def _in_lines(project: Project, path: str) -> Iterator[Report]:
    for number, line in enumerate(project.text(path).split("\n"), 1):
        match = LINE.match(line)
        if not match or line.lstrip().startswith(("#", ";", "//")) or not is_secret_name(match["name"]):
            continue
        value = match["value"]
        quoted = re.match(r"""^(["'])(.*?)\1""", value)
        plain = quoted[2] if quoted else re.split(r"\s+[#;]", value)[0].strip()
        if not quoted and path.endswith((".toml", ".json", ".tf", ".tfvars")):
            continue  # a number, a list or an expression
        if is_secret_value(plain):
            yield Report("plaintext-secret", path, number, match["name"])


def _in_yaml(project: Project, path: str) -> Iterator[Report]:
    text = project.text(path)
    if not re.search(r"(?i)passw|passphrase|pwd|secret|token|key|credential", text):
        return
    node = project.yaml_node(path)
    left = [node] if node else []
    seen: set[int] = set()
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, yaml.SequenceNode):
            left += each.value
            for item in each.value:  # as in Compose: - DB_PASSWORD=...
                name, equals, value = item.value.partition("=") if isinstance(item, yaml.ScalarNode) else ("", "", "")
                if equals and name.isidentifier() and is_secret_name(name) and is_secret_value(value):
                    yield Report("plaintext-secret", path, item.start_mark.line + 1, name)
        elif isinstance(each, yaml.MappingNode):
            named = {key.value: value for key, value in each.value if isinstance(key, yaml.ScalarNode)}
            for key, value in each.value:
                left.append(value)
                if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode):
                    yield from _yaml_pair(path, key.value, value)
            # As in Kubernetes and Compose: {name: DB_PASSWORD, value: ...}
            if isinstance(named.get("name"), yaml.ScalarNode) and isinstance(named.get("value"), yaml.ScalarNode):
                yield from _yaml_pair(path, named["name"].value, named["value"])


def _yaml_pair(path: str, name: str, value: yaml.ScalarNode) -> Iterator[Report]:
    if value.tag == "tag:yaml.org,2002:str" and is_secret_name(name) and is_secret_value(value.value):
        yield Report("plaintext-secret", path, value.start_mark.line + 1, name)


# A secret's name with a value behind it, as an assignment, an argument or an item.
HINT = re.compile(
    rb"(?i)(?:passw(?:or)?d|passphrase|pwd|secret|token|(?:api|access|secret|private|auth|account)_?key|credential)s?"
    rb"""[\"']?\]?\s*(?::[^=\n]*=|[:=,])\s*f?[\"']"""
)


def _in_python(project: Project, path: str) -> Iterator[Report]:
    if path.startswith("tests/") or "/tests/" in path or not HINT.search(project.bytes(path)):
        return  # tests make up passwords
    module = project.module(path)
    if module is None:
        return
    for name, value in _pairs(module):
        text = value.value if isinstance(value, ast.Constant) else None
        if isinstance(text, str) and is_secret_name(name) and is_secret_value(text):
            yield Report("plaintext-secret", path, value.lineno, name)


def _pairs(module: Module) -> Iterator[tuple[str, ast.expr]]:
    """Names and the values given to them: assignments, arguments, defaults, keys of dictionaries, fallbacks."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _target(target, node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield from _target(node.target, node.value)
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg, node.value
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, value
        elif isinstance(node, ast.arguments):
            positional = [*node.posonlyargs, *node.args]
            pairs = zip(reversed(positional), reversed(node.defaults), strict=False)
            for argument, default in [*pairs, *zip(node.kwonlyargs, node.kw_defaults, strict=True)]:
                if default is not None:
                    yield argument.arg, default
        elif isinstance(node, ast.Call) and len(node.args) == 2 and isinstance(node.args[0], ast.Constant):
            # os.environ.get("DB_PASSWORD", "...") and os.getenv
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("get", "getenv", "setdefault", "pop") and isinstance(node.args[0].value, str):
                yield node.args[0].value, node.args[1]


def _target(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Attribute):
        yield target.attr, value
    elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        yield str(target.slice.value), value
