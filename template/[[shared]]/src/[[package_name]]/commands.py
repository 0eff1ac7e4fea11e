"""The project's commands, the same on every orchestrator. `make` calls them, and so does a container."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache
from inspect import signature
from typing import TYPE_CHECKING, Annotated

import typer

from .platform import config, errors, masking, steps

if TYPE_CHECKING:
    from .orchestration.engine import Engine
    from .platform.partitions import Partition
    from .platform.pipelines import Pipeline

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Run and look after the project's pipelines. Exit codes: 0 done, 1 a permanent error, 2 wrong usage, "
    "65 bad rows, 66 no input or decision yet, 75 an error that may pass, 77 not approved, 78 wrong configuration.",
)

approvals = typer.Typer(invoke_without_command=True)
app.add_typer(approvals, name="approvals")

PipelineName = Annotated[str, typer.Option("--pipeline", "-p", help="The pipeline; not needed if there is only one.")]
OrchestratorId = Annotated[str, typer.Option(help="The orchestrator, if the project has several.")]
RequestId = Annotated[str, typer.Argument(metavar="REQUEST", help="The request, as the list shows it.")]
Decider = Annotated[str, typer.Option("--as", help="Who decides. Default: who is logged in on this machine.")]


def main() -> None:
    """Run the command line. An error that a user can cause ends in one sentence and its exit code."""
    try:
        app()
    except steps.EXPECTED as error:
        _end(str(error), errors.exit_code(error))
    except KeyboardInterrupt:
        sys.exit(errors.INTERRUPTED)
    except OSError as error:
        if error.errno is None or not error.strerror:
            raise
        _end(f"{error.filename or 'this machine'}: {error.strerror}", errors.TRANSIENT)


@app.command()
def run(
    pipeline: PipelineName = "",
    partition: Annotated[
        str, typer.Option(help="The key, such as 2013-01-02. Default: the newest one that has landed.")
    ] = "",
    orchestrator: OrchestratorId = "",
) -> None:
    """Run one partition through the orchestrator, in this process."""
    from . import orchestration
    from .platform import pipelines, terminal

    chosen = pipelines.chosen(pipeline)
    engine = orchestration.get(orchestrator)
    wanted = chosen.partition(partition) if partition else terminal.newest_landed(chosen)
    sys.exit(_run_in_process(engine, chosen, [wanted]))


@app.command()
def backfill(
    first: Annotated[str, typer.Option("--from", help="The first partition, or a day or a month.")],
    last: Annotated[str, typer.Option("--to", help="The last partition, included, or a day or a month.")],
    pipeline: PipelineName = "",
    only_missing: Annotated[bool, typer.Option("--only-missing", help="Leave out published partitions.")] = False,
    orchestrator: OrchestratorId = "",
) -> None:
    """Run several partitions: on the services of `make up` if they are up, or else in this process."""
    from . import orchestration
    from .platform import pipelines, publications

    chosen = pipelines.chosen(pipeline)
    partitions = chosen.calendar.between(first, last)
    if only_missing:
        left = publications.missing(chosen, partitions)
        print(f"{len(partitions) - len(left)} of {len(partitions)} partitions are published")
        partitions = left
    if partitions:
        sys.exit(_run(orchestration.get(orchestrator), chosen, partitions))


@app.command()
def late(
    pipeline: PipelineName = "",
    republish: Annotated[bool, typer.Option("--republish", help="Run these partitions again.")] = False,
    orchestrator: OrchestratorId = "",
) -> None:
    """List published partitions whose input has changed since it was read, or republish them."""
    from . import orchestration
    from .platform import late_input, pipelines

    chosen = [pipelines.chosen(pipeline)] if pipeline or republish else pipelines.all()
    listed = [(owner, each) for owner in chosen for each in late_input.of_pipeline(owner)]
    if not listed:
        print("no late input")
        return
    rows = [(owner.name, each.partition.key, _when(each.published), _when(each.changed)) for owner, each in listed]
    _show(("pipeline", "partition", "published (UTC)", "changed (UTC)"), rows)
    if republish:
        sys.exit(_run(orchestration.get(orchestrator), chosen[0], [each.partition for _, each in listed]))


@app.command("deadletters")
def dead_letters(
    pipeline: PipelineName = "",
    partition: Annotated[str, typer.Option(help="Only of the partition with this key.")] = "",
    reason: Annotated[str, typer.Option(help="Only those whose reason contains this text.")] = "",
    show: Annotated[int, typer.Option(help="How many rows of each reason to show as they came.", min=0)] = 0,
    replay: Annotated[bool, typer.Option("--replay", help="Run the partitions that hold them again.")] = False,
    orchestrator: OrchestratorId = "",
) -> None:
    """List rows that a contract has refused, by pipeline, partition and reason; or replay them after a correction."""
    from . import orchestration
    from .platform import dead_letters as letters
    from .platform import pipelines

    chosen = [pipelines.chosen(pipeline)] if pipeline or partition or replay else pipelines.all()
    wanted = chosen[0].partition(partition) if partition else None
    by_pipeline = {each: letters.of_pipeline(each, wanted, reason) for each in chosen}
    listed = [each for waiting in by_pipeline.values() for each in waiting]
    if not listed:
        print("no dead letters")
        return
    _show(
        ("pipeline", "partition", "reason", "rows"),
        [(each.pipeline, each.partition.key, each.reason, f"{each.rows:,}") for each in listed],
    )
    for owner, waiting in by_pipeline.items():
        for each in waiting if show else ():
            for row in letters.records(each, owner, show):
                print(f"{each.pipeline} {each.partition} " + " ".join(f"{k}={v}" for k, v in row.items()))
    if not replay:
        return
    partitions = letters.partitions_of(listed)
    there = [each for each in partitions if chosen[0].code.input_ready(each)]
    gone = [each.key for each in partitions if each not in there]
    code = _run(orchestration.get(orchestrator), chosen[0], there) if there else errors.OK
    before = {key: sum(each.rows for each in listed if each.partition == key) for key in there}
    left = {key: sum(each.rows for each in letters.of_pipeline(chosen[0], key, reason)) for key in there}
    for key in there:
        print(f"{chosen[0].name} {key}: {before[key]:,} dead letters before, {left[key]:,} now")
    if gone:
        waits = f"the input of {', '.join(gone)} is not there any more; their dead letters stay in the quarantine"
        _end(f"{chosen[0].name}: {waits}", code or errors.NO_INPUT)
    sys.exit(code)


@app.command()
def step(
    pipeline: Annotated[str, typer.Argument(help="The pipeline.")],
    name: Annotated[str, typer.Argument(metavar="STEP", help="One of its steps.")],
    partition: Annotated[str, typer.Option(help="The partition's key.")],
    run_id: Annotated[str, typer.Option(help="The id of the run, the same in all its steps.")] = "",
    attempt: Annotated[int, typer.Option(help="The number of the attempt, from 1.")] = 1,
    engine: Annotated[str, typer.Option(help="The orchestrator that starts the step.")] = "",
    item: Annotated[str, typer.Option(help="Of a step that is mapped: the one item. Default: each in turn.")] = "",
    here: Annotated[bool, typer.Option("--here", help="Of a step that may run elsewhere: this is that place.")] = False,
    at_once: Annotated[
        str,
        typer.Option(help="Of a step that waits for input or a decision: do not wait. look: exit with 66; fail: fail."),
    ] = "",
    waits: Annotated[
        bool, typer.Option("--waits", help="Of the step that asks for a decision: the run goes on by itself after it.")
    ] = False,
) -> None:
    """Run one step of a partition without an orchestrator, as a container does."""
    from .platform import pipelines
    from .platform.runs import Run, run_context

    chosen = pipelines.get(pipeline)
    function, wanted = chosen.step(name), chosen.partition(partition)
    if item and name not in chosen.mapped_steps:
        raise errors.ConfigError(f"{pipeline}: {name} takes no item; {config.suggestion(name, chosen.mapped_steps)}")
    if here and "here" not in signature(function).parameters:
        raise errors.ConfigError(f"{pipeline}: {name} runs here alone: leave out --here")
    waiting = [each for each in (chosen.steps[0], chosen.held_step) if each]
    if at_once and (at_once not in ("look", "fail") or name not in waiting):
        raise errors.ConfigError(f"{pipeline}: --at-once takes look or fail, and is for {' and '.join(waiting)}")
    if waits and name != chosen.asking_step:
        raise errors.ConfigError(f"{pipeline}: --waits is for a step that asks for a decision, and {name} does not")
    options = {"here": True} if here else {"waits": True} if waits else {}
    try:
        with run_context(Run(run_id, attempt, engine=engine)):
            if at_once and name == chosen.held_step:
                _leave_unless_approved(chosen, wanted, fails=at_once == "fail")
            elif at_once == "look" and not chosen.code.input_ready(wanted):
                sys.exit(errors.NO_INPUT)  # no failure: whoever looks does so again
            elif at_once:
                options["timeout_seconds"] = 0
            function(wanted, *([item] if item else []), **options)
    except Exception as error:  # noqa: BLE001  the caller sees the exit code only
        _end(
            str(error) if isinstance(error, steps.EXPECTED) else f"{type(error).__name__}: {error}",
            errors.exit_code(error),
        )


def _leave_unless_approved(pipeline: Pipeline, partition: Partition, *, fails: bool) -> None:
    """End this process without an error when the held step may not run, or not yet: the exit code says which.

    fails: raise InputNotReady, as the failure of the step, when the run still waits for the decision.
    """
    from .platform import decisions, logging

    logging.configure(config.load())
    request = decisions.look(pipeline, partition)
    if request.is_pending and request.waits:
        if not fails:
            sys.exit(errors.NO_INPUT)
        with steps.step(pipeline, pipeline.held_step, partition):
            raise errors.InputNotReady(f"no decision: {request.id} {request}")
    if request.state != decisions.APPROVED:
        log = logging.get_logger().bind(pipeline=pipeline.name, partition=partition.key, request=request.id)
        log.info("not approved", state=request.state, by=request.decided_by, reason=request.reason)
        sys.exit(errors.NOT_APPROVED)


@app.command()
def state(
    pipeline: PipelineName = "",
    limit: Annotated[int, typer.Option(help="How many runs to show.", min=1)] = 10,
    orchestrator: OrchestratorId = "",
) -> None:
    """Show the newest runs of a pipeline, as the orchestrator knows them."""
    from . import orchestration
    from .platform import pipelines

    chosen = pipelines.chosen(pipeline)
    engine = orchestration.get(orchestrator)
    rows = [
        (each.partition, each.state, _when(each.started), _seconds(each.seconds), each.url or each.reason)
        for each in engine.runs(chosen, limit)
    ]
    if not rows:
        print(f"{engine.title} knows no run of {chosen.name}")
        return
    _show(("partition", "state", "started (UTC)", "seconds", "where"), rows)


@app.command("pipelines")
def list_pipelines() -> None:
    """List the project's pipelines: their shape, grain and schedule, and whether their tables are fresh."""
    from .platform import pipelines, publications

    rows = []
    for each in pipelines.all():
        settings, newest = each.settings, publications.latest(each)
        last = newest[max(newest)] if newest else None
        rows.append(
            (
                *(each.name, each.shape, str(each.grain), _schedule(settings.schedule)),
                *(settings.orchestrator, last.partition if last else "-", _when(last.at) if last else "-"),
                publications.freshness(each, last),
            )
        )
    _show(("pipeline", "shape", "grain", "schedule", "engine", "newest", "published (UTC)", ""), rows)


