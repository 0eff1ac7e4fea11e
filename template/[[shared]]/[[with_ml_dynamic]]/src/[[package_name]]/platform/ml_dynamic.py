"""Dynamic ML: what all pipelines of this shape do alike, from files that land to models and scores that are published.

wait for input → prepare (features, and which items there are) → train, per item → score, per item → publish (one
transaction)

Which items a partition holds, such as airports, is known only when its data is there, so engines map `train` and
`score` over what `items_of` finds in the rows of `prepare`. An item that fails stops no other; `publish` then refuses
the partition, and the next run of it trains only what is missing. A step hands nothing over but its staging tables and
the registered models, so steps may run in different processes.

A pipeline's own code is named by convention: ``features.py`` has ``features(...)``, an expression over the landed
tables; ``model.py`` the model, its columns, and how it is trained, asked and described; ``contract.py`` has
``CONTRACTS``, a contract for each of the two tables.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from hashlib import sha256
from importlib import import_module
from inspect import getfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from . import contracts, elsewhere, evaluation, late_input, masking, publications, steps, warehouse
from .batch_etl import ROW, BatchEtl
from .errors import ContractError, InputError, PermanentError
from .partitions import Grain
from .registry import PROMOTED, Registry, Version
from .runs import current_run

if TYPE_CHECKING:
    from types import ModuleType

    import ibis.expr.types as ir
    import pandas as pd

    from .partitions import Partition
    from .pipelines import Pipeline
    from .sources import Source
    from .warehouse import Connection

STEPS = ("wait_for_input", "prepare", "train", "score", "publish")
MAPPED = ("train", "score")
REJECTED = "rejected"
KINDS = ("read", "kept", "quarantined")  # of rows that `prepare` counts; every other name is an item
RESULTS = {"item": "text", "step": "text", "input": "text", "result": "text"}  # columns of what items have come to
DIGITS = 6  # of figures that are kept and published
UNREADABLE = "unreadable"


def items_of(rows: Mapping[str, int]) -> list[str]:
    """The items that `prepare` has found, in order, from the rows that it returned."""
    return sorted(name for name in rows if name not in KINDS)


class MlDynamic:
    """The steps of one pipeline.

    sources: the files of a partition by the name that ``features`` takes them by. item: the column whose values are the
    items. The first published table holds the scores, the second one what became of each item's model.
    """

    def __init__(self, pipeline: Pipeline, sources: Mapping[str, Source], item: str) -> None:
        self.pipeline, self.sources, self.item = pipeline, sources, item
        self.registry = Registry(pipeline)
        waiting = BatchEtl(pipeline, next(iter(sources.values())))
        self.input_ready, self.wait_for_input = waiting.input_ready, waiting.wait_for_input

    def prepare(self, partition: Partition) -> dict[str, int]:
        """Make the features of the partition, find its items, and see that the registry answers.

        Returns rows by kind: read, kept, quarantined, and the rows of each item that gets a model. Raises InputError
        when a file is not what its source says or no item has enough rows, ContractError when too many rows are
        unreadable.
        """
        with steps.step(self.pipeline, "prepare", partition) as report:
            self.registry.prepare()
            with warehouse.connect() as con, publications.held(con, self.pipeline, partition, "prepare", first=True):
                late_input.note(con, self.pipeline, partition)
                broken = 0
                for name, source in self.sources.items():
                    raw, aside = (self._name(partition, f"{name}{part}") for part in ("raw", "broken"))
                    broken += source.load(con, self.pipeline, partition, raw, aside)[1]
                    warehouse.drop_staged(con, aside)
                staged = {name: self._name(partition, f"{name}raw") for name in self.sources}
                warehouse.name_staged(con, **staged)
                made = warehouse.stage(con, self._name(partition, "made"), self._features)
                warehouse.name_staged(con, made=self._name(partition, "made"))
                kept = warehouse.stage(con, self._name(partition, "features"), self._readable)
                report.rows = {"read": made + broken, "kept": kept, "quarantined": made + broken - kept}
                quality = self.pipeline.settings.quality
                contracts.refuse_share(quality, report.rows["quarantined"], report.rows["read"], "rows are unreadable")
                report.rows |= self._counted(con, partition)
                warehouse.drop_staged(con, *staged.values(), self._name(partition, "made"))
                columns = ", ".join(f"{name} {kind}" for name, kind in RESULTS.items())
                results = self._name(partition, "results")
                warehouse.run(con, f'CREATE TABLE IF NOT EXISTS {warehouse.STAGING}."{results}" ({columns})')
                warehouse.run(
                    con, f"DELETE FROM {self._table(partition, 'results')} WHERE input = ''"
                )  # what had failed
        return report.rows

    def items(self, partition: Partition) -> list[str]:
        """The items of a prepared partition, in order."""
        with publications.turns, warehouse.connect() as con:
            return sorted(self._counted(con, partition))

    def train(self, partition: Partition, item: str = "", here: bool = False) -> dict[str, int]:
        """Train the item's model, judge it, and register it; without an item, those of all items in turn.

        What was trained already, from the same rows, code and limits, is kept. Where ``runner`` under ``[model]`` names
        a command, it trains elsewhere, unless this is that place. Returns rows by kind: trained, tested,
        and to_score, which is 0 while no model of the item has passed the gate. Raises InputError when the rows cannot
        teach a model, ContractError when a feature has drifted too far.
        """
        if not item:
            return self._each(partition, self.train)
        with self._at_work("train", partition, item) as report:
            rows, fingerprint = self._rows(partition, item)
            result = self._result(partition, item, "train", fingerprint)
            known = result is not None and self.registry.of(item, fingerprint) is not None
            runner = self.pipeline.settings.model.runner
            if not known and runner and not here:
                elsewhere.run(runner, self.pipeline, "train", partition, item)
                result = self._result(partition, item, "train", fingerprint)
                if result is None:
                    raise PermanentError(
                        f"{item}: the runner has ended, but not trained: it needs this warehouse, registry and code"
                    )
            elif not known:
                result = self._trained(partition, item, rows, fingerprint)
                self._keep(partition, item, "train", fingerprint, result)
            report.rows = {"trained": result["trained_rows"], "tested": result["tested_rows"]}
            report.rows["to_score"] = result["tested_rows"] if result["scored_by"] else 0
            report.detail = f"{item}: {_sentence(result)}{' (trained already)' if known else ''}"
        return report.rows

    def score(self, partition: Partition, item: str = "") -> dict[str, int]:
        """Score the item's rows after those that were trained on, by the model that has passed the gate last.

        Without an item, those of all items in turn. Returns rows by kind: scored. Raises PermanentError when the item
        was not trained.
        """
        if not item:
            return self._each(partition, self.score)
        with self._at_work("score", partition, item) as report:
            rows, fingerprint = self._rows(partition, item)
            result = self._result(partition, item, "train", fingerprint)
            if result is None:
                raise PermanentError(f"{item} was not trained, so there is no model to score it with")
            count = 0
            if by := result["scored_by"]:
                version = self.registry.of(item, by["input"])
                if version is None:
                    raise PermanentError(
                        f"the registry at {self.registry.shown} has lost the model of {item}: train it"
                    )
                _, later = self._split(item, partition, rows)
                count = self._stage_scores(partition, item, later, self.registry.load(version, self._model.FLAVOR), by)
            self._keep(partition, item, "score", fingerprint, {"rows": count})
            report.rows = {"scored": count}
            report.detail = f"{item}: " + (
                f"by the model of {by['partition']}" if by else "no model has passed the gate"
            )
        return report.rows

    def publish(self, partition: Partition) -> dict[str, int]:
        """Replace the partition in both tables, and promote its models, in one transaction.

        Returns the rows in each table's new partition. Another time changes nothing. Raises PermanentError when an item
        has failed or is missing, ContractError when rows break their contract.
        """
        with steps.work(self.pipeline, "publish", partition) as (report, con):
            trained = self._complete(con, partition)
            tables = self._tables(con, partition, trained)
            contracts.refuse_broken(con, self._contracts, tables, "nothing was published")

            def record(rows: Mapping[str, int]) -> None:
                report.rows = dict(rows)
                publications.record(con, self.pipeline, partition, current_run(), report.rows)
                for item, result in trained.items():  # before the commit: without the registry, nothing is published
                    if result["verdict"] == PROMOTED:
                        self.registry.promote(item, result["input"])

            warehouse.replace_partition(con, self.pipeline.partition_column, partition, tables, record)
            scores = [self._name(partition, f"scores{warehouse.letters(item)}") for item in trained]
            # The results stay: another run of the same rows trains nothing again.
            warehouse.drop_staged(con, self._name(partition, "features"), self._name(partition, "models"), *scores)
        return report.rows

    def rejected(self, partition: Partition) -> dict[str, str]:
        """The items whose model has not passed the gate in a published partition, and why."""
        name, column = self.pipeline.tables[1], self.pipeline.partition_column
        inside = partition.predicate(column, is_date=partition.grain is not Grain.HOUR)
        selected = f'SELECT "{self.item}", reason FROM "{name}" WHERE verdict = ? AND {inside} ORDER BY 1'
        with warehouse.connect() as con:
            return dict(warehouse.rows(con, selected, [REJECTED]))

    # What is trained

    def _trained(self, partition: Partition, item: str, rows: pd.DataFrame, fingerprint: str) -> dict[str, Any]:
        """Train a model and judge it. Returns what is published of it, and what scores the item."""
        first, later = self._split(item, partition, rows)
        champion = self.registry.before(item, partition)
        features = (*self._model.NUMBERS, *self._model.CATEGORIES)
        drift, feature = self._drift(item, champion, rows, features)
        model = self._model.train(first)
        positives = later[self._model.TARGET].to_numpy().astype(float)
        scores = self._model.predict(model, later)
        result = {
            "trained_rows": len(first),
            "tested_rows": len(later),
            "late_share": round(float(positives.mean()), DIGITS),
            "auc": round(evaluation.auc(scores, positives, 1 - positives), DIGITS),
            "average_precision": round(evaluation.average_precision(scores, positives), DIGITS),
            "drift": drift,
            "drift_feature": feature,
            "champion_month": champion.partition if champion else None,
            "champion_auc": None,
            "model": sha256(self._model.text(model).encode()).hexdigest()[:12],
            "input": fingerprint,
        }
        if champion:
            before = self._model.predict(self.registry.load(champion, self._model.FLAVOR), later)
            result["champion_auc"] = round(evaluation.auc(before, positives, 1 - positives), DIGITS)
        result |= self._judged(result)
        tags = {
            "partition": partition.key,
            "verdict": result["verdict"],
            "input": fingerprint,
            "model": result["model"],
        }
        version = self.registry.of(item, fingerprint) or self.registry.add(
            item,
            model,
            self._model.FLAVOR,
            list(self._model.REQUIREMENTS),
            tags,
            {name: value for name, value in result.items() if isinstance(value, (int, float))},
            self._card(item, partition, result, self._model.importance(model)),
            {name: evaluation.profile(first[name].tolist()) for name in features},
        )
        by = version if result["verdict"] == PROMOTED else champion
        result["scored_by"] = by and {
            "input": by.tags["input"],
            "model": by.tags["model"],
            "partition": by.partition,
            "version": by.number,
        }
        return result

    def _judged(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """The gate: good enough, and hardly worse than the model in use. Returns verdict and reason."""
        limits, auc, before = self.pipeline.settings.model, result["auc"], result["champion_auc"]
        if auc < limits.min_auc:
            return {"verdict": REJECTED, "reason": f"auc {auc:.3f} is below {limits.min_auc:g}"}
        if before is not None and auc < before - limits.tolerance:
            return {"verdict": REJECTED, "reason": f"auc {auc:.3f} is below {before:.3f} of the model in use"}
        return {"verdict": PROMOTED, "reason": None}

    def _drift(
        self, item: str, champion: Version | None, rows: pd.DataFrame, features: Sequence[str]
    ) -> tuple[float | None, str | None]:
        """How far the feature that has drifted most is from what the model in use was trained on, and its name.

        Raises ContractError when one that should not change with the seasons is too far.
        """
        if champion is None:
            return None, None
        profiles, most = self.registry.profiles(champion), self.pipeline.settings.model.max_drift
        drift = {
            name: round(evaluation.stability_index(profiles[name], rows[name].tolist()), DIGITS)
            for name in features
            if name in profiles and name not in self._model.SEASONAL
        }
        if not drift:  # the model has other features now
            return None, None
        worst = max(drift, key=drift.get)
        if drift[worst] > most:
            raise ContractError(
                f"{item}: {worst} has drifted by {drift[worst]:.2f} since {champion.partition} (at most {most:g} "
                "allowed); look at the input, or raise max_drift under [model] in "
                f"config/pipelines/{self.pipeline.name}.toml; nothing was published"
            )
        return drift[worst], worst

    def _split(self, item: str, partition: Partition, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows to train on and the later ones, by time, never at random. Raises InputError without both classes."""
        by_time = self._model.ORDER[0]
        moments = sorted(rows[by_time].unique())
        last = moments[max(0, int(len(moments) * self._model.TRAINED_SHARE) - 1)]
        first, later = rows[rows[by_time] <= last], rows[rows[by_time] > last]
        for part, words in ((first, "train on"), (later, "test with")):
            if part[self._model.TARGET].nunique() < 2:
                value = f"{self._model.TARGET} is {part[self._model.TARGET].iloc[0]}" if len(part) else "there are none"
                raise InputError(
                    f"{item}: in all {len(part):,} rows of {partition} to {words}, {value}; a model needs both "
                    "classes; nothing was published"
                )
        return first, later

    def _card(self, item: str, partition: Partition, result: Mapping[str, Any], importance: Mapping[str, float]) -> str:
        """The model card, in Markdown: what it is, what it learned from, what it was judged by, what it is not for."""
        limits = self.pipeline.settings.model
        figures = {name: value for name, value in result.items() if value is not None and name != "input"}
        table = "\n".join(f"| {name} | {value} |" for name, value in figures.items())
        gains = "\n".join(f"| {name} | {share:.1%} |" for name, share in importance.items())
        what = " ".join((self._model.__doc__ or "").split("\n\n")[0].split())
        return (
            f"# {self.pipeline.name}, {item}, {partition}\n\n{what}\n\n"
            f"Trained on the first {self._model.TRAINED_SHARE:.0%} of {partition} by {self._model.ORDER[0]}, judged by "
            f"the rows after them. The gate: auc of at least {limits.min_auc:g}, and at most {limits.tolerance:g} "
            "below that of the model in use.\n\n"
            f"| figure | value |\n|---|---|\n{table}\n\n| feature | share of the gain |\n|---|---|\n{gains}\n\n"
            f"It says nothing about items other than {item}, nor about values of a feature that {partition} does not "
            f"have. Made by `make run PIPELINE={self.pipeline.name} DATE={partition}`; the same rows give the same "
            "model.\n"
        )

    # What is staged

    @contextmanager
    def _at_work(self, step: str, partition: Partition, item: str) -> Iterator[steps.StepReport]:
        """A mapped step for one item. Its failure is noted, so that `publish` can say it."""
        with (
            steps.step(self.pipeline, step, partition) as report,
            publications.held_apart(self.pipeline, partition, step, mapped=True),
        ):
            try:
                yield report
            except Exception as error:
                with suppress(Exception):  # a warehouse that is gone; the error itself is what counts
                    words = masking.mask(str(error)).removesuffix("; nothing was published")
                    self._keep(partition, item, step, "", {"error": words})
                raise

    def _each(self, partition: Partition, step: Callable[[Partition, str], dict[str, int]]) -> dict[str, int]:
        """A mapped step for each item in turn. One that fails stops no other; the first failure is raised last."""
        totals: dict[str, int] = {}
        failures: list[Exception] = []
        for item in self.items(partition):
            try:
                for kind, count in step(partition, item).items():
                    totals[kind] = totals.get(kind, 0) + count
            except Exception as error:  # noqa: BLE001  raised below
                failures.append(error)
        if failures:
            raise failures[0]
        return totals

    def _rows(self, partition: Partition, item: str) -> tuple[pd.DataFrame, str]:
        """The item's features in a fixed order, and the fingerprint of all that its model comes from."""
        import pandas as pd

        with publications.turns, warehouse.connect() as con:
            names, rows = self._read(con, partition, item)
        return pd.DataFrame(rows, columns=names), self._fingerprint(partition, item, rows)

    def _read(self, con: Connection, partition: Partition, item: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        self._refuse_unprepared(con, partition)
        model = self._model
        names = list(dict.fromkeys((*model.ORDER, *model.NUMBERS, *model.CATEGORIES, model.TARGET)))
        columns, order = (", ".join(f'"{name}"' for name in each) for each in (names, model.ORDER))
        selected = (
            f'SELECT {columns} FROM {self._table(partition, "features")} WHERE "{self.item}" = ? ORDER BY {order}'
        )
        return names, warehouse.rows(con, selected, [item])

    def _fingerprint(self, partition: Partition, item: str, rows: Sequence[tuple[Any, ...]]) -> str:
        """Of the rows, the code, the limits and the model in use: with the same, training again changes nothing."""
        champion = self.registry.before(item, partition)
        limits = self.pipeline.settings.model.model_dump(exclude={"runner"})  # where does not change what
        digest = sha256()
        for file in sorted({str(self._model.__file__), *map(getfile, (self._model.train, self._model.predict))}):
            digest.update(Path(file).read_bytes())  # its own code, and the platform's where that trains
        known = [self.pipeline.name, partition.key, item, limits, champion and champion.tags["input"]]
        digest.update(json.dumps(known, sort_keys=True).encode())
        digest.update(repr(rows).encode())
        return digest.hexdigest()[:16]

    def _stage_scores(
        self, partition: Partition, item: str, rows: pd.DataFrame, model: Any, by: Mapping[str, Any]
    ) -> int:
        """Replace the staged scores of an item. Returns how many there are."""
        scored = rows.assign(late_probability=self._model.predict(model, rows).round(DIGITS))
        scored = scored.assign(**{self.item: item, "model": by["model"], "model_month": by["partition"]})
        kinds = {name: str(kind) for name, kind in self._score_columns.items()}
        described = ", ".join(f"'{name}': '{_sql(kind)}'" for name, kind in kinds.items())
        with TemporaryDirectory(prefix="scores-") as folder:
            file = Path(folder) / "scores.csv"  # as every warehouse reads it
            scored[list(kinds)].to_csv(file, index=False)
            query = f"SELECT * FROM read_csv('{file}', header = true, auto_detect = false, columns = {{{described}}})"
            with publications.turns, warehouse.connect() as con, warehouse.file_reader(con) as reader:
                staged = self._name(partition, f"scores{warehouse.letters(item)}")
                return warehouse.stage_query(con, staged, reader, query)

    def _result(self, partition: Partition, item: str, step: str, fingerprint: str) -> dict[str, Any] | None:
        """What a step has come to for this input of an item, None when it has not been done."""
        selected = f"SELECT result FROM {self._table(partition, 'results')} WHERE item = ? AND step = ? AND input = ?"
        with publications.turns, warehouse.connect() as con:
            results = warehouse.rows(con, selected, [item, step, fingerprint])
        return json.loads(results[0][0]) if results else None

    def _keep(self, partition: Partition, item: str, step: str, fingerprint: str, result: Mapping[str, Any]) -> None:
        """Keep what a step has come to. fingerprint: empty for a failure."""
        table = self._table(partition, "results")
        with publications.turns, warehouse.connect() as con, warehouse.transaction(con):
            warehouse.run(con, f"DELETE FROM {table} WHERE item = ? AND step = ?", [item, step])
            values = [item, step, fingerprint, json.dumps(result)]
            warehouse.run(con, f"INSERT INTO {table} VALUES (?, ?, ?, ?)", values)

    def _complete(self, con: Connection, partition: Partition) -> dict[str, dict[str, Any]]:
        """What each item's model has come to. Raises PermanentError when one has failed or was not done."""
        self._refuse_unprepared(con, partition)
        done: dict[tuple[str, str, str], dict[str, Any]] = {}
        failed: dict[str, str] = {}
        for item, step, fingerprint, result in warehouse.rows(
            con, f"SELECT * FROM {self._table(partition, 'results')}"
        ):
            done[item, step, fingerprint] = json.loads(result)
            if not fingerprint:
                failed[item] = done[item, step, fingerprint]["error"]
        items, problems, trained = sorted(self._counted(con, partition)), [], {}
        for item in items:
            fingerprint = self._fingerprint(partition, item, self._read(con, partition, item)[1])
            result = done.get((item, "train", fingerprint))
            wanted = MAPPED if result is None or result["scored_by"] else MAPPED[:1]
            missing = [step for step in wanted if (item, step, fingerprint) not in done]
            if missing:
                problems.append(failed.get(item) or f"{item}: {missing[0]} was not done")
            else:
                trained[item] = result
        if problems:
            more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
            raise PermanentError(
                f"{len(problems)} of {len(items)} models are missing: {'; '.join(problems[:3])}{more}; nothing was "
                "published; another run of the partition trains only what is missing"
            )
        return trained

    def _refuse_unprepared(self, con: Connection, partition: Partition) -> None:
        if not warehouse.has(con, self._table(partition, "features").replace('"', "")):
            raise PermanentError(f"{self.pipeline.name} {partition} is not prepared: run it from its first step")

    def _counted(self, con: Connection, partition: Partition) -> dict[str, int]:
        """The rows of each item that has enough of them. Raises InputError when none has."""
        self._refuse_unprepared(con, partition)
        least = self.pipeline.settings.model.min_rows
        counted = f'SELECT "{self.item}", count(*) FROM {self._table(partition, "features")} GROUP BY 1'
        counts = {item: count for item, count in warehouse.rows(con, counted) if count >= least}
        if not counts:
            raise InputError(
                f"no {self.item} of {self.pipeline.name} {partition} has {least:,} rows to train on; "
                "nothing was published"
            )
        return dict(sorted(counts.items()))

    # What is published

    @cached_property
    def _score_columns(self) -> dict[str, Any]:
        """The columns of the scores beside the partition's, and their types, from the contract."""
        own = contracts.columns(self._contracts[self.pipeline.tables[0]])
        return {name: each.type for name, each in own.items() if name != self.pipeline.partition_column}

    def _tables(
        self, con: Connection, partition: Partition, trained: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, ir.Table]:
        """The rows of both published tables."""
        import ibis

        scores, models = self.pipeline.tables
        column = self.pipeline.partition_column
        dated = {column: ibis.literal(partition.column_value)} if column else {}
        parts = []
        for item in trained:
            name = f"scores{warehouse.letters(item)}"
            if warehouse.has(con, self._table(partition, name).replace('"', "")):
                warehouse.name_staged(con, **{name: self._name(partition, name)})
                parts.append(ibis.table(self._score_columns, name=name).select(**dated, **_same(self._score_columns)))
        kinds = {
            name: each.type
            for name, each in contracts.columns(self._contracts[models]).items()
            if name != self.pipeline.partition_column
        }
        self._stage_models(con, partition, trained, kinds)
        warehouse.name_staged(con, models=self._name(partition, "models"))
        tables = {models: ibis.table(kinds, name="models").select(**dated, **_same(kinds))}
        if parts:
            return {scores: ibis.union(*parts) if len(parts) > 1 else parts[0], **tables}
        empty = ibis.table(kinds, name="models").filter(False)
        nothing = {name: ibis.null(kind) for name, kind in self._score_columns.items()}
        return {scores: empty.select(**dated, **nothing), **tables}

    def _stage_models(
        self,
        con: Connection,
        partition: Partition,
        trained: Mapping[str, Mapping[str, Any]],
        kinds: Mapping[str, str],
    ) -> None:
        name = self._name(partition, "models")
        warehouse.drop_staged(con, name)
        described = ", ".join(f'"{column}" {_sql(kind)}' for column, kind in kinds.items())
        warehouse.run(con, f'CREATE TABLE {warehouse.STAGING}."{name}" ({described})')
        marks = ", ".join("?" for _ in kinds)
        for item, result in trained.items():
            values = [{**result, self.item: item}.get(column) for column in kinds]
            warehouse.run(con, f'INSERT INTO {warehouse.STAGING}."{name}" VALUES ({marks})', values)

    @cached_property
    def _model(self) -> ModuleType:
        return import_module(f"{self.pipeline.module}.model")

    @cached_property
    def _contracts(self) -> dict[str, type]:
        return import_module(f"{self.pipeline.module}.contract").CONTRACTS

    @cached_property
    def _features(self) -> ir.Table:
        """The features, as an expression over the landed tables by their names."""
        import ibis  # takes seconds to load

        landed = {
            name: ibis.table({**ROW, **dict.fromkeys(source.columns, "string")}, name=name)
            for name, source in self.sources.items()
        }
        return import_module(f"{self.pipeline.module}.features").features(**landed)

    @cached_property
    def _readable(self) -> ir.Table:
        """The features of the rows whose text could be read, as an expression over ``made``."""
        import ibis

        made = ibis.table(self._features.schema(), name="made")
        return made.filter(made[UNREADABLE].isnull()).drop(UNREADABLE)

    def _name(self, partition: Partition, part: str) -> str:
        return warehouse.staging_name(self.pipeline.name, partition, part)

    def _table(self, partition: Partition, part: str) -> str:
        return f'{warehouse.STAGING}."{self._name(partition, part)}"'


def _same(kinds: Mapping[str, Any]) -> dict[str, Any]:
    import ibis

    return {name: ibis._[name] for name in kinds}


def _sql(kind: str) -> str:
    """A column's type as both warehouses name it."""
    names = {"string": "text", "float64": "double precision", "int32": "integer", "int64": "bigint"}
    return names.get(kind, kind)


def _sentence(result: Mapping[str, Any]) -> str:
    by = result["scored_by"]
    version = f" as version {by['version']}" if by and result["verdict"] == PROMOTED else ""
    return f"auc {result['auc']:.3f}, {result['verdict']}{version}" + (
        f": {result['reason']}" if result["reason"] else ""
    )
