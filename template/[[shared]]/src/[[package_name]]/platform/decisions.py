"""Decisions of people: what waits for one, who decided, when, why, and on which evidence.

The table ``platform.approvals`` of the warehouse has a row for each request, which is decided once: approved, rejected,
or expired. ``platform.refused_decisions`` has the attempts that did not count. Whatever the orchestrator, the row
decides: its run reads the row before it continues.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from . import alerts, config, logging, warehouse
from .errors import ConfigError, DecisionPending, NotApproved, Refused
from .runs import Run, current_run

if TYPE_CHECKING:
    from .partitions import Partition
    from .pipelines import Pipeline
    from .warehouse import Connection

TABLE, REFUSED = "platform.approvals", "platform.refused_decisions"
LOCK = "approvals"
PENDING, APPROVED, REJECTED, EXPIRED = "pending", "approved", "rejected", "expired"
COLUMNS = {
    "id": "text PRIMARY KEY",
    **dict.fromkeys(("pipeline", "partition", "engine", "run", "url"), "text"),
    "waits": "boolean",
    "evidence": "text",
    **dict.fromkeys(("requested_at", "remind_at", "expires_at", "reminded_at"), "timestamp"),
    **dict.fromkeys(("state", "decided_by"), "text"),
    "decided_at": "timestamp",
    **dict.fromkeys(("reason", "via"), "text"),
    "told_at": "timestamp",
}
REFUSED_COLUMNS = 'request text, "by" text, via text, decision text, reason text, refused_because text, "at" timestamp'


@dataclass(frozen=True)
class Request:
    """A request for a decision. Times are in UTC.

    engine, run: whose run asks. waits: whether that run goes on by itself once it is told; otherwise the command that
    decides does what is left. evidence: what the decider needs, by name. state: ``pending``, ``approved``,
    ``rejected`` or ``expired``. via: how the decision came, and what that says of who decided. told_at: when the run
    was told.
    """

    id: str
    pipeline: str
    partition: str
    engine: str
    run: str
    url: str
    waits: bool
    evidence: Mapping[str, Any] = field(hash=False)
    requested_at: datetime
    remind_at: datetime
    expires_at: datetime
    reminded_at: datetime | None
    state: str
    decided_by: str
    decided_at: datetime | None
    reason: str
    via: str
    told_at: datetime | None

    @property
    def is_pending(self) -> bool:
        return self.state == PENDING

    @property
    def is_open(self) -> bool:
        """Whether it can still be decided."""
        return self.is_pending and self.expires_at > _now()

    @property
    def seconds_left(self) -> float:
        """Until something is due if nobody decides: the reminder, or else the end."""
        due = self.expires_at if self.reminded_at else min(self.remind_at, self.expires_at)
        return max((due - _now()).total_seconds(), 0)

    def __str__(self) -> str:
        """What has become of it, in words."""
        if self.is_pending:
            return f"waits for a decision until {_shown(self.expires_at)}"
        because = f": {self.reason}" if self.reason else ""
        if self.state == EXPIRED:
            return f"expired at {_shown(self.expires_at)}"
        return f"was {self.state} by {self.decided_by} at {_shown(self.decided_at)}{because}"

    def facts(self) -> dict[str, str]:
        """What the decider needs and how to answer, line by line."""
        settings = config.load()
        env = "" if settings.env == "dev" else f" ENV={settings.env}"
        return {
            **{name: number(value) for name, value in self.evidence.items()},
            "deciders": ", ".join(settings.for_pipeline(self.pipeline).approval.deciders),
            "until": _shown(self.expires_at),
            "approve": f"make approvals APPROVE={self.id}{env}",
            "reject": f'make approvals REJECT={self.id} REASON="..."{env}',
        }


def ask(pipeline: Pipeline, partition: Partition, evidence: Mapping[str, Any], *, waits: bool) -> Request:
    """Ask for a decision about what the current run has prepared, and send the request to the alert channel.

    waits: see `Request`. A run that asks again while its request is pending gets that one. Raises DecisionPending while
    that of another run is.
    """
    run, now, settings = current_run(), _now(), pipeline.settings.approval
    with warehouse.connect() as con:
        prepare(con)
        with warehouse.transaction(con, lock=LOCK):
            before = _of(con, pipeline, partition)
            pending = [each for each in before if each.is_open]
            _refuse_other(pending, run)
            if not pending:
                request = Request(
                    id=f"{pipeline.name}-{partition.key}-{len(before) + 1}",
                    pipeline=pipeline.name,
                    partition=partition.key,
                    engine=run.engine,
                    run=run.root or run.id,
                    url=run.url,
                    waits=waits,
                    evidence=dict(evidence),
                    requested_at=now,
                    remind_at=now + timedelta(seconds=settings.remind_after_seconds),
                    expires_at=now + timedelta(seconds=settings.expire_after_seconds),
                    **dict.fromkeys(("reminded_at", "decided_at", "told_at")),
                    **dict.fromkeys(("decided_by", "reason", "via"), ""),
                    state=PENDING,
                )
                values = {**vars(request), "evidence": json.dumps(request.evidence)}
                marks = ", ".join("?" * len(COLUMNS))
                warehouse.run(con, f"INSERT INTO {TABLE} VALUES ({marks})", [_stored(values[key]) for key in COLUMNS])
                pending = [request]
    _send("approval", pending[0])
    return pending[0]


def refuse_while_pending(pipeline: Pipeline, partition: Partition) -> None:
    """Raise DecisionPending while people are asked about what another run of this partition has prepared."""
    with warehouse.connect() as con:
        requests = _of(con, pipeline, partition)
    _refuse_other([each for each in requests if each.is_open], current_run())


def decide(request_id: str, decision: str, by: str, reason: str, via: str) -> Request:
    """Note a decision, ``approved`` or ``rejected``. Raises ConfigError when there is no such request.

    Raises Refused, and notes and logs the attempt, when the person is not one of the pipeline's deciders, gives no
    reason for a rejection, or comes too late: the request is decided or has expired.
    """
    with warehouse.connect() as con:
        prepare(con)
        with warehouse.transaction(con, lock=LOCK):
            request = _get(con, request_id)
            if request.is_pending and not request.is_open:
                request = _close(con, request, EXPIRED)
            problem = _problem(request, decision, by, reason)
            if problem:
                values = [request_id, by, via, decision, reason, problem, _stored(_now())]
                warehouse.run(con, f"INSERT INTO {REFUSED} VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            else:
                request = _close(con, request, decision, by, reason, via)
    log = logging.get_logger().bind(pipeline=request.pipeline, partition=request.partition, request=request.id)
    if problem:
        log.warning("decision refused", decision=decision, by=by, via=via, reason=problem)
        raise Refused(problem)
    log.info("decided", decision=decision, by=by, via=via, reason=reason)
    return request


def expire(request_id: str) -> Request:
    """Close a request whose time is over, and report it; one that is decided stays as it is."""
    with warehouse.connect() as con, warehouse.transaction(con, lock=LOCK):
        request = _get(con, request_id)
        if request.is_pending and not request.is_open:
            request = _close(con, request, EXPIRED)
    if request.state == EXPIRED:
        _send("expired", request)
    return request


def remind(request: Request) -> None:
    """Send the reminder of a request that is still pending, once."""
    if not request.is_open or request.reminded_at:
        return
    _send("reminder", request)
    with warehouse.connect() as con:
        warehouse.run(con, f"UPDATE {TABLE} SET reminded_at = ? WHERE id = ?", [_stored(_now()), request.id])


def look_after(pipeline: Pipeline) -> None:
    """Remind of the pipeline's requests that are due for it, and close those whose time is over."""
    for request in of_pipeline(pipeline):
        if request.is_open and request.remind_at <= _now():
            remind(request)
        elif request.is_pending and not request.is_open:
            expire(request.id)