@app.command()
def report(
    pipeline: PipelineName = "",
    deployments: Annotated[
        typer.FileText | None, typer.Option(help="What `make deployments` says; - is standard input.")
    ] = None,
) -> None:
    """Write the pages that show rows, quarantine, durations, failures and changes, of one pipeline or of all."""
    from .platform import pipelines
    from .platform import report as pages

    settings = config.load()
    chosen = [pipelines.get(pipeline)] if pipeline else pipelines.all()
    for file in pages.write(settings, chosen, deployments.read() if deployments else ""):
        print(file.relative_to(settings.root) if file.is_relative_to(settings.root) else file)


@approvals.callback()
def approvals_or_list(context: typer.Context) -> None:
    """What waits for a person's decision: list it, approve it, reject it."""
    if context.invoked_subcommand is None:
        list_approvals()


@approvals.command("list")
def list_approvals(
    limit: Annotated[int, typer.Option(help="How many decided requests to show beside those that wait.", min=0)] = 5,
) -> None:
    """Show what waits for a decision with its evidence, and the newest decisions."""
    from .orchestration import approvals as commands
    from .platform import decisions

    commands.look_after()
    requests = decisions.of_pipeline()
    for request in requests:
        if request.is_pending:
            print(f"{request.id} {request}")
            for name, value in request.facts().items():
                print(f"  {name}: {value}")
    if not any(request.is_pending for request in requests):
        print("nothing waits for a decision")
    decided = [request for request in requests if not request.is_pending][::-1][:limit]
    if decided:
        columns = [
            (each.id, each.state, each.decided_by or "-", _when(each.decided_at), each.reason or "-", each.via or "-")
            for each in decided
        ]
        _show(("request", "", "by", "at (UTC)", "reason", "how"), columns)
    commands.tell_all()


