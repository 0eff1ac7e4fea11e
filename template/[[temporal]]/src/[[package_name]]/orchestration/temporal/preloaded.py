"""What the steps of most pipelines load: the server process of `processes` does so once, for all of them."""

import importlib
from contextlib import suppress

from ...platform import claims, metrics, publications, steps, telemetry, warehouse  # noqa: F401

for name in ("ibis.backends.duckdb", "ibis.backends.postgres", "polars", "pyarrow", "dataframely", "psutil"):
    with suppress(ImportError):
        importlib.import_module(name)
