"""Tokens and keys of known services, by the patterns of detect-secrets; documented samples and stand-ins are none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import pairwise

# Of each detector of detect-secrets: its module, its class, and texts of which one is in every token. To look for these
# is much quicker than for the patterns. Its detectors by words or entropy are left out: they take names for secrets.
DETECTORS = (
    ("aws", "AWSKeyDetector", ("AKIA", "ASIA", "ABIA", "ACCA", "aws", "AWS")),
    ("azure_storage_key", "AzureStorageKeyDetector", ("AccountKey=",)),
    ("github_token", "GitHubTokenDetector", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
    ("gitlab_token", "GitLabTokenDetector", ("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "glcbt-", "glimt-")),
    ("jwt", "JwtTokenDetector", ("eyJ",)),
    ("npm", "NpmDetector", (":_authToken",)),
    ("openai", "OpenAIDetector", ("T3BlbkFJ",)),
    ("private_key", "PrivateKeyDetector", ("PRIVATE KEY",)),
    ("pypi_token", "PypiTokenDetector", ("pypi-AgE",)),
    ("sendgrid", "SendGridDetector", ("SG.",)),
    ("slack", "SlackDetector", ("xox", "hooks.slack.com")),
    ("stripe", "StripeDetector", ("k_live_",)),
)
# Services that it does not know, among them the orchestrators' own.
OTHERS = (
    (r"\bgithub_pat_[A-Za-z0-9_]{40,}\b", "github_pat_"),
    (r"\bAIza[\w-]{35}(?![\w-])", "AIza"),
    (r"\bdapi[0-9a-f]{32}\b", "dapi"),
    (r"\bpn[ub]_[A-Za-z0-9]{36}\b", "pn"),  # Prefect Cloud
    (r"\bagent:[\w-]+:[0-9a-f]{32}\b", "agent:"),  # Dagster+
    (r"\bsk-(?:ant|proj)-[\w-]{40,}", "sk-"),
)
# What documentation gives as a sample, and what local stand-ins of services have for everybody.
SAMPLES = re.compile(
    r"EXAMPLE|eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9l|Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6"
    r"|C2y6yDjf5/R\+ob0N8A7Cgv30VRDJIWEHLM\+4QDU5DEQ2nQ9nFuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw"
)
SHORTEST_KEY = 64  # letters in the body of a private key; real ones have hundreds
FEWEST_LETTERS = 6  # different ones; what has fewer is a row of x


@cache
def _of_detector(module: str, name: str) -> tuple[re.Pattern[str], ...]:
    return tuple(getattr(import_module(f"detect_secrets.plugins.{module}"), name).denylist)


@cache
def _compiled(pattern: str) -> tuple[re.Pattern[str], ...]:
    return (re.compile(pattern),)


def _patterns(text: str) -> Iterator[re.Pattern[str]]:
    """The patterns that may fit a text; the others are not even loaded."""
    for module, name, starts in DETECTORS:
        if any(start in text for start in starts):
            yield from _of_detector(module, name)
    for pattern, start in OTHERS:
        if start in text:
            yield from _compiled(pattern)


def tokens_in(text: str) -> Iterator[int]:
    """Where in a text tokens begin, as indexes."""
    seen = set()
    for pattern in _patterns(text):
        for match in pattern.finditer(text):
            if match.start() not in seen and _is_real(match, text):
                seen.add(match.start())
                yield match.start()


def _is_real(match: re.Match[str], text: str) -> bool:
    start, end, found = match.start(), match.end(), match[0]
    if "PRIVATE KEY" in found:
        return _has_body(text, end)
    inside = text[start - 1 : start].isalnum() or (text[end : end + 1].isalnum() and not found.startswith("eyJ"))
    if inside or SAMPLES.search(text, start, end + 60):
        return False
    if found.startswith("eyJ") and found.count(".") < 2:
        return False
    value = found.rpartition("/")[2]
    letters = value[4:].lower()
    return len(set(letters)) >= FEWEST_LETTERS and not _is_row(letters)


def _has_body(text: str, at: int) -> bool:
    """Whether a private key follows its first line, rather than a word in its place, or nothing."""
    body = text[at : at + 4000].partition("-----END")[0]
    letters = re.sub(r"\\n|[\s\"'+\\-]", "", body)
    whole = re.match(r"[A-Za-z0-9/+=]*", letters)
    return bool(whole) and len(whole[0]) >= SHORTEST_KEY


def _is_row(letters: str) -> bool:
    """Whether it counts up, as 0123456789abcdef does."""
    steps = [ord(second) - ord(first) for first, second in pairwise(letters)]
    return len(steps) > 0 and sum(step == 1 for step in steps) > 0.7 * len(steps)
