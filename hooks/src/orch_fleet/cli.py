"""The command `orch-fleet`: report how far repositories are from the template they were made from."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

try:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    from . import page, repositories, sharing, table, templates
    from .repositories import Place, Report, RepositoryError
except ModuleNotFoundError as missing:
    sys.exit(f"error: orch-fleet needs {missing.name}, which is not installed: pip install 'orch-standards[fleet]'")


def main(argv: Sequence[str] | None = None) -> int:
    """Report as asked. Exit code: 0; 1 when a repository has what --check or --fail-on names; 2 for a wrong call."""
    options = parse(argv)
    try:
        places = _places(options)
        causes = _causes(options)
        with tempfile.TemporaryDirectory(prefix="orch-fleet-", ignore_cleanup_errors=True) as clones:
            projects = repositories.find(places, Path(clones))
            found = survey(projects, jobs=options.jobs, try_updates=not options.no_updates)
    except CallError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; no repository was changed", file=sys.stderr)
        return 130
    found.sort(key=lambda report: report.urgency)
    table.show(found, _screen(stderr=options.json == "-"))
    if options.json:
        _write(options.json, json.dumps({"repositories": [report.as_dict() for report in found]}, indent=2) + "\n")
    if options.html:
        _write(options.html, page.drawn(found))
    return int(any(report.attention & causes for report in found))


class CallError(Exception):
    """The command line cannot be followed; the message says why, in a sentence."""


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="orch-fleet", description=__doc__.split(": ", 1)[1])
    parser.add_argument("places", nargs="*", help="repositories, folders that hold some, or URLs")
    parser.add_argument("--list", metavar="FILE", help="a file with one such path or URL a line")
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write everything found as JSON; - for standard output, the table then goes to standard error",
    )
    parser.add_argument("--html", metavar="FILE", help="write one self-contained page with a chart")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a repository needs attention")
    parser.add_argument(
        "--fail-on",
        metavar="CAUSES",
        default="",
        help=f"exit with 1 only for these, separated by commas: {', '.join(repositories.CAUSES)}",
    )
    parser.add_argument("--no-updates", action="store_true", help="do not try updates, which take the longest")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="repositories at once (%(default)s)")
    return parser.parse_args(argv)


def _causes(options: argparse.Namespace) -> set[str]:
    """What makes the command fail."""
    causes = set(filter(None, options.fail_on.split(",")))
    unknown = causes - set(repositories.CAUSES)
    if unknown:
        raise CallError(f"--fail-on knows no {', '.join(sorted(unknown))}: use {', '.join(repositories.CAUSES)}")
    return causes or (set(repositories.CAUSES) if options.check else set())


def _places(options: argparse.Namespace) -> list[str]:
    places = list(options.places)
    if options.list:
        try:
            lines = Path(options.list).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise CallError(f"{options.list} cannot be read: {reason}; write one path or URL a line") from None
        places += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not places:
        raise CallError("name folders or URLs, or a file of them with --list")
    for target in (options.json, options.html):
        if target and target != "-" and not os.access(Path(target).resolve().parent, os.W_OK):
            raise CallError(f"{target} cannot be written: make its folder first")
    return places


def _screen(stderr: bool) -> Console:
    """Of the terminal's width; where there is none, as wide as the table wants to be."""
    out = Console(highlight=False, markup=False, stderr=stderr)
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = 200
    return out


def _write(target: str, text: str) -> None:
    if target == "-":
        sys.stdout.write(text)
        return
    Path(target).write_text(text, encoding="utf-8")
    print(f"written: {target}", file=sys.stderr)


def survey(found: Sequence[Place], jobs: int = 1, try_updates: bool = True) -> list[Report]:
    """Examine the projects, several at once, with progress on standard error; in the order given."""
    reports: dict[Place, Report] = {}
    with tempfile.TemporaryDirectory(prefix="orch-fleet-") as folder, progress() as bar:
        shown = bar.add_task("reading", total=len(found))
        ready = list(_read(found, Path(folder), bar, shown))
        # Fresh processes: Copier changes the working directory, and threads would share it.
        fresh = get_context("spawn")
        with ProcessPoolExecutor(max(1, jobs), fresh, initializer=sharing.begin, initargs=(Path(folder),)) as pool:
            waiting = {
                pool.submit(repositories.examine, place, answers, mirror, problem, try_updates): place
                for place, answers, mirror, problem in ready
            }
            try:
                for done in as_completed(waiting):
                    place = waiting[done]
                    reports[place] = _result(done, place)
                    bar.update(shown, advance=1, description=place.name)
            except KeyboardInterrupt:
                pool.shutdown(cancel_futures=True)  # waits for those under way, whose checkouts are removed next
                raise
    return [reports[place] for place in found]


def _result(done: Future[Report], place: Place) -> Report:
    try:
        return done.result()
    except BrokenExecutor:
        problem = "the process that examined it was ended, memory may be short: try --jobs 1"
        return Report(place.name, str(place.path), problem)


def _read(
    found: Sequence[Place], folder: Path, bar: Progress, shown: TaskID
) -> Iterator[tuple[Place, dict | None, templates.Mirror | None, str]]:
    """Answers and template of each project, or a sentence that says why there are none."""
    mirrors: dict[str, templates.Mirror | templates.TemplateError] = {}
    for place in found:
        try:
            if place.problem:
                raise RepositoryError(place.problem)
            answers = repositories.answers_of(place.path)
        except RepositoryError as error:
            yield place, None, None, str(error)
            continue
        source = str(answers["_src_path"])
        if source not in mirrors:
            bar.update(shown, description=f"fetching {source}")
            try:
                mirrors[source] = templates.mirror(source, folder)
            except templates.TemplateError as error:
                mirrors[source] = error
        template = mirrors[source]
        if isinstance(template, templates.TemplateError):
            yield place, answers, None, str(template)
        else:
            yield place, answers, template, ""


def progress() -> Progress:
    columns = (BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    return Progress(*columns, console=Console(stderr=True), transient=True)


if __name__ == "__main__":
    sys.exit(main())
