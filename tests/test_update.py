"""Updates of projects: platform files follow the template, files of the team are left alone. Without trust.

Template and projects are in releases.py; projects start from the first release, as this repository's history has it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
import releases as r
import yaml
from combinations import ORCHESTRATORS, answers_for
from projects import UV
from releases import CURRENT, NEW_LINE, NEXT, RELEASED, Releases, commit, copier_update, files_of, owner, owners, update
from repository import QUESTIONS, ROOT, git

sys.path.append(str(ROOT / "tools"))
from write_seeds import seeds

FIRST = next(iter(RELEASED))
IN_FIRST = ("airflow", "dagster", "prefect")  # the orchestrators of that release
ONE_OR_TWO = [*((name,) for name in IN_FIRST), ("airflow", "dagster")]
SHORT = (("airflow", "dagster"),)  # what the short run takes; the others update the same way
EACH_PROJECT = pytest.mark.parametrize(
    "names",
    [pytest.param(names, id="+".join(names), marks=() if names in SHORT else pytest.mark.deep) for names in ONE_OR_TWO],
)
GUIDE = (ROOT / "docs" / "updating.md").read_text()
PACKAGE = "src/flight_marts"
TRANSFORM = f"{PACKAGE}/pipelines/flights_daily/transform.py"
PIPELINE_FILES = {"airflow": "dags/{}.py", "dagster": f"{PACKAGE}/defs/{{}}.py", "prefect": "flows/{}.py"}


@pytest.fixture(scope="module")
def releases(tmp_path_factory) -> Releases:
    made = r.clone_with_releases(tmp_path_factory.mktemp("releases") / "orch-starter")
    r.release_next(made)
    return made


@pytest.fixture
def own_releases(releases, tmp_path) -> Releases:
    """A template that the test may release from."""
    return Releases(Path(shutil.copytree(releases.folder, tmp_path / "template" / "orch-starter")))


def work_as_a_team_does(project: Path, names: tuple[str, ...]) -> dict[str, bytes | None]:
    """Change business code, add a pipeline, delete the sample pipeline, edit platform files and move one.

    Returns what must stay as it is by path, None for what must stay away.
    """
    for path in (TRANSFORM, "Makefile", "config/base.toml"):
        lines = (project / path).read_text().splitlines(keepends=True)
        (project / path).write_text("".join([*lines[:4], f"# ours, in {path}\n", *lines[4:]]))
    added = [f"{PACKAGE}/pipelines/bookings/__init__.py", f"{PACKAGE}/pipelines/bookings/transform.py"]
    added += [PIPELINE_FILES[name].format("bookings") for name in names]
    for path in added:
        (project / path).parent.mkdir(exist_ok=True)
        (project / path).write_text(f'"""Ours: {path}."""\n')
    deleted = [PIPELINE_FILES[names[0]].format("flights_daily"), "data/landing/2013-01-03/flights.csv"]
    for path in deleted:
        (project / path).unlink()
    moved = "tools/services.py"
    (project / "tools").mkdir()
    (project / "scripts/services.py").rename(project / moved)
    commit(project)
    stays = [TRANSFORM, moved, *added, *(PIPELINE_FILES[name].format("flights_daily") for name in names[1:])]
    return {path: (project / path).read_bytes() for path in stays} | dict.fromkeys([*deleted, "scripts/services.py"])


def assert_as_the_team_left_it(project: Path, left: dict[str, bytes | None]) -> None:
    now = files_of(project)
    for path, content in left.items():
        assert now.get(path) == content, path
    for path in ("Makefile", "config/base.toml"):
        assert f"# ours, in {path}\n".encode() in now[path], path


def keep_both_sides(project: Path, conflicts: list[str]) -> None:
    """Resolve conflicts in files of the platform's, which are no others."""
    rows = owners(project)
    for path in conflicts:
        assert owner(rows, path) == "platform", path
        lines = (project / path).read_text().splitlines(keepends=True)
        (project / path).write_text("".join(line for line in lines if not re.match("<{7} |={7}$|>{7} ", line)))


