"""Terraform with tests/terraform/provider.py in the place of the providers: nothing is downloaded or created."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

FACTS = sorted((ROOT / "tests" / "terraform").glob("*.json"))
SETTINGS = """\
disable_checkpoint = true
provider_installation {{
  dev_overrides {{
    {overrides}
  }}
  direct {{ exclude = ["*/*"] }}
}}
"""


def prepare(folder: Path) -> dict[str, str]:
    """Write the stand-ins into the folder. Returns the environment in which Terraform takes them for the providers."""
    if not shutil.which("terraform"):
        pytest.skip("deploy/terraform is not checked, because there is no terraform here: install 1.11 or newer")
    script = ROOT / "tests" / "terraform" / "provider.py"
    for facts in FACTS:
        program = folder / f"terraform-provider-{facts.stem}"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "{facts}"\n')
        program.chmod(0o755)
    overrides = "\n    ".join(f'"{source(facts)}" = "{folder}"' for facts in FACTS)
    (folder / "settings.tfrc").write_text(SETTINGS.format(overrides=overrides))
    return os.environ | {"TF_CLI_CONFIG_FILE": str(folder / "settings.tfrc"), "CHECKPOINT_DISABLE": "1"}


def source(facts: Path) -> str:
    """The address of the provider whose facts these are, as `required_providers` gives it."""
    return json.loads(facts.read_text()).get("source", f"hashicorp/{facts.stem}")


def terraform(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of Terraform in a folder of .tf files, such as `validate` or `test`."""
    command = ["terraform", *arguments, "-no-color"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
