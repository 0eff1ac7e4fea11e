"""The model registry: MLflow 3, a server, or a file of this environment where none is configured.

Each item, such as an airport, has a registered model ``<env>.<pipeline>.<item>``. A partition adds a version to it,
with what it was judged by in its tags. The alias ``champion`` is the version that was promoted last. Importing MLflow
takes seconds, so nothing here does it before it is needed.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import config, secrets
from .errors import SourceUnavailable

if TYPE_CHECKING:
    from types import ModuleType

    import mlflow

    from .partitions import Partition
    from .pipelines import Pipeline

CHAMPION, PROMOTED = "champion", "promoted"
# MLflow reports its use to its makers unless these say no; and it asks an unreachable server for many minutes.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
QUIET = ("mlflow", "alembic", "git")
_turns = threading.RLock()  # MLflow makes its tables, and what it remembers of a store, without any lock


@dataclass(frozen=True)
class Version:
    """A version of a registered model. number: from 1. tags: what it was judged by. run: MLflow's id of its run."""

    model: str
    number: int
    tags: Mapping[str, str]
    run: str

    @property
    def partition(self) -> str:
        return self.tags.get("partition", "")

    @property
    def is_promoted(self) -> bool:
        return self.tags.get("verdict") == PROMOTED


class Registry:
    """The registered models of one pipeline. All methods raise SourceUnavailable while the registry does not answer."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    @property
    def address(self) -> str:
        """Where it is, as MLflow takes it."""
        given = self.pipeline.settings.model.registry_url
        return given or f"sqlite:///{config.load().state / 'mlflow' / 'mlflow.db'}"

    def prepare(self) -> None:
        """Make what all items share, so that they need not race for it. Also says early that a registry is down."""
        if not self.pipeline.settings.model.registry_url:
            (config.load().state / "mlflow").mkdir(parents=True, exist_ok=True)
        with self._client() as client:
            self._experiment(client)

    def versions(self, item: str) -> list[Version]:
        """All versions of an item, the newest first."""
        name = self._name(item)
        with self._client() as client:
            known = client.search_model_versions(f"name='{name}'", max_results=1000)
            versions = [Version(name, int(each.version), dict(each.tags), each.run_id) for each in known]
        return sorted(versions, key=lambda each: -each.number)

    def before(self, item: str, partition: Partition) -> Version | None:
        """The version that was promoted last of those of earlier partitions: a backfill is not judged by its future."""
        earlier = [each for each in self.versions(item) if each.is_promoted and each.partition < partition.key]
        return max(earlier, key=lambda each: (each.partition, each.number), default=None)

    def of(self, item: str, fingerprint: str) -> Version | None:
        """The version that was made from this input, when there is one."""
        return next((each for each in self.versions(item) if each.tags.get("input") == fingerprint), None)

    def add(
        self,
        item: str,
        model: Any,
        flavor: str,
        requirements: list[str],
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
        card: str,
        profiles: Mapping[str, Any],
    ) -> Version:
        """Keep a model as a new version. card: what it is, in Markdown. profiles: how its features were distributed."""
        name = self._name(item)
        with self._client() as client:
            tool = _mlflow()
            experiment = self._experiment(client)
            with tool.start_run(
                experiment_id=experiment, run_name=f"{item} {tags['partition']}", tags=dict(tags)
            ) as run:
                tool.log_metrics(dict(metrics))
                tool.log_text(card, "model_card.md")
                tool.log_dict(dict(profiles), "profiles.json")
                logged = _flavor(flavor).log_model(model, name="model", pip_requirements=requirements)
            with suppress(tool.exceptions.MlflowException):  # it is there already
                client.create_registered_model(name)
            # MLflow 3 keeps models apart from runs, so the version must name the model and not the run's folder.
            made = client.create_model_version(
                name,
                logged.model_uri,
                run_id=run.info.run_id,
                model_id=logged.model_id,
                tags=dict(tags),
                description=card,
            )
        return Version(name, int(made.version), dict(tags), run.info.run_id)

    def load(self, version: Version, flavor: str) -> Any:
        """The model of a version."""
        with self._client():
            return _flavor(flavor).load_model(f"models:/{version.model}/{version.number}")

    def profiles(self, version: Version) -> dict[str, Any]:
        """How the features were distributed that the version was trained on."""
        with self._client():
            return _mlflow().artifacts.load_dict(f"runs:/{version.run}/profiles.json")

    def promote(self, item: str, fingerprint: str) -> None:
        """Point the alias at the version of this input, unless it points at one of a later partition."""
        version = self.of(item, fingerprint)
        if version is None:
            raise SourceUnavailable(
                f"the registry at {self.shown} has lost the model of {item}: run the partition again"
            )
        newest = max((each.partition for each in self.versions(item) if each.is_promoted), default="")
        if version.partition >= newest:
            with self._client() as client:
                client.set_registered_model_alias(version.model, CHAMPION, str(version.number))

    @property
    def shown(self) -> str:
        return self.address.removeprefix("sqlite:///")

    def _name(self, item: str) -> str:
        safe = "".join(each if each.isalnum() or each in "-_" else "_" for each in item)
        return f"{config.load().env}.{self.pipeline.name}.{safe}"

    def _experiment(self, client: mlflow.MlflowClient) -> str:
        name = f"{config.load().env}.{self.pipeline.name}"
        known = client.get_experiment_by_name(name)
        if known:
            return known.experiment_id
        place = None
        if not self.pipeline.settings.model.registry_url:
            place = (config.load().state / "mlflow" / "artifacts").as_uri()
        return client.create_experiment(name, artifact_location=place)

    @contextmanager
    def _client(self) -> Iterator[mlflow.MlflowClient]:
        """MLflow at this registry, for one thread at a time; an error that it has becomes SourceUnavailable."""
        from sqlalchemy.exc import SQLAlchemyError

        model, settings = self.pipeline.settings.model, config.load()
        with _turns:
            if token := secrets.resolve(model.registry_token, settings.secrets):
                os.environ["MLFLOW_TRACKING_TOKEN"] = token
            tool = _mlflow()
            tool.set_tracking_uri(self.address)
            tool.set_registry_uri(self.address)
            try:
                yield tool.MlflowClient()
            except (tool.exceptions.MlflowException, SQLAlchemyError, OSError) as error:
                reason = (
                    (str(error).strip() or type(error).__name__).splitlines()[0].partition(" with exception")[0][:200]
                )
                raise SourceUnavailable(f"the model registry at {self.shown} does not answer: {reason}") from error


def _mlflow() -> ModuleType:
    os.environ.update(ENVIRONMENT)
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    import mlflow

    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    return mlflow


def _flavor(name: str) -> ModuleType:
    from importlib import import_module

    return import_module(f"{_mlflow().__name__}.{name}")