def look(pipeline: Pipeline, partition: Partition) -> Request:
    """The request of the current run as it is now, reminded of and closed when it is time.

    For runs that look again and again, by themselves. Raises NotApproved when the run has not asked.
    """
    look_after(pipeline)
    request = of_run(pipeline, partition, current_run())
    if request is None:
        raise NotApproved(f"this run has not asked about {pipeline.name} {partition}: run it from its first step")
    if untold(request):
        note_delivered(request)
    return request


def note_delivered(request: Request) -> None:
    """Note that the run of a request knows what was decided."""
    with warehouse.connect() as con:
        warehouse.run(con, f"UPDATE {TABLE} SET told_at = ? WHERE id = ?", [_stored(_now()), request.id])


def approved(pipeline: Pipeline, partition: Partition) -> Request:
    """The approval of the partition's newest request. Raises NotApproved when there is none."""
    with warehouse.connect() as con:
        requests = _of(con, pipeline, partition)
    if not requests:
        raise NotApproved(f"nobody was asked about {pipeline.name} {partition}: run it from its first step")
    if requests[-1].state != APPROVED:
        raise NotApproved(f"{requests[-1].id} {requests[-1]}, so it is not promoted")
    return requests[-1]


def get(request_id: str) -> Request:
    """The request with this id. Raises ConfigError when there is none."""
    with warehouse.connect() as con:
        return _get(con, request_id)


