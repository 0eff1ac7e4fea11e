"""Published tables as a source, and whether their providers keep to what is agreed.

The provider is another pipeline of this project, or one of another project. Its warehouse says all of it:
``platform.published`` which partitions are there, ``platform.contracts`` under which contract each table is.
``[providers.<name>]`` in config/pipelines/<pipeline>.toml names the table and, of another project, the version of the
contract that the pipeline is written for. A partition is the input of a pipeline once its provider has published it;
every orchestrator waits for that as for any other input. A provider that has changed its contract ends a run at once,
with what differs. Within a project there is nothing to agree on: its tests and contracts come with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from . import alerts, config, data_contracts, landing, pipelines, publications, schedules, sources, warehouse
from .errors import ConfigError, InputError, SourceUnavailable
from .landing import Arrival
from .runs import Run

if TYPE_CHECKING:
    from .data_contracts import Contract
    from .partitions import Partition
    from .pipelines import Pipeline
    from .warehouse import Connection

ROWS_AT_ONCE = 10_000
# What was published this long before an orchestrator looked first is new to it: services take minutes to start. What is
# older is history, and left to backfills.
HEAD_START = timedelta(minutes=10)
SHOWN = timedelta(days=7)  # orchestrators show what was published since
FINE, LATE, BROKEN, AWAY = "fresh", "late", "broken", "away"


@dataclass(frozen=True)
class Provided:
    """A table that another pipeline publishes, in partitions of the same grain.

    name: of its section in the pipeline's configuration. columns: those that are read.
    """

    name: str
    columns: Sequence[str]

    def is_ready(self, pipeline: Pipeline, partition: Partition) -> bool:
        """Whether its provider has published the partition, or never will as agreed: then the next step says why."""
        with self._connected(pipeline) as con:
            return bool(self._broken(con, pipeline)) or partition.key in self._published(con, pipeline)

    def describe(self, pipeline: Pipeline, partition: Partition, marker: bool = False) -> str:
        given = self.settings(pipeline)
        return f"{given.table} {partition} of {given.project or given.pipeline}"

    def load(self, con: Connection, pipeline: Pipeline, partition: Partition, raw: str, broken: str) -> tuple[int, int]:
        given = self.settings(pipeline)
        if given.is_own:
            return self._load_own(con, pipeline, partition, raw, broken)
        with self._connected(pipeline) as theirs:
            if reason := self._broken(theirs, pipeline):
                raise InputError(reason)
            if partition.key not in self._published(theirs, pipeline):
                raise InputError(f"{self.describe(pipeline, partition)} is not published")
            inside = _inside(_contract(theirs, given) or {}, partition)
            columns = ", ".join(f"CAST({sources.name(each)} AS text)" for each in self.columns)
            cursor = theirs.con.execute(f"SELECT {columns} FROM {sources.name(given.table)} WHERE {inside}")
            rows = (row for block in iter(lambda: cursor.fetchmany(ROWS_AT_ONCE), []) for row in block)
            return sources.stage_rows(con, partition, self.columns, rows, raw, broken), 0

    def _load_own(
        self, con: Connection, pipeline: Pipeline, partition: Partition, raw: str, broken: str
    ) -> tuple[int, int]:
        """Stage the rows within the warehouse."""
        given = self.settings(pipeline)
        if partition.key not in self._published(con, pipeline):
            raise InputError(f"{self.describe(pipeline, partition)} is not published")
        column = pipelines.get(given.pipeline).partition_column
        kinds = warehouse.columns(con, given.table)
        if lost := [each for each in self.columns if each not in kinds]:
            raise InputError(f"{given.table} of {given.pipeline} has no {', '.join(lost)}, which {pipeline.name} reads")
        inside = partition.predicate(column, kinds.get(column, "").lower() == "date")
        columns = ", ".join(f"CAST({sources.name(each)} AS text) AS {sources.name(each)}" for each in self.columns)
        named = sources.row(partition, "row_number() OVER ()")
        query = f"SELECT {named}, {columns} FROM {sources.name(given.table)} WHERE {inside}"
        count = warehouse.stage_query(con, raw, con.con, query)
        warehouse.stage_query(con, broken, con.con, sources.nothing(partition))
        return count, 0

    def newest(self, pipeline: Pipeline, key: str = "") -> dict[str, tuple[datetime, int]]:
        """When each partition was published last, in UTC, and its version; with a key, those of this one."""
        values = [self.settings(pipeline).pipeline, *([key] if key else [])]
        chosen = f"pipeline = ?{' AND partition = ?' if key else ''}"
        with self._connected(pipeline) as con:
            if not warehouse.has(con, publications.PUBLISHED):
                return {}
            selected = f'SELECT partition, max("at"), max(version) FROM {publications.PUBLISHED} WHERE {chosen}'
            rows = warehouse.rows(con, f"{selected} GROUP BY partition", values)
        return {partition: (at.replace(tzinfo=UTC), version) for partition, at, version in rows}

    def settings(self, pipeline: Pipeline) -> config.Provider:
        """Its section. Raises ConfigError without one."""
        try:
            return pipeline.settings.providers[self.name]
        except KeyError:
            raise ConfigError(
                f"config/pipelines/{pipeline.name}.toml has no [providers.{self.name}], which steps.py reads from"
            ) from None

    def status(self, pipeline: Pipeline) -> Status:
        """Whether the provider keeps to its contract, and has published what the pipeline's schedule needed last."""
        given, schedule = self.settings(pipeline), pipeline.settings.schedule
        due = None
        if schedule.cron:
            due = pipeline.due(schedules.previous_tick(schedule.cron, schedule.timezone, datetime.now(UTC)))
        try:
            with self._connected(pipeline) as con:
                published = self._published(con, pipeline)
                newest = max(published) if published else ""
                if reason := self._broken(con, pipeline):
                    return Status(self, pipeline, given, BROKEN, newest, reason, due)
        except SourceUnavailable as error:
            return Status(self, pipeline, given, AWAY, "", str(error), due)
        if due and due.key not in published:
            reason = f"{self.describe(pipeline, due)} is due, and the newest that is published is {newest or 'none'}"
            return Status(self, pipeline, given, LATE, newest, reason, due)
        return Status(self, pipeline, given, FINE, newest, "", due)

    @contextmanager
    def _connected(self, pipeline: Pipeline) -> Iterator[Connection]:
        given, settings = self.settings(pipeline), config.load()
        if given.is_own:
            with warehouse.connect(settings) as con:
                yield con
            return
        theirs = settings.warehouse.model_copy(update={"url": given.warehouse, "password": given.password})
        try:
            with warehouse.connect(settings.model_copy(update={"warehouse": theirs}), read_only=True) as con:
                yield con
        except warehouse.WarehouseError as error:
            raise SourceUnavailable(f"the warehouse of {given.project} does not answer: {error}") from None

    def _published(self, con: Connection, pipeline: Pipeline) -> set[str]:
        if not warehouse.has(con, publications.PUBLISHED):
            return set()
        selected = f"SELECT DISTINCT partition FROM {publications.PUBLISHED} WHERE pipeline = ?"
        return {key for (key,) in warehouse.rows(con, selected, [self.settings(pipeline).pipeline])}

    def _broken(self, con: Connection, pipeline: Pipeline) -> str:
        """Why the table is not what the pipeline is written for; empty when it is, or when nothing is published yet."""
        given = self.settings(pipeline)
        if given.is_own:
            return ""
        contract = _contract(con, given)
        if contract is None:
            if not self._published(con, pipeline):
                return ""
            return f"{given.project} publishes {given.table} under no contract: ask its team for one"
        if contract["version"] != given.contract:
            return (
                f"{given.project} publishes {given.table} under contract {contract['version']}, and {pipeline.name} is "
                f"written for {given.contract}: see what has changed, then set contract in [providers.{self.name}]"
            )
        ends = data_contracts.end_of_life(contract)
        if ends and ends <= datetime.now(UTC).date():
            return f"{given.project} ended {given.table} on {ends}: read what it publishes instead"
        promised = {each["name"] for each in contract["schema"][0]["properties"]}
        if lost := [column for column in self.columns if column not in promised]:
            return f"{given.table} of {given.project} has no {', '.join(lost)}, which {pipeline.name} reads"
        return ""


