# /// script
# requires-python = ">=3.11"
# dependencies = ["copier>=9.19,<10", "duckdb>=1.5,<2"]
# ///
"""Add a pipeline to the project, made from a sample file: `make pipeline NAME=weather SAMPLE=observations.csv
GRAIN=hour`.

The sample may be a folder of files of one kind, such as the logs of several machines: then each file of a partition is
a step of its own, where the orchestrator can do that. DuckDB reads the sample; Copier writes the files from the
project's template, at the version the project has; up to three partitions of the sample become landing data, so that
the pipeline runs at once. A shape such as approval comes with the template's own sample instead.
"""

from __future__ import annotations

import argparse
import csv
import keyword
import os
import re
import shutil
import subprocess
import sys
import tomllib
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from pathlib import Path
from zoneinfo import ZoneInfo

import copier
import duckdb
import yaml
from plumbum import ProcessExecutionError

ROOT = Path(__file__).resolve().parents[1]
PROJECT_ANSWERS = ROOT / ".copier-answers.yml"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SHAPES = PROJECT["tool"]["orch-starter"]["shapes"]
GRAINS = {"hour": "10 * * * *", "day": "0 6 * * *", "week": "0 6 * * 1", "month": "0 6 1 * *", "none": "0 6 * * *"}
FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
READERS = {"parquet": "read_parquet", "json": "read_json_auto"}
MISSING = ["", "NA", "N/A", "NULL", "null", "None", "NaN", "nan", "\\N", "-"]
TYPES = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT"), "integer"),
    **dict.fromkeys(("BIGINT", "UINTEGER"), "long"),
    **dict.fromkeys(("FLOAT", "DOUBLE"), "decimal"),
    **dict.fromkeys(
        ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "timestamp"
    ),
    "DATE": "date",
    "BOOLEAN": "boolean",
}
# As platform/reading.py reads them; a column whose text has another form stays text.
FORMS = {
    "integer": r"-?[0-9]{1,9}",
    "long": r"-?[0-9]{1,18}",
    "decimal": r"-?([0-9]{1,15}\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,2})?",
    "date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "timestamp": r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+]00(:?00)?)?",
    "boolean": r"(?i)(true|false|t|f|yes|no|y|n|1|0)",
}
OWN_COLUMNS = ("partition_date", "partition_start", "source_row", "unreadable")
ROWS = 200_000  # of a large sample: enough to tell its types
LANDED = 3


class Refused(Exception):
    """Why no pipeline was made, in a sentence that says what to do; the project is as it was."""


@dataclass
class Column:
    source: str
    name: str
    type: str = "string"
    nullable: bool = False
    key: bool = False
    range: str = ""


