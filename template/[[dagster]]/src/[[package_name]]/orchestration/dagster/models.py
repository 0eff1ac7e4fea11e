"""dbt's models as assets, and their tests as checks. dbt itself has an environment of its own, see `platform.dbt`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource
from packaging.version import Version

from ...platform import dbt, lineage
from ...platform.errors import ConfigError, ContractError
from ...platform.pipelines import Pipeline
from . import provided
from .policies import STEP

if TYPE_CHECKING:
    from .warehouse import Warehouse


class Translator(DagsterDbtTranslator):
    """Models of a pipeline are assets of its group, named after it; what they publish has names of its own."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True))
        self.pipeline = pipeline

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        source = [dbt_resource_props["source_name"]] if dbt_resource_props["resource_type"] == "source" else []
        return dg.AssetKey([self.pipeline.name, *source, lineage.name_of(dbt_resource_props)])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return self.pipeline.name


class SeparateDbt(DbtCliResource):
    """dbt in another environment than this process: it cannot be imported here, and need not be asked its version."""

    @property
    def _cli_version(self) -> Version:
        return Version("1.11")

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:
        return None


def manifest(pipeline: Pipeline) -> Path:
    """dbt's manifest, written again when the models have changed."""
    path = dbt.manifest(pipeline)
    dbt.read_manifest(path)
    return path


def landed_specs(pipeline: Pipeline, path: Path) -> list[dg.AssetSpec]:
    """An asset for each landed table that models read."""
    translator = Translator(pipeline)
    sources = dbt.read_manifest(path)["sources"].values()
    return [
        dg.AssetSpec(
            translator.get_asset_key(each),
            deps=provided.keys(pipeline, pipeline.code.products.landed.get(each["name"], ())),
            group_name=pipeline.name,
            description=each.get("description"),
        )
        for each in sources
    ]


def published_specs(pipeline: Pipeline, path: Path, **options: Any) -> list[dg.AssetSpec]:
    """An asset for each published table, with the description and the owner of its model."""
    read = dbt.read_manifest(path)
    models = {lineage.name_of(node): node for node in read["nodes"].values() if node["resource_type"] == "model"}
    groups = {each["name"]: each["owner"].get("email") for each in read["groups"].values()}
    specs = []
    for name in pipeline.tables:
        if name not in models:
            raise ConfigError(f"{pipeline.name} publishes {name}, and dbt has no model of this name")
        owner = groups.get(models[name].get("group"))
        specs.append(
            dg.AssetSpec(
                name,
                deps=[dg.AssetKey([pipeline.name, name])],
                group_name=pipeline.name,
                description=models[name].get("description"),
                owners=[owner] if owner else [],
                kinds={"table"},
                **options,
            )
        )
    return specs


def build(pipeline: Pipeline, context: dg.AssetExecutionContext, warehouse: Warehouse) -> Iterator[Any]:
    """Events of a build: a materialization for each model and an evaluation for each test, also when one fails."""
    events: list[Any] = []

    def run(arguments: Sequence[str]) -> list[dbt.Node]:
        with _variables(pipeline):
            tool = SeparateDbt(
                project_dir=str(dbt.folder(pipeline)), profiles_dir=str(dbt.PROFILES), dbt_executable=dbt.executable()
            )
            target = dbt.state(pipeline) / "target"
            started = tool.cli(list(arguments), context=context, raise_on_error=False, target_path=target)
            with redirect_stdout(sys.stderr):  # the terminal of `make run` is the project's
                events.extend(started.stream())
        return dbt.results(pipeline, started.process.returncode, str(started.get_error() or ""))

    try:
        warehouse.run(pipeline, "build", context, run=run)
    except ContractError as error:
        yield from events
        raise dg.Failure(str(error), {STEP: "build"}, allow_retries=False) from error
    except dg.Failure:
        yield from events
        raise
    for key in context.selected_asset_keys:
        context.add_asset_metadata(metadata(pipeline, key.path[-1], is_model=True), asset_key=key)
    yield from events


def metadata(pipeline: Pipeline, table: str, is_model: bool = False) -> dict[str, Any]:
    """Columns of a model, or of the table that it is published as, and the columns that they are made of."""
    known = lineage.read(pipeline)
    columns = known.columns.get(table, {})
    made: dict[str, Any] = {}
    if columns:
        deps = {
            column: [
                dg.TableColumnDep(asset_key=_key(pipeline, known, origin), column_name=name) for origin, name in origins
            ]
            for column, origins in columns.items()
        }
        if not is_model:
            own = dg.AssetKey([pipeline.name, table])
            deps = {column: [dg.TableColumnDep(asset_key=own, column_name=column)] for column in columns}
        made["dagster/column_lineage"] = dg.TableColumnLineage(deps)
        made["dagster/column_schema"] = dg.TableSchema([dg.TableColumn(column) for column in columns])
    return made


def _key(pipeline: Pipeline, known: lineage.Lineage, table: str) -> dg.AssetKey:
    return dg.AssetKey([pipeline.name, *(["landed"] if known.kinds.get(table) == "source" else []), table])


@contextmanager
def _variables(pipeline: Pipeline) -> Iterator[None]:
    """dbt's variables in this process, whose environment dagster-dbt hands to dbt."""
    before = dict(os.environ)
    os.environ.update(dbt.environment(pipeline))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
