"""The report: a page for each pipeline and one for the project, in var/<env>/report/, each a single file.

It shows what is known without any orchestrator: the published tables and their record, `history`, git and the record of
deployments. `make report` writes it, and so does each alert of a failed or late run, which links to it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from . import config, files, history, logging, outgoing, pipelines, publications, schedules, warehouse
from .errors import ConfigError

if TYPE_CHECKING:
    from .pipelines import Pipeline
    from .publications import Publication

SHOWN = 30  # partitions, attempts of a step, and failures
RECENT = timedelta(days=7)
WRITE_SECONDS = 15  # for the page that an alert links to
COMMITS = 8
DEPLOYMENTS = 3
Facts = dict[str, Any]


def address(settings: config.Settings, name: str) -> str:
    """Where people find a pipeline's page: below ``[alerts] report_url``, else its file in the project's folder."""
    return f"{settings.alerts.report_url.rstrip('/') or settings.paths.state / 'report'}/{name}.html"


def write(settings: config.Settings, chosen: Sequence[Pipeline], deployments: str = "") -> list[Path]:
    """Write the pages of these pipelines, and that of the project. Returns the files.

    deployments: what `make deployments` says; by default the record that a machine keeps.
    """
    deployed = [line for line in (deployments or _record(settings)).splitlines() if line.strip()][-DEPLOYMENTS:]
    every = {each.name: collect(each, settings) for each in pipelines.all()}
    pages = {f"{each.name}.html": {"pipeline": every[each.name]} for each in chosen}
    pages["index.html"] = {"every": list(every.values())}
    folder = settings.state / "report"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pages.items():
        text = _template().render(**content, env=settings.env, deployed=deployed, made=_shown(datetime.now(UTC)))
        files.replace(folder / name, text, durable=False)
    return [folder / name for name in pages]


def refresh(settings: config.Settings, name: str) -> None:
    """Write the page of a pipeline and that of the project again. Never raises, and ends after `WRITE_SECONDS`."""
    try:
        outgoing.within(WRITE_SECONDS, lambda: write(settings, [pipelines.get(name)]), key="report")
    except Exception as error:  # noqa: BLE001  an alert matters more than its page
        logging.get_logger().warning("report not written", error=type(error).__name__, reason=str(error))


def collect(pipeline: Pipeline, settings: config.Settings) -> Facts:
    """What the pages show of a pipeline. Times are texts in UTC, shares between 0 and 1, durations in seconds."""
    published, facts = publications.latest(pipeline), history.read(settings, pipeline.name)
    last = published[max(published)] if published else None
    partitions = _partitions(pipeline, [published[key] for key in sorted(published)[-SHOWN:]])
    failures = _failures(facts, published)
    recent = (datetime.now(UTC) - RECENT).isoformat()
    own = pipeline.settings
    return {
        "name": pipeline.name,
        "shape": pipeline.shape,
        "grain": str(pipeline.grain),
        "schedule": f"{own.schedule.cron} {own.schedule.timezone}" if own.schedule.cron else "none",
        "engine": own.orchestrator,
        "tables": pipeline.tables,
        "freshness": publications.freshness(pipeline, last),
        "due": _due(pipeline, last),
        "last": partitions[-1] if partitions else None,
        "published": len(published),
        "partitions": partitions,
        "quality": own.quality,
        "steps": [_step(name, facts) for name in pipeline.steps],
        "failures": failures[:SHOWN],
        "recent_failures": sum(each["at_iso"] >= recent for each in failures),
        "commits": _contract_changes(pipeline, settings.root),
    }


def _partitions(pipeline: Pipeline, published: Sequence[Publication]) -> list[Facts]:
    """Of each publication: rows by table, and how many rows went to quarantine, None where the pipeline has none."""
    aside = _quarantined(pipeline, [each.partition for each in published])
    rows = []
    for each in published:
        kept, set_aside = each.rows.get(pipeline.tables[0], 0), aside.get(each.partition)
        share = None if set_aside is None else set_aside / (kept + set_aside) if set_aside else 0.0
        row = {"key": each.partition, "rows": dict(each.rows), "first": kept, "quarantined": set_aside, "share": share}
        run = f"{each.engine or 'command line'} {each.run}".strip()
        rows.append(row | {"at": _shown(each.at), "version": each.version, "run": run})
    return rows


def _quarantined(pipeline: Pipeline, keys: Sequence[str]) -> dict[str, int]:
    """Rows in quarantine by partition; empty without a quarantine table."""
    table, column = f"{pipeline.tables[0]}_quarantine", pipeline.partition_column
    known = {}
    for key in keys:
        try:
            known[key] = pipeline.partition(key)
        except ConfigError:
            continue  # published when the pipeline had another grain
    with warehouse.connect() as con:
        columns = warehouse.columns(con, table) if known else {}
        if not columns:
            return {}
        is_date = columns.get(column, "").lower() == "date"
        counted = ", ".join(f"count(*) FILTER (WHERE {each.predicate(column, is_date)})" for each in known.values())
        [row] = warehouse.rows(con, f'SELECT {counted} FROM "{table}"')
    return dict(zip(known, row, strict=True))


def _step(name: str, facts: Sequence[history.Fact]) -> Facts:
    """The newest attempts of a step: how long each took, and whether it failed."""
    attempts = [fact for fact in facts if fact.kind == history.STEP and fact.step == name][-SHOWN:]
    good = [fact.seconds for fact in attempts if not fact.error]
    failed = [fact.error for fact in attempts if fact.error]
    return {
        "name": name.replace("_", " "),
        "attempts": [{"key": each.partition, "seconds": each.seconds, "error": each.error} for each in attempts],
        "last": good[-1] if good else None,
        "median": median(good) if good else None,
        "most": max(good, default=None),
        "failed": len(failed),
        "errors": ", ".join(sorted(set(failed))),
    }


def _failures(facts: Sequence[history.Fact], published: Mapping[str, Publication]) -> list[Facts]:
    """Runs that failed or were late, the newest first.

    A run has failed when its orchestrator said so, or its last step did, whatever started it.
    """
    runs: dict[tuple[str, str, str], history.Fact | None] = {}
    for fact in facts:
        key = (fact.partition, fact.run, "late" if fact.kind == "late" else "failed")
        if fact.kind == history.STEP:
            known = runs.get(key)
            runs[key] = (known if known and known.kind == "failed" else fact) if fact.error else None
        elif fact.kind in ("failed", "late"):
            step = runs.get(key)
            # An orchestrator may report a run once more, and knows less of it each time.
            more = {name: getattr(fact, name) or getattr(step, name, "") for name in ("step", "error")}
            runs[key] = history.Fact(**{**vars(fact), **more})
    failures = []
    for (partition, run, kind), fact in runs.items():
        if fact is None:
            continue
        since = partition in published and published[partition].at.isoformat() > fact.at
        row = {"at_iso": fact.at, "at": _shown(datetime.fromisoformat(fact.at)), "partition": partition, "kind": kind}
        failures.append(
            row | {"step": fact.step, "error": fact.error, "reason": fact.reason, "run": run, "published_since": since}
        )
    return sorted(failures, key=lambda each: each["at_iso"], reverse=True)


def _due(pipeline: Pipeline, last: Publication | None) -> str:
    """When the next partition must be published; empty without a schedule or anything published."""
    tick = schedules.tick_after(pipeline, pipeline.partition(last.partition)) if last else None
    return _shown(tick + timedelta(seconds=pipeline.settings.sla_seconds)) if tick else ""


def _contract_changes(pipeline: Pipeline, root: Path) -> list[list[str]] | None:
    """Commit, day and subject of each change of the pipeline's contract; None where git does not know the project."""
    own = [f"src/{pipelines.PACKAGE}/pipelines/{pipeline.name}/contract.py", f"contracts/{pipeline.name}"]
    command = ["git", "log", f"--max-count={COMMITS}", "--format=%h%x09%cs%x09%s", "--", *own]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=WRITE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return [line.split("\t", 2) for line in done.stdout.splitlines()] if done.returncode == 0 else None


def _record(settings: config.Settings) -> str:
    """What was deployed to this machine, where it keeps a record."""
    file = settings.root / "var" / "deployments"
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _template():
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
