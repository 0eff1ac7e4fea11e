"""no-plaintext-secrets: values of secrets written into files. A finding never shows the value."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Collection, Iterator
from functools import cache
from importlib import resources

import yaml

from .names import Module
from .project import Project, is_test
from .report import Report
from .tokens import tokens_in

# Words of a name that say its value is secret, when they are its last ones.
SECRET_WORDS = re.compile(
    r"(?:^|_)(?:password|passwd|passphrase|pwd|secret|token|api_?key|access_?key|secret_?key|private_?key|auth_?key"
    r"|account_?key|fernet_?key|encryption_?key|signing_?key|client_?secret|credentials?)s?$"
)
NOT_SECRET = re.compile(
    r"(?:^|_)(?:next|page|continuation|csrf|pagination|sync|cancellation|public|id)_?(?:token|key)s?$"
    r"|(?:^|_)(?:existing|pull)_?secrets?$"
)
# A password may be any word that somebody thought of; tokens and keys are made by machines, and look like it.
PASSWORD = re.compile(r"(?:password|passwd|passphrase|pwd)s?$")
# Values that stand for a secret without being one.
REFERENCE = re.compile(
    r"^(?:secret|env|vault|ref|file|aws|gcp|azure|op|ssm|sm|doppler)[:+]|^arn:aws|^projects/|^\$|^\[|[{<]|\$\(|%\(|^%"
    r"|^!|^/|^~"
    r"|^\*+$|^\.{3}$|://|^[\w./~-]+\.(?:json|pem|p8|p12|key|crt|txt|ya?ml|env|py)$",
    re.IGNORECASE,
)
CODE = re.compile(r"^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$")
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
NAME_PART = re.compile(r"[a-z]+|[A-Z]+|[A-Z]?[a-z]+(?:[A-Z][a-z]+)*|v?\d{1,4}")
AUTHORIZATION = re.compile(
    r"""authorization["']?\]?\s*[:=,]\s*f?["']?(?:Bearer|Basic|Token|ApiKey)\s+"""
    r"""(?P<value>[A-Za-z0-9._~+/=-]{8,})(?![A-Za-z0-9{$])""",
    re.IGNORECASE,
)
URL = re.compile(
    r"[a-z][a-z0-9+.-]*://(?P<user>[^\s:/@'\"<>{}$]*):(?P<password>[^\s/@'\"]+)@(?P<host>[^\s'\"/:?]+)[^\s'\"]*",
    re.IGNORECASE,
)
CONNECTION = re.compile(
    r"(?<=;)\s*(?:Password|PWD|SharedAccessKey)\s*=\s*(?P<password>[^;\s\"'{}<>$%]{4,})", re.IGNORECASE
)
EXAMPLE_HOST = re.compile(r"(?:^|\.)example(?:\.\w+)?$|^(?:host|hostname|server|your-\S*|db-host)$", re.IGNORECASE)
CAPITALS = re.compile(r"^[A-Z][A-Z_]*$")
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
LINE = re.compile(
    r"""^\s*(?:export\s+|-\s+)?["']?(?P<name>[A-Za-z][\w.-]*)["']?\s*(?P<sign>[:?+]?=|:)\s*(?P<value>.+?)\s*,?\s*$"""
)
SHORTEST, SHORTEST_TOKEN = 4, 8  # letters


@cache
def _words(kind: str) -> frozenset[str]:
    """Words of data/secrets.toml: placeholders, samples or names."""
    text = resources.files("orch_standards").joinpath("data/secrets.toml").read_text(encoding="utf-8")
    return frozenset(tomllib.loads(text)[kind])


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
            if path.endswith((".yml", ".yaml")) and project.yaml_nodes(path):
                yield from _in_yaml(project, path)
            elif not path.endswith((".md", ".sql")):
                yield from _in_lines(project, path)


def is_secret_name(name: str) -> bool:
    """Whether a name says that its value is secret: ``db_password``, ``apiKey``; not ``primary_key``, ``token_url``."""
    words = _as_words(name)
    return bool(SECRET_WORDS.search(words)) and not NOT_SECRET.search(words)


