"""decision/*.jinja outside of Copier, the same files in the same sandbox: for tests, benchmarks and pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import yaml
from compile_decision import compiled, facts
from jinja2 import ChoiceLoader, DictLoader, FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

ROOT = Path(__file__).parents[1]
ENVOPS = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8").split("\n---\n")[0])["_envops"]
QUESTIONS = yaml.safe_load((ROOT / "questions" / "decision.yml").read_text(encoding="utf-8"))
# What compiled.json and facts.json are made of.
SOURCES = ("answers", "costs", "dimensions", "integrations", "rules", "systems")


def data(name: str, root: Path = ROOT):
    """What decision/<name>.yml holds; of the systems, which have a file each, a list of them."""
    if name == "systems":
        return [_load(path) for path in sorted((root / "decision" / "systems").glob("*.yml"))]
    return _load(root / "decision" / f"{name}.yml")


def _load(path: Path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def manifests(root: Path = ROOT) -> dict[str, dict]:
    """The manifest of each system that a project can be rendered for, by its id."""
    folders = {system["id"]: root / "template" / f"[[{system['id']}]]" / "manifest.yml" for system in data("systems")}
    return {name: _load(path) for name, path in folders.items() if path.is_file()}


# What the rules may name, with the answers they may name of it.
CHOICES: dict[str, list] = {
    name: [False, True]
    if QUESTIONS[name]["type"] == "bool"
    else list(data("integrations")["systems"])
    if isinstance(QUESTIONS[name]["choices"], str)
    else list(QUESTIONS[name]["choices"].values())
    for name in QUESTIONS
    if name in data("answers")
}
LISTS = [name for name in CHOICES if QUESTIONS[name].get("multiselect")]


def contents(**changed) -> dict:
    """All that they are made of, with ``rules=[...]`` and so on in place of what those files hold."""
    return {name: data(name) for name in SOURCES} | changed


def written(files: dict) -> dict[str, str]:
    """The text of each file that is made of decision/*.yml, by its path."""
    return {
        "decision/compiled.json": as_template(compiled(files, manifests())),
        "decision/facts.json": as_template(facts(files)),
    }


def environment(**changed) -> SandboxedEnvironment:
    """Jinja as Copier sets it up; ``rules=[...]`` or ``systems=[...]`` replace what those files hold."""
    return environment_at(ROOT, written(contents(**changed)) if changed else {})


def environment_at(root: Path, replaced: Mapping[str, str]) -> SandboxedEnvironment:
    """The same for the template in another folder, such as an earlier release, with these files in place of its own."""
    return SandboxedEnvironment(
        loader=ChoiceLoader([DictLoader(replaced), FileSystemLoader(root)]),
        extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"],
        **ENVOPS | {"undefined": StrictUndefined},
    )


def as_template(content: dict) -> str:
    """As JSON, one condition or system a line; brackets stand apart, for Jinja takes two for its own."""
    parts = []
    for name, value in content.items():
        first, last = {list: "[]", dict: "{}"}.get(type(value), ("", ""))
        if isinstance(value, list):
            lines = [_compact(each) for each in value]
        elif isinstance(value, dict):
            lines = [f"{_compact(key)}:{_compact(each)}" for key, each in value.items()]
        else:
            lines = [_compact(value)]
        parts.append(f"{_compact(name)}:{first}\n" + ",\n".join(lines) + f"\n{last}")
    text = "{\n" + ",\n".join(parts) + "\n}\n"
    while "[[" in text or "]]" in text:
        text = text.replace("[[", "[ [").replace("]]", "] ]")
    return text


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), default=str)


def macros(file: str, **changed) -> Callable:
    """The macros of decision/<file>.jinja: ``call("explain", answers)`` gives what it says, parsed from its JSON."""
    module = environment(**changed).get_template(f"decision/{file}.jinja").module
    return lambda macro, *arguments: json.loads(getattr(module, macro)(*arguments))


def complete(answers: Mapping) -> dict:
    """These answers and the defaults of the others, as the questionnaire would record them. Raises ValueError."""
    for name, given in answers.items():
        for value in given if isinstance(given, list) else [given]:
            if value not in CHOICES.get(name, []):
                raise ValueError(f"{name}: {value!r} is not one of {CHOICES.get(name, [])}")
    whole: dict = {}
    for name in CHOICES:
        whole[name] = answers[name] if name in answers else _default(name, whole)
    return whole


def _default(name: str, earlier: dict):
    default = QUESTIONS[name]["default"]
    return yaml.safe_load(_expression(default).render(earlier)) if isinstance(default, str) else default


@cache
def _expression(text: str):
    return environment().from_string(text)


DEFAULTS: dict = complete({})
