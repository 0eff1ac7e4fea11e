"""The tutorials, typed literally: every `sh` block from the first page to the last, in an empty home."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from projects import UV
from repository import ROOT, git
from servers import free_port

ADDRESS = "https://github.com/org/orch-starter.git"  # what Copier makes of gh:org/orch-starter
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KEPT_VARIABLES = ("LANG", "SSL_", "PIP_", "http", "HTTP", "no_proxy", "NO_PROXY", "UV_")
PAGE_SECONDS = 900
PAGES = [ROOT / "docs" / path for path in re.findall(r"tutorials/[\w-]+\.md", (ROOT / "mkdocs.yml").read_text())]


def blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(page.read_text()) if name == language]


def plain(text: str) -> str:
    """Without durations and alignment, which differ from run to run."""
    return " ".join(re.sub(r"\b\d+\.\d s\b", "# s", text).split())


@pytest.fixture
def type_page(template, tmp_path):
    """``type_page(page)`` types its commands as a stranger would, where the page before ended; gives what was shown."""
    released = shutil.copytree(template, tmp_path / "released")
    home = tmp_path / "home"
    home.mkdir()
    git("config", "--file", str(home / ".gitconfig"), f"url.file://{released}.insteadOf", ADDRESS, cwd=tmp_path)
    for name, value in (("name", "A stranger"), ("email", "stranger@example.com")):
        git("config", "--file", str(home / ".gitconfig"), f"user.{name}", value, cwd=tmp_path)
    kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT_VARIABLES)}
    cache = subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    environment = kept | {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "UV_CACHE_DIR": cache}
    environment |= {"AIRFLOW_PORT": str(free_port()), "COLUMNS": "120"}
    started = tmp_path / "started"

    def run(page: Path) -> str:
        before = 'export PATH=~/copier/bin:$PATH\ncd "$HOME/myproj"\n' if started.exists() else "cd\n"
        started.touch()
        done = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", before + "".join(blocks(page, "sh"))],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PAGE_SECONDS,
        )
        if done.returncode and "make up" in page.read_text():  # nothing may go on running
            subprocess.run(["make", "-C", "myproj", "down"], cwd=home, env=environment, capture_output=True)
        assert done.returncode == 0, f"{page.name}\n{done.stdout[-4000:]}"
        return done.stdout

    run.project = home / "myproj"
    run.released = released
    return run


@pytest.mark.project
@pytest.mark.deep
def test_a_stranger_types_all_four(type_page):
    *before, last = PAGES
    for page in before:
        shown = plain(type_page(page))
        for text in blocks(page, "text"):
            for line in text.splitlines():
                assert plain(line) in shown, f"{page.name} shows {line!r}; it was\n{shown[-4000:]}"
    seen = git("rev-parse", "HEAD", cwd=type_page.project)
    assert not git("status", "--porcelain", cwd=type_page.project)

    settings = type_page.released / "template" / "[[shared]]" / "config" / "base.toml.jinja"
    settings.write_text(settings.read_text().replace("sla_seconds = 7200", "sla_seconds = 7000"))
    git("commit", "--quiet", "--all", "--message", "next release", cwd=type_page.released)
    git("tag", "v99.0.0", cwd=type_page.released)
    type_page(last)
    changed = git("diff", "--name-only", seen, "HEAD", cwd=type_page.project).splitlines()
    assert changed == [".copier-answers.yml", "config/base.toml"]
    assert (type_page.project / "src/flight_marts/pipelines/weather").is_dir()
    assert not (type_page.project / "src/flight_marts/pipelines/flights_daily").exists()