@approvals.command()
def approve(request: RequestId, reason: Annotated[str, typer.Option(help="Why.")] = "", by: Decider = "") -> None:
    """Approve a request. Only the pipeline's deciders may."""
    from .orchestration import approvals as commands
    from .platform import decisions

    commands.decide(request, decisions.APPROVED, by, reason)


@approvals.command()
def reject(
    request: RequestId, reason: Annotated[str, typer.Option(help="Why; a rejection needs it.")] = "", by: Decider = ""
) -> None:
    """Reject a request. Only the pipeline's deciders may."""
    from .orchestration import approvals as commands
    from .platform import decisions

    commands.decide(request, decisions.REJECTED, by, reason)


@app.command()
def up(orchestrator: OrchestratorId = "") -> None:
    """Start the orchestrator's services and UI on this machine."""
    from . import orchestration
    from .orchestration import approvals as commands
    from .orchestration.services import Services

    check()
    Services(orchestration.get(orchestrator)).up()
    commands.tell_all()


@app.command()
def preflight(names: Annotated[list[str], typer.Argument(metavar="ORCHESTRATOR...", help="Those to start.")]) -> None:
    """Check that the services of several orchestrators can run on this machine at once."""
    from . import orchestration
    from .orchestration import services

    check()
    services.refuse_together([orchestration.get(name) for name in names])


