"""Resolve each orchestrator's dependencies again and write the result to its constraints.txt and connections.txt.

One resolution over a project with all of them, each as a conflicting group of its own, so that they share versions
where they can, and with the packages of all systems in decision/integrations.yml, so that those install with the
project. connections.txt has what only these bring; where they bring nothing, there is none. Lines are requirement pins
with markers, without any index or hash.
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
CLIENTS = ("aws_secrets_manager", "google_secret_manager", "azure_key_vault", "hashicorp_vault")
# What the resolver must not take. The parser of dbt Core 1.12 downloads itself from a code host while it is installed.
AVOIDED = ["dbt-core<1.12"]
HEAD = "# Versions that a resolver found together and the tests ran; refreshed by tools/refresh_constraints.py.\n"


def main() -> None:
    ids = list(manifests())
    touched = data("integrations")["systems"]
    with tempfile.TemporaryDirectory() as folder:
        project = _project_with_every_client(ids, list(touched), Path(folder))
        print(f"resolving {', '.join(ids)}", flush=True)
        subprocess.run([UV, "lock", "--quiet"], cwd=project, check=True)
        for name in ids:
            packages = {system[name]["package"] for system in touched.values() if "package" in system.get(name, {})}
            packages -= {re.split(r"[^\w.-]", each)[0] for each in _of_shapes(name)}
            others = [other for other in ids if other != name]
            everything, base = _export(project, others), _export(project, others, packages)
            pins = {"constraints": base, "connections": [pin for pin in everything if pin not in base]}
            for file, lines in pins.items():
                path = ROOT / "template" / f"[[{name}]]" / f"{file}.txt"
                path.write_text(HEAD + "".join(f"{line}\n" for line in lines))
                if not lines:
                    path.unlink()
            print(f"  {name}: {len(base)} packages, {len(everything)} with those of all systems")
    for environment in sorted((ROOT / "template" / "[[shared]]" / "environments").glob("*/pyproject.toml")):
        _refresh(environment)


def _project_with_every_client(ids: list[str], touched: list[str], folder: Path) -> Path:
    """A project with all orchestrators, systems and clients of secrets backends, and with no other constraint."""
    dependencies: set[str] = set()
    for client in CLIENTS:
        answers = {"orchestrator": ids[0], "also_orchestrators": ids, "connects_to": touched, "secrets_backend": client}
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


def _of_shapes(name: str) -> list[str]:
    """What pipelines of any shape need on an orchestrator."""
    return [each for shape in manifests()[name].get("shape_dependencies", {}).values() for each in shape]


def _refresh(environment: Path) -> None:
    """Resolve a tool's own environment again, into the constraints of its pyproject.toml."""
    text = environment.read_text()
    pins = re.compile(r"^constraint-dependencies = \[.*?\n\]", flags=re.DOTALL | re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").write_text(pins.sub("", text))
        subprocess.run([UV, "lock", "--quiet"], cwd=folder, check=True)
        resolved = _export(Path(folder), ())
    rows = "".join(f"  {json.dumps(pin)},\n" for pin in resolved)
    environment.write_text(pins.sub(lambda _: f"constraint-dependencies = [\n{rows}]", text))
    print(f"  {environment.parent.name}: {len(resolved)} packages in an environment of its own")


def _export(project: Path, others: Iterable[str], without: Iterable[str] = ()) -> list[str]:
    """The pins of all groups but these, less those that only these packages bring."""
    command = [UV, "export", "--quiet", "--frozen", "--no-hashes", "--no-annotate", "--no-header"]
    command += ["--no-emit-project", "--all-groups"]
    command += [word for group in others for word in ("--no-group", group)]
    command += [word for package in sorted(without) for word in ("--prune", package)]
    lines = subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout.splitlines()
    return sorted(line.strip() for line in lines if PIN.match(line.strip()))


if __name__ == "__main__":
    main()
