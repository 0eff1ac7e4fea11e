"""Updates that are killed, taken back, or meet what git does not know: nothing is lost, and it is said in a sentence.

A small template with the real update script, so that an update takes a second. Its releases are v1.0.0 and v1.1.0.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import copier
import pytest
from releases import commit, copier_update, files_of, update
from repository import ROOT, git

SCRIPT = ROOT / "template" / "[[shared]]" / "scripts" / "update.py"
LINES = "".join(f"line {number}\n" for number in range(1, 30))
FIRST = {
    "copier.yml": "_subdirectory: template\nname: {type: str, default: one}\nextra: {type: str, default: none}\n",
    "template/{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers | to_nice_yaml }}",
    "template/Makefile": "run:\n\techo one\n",
    "template/config/base.toml": LINES,
    "template/config/dev.toml": "# settings\n",
    "template/scripts/update.py": SCRIPT.read_text(),
    "template/scripts/dropped.py": "# dropped\n",
    "template/docs/page.md": "a page\n",
    "template/tool.sh": "#!/bin/sh\n",
    "CHANGELOG.md": "# Changelog\n\n## [1.0.0]\n\n- The first.\n",
}
SECOND = {
    "template/Makefile": "run:\n\techo two\n",
    "template/config/base.toml": LINES.replace("line 15\n", "line 15, from the template\n"),
    "template/scripts/update.py": SCRIPT.read_text() + "# of the second release\n",
    "template/scripts/dropped.py": None,
    "template/scripts/report.py": "# report\n",
    "template/run.sh": "#!/bin/sh\n",
    "CHANGELOG.md": "# Changelog\n\n## [1.1.0]\n\n- A report.\n\n## [1.0.0]\n\n- The first.\n",
}


def write(folder: Path, files: dict[str, str | None]) -> None:
    for name, text in files.items():
        path = folder / name
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "template"
    write(folder, FIRST)
    git("init", "--quiet", "--initial-branch=main", cwd=folder)
    release(folder, "v1.0.0")
    (folder / "template" / "run.sh").write_text("")
    for name in ("run.sh", "tool.sh"):
        (folder / "template" / name).chmod(0o755)
    release(folder, "v1.1.0", SECOND)
    return folder


def release(folder: Path, version: str, files: dict[str, str | None] | None = None) -> None:
    write(folder, files or {})
    commit(folder)
    git("tag", version, cwd=folder)


@pytest.fixture(scope="module")
def rendered(template, tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("rendered") / "project"
    copier.run_copy(str(template), made, vcs_ref="v1.0.0", defaults=True, quiet=True)
    git("init", "--quiet", "--initial-branch=main", cwd=made)
    commit(made)
    return made


@pytest.fixture
def project(rendered, tmp_path) -> Path:
    """A committed project of the first release."""
    return Path(shutil.copytree(rendered, tmp_path / "project", symlinks=True))


def edited(project: Path, files: dict[str, str | bytes | None]) -> dict[str, bytes]:
    """Commit the team's edits. Returns all files as they are then."""
    for name, content in files.items():
        path = project / name
        if content is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    commit(project)
    return files_of(project)


def status(project: Path) -> str:
    return git("status", "--porcelain", "--untracked-files=all", cwd=project)


