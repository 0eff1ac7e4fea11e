"""What the decision page shows for the answers in its form, worked out by the questions and rules that a copy uses.

It runs in the browser (docs/decide/engine.mjs) as well as here: it needs Jinja, PyYAML, decision/, questions/ and
copier.yml, and no Copier. It goes through the questions as Copier does; a test compares the result with
`make recommend`.
"""

from __future__ import annotations

import json
import shlex
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import yaml
from decision_engine import CHOICES, QUESTIONS, ROOT, environment

SOURCE = "gh:org/orch-starter"
RECORD = "template/[[shared]]/docs/adr/0001-orchestrator.md.jinja"
SAMPLES = "template/[[shared]]/[[mixed]]/sample.json"
JINJA = environment()


def decide(given: dict) -> dict:
    """{answers, decision, asked, problems, used, command, context} for the given answers, the others by default.

    given: answer by question. used: those of them whose question is asked with the others. asked: the names of all
    questions that are asked. problems: {question: sentence} of the answers that Copier would refuse. command: the call
    of Copier with the used answers. context: what templates read.
    """
    context: dict = {"_external_data": {}}
    used, answers, asked, problems = {}, {}, [], {}
    for name, question in QUESTIONS.items():
        context |= {"_copier_answers": answers, "_copier_conf": _settings(used)}
        shown = _truth(question.get("when", True), context) and _truth(question.get("ask", True), context)
        if shown:
            asked.append(name)
        if shown and name in given:
            used[name] = given[name]
            context["_copier_conf"] = _settings(used)
            value = _parsed(name, given[name])
        else:
            value = _parsed(name, _default(question, context))
        context[name] = answers[name] = value
        problem = _render(question.get("validator", ""), context).strip() if shown else ""
        if problem:
            problems[name] = problem
    decision = answers["decision"]
    return {
        "answers": {name: answers[name] for name in CHOICES},
        "decision": decision,
        "asked": asked,
        "problems": problems,
        "used": used,
        "command": command(used),
        "context": context,
    }


def review(outcome: dict) -> dict:
    """Costs, effort of a move and single answers that would change it, as `make recommend` prints them.

    Empty where Copier would refuse the answers, as there is nothing to compare then.
    """
    if outcome["problems"] or not outcome["decision"]["default"]:
        return {}
    context = outcome["context"]
    module = JINJA.get_template("decision/review.jinja").module
    salary, prices = context["annual_salary"], context["vendor_prices"]
    return json.loads(module.review(outcome["answers"], outcome["decision"], "", "", salary, 0, prices))


def record(outcome: dict) -> str:
    """The record that the project gets as docs/adr/0001-orchestrator.md, with the default names of project and team."""
    context = dict(outcome["context"])
    chosen = ("accept_exclusion", "orchestrator", "hosting_variant", "member_orchestrators")
    for name, question in (_load("project") | {name: _load("orchestrator")[name] for name in chosen}).items():
        context[name] = _parsed(name, _default(question, context), question)
    # Several samples, each on its own orchestrator, where the recommendation has all of these, as `sample_shape` says.
    sample = json.loads((ROOT / SAMPLES).read_text(encoding="utf-8")) if context["pipeline_shape"] == "mixed" else {}
    if not {run["engine"] for run in sample.get("runs", {}).values()} <= set(context["member_orchestrators"]):
        sample = {}
    return JINJA.get_template(RECORD).render(context | {"also_orchestrators": [], "pipeline": sample})


def command(given: dict) -> str:
    """The call of Copier that makes a project with these answers."""
    data = [f"--data {shlex.quote(f'{name}={_written(value)}')}" for name, value in given.items()]
    return " ".join(["copier copy", *data, SOURCE, "myproj"])


def _written(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _settings(given: dict) -> SimpleNamespace:
    return SimpleNamespace(data=given, defaults=True, dst_path=Path("myproj"), answers_file=".copier-answers.yml")


@cache
def _load(topic: str) -> dict:
    return yaml.safe_load((ROOT / "questions" / f"{topic}.yml").read_text(encoding="utf-8"))


@cache
def _template(text: str):
    return JINJA.from_string(text)


def _render(text: str, context: dict) -> str:
    return _template(text).render(context)


def _truth(value: str | bool, context: dict) -> bool:
    return value if isinstance(value, bool) else _render(value, context).strip() in ("True", "true", "yes", "1")


def _default(question: dict, context: dict):
    default = question.get("default")
    return _render(default, context) if isinstance(default, str) else default


def _parsed(name: str, value: object, question: dict | None = None):
    """The value in the type of its question; of a list, in the order of the choices, as Copier records it."""
    question = question or QUESTIONS[name]
    kind = question.get("type", "str")
    if kind == "json":
        return json.loads(value)
    if isinstance(value, str) and (question.get("multiselect") or kind in ("bool", "int", "yaml")):
        value = yaml.safe_load(value)
    if question.get("multiselect"):
        return [choice for choice in CHOICES.get(name, value) if choice in value]
    return value
