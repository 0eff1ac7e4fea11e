"""What is known of each engine, from ``data/engines.toml``: its versions in a repository, and its settings."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any

from .project import Project, is_test

Version = tuple[int, ...]
NEWEST: Version = (9999,)
# Files that say which packages there are, and those that set up an installation.
PINS = re.compile(
    r"(?:^|/)(?:[\w.-]*(?:requirements|constraints)[\w.-]*\.(?:txt|in)|requirements/[\w.-]+\.(?:txt|in)"
    r"|pyproject\.toml|setup\.(?:py|cfg)"
    r"|Pipfile(?:\.lock)?|(?:uv|poetry|pdm)\.lock|environment[\w.-]*\.ya?ml|[\w.-]*Dockerfile[\w.-]*)$"
)
INSTALLATION = re.compile(
    r"(?:\.(?:env|cfg|ini|conf|properties|ya?ml|json|tf|tfvars|hcl|toml|sh|bicep)"
    r"|(?:^|/)(?:\.env[\w.-]*|[\w.-]*Dockerfile[\w.-]*|Makefile))$"
)
LARGEST = 1_000_000  # bytes; what is larger than this is no configuration that a person wrote
OFF = re.compile(r"(?:0+|-1|none|null|false|no|off|)", re.IGNORECASE)


@cache
def engines() -> dict[str, dict[str, Any]]:
    """The tables of all engines, by name."""
    return tomllib.loads(resources.files("orch_standards").joinpath("data/engines.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Span:
    """Versions that are possible: from ``low``, and before ``high``."""

    low: Version = ()
    high: Version = NEWEST

    def from_on(self, since: Version) -> bool | None:
        """Whether all of these have what came with a version; None when some do."""
        if self.low >= since:
            return True
        return False if self.high <= since else None


class Engines:
    """Versions and settings of the engines in one repository."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._by_module: dict[tuple[str, str], Span | None] = {}

    def has(self, engine: str, since: str, path: str) -> bool:
        """Whether the engine that runs a file has what came with a version."""
        wanted = version_of(since)
        pin = self._pinned(engine, path)
        known = pin.from_on(wanted) if pin else None
        if known is None:
            code = self._by_code(engine, path)
            known = code.from_on(wanted) if code else None
        if known is None and pin and pin.low:
            return False  # it must work with the oldest version that is allowed
        if known is None:
            unknown = engines()[engine]["unknown"]
            return not unknown or version_of(unknown) >= wanted or self._anywhere(engine, wanted)
        return known

    def _pinned(self, engine: str, path: str) -> Span | None:
        """What the files around a file say, the nearest first."""
        pins = self._pins.get(engine, [])
        above = [(place, span) for place, span in pins if not place or path.startswith(f"{place}/")]
        nearest = max((len(place) for place, _ in above), default=-1)
        spans = [span for place, span in above if len(place) == nearest] or [span for _, span in pins]
        if not spans:
            return None
        # A lock file and a list of requirements say the same, one of them more exactly.
        exact = [span for span in spans if span.high != NEWEST]
        return min(exact or spans, key=lambda span: span.low)

    @cached_property
    def _pins(self) -> dict[str, list[tuple[str, Span]]]:
        """By engine: folder and versions, for each place that names one."""
        found: dict[str, list[tuple[str, Span]]] = {}
        words = {name: [each.encode() for each in table["named"]] for name, table in engines().items()}
        for path in self.project.files:
            pins, installs = bool(PINS.search(path)), bool(INSTALLATION.search(path))
            if not (pins or installs) or is_test(path):
                continue
            lower = self.project.bytes(path).lower()
            for engine, names in words.items():
                if not any(name in lower for name in names):
                    continue
                text = self.project.text(path)
                spans = [*(_required(text, engine) if pins else ()), *_installed(text, engine)]
                place = path.rpartition("/")[0].removesuffix("requirements").rstrip("/")
                found.setdefault(engine, []).extend((place, span) for span in spans)
        return found

    def _by_code(self, engine: str, path: str) -> Span | None:
        if (engine, path) not in self._by_module:
            text = self.project.text(path) if path.endswith(".py") else ""
            self._by_module[engine, path] = next(
                (span for pattern, span in _code(engine) if pattern.search(text)), None
            )
        return self._by_module[engine, path]

    def _anywhere(self, engine: str, wanted: Version) -> bool:
        """Whether some file of the repository can only run on such a version."""
        word = engine.encode()
        paths = (path for path in self.project.with_suffix(".py") if word in self.project.bytes(path))
        return any(span.from_on(wanted) for path in paths if (span := self._by_code(engine, path)))

    def sets(self, engine: str, option: str) -> bool:
        """Whether a file of the installation sets an option for all pipelines, to something that is not off."""
        names = engines()[engine]["settings"].get(option, [])
        return any(self._sets(name) for name in names)

    def _sets(self, name: str) -> bool:
        section, _, key = name.rpartition(".")
        before = rf"(?:AIRFLOW__{section.upper()}__|{section}[-_.])?" if section else ""
        setting = re.compile(
            rf"""^(?P<before>[^#\n]*?)(?<!\w){before}{key}\b["']?\s*(?:[:=,]|\s|$)\s*["']?(?P<value>[^"'\s#,}}]*)"""
            rf"""(?:\s*\n\s*(?:-\s*)?["']?value["']?\s*[:=]\s*["']?(?P<next>[^"'\s#,}}]*))?""",
            re.MULTILINE | re.IGNORECASE,
        )
        wanted = key.lower().encode()
        for path in self._settings_files:
            if wanted in self.project.bytes(path).lower():
                for match in setting.finditer(self.project.text(path)):
                    value = match["next"] if match["next"] is not None else match["value"]
                    comment = match["before"].lstrip().startswith(("//", ";"))
                    if not comment and not OFF.fullmatch(value):
                        return True
        return False

    @cached_property
    def _settings_files(self) -> list[str]:
        return [
            path
            for path in self.project.files
            if INSTALLATION.search(path) and not is_test(path) and len(self.project.bytes(path)) <= LARGEST
        ]

    @property
    def settings_files(self) -> list[str]:
        """Files that may set up an installation, with those of tests left out."""
        return self._settings_files


