"""What the steps of most pipelines load: the server process of `processes` does so once, for all of them."""

import duckdb  # noqa: F401
import ibis
import psutil  # noqa: F401
import psycopg  # noqa: F401

from ...platform import claims, metrics, publications, steps, telemetry, warehouse  # noqa: F401

for dialect in ("duckdb", "postgres"):  # what Ibis loads when it writes its first query
    ibis.to_sql(ibis.table({"one": "int64"}, name="one").count(), dialect=dialect)
