"""What the rules recommend, without a project: asks what the questionnaire asks, or takes a file of answers.

The questions are asked and checked by Copier, from the same files, and its answer is what a copy would record.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
from pathlib import Path

import copier
import yaml
from copier.errors import CopierAnswersInterrupt, CopierError, InteractiveSessionError
from decision_engine import CHOICES, ENVOPS, QUESTIONS, ROOT, contents, data, written
from jinja2.exceptions import FilterArgumentError
from rich.console import Console
from rich.table import Table

RECORD = """\
[%- from 'decision/review.jinja' import review -%]
[%- set answers = dict(answers_before_needs, needs=needs, matters_most=matters_most) -%]
[[ {'answers': answers, 'decision': decision,
    'review': review(answers, decision, orchestrator, hosting_variant, annual_salary, 0, vendor_prices)
        | from_json} | to_json ]]
"""


# What a project's answers file says it is built on.
CHOSEN = ("orchestrator", "hosting_variant")
# Verdicts of a trial that say nothing about who is better.
UNSAID = {"not measured", "no end", "too few measurements to tell"}


def recommend(given: dict | None, scores: dict[str, dict[str, float]] | None = None) -> dict:
    """{answers, decision, review} for these answers, the others by default; None asks at the terminal.

    scores: by system and dimension, in place of those of the guide. Raises ValueError with one sentence for an answer
    that is none.
    """
    with tempfile.TemporaryDirectory() as folder:
        template, target = Path(folder, "template"), Path(folder, "target")
        for name in ("decision", "questions"):
            shutil.copytree(ROOT / name, template / name)
        if scores:
            systems = [
                {**each, "scores": {**each.get("scores", {}), **scores.get(each["id"], {})}}
                if each["id"] in scores
                else each
                for each in data("systems")
            ]
            for name, text in written(contents(systems=systems)).items():
                (template / name).write_text(text, encoding="utf-8")
        documents = [
            yaml.safe_dump({"_envops": ENVOPS, "_subdirectory": "record"}),
            "!include questions/decision.yml",
            yaml.safe_dump({name: {"type": "str", "when": False, "default": ""} for name in CHOSEN}),
        ]
        (template / "copier.yml").write_text("\n---\n".join(documents), encoding="utf-8")
        (template / "record").mkdir()
        (template / "record" / "record.json.jinja").write_text(RECORD, encoding="utf-8")
        answers = {name: value for name, value in (given or {}).items() if name in {*QUESTIONS, *CHOSEN}}
        try:
            copier.run_copy(str(template), target, data=answers, defaults=given is not None, quiet=True)
        except InteractiveSessionError as error:
            raise ValueError("there is no terminal to ask at; write make recommend ANSWERS=answers.yml") from error
        except CopierAnswersInterrupt:
            sys.exit(130)
        except (CopierError, FilterArgumentError) as error:
            raise ValueError(str(error)) from error
        return json.loads((target / "record.json").read_text(encoding="utf-8"))


def answers_in(file: Path) -> dict:
    """The answers in a YAML or JSON file, such as a project's .copier-answers.yml. Raises ValueError."""
    try:
        answers = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(answers, dict):
        raise ValueError(f"{file} holds no answers; write one a line, such as pipeline_shape: batch_etl")
    files = (ROOT / "questions").glob("*.yml")
    asked = {name for path in files for name in yaml.safe_load(path.read_text(encoding="utf-8"))}
    for name in answers:
        if name not in asked and not str(name).startswith("_"):
            raise ValueError(f"{file}: {name} is no question; there are {', '.join(CHOICES)}")
    return answers


def measured_scores(file: Path) -> dict[str, dict[str, float]]:
    """Scores by system and dimension from the trial.json that `make trial` of a project wrote. Raises ValueError.

    Of the systems in the trial, the best of a measurement keeps the best score that the guide gives one of them. Each
    doubling of what is measured costs another system a point; where no difference was seen, it costs nothing. The score
    of a dimension is the mean over its measurements, at least 1. Only what was measured of every system counts.
    """
    try:
        trial = json.loads(file.read_text(encoding="utf-8"))
        rows, names = trial["metrics"], list(trial["orchestrators"])
        guide = {each["id"]: each["scores"] for each in data("systems") if each["id"] in names}
        if missing := [name for name in names if name not in guide]:
            raise ValueError(f"{file}: there is no system {missing[0]}")
        scores: dict[str, dict[str, float]] = {name: {} for name in names}
        for dimension in dict.fromkeys(row["speaks_to"] for row in rows if row["speaks_to"]):
            measured = [row for row in rows if row["speaks_to"] == dimension and row["best"]]
            verdicts = {row["id"]: {row["results"][name]["verdict"] for name in names} for row in measured}
            measured = [row for row in measured if not verdicts[row["id"]] & UNSAID]
            measured = [row for row in measured if row["results"][row["best"]]["median"]]  # a ratio to 0 says nothing
            for name in names if measured else []:
                lost = sum(_points_lost(row["results"][name], row["results"][row["best"]]) for row in measured) / len(
                    measured
                )
                best = max(each[dimension] for each in guide.values())
                scores[name][dimension] = round(max(1.0, best - lost), 1)
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from error
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is not the trial.json of a trial: make trial writes it to var/trial/") from error
    if not any(scores.values()):
        raise ValueError(f"{file} holds nothing that speaks to a dimension: measure more, with make trial")
    return scores


