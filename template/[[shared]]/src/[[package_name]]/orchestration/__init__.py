"""What the commands need from an orchestrator, and what all orchestrators share. Each one has its own package here.

The thin files that define a DAG, assets or a flow are the team's, in the orchestrator's own folder.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from ..platform import config
from ..platform.errors import ConfigError
from .engine import Engine

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Ids of the project's orchestrators."""
    return sorted(path.parent.name for path in FOLDER.glob("*/__init__.py"))


def get(name: str = "") -> Engine:
    """The orchestrator of this id, by default that of ORCHESTRATOR or of the configuration. Raises ConfigError."""
    name = name or os.environ.get("ORCHESTRATOR") or config.load().orchestrator
    if name not in names():
        raise ConfigError(f"orchestrator {name} is not in this project: {config.suggestion(name, names())}")
    return import_module(f"{__name__}.{name}").ENGINE
