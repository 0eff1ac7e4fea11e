"""Data contracts of published tables, as files of the Open Data Contract Standard 3.1: `make contracts` writes them.

They say what dbt's manifest says of each public model whose contract is enforced, and of a pipeline without models what
each class in ``CONTRACTS`` says of its table: columns, types, what is never null, owner, how late the table may be.
`make lint` refuses a file that is not current or not valid, and a change that breaks what was released.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import config, contracts, dbt, lineage, warehouse
from .errors import ConfigError, PermanentError
from .partitions import Grain

if TYPE_CHECKING:
    from .pipelines import Pipeline
    from .warehouse import Connection

FOLDER = "contracts"
PUBLISHED = "platform.contracts"  # what is in force, for those who read the tables
API = "v3.1.0"
HEAD = "# Written by `make contracts` from {source} of {pipeline}: change {it}, not this file.\n"
# What a type of `contracts.Column` is called in the warehouse.
PHYSICAL = {"string": "text", "int32": "integer", "int64": "bigint", "float64": "double precision"}
VERSION = re.compile(r"_v(\d+)$")  # ends the name of a table that is published beside its former version
LOGICAL = {
    **dict.fromkeys(("text", "varchar"), "string"),
    **dict.fromkeys(("integer", "bigint"), "integer"),
    **dict.fromkeys(("double precision", "double", "numeric"), "number"),
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}
FREQUENCY = {Grain.HOUR: "h", Grain.DAY: "d", Grain.WEEK: "w", Grain.MONTH: "m"}

Contract = dict[str, Any]


def made(pipeline: Pipeline, project: str) -> dict[str, Contract]:
    """The contract of each published table that has one, by table. project: the name of the project."""
    if not dbt.is_used_by(pipeline):
        return _of_classes(pipeline, project)
    manifest = dbt.read_manifest(dbt.manifest(pipeline))
    tests = _tests(manifest)
    groups = {each["name"]: each["owner"] for each in manifest["groups"].values()}
    whole = {}
    for key, node in manifest["nodes"].items():
        name = lineage.name_of(node) if node["resource_type"] == "model" else ""
        if name in pipeline.tables and node["access"] == "public" and node["config"]["contract"]["enforced"]:
            whole[name] = _contract(
                pipeline,
                project,
                name,
                _columns_of_model(pipeline, node, tests.get(key, {})),
                node.get("description") or "",
                version=node.get("version") or 1,
                owner=groups.get(node.get("group"), {}),
                ends=node.get("deprecation_date"),
            )
    return whole


def _of_classes(pipeline: Pipeline, project: str) -> dict[str, Contract]:
    """As `made`, of a pipeline without models: from the classes of its ``contract.py``."""
    if not find_spec(f"{pipeline.module}.contract"):
        return {}
    classes = import_module(f"{pipeline.module}.contract").CONTRACTS
    whole = {}
    for name in pipeline.tables:
        if name not in classes:
            continue
        version = VERSION.search(name)
        whole[name] = _contract(
            pipeline,
            project,
            name,
            _columns_of_class(pipeline, classes[name]),
            " ".join((classes[name].__doc__ or "").split()),
            version=int(version[1]) if version else 1,
        )
    return whole


def write(pipeline: Pipeline, project: str) -> list[Path]:
    """Write the contract of each table, and remove those of tables that have none any more. Returns the files."""
    folder = config.load().root / FOLDER / pipeline.name
    wanted = made(pipeline, project)
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.odcs.yaml"):
        if path.name.removesuffix(".odcs.yaml") not in wanted:
            path.unlink()
    files = []
    for name, contract in wanted.items():
        files.append(folder / f"{name}.odcs.yaml")
        it = "those" if dbt.is_used_by(pipeline) else "that"
        head = HEAD.format(pipeline=pipeline.name, source=_source(pipeline), it=it)
        files[-1].write_text(head + _yaml(contract), encoding="utf-8")
    return files


def publish(con: Connection, pipeline: Pipeline) -> None:
    """Say in the warehouse which contracts the pipeline's tables are under, in the transaction of the caller."""
    files = sorted((config.load().root / FOLDER / pipeline.name).glob("*.odcs.yaml"))
    wanted = {
        path.name.removesuffix(".odcs.yaml"): json.dumps(_read(path.read_text(encoding="utf-8")), default=str)
        for path in files
    }
    if not warehouse.has(con, PUBLISHED):
        if not wanted:
            return
        with warehouse.transaction(con, lock=PUBLISHED):
            columns = "pipeline text, table_name text, contract text, PRIMARY KEY (pipeline, table_name)"
            warehouse.run(con, f"CREATE TABLE IF NOT EXISTS {PUBLISHED} ({columns})")
    selected = f"SELECT table_name, contract FROM {PUBLISHED} WHERE pipeline = ?"
    if dict(warehouse.rows(con, selected, [pipeline.name])) == wanted:
        return
    warehouse.run(con, f"DELETE FROM {PUBLISHED} WHERE pipeline = ?", [pipeline.name])
    for name, contract in wanted.items():
        warehouse.run(con, f"INSERT INTO {PUBLISHED} VALUES (?, ?, ?)", [pipeline.name, name, contract])


