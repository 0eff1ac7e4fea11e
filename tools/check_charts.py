"""Render a chart with the values of every hosting variant that takes it, by real Helm, and validate what comes out.

Usage: check_charts.py CHART, a folder as `helm pull --untar` makes it, with the charts that it needs. HELM names the
program; KUBERNETES is the version whose schemas must take every manifest. A kind that Kubernetes does not bring, such
as a ServiceMonitor, has no schema and is only rendered.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import copier
import yaml
from decision_engine import ROOT, manifests

UV = Path(sys.executable).with_name("uv")
KUBERNETES = os.environ.get("KUBERNETES", "1.35")
VALIDATOR = ["kubernetes-validate==1.37.0"]
COMMIT, REPOSITORY, DIGEST = "0" * 40, "registry.example.com/data/flight-marts", "sha256:" + "0" * 64
# What `make deploy` puts in place of a mark, besides the `variables` of the hosting variant.
DEPLOYED = {
    "REPOSITORY": REPOSITORY,
    "DIGEST": DIGEST,
    "TAG": f"{COMMIT}@{DIGEST}",
    "IMAGE": f"{REPOSITORY}@{DIGEST}",
    "COMMIT": COMMIT,
    "ENV": "prod",
    "IDENTITY": "",
    "SECRETS_LOCATION": "",
}


def main(folder: str) -> str | None:
    helm = os.environ.get("HELM", "helm")
    if not shutil.which(helm):
        return f"error: {helm} is not installed: install Helm 3.8 or newer, or name it with HELM="
    file = Path(folder) / "Chart.yaml"
    if not file.is_file():
        return f"error: {folder} is no chart: name the folder that `helm pull --untar` made, with its Chart.yaml"
    about = yaml.safe_load(file.read_text(encoding="utf-8"))
    takers = list(_takers(about["name"]))
    if not takers:
        return f"error: no hosting variant takes the chart {about['name']}"
    for engine, variant, row, chart in takers:
        # A vendor's service is outside of an isolated network.
        for vpc in ["open"] if "control_plane" in row else ["open", "isolated"]:
            with tempfile.TemporaryDirectory() as work:
                problem, kinds = _problem(helm, Path(folder), engine, variant, row, chart, vpc, Path(work))
            if problem:
                return f"error: {about['name']} {about['version']} with the values of {variant}, {vpc}:\n{problem}"
            print(f"{about['name']} {about['version']}, {variant}, {vpc}: {kinds}")
    return None


def _takers(name: str) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Engine, hosting variant, what the manifest says of it and of the chart, for each variant that takes the chart."""
    for engine, manifest in manifests().items():
        for variant, row in manifest.get("variants", {}).items():
            yield from ((engine, variant, row, chart) for chart in row.get("charts", []) if chart["chart"] == name)


def filled(text: str, variant: dict[str, Any]) -> str:
    """A text of the manifest as `make deploy` fills it in. Raises KeyError with the name of a mark that it does not."""
    values = DEPLOYED | {name: f"a-{name.lower().replace('_', '-')}" for name in variant.get("variables", {})}
    text = re.sub(r"\[\[ ?project_name ?\]\]", "flight-marts", text)
    return re.sub(r"@([A-Z_]+)@", lambda mark: values[mark[1]], text)


def _problem(
    helm: str, folder: Path, engine: str, variant: str, row: dict, chart: dict, vpc: str, work: Path
) -> tuple[str, str]:
    """What is wrong, empty when nothing is; and what was rendered."""
    own = {} if vpc == "isolated" else {"hosting": "managed" if "control_plane" in row else "self_host"}
    own |= {"orchestrator": engine, "hosting_variant": variant, "accept_exclusion": "yes"}
    answers = {"vpc": vpc, "cloud": "aws"}
    with warnings.catch_warnings(action="ignore"):  # that the working tree has changes
        copier.run_copy(str(ROOT), work / "project", data=answers | own, defaults=True, quiet=True, vcs_ref="HEAD")
    options = ["--values", str(work / "project" / "deploy" / "kubernetes" / f"{chart['release']}.yml")]
    text = filled(chart.get("set", ""), row)
    options += [part for each in text.split() for part in ("--set", each)]
    command = [helm, "template", chart["release"], str(folder), "--namespace", "flight-marts-prod", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr, ""
    given = [each for each in yaml.safe_load_all(done.stdout) if each]
    for at, each in enumerate(given):
        file = work / f"{at}.yml"
        file.write_text(yaml.safe_dump(each), encoding="utf-8")
    command = [str(UV), "tool", "run", "--quiet", "--from", *VALIDATOR, "kubernetes-validate", "--strict"]
    command += ["-k", KUBERNETES, *map(str, sorted(work.glob("*.yml")))]
    valid = subprocess.run(command, capture_output=True, text=True, check=False)
    problems = [line for line in (valid.stdout + valid.stderr).splitlines() if re.search("ERROR|FAIL|rror:", line)]
    if valid.returncode and (problems or not given):
        return "\n".join(problems) or valid.stderr, ""
    return "", f"{len(given)} manifests, valid for Kubernetes {KUBERNETES}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("error: name a chart: make check-charts CHART=folder")
    sys.exit(main(sys.argv[1]))