def _as_words(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_").replace(".", "_")


def is_secret_value(name: str, value: str, beside: Collection[str] = ()) -> bool:
    """Whether a value opens something, and is no reference, placeholder, sentence, or name of something else.

    beside: other values that stand with it; a password that is also the user's name is a sample.
    """
    if len(value) < SHORTEST or any(letter.isspace() for letter in value):
        return False
    if REFERENCE.search(value) or _is_code(value) or CAPITALS.match(value) or _is_stand_in(value):
        return False
    if value in beside or value.rstrip("0123456789") in beside:
        return False
    if PASSWORD.search(_as_words(name)):
        # crm_password, lake_password_v2: how the password is called where it is kept
        return not (_is_name(value) and _words("names").intersection(word.lower() for word in WORD.findall(value)))
    return _is_random(value)


def _is_code(value: str) -> bool:
    """Whether it is an expression, such as settings.password or os.environ[...]."""
    return bool(CODE.match(value) and _is_name(value)) or "(" in value or "[" in value


def _is_stand_in(value: str) -> bool:
    """Whether it is a placeholder, or what everybody has on a machine of their own."""
    words = {word.lower() for word in WORD.findall(value)}
    plain = value.lower().strip("!.")
    return (
        plain.rstrip("0123456789") in _words("samples")
        or len(set(plain)) <= 2
        or (bool(words & _words("placeholders")) and not _is_long(value))
    )


def _is_long(value: str) -> bool:
    """Whether a value is too long and too mixed for the words in it to mean anything."""
    return len(value) >= 20 and not _is_name(value) and len(re.findall(r"\d", value)) >= 4


def _is_name(value: str) -> bool:
    """Whether a value is made of words, such as a key in a store or a mode: ``google_default``, ``db-creds-v2``."""
    parts = [part for part in re.split(r"[-_./:]+", value) if part]
    numbered = [part for part in parts if not NAME_PART.fullmatch(part)]
    return not numbered or (len(numbered) == 1 and bool(re.fullmatch(r"[a-z]{3,}\d{1,3}", numbered[0])))


def _is_random(value: str) -> bool:
    """Whether a machine made it: letters and digits without words."""
    if len(value) < SHORTEST_TOKEN:
        return False
    mixed = any(each.isdigit() for each in value) and any(each.isalpha() for each in value)
    turns = len(re.findall(r"[a-z][A-Z]", value))
    return not _is_name(value) if mixed else len(value) >= 20 and turns >= 4


def _in_text(project: Project, path: str) -> Iterator[Report]:
    text = project.text(path)
    for start in tokens_in(text):
        yield _at("known-token", path, text, start)
    if is_test(path):
        return
    if "://" in text and "@" in text:
        for match in URL.finditer(text):
            if _is_password(match, text):
                yield _at("password-in-url", path, text, match.start())
    if ";" in text and "=" in text:
        for match in CONNECTION.finditer(text):
            if is_secret_value("password", match["password"]):
                yield _at("password-in-url", path, text, match.start("password"))
    for match in AUTHORIZATION.finditer(text) if "uthorization" in text else ():
        if _is_random(match["value"]) and not _is_stand_in(match["value"]):
            yield _at("plaintext-secret", path, text, match.start(), "Authorization")


def _at(rule: str, path: str, text: str, start: int, what: str = "") -> Report:
    return Report(rule, path, text.count("\n", 0, start) + 1, what, start - text.rfind("\n", 0, start))


def _is_password(match: re.Match[str], text: str) -> bool:
    """Whether the password in an address is one: not the word for it, a sample, or that of a machine of one's own."""
    user, password, host = match["user"], match["password"], match["host"]
    if password == user or password.lower() in _words("names") or EXAMPLE_HOST.search(host):
        return False
    if REFERENCE.search(password) or CAPITALS.match(password) or _is_stand_in(password):
        return False
    line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
    if _is_name(password) and _words("names").intersection(word.lower() for word in WORD.findall(password)):
        return False
    nearby = "." not in host or host.startswith("127.") or line.lstrip().startswith(("#", ";", "//"))
    return not (nearby and re.fullmatch(r"[a-z]+", password))


def _in_lines(project: Project, path: str) -> Iterator[Report]:
    lines = project.text(path).split("\n")
    for number, line in enumerate(lines, 1):
        match = LINE.match(line)
        if not match or line.lstrip().startswith(("#", ";", "//")) or not is_secret_name(match["name"]):
            continue
        if match["sign"] == ":" and "Makefile" in path:
            continue  # a target
        value = match["value"]
        quoted = re.match(r"""^(["'])(.*?)\1""", value)
        plain = quoted[2] if quoted else re.split(r"\s+[#;]", value)[0].strip()
        if not quoted and path.endswith((".toml", ".json", ".tf", ".tfvars")):
            continue  # a number, a list or an expression
        beside = [
            part.strip("\"', ")
            for each in lines[max(0, number - 6) : number + 5]
            for part in re.split(r"[=:]", each, maxsplit=1)[1:]
        ]
        if plain in beside:
            beside.remove(plain)  # its own line
        if is_secret_value(match["name"], plain, beside):
            yield Report("plaintext-secret", path, number, match["name"])


def _in_yaml(project: Project, path: str) -> Iterator[Report]:
    text = project.text(path)
    if not re.search(r"(?i)passw|passphrase|pwd|secret|token|key|credential", text):
        return
    left: list[yaml.Node] = list(project.yaml_nodes(path))
    seen: set[int] = set()
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, yaml.SequenceNode):
            left += each.value
            given = [item.value.partition("=") for item in each.value if isinstance(item, yaml.ScalarNode)]
            for item in each.value:  # as in Compose: - DB_PASSWORD=...
                name, equals, value = item.value.partition("=") if isinstance(item, yaml.ScalarNode) else ("", "", "")
                beside = [other for key, _, other in given if key != name]
                if equals and name.isidentifier() and is_secret_name(name) and is_secret_value(name, value, beside):
                    yield _yaml_report(path, name, item)
        elif isinstance(each, yaml.MappingNode):
            named = {key.value: value for key, value in each.value if isinstance(key, yaml.ScalarNode)}
            for key, value in each.value:
                left.append(value)
                if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode):
                    beside = [
                        other.value
                        for name, other in named.items()
                        if name != key.value and isinstance(other.value, str)
                    ]
                    yield from _yaml_pair(path, key.value, value, beside)
            # As in Kubernetes and Compose: {name: DB_PASSWORD, value: ...}
            if isinstance(named.get("name"), yaml.ScalarNode) and isinstance(named.get("value"), yaml.ScalarNode):
                yield from _yaml_pair(path, named["name"].value, named["value"])


