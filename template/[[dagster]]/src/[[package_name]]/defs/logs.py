"""Logs of runs: Dagster's lines in the form of ours, each with its run, step and partition."""

import logging

import dagster as dg

from ..platform import logging as lines

# A job takes this as its configuration; without it Dagster writes lines in a form of its own.
CONSOLE = {"loggers": {"console": {"config": {}}}}
DAGSTER_FIELDS = ("dagster_meta", "dagster_event", "dagster_event_batch_metadata")


@dg.logger(config_schema={"log_level": dg.Field(str, default_value="DEBUG")})
def console(context: dg.InitLoggerContext) -> logging.Logger:
    handler = logging.StreamHandler()
    handler.setFormatter(lines.formatter())
    handler.addFilter(_name_the_run)
    logger = logging.Logger("dagster", context.logger_config["log_level"])
    logger.addHandler(handler)
    return logger


def _name_the_run(record: logging.LogRecord) -> bool:
    """Replace Dagster's own record of a line by the fields that all our lines have."""
    told, event, _ = (record.__dict__.pop(name, None) for name in DAGSTER_FIELDS)
    record.msg, record.args = told["orig_message"], ()
    record.pipeline, record.run_id = told["job_name"], told["run_id"]
    record.step, record.partition = told["step_key"], told["job_tags"].get("dagster/partition")
    if event is not None:
        record.kind = event.event_type_value
    return True


def _show_our_lines() -> None:
    """Give the lines of sensors an output: in Dagster's services only those of Dagster itself have one."""
    logger = logging.getLogger("pipelines")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(lines.formatter())
        logger.addHandler(handler)
        logger.propagate = False


@dg.definitions
def loggers() -> dg.Definitions:
    _show_our_lines()
    return dg.Definitions(loggers={"console": console})
