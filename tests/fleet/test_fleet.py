"""What `orch-fleet` tells about repositories in every state it can meet, and that it leaves them alone."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import copier
import pytest
import releases as r
import yaml
from repository import ROOT, git, write_files

TEMPLATE = {
    "copier.yml": """
        _subdirectory: template
        _min_copier_version: "9.19.0"
        project_name: {type: str, default: one}
        package_name: {type: str, default: one}
        orchestrator: {type: str, default: dagster}
        hosting: {type: str, default: managed}
        """,
    "template/{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers | to_nice_yaml }}",
    "template/manifest.yml": "team: {'src/[[ package_name ]]/pipelines/': ours}\n",
    "template/Makefile": "run:\n\techo one\n",
    "template/src/{{ package_name }}/pipelines/steps.py.jinja": '"""Steps of {{ project_name }}."""\n',
}


def commit(folder: Path) -> None:
    git("add", "--all", cwd=folder)
    git("commit", "--quiet", "--allow-empty", "--message", "work", cwd=folder)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A small template with two releases, which differ in the Makefile."""
    folder = tmp_path_factory.mktemp("fleet") / "template"
    write_files(folder, TEMPLATE)
    git("init", "--quiet", "--initial-branch=main", cwd=folder)
    commit(folder)
    git("tag", "v1.0.0", cwd=folder)
    write_files(folder, {"template/Makefile": "run:\n\techo two\n"})
    commit(folder)
    git("tag", "v1.1.0", cwd=folder)
    return folder


@pytest.fixture
def made(source, tmp_path):
    """Makes a committed project: ``made("name", version="v1.0.0", files={...})``; files are the team's edits."""

    default = source

    def make(name: str, version: str = "v1.0.0", files: dict[str, str] | None = None, source: Path = default) -> Path:
        target = tmp_path / "fleet" / name
        data = {"project_name": name, "package_name": name}
        copier.run_copy(str(source), target, data=data, vcs_ref=version, defaults=True, quiet=True)
        git("init", "--quiet", cwd=target)
        commit(target)
        write_files(target, files or {})
        commit(target)
        return target

    return make