def end_of_life(contract: Contract) -> date | None:
    """From when on the table is not published any more; None when no end is known."""
    known = {each["property"]: each["value"] for each in contract.get("customProperties", [])}
    return date.fromisoformat(known["endOfLife"]) if "endOfLife" in known else None


def check(pipeline: Pipeline, project: str, base: str) -> Iterator[str]:
    """What is wrong with the contracts of a pipeline, a sentence each.

    base: the revision that consumers rely on; empty for none. A table without a file is under no contract yet.
    """
    root = config.load().root
    files, earlier = sorted((root / FOLDER / pipeline.name).glob("*.odcs.yaml")), _released(root, pipeline, base)
    if not (files or earlier or dbt.is_used_by(pipeline)):
        return
    wanted = made(pipeline, project)
    there = {path.name.removesuffix(".odcs.yaml"): _read(path.read_text(encoding="utf-8")) for path in files}
    for name, contract in there.items():
        if contract != wanted.get(name):
            file = f"{FOLDER}/{pipeline.name}/{name}.odcs.yaml"
            yield f"{file} is not what {_source(pipeline)} of {pipeline.name} says: make contracts"
    yield from not_in_catalogue(root, files)
    yield from _invalid(pipeline, files)
    consumers, kind = dict(_consumers(pipeline)), "model" if dbt.is_used_by(pipeline) else "table"
    for name, released in earlier.items():
        for change in breaking(released, wanted.get(name)):
            readers = ", ".join(consumers.get(name, [])) or "nobody that this project knows of"
            yield (
                f"{name}: {change}, which breaks the contract released in {base}. It is read by {readers}. "
                f"Publish a new version of the {kind} beside this one instead"
            )


def breaking(released: Contract, wanted: Contract | None) -> list[str]:
    """What in a contract would break those who read the table, in words; none when it may be published."""
    if wanted is None:
        ends = end_of_life(released)
        return [] if ends and ends <= datetime.now(UTC).date() else ["the table has no contract any more"]
    before, after = (
        {each["name"]: each for each in contract["schema"][0]["properties"]} for contract in (released, wanted)
    )
    changes = [f"column {name} is removed" for name in before if name not in after]
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        if old["physicalType"] != new["physicalType"]:
            changes.append(f"column {name} becomes {new['physicalType']} and was {old['physicalType']}")
        for promise, words in (("required", "never null"), ("unique", "unique")):
            if old.get(promise) and not new.get(promise):
                changes.append(f"column {name} is no longer promised to be {words}")
    return sorted(changes)


def released_revision() -> str:
    """The newest tag, or else the main branch of `origin`: what consumers rely on. Empty where git knows neither."""
    root = config.load().root
    if tag := _git(root, "describe", "--tags", "--abbrev=0"):
        return tag.strip()
    return next((each for each in ("origin/HEAD", "origin/main") if _git(root, "rev-parse", "--verify", each)), "")


def _contract(
    pipeline: Pipeline,
    project: str,
    name: str,
    properties: list[dict[str, Any]],
    purpose: str,
    *,
    version: int,
    owner: Mapping[str, Any] | None = None,
    ends: str | None = None,
) -> Contract:
    settings, owner = pipeline.settings, owner or {}
    sla = [{"property": "latency", "value": round(settings.sla_seconds / 3600, 2), "unit": "h"}]
    if pipeline.grain in FREQUENCY:
        sla.append({"property": "frequency", "value": 1, "unit": FREQUENCY[pipeline.grain]})
    return {
        "apiVersion": API,
        "kind": "DataContract",
        "id": f"{project}/{pipeline.name}/{name}",
        "name": name,
        "version": f"{version}.0.0",
        "status": "deprecated" if ends else "active",
        "dataProduct": pipeline.name,
        "description": {"purpose": purpose},
        "team": {
            "name": owner.get("name") or project,
            "members": [{"username": owner["email"], "role": "owner"}] if owner.get("email") else [],
        },
        "slaProperties": sla,
        "schema": [
            {
                "name": name,
                "physicalName": name,
                "physicalType": "table",
                "properties": properties,
                "quality": [
                    {
                        "type": "library",
                        "metric": "rowCount",
                        "mustBeGreaterThan": max(settings.quality.min_rows - 1, 0) if name == pipeline.tables[0] else 0,
                        "description": "In each partition.",
                    }
                ],
            }
        ],
        **({"customProperties": [{"property": "endOfLife", "value": str(ends)[:10]}]} if ends else {}),
    }


