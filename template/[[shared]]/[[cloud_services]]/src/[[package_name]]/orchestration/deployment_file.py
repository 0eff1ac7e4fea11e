"""What Terraform cannot read itself, in a file for each environment: deploy/terraform/<folder>/<env>.json."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..platform import config
from ..platform.errors import ConfigError


@dataclass(frozen=True)
class DeploymentFile:
    """folder: of the files, and the target of `make` that writes one. values: what that of this environment holds."""

    folder: str
    values: Callable[[], dict[str, Any]]

    @property
    def path(self) -> Path:
        """The file of the environment in APP_ENV."""
        settings = config.load()
        return settings.root / "deploy" / "terraform" / self.folder / f"{settings.env}.json"

    def text(self) -> str:
        """What it must hold. Raises ConfigError."""
        return json.dumps(self.values(), indent=2) + "\n"

    def outdated(self) -> list[str]:
        """Environments whose file is no longer what the configuration and the definitions say."""
        return [env for env in config.environments() if self._is_outdated(env)]

    def main(self) -> int:
        """Write the file, or with ``--check`` compare those of all environments; the return value is the exit code."""
        try:
            return self._check() if "--check" in sys.argv else self._write()
        except ConfigError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1

    def _check(self) -> int:
        wrong = self.outdated()
        for env in wrong:
            shown = f"deploy/terraform/{self.folder}/{env}.json"
            print(f"error: {shown} is not what the configuration says: make {self.folder} ENV={env}", file=sys.stderr)
        return 1 if wrong else 0

    def _write(self) -> int:
        path, text = self.path, self.text()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(config.load().root)}")
        return 0

    def _is_outdated(self, env: str) -> bool:
        with _environment(env):
            return self.path.exists() and self.path.read_text(encoding="utf-8") != self.text()


@contextmanager
def _environment(env: str) -> Iterator[None]:
    """The configuration of another environment in the body."""
    before = os.environ.get("APP_ENV")
    os.environ["APP_ENV"] = env
    config.load.cache_clear()
    try:
        yield
    finally:
        os.environ.pop("APP_ENV") if before is None else os.environ.update(APP_ENV=before)
        config.load.cache_clear()
