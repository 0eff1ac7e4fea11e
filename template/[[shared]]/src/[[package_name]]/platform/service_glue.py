"""Service glue: what all pipelines of this shape do alike, from an API to tables, and to a file that others pick up.

wait for input (the partition has ended) → fetch (pages of the API, kept in the landing place) → transform (type) →
check (the contract) → deliver (a file to storage) → publish (one transaction)

A pipeline's own code is in its ``transform.py`` and ``contract.py``, as `batch_etl` says. The file holds the rows of
the last of its tables. It is delivered before the tables are published, so that whoever reads in ``platform.published``
that a partition is ready finds both.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from . import landing, steps, warehouse
from .batch_etl import BatchEtl

if TYPE_CHECKING:
    from .partitions import Partition

STEPS = ("wait_for_input", "fetch", "transform", "check", "deliver", "publish")


class ServiceGlue(BatchEtl):
    """The steps of one pipeline. source: the pages of an API, such as `http_source.RecordedPages`."""

    @property
    def file(self) -> str:
        """The name of the delivered file."""
        return f"{self.pipeline.tables[-1]}.csv"

    def fetch(self, partition: Partition) -> dict[str, int]:
        """Load the partition's rows as text into staging. Returns rows by kind: read, quarantined.

        Raises SourceUnavailable when the API does not answer, InputError when it answers with something else.
        """
        return self._load(partition, "fetch")

    def deliver(self, partition: Partition) -> dict[str, int]:
        """Write the rows of the last table as CSV with a header into the partition's folder of ``[delivery] url``.

        Another time replaces the file as a whole. Returns rows by kind: delivered. Raises ConfigError when this
        environment names no place.
        """
        with steps.work(self.pipeline, "deliver", partition) as (report, con):
            place = landing.deliveries_of(self.pipeline)
            self._name_checked(con, partition)
            rows = self._tables[self.pipeline.tables[-1]]
            order = ", ".join(str(number) for number, _ in enumerate(rows.columns, start=1))
            selected = warehouse.rows(con, f"SELECT * FROM ({warehouse.to_sql(con, rows)}) AS t ORDER BY {order}")
            with tempfile.TemporaryDirectory(prefix="delivery-") as folder:
                path = Path(folder) / self.file
                with path.open("w", encoding="utf-8", newline="") as file:
                    writer = csv.writer(file, lineterminator="\n")
                    writer.writerow(rows.columns)
                    writer.writerows(selected)
                place.put(partition, self.file, path)
            report.rows, report.detail = {"delivered": len(selected)}, place.shown(partition, self.file)
        return report.rows