def _yaml_pair(path: str, name: str, value: yaml.ScalarNode, beside: Collection[str] = ()) -> Iterator[Report]:
    is_text = value.tag == "tag:yaml.org,2002:str"
    if is_text and is_secret_name(name) and is_secret_value(name, value.value, beside):
        yield _yaml_report(path, name, value)


def _yaml_report(path: str, name: str, node: yaml.Node) -> Report:
    return Report("plaintext-secret", path, node.start_mark.line + 1, name, node.start_mark.column + 1)


# A secret's name with a value behind it, as an assignment, an argument or an item.
HINT = re.compile(
    rb"(?i)(?:passw(?:or)?d|passphrase|pwd|secret|token|(?:api|access|secret|private|auth|account|fernet|encryption|signing)[_-]?key|credential)s?"
    rb"""[\"']?\]?\s*(?::[^=\n]*=|[:=,])\s*f?[\"']"""
)


def _in_python(project: Project, path: str) -> Iterator[Report]:
    if is_test(path) or not HINT.search(project.bytes(path)):
        return
    module = project.module(path)
    if module is None:
        return
    for name, value in _pairs(module):
        text = value.value if isinstance(value, ast.Constant) else None
        if isinstance(text, str) and is_secret_name(name) and is_secret_value(name, text, _beside(value, module)):
            yield Report.at("plaintext-secret", path, value, name)


def _beside(value: ast.expr, module: Module) -> list[str]:
    """Other texts in the same call or dictionary: ``user="etl", password="etl"``."""
    around = next((each for each in module.around(value) if isinstance(each, ast.Call | ast.Dict)), None)
    if isinstance(around, ast.Call):
        others = [each.value for each in around.keywords]
    else:
        others = around.values if isinstance(around, ast.Dict) else []
    return [
        each.value
        for each in others
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and each is not value
    ]


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
