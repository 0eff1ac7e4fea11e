"""Errors of a pipeline, by what a retry can do about them. Every orchestrator retries by this distinction."""

from __future__ import annotations


class PermanentError(Exception):
    """Trying again gives the same result: wrong input, a broken contract. Not retried."""


class InputNotReady(Exception):
    """The day's input has not arrived yet. Waited for, then reported."""


class InputError(PermanentError):
    """The input is there but cannot be read as what it should be."""


class ContractError(PermanentError):
    """The data breaks its contract beyond what may be put into quarantine; nothing was published."""


class ConfigError(PermanentError):
    """The configuration cannot be used; the message says what to change."""


class SecretError(PermanentError):
    """A secret is missing or may not be read; the message names the reference, never a value."""


class SecretsUnavailable(Exception):
    """The secrets backend does not answer; trying again may help."""


def is_transient(error: BaseException) -> bool:
    """Whether another attempt may succeed. What we do not know better about is worth trying again."""
    return not isinstance(error, (PermanentError, InputNotReady))
