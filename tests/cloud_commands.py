"""Stands in for the clouds' programs: checks what a page types, and calls no cloud.

`install` writes the programs ``az`` and ``gcloud``, which call this file. It knows the commands that the pages use,
refuses an option that is unknown or missing, and looks into the project in the current folder for what a command names.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

# Of each command: its options that take a value and must be given, and those that may be.
KNOWN = {
    "az datafactory pipeline create-run": (("--resource-group", "--factory-name", "--name"), ("--parameters",)),
    "gcloud workflows run": ((), ("--data",)),
    "gcloud workflows execute": ((), ("--data",)),
    "gcloud storage cat": ((), ()),
}
ARGUMENTS_OF_A_RUN = {"partition", "again"}


def install(folder: Path) -> Path:
    """Write the programs into a folder, which then belongs on the path."""
    folder.mkdir()
    for name in {command.split()[0] for command in KNOWN}:
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" {name} "$@"\n')
        program.chmod(0o755)
    return folder


def problem(words: Sequence[str]) -> str:
    """What is wrong with a command, empty when nothing is."""
    command = next((each for each in KNOWN if list(words[: len(each.split())]) == each.split()), "")
    if not command:
        return f"no command of this name is known here: {' '.join(words[:4])}"
    needed, more = KNOWN[command]
    left, names, options = list(words[len(command.split()) :]), [], {}
    while left:
        word = left.pop(0)
        if not word.startswith("-"):
            names.append(word)
        elif word not in (*needed, *more) or not left:
            return f"{command} has no option {word}, or it has no value"
        else:
            options[word] = left.pop(0)
    missing = [each for each in needed if each not in options]
    return f"{command} needs {', '.join(missing)}" if missing else _of_project(command, names, options)


def _of_project(command: str, names: Sequence[str], options: Mapping[str, str]) -> str:
    """Whether the project in this folder has what the command names."""
    if command == "gcloud storage cat":
        address = urlsplit(names[0] if len(names) == 1 else "")
        return "" if address.scheme == "gs" and address.path.strip("/") else f"{command} takes one gs://BUCKET/OBJECT"
    try:
        given = json.loads(options.get("--parameters") or options.get("--data") or "{}")
    except ValueError as error:
        return f"what {command} hands over is no JSON: {error}"
    if command.startswith("az"):
        file = Path("factory/pipeline") / f"{options['--name']}.json"
        known = json.loads(file.read_text())["properties"]["parameters"] if file.is_file() else {}
    else:
        file = Path("workflows") / f"{''.join(names)}.workflow.yaml"
        known = ARGUMENTS_OF_A_RUN
    if not file.is_file():
        return f"there is no {file}"
    unknown = sorted(set(given) - set(known))
    return f"{file.name} takes no {', '.join(unknown)}" if unknown else ""


if __name__ == "__main__":
    if wrong := problem(sys.argv[1:]):
        sys.exit(f"error: {wrong}")
