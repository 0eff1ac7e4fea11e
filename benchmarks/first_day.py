"""From an empty uv cache to the first published day, beside the least that each orchestrator needs to run anything.

With ``--shapes``, to the first published result of those shapes, each on one orchestrator, beside what people start
with: `dbt build` of a small shop's models, and a script that trains a model and registers it in MLflow.

Downloads are part of it, so the network is too: what counts is the ratio within a pair, each from its own empty cache.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from projects import BIN, COPIER, UV, answers, environment, parser_of, scratch, template
from report import ROOT, Figure, conclude, earlier, progress, spent

DAY = "2013-01-02"
CREATE_DAGSTER = "create-dagster@1.13.27"  # of the Dagster that the template asks for at least

FLOW = """
from prefect import flow, task


@task
def one() -> int:
    return 1


@flow
def minimal() -> int:
    return one()


if __name__ == "__main__":
    minimal()
"""
ASSET = """
import dagster as dg


@dg.asset
def one() -> int:
    return 1
"""
DAG = """
from airflow.sdk import dag, task


@dag(schedule=None)
def minimal():
    @task
    def one() -> int:
        return 1

    one()


minimal()
"""


WORKFLOW = """
import asyncio
import shutil
import time
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker


@activity.defn
async def one() -> int:
    return 1


@workflow.defn
class Minimal:
    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity(one, start_to_close_timeout=timedelta(seconds=10))


async def main() -> None:
    server = shutil.which("temporal")
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=server) as environment:
        async with Worker(environment.client, task_queue="minimal", workflows=[Minimal], activities=[one]):
            await environment.client.execute_workflow(Minimal.run, id="minimal", task_queue="minimal")


if __name__ == "__main__":
    asyncio.run(main())
    time.sleep(0.3)  # a thread of the SDK that meets the end of the interpreter crashes the process
"""


# A shop's tables, models and tests, as large as dbt's own introduction; the rows are made here.
SHOP = {
    "dbt_project.yml": """
name: shop
profile: shop
model-paths: [models]
seed-paths: [seeds]
flags: {send_anonymous_usage_stats: false}
models: {shop: {staging: {+materialized: view}, +materialized: table}}
""",
    "profiles.yml": """
shop: {target: dev, outputs: {dev: {type: duckdb, path: shop.duckdb, threads: 2}}}
""",
    "models/staging/stg_customers.sql": "select id as customer_id, first_name, last_name from {{ ref('customers') }}",
    "models/staging/stg_orders.sql": "select id as order_id, customer_id, ordered_at, status from {{ ref('orders') }}",
    "models/staging/stg_payments.sql": "select id as payment_id, order_id, cents / 100 as amount "
    "from {{ ref('payments') }}",
    "models/orders_paid.sql": """
select o.order_id, o.customer_id, o.ordered_at, o.status, coalesce(sum(p.amount), 0) as amount
from {{ ref('stg_orders') }} o left join {{ ref('stg_payments') }} p using (order_id) group by all
""",
    "models/customers_of_shop.sql": """
select c.customer_id, c.first_name, c.last_name, min(o.ordered_at) as first_order, count(o.order_id) as orders,
    sum(o.amount) as spent
from {{ ref('stg_customers') }} c left join {{ ref('orders_paid') }} o using (customer_id) group by all
""",
    "models/models.yml": """
models:
  - {name: stg_customers, columns: [{name: customer_id, data_tests: [unique, not_null]}]}
  - {name: stg_orders, columns: [{name: order_id, data_tests: [unique, not_null]}, {name: status, data_tests: [
      {accepted_values: {arguments: {values: [placed, shipped, returned]}}}]}]}
  - {name: stg_payments, columns: [{name: payment_id, data_tests: [unique, not_null]}]}
  - {name: orders_paid, columns: [{name: order_id, data_tests: [unique, not_null]}, {name: customer_id, data_tests: [
      {relationships: {arguments: {to: ref('customers_of_shop'), field: customer_id}}}]}]}
  - {name: customers_of_shop, columns: [{name: customer_id, data_tests: [unique, not_null]}]}
""",
    "seeds/customers.csv": "id,first_name,last_name\n"
    + "".join(f"{n},Name{n},Family{n % 26}\n" for n in range(1, 101)),
    "seeds/orders.csv": "id,customer_id,ordered_at,status\n"
    + "".join(
        f"{n},{n * 7 % 100 + 1},2018-01-{n % 28 + 1:02},{('placed', 'shipped', 'returned')[n % 3]}\n"
        for n in range(1, 100)
    ),
    "seeds/payments.csv": "id,order_id,cents\n" + "".join(f"{n},{n * 3 % 99 + 1},{n * 25}\n" for n in range(1, 114)),
}
TRAIN = """
import csv, random
import lightgbm, mlflow, pandas

