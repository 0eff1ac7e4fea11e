"""The tutorials, typed literally: every `sh` block from the first page to the last, in an empty home."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from combinations import MANIFESTS, ORCHESTRATORS, SERVED, VARIANTS
from projects import UV
from repository import ROOT, git
from servers import free_port

ADDRESS = "https://github.com/org/orch-starter.git"  # what Copier makes of gh:org/orch-starter
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KEPT_VARIABLES = ("LANG", "SSL_", "PIP_", "http", "HTTP", "no_proxy", "NO_PROXY", "UV_")
PAGE_SECONDS = 1800
CHECKED = 'make lint\ngit add --all\ngit commit --quiet --message "Update from the template"'
DEFAULT = "airflow"  # what the rules recommend for the default answers, and so the orchestrator of the pages
PAGES = [ROOT / "docs" / path for path in re.findall(r"tutorials/[\w-]+\.md", (ROOT / "mkdocs.yml").read_text())]


def blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(page.read_text()) if name == language]


def plain(text: str) -> str:
    """Without durations and alignment, which differ from run to run."""
    return " ".join(re.sub(r"\b\d+\.\d s\b", "# s", text).split())


def on(orchestrator: str, commands: str) -> str:
    """The commands of a page as its words say for another orchestrator than the default one."""
    if orchestrator == DEFAULT:
        return commands
    words = "\n".join(page.read_text() for page in PAGES)
    [added] = re.findall(rf"^\| [\w ]+ \| `(--data orchestrator={orchestrator}\b[^`]*)`", words, re.MULTILINE)
    replaced = {"copier copy --defaults": f"copier copy --defaults {added}"}
    if orchestrator in SERVED:
        [replaced[f"{DEFAULT}_vm"]] = re.findall(rf"`({orchestrator}_\w+)`[^`]*(?=.*in place of `{DEFAULT}_vm`)", words)
    else:
        name = re.escape(MANIFESTS[orchestrator]["name"])
        [replaced["make package"]] = re.findall(rf"^\| {name} \| `(make [^`]*)`", words, re.MULTILINE)
        [box] = [text for page in PAGES for text in blocks(page, "sh") if f"{DEFAULT}_vm" in text]
        replaced[box] = ""
        again = re.findall(r"`(make \w+ ENV=staging)`", PAGES[-1].read_text())
        before = "".join(f"{each}\n" for each in again if each in replaced["make package"])
        replaced[CHECKED] = before + CHECKED
    for old, new in replaced.items():
        commands = commands.replace(old, new)
    return commands


@pytest.fixture(params=ORCHESTRATORS)
def project(request) -> str:
    return request.param


@pytest.fixture
def type_page(template, tmp_path, project):
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
    environment |= {f"{project.upper()}_PORT": str(free_port()), "COLUMNS": "120"}
    started = tmp_path / "started"

    def run(page: Path) -> str:
        before = 'export PATH=~/copier/bin:$PATH\ncd "$HOME/myproj"\n' if started.exists() else "cd\n"
        started.touch()
        done = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", before + on(project, "".join(blocks(page, "sh")))],
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


@pytest.mark.parametrize("name", ORCHESTRATORS)
def test_the_pages_say_what_to_type_on_each_orchestrator(name):
    commands = on(name, "".join(text for page in PAGES for text in blocks(page, "sh")))
    for variant in re.findall(r"hosting_variant=(\w+)", commands):
        assert VARIANTS[variant]["orchestrator"] == name
        assert "vm" in VARIANTS[variant]["places"]
    assert ("hosting_variant=" in commands) == ("make package" in commands) == (name in SERVED)
    assert (f"orchestrator={name}" in commands) == (name != DEFAULT)


@pytest.mark.project
@pytest.mark.deep
def test_a_stranger_types_all_four(type_page, project):
    *before, last = PAGES
    for page in before:
        shown = plain(type_page(page))
        for text in blocks(page, "text"):
            if project != DEFAULT and "Orchestrator:" in text:
                continue
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
    changed = [path for path in changed if not path.endswith("/staging.json")]  # what the page has a command for
    assert changed == [".copier-answers.yml", "config/base.toml"]
    assert not git("status", "--porcelain", cwd=type_page.project)
    assert (type_page.project / "src/flight_marts/pipelines/weather").is_dir()
    assert not (type_page.project / "src/flight_marts/pipelines/flights_daily").exists()