@app.command()
def observe(
    receiver: Annotated[str, typer.Option(help="A URL that gets every alert, as from Alertmanager's webhook.")] = "",
    orchestrator: OrchestratorId = "",
    beside: Annotated[list[str] | None, typer.Option(help="Another orchestrator to probe.")] = None,
) -> None:
    """Run Prometheus, Alertmanager and node_exporter on this machine with the project's rules, until Ctrl-C."""
    from . import orchestration
    from .orchestration import observing

    observing.observe(orchestration.get(orchestrator), receiver, beside or ())


@app.command()
def probe(orchestrator: OrchestratorId = "") -> None:
    """Write once whether the orchestrator answers, and how many runs wait, to the metrics of this machine."""
    from . import orchestration
    from .orchestration import observing

    observing.probe(orchestration.get(orchestrator), config.load())


@app.command()
def serve(orchestrator: OrchestratorId = "") -> None:
    """Run the orchestrator's services in the foreground, for a machine where systemd keeps them."""
    from . import orchestration
    from .orchestration.services import Services

    check()
    Services(orchestration.get(orchestrator)).serve()


@app.command()
def down(orchestrator: OrchestratorId = "") -> None:
    """Stop what `up` started."""
    from . import orchestration
    from .orchestration.services import Services

    Services(orchestration.get(orchestrator)).down()


