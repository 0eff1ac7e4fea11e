"""Ask the questionnaire with a way back and a summary, then copy: same questions, rules and answers file as Copier's.

Copier asks, checks and writes; only what it shows at the terminal comes from here. Somebody who goes back is asked from
the start again, and the answers given before are repeated to Copier. Called by make new.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
import warnings
from pathlib import Path
from unittest.mock import patch

from copier import _main as copier_main
from copier.errors import CopierAnswersInterrupt, CopierError, DirtyLocalWarning
from decision_engine import ROOT
from jinja2.exceptions import FilterArgumentError
from prompt_toolkit.key_binding import KeyBindings, merge_key_bindings
from prompt_toolkit.shortcuts import clear
from questionary import Choice
from questionary.prompts import prompt_by_name

KEYS = "Enter takes an answer, Esc goes back one question, Ctrl-C stops. Nothing is\nwritten before the summary."
DEPTHS = {
    "quick": "The short way: of the decision, the five questions that move it most",
    "full": "The long way: every question that your answers make worth asking",
}
WRITE, CHANGE, STOP = "to write", "to change", "to stop"  # no question has a name with a space


MOST_CHOICES = 12  # of a list that is longer than the screen; the rest comes into view by the arrow keys


class Back(Exception):  # noqa: N818  it is no error
    """Somebody wants to answer the question before once more."""


class Interview:
    """The answers so far, by question in the order asked; and how the next one is asked."""

    def __init__(self) -> None:
        self.given: dict = {}
        self.former: dict = {}  # what was chosen, other than the default, before somebody went back
        self.shown: dict[str, str] = {}  # answers in words, those that are not the default

    def prompt(self, questions: list[dict], answers: dict) -> dict:
        """In place of questionary's: gives the answer that was given, or asks for it."""
        [structure] = questions
        name = structure["name"]
        if not structure["when"](answers):
            return answers
        if name not in self.given:
            value = ask(structure, self.former.get(name, answers[name]))
            self.given[name] = value
            self.former.pop(name, None)
            self.shown.pop(name, None)
            if value != answers[name]:
                self.former[name] = value
                self.shown[name] = in_words(structure, value)
        return {name: self.given[name]}

    def back_to(self, name: str) -> None:
        """Forget the answer to this question and those after it, so that they are asked."""
        names = list(self.given)
        for later in names[names.index(name) :]:
            del self.given[later]

    def summary(self, target: Path) -> str:
        """What somebody chooses when all is answered: to write, to stop, or the name of a question."""
        chosen = [f"  {name}: {words}" for name, words in self.shown.items() if name in self.given]
        rest = ", ".join(f"{name}={value}" for name, value in self.given.items() if name not in self.shown)
        lines = ["Your answers:", *chosen, "By default:"] if chosen else ["All answers are the defaults:"]
        lines += textwrap.wrap(rest, 76, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
        text = "\n".join(["Is this right?", *map(fold, lines), textwrap.fill(f"It goes to {target}", 78), "  "])
        choices = [
            Choice("Yes, write the project", WRITE),
            Choice("Change an answer", CHANGE),
            Choice("Stop, and write nothing", STOP),
        ]
        wanted = ask({"type": "select", "message": text, "choices": choices}, WRITE)
        if wanted == CHANGE:
            return ask({"type": "select", "message": "Which one?\n  ", "choices": list(self.given)}, None)
        return wanted


class Worker(copier_main.Worker):
    """Copier's, which repeats its questions until the summary is accepted. What is in its `data` is not asked."""

    def _ask(self) -> None:
        interview = Interview()
        start = {"type": "select", "message": f"How much do you want to answer?\n{KEYS}\n  "}
        start["choices"] = [Choice(words, depth) for depth, words in DEPTHS.items()]
        given = dict(self.data)
        depth = given.get("depth", "")
        while True:
            try:
                depth = depth or ask(start, "quick")
                self.data = {"depth": depth, **given}
                with patch.object(copier_main, "unsafe_prompt", interview.prompt):
                    super()._ask()
                wanted = interview.summary(self.dst_path)
            except Back:
                if not interview.given:
                    depth = given.get("depth", "")  # the first question is the one before
                    continue
                wanted = list(interview.given)[-1]
            if wanted == WRITE:
                return
            if wanted == STOP:
                raise KeyboardInterrupt
            interview.back_to(wanted)


def ask(structure: dict, default: object) -> object:
    """The answer to a question of Copier's, asked on a screen of its own, with what does not fit on pages before it."""
    structure = dict(structure)
    cast, check = structure.pop("filter", lambda value: value), structure.pop("validate", lambda _: True)
    for needless in ("name", "when", "mouse_support"):
        structure.pop(needless, None)
    kind, choices = structure.pop("type"), structure.get("choices")
    structure["qmark"] = "?"
    # What a call of Copier would be given is not for this terminal.
    lines = [line for line in structure["message"].split("\n") if "--data depth" not in line]
    structure["message"] = "\n".join(lines)
    before: list[tuple[str, str]] = []
    if choices:
        if kind == "select" and any(isinstance(choice, str) for choice in choices):
            structure["choices"] = choices = [Choice(choice) for choice in choices]
        out = [choice for choice in choices if choice.disabled]
        if out and kind == "select" and not fits(structure["message"], choices):
            structure["choices"] = choices = [choice for choice in choices if not choice.disabled]
            reasons = [f"- {choice.title}: {' '.join(choice.disabled.split())}" for choice in out]
            lines = [fold(reason.replace("--data ", "DATA=")) for reason in reasons]
            before.append(("Ruled out or not possible:", "\n".join(lines)))
        if not fits(structure["message"], choices[:MOST_CHOICES]):
            first, more = structure["message"].split("\n", 1)
            before.insert(0, (first, more.rstrip()))
            structure["message"] = f"{first}\n  "
        for title, text in before:
            show_pages(title, text.split("\n"))
        values = [choice.value for choice in choices]
        if kind == "checkbox":
            structure.pop("default", None)
            structure["choices"] = [
                Choice(choice.title, choice.value, disabled=choice.disabled, checked=cast([choice.value])[0] in default)
                for choice in choices
            ]
        elif default in values:
            structure["default"] = choices[values.index(default)]
    elif kind == "input" and isinstance(default, str):
        structure["default"] = default
    elif kind == "confirm":
        structure["default"] = bool(default)
    problem = ""
    while True:
        clear()
        if problem:
            print(f"{fold(problem)}\n")
        answer = with_back(prompt_by_name(kind)(**structure)).unsafe_ask()
        checked = check(answer)
        if checked is True:
            return cast(answer)
        # A prompt's own line for errors has no room for a sentence, so it stands above the question.
        problem = str(checked).split("': ", 1)[-1]
        if kind == "input":
            structure["default"] = answer
        else:
            for choice in structure["choices"]:
                choice.checked = choice.value in answer


def fits(message: str, choices: list[Choice]) -> bool:
    """Whether the terminal shows all of a question: its message and instruction, and the choices with their reasons."""
    width, height = shutil.get_terminal_size()
    lines = message.split("\n")
    for choice in choices:
        lines += f"   - {choice.title} ({choice.disabled})".split("\n") if choice.disabled else [f"   {choice.title}"]
    return len(lines) < height and max(map(len, lines)) < width


def show_pages(title: str, lines: list[str]) -> None:
    """Show these lines, as many at once as the terminal has rows for."""
    size = shutil.get_terminal_size().lines - 4
    for start in range(0, len(lines), size):
        text = "\n".join([title, *lines[start : start + size]])
        clear()
        with_back(prompt_by_name("press_any_key_to_continue")(f"{text}\n\nEnter: go on. Esc: go back.")).unsafe_ask()


def with_back(question):
    """The prompt, left by Esc with Back."""
    bindings = KeyBindings()

    @bindings.add("escape", eager=True)
    def _(event):
        event.app.exit(exception=Back())

    question.application.key_bindings = merge_key_bindings([question.application.key_bindings, bindings])
    question.application.ttimeoutlen = 0.1  # seconds until Esc is not the beginning of another key
    return question


def in_words(structure: dict, value: object) -> str:
    labels = {choice.value: " ".join(choice.title.split()) for choice in structure.get("choices") or []}
    if isinstance(value, list):
        return ", ".join(labels.get(each, str(each)) for each in value) or "none"
    return {True: "yes", False: "no"}.get(value) if isinstance(value, bool) else labels.get(value, str(value))


def fold(text: str) -> str:
    return textwrap.fill(text, 78, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def main() -> str | None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the project's folder, which is new or empty")
    parser.add_argument("--data", action="append", default=[], help="name=answer, of a question that is not asked then")
    parser.add_argument("--template", help="address of the template; this checkout by default")
    options = parser.parse_args()
    if options.folder.exists() and (not options.folder.is_dir() or any(options.folder.iterdir())):
        return f"error: {options.folder} exists and is not empty; name another folder: make new DIR=myproj"
    if not sys.stdin.isatty():
        return "error: there is no terminal to ask at; write copier copy --defaults, with --data-file for other answers"
    if wrong := [each for each in options.data if "=" not in each]:
        return f"error: '{wrong[0]}' is no answer; write name=answer, such as DATA=accept_exclusion=yes"
    data = dict(each.split("=", 1) for each in options.data)
    warnings.simplefilter("ignore", DirtyLocalWarning)
    source = {"src_path": options.template} if options.template else {"src_path": str(ROOT), "vcs_ref": "HEAD"}
    try:
        with Worker(dst_path=options.folder, data=data, quiet=True, **source) as worker:
            worker.run_copy()
            clear()
            worker.quiet = False  # the files are not listed, and this is said
            worker._print_message(worker.template.message_after_copy)
    except (KeyboardInterrupt, CopierAnswersInterrupt):
        print("\nStopped; nothing was written.")
        return sys.exit(130)
    except (CopierError, FilterArgumentError, ValueError) as error:
        return f"error: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
