"""Whom a change of the rules moves: what they recommend now and what they did at an earlier commit, side by side.

Over answers in which every combination of any three appears. Each kind of move is shown with how many are moved and
with the plainest answers that show it: what can be brought back to its default without another outcome is.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml
from covering import situations
from decision_engine import CHOICES, DEFAULTS, LISTS, ROOT, environment_at, macros

LAST_RELEASE = "f456f755fcfadd44f59720648459a80fb705937e"  # v0.1.0, by commit, as a checkout may have no tags


def decider_at(folder: Path) -> Callable[[dict], str]:
    """What the template in that folder recommends; empty where nothing fits. It leaves out answers it does not know."""
    questions = yaml.safe_load((folder / "questions" / "decision.yml").read_text(encoding="utf-8"))
    module = environment_at(folder, {}).get_template("decision/engine.jinja").module

    def decide(answers: dict) -> str:
        given = {name: _known(questions[name], answers[name]) for name in answers if name in questions}
        return json.loads(module.explain(given))["recommended"]

    decide.questions = questions.keys()
    return decide


def _known(question: dict, answer):
    """The answer, or the default where that question did not have it yet."""
    choices = question.get("choices")
    known = isinstance(answer, list | bool) or not isinstance(choices, dict) or answer in choices.values()
    return answer if known else question["default"]


def plainest(answers: dict, same: Callable[[dict], bool]) -> dict:
    """The answers that differ from the defaults, as few as show the same."""
    for name in CHOICES:
        for item in answers[name] if name in LISTS else []:
            fewer = answers | {name: [other for other in answers[name] if other != item]}
            answers = fewer if same(fewer) else answers
        plainer = answers | {name: DEFAULTS[name]}
        answers = plainer if same(plainer) else answers
    return {name: answers[name] for name in CHOICES if answers[name] != DEFAULTS[name]}


def main() -> str | None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--ref", default=LAST_RELEASE, help="commit or tag to compare with; the last release by default"
    )
    parser.add_argument("--strength", type=int, default=3, help="combinations of how many answers appear")
    parser.add_argument("--all", action="store_true", help="every situation that moves, not only one of each kind")
    options = parser.parse_args()
    try:
        with earlier(options.ref) as before:
            report(before, options)
    except ValueError as error:
        return f"error: {error}"
    return None


@contextlib.contextmanager
def earlier(ref: str) -> Iterator[Callable[[dict], str]]:
    """What the template recommended at that commit. Raises ValueError."""
    command = ["git", "archive", "--format=zip", ref, "decision", "questions"]
    archive = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        raise ValueError(f"{ref} is no commit of this repository that has a decision; give one with --ref")
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(io.BytesIO(archive.stdout)) as files:
            files.extractall(folder)
        yield decider_at(Path(folder))


def report(before: Callable[[dict], str], options: argparse.Namespace) -> None:
    explain = macros("engine")
    moves: dict[tuple[str, str], list[dict]] = defaultdict(list)
    rows = situations(options.strength)
    for answers in rows:
        move = (before(answers), explain("explain", answers)["recommended"])
        if move[0] != move[1]:
            moves[move].append(answers)
    print(f"{sum(map(len, moves.values()))} of {len(rows)} situations come out differently than at {options.ref[:12]}")
    for (old, new), moved in sorted(moves.items(), key=lambda item: -len(item[1])):
        print(f"\n{old or 'nothing fits'} -> {new or 'nothing fits'}: {len(moved)}")
        for answers in moved if options.all else moved[:1]:

            def same(other: dict, old: str = old, new: str = new) -> bool:
                return before(other) == old and explain("explain", other)["recommended"] == new

            shown = plainest(answers, same)
            decision = explain("explain", DEFAULTS | shown)
            given = ", ".join(f"{name}={_text(value)}" for name, value in shown.items()) or "all defaults"
            print(f"  {given}")
            print(f"    {decision['step'] or 'no step'}: {(decision['reasons'] or [decision['conflict']])[0]}")


def _text(value: object) -> str:
    return "+".join(value) if isinstance(value, list) else str(value).lower()


if __name__ == "__main__":
    sys.exit(main())