@app.command()
def secrets() -> None:
    """Read every secret that the configuration refers to, and list the unreadable ones."""
    from .platform import secrets as references

    sys.exit(references.main())


@app.command()
def compare(
    pipeline: PipelineName = "",
    partition: Annotated[str, typer.Option(help="The key. Default: the newest one that has landed.")] = "",
    first: Annotated[str, typer.Option("--from", help="The first of several, or a day or a month.")] = "",
    last: Annotated[str, typer.Option("--to", help="The last one, included, or a day or a month.")] = "",
    tolerance: Annotated[str, typer.Option(help="How far numbers may differ: 0.01, 0.1%, column=0.01.")] = "",
) -> None:
    """Run partitions on each orchestrator of the project separately, and compare what they publish."""
    from .orchestration import comparison
    from .platform import pipelines, terminal

    chosen = pipelines.chosen(pipeline)
    partitions = comparison.chosen(chosen, partition, first, last) or [terminal.newest_landed(chosen)]
    sys.exit(comparison.compare(chosen, partitions, tolerance))


@app.command()
def cutover(
    pipeline: PipelineName = "",
    to: Annotated[str, typer.Option(help="The orchestrator that the pipeline moves to.")] = "",
    back: Annotated[bool, typer.Option("--back", help="Give it back to the one that had it before.")] = False,
) -> None:
    """Move a pipeline to another orchestrator of the project; the same command goes on after a crash."""
    from .orchestration import cutover as moves
    from .platform import pipelines

    if bool(to) == back:
        raise errors.ConfigError("say where the pipeline moves: TO=<orchestrator>, or BACK=1 for the one before")
    sys.exit(moves.cut_over(pipelines.chosen(pipeline), to, back))


@app.command()
def trial(
    pipeline: PipelineName = "",
    blocks: Annotated[int, typer.Option(help="How often each orchestrator is measured.", min=1)] = 5,
    only: Annotated[str, typer.Option(help="Only these measurements, separated by commas.")] = "",
    seed: Annotated[int, typer.Option(help="Of the random order and of the moments of kills.")] = 1,
    as_made: Annotated[bool, typer.Option("--as-made", help="Also with the settings of their makers.")] = False,
) -> None:
    """Measure the project's orchestrators side by side on this machine, with the same pipeline and data."""
    from .orchestration import trial as measured
    from .platform import pipelines

    chosen = [each for each in only.split(",") if each]
    sys.exit(measured.run(pipelines.chosen(pipeline), blocks, chosen, seed, as_made))


@app.command()
def remove(name: Annotated[str, typer.Argument(help="The pipeline.")]) -> None:
    """Remove a pipeline from the project. Its published tables stay."""
    from .orchestration import removal

    removal.remove(name)


@app.command(context_settings={"ignore_unknown_options": True})
def dbt(
    arguments: Annotated[list[str], typer.Argument(help="As after `dbt`, such as: source freshness.")],
    pipeline: PipelineName = "",
) -> None:
    """Run dbt on the models of a pipeline, in the warehouse of this environment."""
    from .platform import dbt as tool
    from .platform import pipelines

    sys.exit(tool.by_hand(pipelines.chosen(pipeline), arguments))


@app.command()
def impact(
    table: Annotated[str, typer.Argument(help="A landed table, a model or a published table.")],
    column: Annotated[str, typer.Argument(help="One of its columns. Default: the whole table.")] = "",
    pipeline: PipelineName = "",
) -> None:
    """Show what follows a table or a column: tables, who reads them, and who owns them."""
    from .platform import impact as report
    from .platform import pipelines

    report.show(pipelines.chosen(pipeline), table, column)