def load_script():
    """The update script as a module."""
    spec = spec_from_file_location("update", SCRIPT)
    module = module_from_spec(spec)
    sys.modules["update"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


script = load_script()
CONFLICTING = {"config/base.toml": LINES.replace("line 15\n", "line 15, ours\n"), "config/dev.toml": "# ours\n"}


def run(project: Path, *arguments: str) -> tuple[int, str]:
    """`make update` in this process, which is quicker. Returns the exit code and what was printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = script.main(["--project", str(project), *arguments])
    return code, printed.getvalue()


def killed_in_a_child(work) -> None:
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException), contextlib.redirect_stdout(io.StringIO()):
            work()
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "it was not killed"


def kill(*_, **__) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(number: int, half_written: bool) -> None:
    """Be killed at the file of that number: while it is written, or right after."""
    write, calls = script.Project.write, iter(range(1, 100))

    def counted(self, *arguments) -> None:
        if next(calls) < number:
            write(self, *arguments)
            return
        if half_written:
            Path.replace = Path.unlink = kill
        write(self, *arguments)
        kill()

    script.Project.write = counted


def test_an_update_killed_at_any_file_is_finished_by_the_next_or_taken_back(project):
    before = edited(project, CONFLICTING)
    whole = Path(shutil.copytree(project, project.with_name("whole")))
    assert run(whole)[0] == 1
    expected, expected_status = files_of(whole), status(whole)

    def stop_at_the_plan() -> None:
        script.finish = kill
        run(project)

    killed_in_a_child(stop_at_the_plan)
    assert files_of(project) == before, "nothing is written before the whole plan is known"
    count = len(script.Project.at(project, script.ANSWERS).plan().changes)
    changed = [name for name in before | expected if before.get(name) != expected.get(name)]
    assert count == len(changed) + 1, "and the script that becomes executable"
    for number in range(1, count + 1):
        for half_written in (False, True):
            torn = Path(shutil.copytree(project, project.with_name(f"torn-{number}-{half_written}")))

            def finish(torn=torn, number=number, half_written=half_written) -> None:
                kill_at(number, half_written)
                place = script.Project.at(torn, script.ANSWERS)
                script.finish(place, place.plan())

            killed_in_a_child(finish)
            if (number, half_written) != (1, True):  # then nothing is in its place yet, and the update starts over
                other = Path(shutil.copytree(torn, torn.with_name(f"{torn.name}-undone")))
                assert run(other, "--undo")[0] == 0
                assert files_of(other) == before
                assert not status(other)
            code, printed = run(torn)
            assert (code, files_of(torn), status(torn)) == (1, expected, expected_status), (number, half_written)
            assert "conflict   config/base.toml: 1 place" in printed


def test_a_second_update_at_the_same_time_is_refused_and_does_no_harm(project):
    before = files_of(project)
    whole = Path(shutil.copytree(project, project.with_name("whole")))
    assert run(whole)[0] == 0
    planned, go_on = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        finish = script.finish

        def when_told(*arguments) -> int:
            os.write(planned[1], b".")
            os.read(go_on[0], 1)
            return finish(*arguments)

        script.finish = when_told
        os._exit(run(project)[0])
    os.read(planned[0], 1)
    for arguments in ((), ("--undo",)):
        code, printed = run(project, *arguments)
        assert (code, printed.count("\n")) == (2, 1), printed
        assert printed.startswith("error: another update of this project is running: wait")
    assert run(project, "--dry-run")[0] == 0
    assert files_of(project) == before
    os.write(go_on[1], b".")
    assert os.waitpid(child, 0)[1] == 0
    assert files_of(project) == files_of(whole)
    assert run(project)[1].startswith("error: the update from"), "it waits for nobody any more"


def test_an_interrupted_update_whose_files_were_committed_is_finished(project):
    """Before, the next update said that the project was current, and the release's files were missing."""
    whole = Path(shutil.copytree(project, project.with_name("whole")))
    assert run(whole)[0] == 0

    def stop_half_way() -> None:
        kill_at(4, half_written=False)
        run(project)

    killed_in_a_child(stop_half_way)
    assert status(project)
    commit(project)
    code, printed = run(project)
    assert (code, files_of(project)) == (0, files_of(whole))
    assert printed.startswith("the update to v1.1.0 was interrupted; it is finished now")
    commit(project)
    assert "already at v1.1.0" in run(project)[1]


def test_undo_takes_back_conflicts_and_added_files_and_keeps_what_was_done_since(project):
    before = edited(project, CONFLICTING)
    assert run(project)[0] == 1
    assert os.access(project / "tool.sh", os.X_OK)
    assert os.access(project / "run.sh", os.X_OK)
    (project / "config" / "base.toml").write_text("half resolved\n")
    (project / "mine.txt").write_text("mine, of no update\n")
    code, printed = run(project, "--undo")
    assert code == 0, printed
    assert files_of(project) == before | {"mine.txt": b"mine, of no update\n"}
    assert status(project) == "?? mine.txt"
    command = next(line.split(": ")[1] for line in printed.splitlines() if "git show" in line).split()
    shown = [word.replace("<path>", "config/base.toml") for word in command[1:]]
    assert git(*shown, cwd=project) == "half resolved"
    assert run(project, "--undo") == (2, "error: there is no update to take back: no file is as an update wrote it\n")


def test_a_committed_update_is_taken_back_by_the_command_that_undo_names(project):
    before = files_of(project)
    assert run(project)[0] == 0
    commit(project)
    code, printed = run(project, "--undo")
    assert code == 2
    revert = re.search(r"git (revert \w+)", printed)[1]
    git(*revert.split(), "--no-edit", cwd=project)
    assert files_of(project) == before
    assert run(project)[0] == 0, "and it can be updated again"


def test_undo_takes_back_what_copier_alone_did(project):
    before = edited(project, CONFLICTING)
    assert copier_update(project).returncode == 0
    assert "UU config/base.toml" in status(project)
    code, printed = run(project)
    assert code == 2
    assert "the update from v1.0.0 to v1.1.0 is not committed" in printed
    assert "make update-undo" in printed
    assert run(project, "--undo")[0] == 0
    assert files_of(project) == before
    assert not status(project)


@pytest.mark.parametrize("in_the_way", ["scripts/report.py", "run.sh/ours.txt"])
def test_an_ignored_file_where_the_new_version_adds_one_is_kept_and_named(project, in_the_way):
    before = edited(project, {".gitignore": "/scripts/report.py\n/run.sh/\n"})
    (project / in_the_way).parent.mkdir(exist_ok=True)
    (project / in_the_way).write_text("ours, not in git\n")
    code, printed = run(project)
    assert code == 0
    assert (project / in_the_way).read_text() == "ours, not in git\n"
    added = "scripts/report.py" if "report" in in_the_way else "run.sh"
    assert f"kept       {added}: yours is not in git and stays" in printed
    command = re.search(r"the template's: (git show \S+)", printed)[1]
    shown = subprocess.run(command.split(), cwd=project, capture_output=True, text=True, check=True).stdout
    assert shown == SECOND[f"template/{added}"]
    assert run(project, "--undo")[0] == 0
    assert files_of(project) == before | {in_the_way: b"ours, not in git\n"}


def test_a_change_that_git_was_told_not_to_see_is_kept_and_named(project):
    git("update-index", "--assume-unchanged", "config/base.toml", cwd=project)
    (project / "config" / "base.toml").write_text("ours\n")
    code, printed = run(project)
    assert code == 0
    assert (project / "config" / "base.toml").read_text() == "ours\n"
    assert "kept       config/base.toml: yours is not in git and stays" in printed


def test_an_added_file_that_the_team_ignores_comes_and_is_named(project):
    edited(project, {".gitignore": "*.sh\n"})
    printed = run(project)[1]
    assert (project / "run.sh").read_text() == "#!/bin/sh\n"
    assert "added      run.sh: git ignores it here, so add it with git add --force" in printed


CLASHES = {
    "the template's file, the team's folder": ("run.sh/ours.txt", "run.sh", None),
    "the template's folder, the team's file": ("reports", None, "template/reports/daily.py"),
}


@pytest.mark.parametrize(("ours", "theirs", "added"), CLASHES.values(), ids=CLASHES)
def test_a_file_where_a_folder_stands_leaves_the_teams_and_updates_the_rest(
    template, project, tmp_path, ours, theirs, added
):
    if added:
        moved = Path(shutil.copytree(template, tmp_path / "template"))
        release(moved, "v1.2.0", {added: "# daily\n"})
    edited(project, {ours: "ours\n"})
    arguments = ["--template", str(tmp_path / "template")] if added else []
    code, printed = run(project, *arguments)
    assert code == 0, printed
    assert (project / ours).read_text() == "ours\n"
    left_out = theirs or added.removeprefix("template/")
    assert f"kept       {ours}: it stays; the template's {left_out} cannot stand beside it and was left out" in printed
    assert (project / "Makefile").read_text() == SECOND["template/Makefile"]
    commit(project)
    assert "nothing changed" in run(project)[1]


@pytest.mark.parametrize("edit", [{}, {"scripts/tools": "edited\n"}], ids=["unedited", "edited"])
def test_a_platform_file_that_becomes_a_folder_makes_way_unless_it_was_edited(template, project, tmp_path, edit):
    moved = Path(shutil.copytree(template, tmp_path / "template"))
    release(moved, "v1.2.0", {"template/scripts/tools": "a file\n", "template/deploy/x/one": "1\n"})
    assert run(project, "--template", str(moved))[0] == 0
    edited(project, edit)
    write(moved, {"template/scripts/tools": None})
    shutil.rmtree(moved / "template" / "deploy" / "x")
    release(moved, "v1.3.0", {"template/scripts/tools/one.py": "1\n", "template/deploy/x": "now a file\n"})
    before = files_of(project)
    code, printed = run(project)
    assert code == 0, printed
    assert (project / "deploy" / "x").read_text() == "now a file\n"
    if edit:
        assert (project / "scripts" / "tools").read_text() == "edited\n"
        assert "kept       scripts/tools: it stays" in printed
    else:
        assert (project / "scripts" / "tools" / "one.py").read_text() == "1\n"
    assert "kept" not in run(project, "--undo")[1]
    assert files_of(project) == before


def with_line_ends(text: str) -> bytes:
    return text.encode().replace(b"\n", b"\r\n")


def test_line_ends_alone_make_no_conflict_and_stay(project):
    ours = FIRST["template/config/base.toml"].replace("line 2\n", "line 2, ours\n")
    edited(project, {"config/base.toml": with_line_ends(ours), "docs/page.md": with_line_ends("a page\n")})
    code, printed = run(project)
    assert code == 0, printed
    now = SECOND["template/config/base.toml"].replace("line 2\n", "line 2, ours\n")
    assert (project / "config" / "base.toml").read_bytes() == with_line_ends(now)
    assert (project / "docs" / "page.md").read_bytes() == b"a page\r\n"


HOSTILE = """
[user]
    name = someone
    email = someone@example.com
[core]
    autocrlf = true
    hooksPath = {hooks}
    quotePath = true
[commit]
    gpgSign = true
[gpg]
    program = false
[apply]
    whitespace = error-all
[diff]
    noprefix = true
    external = false
[merge]
    conflictStyle = diff3
[status]
    showUntrackedFiles = no
    relativePaths = false
[color]
    ui = always
[init]
    templateDir = {hooks}
[fetch]
    prune = true
"""


def test_the_result_is_the_same_whatever_the_users_settings(project, tmp_path, monkeypatch):
    edited(project, {"config/base.toml": FIRST["template/config/base.toml"] + "ours, with spaces   \n"})
    other = Path(shutil.copytree(project, project.with_name("other")))
    assert update(project).returncode == 0
    hooks = tmp_path / "hooks"
    for hook in ("pre-commit", "commit-msg", "post-checkout", "reference-transaction", "post-index-change"):
        for folder in (hooks, hooks / "hooks"):
            write(folder, {hook: "#!/bin/sh\necho refused >&2\nexit 1\n"})
            (folder / hook).chmod(0o755)
    (tmp_path / "gitconfig").write_text(HOSTILE.format(hooks=hooks))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("TZ", "Pacific/Chatham")
    mask = os.umask(0o077)
    try:
        done = update(other)
    finally:
        os.umask(mask)
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.undo()
    # Git writes the line ends that the user asked for into work trees; what it stores is the same.
    git("add", "--all", cwd=project)
    git("-c", "core.autocrlf=true", "add", "--all", cwd=other)
    assert git("write-tree", cwd=other) == git("write-tree", cwd=project)


def test_what_git_said_is_shown_whole_and_told_from_other_failures(project, tmp_path, monkeypatch):
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho 'deploy@host: Permission denied (publickey).' >&2\nexit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = update(project, "--template", "git@host.invalid:org/template.git")
    assert done.returncode == 2
    assert "error: the template git@host.invalid:org/template.git cannot be reached" in done.stderr
    assert "TEMPLATE=" in done.stderr
    assert "Permission denied (publickey)" in done.stderr
    assert "Please make sure you have the correct access rights" in done.stderr


def test_what_the_system_refuses_is_a_sentence_and_the_plan_is_finished_later(project, monkeypatch):
    """Such as a full disk."""
    whole = Path(shutil.copytree(project, project.with_name("whole")))
    assert run(whole)[0] == 0
    replace = Path.replace

    def full(self, target):
        if Path(target).name == "report.py":
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    code, printed = run(project)
    assert code == 2
    assert "No space left on device" in printed.splitlines()[-1]
    assert "make update again" in printed.splitlines()[-1]
    monkeypatch.undo()
    assert run(project)[0] == 0
    assert files_of(project) == files_of(whole)


def test_names_of_files_are_readable(project):
    edited(project, {"docs/Übersicht.md": "ours\n", "docs/page two.md": "ours\n"})
    (project / "docs" / "Übersicht.md").write_text("changed\n")
    code, printed = run(project)
    assert code == 2
    assert "(docs/Übersicht.md)" in printed


def test_a_dry_run_shows_the_changes_and_the_notes_of_the_releases_and_changes_nothing(project):
    before = edited(project, CONFLICTING)
    code, printed = run(project, "--dry-run")
    assert code == 1, "as the update would end"
    assert files_of(project) == before
    assert not status(project)
    assert not git("for-each-ref", "refs/make-update", cwd=project)
    for line in (
        "nothing is changed; make update would do this:",
        "conflict   config/base.toml: 1 place",
        "added      scripts/report.py",
        "removed    scripts/dropped.py",
        "changed    Makefile",
        "- A report.",
    ):
        assert line in printed.splitlines(), printed
    assert "The first." not in printed


def test_a_template_that_moved_is_named_in_the_update(template, project, tmp_path):
    moved = Path(shutil.copytree(template, tmp_path / "moved"))
    answers = project / ".copier-answers.yml"
    edited(project, {answers.name: answers.read_text().replace(str(template), str(tmp_path / "gone"))})
    code, printed = run(project)
    assert code == 2
    assert "make update TEMPLATE=" in printed
    assert run(project, "--template", str(moved))[0] == 0
    assert f"_src_path: {moved}\n" in answers.read_text()


def test_a_shallow_template_is_named_with_the_command_that_completes_it(template, project, tmp_path):
    git("clone", "--quiet", "--depth", "1", f"file://{template}", str(tmp_path / "shallow"), cwd=tmp_path)
    code, printed = run(project, "--template", str(tmp_path / "shallow"))
    assert code == 2
    assert f"git -C {tmp_path / 'shallow'} fetch --unshallow --tags" in printed


def test_two_projects_of_one_repository_are_updated_and_taken_back_each_on_its_own(rendered, tmp_path):
    whole = tmp_path / "whole"
    for name in ("one", "two"):
        shutil.copytree(rendered, whole / name, ignore=shutil.ignore_patterns(".git"))
    git("init", "--quiet", cwd=whole)
    before = edited(whole, {"one/config/base.toml": CONFLICTING["config/base.toml"], ".gitattributes": "*.md -text\n"})
    assert run(whole / "one")[0] == 1
    assert "UU one/config/base.toml" in status(whole)
    assert run(whole / "two")[0] == 0
    assert run(whole / "one", "--undo")[0] == 0
    assert {name for name in files_of(whole) if files_of(whole)[name] != before.get(name)} >= {"two/Makefile"}
    assert run(whole / "two", "--undo")[0] == 0
    assert files_of(whole) == before
    assert not status(whole)


def test_a_plan_that_cannot_be_read_stops_nothing(project):
    folder = project / ".git" / "make-update"
    folder.mkdir()
    (folder / "project.json").write_bytes(b"\0" * 20)
    assert run(project)[0] == 0
    assert json.loads((folder / "project.json").read_text())["state"] == "written"