def main() -> int:
    options = parse()
    try:
        answers = project_answers()
        orchestrators = chosen_orchestrators(options.orchestrator, answers)
        refuse_name(options.name, answers["package_name"])
        shape = SHAPES[options.shape]
        if orchestrators[0] not in shape["needs"]:
            there = [name for name, each in SHAPES.items() if orchestrators[0] in each["needs"]]
            raise Refused(f"SHAPE={options.shape} is not there for {orchestrators[0]}: use one of {', '.join(there)}")
        facts = {"shape": options.shape, "orchestrators": orchestrators}
        if "own" in shape:
            render(options.name, {**facts, "landed": [shape["partition"]]}, answers)
            add_packages(shape, orchestrators[0])
            report_own(options.name, shape, answers["package_name"])
            return 0
        sample = Sample(Path(options.sample).expanduser(), options.grain, options.partition_column, project_timezone())
        facts |= {
            "grain": options.grain,
            "cron": GRAINS[options.grain],
            "tables": [shape["prefix"] + options.name],
            **sample.facts(),
            "by_file": sample.is_folder and orchestrators[0] in shape.get("by_file", []),
        }
        render(options.name, facts, answers)
        add_packages(shape, orchestrators[0])
        landed = sample.land(ROOT / "data" / "landing" / options.name)
    except Refused as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    report(options.name, facts, landed)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Add a pipeline to the project, made from a sample file.")
    parser.add_argument("--name", default="", help="of the pipeline, such as weather")
    parser.add_argument("--sample", default="", help="a CSV, Parquet or JSON file with rows of it, or a folder of them")
    parser.add_argument("--shape", default="", help=f"what kind of pipeline it is: {', '.join(SHAPES)}")
    parser.add_argument("--grain", default="", help=f"what one run processes: {', '.join(GRAINS)}")
    parser.add_argument("--partition-column", default="", help="the column that says which partition a row belongs to")
    parser.add_argument("--orchestrator", default="", help="the one that runs it, where the project has several")
    options = parser.parse_args()
    options.shape = options.shape or next(iter(SHAPES))
    for name, given, known in (("SHAPE", options.shape, SHAPES), ("GRAIN", options.grain or "day", GRAINS)):
        if given not in known:
            sys.exit(f"error: {name}={given} is not one of {', '.join(known)}")
    if "own" in SHAPES[options.shape]:
        if not options.name:
            sys.exit(f"error: give a name: make pipeline NAME=model SHAPE={options.shape}")
        if options.sample or options.grain or options.partition_column:
            takes = f"SHAPE={options.shape} takes the template's own sample"
            sys.exit(f"error: {takes}: give no SAMPLE, GRAIN or PARTITION_COLUMN")
    elif not options.name or not options.sample:
        sys.exit("error: give a name and a sample: make pipeline NAME=weather SAMPLE=observations.csv GRAIN=hour")
    options.grain = options.grain or "day"
    return options