@app.command()
def contracts(
    project: Annotated[str, typer.Argument(help="The name of the project, which the contracts begin with.")],
    only_check: Annotated[bool, typer.Option("--check", help="Write nothing; fail when one is wrong.")] = False,
    base: Annotated[str, typer.Option(help="The revision that consumers rely on. Default: the newest tag.")] = "",
) -> None:
    """Write the data contracts of all published tables, or check them."""
    from .platform import data_contracts, pipelines

    chosen = pipelines.all()
    if not only_check:
        for each in chosen:
            for file in data_contracts.write(each, project):
                print(f"wrote {file.relative_to(config.load().root)}")
        return
    base = base or (data_contracts.released_revision() if chosen else "")
    problems = [problem for each in chosen for problem in data_contracts.check(each, project, base)]
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    sys.exit(errors.PERMANENT if problems else errors.OK)


@app.command()
def providers() -> None:
    """Show whether the pipelines and projects whose tables are read deliver, and report those that do not."""
    from .platform import pipelines
    from .platform import providers as others

    known = [source.status(each) for each in pipelines.all() for source in others.of(each)]
    if not known:
        print("no pipeline reads a published table")
        return
    rows = []
    for each in known:
        given = each.provider
        provider, contract = given.project or given.pipeline, given.contract or "-"
        row = (each.pipeline.name, provider, given.table, contract, each.newest or "-", each.state)
        rows.append(row)
    _show(("pipeline", "provider", "table", "contract", "newest", ""), rows)
    wrong = [each for each in known if each.reason]
    for each in wrong:
        print(f"error: {masking.mask(each.reason)}", file=sys.stderr)
        others.report(each)
    sys.exit(errors.TRANSIENT if wrong else errors.OK)


@app.command()
def check() -> None:
    """Check that every pipeline's declaration, steps, configuration and schedule fit together."""
    from . import orchestration
    from .platform import decisions, pipelines
    from .platform.schedules import refuse_unfit

    for each in pipelines.all():
        decisions.check(each)
        for name in each.steps:
            each.step(name)
        if each.settings.orchestrator not in orchestration.names():
            raise errors.ConfigError(
                f"config/pipelines/{each.name}.toml: orchestrator {each.settings.orchestrator} is not in this project; "
                f"write {' or '.join(orchestration.names())}"
            )
        engine = orchestration.get(each.settings.orchestrator)
        file = engine.definition.format(package=pipelines.PACKAGE, name=each.name)
        if len(orchestration.names()) > 1 and not (config.load().root / file).is_file():
            raise errors.ConfigError(
                f"config/pipelines/{each.name}.toml: {each.settings.orchestrator} schedules it and has no {file}; "
                "write that file, or name the orchestrator that has one"
            )
        refuse_unfit(each)


def _run(engine: Engine, pipeline: Pipeline, partitions: Sequence[Partition]) -> int:
    """Run partitions on the services of `make up` if they are up, or else in this process. Returns the exit code."""
    from .orchestration import backfills
    from .orchestration.services import Services

    if Services(engine).are_up():
        with _ended_by_sigterm():
            return backfills.run(engine, pipeline, partitions)
    return _run_in_process(engine, pipeline, partitions)


def _run_in_process(engine: Engine, pipeline: Pipeline, partitions: Sequence[Partition]) -> int:
    """Run partitions in this process; the engine starts when the first one has been announced."""
    from .platform import terminal

    with _ended_by_sigterm(), ExitStack() as opened:
        engine_of = cache(lambda: opened.enter_context(engine.in_process()))
        return terminal.run_partitions(pipeline, engine.id, partitions, lambda *one: engine_of()(*one))


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the command as an exception does, so that an engine's servers and containers are stopped, too."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 200).print(table)


def _schedule(schedule: config.Schedule) -> str:
    return f"{schedule.cron} {schedule.timezone}" if schedule.cron else "-"


def _when(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else "-"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f}"


def _end(message: str, code: int) -> None:
    print(f"error: {masking.mask(message)}", file=sys.stderr)
    sys.exit(code)