def _points_lost(figures: dict, best: dict) -> float:
    if figures["verdict"] in ("best", "no difference seen"):
        return 0.0
    if figures["median"] is None:  # it did not end by itself
        return 4.0
    return min(4.0, max(0.0, math.log2(figures["median"] / best["median"])))


def show(record: dict, screen: Console) -> None:
    """The ranking, its reasons, costs and sensitivities, as tables."""
    decision, review = record["decision"], record["review"]
    everything = {entry["id"]: entry for entry in decision["ranking"] + decision["excluded"]}
    if decision["recommended"]:
        best = everything[decision["recommended"]]
        hosted = f" ({best['variant']['name']})" if best["variant"] else ""
        screen.print(
            f"Recommended: {best['name']}{hosted}{'' if best['template'] else ', which has no template here yet'}"
        )
        screen.print(f"Decided by: {decision['step']}")
        if decision["fresh_start"] != decision["recommended"]:
            screen.print(f"For a fresh start it would be {everything[decision['fresh_start']]['name']}.")
    else:
        screen.print(decision["conflict"])
    for line in decision["reasons"]:
        screen.print(f"- {line}")
    ranking = _table(screen, "Ranking", ("system", "score", "hosting variant", "template"))
    for entry in decision["ranking"]:
        template = "yes" if entry["template"] else "not yet"
        ranking.add_row(entry["name"], f"{entry['score']:.2f}", entry["variant"].get("name", "each its own"), template)
    screen.print(ranking)
    for name, dimensions in record.get("measured", {}).items():
        given = ", ".join(f"{dimension} {score:g}" for dimension, score in dimensions.items())
        screen.print(f"Measured, in place of the guide's scores: {everything[name]['name']} {given}.")
    for entry in decision["excluded"]:
        screen.print(f"Out: {entry['name']}, because {entry['out']}.")
    for row in review["by_hand"]:
        part = f", beside {row['only']}" if row["only"] else ""
        screen.print(f"By hand: {row['name']}{part}, about {row['weeks']:g} weeks of one engineer.")
    costs = _table(
        screen, "Two years, US dollars", ("system", "hosting variant", "setup", "maintenance", "vendor", "total")
    )
    for row in review["costs"]:
        figures = [f"{row[name]:,}" if name in row else "no figures" for name in ("setup", "maintenance")]
        vendor = " to ".join(f"{bound:,}" for bound in row["vendor"]) if row.get("vendor") else "none"
        costs.add_row(row["name"], row["variant"], *figures, vendor, row.get("shown", "no figures"))
    screen.print(costs)
    screen.print(f"at {review['salary']:,} a year and {review['engineers']} engineers; compute is not in it")
    if review["migration"]:
        screen.print(_move(review["migration"]))
    changes = _table(screen, "What would change it", ("recommended", "if", "answer"))
    for flip in review["flips"]:
        name = everything[flip["outcome"]]["name"] if flip["outcome"] else "nothing fits"
        changes.add_row(name, flip["if"], f"{flip['question']}={flip['answer']}")
    screen.print(changes if review["flips"] else "\nNo single answer would change it.")
    concerned = {decision["recommended"], *decision["members"].get(decision["recommended"], [])}
    hosts = {everything[system]["variant"].get("id") for system in concerned if system}
    for caution in decision["cautions"]:
        if concerned & set(caution.get("caution", [])) or hosts & set(caution.get("variants", [])):
            screen.print(f"Note: {caution['because']}.")


def _table(screen: Console, title: str, columns: tuple[str, ...]) -> Table:
    screen.print()
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        figure = column in ("score", "setup", "maintenance", "total")
        table.add_column(column, justify="right" if figure else "left", no_wrap=figure, header_style="dim")
    return table


def _move(migration: dict) -> str:
    each, in_all = (f"{least:g} to {most:g}" for least, most in (migration["each"], migration["in_all"]))
    text = (
        f"Moving off {migration['from']} takes each of {migration['engineers']} engineers {each} weeks, {in_all} in all"
    )
    if migration["per_10"]:
        least, most = migration["per_10"]
        text += f", and {least:g} to {most:g} more per 10 operators to replace"
    return f"{text}; half as much again for surprises is in it."


def main() -> str | None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=Path, help="YAML or JSON file; what it does not name is the default")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--measured", type=Path, help="var/trial/trial.json of a project in which make trial was run")
    options = parser.parse_args()
    try:
        scores = measured_scores(options.measured) if options.measured else {}
        record = recommend(answers_in(options.answers) if options.answers else None, scores)
        record |= {"measured": scores} if scores else {}
    except ValueError as error:
        return f"error: {error}"
    if options.format == "json":
        print(json.dumps(record, indent=2))
    else:
        show(record, Console(highlight=False))
    return None


if __name__ == "__main__":
    sys.exit(main())
