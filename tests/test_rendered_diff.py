"""What a change of the template does to projects: each difference once, with the examples that have it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import rendered_diff
from repository import ROOT, git


@pytest.fixture
def examples(tmp_path, monkeypatch):
    """``examples("before", files, more)`` writes these files of two examples, by path, and more of the first one."""
    monkeypatch.setattr(rendered_diff, "EXAMPLES", {"one": {}, "other": {}})

    def write(version: str, files: dict[str, str], only_one: dict[str, str]):
        for name, own in (("one", files | only_one), ("other", files)):
            for path, text in own.items():
                file = tmp_path / version / name / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        return tmp_path / version

    return write


def test_a_file_that_differs_in_several_projects_is_shown_once(examples):
    before = examples("before", {"Makefile": "run:\n", "gone.txt": "old\n" * 9}, {"a/same.py": "x = 1\n"})
    after = examples("after", {"Makefile": "run: setup\n", "new.py": "y = 2\n"}, {"a/same.py": "x = 1\n"})
    parts = rendered_diff.differences(before, after)
    shown = {rendered_diff.path_and_kind(part): names for part, names in parts.items()}
    both = ["one", "other"]
    assert shown == {("Makefile", "changed"): both, ("gone.txt", "removed"): both, ("new.py", "added"): both}
    [makefile] = [part for part in parts if "Makefile" in part]
    assert makefile.splitlines()[2:] == ["--- a/Makefile", "+++ b/Makefile", "@@ -1 +1 @@", "-run:", "+run: setup"]


def test_the_list_names_each_file_and_who_has_it(examples):
    after = examples("after", {"Makefile": "run:\n"}, {"a/only.py": "x = 1\n"})
    assert rendered_diff.files_list(after) == rendered_diff.HEAD + "Makefile\tall\na/only.py\tone\n"


@pytest.mark.deep
def test_a_change_of_the_template_shows_in_projects_and_a_new_file_must_be_in_the_list(template, tmp_path):
    clone = tmp_path / "clone"
    git("clone", "--quiet", str(template), str(clone), cwd=tmp_path)
    command = [sys.executable, "tools/rendered_diff.py", "HEAD"]

    def run(*arguments: str):
        return subprocess.run([*command[:2], *arguments], cwd=clone, capture_output=True, text=True, timeout=300)

    assert run("--write").returncode == 0
    same = run()
    assert (same.returncode, same.stderr) == (0, ""), same.stderr
    assert same.stdout.startswith("0 files differ between v0.1.0 and the working tree")
    base = clone / "template" / "[[shared]]" / "config" / "base.toml.jinja"
    base.write_text(base.read_text() + "\n# more\n")
    (clone / "template" / "[[dagster]]" / "more.txt").write_text("more\n")
    changed = run("HEAD")
    assert changed.returncode == 1
    assert changed.stderr.endswith("is not what projects have; run make rendered-files and commit it\n")
    assert "changed  config/base.toml    all\n" in changed.stdout
    assert "added    more.txt    dagster hybrid\n" in changed.stdout
    assert "\n+# more\n" in changed.stdout
    assert run("--write").returncode == 0
    assert "more.txt\tdagster hybrid\n" in (clone / rendered_diff.LIST.relative_to(ROOT)).read_text()
    assert "no tag, branch or commit nowhere" in run("nowhere").stderr
