"""Lineage of data products, from dbt's manifest and its compiled SQL, without any catalogue.

`record` writes it after each build: which columns each column is made of, and which model, table or exposure follows
which. `make impact TABLE= [COLUMN=]` reads it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from . import dbt, logging
from .errors import ConfigError

if TYPE_CHECKING:
    from .pipelines import Pipeline

Column = tuple[str, str]  # table, column


@dataclass
class Lineage:
    """columns: of each column, by table, those it is made of. parents: of each table or exposure. owners: by name.

    kinds: ``source``, ``model`` or ``exposure``, by name.
    """

    columns: dict[str, dict[str, list[Column]]] = field(default_factory=dict)
    parents: dict[str, list[str]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)

    def children(self, table: str) -> list[str]:
        return sorted(name for name, parents in self.parents.items() if table in parents)

    def landed(self, table: str, column: str) -> set[Column]:
        """The landed columns that a column is made of in the end."""
        origins: set[Column] = set()
        for name, each in self.columns.get(table, {}).get(column, []):
            origins |= {(name, each)} if self.kinds.get(name) == "source" else self.landed(name, each)
        return origins

    def made_of(self, table: str, column: str) -> list[Column]:
        """The columns that are made of this one directly."""
        wanted = (table, column)
        return sorted(
            (name, each)
            for name, columns in self.columns.items()
            for each, origins in columns.items()
            if wanted in [tuple(origin) for origin in origins]
        )


def path(pipeline: Pipeline):
    """The file that `record` writes."""
    return dbt.state(pipeline) / "lineage.json"


def record(pipeline: Pipeline) -> None:
    """Write the lineage of the last build. It is worked out again only when the models have changed."""
    manifest = dbt.read_manifest(dbt.state(pipeline) / "target" / "manifest.json")
    models = {key: node for key, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    stamp = sha256(json.dumps([[key, node["checksum"]] for key, node in sorted(models.items())]).encode()).hexdigest()
    if path(pipeline).is_file() and json.loads(path(pipeline).read_text(encoding="utf-8")).get("stamp") == stamp:
        return
    made = of_manifest(manifest, pipeline.code.products.columns)
    draft = path(pipeline).with_suffix(".new")
    draft.write_text(json.dumps({"stamp": stamp, **made.__dict__}, indent=1), encoding="utf-8")
    draft.replace(path(pipeline))


def read(pipeline: Pipeline) -> Lineage:
    """The lineage of the last build. Raises ConfigError before the first one."""
    try:
        kept = json.loads(path(pipeline).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{pipeline.name} was not built here yet, so its lineage is not known: make run") from None
    kept.pop("stamp")
    return Lineage(**kept)


def of_manifest(manifest: Mapping[str, Any], landed: Mapping[str, Iterable[str]]) -> Lineage:
    """The lineage of a manifest whose models have been compiled. landed: columns of the sources, by table."""
    made = Lineage()
    nodes = {
        key: node for key, node in manifest["nodes"].items() if node["resource_type"] in ("model", "seed", "snapshot")
    }
    known = {**nodes, **manifest["sources"], **manifest["exposures"]}
    names = {key: name_of(node) for key, node in known.items()}
    groups = {each["name"]: each["owner"] for each in manifest.get("groups", {}).values()}
    for key, node in known.items():
        name = names[key]
        made.kinds[name] = "model" if key in nodes else node["resource_type"]
        made.parents[name] = [names[each] for each in node.get("depends_on", {}).get("nodes", []) if each in names]
        owner = node.get("owner") or groups.get(node.get("group") or node.get("config", {}).get("group"), {})
        if owner:
            made.owners[name] = " ".join(
                part for part in (owner.get("name"), owner.get("email") and f"<{owner['email']}>") if part
            )
    schema = {name: list(columns) for name, columns in landed.items()}
    dialect = manifest["metadata"].get("adapter_type") or "duckdb"
    for key in TopologicalSorter({key: node["depends_on"]["nodes"] for key, node in nodes.items()}).static_order():
        if key not in nodes or nodes[key]["resource_type"] != "model":
            continue
        sql = nodes[key].get("compiled_code")
        columns = _columns(sql, schema, dialect, names[key]) if sql else {}
        made.columns[names[key]] = columns
        schema[names[key]] = list(columns)
    return made


def name_of(node: Mapping[str, Any]) -> str:
    """The name of a node's table; of an exposure its own."""
    if node["resource_type"] == "exposure":
        return node["name"]
    return (node.get("relation_name") or "").split(".")[-1].strip('"') or node.get("alias") or node["name"]


def _columns(sql: str, schema: Mapping[str, list[str]], dialect: str, name: str) -> dict[str, list[Column]]:
    """The columns of a statement, each with the columns that it is made of directly."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify

    try:
        tree = sqlglot.parse_one(sql, dialect=dialect)
        for table in tree.find_all(exp.Table):  # schemas differ by environment, tables do not
            table.set("db", None)
            table.set("catalog", None)
        tables = {table: dict.fromkeys(columns, "text") for table, columns in schema.items()}
        tree = qualify(tree, schema=tables, dialect=dialect, quote_identifiers=False)
    except sqlglot.errors.SqlglotError as error:
        logging.get_logger().warning("lineage of a model is not known", model=name, reason=str(error).splitlines()[0])
        return {}
    made: dict[str, list[Column]] = {}
    for column in tree.named_selects:
        origins: set[Column] = set()
        for node in lineage(column, tree.copy(), schema=tables, dialect=dialect).walk():
            if not node.downstream and isinstance(node.expression, exp.Table):
                origins.add((node.expression.name, node.name.split(".")[-1].strip('"')))
        made[column] = sorted(origins)
    return made


def affected(lineage: Lineage, table: str, column: str = "") -> Iterator[tuple[int, str, str]]:
    """What follows a table or one of its columns: (depth, table or exposure, its columns), as a tree is read.

    Raises ConfigError when there is no such table or column.
    """
    if table not in lineage.kinds:
        raise ConfigError(f"there is no table {table}: use one of {', '.join(sorted(lineage.kinds))}")
    columns = lineage.columns.get(table)
    if column and columns is not None and column not in columns:
        raise ConfigError(f"{table} has no column {column}: use one of {', '.join(columns)}")
    yield from _follow(lineage, table, {column} if column else set(), 1)


def _follow(lineage: Lineage, table: str, columns: set[str], depth: int) -> Iterator[tuple[int, str, str]]:
    reached: dict[str, set[str]] = defaultdict(set)
    if columns:
        for column in columns:
            for name, each in lineage.made_of(table, column):
                reached[name].add(each)
        # Which columns an exposure reads is not known: it counts with any of them.
        reached |= {name: set() for name in lineage.children(table) if lineage.kinds[name] == "exposure"}
    else:
        reached = {name: set() for name in lineage.children(table)}
    for name in sorted(reached):
        yield depth, name, ", ".join(sorted(reached[name]))
        if lineage.kinds[name] != "exposure":
            yield from _follow(lineage, name, reached[name], depth + 1)