def project_answers() -> dict:
    """What the project was made from. Raises Refused when it does not say where its template is."""
    try:
        answers = yaml.safe_load(PROJECT_ANSWERS.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(f"{PROJECT_ANSWERS.name} is missing: it says which template the project is made from") from None
    source = str(answers.get("_src_path", ""))
    if not re.match(r"^(/|~|[A-Za-z]:[\\/]|[\w+.-]+:|[\w.-]+@)", source):
        raise Refused(
            f"{PROJECT_ANSWERS.name} says that the template is at {source!r}, which is relative: "
            "write its address or its whole path there as _src_path"
        )
    return answers


def chosen_orchestrators(given: str, answers: dict) -> list[str]:
    folder = ROOT / "src" / answers["package_name"] / "orchestration"
    known = sorted(path.parent.name for path in folder.glob("*/__init__.py"))
    main = tomllib.loads((ROOT / "config" / "base.toml").read_text(encoding="utf-8"))["orchestrator"]
    wanted = given or main
    if wanted not in known:
        raise Refused(f"ORCHESTRATOR={wanted} is not in this project: use one of {', '.join(known)}")
    return [wanted]


def project_timezone() -> ZoneInfo:
    return ZoneInfo(tomllib.loads((ROOT / "config" / "base.toml").read_text(encoding="utf-8"))["schedule"]["timezone"])


def refuse_name(name: str, package: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,39}", name) or keyword.iskeyword(name):
        raise Refused(
            f"NAME={name} cannot be the name of a pipeline: use 2 to 40 lower-case letters, digits and underscores, "
            "a letter first, such as weather_hourly"
        )
    for path in (f"src/{package}/pipelines/{name}", f"config/pipelines/{name}.toml", f"tests/unit/test_{name}.py"):
        if (ROOT / path).exists():
            raise Refused(
                f"{path} is there already: choose another name, or remove it with: make pipeline-remove NAME={name}"
            )


class Sample:
    """The sample file as DuckDB reads it: its columns, and which partition each row belongs to."""

    def __init__(self, path: Path, grain: str, partition_column: str, zone: ZoneInfo) -> None:
        self.path, self.grain, self.zone = path, grain, zone
        self.is_folder = path.is_dir()
        self.files = self._files()
        self.suffix = self.files[0].suffix.lower()
        self.format = FORMATS.get(self.suffix, "")
        if not self.format:
            raise Refused(f"SAMPLE={path} cannot be read as a table: give a file that ends in {', '.join(FORMATS)}")
        self.con = duckdb.connect()
        self.con.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
        try:
            self._load()
        except duckdb.Error as error:
            raise Refused(f"SAMPLE={path} cannot be read as a table: {str(error).splitlines()[0]}") from None
        self.rows = self.con.execute("SELECT count(*) FROM sample").fetchone()[0]
        if not self.rows:
            raise Refused(f"SAMPLE={path} holds no rows: give a file with at least one")
        self.columns = self._columns()
        self.partition_column = self._partition_column(partition_column)
        self._find_key()

    def facts(self) -> dict:
        """What the files of the pipeline are written from."""
        return {
            "file": self._file(),
            "format": self.format,
            "delimiter": self.delimiter,
            "missing": self.missing,
            "partition_column": self.partition_column.name if self.partition_column else "",
            "start": self._start(),
            "columns": [vars(column) for column in self.columns],
            "landed": ["all"] if self.grain == "none" else list(self._spans()),
        }

    def land(self, folder: Path) -> list[str]:
        """Write up to three partitions of the sample as landing data. Returns their keys."""
        if self.grain == "none":
            folder.mkdir(parents=True, exist_ok=True)
            if self.is_whole:
                for file in self.files:
                    shutil.copyfile(file, folder / (file.name if self.is_folder else self._file()))
            else:
                self._write_files("true", folder)
            (folder / "_SUCCESS").touch()
            return ["all"]
        spans = self._spans()
        for key, (first, after) in spans.items():
            (folder / key).mkdir(parents=True, exist_ok=True)
            instant = self._instant()
            self._write_files(f"{instant} >= {first} AND {instant} < {after}", folder / key)
            (folder / key / "_SUCCESS").touch()
        return list(spans)

    def _load(self) -> None:
        """The rows, or the first of many, as a table: of text for CSV, as they are typed otherwise."""
        files = f"[{', '.join(quoted(str(file)) for file in self.files)}]"
        self.delimiter = ","
        if self.format == "csv":
            [(self.delimiter,)] = self.con.execute(
                f"SELECT Delimiter FROM sniff_csv({quoted(str(self.files[0]))}, all_varchar = true)"
            ).fetchall()
            # DuckDB renames columns that differ in case only. Rows with a wrong number of fields are set aside by the
            # pipeline.
            names = ", ".join(quoted(name) for name in self._header())
            options = f"header = true, names = [{names}], delim = {quoted(self.delimiter)}, ignore_errors = true"
            source = f"read_csv({files}, all_varchar = true, {options}, filename = 'sample_file')"
        else:
            source = f"{READERS[self.format]}({files}, filename = 'sample_file')"
        self.con.execute(
            "CREATE TABLE sample AS SELECT *, row_number() OVER () AS sample_row "
            f"FROM (SELECT * FROM {source} LIMIT {ROWS + 1})"
        )
        self.is_whole = self.con.execute("SELECT count(*) FROM sample").fetchone()[0] <= ROWS

    def _files(self) -> list[Path]:
        """The files to read: the sample, or all files of one kind in it."""
        if not self.path.exists():
            raise Refused(f"SAMPLE={self.path} is not there")
        if not self.is_folder:
            return [self.path]
        files = sorted(file for file in self.path.iterdir() if file.is_file() and file.name[0] not in "._")
        if not files:
            raise Refused(f"SAMPLE={self.path} holds no files: give a folder with at least one")
        if len(kinds := sorted({file.suffix.lower() for file in files})) > 1:
            raise Refused(f"SAMPLE={self.path} holds files of several kinds ({', '.join(kinds)}): give those of one")
        return files

    def _file(self) -> str:
        """The name of a partition's file, or the pattern of its files."""
        if self.is_folder:
            return f"*{self.files[0].suffix}"
        return self.path.name if self.path.name.isascii() else f"input{self.suffix}"

    def _header(self) -> list[str]:
        """The names of a CSV's columns, as they stand there; of several files, all have the same."""
        headers = {}
        for file in self.files:
            try:
                with file.open(encoding="utf-8-sig", newline="") as lines:
                    headers[file] = next(csv.reader(lines, delimiter=self.delimiter), [])
            except UnicodeDecodeError:
                raise Refused(f"SAMPLE={file} is not UTF-8 text: convert it first") from None
        names = headers[self.files[0]]
        if others := [file.name for file, header in headers.items() if header != names]:
            raise Refused(f"{others[0]} has another header than {self.files[0].name}: give files of one kind")
        for number, name in enumerate(names, start=1):
            if not name.strip():
                raise Refused(f"column {number} of the sample has no name: give it one in the first line")
        identifiers(names)
        return names

    def _columns(self) -> list[Column]:
        own = ("sample_row", "sample_file")
        described = [row for row in self.con.execute("DESCRIBE sample").fetchall() if row[0] not in own]
        sources = [name for name, *_ in described]
        for source in sources:
            if source.lower() in OWN_COLUMNS:
                raise Refused(f"the sample has a column {source}, which the project uses itself: rename it")
        names = identifiers(sources)
        self.missing = self._missing_text(sources)
        return [self._described(source, name, kind) for (source, kind, *_), name in zip(described, names, strict=True)]

    def _missing_text(self, sources: list[str]) -> str:
        """The text, besides the empty one, that stands for no value most often."""
        counts = dict.fromkeys(MISSING[1:], 0)
        for source in sources:
            counted = (
                f"SELECT v, count(*) FROM (SELECT {column(source)}::VARCHAR AS v FROM sample) WHERE v IN ? GROUP BY v"
            )
            for text, count in self.con.execute(counted, [MISSING[1:]]).fetchall():
                counts[text] += count
        return max(counts, key=counts.get) if any(counts.values()) else ""

    def _described(self, source: str, name: str, kind: str) -> Column:
        text = f"nullif(nullif({column(source)}::VARCHAR, ''), {quoted(self.missing)})"
        given, total, low, high = self.con.execute(
            f"SELECT count({text}), count(*), min({text}), max({text}) FROM sample"
        ).fetchone()
        type_ = self._type(text, kind) if given else "string"
        if type_ in ("integer", "long", "decimal"):
            low, high = self.con.execute(
                f"SELECT min(try_cast({text} AS DOUBLE)), max(try_cast({text} AS DOUBLE)) FROM sample"
            ).fetchone()
            shown = f"{low:g} to {high:g}"
        else:
            shown = f"{low} to {high}" if given and type_ in ("date", "timestamp") else ""
        return Column(source, name, type_, nullable=given < total, range=shown)

    def _type(self, text: str, kind: str) -> str:
        """The type that all given values have: as the file says, else by their form."""
        wanted = ("integer", "long", "decimal", "date", "timestamp", "boolean")
        if self.format != "csv":  # where text is text, unless JSON has no other form for it
            wanted = [TYPES[kind]] if kind in TYPES else ("date", "timestamp") if self.format == "json" else ()
        casts = {"integer": "INTEGER", "long": "BIGINT", "decimal": "DOUBLE", "date": "DATE", "timestamp": "TIMESTAMP"}
        for each in wanted:
            cast = f" AND try_cast({text} AS {casts[each]}) IS NOT NULL" if each in casts else ""
            fits = f"coalesce(bool_and(regexp_full_match({text}, {quoted(FORMS[each])}){cast}), false)"
            leading = f"bool_or(regexp_full_match({text}, '-?0[0-9]+'))"  # 007 is a name, not a number
            ok, zeros = self.con.execute(f"SELECT {fits}, {leading} FROM sample WHERE {text} IS NOT NULL").fetchone()
            if ok and not (zeros and each in ("integer", "long", "decimal")):
                return each
        return "string"

    def _partition_column(self, given: str) -> Column | None:
        if self.grain == "none":
            return None
        usable = [each for each in self.columns if each.type in ("date", "timestamp") and not each.nullable]
        if self.grain == "hour":
            usable = [each for each in usable if each.type == "timestamp"]
        if given:
            chosen = [each for each in usable if given in (each.source, each.name)]
        else:
            chosen = sorted(usable, key=lambda each: each.type != "date")
        if chosen:
            return chosen[0]
        form = "a time such as 2013-01-02T05:00:00Z" if self.grain == "hour" else "a date such as 2013-01-02, or a time"
        listed = ", ".join(each.source for each in usable) or "none"
        subject = f"PARTITION_COLUMN={given}" if given else "no column of the sample"
        raise Refused(
            f"{subject} says which {self.grain} a row belongs to: that takes {form} in every row (usable: {listed}); "
            "with GRAIN=none the file is read as a whole"
        )

    def _find_key(self) -> None:
        """Mark the fewest columns that tell all rows apart."""
        usable = [each for each in self.columns if not each.nullable and each.type != "decimal"][:12]
        for size in (1, 2, 3):
            for chosen in combinations(usable, size):
                names = ", ".join(column(each.source) for each in chosen)
                [(distinct,)] = self.con.execute(
                    f"SELECT count(*) FROM (SELECT DISTINCT {names} FROM sample)"
                ).fetchall()
                if distinct == self.rows:
                    for each in chosen:
                        each.key = True
                    return

    def _instant(self) -> str:
        """The partition column as SQL: a date, or a timestamp in UTC."""
        own = self.partition_column
        return f"try_cast({column(own.source)}::VARCHAR AS {'DATE' if own.type == 'date' else 'TIMESTAMP'})"

    def _spans(self) -> dict[str, tuple[str, str]]:
        """Up to three partitions in a row by key, each with its start and end as SQL; not the first nor the last, if
        possible."""
        instants = f"SELECT DISTINCT {self._instant()} FROM sample WHERE {self._instant()} IS NOT NULL ORDER BY 1"
        spans: dict[str, tuple[str, str]] = {}
        for (value,) in self.con.execute(instants).fetchall():
            key, first, after = self._span(value)
            spans[key] = (first, after)
        keys = sorted(spans)
        inner = keys[1:-1] if len(keys) > LANDED + 1 else keys
        return {key: spans[key] for key in inner[:LANDED]}

    def _span(self, value: date | datetime) -> tuple[str, str, str]:
        """Key, start and end of the partition that a value belongs to; as platform/partitions.py has them."""
        is_time = isinstance(value, datetime)
        if self.grain == "hour":
            start = value.replace(minute=0, second=0, microsecond=0)
            return f"{start:%Y-%m-%dT%HZ}", *(f"TIMESTAMP '{each}'" for each in (start, start + timedelta(hours=1)))
        day = value.replace(tzinfo=UTC).astimezone(self.zone).date() if is_time else value
        if self.grain == "week":
            day -= timedelta(days=day.weekday())
        if self.grain == "month":
            day = day.replace(day=1)
        after = {"day": day + timedelta(days=1), "week": day + timedelta(days=7)}.get(self.grain) or (
            day + timedelta(days=32)
        ).replace(day=1)
        key = f"{day:%Y-%m}" if self.grain == "month" else f"{day}"
        if not is_time:
            return key, f"DATE '{day}'", f"DATE '{after}'"
        utc = [datetime(each.year, each.month, each.day, tzinfo=self.zone).astimezone(UTC) for each in (day, after)]
        return key, *(f"TIMESTAMP '{each:%Y-%m-%d %H:%M:%S}'" for each in utc)

    def _start(self) -> str:
        """The date of the first row, or today's where rows have none."""
        if self.partition_column is None:
            return f"{datetime.now(UTC):%Y-%m-%d}"
        return f"{self.con.execute(f'SELECT min({self._instant()}) FROM sample').fetchone()[0]:%Y-%m-%d}"

    def _write_files(self, condition: str, folder: Path) -> None:
        """Write the sample's rows that fit into files of the folder, named as those they come from."""
        for file in self.files:
            chosen = f"{condition} AND sample_file = {quoted(str(file))}"
            if self.con.execute(f"SELECT 1 FROM sample WHERE {chosen} LIMIT 1").fetchall():
                query = f"SELECT * EXCLUDE (sample_row, sample_file) FROM sample WHERE {chosen} ORDER BY sample_row"
                self._write(query, folder / (file.name if self.is_folder else self._file()))

    def _write(self, query: str, target: Path) -> None:
        options = {
            "csv": f"FORMAT csv, HEADER true, DELIMITER {quoted(self.delimiter)}",
            "parquet": "FORMAT parquet",
            "json": "FORMAT json",
        }[self.format]
        self.con.execute(f"COPY ({query}) TO {quoted(str(target))} ({options})")


def identifiers(sources: list[str]) -> list[str]:
    """A column name for each source column: lower-case ASCII that is no keyword, and unique."""
    lowered = [source.lower() for source in sources]
    for source in sources:
        if lowered.count(source.lower()) > 1:
            raise Refused(f"the sample has several columns {source} that differ in case only: rename all but one")
    names: list[str] = []
    for number, source in enumerate(sources, start=1):
        plain = unicodedata.normalize("NFKD", source).encode("ascii", "ignore").decode().lower()
        name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or f"column_{number}"
        if name[0].isdigit() or keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in OWN_COLUMNS:
            name = f"{name}_" if not name[0].isdigit() else f"column_{name}"
        while name in names:
            name = f"{name}_{number}"
        names.append(name)
    return names


def render(name: str, facts: dict, answers: dict) -> None:
    """Write the pipeline's files from the template, at the version that the project has."""
    try:
        copier.run_copy(
            answers["_src_path"],
            ROOT,
            data={
                "kind": "pipeline",
                "pipeline_name": name,
                "pipeline": facts,
                "package_name": answers["package_name"],
                "owning_team": answers["owning_team"],
                "owner_contact": answers["owner_contact"],
                "cloud": answers.get("cloud", "aws"),
            },
            answers_file=f"config/pipelines/{name}.answers.yml",
            vcs_ref=answers.get("_commit"),
            defaults=True,
            quiet=True,
            skip_tasks=True,
        )
    except copier.errors.UserMessageError as error:
        raise Refused(str(error)) from None
    except (ProcessExecutionError, copier.errors.CopierError, OSError, ValueError) as error:
        raise Refused(f"the template at {answers['_src_path']} cannot be read: {last_line(error)}") from None


def add_packages(shape: dict, group: str) -> None:
    """Add what a shape needs to the dependency group of an orchestrator; the next `make` installs it."""
    packages, known = shape["needs"][group], PROJECT["dependency-groups"][group]
    wanted = [each for each in packages if each not in known]
    if not wanted:
        return
    command = [os.environ.get("UV") or "uv", "add", "--quiet", "--frozen", "--group", group, *wanted]
    try:
        added = subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    except FileNotFoundError:
        added = False
    if not added:
        print(f"warning: add {', '.join(wanted)} to the group {group} in pyproject.toml yourself", file=sys.stderr)


def last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def report(name: str, facts: dict, landed: list[str]) -> None:
    rows = [
        (
            each["source"],
            each["name"],
            each["type"],
            "no" if not each["nullable"] else "may be empty",
            "key" if each["key"] else "",
        )
        for each in facts["columns"]
    ]
    widths = [max(len(row[index]) for row in rows) for index in range(5)]
    print(
        f"{name}: {len(rows)} columns of {facts['file']}, {landed and ', '.join(landed)} landed in data/landing/{name}"
    )
    for row in rows:
        print("  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    key = ", ".join(each["name"] for each in facts["columns"] if each["key"])
    package = project_answers()["package_name"]
    print(f"likely key: {key or 'none found; say in the contract what tells rows apart'}")
    contract = "contract.py" if facts["shape"] == "batch_etl" else "dbt/models/marts/marts.yml"
    print(
        f"look at src/{package}/pipelines/{name}/{contract} next, and at config/pipelines/{name}.toml for its schedule"
    )
    print(f"run it: make run PIPELINE={name}")


def report_own(name: str, shape: dict, package: str) -> None:
    print(f"{name}: {shape['own']}, with {shape['partition']} landed in data/landing/{name}")
    print(f"look at config/pipelines/{name}.toml next, and at src/{package}/pipelines/{name}/")
    print(f"run it: make run PIPELINE={name}")


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def column(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


if __name__ == "__main__":
    sys.exit(main())
