"""`make release` refuses what is not ready, each in one sentence, and prepares a tag on this machine only."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import refresh_constraints
import release
from repository import ROOT, git


@pytest.fixture
def clone(template, tmp_path, monkeypatch) -> Path:
    """This repository on main with everything committed and 0.1.0 tagged, and what is unreleased."""
    folder = tmp_path / "clone"
    git("clone", "--quiet", str(template), str(folder), cwd=tmp_path)
    git("config", "user.name", "tests", cwd=folder)
    git("config", "user.email", "tests@example.com", cwd=folder)
    monkeypatch.setattr(release, "ROOT", folder)
    monkeypatch.setattr(release, "CHANGELOG", folder / "CHANGELOG.md")
    text = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [0.1.1rc1]\n\n- A try.\n\n"
    text += "## [0.1.0] - 2026-11-21\n\n- The first.\n"
    changed(folder, "CHANGELOG.md", lambda _: text)
    return folder


def changed(folder: Path, name: str, edit) -> None:
    """Commit this file as edited."""
    path = folder / name
    path.write_text(edit(path.read_text()))
    if git("status", "--porcelain", cwd=folder):
        git("commit", "--quiet", "--all", "--message", "work", cwd=folder)


def test_versions_are_the_same_everywhere():
    stated = [re.search(pattern, (ROOT / name).read_text())[0] for name, pattern in release.PLACES.items()]
    assert len({text.split('"')[1] for text in stated if '"' in text}) == 1


@pytest.mark.deep
def test_what_is_ready_is_not_refused(clone):
    assert list(release.quick_problems("0.2.0")) == []


def not_committed(clone):
    (clone / "docs" / "more.md").write_text("More.\n")


def on_a_branch(clone):
    git("switch", "--quiet", "--create", "topic", cwd=clone)


def nothing_unreleased(clone):
    changed(clone, "CHANGELOG.md", lambda text: text.replace("### Added\n\n- A thing.\n\n", ""))


def entry_and_more(clone):
    changed(
        clone, "CHANGELOG.md", lambda text: text.replace("## [0.1.0]", "## [0.2.0] - 2026-12-01\n\n- It.\n\n## [0.1.0]")
    )


def versions_differ(clone):
    changed(
        clone, "hooks/pyproject.toml", lambda text: re.sub(release.PLACES["pyproject.toml"], r"\g<1>0.9.9\g<2>", text)
    )


def no_version_stated(clone):
    changed(clone, "docs/standards.md", lambda text: text.replace("    rev: v", "    rev: "))


@pytest.mark.deep
@pytest.mark.parametrize(
    ("version", "prepare", "message"),
    [
        ("v0.2", None, "'v0.2' is no version; write three numbers, such as VERSION=1.2.0"),
        ("0.1.0", None, "the tag v0.1.0 exists already"),
        ("0.0.9", None, "0.1.0 is newer than 0.0.9"),
        ("0.2.0", on_a_branch, "the release is made on main, and this is topic"),
        ("0.2.0", not_committed, "1 changed or new files are not committed"),
        ("0.2.0", nothing_unreleased, "CHANGELOG.md says nothing of 0.2.0"),
        ("0.2.0", entry_and_more, "has an entry for 0.2.0 and one for what is unreleased"),
        ("0.2.0", versions_differ, "hooks/pyproject.toml has 0.9.9"),
        ("0.2.0", no_version_stated, "docs/standards.md states no version"),
    ],
)
def test_what_is_not_ready_is_refused_in_one_sentence(clone, version, prepare, message):
    if prepare:
        prepare(clone)
    before = git("rev-parse", "HEAD", cwd=clone)
    [problem] = release.quick_problems(version)
    assert message in problem
    assert problem.count("\n") == 0
    assert git("rev-parse", "HEAD", cwd=clone) == before
    assert git("tag", cwd=clone) == "v0.1.0"


@pytest.mark.deep
def test_the_tag_carries_the_changelog_and_nothing_is_pushed(clone):
    released_before = git("ls-remote", "origin", cwd=clone)
    release.prepare("0.2.0", "2026-12-01")
    assert git("cat-file", "-t", "v0.2.0", cwd=clone) == "tag"
    assert git("tag", "--list", "--format=%(contents)", "v0.2.0", cwd=clone) == "0.2.0\n\n### Added\n\n- A thing."
    assert git("rev-parse", "v0.2.0^{commit}", cwd=clone) == git("rev-parse", "main", cwd=clone)
    assert git("status", "--porcelain", cwd=clone) == ""
    text = (clone / "CHANGELOG.md").read_text()
    assert "## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n### Added\n\n- A thing.\n\n## [0.1.1rc1]\n" in text
    for name, pattern in release.PLACES.items():
        assert "0.2.0" in re.search(pattern, (clone / name).read_text())[0]
    assert git("ls-remote", "origin", cwd=clone) == released_before
    assert list(release.quick_problems("0.2.0")) == ["the tag v0.2.0 exists already; name a newer version"]


@pytest.mark.deep
def test_an_entry_that_is_there_is_kept(clone):
    changed(clone, "CHANGELOG.md", lambda text: text.replace("## [Unreleased]\n", "## [0.2.0] - 2026-12-01\n"))
    assert list(release.quick_problems("0.2.0")) == []
    release.prepare("0.2.0", "2027-01-01")
    assert "## [0.2.0] - 2026-12-01\n" in (clone / "CHANGELOG.md").read_text()


def test_pins_that_are_not_the_newest_are_named(tmp_path):
    pins = tmp_path / "constraints.txt"
    pins.write_text('# pins\na==1.0.1\n  "b==2.0",\nc==1 ; python_version < "3.12"\nc==2 ; python_version >= "3.12"\n')
    newest = pins.read_text().replace("a==1.0.1", "a==1.0.2").replace("c==2", "c==3")
    assert refresh_constraints.behind({pins: newest}) == [("a", "1.0.1", "1.0.2"), ("c", "1, 2", "1, 3")]
    assert release.same_minor("1.0.1", "1.0.2")
    assert not release.same_minor("1.0.1", "1.1.0")


@pytest.mark.deep
def test_make_ends_in_one_sentence(template, tmp_path):
    folder = tmp_path / "clone"
    git("clone", "--quiet", str(template), str(folder), cwd=tmp_path)
    command = [sys.executable, "tools/release.py", "0.1.0", "--dry-run"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "error: the tag v0.1.0 exists already; name a newer version\n")