@dataclass(frozen=True)
class Status:
    """How a provider does. newest: the newest partition that it has published. due: what is needed by now.

    state: ``fresh``, ``late``, ``broken`` or ``away``, when its warehouse does not answer.
    """

    source: Provided
    pipeline: Pipeline
    provider: config.Provider
    state: str
    newest: str
    reason: str
    due: Partition | None


def of(pipeline: Pipeline) -> list[Provided]:
    """The sources of a pipeline that are published tables."""
    given = []
    for each in vars(pipeline.code).values():
        given.append(getattr(each, "source", None))
        for several in ("landed", "sources"):
            given += (getattr(each, several, None) or {}).values()
    return [each for each in dict.fromkeys(given) if isinstance(each, Provided)]


def arrivals(pipeline: Pipeline) -> dict[str, Arrival]:
    """What there is of a pipeline's input, by the partition's key: landed folders, or partitions that are published."""
    if pipeline.settings.is_landed:
        return landing.of(pipeline).arrivals()
    published = [source.newest(pipeline) for source in of(pipeline)]
    there: dict[str, Arrival] = {}
    for key in set().union(*published):
        every = [each[key][0] for each in published if key in each]
        there[key] = Arrival(len(every) == len(published), max(every), max(every))
    return there


def pending(pipeline: Pipeline) -> dict[str, datetime]:
    """Partitions whose input is published and that the pipeline has not published, by key: since when, in UTC."""
    own = publications.latest(pipeline)
    return {key: each.at for key, each in arrivals(pipeline).items() if each.complete and key not in own}


