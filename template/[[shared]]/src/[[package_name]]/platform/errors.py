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