def of_run(pipeline: Pipeline, partition: Partition, run: Run) -> Request | None:
    """The newest request of a run; None when it has not asked yet."""
    with warehouse.connect() as con:
        own = [each for each in _of(con, pipeline, partition) if (each.engine, each.run) == run.owner]
    return own[-1] if own else None


def of_pipeline(pipeline: Pipeline | None = None) -> list[Request]:
    """All requests of a pipeline, or of all, the oldest first."""
    with warehouse.connect() as con:
        where, values = ("pipeline = ?", [pipeline.name]) if pipeline else ("true", [])
        return _select(con, where, values)


def untold(request: Request) -> bool:
    """Whether the request is decided and its run does not know yet."""
    return not request.is_pending and request.told_at is None


def prepare(con: Connection) -> None:
    """Make the tables where they are missing."""
    if warehouse.has(con, TABLE):
        return
    with warehouse.transaction(con, lock="platform"):
        warehouse.run(con, "CREATE SCHEMA IF NOT EXISTS platform")
        warehouse.run(con, f"CREATE TABLE IF NOT EXISTS {REFUSED} ({REFUSED_COLUMNS})")
        columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
        warehouse.run(con, f"CREATE TABLE IF NOT EXISTS {TABLE} ({columns})")


def check(pipeline: Pipeline) -> None:
    """Raise ConfigError when the pipeline waits for a decision that nobody may make."""
    if pipeline.held_step and not pipeline.settings.approval.deciders:
        raise ConfigError(
            f"{pipeline.name} waits for a decision and names nobody who may decide: write deciders under [approval] in "
            f"config/pipelines/{pipeline.name}.toml"
        )


def _refuse_other(pending: list[Request], run: Run) -> None:
    for request in pending:
        if (request.engine, request.run) != run.owner:
            raise DecisionPending(
                f"{request.pipeline} {request.partition} {request}, as request {request.id}: decide that one first"
            )


def _problem(request: Request, decision: str, by: str, reason: str) -> str:
    """Why the decision does not count; empty when it does."""
    deciders = config.load().for_pipeline(request.pipeline).approval.deciders
    if by not in deciders:
        return (
            f"{by or 'nobody'} may not decide about {request.pipeline}: the deciders in "
            f"config/pipelines/{request.pipeline}.toml are {', '.join(deciders) or 'nobody'}"
        )
    if not request.is_pending:
        again = "; run the partition again to ask again" if request.state == EXPIRED else ", and a decision is final"
        return f"{request.id} {request}{again}"
    if decision == REJECTED and not reason.strip():
        return f'a rejection needs a reason: make approvals REJECT={request.id} REASON="..."'
    return ""


def _close(con: Connection, request: Request, state: str, by: str = "", reason: str = "", via: str = "") -> Request:
    values = [state, by, reason, via, _now(), request.id]
    changed = "state = ?, decided_by = ?, reason = ?, via = ?, decided_at = ?"
    warehouse.run(con, f"UPDATE {TABLE} SET {changed} WHERE id = ?", [_stored(each) for each in values])
    return _get(con, request.id)


def _send(kind: alerts.Kind, request: Request) -> None:
    # The request stands for the run: one run may ask several times, and each is sent once.
    run = Run(request.id, url=request.url, engine=request.engine)
    facts = request.facts() if request.is_pending else {"request": request.id}
    alerts.report(alerts.Incident(kind, request.pipeline, request.partition, run=run, facts=facts))


def _get(con: Connection, request_id: str) -> Request:
    for request in _select(con, "id = ?", [request_id]):
        return request
    raise ConfigError(f"there is no request {request_id}: make approvals lists them")


def _of(con: Connection, pipeline: Pipeline, partition: Partition) -> list[Request]:
    return _select(con, "pipeline = ? AND partition = ?", [pipeline.name, partition.key])


def _select(con: Connection, where: str, values: list[Any]) -> list[Request]:
    if not warehouse.has(con, TABLE):
        return []
    columns = ", ".join(f'"{name}"' for name in COLUMNS)
    chosen = f"SELECT {columns} FROM {TABLE} WHERE {where} ORDER BY requested_at, id"
    return [_request(dict(zip(COLUMNS, row, strict=True))) for row in warehouse.rows(con, chosen, values)]


def _request(row: dict[str, Any]) -> Request:
    instants = {name: value.replace(tzinfo=UTC) for name, value in row.items() if isinstance(value, datetime)}
    return Request(**{**row, **instants, "evidence": json.loads(row["evidence"])})


def _stored(value: Any) -> Any:
    """As the warehouse takes it: instants without zone are UTC."""
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


def _now() -> datetime:
    return datetime.now(UTC)


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def number(value: object) -> str:
    """A figure for people: a whole number in full, another one with four digits."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:,.4g}"
    return str(value)