def fleet(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orch_fleet.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def examined(*arguments: str | Path) -> dict[str, dict]:
    """Reports by name of repository, from the JSON."""
    done = fleet(*arguments, "--json", "-")
    assert done.returncode == 0, done.stderr
    return {report["name"]: report for report in json.loads(done.stdout)["repositories"]}


def test_versions_drift_and_updates_of_a_whole_folder(made, tmp_path):
    made("current", version="v1.1.0")
    made("behind")
    made("edited", files={"Makefile": "run:\n\techo ours\n"})
    made("own", files={"src/own/pipelines/steps.py": '"""Ours now."""\n', "extra.txt": "ours\n"})
    found = examined(tmp_path / "fleet")
    assert {name: (each["version"], each["behind"]) for name, each in found.items()} == {
        "current": ("v1.1.0", 0),
        "behind": ("v1.0.0", 1),
        "edited": ("v1.0.0", 1),
        "own": ("v1.0.0", 1),
    }
    assert {name: each["update"] for name, each in found.items()} == {
        "current": "current",
        "behind": "clean",
        "edited": "conflicts",
        "own": "clean",
    }
    assert found["edited"]["update_detail"] == ["Makefile"]
    assert {name: each["drift"] for name, each in found.items() if each["drift"]} == {"edited": ["Makefile"]}
    assert found["behind"]["orchestrators"] == ["dagster"]
    assert found["behind"]["hosting"] == "managed"
    assert found["behind"]["latest"] == "v1.1.0"


UNSHAPED = """
    from airflow.sdk import dag, task

    @dag(schedule="@daily")
    def daily():
        @task
        def load(): ...
        load()

    daily()
    """


def test_failing_standards_are_counted_by_rule(made):
    repository = made("unshaped", files={"dags/daily.py": UNSHAPED})
    found = examined(repository)["unshaped"]["standards"]
    assert found["airflow-no-retries"] == 1
    assert not examined(made("shaped"))["shaped"]["standards"]


def test_the_repository_and_its_uncommitted_work_are_left_alone(made):
    repository = made("busy")
    (repository / "Makefile").write_text("half-done\n")
    (repository / "new.txt").write_text("not committed\n")

    def state() -> list[str]:
        listed = git("status", "--porcelain", cwd=repository), git("rev-parse", "HEAD", cwd=repository)
        return [*listed, *sorted(f"{path} {path.read_bytes()}" for path in repository.rglob("*.txt"))]

    before = state()
    assert examined(repository)["busy"]["update"] == "clean"
    assert state() == before
    assert (repository / "Makefile").read_text() == "half-done\n"


def broken_answers(repository: Path, change) -> Path:
    file = repository / ".copier-answers.yml"
    answers = yaml.safe_load(file.read_text())
    file.write_text(change(answers))
    commit(repository)
    return repository


def test_what_cannot_be_read_is_one_sentence_and_hides_nothing(made, tmp_path):
    fine = made("fine")
    plain = tmp_path / "plain"
    plain.mkdir()
    unreachable = broken_answers(
        made("unreachable"), lambda answers: yaml.safe_dump(answers | {"_src_path": str(tmp_path / "gone.git")})
    )
    unknown = broken_answers(made("unknown"), lambda answers: yaml.safe_dump(answers | {"_commit": "v9.9.9"}))
    mangled = broken_answers(made("mangled"), lambda answers: "{ not yaml")
    without = made("without")
    (without / ".copier-answers.yml").unlink()
    commit(without)
    found = examined(fine, plain, unreachable, unknown, mangled, without, tmp_path / "nowhere")
    assert [*found][-1] == "fine", "what needs attention comes first"
    assert found["fine"]["problem"] == ""
    assert found["fine"]["update"] == "clean"
    for name, words in {
        "plain": "no git repository",
        "unreachable": "gone.git cannot be reached",
        "unknown": "has no version v9.9.9",
        "mangled": "is no YAML",
        "without": "it has no .copier-answers.yml",
        "nowhere": "no such folder",
    }.items():
        assert words in found[name]["problem"], found[name]["problem"]
        assert "\n" not in found[name]["problem"]


def test_answers_edited_by_hand_are_told_as_make_update_tells_them(made):
    repository = made("edited")
    file = repository / ".copier-answers.yml"
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_text(f"# checksum: {checksum}\n{file.read_text()}timezone: Europe/Rome\n")
    commit(repository)
    found = examined(repository)["edited"]
    assert found["update"] == "fails"
    assert found["update_detail"] == [".copier-answers.yml was edited by hand: restore it"]


def test_what_stands_before_an_update_is_noted(made, source):
    busy = made("busy")
    (busy / "Makefile").write_text("half-done\n")
    commit_id = git("rev-parse", "--short", "HEAD", cwd=source)
    newer = broken_answers(
        made("newer"), lambda answers: yaml.safe_dump(answers | {"_commit": f"v1.1.0-1-g{commit_id}"})
    )
    found = examined(busy, newer)
    assert "1 file is not committed" in found["busy"]["notes"][0]
    assert "would be a downgrade" in found["newer"]["notes"][0]


def test_a_project_in_a_folder_of_a_larger_repository_is_examined(made, tmp_path):
    whole = tmp_path / "whole"
    shutil.copytree(made("part"), whole / "pipelines" / "part", ignore=shutil.ignore_patterns(".git"))
    (whole / "pipelines" / "part" / "Makefile").write_text("run:\n\techo ours\n")
    git("init", "--quiet", cwd=whole)
    commit(whole)
    found = examined(whole / "pipelines" / "part")["part"]
    assert (found["problem"], found["drift"]) == ("", ["Makefile"])
    assert (found["update"], found["update_detail"]) == ("conflicts", ["Makefile"])


def test_json_alone_stands_on_standard_output(made):
    done = fleet(made("one"), "--json", "-")
    assert [each["name"] for each in json.loads(done.stdout)["repositories"]] == ["one"]
    assert "1 repository: 0 current, 1 behind" in done.stderr


def test_without_what_it_needs_it_says_what_to_install():
    """As after `pip install orch-standards` without its extra; rich stands for all of them."""
    code = "import sys; sys.modules['rich.console'] = None; import orch_fleet.cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: orch-fleet needs rich")
    assert done.stderr.count("\n") == 1


