"""Every command in a box of a page works as it is written, or tests/docs_commands.yml says where else it is tried."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from build_site import MOVED
from repository import ROOT, git
from test_tutorials import ADDRESS, KEPT_VARIABLES

SCENES = yaml.safe_load((ROOT / "tests" / "docs_commands.yml").read_text())
BOX = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# A line of a box without a language that is a command, not what one prints; in a box of sh or bash, all lines are.
# Words two spaces or more behind it explain it.
COMMAND = re.compile(
    r"^\s*((?:make|git|copier|uvx?|pip|python|\S+/python|mkdir|\(cd|orch-\w+) .*?)(?:\s{2,}#.*|\s{3,}\w.*)?$"
)
TYPED = "tutorials/"  # whose `sh` boxes tests/test_tutorials.py types
PAGES = {
    str(path.relative_to(ROOT)): path for path in [*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in MOVED)]
}
PROJECT = """\
copier copy --quiet --defaults --vcs-ref v0.1.0 gh:org/orch-starter ~/myproj && cd ~/myproj
git init --quiet --initial-branch main && git add --all && git commit --quiet --message "As it was written"
"""
SECONDS = 900


def commands(name: str) -> list[str]:
    text = PAGES[name].read_text()
    if TYPED in name:
        text = re.sub(r"^```sh\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    typed = []
    for language, box in BOX.findall(text):
        for line in filter(None, map(str.strip, box.splitlines())):
            if language in ("sh", "bash"):
                typed.append(line)
            elif not language and (match := COMMAND.match(line)):
                typed.append(match[1].rstrip())
    return typed


def elsewhere(name: str, command: str) -> bool:
    """Whether a command of a page is tried by another test, or by none for a reason."""
    return any(f"{command}  ".startswith(beginning) for beginning in SCENES.get(name, {}).get("elsewhere", {}))


WITH_COMMANDS = sorted(name for name in PAGES if commands(name))
TRIED_HERE = [name for name in WITH_COMMANDS if not all(elsewhere(name, each) for each in commands(name))]


def test_every_page_with_commands_has_a_scene_and_every_scene_has_its_commands():
    assert sorted(SCENES) == WITH_COMMANDS, "tell tests/docs_commands.yml how the commands of this page are tried"
    for name, scene in SCENES.items():
        for part in ("elsewhere", "exits"):
            for beginning in scene.get(part, {}):
                assert any(f"{each}  ".startswith(beginning) for each in commands(name)), f"{name}: {beginning}"
        for words in scene.get("replace", {}):
            assert any(words in each for each in commands(name)), f"{name}: {words}"
        for test in re.findall(r"tests/[\w/]+(?:\.py)?", yaml.safe_dump(scene.get("elsewhere", {}))):
            assert (ROOT / test).exists(), test


@pytest.fixture(scope="module")
def released(template, tmp_path_factory) -> Path:
    """This template at v0.1.0 and v1.2.0."""
    folder = Path(shutil.copytree(template, tmp_path_factory.mktemp("released") / "orch-starter"))
    settings = folder / "template" / "[[shared]]" / "config" / "base.toml.jinja"
    settings.write_text(settings.read_text() + "\n# from the next release\n")
    git("commit", "--quiet", "--all", "--message", "next release", cwd=folder)
    git("tag", "v1.2.0", cwd=folder)
    return folder


@pytest.fixture
def home(released, tmp_path) -> Path:
    """An empty home, whose git takes the released template for the addresses on the pages."""
    settings = {"user.name": "A reader", "user.email": "reader@example.com"}
    others = ("git@host:org/template", "https://host/org/marts.git")
    for address, folder in zip((ADDRESS, *others), (released, released, tmp_path / "repositories/marts"), strict=True):
        git(
            "config",
            "--file",
            str(tmp_path / ".gitconfig"),
            "--add",
            f"url.file://{folder}.insteadOf",
            address,
            cwd=tmp_path,
        )
    for key, value in settings.items():
        git("config", "--file", str(tmp_path / ".gitconfig"), key, value, cwd=tmp_path)
    return tmp_path


@pytest.mark.deep
@pytest.mark.parametrize("name", TRIED_HERE)
def test_commands_work_as_they_are_written(home, name):
    scene = SCENES[name]
    kept = {key: value for key, value in os.environ.items() if key.startswith(KEPT_VARIABLES)}
    uv = Path(sys.executable).with_name("uv")
    cache = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    path = f"{uv.parent}:/usr/local/bin:/usr/bin:/bin"
    environment = kept | {
        "HOME": str(home),
        "PATH": path,
        "UV_CACHE_DIR": cache,
        "CHECKOUT": str(ROOT),
        "COLUMNS": "100",
    }
    lines = [re.sub(r"^project$", PROJECT, scene.get("before", ""), flags=re.MULTILINE)]
    expected = []
    for command in commands(name):
        if elsewhere(name, command):
            continue
        code = next((code for words, code in scene.get("exits", {}).items() if command.startswith(words)), 0)
        typed = command
        for words, other in scene.get("replace", {}).items():
            typed = typed.replace(words, other)
        lines += [
            f"set -e; {scene.get('between', ':')}",
            "set +e",
            f"(\n{typed}\n) </dev/null",
            'echo "exit code: $?"',
            "set -e",
        ]
        expected.append((command, code))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    codes = [int(code) for code in re.findall(r"^exit code: (\d+)$", done.stdout, re.MULTILINE)]
    got = list(zip([command for command, _ in expected], codes, strict=False))
    assert (done.returncode, got) == (0, expected), done.stdout[-6000:]
