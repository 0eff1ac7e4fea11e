"""What all pipelines share on Dagster: the warehouse, the form of log lines, and the sensors that send alerts or remove
old history."""

import dagster as dg

from . import history, incidents, logs, provided, warehouse


def shared() -> dg.Definitions:
    logs.show_our_lines()
    own = dg.Definitions(
        resources={"warehouse": warehouse.resource()},
        loggers={"console": logs.console},
        sensors=[
            incidents.report_failed_runs,
            incidents.report_late_runs,
            incidents.report_stale_tables,
            history.remove_old_history,
        ],
    )
    return dg.Definitions.merge(own, provided.definitions())
