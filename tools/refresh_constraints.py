"""Resolve each orchestrator's dependencies anew and write the result to its constraints.txt.

One resolution over a project with all of them, each as a conflicting group of its own, so that they share versions
where they can. Lines are requirement pins with markers, without any index or hash.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path

import copier
import yaml

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^[A-Za-z0-9._-]+==\S+( ; .*)?$")
CLIENTS = ("aws_secrets_manager", "google_secret_manager", "azure_key_vault", "hashicorp_vault")
HEAD = "# Versions that a resolver found together and the tests ran; refreshed by tools/refresh_constraints.py.\n"


def main() -> None:
    systems = yaml.safe_load((ROOT / "decision" / "systems.yml").read_text())["systems"]
    ids = [system["id"] for system in systems if system.get("template")]
    with tempfile.TemporaryDirectory() as folder:
        project = _project_with_every_client(ids, Path(folder))
        print(f"resolving {', '.join(ids)}", flush=True)
        subprocess.run(["uv", "lock", "--quiet"], cwd=project, check=True)
        for name in ids:
            found = _export(project, name)
            (ROOT / "template" / f"[[{name}]]" / "constraints.txt").write_text(HEAD + "".join(f"{x}\n" for x in found))
            print(f"  {name}: {len(found)} packages")


def _project_with_every_client(ids: list[str], folder: Path) -> Path:
    """A project with all orchestrators and the clients of all secrets backends, and without any constraint."""
    dependencies: set[str] = set()
    for client in CLIENTS:
        answers = {"orchestrator": ids[0], "also_orchestrators": ids, "secrets_backend": client}
        project = folder / client
        copier.run_copy(str(ROOT), project, data=answers, defaults=True, quiet=True, vcs_ref="HEAD")
        text = (project / "pyproject.toml").read_text()
        dependencies |= set(tomllib.loads(text)["project"]["dependencies"])
    for key, value in {"constraint-dependencies": [], "dependencies": sorted(dependencies)}.items():
        text = re.sub(
            rf"^{key} = \[.*?\n\]", f"{key} = {json.dumps(value)}", text, count=1, flags=re.DOTALL | re.MULTILINE
        )
    (project / "pyproject.toml").write_text(text)
    return project


def _export(project: Path, group: str) -> list[str]:
    command = ["uv", "export", "--quiet", "--frozen", "--no-hashes", "--no-annotate", "--no-header"]
    command += ["--no-emit-project", "--group", group]
    lines = subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout.splitlines()
    return sorted(line.strip() for line in lines if PIN.match(line.strip()))


if __name__ == "__main__":
    main()
