"""`make add`: a package that does not go with the template's pins is refused with the pin and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from projects import UV
from repository import ROOT

SCRIPT = ROOT / "template" / "[[shared]]" / "scripts" / "add.py"
PYPROJECT = """[project]
name = "marts"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = []

[tool.uv]
package = false
no-index = true
constraint-dependencies = ["pinned==1.0", "pinned-too==1.0 ; python_version > '3'", "other==2.0"]
"""
WHEELS = {  # requirements by name and version
    "pinned-1.0": [],
    "pinned-1.1": [],
    "pinned_too-1.0": [],
    "pinned_too-2.0": [],
    "other-2.0": [],
    "needs_newer-1.0": ["pinned-too>=2"],
}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project, and an index of its own with a few empty packages."""
    for wheel, requirements in WHEELS.items():
        name, version = wheel.split("-")
        needed = "".join(f"Requires-Dist: {each}\n" for each in requirements)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}"
        (tmp_path / "index").mkdir(exist_ok=True)
        with zipfile.ZipFile(tmp_path / "index" / f"{wheel}-py3-none-any.whl", "w") as file:
            file.writestr(f"{wheel}.dist-info/METADATA", metadata)
            file.writestr(f"{wheel}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            file.writestr(f"{wheel}.dist-info/RECORD", "")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "index"))
    folder = tmp_path / "project"
    (folder / "scripts").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "scripts" / "add.py").write_text(SCRIPT.read_text())
    return folder


def add(project: Path, *packages: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/add.py", *packages]
    environment = os.environ | {"UV": UV}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_a_package_that_goes_with_the_pins_is_added(project):
    done = add(project, "pinned", "other")
    assert done.returncode == 0, done.stderr
    assert "pinned" in (project / "pyproject.toml").read_text().partition("[tool.uv]")[0]


@pytest.mark.parametrize(("package", "pin"), [("pinned>=1.1", "pinned==1.0"), ("needs-newer", "pinned-too==1.0")])
def test_a_package_that_does_not_is_refused_with_the_pin_and_the_remedy(project, package, pin):
    done = add(project, package)
    assert done.returncode != 0
    assert f"error: the template pins {pin}, which does not go with {package}." in done.stderr
    assert "constraint-dependencies" in done.stderr
    assert (project / "pyproject.toml").read_text() == PYPROJECT
    line = next(each for each in PYPROJECT.splitlines() if each.startswith("constraint"))
    (project / "pyproject.toml").write_text(PYPROJECT.replace(line, 'constraint-dependencies = ["other==2.0"]'))
    assert add(project, package).returncode == 0, "the remedy works"


def test_another_failure_of_uv_is_left_as_it_is(project):
    done = add(project, "no-such-package")
    assert done.returncode != 0
    assert "the template pins" not in done.stderr
    assert add(project).returncode == 2
