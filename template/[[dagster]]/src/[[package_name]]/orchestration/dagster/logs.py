"""Logs of runs: Dagster's lines in the form of ours, each with its run, step and partition."""

import logging
from collections.abc import Callable

import dagster as dg

from ...platform import logging as lines
from .partitions import PARTITION

# A job takes this as its configuration; without it Dagster writes lines in a form of its own.
CONSOLE = {"loggers": {"console": {"config": {}}}}
DAGSTER_FIELDS = ("dagster_meta", "dagster_event", "dagster_event_batch_metadata")


@dg.logger(config_schema={"log_level": dg.Field(str, default_value="DEBUG")})
def console(context: dg.InitLoggerContext) -> logging.Logger:
    handler = logging.StreamHandler()
    handler.setFormatter(lines.formatter())
    handler.addFilter(_naming(_steps(context.job_def)))
    logger = logging.Logger("dagster", context.logger_config["log_level"])
    logger.addHandler(handler)
    return logger


def show_our_lines() -> None:
    """Give the lines of sensors an output: in Dagster's services only those of Dagster itself have one."""
    logger = logging.getLogger("pipelines")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(lines.formatter())
        logger.addHandler(handler)
        logger.propagate = False


def _steps(job: dg.JobDefinition | None) -> dict[str, str]:
    """The pipeline's step that each op of a job runs."""
    from .policies import STEP  # which refers to this module

    ops = job.graph.node_defs if job else []
    return {op.name: op.tags[STEP] for op in ops if STEP in op.tags}


def _naming(steps: dict[str, str]) -> Callable[[logging.LogRecord], bool]:
    """A filter that replaces Dagster's own record of a line by the fields that all our lines have."""

    def name(record: logging.LogRecord) -> bool:
        meta, event, _ = (record.__dict__.pop(field, None) for field in DAGSTER_FIELDS)
        record.msg, record.args = meta["orig_message"], ()
        record.pipeline, record.run_id = meta["job_name"], meta["run_id"]
        record.step = steps.get(meta["step_key"], meta["step_key"])
        record.partition = meta["job_tags"].get(PARTITION)
        if event is not None:
            record.kind = event.event_type_value
        return True

    return name