def version_of(text: str) -> Version:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _next(version: Version) -> Version:
    """What is just above all versions that begin like this one."""
    return (*version[:-1], version[-1] + 1)


@cache
def _code(engine: str) -> list[tuple[re.Pattern[str], Span]]:
    return [
        (re.compile(pattern, re.MULTILINE), Span(version_of(low), version_of(high) or NEWEST))
        for pattern, low, high in engines()[engine]["code"]
    ]


GAP = r"[^\S\n]*"
RANGE = rf"(?:===?|~=|>=|<=|!=|[<>^~])?{GAP}\d[\w.*]*(?:{GAP},{GAP}[<>=!~]+{GAP}\d[\w.*]*)*"


@cache
def _requirements(engine: str) -> tuple[re.Pattern[str], ...]:
    """How files name a package and its versions: in a requirement, in a lock file, in Pipfile.lock."""
    names = "|".join(re.escape(name).replace(r"\-", "[-_.]") for name in engines()[engine]["packages"])
    # prefect==2.1; "apache-airflow[celery]>=2.9,<3"; prefect = "^2.1"; prefect = {version = "^2.1", ...}
    named = rf"""(?:^|[\s"'(,\[-])(?:{names})(?:\[[^\]\n]*\])?["']?{GAP}"""
    table = rf"""(?:[:=]{GAP}\{{[^}}\n]*?\bversion["']?{GAP}[:=]{GAP})?"""
    forms = (
        rf"""{named}{table}(?:=(?!=)|:)?{GAP}["'(]?({RANGE})""",
        rf"""^name = "(?:{names})"\nversion = "({RANGE})\"""",
        rf""""(?:{names})": \{{[^}}]*?"version": "({RANGE})\"""",
    )
    return tuple(re.compile(form, re.MULTILINE | re.IGNORECASE) for form in forms)


def _required(text: str, engine: str) -> list[Span]:
    return [
        _span(match[1])
        for pattern in _requirements(engine)
        for match in pattern.finditer(text)
        if not _commented(text, match.start(1))
    ]


def _commented(text: str, at: int) -> bool:
    return text[text.rfind("\n", 0, at) + 1 : at].lstrip().startswith(("#", "//"))


def _installed(text: str, engine: str) -> list[Span]:
    return [
        _span(match[1])
        for pattern in engines()[engine]["versions"]
        for match in re.finditer(pattern, text, re.IGNORECASE)
        if not _commented(text, match.start(1))
    ]


def _span(requirement: str) -> Span:
    """What a requirement such as ``>=2.9,<3`` allows."""
    low: Version = ()
    high = NEWEST
    for operator, number in re.findall(r"(===?|~=|>=|<=|[<>^~]|!=)?\s*(\d[\w.*]*)", requirement):
        version = version_of(number)
        if operator in ("", "==", "===", "="):
            low, high = version, min(high, _next(version))
        elif operator in ("~=", "~"):
            low, high = version, min(high, _next(version[: max(1, len(version) - 1)]))
        elif operator == "^":
            low, high = version, min(high, _next(version[:1] if version[0] else version[:2]))
        elif operator in (">=", ">"):
            low = max(low, version)
        elif operator == "<":
            high = min(high, version)
        elif operator == "<=":
            high = min(high, _next(version))
    return Span(low, high)