random.seed(0)
rows = pandas.DataFrame({"hour": [n % 24 for n in range(9000)], "distance": [random.random() for _ in range(9000)]})
rows["late"] = [int(random.random() < hour / 48) for hour in rows["hour"]]
mlflow.set_tracking_uri("sqlite:///mlflow.db")
with mlflow.start_run():
    data = lightgbm.Dataset(rows[["hour", "distance"]], rows["late"])
    model = lightgbm.train({"objective": "binary", "num_threads": 1, "verbose": -1}, data, num_boost_round=100)
    mlflow.log_metric("trees", model.num_trees())
    mlflow.lightgbm.log_model(model, name="model", registered_model_name="late", pip_requirements=["lightgbm"])
"""


@dataclass
class Peer:
    """The least way to run something on an orchestrator: commands to make, to set up and to run it, and its files."""

    name: str
    make: list[str] | None = None
    set_up: list[str] = field(default_factory=lambda: ["uv sync --quiet"])
    run: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


PEERS = {
    "airflow": Peer(
        "a minimal DAG run",
        run=["uv run --quiet airflow db migrate", "uv run --quiet airflow dags test minimal"],
        files={"dags/minimal.py": DAG},
    ),
    "dagster": Peer(
        "create-dagster project + one asset materialised",
        make=[f"uvx --quiet {CREATE_DAGSTER} project . --no-uv-sync"],
        set_up=["uv sync --quiet --group dev"],
        run=["uv run --quiet dg launch --assets one"],
        files={"src/peer/defs/one.py": ASSET},
    ),
    "prefect": Peer("a minimal flow run", run=["uv run --quiet python minimal.py"], files={"minimal.py": FLOW}),
    "temporal": Peer(
        "a minimal workflow run", run=["uv run --quiet python minimal.py"], files={"minimal.py": WORKFLOW}
    ),
}


@dataclass(frozen=True)
class Start:
    """What is measured: a project of a shape on an orchestrator, to the first result, and its peer."""

    orchestrator: str
    peer: Peer
    shape: str = "batch_etl"
    partition: str = DAY

    @property
    def name(self) -> str:
        return self.orchestrator if self.shape == "batch_etl" else f"{self.shape} on {self.orchestrator}"


SHAPES = {
    "data_products": Start(
        "dagster", Peer("dbt build of a shop", run=["uv run --quiet dbt build"], files=SHOP), "data_products"
    ),
    "ml_dynamic": Start(
        "prefect",
        Peer("a script with MLflow", run=["uv run --quiet python train.py"], files={"train.py": TRAIN}),
        "ml_dynamic",
        "2013-01",
    ),
}


def main() -> None:
    parser = parser_of(__doc__, repetitions=1)
    parser.add_argument("--shapes", nargs="*", choices=SHAPES, help="measure these shapes instead; without names all")
    asked = parser.parse_args()
    starts = [Start(name, PEERS[name]) for name in asked.orchestrators]
    if asked.shapes is not None:
        starts = [SHAPES[name] for name in asked.shapes or SHAPES]
    measured = {}
    with scratch() as folder:
        source = template(folder)
        for start in starts:
            pairs = []
            for number in range(asked.repetitions):
                ours, peer = folder / "pair" / "ours", folder / "pair" / "peer"
                if number % 2:
                    beside, done = minimal(peer, start), first_day(ours, source, start)
                else:
                    done, beside = first_day(ours, source, start), minimal(peer, start)
                pairs.append((done, beside))
                shutil.rmtree(folder / "pair")
            measured[start.name] = {"peer": start.peer.name, "pairs": pairs}
    measured = earlier("first_day") | measured  # what was not asked for keeps its figures
    asked.orchestrators = sorted(name for name in measured if name in PEERS)
    asked.shapes = sorted(name.split()[0] for name in measured if name not in PEERS)
    figures = [figure for name in sorted(measured) for figure in told(name, **measured[name])]
    conclude("first_day", figures, asked, measured)


def told(name: str, peer: str, pairs: list[tuple[dict, dict]]) -> list[Figure]:
    def median(side: int, key: str) -> float:
        return statistics.median(pair[side][key] for pair in pairs)

    result = "day" if name in PEERS else "result"
    ratio = statistics.median(ours["total"] / theirs["total"] for ours, theirs in pairs)
    parts = [part for part in pairs[0][0] if part not in ("total", "megabytes")]
    return [
        Figure(f"{name}: to the first published {result}, {peer} = 1", ratio, "times"),
        Figure(f"{name}: to the first published {result}", median(0, "total"), "s"),
        *(Figure(f"{name}: of that, {part}", median(0, part), "s") for part in parts),
        Figure(f"{name}: {peer}", median(1, "total"), "s"),
        *(Figure(f"{name}: of that, {part}", median(1, part), "s") for part in parts),
        Figure(f"{name}: environment", median(0, "megabytes"), "MB"),
        Figure(f"{name}: environment, {peer}", median(1, "megabytes"), "MB"),
    ]


def first_day(folder: Path, source: Path, start: Start) -> dict[str, float]:
    """Seconds of copier copy, make setup and make run, with a uv cache of its own; size of the environment in MB."""
    project = folder / "project"
    variables = own_environment(folder)
    copy = [COPIER, "copy", "--quiet", "--defaults", *answers(start.orchestrator)]
    copy += ["--data", f"pipeline_shape={start.shape}", source, project]
    make = ["make", "--no-print-directory", f"UV={UV}"]
    parts = {
        "render": spent(copy, environment=variables).wall,
        "setup": spent([*make, "setup"], cwd=project, environment=variables).wall,
        "run": spent([*make, "run", f"DATE={start.partition}"], cwd=project, environment=variables).wall,
    }
    return finished(f"{start.name}: first published result", parts, project)


def minimal(folder: Path, start: Start) -> dict[str, float]:
    """The same three parts of the peer."""
    peer = start.peer
    project = folder / "peer"
    project.mkdir(parents=True)
    variables = own_environment(
        folder,
        # What a rendered project has in deploy/local/: state of its own, and nothing sent to anyone.
        AIRFLOW_HOME=str(folder / "state"),
        AIRFLOW__CORE__DAGS_FOLDER=str(project / "dags"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        PREFECT_HOME=str(folder / "state"),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DAGSTER_DISABLE_TELEMETRY="true",
        MLFLOW_DISABLE_TELEMETRY="true",
        DO_NOT_TRACK="1",
    )

    def seconds(commands: list[str]) -> float:
        return sum(spent(command.split(), cwd=project, environment=variables).wall for command in commands)

    parts = {"render": seconds(peer.make or [])}
    if peer.make is None:
        (project / "pyproject.toml").write_text(pyproject(start))
    for name, text in peer.files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text.lstrip())
    parts |= {"setup": seconds(peer.set_up), "run": seconds(peer.run)}
    return finished(f"{start.name}: {peer.name}", parts, project)


def pyproject(start: Start) -> str:
    """A project of nothing but the peer, in the versions that the template asks for."""
    manifest = yaml.safe_load((ROOT / "template" / f"[[{start.orchestrator}]]" / "manifest.yml").read_text())
    packages = manifest["dependencies"][:1] + manifest.get("dev_dependencies", [])[:1]
    if start.shape == "data_products":
        environment = ROOT / "template/[[shared]]/[[with_data_products]]/environments/dbt/pyproject.toml"
        tool = tomllib.loads(environment.read_text())
        packages = tool["project"]["dependencies"]
    elif start.shape != "batch_etl":
        packages = manifest["shape_dependencies"][start.shape]
    return (
        '[project]\nname = "peer"\nversion = "0.1.0"\nrequires-python = ">=3.11,<3.14"\n'
        f"dependencies = {packages}\n"
        f"[tool.uv]\noverride-dependencies = {manifest.get('override_dependencies', [])}\n"
    )


def own_environment(folder: Path, **state: str) -> dict[str, str]:
    """An empty uv cache, this Python, and no state or settings of an orchestrator but those given."""
    folder.mkdir(parents=True, exist_ok=True)
    variables = environment(
        UV_CACHE_DIR=str(folder / "uv-cache"),
        UV_PYTHON=sys.executable,
        UV_PYTHON_DOWNLOADS="never",
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="300",  # 20 s are too few with cold caches
        **state,
    )
    return variables | {"PATH": f"{BIN}:{variables['PATH']}"}


def finished(what: str, parts: dict[str, float], project: Path) -> dict[str, float]:
    size = sum(file.lstat().st_size for file in (project / ".venv").rglob("*"))
    progress(f"{what}: {', '.join(f'{part} {seconds:.1f} s' for part, seconds in parts.items())}")
    return parts | {"total": sum(parts.values()), "megabytes": size / 1e6}


if __name__ == "__main__":
    main()