@EACH_PROJECT
def test_the_teams_work_is_kept_through_two_releases(releases, tmp_path, names):
    project = releases.project(tmp_path / "project", FIRST, **answers_for(names))
    left = work_as_a_team_does(project, names)

    assert 'scripts/update.py" --project .' in GUIDE
    done = r.update_from_outside(project, "--version", CURRENT, "--answers", "timezone=Europe/Berlin")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    keep_both_sides(project, re.findall(r"^conflict   (.*): \d", done.stdout, re.MULTILINE))
    assert_as_the_team_left_it(project, left)
    assert r.answers_of(project)["_commit"] == CURRENT
    if "airflow" in names:
        assert (project / "dags/watch_inputs.py").exists(), "a file of the platform's in a folder of the team's follows"
    assert 'timezone = "Europe/Berlin"' in (project / "config/base.toml").read_text()
    commit(project)

    done = update(project, "--answers", "ci_provider=gitlab")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_as_the_team_left_it(project, left)
    assert NEW_LINE in (project / "config/dev.toml").read_text()
    assert (project / ".gitlab-ci.yml").exists()
    assert not (project / ".github").exists()
    assert not (project / r.REMOVED_IN_NEXT).exists()
    assert (project / "scripts/report.py").exists()
    assert not (project / TRANSFORM).with_name("extra.py").exists(), "what is new in the team's folders is not for them"


@EACH_PROJECT
def test_an_unedited_project_equals_a_fresh_one(releases, tmp_path, names):
    answers = answers_for(names)
    project = releases.project(tmp_path / "project", FIRST, **answers)
    started = files_of(project)
    assert copier_update(project, "--vcs-ref", CURRENT).returncode == 0
    commit(project)
    done = update(project)
    assert done.returncode == 0, done.stdout + done.stderr
    # What the rules and the defaults said when the project was made stays.
    answers |= {name: r.answers_of(project)[name] for name in ("recommended_orchestrator", "description")}
    fresh = files_of(releases.render(tmp_path / "fresh", NEXT, **answers))
    now, rows = files_of(project), owners(project)
    platform = {path for path in now | fresh if owner(rows, path) == "platform"}
    assert {path: now.get(path) for path in platform} == {path: fresh.get(path) for path in platform}
    team = {path for path in now if path not in platform}
    assert {path: now[path] for path in team} == {path: started[path] for path in team}
    assert NEW_LINE.encode() in fresh[TRANSFORM]


# Not the sample that is several pipelines: each of them has a shape of these.
SHAPES = sorted(
    shape
    for path in (ROOT / "template/[[shared]]").glob("*/sample.json")
    if (shape := path.parent.name.strip("[]")) == json.loads(path.read_text())["shape"]
)


def with_shape(shape: str) -> list[str]:
    manifests = {
        name: yaml.safe_load((ROOT / f"template/[[{name}]]/manifest.yml").read_text()) for name in ORCHESTRATORS
    }
    return [name for name, manifest in manifests.items() if shape in manifest["shapes"]]


