"""Crontabs: each line is a pipeline; and scripts that stand in cron.daily and the like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from orch_standards.project import Problem, Project, is_test

from . import systems
from .code import Code
from .facts import GUESSED, READ, RESOLVED, Fact, Link, Pipeline, Step
from .shell import commands

PLACES = ("crontab", "crontab.*", "*.crontab", "*.cron", "*-crontab", "*_crontab", "crontab-*", "crontab_*")
FOLDERS = {"cron.d", "crontabs"}
OF_THE_SYSTEM = "/etc/crontab"  # this, and cron.d, name a user in front of the command
PERIODS = ("hourly", "daily", "weekly", "monthly")
NO_TABLES = (".py", ".md", ".rst", ".txt.j2", ".json", ".pp", ".rb", ".java", ".go", ".php", ".js", ".html", ".sh")
SETTING = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(.*)$")
NICKNAME = re.compile(r"@(reboot|yearly|annually|monthly|weekly|daily|midnight|hourly)\s+(.*)$")
NAMES = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat"
LINE = re.compile(rf"((?:(?:[\d*?,/~#LW-]|{NAMES})+\s+){{5}})(\S.*)$", re.IGNORECASE)
INTERPRETERS = re.compile(r"^(?:python[\d.]*|perl|ruby|java|Rscript|php|node|uv|poetry|pipenv|make)$")


def read(code: Code) -> list[Pipeline]:
    """The lines of all crontabs."""
    project, found = code.project, []
    for path in project.files:
        folders, name = path.split("/")[:-1], path.rpartition("/")[2]
        period = next((each for each in PERIODS if f"cron.{each}" in folders), None)
        if is_test(path) or name.startswith("."):
            continue
        named = FOLDERS & set(folders) or any(fnmatchcase(name, pattern) for pattern in PLACES)
        with code.reading(path):
            if period:
                found += _script(project, path, period)
            elif named and not name.endswith(NO_TABLES):
                found += _table(project, path, "cron.d" in folders or f"/{path}".endswith(OF_THE_SYSTEM))
    return found


def _script(project: Project, path: str, period: str) -> Iterator[Pipeline]:
    text = project.text(path)
    if text.strip():
        pipeline = Pipeline(Fact(path.rpartition("/")[2]), "cron", "script", path, 1, Fact(f"@{period}", RESOLVED))
        _commands(pipeline, text if "sh" in text.partition("\n")[0] else "", path, 1)
        yield pipeline


def _table(project: Project, path: str, has_users: bool) -> Iterator[Pipeline]:
    zone: Fact | None = None
    for number, text in enumerate(project.text(path).splitlines(), 1):
        line = text.strip()
        if not line or line.startswith("#"):
            continue
        setting = SETTING.match(line)
        if setting:
            if setting[1] in ("CRON_TZ", "TZ"):
                zone = Fact(setting[2].strip().strip("\"'"))
            continue
        nickname, timed = NICKNAME.match(line), LINE.match(line)
        if nickname:
            schedule, command = f"@{nickname[1]}", nickname[2]
        elif timed:
            schedule, command = " ".join(timed[1].split()), timed[2]
        else:
            reason = "it is a template, and no line of a crontab yet" if "{{" in line else "it is no line of a crontab"
            project.problems.add(Problem(path, number, reason))
            continue
        if has_users:
            command = command.partition(" ")[2].strip()
        # The first % that is not escaped ends the command; what follows is its input.
        command = re.split(r"(?<!\\)%", command)[0].replace("\\%", "%")
        if not command.strip():
            project.problems.add(Problem(path, number, "it is no line of a crontab"))
            continue
        pipeline = Pipeline(_name(command), "cron", "line", path, number, Fact(schedule), zone)
        _commands(pipeline, command, path, number)
        yield pipeline


def _name(command: str) -> Fact:
    """The main program of a line, or the script that it runs: a line has no name of its own."""
    found = commands(command)
    words = found[0] if found else command.split() or ["?"]
    program = words[0].rpartition("/")[2]
    if INTERPRETERS.match(program):
        after = [word for word in words[1:] if not word.startswith("-") and word != "run"]
        program = after[0].rpartition("/")[2] if after else program
    return Fact(program, READ)


def _commands(pipeline: Pipeline, text: str, path: str, line: int) -> None:
    for words in commands(text):
        program = words[0].rpartition("/")[2]
        step = Step(Fact(" ".join(words)[:80]), program, path, line, package="shell")
        step.definition = (path, line, len(pipeline.steps))
        step.operator = "command" if systems.of_command(words) is None else program
        pipeline.steps.append(step)
        system = systems.of_command(words)
        if system:
            pipeline.add_system(system, f"runs {program} ({path}:{line})", READ)
        for word in words:
            for scheme, system in systems.of_text(word):
                pipeline.add_system(system, f"an address {scheme} ({path}:{line})", READ)
        pipeline.links += starts(words, path, line)


def starts(words: list[str], path: str, line: int) -> Iterator[Link]:
    """Pipelines of other orchestrators that a command starts."""
    text = " ".join(words)
    known = (
        re.search(r"\bairflow (?:dags trigger|trigger_dag|dags backfill|backfill)\s+(?:-\S+ \S+ )*([\w.-]+)", text)
        or re.search(r"\bprefect deployment run ([\w ./-]+)", text)
        or re.search(r"\bdagster job (?:launch|execute)\b.*? (?:-j|--job) (\S+)", text)
    )
    if known:
        yield Link("starts", Fact(known[1].strip()), path, line)
        return
    programs = [word.rpartition("/")[2] for word in words]
    if "luigi" in programs:
        after = words[programs.index("luigi") + 1 :]
        given = [
            word
            for number, word in enumerate(after)
            if not word.startswith("-") and not (number and re.fullmatch(r"--[\w-]+", after[number - 1]))
        ]
        if given:
            yield Link("starts", Fact(given[0].rpartition(".")[2]), path, line)
            return
    if programs and programs[0] == "oozie" and "-config" in words[:-1]:
        yield Link("starts file", Fact(words[words.index("-config") + 1], GUESSED), path, line)
        return
    for word in words:
        if word.endswith(".py"):
            yield Link("starts file", Fact(word, GUESSED), path, line)
