"""Resolve each orchestrator's dependencies again and write the result to its constraints.txt and connections.txt.

One resolution over a project with all of them, each as a conflicting group of its own, so that they share versions
where they can, and with the packages of all systems in decision/integrations.yml, so that those install with the
project. connections.txt has what only these bring; where they bring nothing, there is none. Lines are requirement pins
with markers, without any index or hash.

A service that brings the orchestrator itself has versions of its own: a hosting variant with `versions: 3.3.1` takes
constraints-3.3.1.txt. It has those of pins-3.3.1.txt, which the service installs, wherever the project's own bounds
take them, and those of deploy/package/*/constraints.txt of the variants, which the service does not let change.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

import copier
from decision_engine import ROOT, data, manifests

UV = Path(sys.executable).with_name("uv")
PIN = re.compile(r"^[A-Za-z0-9._-]+==\S+( ; .*)?$")
PIN_IN = re.compile(r'^ *"?([A-Za-z0-9._-]+)==([^\s",;]+)', re.MULTILINE)
CLIENTS = ("aws_secrets_manager", "google_secret_manager", "azure_key_vault", "hashicorp_vault")
# What the resolver must not take. The parser of dbt Core 1.12 downloads itself from a code host while it is installed.
AVOIDED = ["dbt-core<1.12"]
HEAD = "# Versions that a resolver found together and the tests ran; refreshed by tools/refresh_constraints.py.\n"


def main() -> str | None:
    print("resolving the versions of all orchestrators", flush=True)
    try:
        texts = resolved()
    except subprocess.CalledProcessError as error:
        return f"error: the versions cannot be resolved; {' '.join(str(error.stderr or error).split())}"
    for path, text in texts.items():
        path.write_text(text)
        if text == HEAD:
            path.unlink()
        print(f"  {path.relative_to(ROOT)}: {text.count('==')} packages")
    return None


def resolved() -> dict[Path, str]:
    """What each file of pins holds when everything is resolved again; nothing is written."""
    ids = list(manifests())
    touched = data("integrations")["systems"]
    texts = {}
    with tempfile.TemporaryDirectory() as folder:
        project = _project_with_every_client(ids, list(touched), Path(folder))
        _lock(project)
        for name in ids:
            packages = {system[name]["package"] for system in touched.values() if "package" in system.get(name, {})}
            packages -= {_name(each) for each in _of_shapes(name)}
            others = [other for other in ids if other != name]
            everything, base = _export(project, others), _export(project, others, packages)
            pins = {"constraints": base, "connections": [pin for pin in everything if pin not in base]}
            texts |= _texts(name, pins)
            for version in {
                row["versions"] for row in manifests()[name].get("variants", {}).values() if "versions" in row
            }:
                texts |= _for_services(project, name, version, packages)
    for environment in sorted((ROOT / "template" / "[[shared]]").glob("*/environments/*/pyproject.toml")):
        texts[environment] = _refreshed(environment)
    return texts


def behind(texts: dict[Path, str]) -> list[tuple[str, str, str]]:
    """Package, pinned and newest version of each pin that is not the newest; of several by marker, all of them."""
    rows = set()
    for path, text in texts.items():
        newest, pinned = _versions(text), _versions(path.read_text() if path.exists() else "")
        rows |= {(name, pinned[name], newest[name]) for name in pinned.keys() & newest if pinned[name] != newest[name]}
    return sorted(rows)


def _versions(text: str) -> dict[str, str]:
    versions: dict[str, list[str]] = {}
    for name, version in PIN_IN.findall(text):
        versions.setdefault(name, []).append(version)
    return {name: ", ".join(sorted(each)) for name, each in versions.items()}


def _project_with_every_client(ids: list[str], touched: list[str], folder: Path) -> Path:
    """A project with all orchestrators, systems and clients of secrets backends, and with no other constraint."""
    dependencies: set[str] = set()
    # A managed service of the first one must not bring a version of its own.
    own = {name for name in ids for row in manifests()[name].get("variants", {}).values() if "versions" in row}
    first = next(name for name in ids if name not in own)
    for client in CLIENTS:
        answers = {"orchestrator": first, "also_orchestrators": ids, "connects_to": touched, "secrets_backend": client}
        answers |= {"accept_exclusion": "yes"}
        project = folder / client
        copier.run_copy(str(ROOT), project, data=answers, defaults=True, quiet=True, vcs_ref="HEAD")
        text = (project / "pyproject.toml").read_text()
        dependencies |= set(tomllib.loads(text)["project"]["dependencies"])
    lists = {"constraint-dependencies": AVOIDED, "dependencies": sorted(dependencies)}
    groups = tomllib.loads(text)["dependency-groups"]
    tools = {tool for manifest in manifests().values() for tool in manifest.get("dev_dependencies", [])}
    lists["dev"] = [requirement for requirement in groups["dev"] if requirement not in tools]
    for name, manifest in manifests().items():  # with its own tools, and what all shapes need on it
        lists[name] = groups[name] + manifest.get("dev_dependencies", []) + _of_shapes(name)
    for key, value in lists.items():
        text = re.sub(
            rf"^{key} = \[.*?\]$",
            lambda _, k=key, v=value: f"{k} = {json.dumps(v)}",
            text,
            count=1,
            flags=re.DOTALL | re.MULTILINE,
        )
    (project / "pyproject.toml").write_text(text)
    return project


def _texts(name: str, pins: dict[str, list[str]]) -> dict[Path, str]:
    folder = ROOT / "template" / f"[[{name}]]"
    return {folder / f"{file}.txt": HEAD + "".join(f"{line}\n" for line in lines) for file, lines in pins.items()}


def _for_services(project: Path, name: str, version: str, packages: set[str]) -> dict[Path, str]:
    """Resolve the orchestrator's group for the variants whose services have it in this version."""
    folder = ROOT / "template" / f"[[{name}]]"
    rows = {key: row for key, row in manifests()[name]["variants"].items() if row.get("versions") == version}
    settings = tomllib.loads((project / "pyproject.toml").read_text())
    own = [each for row in rows.values() for each in row["dependencies"]]
    replaced = {_name(each) for each in own}
    general = [each for each in settings["dependency-groups"][name] if _name(each) not in replaced]
    fixed = [
        line
        for variant in rows
        for line in (folder / f"[[{variant}]]/deploy/package/{name}/constraints.txt").read_text().splitlines()
    ]
    with tempfile.TemporaryDirectory() as place:
        limits, result = Path(place, "limits.txt"), Path(place, "result.txt")
        limits.write_text("\n".join([*fixed, *AVOIDED, *settings["tool"]["uv"].get("constraint-dependencies", [])]))
        overrides = Path(place, "overrides.txt")
        overrides.write_text("\n".join(settings["tool"]["uv"].get("override-dependencies", [])))
        # What the result has before is what the resolver prefers.
        result.write_text((folder / f"pins-{version}.txt").read_text())
        groups = settings["dependency-groups"]
        with_and_without = []
        for without in (set(), packages):
            needed = [each for each in general if _name(each) not in without]
            needed += [*own, *settings["project"]["dependencies"], *groups["dev"], *groups["telemetry"]]
            command = [UV, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--no-header"]
            command += ["--no-annotate", "--constraints", limits, "--overrides", overrides]
            command += ["--output-file", result, "-"]
            subprocess.run(command, cwd=place, check=True, input="\n".join(needed), text=True, capture_output=True)
            with_and_without.append(sorted(line for line in result.read_text().splitlines() if PIN.match(line)))
        everything, base = with_and_without
        connections = [pin for pin in everything if pin not in base]
    return _texts(name, {f"constraints-{version}": base, f"connections-{version}": connections})


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower()


def _of_shapes(name: str) -> list[str]:
    """What pipelines of any shape need on an orchestrator."""
    return [each for shape in manifests()[name].get("shape_dependencies", {}).values() for each in shape]


def _refreshed(environment: Path) -> str:
    """The pyproject.toml of a tool's own environment with its constraints resolved again."""
    text = environment.read_text()
    pins = re.compile(r"^constraint-dependencies = \[.*?\n\]", flags=re.DOTALL | re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").write_text(pins.sub("", text))
        _lock(Path(folder))
        lines = _export(Path(folder), ())
    rows = "".join(f"  {json.dumps(pin)},\n" for pin in lines)
    return pins.sub(lambda _: f"constraint-dependencies = [\n{rows}]", text)


def _lock(project: Path) -> None:
    subprocess.run([UV, "lock", "--quiet"], cwd=project, check=True, stderr=subprocess.PIPE, text=True)


def _export(project: Path, others: Iterable[str], without: Iterable[str] = ()) -> list[str]:
    """The pins of all groups but these, less those that only these packages bring."""
    command = [UV, "export", "--quiet", "--frozen", "--no-hashes", "--no-annotate", "--no-header"]
    command += ["--no-emit-project", "--all-groups"]
    command += [word for group in others for word in ("--no-group", group)]
    command += [word for package in sorted(without) for word in ("--prune", package)]
    lines = subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout.splitlines()
    return sorted(line.strip() for line in lines if PIN.match(line.strip()))


if __name__ == "__main__":
    sys.exit(main())
