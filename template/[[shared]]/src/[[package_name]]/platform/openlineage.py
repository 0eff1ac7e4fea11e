"""OpenLineage: what each run tells a catalogue of lineage, where ``[lineage]`` says so; off by default.

Needs the dependency group ``telemetry``. On every orchestrator, a run of a pipeline is a run of one job: START with its
first step, RUNNING when its models are built, COMPLETE when it has published, FAIL when it has failed for good.
Datasets are the files that land and the published tables, with their columns, and what each column is made of where
that is known. An event holds names and numbers, no rows and no secrets. One that cannot be delivered fails no run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

from . import claims, config, logging, masking, outgoing, secrets, warehouse
from .errors import ConfigError
from .runs import Run, current_run

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import schema_dataset

    from .lineage import Lineage
    from .partitions import Partition
    from .pipelines import Pipeline

PACKAGE = __name__.split(".")[0]
PRODUCER = f"urn:orch-starter:{PACKAGE}"
SEND_SECONDS = 3  # a receiver that does not answer costs a run no more than this at each event
LOCK_SECONDS = 1  # to look at a DuckDB file that another process has
FILE = "openlineage.jsonl"


def started(pipeline: Pipeline, partition: Partition) -> None:
    """The run begins. Raises ConfigError when events are wanted and the library is not installed."""
    if not _is_on():
        return
    try:
        import openlineage.client  # noqa: F401  whether it is there
    except ImportError:
        raise ConfigError(
            "lineage.openlineage is set, but its library is not installed: leave it empty, or add telemetry to "
            "default-groups in pyproject.toml and run make setup"
        ) from None
    _send("START", pipeline.name, partition.key, current_run(), lambda: {"inputs": _inputs(pipeline)})


def built(pipeline: Pipeline, partition: Partition) -> None:
    """The models are built, by a machine that knows what each column is made of; another one may publish them."""
    _send("RUNNING", pipeline.name, partition.key, current_run(), partial(_datasets, pipeline, {}))


def completed(pipeline: Pipeline, partition: Partition, rows: Mapping[str, int]) -> None:
    """The run has published. rows: by table."""
    _send("COMPLETE", pipeline.name, partition.key, current_run(), partial(_datasets, pipeline, rows))


def failed(pipeline: str, partition: str, run: Run, reason: str) -> None:
    """The run has failed for good. Whoever notices it first says so: its step knows the reason best."""
    if not _is_on():
        return
    settings = config.load()
    with claims.hold(settings, f"openlineage {run_id(settings, pipeline, partition, run)}") as claim:
        claim.done = claim.done or _send("FAIL", pipeline, partition, run, dict, reason)


def run_id(settings: config.Settings, pipeline: str, partition: str, run: Run) -> UUID:
    """The same in all steps and repetitions of the run, in whatever process they run."""
    return uuid5(NAMESPACE_URL, "/".join((PRODUCER, settings.env, pipeline, partition, *run.owner)))


def _is_on() -> bool:
    return bool(config.load().lineage.openlineage)


def _send(
    state: str, pipeline: str, partition: str, run: Run, datasets: Callable[[], dict[str, Any]], reason: str = ""
) -> bool:
    """Whether the event was delivered."""
    if not _is_on():
        return False
    settings = config.load()

    def send() -> None:
        from openlineage.client.event_v2 import Job, RunEvent, RunState
        from openlineage.client.event_v2 import Run as RunOfEvent
        from openlineage.client.facet_v2 import error_message_run, job_type_job

        engine = run.engine or "none"
        facets = {}
        if reason:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(masking.mask(reason), "python")
        kind = job_type_job.JobTypeJobFacet(processingType="BATCH", integration=engine.upper(), jobType="PIPELINE")
        event = RunEvent(
            eventType=RunState[state],
            eventTime=datetime.now(UTC).isoformat(),
            producer=PRODUCER,
            run=RunOfEvent(runId=str(run_id(settings, pipeline, partition, run)), facets=facets),
            job=Job(namespace=f"{PACKAGE}/{settings.env}", name=pipeline, facets={"jobType": kind}),
            **datasets(),
        )
        _deliver(settings, event)

    try:
        outgoing.within(SEND_SECONDS, send, key="openlineage")
    except Exception as error:  # noqa: BLE001  a run must not fail for what a catalogue does not hear
        log, words = logging.get_logger(), masking.mask(f"{type(error).__name__}: {error}")
        log.warning("lineage event not delivered", state=state, reason=words)
        return False
    return True


def _deliver(settings: config.Settings, event: Any) -> None:
    from filelock import FileLock
    from openlineage.client import OpenLineageClient

    wanted = settings.lineage.openlineage
    if wanted != "file":
        from openlineage.client.transport.http import HttpConfig, HttpTransport

        key = secrets.resolve(settings.lineage.api_key, settings.secrets)
        options = {"url": wanted, "timeout": SEND_SECONDS, "retry": {"total": 1, "read": 1, "connect": 1}}
        if key:
            options["auth"] = {"type": "api_key", "apiKey": key}
        OpenLineageClient(transport=HttpTransport(HttpConfig.from_dict(options))).emit(event)
        return
    from openlineage.client.transport.file import FileConfig, FileTransport

    path = settings.state / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # parallel runs take turns
        OpenLineageClient(transport=FileTransport(FileConfig(str(path), append=True))).emit(event)


def _datasets(pipeline: Pipeline, rows: Mapping[str, int]) -> dict[str, Any]:
    return {"inputs": _inputs(pipeline), "outputs": list(_outputs(pipeline, rows))}


def _inputs(pipeline: Pipeline) -> list[InputDataset]:
    """What lands: a dataset for each landed table of a pipeline with models, else one for the folder.

    A published table goes by the name under which its project publishes it.
    """
    from openlineage.client.event_v2 import InputDataset

    from . import providers

    if not pipeline.settings.landing.url:
        given = [source.settings(pipeline) for source in providers.of(pipeline)]
        here = config.load().warehouse.url
        named = [(*_warehouse(each.warehouse or here), each.table) for each in given]
        return [InputDataset(namespace, f"{prefix}.{table}") for namespace, prefix, table in named]
    namespace, place = _landing(pipeline)
    tables = _landed(pipeline)
    if not tables:
        return [InputDataset(namespace, place)]
    return [
        InputDataset(namespace, f"{place}/{name}", facets={"schema": _schema(dict.fromkeys(columns, "text"))})
        for name, columns in tables.items()
    ]


def _outputs(pipeline: Pipeline, rows: Mapping[str, int]) -> Iterator[OutputDataset]:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import column_lineage_dataset, output_statistics_output_dataset

    known = _known_lineage(pipeline)
    columns = _columns(pipeline)
    namespace, prefix = _warehouse(config.load().warehouse.url)
    for table in pipeline.tables:
        facets: dict[str, Any] = {}
        if columns.get(table):
            facets["schema"] = _schema(columns[table])
        if known and table in known.columns:
            landed, place = _landing(pipeline)
            facets["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(
                {
                    column: column_lineage_dataset.Fields(
                        [
                            column_lineage_dataset.InputField(landed, f"{place}/{source}", each)
                            for source, each in sorted(known.landed(table, column))
                        ]
                    )
                    for column in known.columns[table]
                }
            )
        counted = {}
        if table in rows:
            counted["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                rowCount=rows[table]
            )
        yield OutputDataset(namespace, f"{prefix}.{table}", facets=facets, outputFacets=counted)


def _schema(columns: Mapping[str, str]) -> schema_dataset.SchemaDatasetFacet:
    from openlineage.client.facet_v2 import schema_dataset

    fields = [schema_dataset.SchemaDatasetFacetFields(name, kind) for name, kind in columns.items()]
    return schema_dataset.SchemaDatasetFacet(fields)


def _landed(pipeline: Pipeline) -> Mapping[str, Sequence[str]]:
    """Columns of the landed tables of a pipeline with models."""
    products = getattr(pipeline.code, "products", None)
    sources = {**products.landed, **products.reference} if products else {}
    return {name: source.columns for name, source in sources.items()}


def _known_lineage(pipeline: Pipeline) -> Lineage | None:
    """What columns are made of, where this machine has built the models."""
    from . import dbt, lineage

    try:
        return lineage.read(pipeline) if dbt.is_used_by(pipeline) else None
    except ConfigError:
        return None


def _columns(pipeline: Pipeline) -> dict[str, dict[str, str]]:
    """Columns of the published tables; nothing while the warehouse is busy."""
    settings = config.load()
    hurried = settings.warehouse.model_copy(update={"lock_timeout_seconds": LOCK_SECONDS})
    try:
        with warehouse.connect(settings.model_copy(update={"warehouse": hurried})) as con:
            return {table: warehouse.columns(con, table) for table in pipeline.tables}
    except warehouse.WarehouseError:
        return {}


def _landing(pipeline: Pipeline) -> tuple[str, str]:
    """Namespace and name of a pipeline's landing place, as OpenLineage names files and objects."""
    settings = config.load()
    url = pipeline.settings.landing.url.rstrip("/")
    parts = urlsplit(url)
    if parts.scheme:
        return f"{parts.scheme}://{parts.netloc}", parts.path.strip("/") or "/"
    return "file", str(settings.root / url)


def _warehouse(url: str) -> tuple[str, str]:
    """Namespace of a warehouse, and what the names of its tables begin with, as OpenLineage's own client for dbt."""
    parts = urlsplit(url)
    if parts.scheme == "duckdb":
        path = config.load().root / url.removeprefix("duckdb://")
        return f"duckdb://{path}", f"{path.stem}.main"
    return f"postgres://{parts.hostname or 'localhost'}:{parts.port or 5432}", f"{parts.path.lstrip('/')}.public"
