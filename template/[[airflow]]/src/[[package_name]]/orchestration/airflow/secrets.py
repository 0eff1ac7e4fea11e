"""Airflow's connections and variables from the project's own secrets backend, before Airflow looks into its database.

The connection ``slack_default`` is the secret ``airflow-connection-slack-default``, an address or JSON as Airflow knows
it; the variable ``region`` is ``airflow-variable-region``.
"""

from __future__ import annotations

import structlog
from airflow.secrets import BaseSecretsBackend

from ...platform import config, secrets
from ...platform.errors import SecretError


class ProjectSecrets(BaseSecretsBackend):
    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:
        return _read(f"airflow-connection-{conn_id}")

    def get_variable(self, key: str, team_name: str | None = None) -> str | None:
        return _read(f"airflow-variable-{key}")


def _read(name: str) -> str | None:
    """The secret, None when it is not there or may not be read; Airflow then asks its database."""
    try:
        return secrets.resolve(f"{config.REFERENCE}{name.replace('_', '-').lower()}", config.load().secrets)
    except SecretError as error:
        structlog.get_logger(__name__).info("not in the project's secrets", reason=str(error))
        return None