def test_nothing_is_worked_on_when_the_result_could_not_be_written(made, tmp_path):
    done = fleet(made("one"), "--html", tmp_path / "no" / "fleet.html")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_the_table_fits_and_check_tells_by_its_exit_code(made, monkeypatch):
    behind, current = made("behind"), made("current", version="v1.1.0")
    done = fleet(behind, current)
    assert done.returncode == 0
    assert "2 repositories: 1 current, 1 behind, 0 not readable" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    monkeypatch.setenv("COLUMNS", "80")
    long_name = made("a-repository-with-quite-a-long-name-that-says-what-is-in-it")
    narrow = fleet(behind, current, long_name).stdout.splitlines()
    assert max(map(len, narrow)) <= 80
    assert narrow[0].split() == ["repository", "version", "behind", "drift", "findings", "update", "runs", "on"]
    assert "Traceback" not in done.stderr
    assert fleet(behind, "--check").returncode == 1
    assert fleet(current, "--check").returncode == 0
    assert fleet().returncode == 2


def test_the_page_needs_nothing_else_and_escapes_what_it_shows(made, tmp_path):
    repository = made("behind", files={"Makefile": "run:\n\techo ours\n"})
    target = tmp_path / "moved"
    shutil.copytree(repository, target / "R&D")
    done = fleet(target, "--html", tmp_path / "fleet.html")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "fleet.html").read_text()
    assert "R&amp;D" in page
    assert "1 conflict" in page
    assert "<svg" in page
    assert not re.search(r"""(src|href)=|@import|url\(""", page)


def test_a_list_of_paths_may_have_comments(made, tmp_path):
    listed = tmp_path / "fleet.txt"
    listed.write_text(f"# ours\n{made('one')}\n\n{made('two')}\n")
    assert set(examined("--list", listed)) == {"one", "two"}
    assert fleet("--list", tmp_path / "gone.txt").returncode == 2


UPDATE_SCRIPT = ROOT / "template" / "[[shared]]" / "scripts" / "update.py"


def test_what_only_quotes_a_conflict_is_none(made):
    """Such as a script that looks for the marker, which the update changes."""
    quoting = made("quoting", files={"Makefile": "# looks for <<<<<<< before updating\n#\n#\n#\n#\nrun:\n\techo one\n"})
    assert examined(quoting)["quoting"]["update"] == "clean"


@pytest.fixture
def source_with_script(source, tmp_path) -> Path:
    """The small template with the update script, which its second release drops a file with."""
    folder = Path(shutil.copytree(source, tmp_path / "with-script"))
    script = {"template/[[shared]]/scripts/update.py": UPDATE_SCRIPT.read_text()}
    write_files(folder, {**script, "template/helper.py": "# helps\n"})
    commit(folder)
    git("tag", "v2.0.0", cwd=folder)
    (folder / "template" / "helper.py").unlink()
    write_files(folder, {"template/Makefile": "run:\n\techo three\n"})
    commit(folder)
    git("tag", "v2.1.0", cwd=folder)
    return folder


def test_an_update_is_tried_with_the_script_that_make_update_runs(made, source_with_script, monkeypatch):
    """It sees an added file that the team has as a folder, where Copier fails."""
    write_files(source_with_script, {"template/reports": "a file\n"})
    commit(source_with_script)
    git("tag", "v2.2.0", cwd=source_with_script)
    project = made("project", source=source_with_script, version="v2.0.0", files={"reports/ours.txt": "ours\n"})
    assert examined(project)["project"]["update"] == "clean"
    conflicting = made("conflicting", source=source_with_script, version="v2.0.0", files={"Makefile": "ours:\n"})
    found = examined(conflicting)["conflicting"]
    assert (found["update"], found["update_detail"]) == ("conflicts", ["Makefile"])


def test_every_folder_is_listed_and_projects_below_a_root_are_found(made, tmp_path):
    made("plain")
    whole = tmp_path / "fleet" / "whole"
    for name in ("a/flights", "b"):
        shutil.copytree(made("part"), whole / name, ignore=shutil.ignore_patterns(".git"))
        shutil.rmtree(tmp_path / "fleet" / "part")
    git("init", "--quiet", cwd=whole)
    commit(whole)
    shutil.copytree(made("unpacked"), tmp_path / "archive", ignore=shutil.ignore_patterns(".git"))
    shutil.rmtree(tmp_path / "fleet" / "unpacked")
    (tmp_path / "archive").rename(tmp_path / "fleet" / "unpacked")
    found = examined(tmp_path / "fleet")
    assert set(found) == {"plain", "whole/a/flights", "whole/b", "unpacked"}
    assert found["whole/a/flights"]["update"] == "clean"
    assert "no git repository" in found["unpacked"]["problem"]


