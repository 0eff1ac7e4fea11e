"""Whatever a team did to its project, and whatever it answers now: an update loses no line of it and hides no conflict.

An example takes up to ten renders, so there are few of them, with many edits each; UPDATE_EXAMPLES asks for more.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
import releases as r
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from releases import CURRENT, NEXT, Releases, commit, files_of, owner, owners, update

EXAMPLES = int(os.environ.get("UPDATE_EXAMPLES", "4"))
ANSWERED_BEFORE = {"orchestrator": "airflow", "also_orchestrators": ["dagster"]}
ANSWERED_NOW = (
    {},
    {"also_orchestrators": []},
    {"also_orchestrators": ["dagster", "prefect"]},
    {"orchestrator": "dagster", "also_orchestrators": []},
    {"ci_provider": "gitlab", "environments": ["prod"], "timezone": "Europe/Berlin"},
)
UPDATER = "scripts/update.py"  # left whole: one that has a syntax error cannot update anything
MARKERS = (b"<<<<<<< before updating", b">>>>>>> after updating")


@pytest.fixture(scope="module")
def releases(tmp_path_factory) -> Releases:
    made = r.clone_with_releases(tmp_path_factory.mktemp("releases") / "orch-starter")
    r.release_next(made)
    made.project(tmp_path_factory.mktemp("first") / "project", CURRENT, **ANSWERED_BEFORE)
    return made


# What is done to a file: picked by number among the project's files, and at a share of its lines.
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["insert", "insert", "insert", "append", "change", "delete", "move"]),
        st.integers(0, 10_000),
        st.floats(0, 1),
    ),
    max_size=25,
)
ADDED = st.lists(
    st.sampled_from(["dags", "flows", "scripts", "tests/unit", "src/flight_marts/pipelines", "ours"]), max_size=4
)


def edit(project: Path, edits: list[tuple[str, int, float]], added: list[str]) -> dict[str, set[bytes]]:
    """Do that to the project. Returns the lines that the team wrote, by the path they stand in."""
    written: dict[str, set[bytes]] = {}
    names = sorted(name for name in files_of(project) if name not in (r.ANSWERS, UPDATER))
    for number, (kind, pick, share) in enumerate(edits):
        name = names[pick % len(names)]
        path = project / name
        if not path.exists():
            continue  # an earlier edit took it away
        lines = path.read_bytes().splitlines(keepends=True)
        ours = f"# ours, number {number}\n".encode()
        at = int(share * len(lines))
        if kind == "delete":
            path.unlink()
            written.pop(name, None)
        elif kind == "move":
            target = project / "moved" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
            written[f"moved/{name}"] = written.pop(name, set())
        else:
            if kind == "change" and at < len(lines):
                written.get(name, set()).discard(lines[at])
                lines[at] = ours
            elif kind == "append" and lines and not lines[-1].endswith(b"\n"):
                lines[-1] += b"\n"
                lines.append(ours)
            else:
                lines.insert(len(lines) if kind == "append" else at, ours)
            path.write_bytes(b"".join(lines))
            written.setdefault(name, set()).add(ours)
    for number, folder in enumerate(added):
        name = f"{folder}/added_{number}.py"
        (project / folder).mkdir(parents=True, exist_ok=True)
        (project / name).write_text(f'"""Ours, added {number}."""\n')
        written[name] = set()
    return written


def as_options(answers: dict) -> list[str]:
    words = [
        f"{name}={'[' + ', '.join(value) + ']' if isinstance(value, list) else value}"
        for name, value in answers.items()
    ]
    return ["--answers", " ".join(words)]


@pytest.mark.deep
@example(edits=[], added=[], now={})
@example(edits=[], added=[], now={"orchestrator": "dagster", "also_orchestrators": []})
@given(edits=EDITS, added=ADDED, now=st.sampled_from(ANSWERED_NOW))
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_no_line_is_lost_and_no_conflict_hidden(releases, tmp_path_factory, edits, added, now):
    folder = tmp_path_factory.mktemp("example")
    project = releases.project(folder / "project", CURRENT, **ANSWERED_BEFORE)
    rows = owners(project)
    written = edit(project, edits, added)
    commit(project)
    before = files_of(project)
    started = files_of(releases.projects[repr((CURRENT, sorted(ANSWERED_BEFORE.items())))])

    done = update(project, *as_options(now))

    told = done.stdout + done.stderr
    assert "Traceback" not in told
    assert done.returncode in (0, 1), told
    after = files_of(project)
    assert r.answers_of(project)["_commit"] == NEXT

    of_the_team = {name for name in before | started if owner(rows, name) != "platform"}
    of_the_team |= {name for name in before if name not in started}
    for name in of_the_team:
        assert after.get(name) == before.get(name), f"{name} is the team's"

    everything = b"".join(after.values())
    for name, lines in written.items():
        for line in lines:
            assert line in everything, f"{line} of {name} is lost\n{told}"

    marked = {
        name for name, text in after.items() if text not in before.values() and any(mark in text for mark in MARKERS)
    }
    listed = set(re.findall(r"^conflict   (.*): \d+ places?$", done.stdout, flags=re.MULTILINE))
    assert marked == listed
    assert done.returncode == (1 if marked else 0)
    assert not [name for name in after if name.endswith((".rej", ".orig"))]

    if not written and started == before:
        fresh = files_of(releases.render(folder / "fresh", NEXT, **ANSWERED_BEFORE | now))
        fresh_rows = owners(folder / "fresh")
        for name in fresh | after:
            if owner(fresh_rows, name) == "platform":
                assert after.get(name) == fresh.get(name), name

    commit(project)
    again = update(project)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "nothing changed" in again.stdout
    assert files_of(project) == after
    shutil.rmtree(folder)