@pytest.mark.deep
@pytest.mark.parametrize(
    ("shape", "engine"),
    [
        *((shape, able[n % len(able)]) for n, shape in enumerate(SHAPES) if (able := with_shape(shape))),
        ("a folder", "temporal"),
    ],
)
def test_a_pipeline_of_each_shape_is_the_same_whether_added_before_or_after_an_update(
    releases, tmp_path, shape, engine
):
    """In a project whose sample has another shape; what is added is the team's, and what it needs of the platform."""
    other = "data_products" if shape in ("batch_etl", "a folder") else "batch_etl"
    answers = {"orchestrator": engine, "pipeline_shape": other, "accept_exclusion": "yes"}
    before, after = (releases.project(tmp_path / version, version, **answers) for version in (CURRENT, NEXT))
    options = ["--name", "added", "--shape", "batch_etl" if shape == "a folder" else shape]
    if shape == "a folder":
        (tmp_path / "logs").mkdir()
        for name in ("a", "b"):
            (tmp_path / "logs" / f"{name}.csv").write_text(f"id,at\n{name},2013-01-02T05:10:00Z\n")
        options += ["--sample", str(tmp_path / "logs"), "--grain", "day"]
    if shape in ("batch_etl", "data_products"):
        (tmp_path / "added.csv").write_text("id,at,amount\n1,2013-01-02T05:10:00Z,2.5\n2,2013-01-02T06:10:00Z,3.5\n")
        options += ["--sample", str(tmp_path / "added.csv"), "--grain", "day"]
    files = {}
    for project in (before, after):
        there = files_of(project)
        command = [sys.executable, "scripts/pipeline.py", *options]
        done = subprocess.run(
            command, cwd=project, env={**os.environ, "UV": UV}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        files[project] = {name for name, content in files_of(project).items() if there.get(name) != content}
        commit(project)
    assert files[before] == files[after] > {"config/pipelines/added.toml"}
    done = update(before)
    assert done.returncode == 0, done.stdout + done.stderr
    updated, fresh = files_of(before), files_of(after)
    differ = {name for name in files[after] if updated.get(name) != fresh[name]}
    assert differ <= {"config/pipelines/added.answers.yml"}  # it names the release that made the pipeline
    assert NEW_LINE in updated["config/dev.toml"].decode()


@pytest.mark.deep
@pytest.mark.parametrize("answers", [{"orchestrator": "prefect"}, {"pipeline_shape": "mixed"}], ids=str)
def test_a_second_update_changes_nothing(releases, tmp_path, answers):
    project = releases.project(tmp_path / "project", CURRENT, **answers)
    assert update(project).returncode == 0
    commit(project)
    for again in (update(project), copier_update(project)):
        assert again.returncode == 0
        assert not git("status", "--porcelain", cwd=project)
    assert f"already at {NEXT}, nothing changed" in update(project).stdout


@pytest.mark.deep
@pytest.mark.parametrize("beside", [["airflow"], ["airflow", "prefect"]])
def test_a_second_plain_update_from_0_1_changes_nothing(releases, tmp_path, beside):
    answers = {"pipeline_shape": "mixed", "orchestrator": "dagster", "also_orchestrators": beside}
    project = releases.project(tmp_path / "project", FIRST, **answers)
    assert copier_update(project, "--vcs-ref", CURRENT, "--data", "also_orchestrators=[]").returncode == 0
    commit(project)
    assert copier_update(project, "--vcs-ref", CURRENT).returncode == 0
    assert not git("status", "--porcelain", cwd=project)


@pytest.mark.deep
def test_copier_alone_names_what_it_deleted_and_the_command_that_brings_it_back(releases, tmp_path):
    project = releases.project(tmp_path / "project", CURRENT, orchestrator="prefect")
    edited = project / r.REMOVED_IN_NEXT
    edited.write_text(edited.read_text() + "# ours\n")
    commit(project)
    done = copier_update(project)
    assert done.returncode == 0, done.stderr
    assert not edited.exists()
    named = done.stderr.partition("no longer has these files, and Copier deleted them:\n")[2].partition("If you")[0]
    assert named.split() == [r.REMOVED_IN_NEXT, r.RENAMED_IN_NEXT[0]]
    command = re.search(r"bring it back: git (checkout HEAD -- )<file>", done.stderr)[1]
    git(*command.split(), r.REMOVED_IN_NEXT, cwd=project)
    assert edited.read_text().endswith("# ours\n")
    assert "git diff --name-only --diff-filter=U" in done.stderr
    commit(project)
    told = copier_update(project, "--data", "timezone=Europe/Berlin").stderr
    assert "deleted" not in told, "nothing was"


@pytest.mark.deep
def test_make_update_says_nothing_of_what_copier_alone_cannot(releases, tmp_path):
    project = releases.project(tmp_path / "project", CURRENT, orchestrator="prefect")
    assert "Copier" not in update(project).stderr


@pytest.mark.deep
def test_a_relative_template_is_recorded_by_its_whole_path(releases, tmp_path):
    command = [sys.executable, "-m", "copier", "copy", "--quiet", "--defaults", "--vcs-ref", CURRENT]
    subprocess.run(
        [*command, releases.folder.name, str(tmp_path / "project")],
        cwd=releases.folder.parent,
        check=True,
        capture_output=True,
    )
    project = tmp_path / "project"
    assert r.answers_of(project)["_src_path"] == str(releases.folder)
    git("init", "--quiet", cwd=project)
    commit(project)
    assert update(project).returncode == 0
    assert not git("diff", "HEAD", "-G_src_path", "--", r.ANSWERS, cwd=project)


@pytest.mark.deep
def test_answers_that_stay_are_those_of_the_table_and_copier_refuses_them_too(releases, tmp_path):
    fixed = {name for name, question in QUESTIONS.items() if "fixed_problem" in question.get("validator", "")}
    rows = re.findall(r"^\| `(\w+)` \|", GUIDE.partition("## Answers that stay")[2].partition("\n## ")[0], re.MULTILINE)
    assert set(rows) == fixed
    project = releases.project(tmp_path / "project", CURRENT, orchestrator="hybrid", pipeline_shape="mixed")
    before = files_of(project)
    for answer in ("package_name=other", "member_orchestrators=[dagster]"):
        done = copier_update(project, "--data", answer)
        assert done.returncode != 0
        assert "cannot be changed" in done.stderr.splitlines()[-1]
        assert files_of(project) == before


@pytest.mark.deep
def test_an_added_orchestrator_comes_complete_and_a_dropped_one_leaves_the_teams_files(releases, tmp_path):
    project = releases.project(tmp_path / "project", CURRENT, orchestrator="airflow")
    both = answers_for(("airflow", "dagster"))
    done = copier_update(project, "--vcs-ref", CURRENT, "--data", "also_orchestrators=[dagster]")
    assert done.returncode == 0, done.stderr
    fresh = files_of(releases.render(tmp_path / "both", CURRENT, **both))
    assert files_of(project).keys() == fresh.keys()
    rows = owners(project)
    assert not [path for path, text in files_of(project).items() if owner(rows, path) != "team" and text != fresh[path]]
    commit(project)

    dag = project / "dags" / "flights_daily.py"
    dag.write_text("# ours\n" + dag.read_text())
    (project / "dags/marts").mkdir()
    (project / "dags/marts/bookings.py").write_text("# ours\n")
    commit(project)
    data = ("--data", "orchestrator=dagster", "--data", "also_orchestrators=[]")
    done = copier_update(project, "--vcs-ref", CURRENT, *data)
    assert done.returncode == 0, done.stderr
    left = ["dags/flights_daily.py", "dags/marts/bookings.py"]
    for path in left:
        assert f"  {path}\n" in done.stderr
    alone = files_of(releases.render(tmp_path / "alone", CURRENT, orchestrator="dagster"))
    assert files_of(project).keys() == alone.keys() | set(left)
    assert dag.read_text().startswith("# ours\n")
    commit(project)

    # Back again: what the team still has stays, what it lacks comes.
    dag.unlink()
    commit(project)
    done = copier_update(project, "--vcs-ref", CURRENT, "--data", "also_orchestrators=[airflow]")
    assert done.returncode == 0, done.stderr
    assert (project / "dags/marts/bookings.py").read_text() == "# ours\n"
    back = files_of(releases.render(tmp_path / "back", CURRENT, **answers_for(("dagster", "airflow"))))
    assert files_of(project).keys() == back.keys() | {"dags/marts/bookings.py"}


@pytest.mark.deep
def test_edited_platform_files_of_a_dropped_orchestrator_are_kept_and_named(releases, tmp_path):
    project = releases.project(tmp_path / "project", CURRENT, **answers_for(("airflow", "dagster")))
    edited = project / "deploy" / "local" / "airflow.conf"
    edited.write_text(edited.read_text() + "# ours\n")
    commit(project)
    done = update(project, "--version", CURRENT, "--answers", "orchestrator=dagster also_orchestrators=[]")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kept       deploy/local/airflow.conf: you had changed it" in done.stdout
    assert edited.read_text().endswith("# ours\n")
    assert not (project / "deploy/local/airflow.env").exists()


@pytest.mark.deep
def test_a_renamed_platform_file_keeps_the_teams_edits(releases, tmp_path):
    project = releases.project(tmp_path / "project", CURRENT, orchestrator="dagster")
    old, new = (project / name for name in r.RENAMED_IN_NEXT)
    old.write_text("# ours\n" + old.read_text())
    commit(project)
    done = update(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "moved      {} -> {}, your changes with it".format(*r.RENAMED_IN_NEXT) in done.stdout
    assert not old.exists()
    assert new.read_text().startswith("# ours\n")
    assert new.read_text().endswith(f"# {NEW_LINE}\n")


@pytest.mark.deep
def test_a_new_question_takes_its_default_and_recorded_answers_stay(releases, tmp_path):
    project = releases.project(tmp_path / "project", FIRST, orchestrator="prefect", pipeline_shape="ml_dynamic")
    before = r.answers_of(project)
    assert copier_update(project, "--vcs-ref", NEXT).returncode == 0
    after = r.answers_of(project)
    assert after["region"] == "eu"
    assert "# region: eu" in (project / "CODEOWNERS").read_text()
    assert after["platform_contact"] == before["owner_contact"]
    assert {name: after[name] for name in before if name != "_commit"} == {
        name: value for name, value in before.items() if name != "_commit"
    }


@pytest.mark.deep
def test_a_file_that_becomes_the_teams_is_left_as_it_is(own_releases, tmp_path):
    project = own_releases.project(tmp_path / "project", CURRENT, orchestrator="dagster")
    dev = project / "config" / "dev.toml"
    dev.write_text(dev.read_text() + "# ours\n")
    commit(project)
    as_committed = dev.read_text()
    manifest = own_releases.folder / r.SHARED / "manifest.yml"
    manifest.write_text(manifest.read_text().replace("team:\n", "team:\n  config/dev.toml: of this machine\n", 1))
    manifest.with_name("seeds.yml").write_text(seeds(manifest))
    own_releases.tag("v99.2.0")
    done = update(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert dev.read_text() == as_committed


@pytest.mark.deep
@pytest.mark.parametrize("version", [*RELEASED, CURRENT])
def test_no_release_takes_a_file_from_the_team(releases, tmp_path, version):
    """It would come back in projects that deleted it, and conflict with what teams made of it."""
    names = IN_FIRST if version == FIRST else ORCHESTRATORS
    project = releases.project(tmp_path / "project", version, **answers_for(names))
    started = files_of(project)
    (project / "README.md").write_text("changed, so that there is a difference to merge\n")
    for path in started:
        if path not in ("README.md", r.ANSWERS) and not path.startswith("scripts/"):
            (project / path).write_bytes(started[path] + b"\n# ours\n")
    commit(project)
    assert copier_update(project, "--vcs-ref", NEXT).returncode == 0
    fresh = releases.render(tmp_path / "fresh", NEXT, **answers_for(names))
    rows, now = owners(fresh), files_of(project)
    for path in started:
        if owner(rows, path) == "team":
            assert now[path] == started[path] + b"\n# ours\n", path


def conflicting(releases: Releases, target: Path) -> Path:
    """A project in which a line is changed that the next release changes too."""
    project = releases.project(target, CURRENT, orchestrator="prefect")
    dev = project / "config" / "dev.toml"
    dev.write_text(dev.read_text() + "\n# ours\n")
    commit(project)
    return project


def test_conflicts_are_marked_listed_and_fail_the_command(releases, tmp_path):
    project = conflicting(releases, tmp_path / "project")
    done = update(project)
    assert done.returncode == 1
    assert "conflict   config/dev.toml: 1 place\n" in done.stdout
    text = (project / "config/dev.toml").read_text()
    for line in ("<<<<<<< before updating", "# ours", "=======", f"# {NEW_LINE}", ">>>>>>> after updating"):
        assert line in text.splitlines()
    assert "UU config/dev.toml" in git("status", "--porcelain", cwd=project)
    again = update(project)
    assert again.returncode == 2
    assert "not committed" in again.stderr


@pytest.mark.deep
def test_a_file_of_the_team_where_the_template_puts_a_new_one_is_a_conflict(releases, tmp_path):
    project = releases.project(tmp_path / "project", CURRENT, orchestrator="prefect")
    ours = project / r.ADDED_IN_NEXT[0]
    ours.write_text("# ours\n")
    commit(project)
    done = update(project)
    assert done.returncode == 1
    assert f"conflict   {r.ADDED_IN_NEXT[0]}: 1 place\n" in done.stdout
    assert "# ours\n" in ours.read_text()
    assert NEW_LINE in ours.read_text()


@pytest.mark.deep
def test_copier_alone_marks_the_same_conflict(releases, tmp_path):
    project = conflicting(releases, tmp_path / "project")
    assert copier_update(project).returncode == 0
    assert "UU config/dev.toml" in git("status", "--porcelain", cwd=project)


@pytest.mark.deep
def test_a_project_in_a_folder_of_a_larger_repository_is_updated(releases, tmp_path):
    whole = tmp_path / "whole"
    project = releases.render(whole / "pipelines" / "flights", CURRENT, orchestrator="prefect")
    (whole / "README.md").write_text("whole\n")
    git("init", "--quiet", cwd=whole)
    commit(whole)
    (whole / "not-committed.txt").write_text("elsewhere in the repository\n")
    old, new = (project / name for name in r.RENAMED_IN_NEXT)
    old.write_text("# ours\n" + old.read_text())
    git("commit", "--quiet", "--all", "--message", "edit", cwd=whole)
    done = update(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert new.read_text().startswith("# ours\n")
    assert NEW_LINE in (project / "config/dev.toml").read_text()
    assert (whole / "not-committed.txt").exists()


# What must never be on the screen of a normal update.
NOISE = re.compile(r"traceback|warning|deprecat|error|\.rej", re.IGNORECASE)


def test_a_normal_update_is_quiet(releases, tmp_path):
    project = releases.project(tmp_path / "project", FIRST, orchestrator="dagster")
    done = copier_update(project, "--vcs-ref", CURRENT)
    commit(project)
    assert not NOISE.search(done.stdout + done.stderr), done.stdout + done.stderr
    done = update(project)
    assert not NOISE.search(done.stdout + done.stderr), done.stdout + done.stderr
    assert len((done.stdout + done.stderr).split("\n")) < 12
    assert done.stdout.splitlines()[-1].startswith("next: ")


@pytest.mark.deep
def test_at_a_terminal_enter_keeps_every_answer(releases, tmp_path):
    project = releases.project(tmp_path / "project", FIRST, orchestrator="airflow", alert_channel="slack")
    before = r.answers_of(project)
    command = ["-m", "copier", "update", "--vcs-ref", NEXT]
    shown = ""
    options = {"cwd": project, "dimensions": (50, 80), "encoding": "utf-8", "timeout": 60}
    with pexpect.spawn(sys.executable, command, **options) as screen:
        while screen.expect(["🎤", pexpect.EOF]) == 0:  # shown before each question, and again behind its answer
            shown += screen.before
            screen.send("\r")
        shown += screen.before
    assert screen.wait() == 0, shown[-2000:]
    assert not NOISE.search(shown), shown
    after = r.answers_of(project)
    assert {name: after[name] for name in before} == before | {"_commit": NEXT}


@pytest.mark.deep
@pytest.mark.project
def test_make_update_brings_its_own_copier(releases, tmp_path):
    from projects import SET_UP_SECONDS, Project

    project = Project(releases.project(tmp_path / "project", CURRENT, orchestrator="prefect"), ("prefect",))
    done = project.make("update", "ANSWERS=timezone=Europe/Berlin", timeout=SET_UP_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{CURRENT} -> {NEXT}: " in done.stdout
    assert "answer     timezone: UTC -> Europe/Berlin" in done.stdout


def test_a_shallow_clone_is_told_what_to_do(tmp_path, monkeypatch):
    git("clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(tmp_path / "shallow"), cwd=ROOT)
    monkeypatch.setattr(r, "ROOT", tmp_path / "shallow")
    with pytest.raises(pytest.fail.Exception, match="git fetch --unshallow"):
        r.clone_with_releases(tmp_path / "clone")


def refused(project: Path, *arguments: str) -> str:
    """What a refused update says, after asserting that it is one sentence and changed nothing."""
    before, status = files_of(project), None
    if (project / ".git").exists():
        status = git("status", "--porcelain", cwd=project)
    command = [sys.executable, "scripts/update.py", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("Updating to ")]
    if lines[0].startswith("Not used: "):  # what the template says of it as well
        lines = lines[[line.startswith("error: ") for line in lines].index(True) :]
    assert lines[0].startswith("error: ")
    assert all(line.startswith("  ") for line in lines[1:]), "below the sentence stands only what git said"
    assert len(lines[0]) < 400
    assert files_of(project) == before
    assert status is None or git("status", "--porcelain", cwd=project) == status
    return done.stderr


def no_repository(project: Path) -> None:
    shutil.rmtree(project / ".git")


def dirty(project: Path) -> None:
    (project / "notes.txt").write_text("not committed\n")


def no_answers(project: Path) -> None:
    (project / r.ANSWERS).unlink()
    commit(project)


def answers(text: str):
    def write(project: Path) -> None:
        (project / r.ANSWERS).write_text(text)
        commit(project)

    return write


def answer(old: str, new: str, stamped: bool = True):
    """Replace an answer; stamped with a new checksum, as if it had always been so."""

    def edit(project: Path) -> None:
        path = project / r.ANSWERS
        r.stamp(path)
        text = re.sub(old, new, path.read_text(), flags=re.MULTILINE)
        assert text != path.read_text()
        path.write_text(text)
        if stamped:
            r.stamp(path)
        commit(project)

    return edit


def nothing(project: Path) -> None:
    """The fault is in the command."""


BAD_INPUT = {
    "not a git repository": (no_repository, (), "there is no commit yet: git init"),
    "a dirty tree": (dirty, (), "1 file is not committed (notes.txt): commit or stash"),
    "no answers file": (no_answers, (), ".copier-answers.yml is missing"),
    "an answers file that is no YAML": (answers("a: [1\nb"), (), "cannot be read"),
    "an empty answers file": (answers(""), (), "has no _src_path and no _commit"),
    "an answer edited by hand": (
        answer("^timezone: .*$", "timezone: Europe/Rome", stamped=False),
        (),
        ".copier-answers.yml was edited by hand",
    ),
    "an answers file without a version": (answer("^_commit: .*$", ""), (), "has no _commit"),
    "a recorded version that is not there": (answer("^_commit: .*$", "_commit: v7.7.7"), (), "has no version v7.7.7"),
    "a recorded orchestrator that is not there": (
        answer("^orchestrator: .*$", "orchestrator: airfow"),
        (),
        "'airfow' is not in",
    ),
    "a template folder that is gone": (answer("^_src_path: .*$", "_src_path: /no/such"), (), "no such folder"),
    "a template host that does not answer": (
        answer("^_src_path: .*$", "_src_path: https://127.0.0.1:9/x.git"),
        (),
        "cannot be reached",
    ),
    "an unknown version": (nothing, ("--version", "v8.8.8"), "has no version v8.8.8"),
    "a downgrade": (nothing, ("--version", FIRST), "Downgrades are not supported"),
    "an answer to no question": (nothing, ("--answers", "colour=red"), "no question named colour"),
    "an answer that is none": (nothing, ("--answers", "red"), "write ANSWERS='name=value'"),
    "the package's name": (nothing, ("--answers", "package_name=other"), "cannot be changed, it stays flight_marts"),
    "the record of the decision": (nothing, ("--answers", "recommended_orchestrator=dagster"), "cannot be changed"),
    "an answer out of range": (nothing, ("--answers", "ci_provider=svn"), "'svn' is not in"),
    "an answer that its check refuses": (nothing, ("--answers", "timezone=Moon"), "no time zone"),
}


@pytest.mark.parametrize(("spoil", "arguments", "told"), BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_an_update_that_cannot_be_is_refused_in_one_sentence(releases, tmp_path, spoil, arguments, told):
    project = releases.project(tmp_path / "project", CURRENT, orchestrator="airflow")
    spoil(project)
    assert told in refused(project, *arguments)