def test_findings_are_shown_even_when_the_template_is_gone(made, tmp_path):
    repository = broken_answers(
        made("gone", files={"dags/daily.py": UNSHAPED}),
        lambda answers: yaml.safe_dump(answers | {"_src_path": str(tmp_path / "gone.git"), "owning_team": "marts"}),
    )
    found = examined(repository)["gone"]
    assert "cannot be reached" in found["problem"]
    assert found["standards"]["airflow-no-retries"] == 1
    assert (found["owner"], found["version"]) == ("marts", "v1.0.0")
    row = next(line for line in fleet(repository).stdout.splitlines() if line.startswith("gone "))
    assert str(sum(found["standards"].values())) in row.split()


def test_repositories_are_given_by_url_too(made, tmp_path):
    listed = tmp_path / "fleet.txt"
    listed.write_text(f"file://{made('one')}\nfile://{tmp_path}/missing.git\n")
    found = examined("--list", listed)
    assert found["one"]["update"] == "clean"
    assert "cannot be cloned" in found["missing"]["problem"]


def test_owner_release_and_last_update_are_known(made, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-02-03T12:00:00+0000")
    repository = broken_answers(
        made("dated"), lambda answers: yaml.safe_dump(answers | {"owning_team": "marts", "timezone": "Europe/Rome"})
    )
    found = examined(repository)["dated"]
    assert (found["owner"], found["updated"]) == ("marts", "2026-02-03")
    assert found["released"] == git("log", "-1", "--format=%cs", "v1.0.0", cwd=Path(found["template"]))
    monkeypatch.setenv("COLUMNS", "140")
    titles = fleet(repository).stdout.splitlines()[0].split()
    assert {"owner", "age", "updated"} <= set(titles)


def test_ci_chooses_what_fails_it(made):
    behind, conflicting = made("behind"), made("conflicting", files={"Makefile": "ours:\n"})
    assert fleet(behind, "--fail-on", "conflicts,unreadable").returncode == 0
    assert fleet(behind, conflicting, "--fail-on", "conflicts").returncode == 1
    wrong = fleet(behind, "--fail-on", "age")
    assert wrong.returncode == 2
    assert "unreadable, behind, drift, findings, conflicts" in wrong.stderr


SHARED_UPDATE = """
import sys
from pathlib import Path
import copier
from orch_fleet import sharing

if __name__ == "__main__":
    checkouts, *projects = map(Path, sys.argv[1:])
    sharing.begin(checkouts)
    for project in projects:
        copier.run_update(project, defaults=True, overwrite=True, quiet=True, unsafe=False)
"""


@pytest.mark.deep
def test_what_is_shared_changes_nothing_of_an_update(tmp_path):
    """Of the template itself, and with a project of other answers in between."""
    releases = r.clone_with_releases(tmp_path / "template" / "orch-starter")
    r.release_next(releases)
    answers = {"orchestrator": "dagster", "also_orchestrators": ["airflow"]}
    started = releases.project(tmp_path / "started", r.CURRENT, **answers)
    (started / "config" / "dev.toml").write_text("# ours\n")
    commit(started)
    alone, first, again = (Path(shutil.copytree(started, tmp_path / name)) for name in ("alone", "first", "again"))
    other = releases.project(tmp_path / "other", r.CURRENT, orchestrator="prefect", package_name="other_marts")
    assert r.copier_update(alone).returncode == 0
    (tmp_path / "checkouts").mkdir()
    command = [sys.executable, "-c", SHARED_UPDATE, tmp_path / "checkouts", first, other, again]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    assert r.files_of(first) == r.files_of(alone)
    assert r.files_of(again) == r.files_of(alone)
    assert r.answers_of(other)["package_name"] == "other_marts"
    assert (other / "src" / "other_marts" / "pipelines").is_dir()
