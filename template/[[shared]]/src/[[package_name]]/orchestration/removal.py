"""Removing a pipeline: `make pipeline-remove NAME=weather`. Its files move aside, and its published tables stay."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

from .. import orchestration
from ..platform import config, dbt, pipelines, publications, warehouse
from ..platform.pipelines import PACKAGE


def remove(name: str) -> None:
    """Move the files of a pipeline to var/removed/ and say what stays. Raises ConfigError when it does not exist."""
    pipeline, settings = pipelines.get(name), config.load()
    root = settings.root
    paths = [
        root / "src" / PACKAGE / "pipelines" / name,
        *(path for each in orchestration.names() for path in _definitions(root, each, name)),
        root / "config" / "pipelines" / f"{name}.toml",
        root / "config" / "pipelines" / f"{name}.answers.yml",
        root / "tests" / "unit" / f"test_{name}.py",
        root / "contracts" / name,
        *sorted((root / "var").glob(f"*/metrics/{name}.*")),
    ]
    landed, others = _landing(root, name)
    aside = root / "var" / "removed" / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    for path in [*paths, *landed]:
        if path.exists():
            target = aside / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
            print(f"removed {path.relative_to(root)}{'/' if target.is_dir() else ''}")
    for folder in (root / "data" / "landing" / name, root / "data" / "landing"):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    with warehouse.connect() as con:
        publications.forget_work(con, pipeline)
        for schema in dbt.schemas(name):
            warehouse.run(con, f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        tables = [
            table for table in (*pipeline.tables, f"{pipeline.tables[0]}_quarantine") if warehouse.has(con, table)
        ]
    print(f"kept until you delete them: {aside.relative_to(root)}/")
    if tables:
        print(f"these tables stay in {warehouse.describe(settings)}: {', '.join(tables)}")
    if others:
        print(f"this input stays: {', '.join(str(path.relative_to(root)) for path in others)}")
    print("restart services that are up, because they still know the pipeline: make down up")


def _definitions(root: Path, orchestrator: str, name: str) -> list[Path]:
    """The thin file of a pipeline, and what has its name beside it."""
    engine = orchestration.get(orchestrator)
    beside = getattr(engine, "beside", ())
    file, *others = (root / each.format(package=PACKAGE, name=name) for each in (engine.definition, *beside))
    return sorted({file, *others, *file.parent.glob(f"{name}.*")})


def _landing(root: Path, name: str) -> tuple[list[Path], list[Path]]:
    """The landing data that `make pipeline` wrote, and what has arrived since."""
    answers, folder = root / "config" / "pipelines" / f"{name}.answers.yml", root / "data" / "landing" / name
    if not folder.is_dir():
        return [], []
    written = _written(answers)
    if written == ["all"]:
        return [folder], []
    entries = sorted(folder.iterdir())
    return [path for path in entries if path.name in written], [path for path in entries if path.name not in written]


def _written(answers: Path) -> list[str]:
    """The partitions that `make pipeline` landed: its answers file has a JSON value on each line."""
    lines = answers.read_text(encoding="utf-8").splitlines() if answers.exists() else []
    facts = [json.loads(line.partition(": ")[2]) for line in lines if line.startswith("pipeline: ")]
    return facts[0].get("landed", []) if facts else []