def _columns_of_model(
    pipeline: Pipeline, node: Mapping[str, Any], tests: Mapping[str, set[str]]
) -> list[dict[str, Any]]:
    properties = []
    for column in node["columns"].values():
        promised = tests.get(column["name"], ())
        more = {"description": column.get("description") or ""}
        more |= {"required": True} if "not_null" in promised else {}
        more |= {"unique": True} if "unique" in promised and not pipeline.partition_column else {}
        properties.append(_property(pipeline, column["name"], str(column["data_type"]).lower(), more))
    return properties


def _columns_of_class(pipeline: Pipeline, own: type[contracts.Contract]) -> list[dict[str, Any]]:
    checked = contracts.columns(contracts.CheckedRow)  # what the check of a row needs is not published
    columns = {name: each for name, each in contracts.columns(own).items() if name not in checked}
    keys = [name for name, each in columns.items() if each.key]
    properties = []
    for name, column in columns.items():
        kind = PHYSICAL.get(column.type, column.type.replace("decimal", "numeric"))
        more: dict[str, Any] = {"required": True} if column.key or not column.nullable else {}
        if column.key:
            more |= {"primaryKey": True, "primaryKeyPosition": keys.index(name) + 1}
        if keys == [name] and not pipeline.partition_column:
            more["unique"] = True
        if LOGICAL.get(kind.partition("(")[0]) in ("integer", "number"):
            limits = {"minimum": column.min, "maximum": column.max}
        else:
            limits = {"pattern": column.regex or None}
        if options := {limit: value for limit, value in limits.items() if value is not None}:
            more["logicalTypeOptions"] = options
        properties.append(_property(pipeline, name, kind, more))
    return properties


def _property(pipeline: Pipeline, name: str, kind: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """A column. kind: its type in the warehouse."""
    described = {"name": name, "logicalType": LOGICAL.get(kind.partition("(")[0], "string"), "physicalType": kind}
    parted = {"partitioned": True, "partitionKeyPosition": 1} if name == pipeline.partition_column else {}
    return {**described, **more, **parted}


def _source(pipeline: Pipeline) -> str:
    return "the models" if dbt.is_used_by(pipeline) else "contract.py"


def _tests(manifest: Mapping[str, Any]) -> dict[str, dict[str, set[str]]]:
    """Names of the generic tests that fail a build, by model and column."""
    by_model: dict[str, dict[str, set[str]]] = {}
    for node in manifest["nodes"].values():
        generic = node.get("test_metadata")
        if generic and node.get("column_name") and str(node["config"]["severity"]).lower() == "error":
            column = node["column_name"].strip('"')
            by_model.setdefault(node["attached_node"], {}).setdefault(column, set()).add(generic["name"])
    return by_model


def _consumers(pipeline: Pipeline) -> Iterator[tuple[str, list[str]]]:
    """Who reads each published table: exposures with their owners, and models."""
    if not dbt.is_used_by(pipeline):
        return
    known = lineage.of_manifest(dbt.read_manifest(dbt.manifest(pipeline)), {})
    for name in pipeline.tables:
        yield (
            name,
            [
                f"{each} ({known.owners[each]})" if known.kinds[each] == "exposure" and each in known.owners else each
                for each in known.children(name)
            ],
        )


def _released(root: Path, pipeline: Pipeline, base: str) -> dict[str, Contract]:
    if not base:
        return {}
    folder = f"{FOLDER}/{pipeline.name}/"
    listed = _git(root, "ls-tree", "--name-only", base, folder)
    if listed is None:
        raise ConfigError(f"git knows no revision {base}: fetch it, or give another one as BASE")
    files = [path for path in listed.splitlines() if path.endswith(".odcs.yaml")]
    return {
        Path(path).name.removesuffix(".odcs.yaml"): _read(_git(root, "show", f"{base}:./{path}") or "")
        for path in files
    }


def not_in_catalogue(root: Path, files: Sequence[Path]) -> Iterator[str]:
    """Contracts that catalog-info.yaml does not show; none in a project that has no such file."""
    catalogue = root / "catalog-info.yaml"
    shown = catalogue.read_text(encoding="utf-8") if catalogue.is_file() else None
    for path in files:
        name = path.relative_to(root).as_posix()
        if shown is not None and f"$text: ./{name}\n" not in f"{shown}\n":
            yield f"catalog-info.yaml has no API whose definition is ./{name}: add one, beside those of other tables"


def _invalid(pipeline: Pipeline, files: Sequence[Path]) -> list[str]:
    """What the standard's own schema says against the files; it is in the environment of dbt."""
    if not (files and dbt.is_used_by(pipeline)):  # what is made of classes is as the code here makes it
        return []
    python = Path(dbt.executable()).with_name("python")
    validator = Path(__file__).with_name("odcs.py")
    done = subprocess.run([python, validator, *files], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise PermanentError(f"the contracts cannot be validated: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return done.stdout.splitlines()


def _git(root: Path, *arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def _read(text: str) -> Contract:
    import yaml

    return yaml.safe_load(text) or {}


def _yaml(contract: Contract) -> str:
    import yaml

    return yaml.safe_dump(contract, sort_keys=False, allow_unicode=True, width=120)
