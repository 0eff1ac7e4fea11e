"""Errors of a pipeline, by what a retry can do about them, and the exit codes that stand for them.

Every orchestrator retries by this distinction. One that starts the project's command in a container sees the exit code
only.
"""

from __future__ import annotations


class PermanentError(Exception):
    """Another attempt gives the same result: wrong input, a broken contract. It is not retried."""


class InputNotReady(Exception):
    """The partition's input, or a decision about it, has not arrived yet. The run waits for it, then reports it."""


class InputError(PermanentError):
    """The input is there but cannot be read as what it should be."""


class ContractError(PermanentError):
    """More rows break the contract than may go to quarantine; nothing was published."""


class ConfigError(PermanentError):
    """The configuration cannot be used; the message says what to change."""


class SecretError(PermanentError):
    """A secret is missing or may not be read; the message names the reference, never a value."""


class SecretsUnavailable(Exception):
    """The secrets backend does not answer; another attempt may help."""


class SourceUnavailable(Exception):
    """A place that the run needs, such as where input comes from, does not answer; another attempt may help."""


class PartitionBusy(Exception):
    """Another run works on the same partition; another attempt may find it published."""


class DecisionPending(PermanentError):
    """People are asked about what another run of the same partition has prepared."""


class NotApproved(PermanentError):
    """What waits for a person's approval does not have it."""


class Refused(PermanentError):
    """A decision that does not count; the message says why."""


class PartitionElsewhere(PermanentError):
    """The partition belongs to another orchestrator since the pipeline was handed over; nobody needs to be told."""


class PartitionTaken(PermanentError):
    """Another run has taken this partition over, so this one must not publish it."""


# What the project's command exits with; docs/conventions.md shows the table. A process that is killed (137, 143) counts
# as transient. Numbers as in sysexits.h.
OK, PERMANENT, USAGE, BAD_ROWS, NO_INPUT, TRANSIENT, NOT_APPROVED, CONFIGURATION = 0, 1, 2, 65, 66, 75, 77, 78
INTERRUPTED = 130
KILLED, TERMINATED = 137, 143
TRANSIENT_CODES = (TRANSIENT, KILLED, TERMINATED)


def is_transient(error: BaseException) -> bool:
    """Whether another attempt may succeed. Errors that nobody has classified are worth another attempt."""
    return not isinstance(error, (PermanentError, InputNotReady))


def exit_code(error: BaseException) -> int:
    """The exit code that stands for this error."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, ContractError):
        return BAD_ROWS
    if isinstance(error, InputNotReady):
        return NO_INPUT
    if isinstance(error, (ConfigError, SecretError)):
        return CONFIGURATION
    return TRANSIENT if is_transient(error) else PERMANENT


def of_exit_code(code: int) -> type[Exception]:
    """The kind of error that an exit code of the project's command stands for; a signal that ended it is below zero."""
    if code in TRANSIENT_CODES or code < 0:
        return SourceUnavailable
    return {BAD_ROWS: ContractError, CONFIGURATION: ConfigError}.get(code, PermanentError)