def newest(pipeline: Pipeline, key: str = "") -> dict[str, tuple[datetime, str]]:
    """When the published input was published last, in UTC, and the version of each, by partition."""
    whole: dict[str, tuple[datetime, str]] = {}
    for source in of(pipeline):
        for partition, (at, version) in source.newest(pipeline, key).items():
            before, versions = whole.get(partition, (at, ""))
            whole[partition] = (max(at, before), f"{versions} {source.name}={version}".strip())
    return whole


@dataclass(frozen=True)
class Delivery:
    """A partition that a provider has published. at: when, in UTC. version: counts its publications, from 1."""

    provider: config.Provider
    partition: str
    version: int
    at: datetime

    @property
    def table(self) -> str:
        """Its name for those who read it."""
        return _full_name(self.provider)

    @property
    def facts(self) -> dict[str, str | int]:
        return {"version": self.version, "contract": self.provider.contract, "published": self.at.isoformat()}


def delivered(pipeline: Pipeline, table: str = "") -> list[Delivery]:
    """What the providers of a pipeline have published in the time of `SHOWN`, in order, for orchestrators to show.

    table: only that one, as `Delivery.table` has it; its provider alone is asked.

    A provider that breaks its contract is reported, and shows nothing new. One that is late is reported by the run
    that waits for it.
    """
    given, since = [], datetime.now(UTC) - SHOWN
    for source in of(pipeline):
        provider = source.settings(pipeline)
        if provider.is_own or table not in ("", _full_name(provider)):  # who publishes its own table shows it
            continue
        status = source.status(pipeline)
        if status.state == BROKEN:
            report(status)
            continue
        newest = source.newest(pipeline)
        given += [Delivery(status.provider, key, version, at) for key, (at, version) in newest.items() if at > since]
    return sorted(given, key=lambda each: each.at)


def report(status: Status) -> None:
    """Tell the pipeline's alert channel of a provider that does not deliver, once for what is due, else once a day."""
    given, due = status.provider, str(status.due or "")
    provider = given.project or given.pipeline
    run = Run(f"{provider} {given.table} {status.state} {due or datetime.now(UTC).date()}")
    facts = {"provider": provider, "table": given.table}
    incident = alerts.Incident("provider", status.pipeline.name, due, reason=status.reason, run=run, facts=facts)
    alerts.report(incident)


def _full_name(provider: config.Provider) -> str:
    """The name of a provided table for those who read it."""
    return f"{provider.project}.{provider.table}"


def _contract(con: Connection, given: config.Provider) -> Contract | None:
    if not warehouse.has(con, data_contracts.PUBLISHED):
        return None
    selected = f"SELECT contract FROM {data_contracts.PUBLISHED} WHERE pipeline = ? AND table_name = ?"
    contracts = warehouse.rows(con, selected, [given.pipeline, given.table])
    return json.loads(contracts[0][0]) if contracts else None


def _inside(contract: Contract, partition: Partition) -> str:
    """Of a row of the provider's table, as SQL: whether it belongs to the partition."""
    columns = contract["schema"][0]["properties"]
    parted = next((each for each in columns if each.get("partitioned")), None)
    return partition.predicate(parted["name"], parted["physicalType"] == "date") if parted else "true"
