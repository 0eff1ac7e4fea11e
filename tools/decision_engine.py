"""decision/*.jinja outside of Copier, the same files in the same sandbox: for tests, benchmarks and pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml
from jinja2 import ChoiceLoader, DictLoader, FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

ROOT = Path(__file__).parents[1]
ENVOPS = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8").split("\n---\n")[0])["_envops"]
QUESTIONS = yaml.safe_load((ROOT / "questions" / "decision.yml").read_text(encoding="utf-8"))
# What the rules may name, with the answers they may name of it.
CHOICES: dict[str, list] = {
    name: [False, True] if question["type"] == "bool" else list(question["choices"].values())
    for name, question in QUESTIONS.items()
    if question["type"] == "bool" or isinstance(question.get("choices"), dict)
}
DEFAULTS: dict = {name: QUESTIONS[name]["default"] for name in CHOICES} | {"hosting": "no_preference"}


def data(name: str):
    """What decision/<name>.yml holds."""
    return yaml.safe_load((ROOT / "decision" / f"{name}.yml").read_text(encoding="utf-8"))


def environment(**changed) -> SandboxedEnvironment:
    """Jinja as Copier sets it up; ``rules=[...]`` or ``systems={...}`` replace what those files hold."""
    return SandboxedEnvironment(
        loader=ChoiceLoader(
            [
                DictLoader({f"decision/{name}.yml": json.dumps(content) for name, content in changed.items()}),
                FileSystemLoader(ROOT),
            ]
        ),
        extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"],
        **ENVOPS | {"undefined": StrictUndefined},
    )


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
    hosting = {"hosting": "self_host"} if answers.get("vpc") == "isolated" else {}
    return DEFAULTS | hosting | dict(answers)
