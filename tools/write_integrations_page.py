"""Write docs/integrations.md from decision/integrations.yml and decision/packages.yml.

With --check, write nothing and end with an error when the page differs.
"""

from __future__ import annotations

import sys

from check_decision import minimums
from compile_decision import facts
from decision_engine import ROOT, contents, data

PAGE = ROOT / "docs" / "integrations.md"
INTRODUCTION = """\
# Integrations

Written by `tools/write_integrations_page.py` from `decision/integrations.yml`; change that. The answer `connects_to`
decides which of these packages become dependencies of a project's orchestrator, with the lower bounds below: without
one, a resolver falls back by years and does not say so. All packages of an orchestrator install together with a
project; `make constraints` resolves them, and a test repeats it.

- What it brings: an operator or job, a task library, a resource (a connection or client), a sensor alone, or, in a
  managed service, a connector. Where it is *partial*, the cell says what it covers.
- *waits*: it waits for, or starts on, a state or event of that system that it did not cause itself. A sensor that the
  team writes does not count, nor does waiting for the end of a job that it started.
- *by hand*: weeks of one engineer for a client with its tests, and for what follows and cancels work elsewhere. Where
  it is partial, they are for the rest. These are our own estimates.
- What could not be verified counts as less. A package counts as none if it is archived, has had no release for two
  years or does not install with a project; `prefect-airbyte`, `prefect-fivetran` and `dagster-kafka` are such packages.
"""


def page() -> str:
    systems = facts(contents())["integrations"]
    orchestrators = {each["id"]: each["name"] for each in data("systems") if "members" not in each}
    rows = [[system["name"], *(_cell(system[name]) for name in orchestrators)] for system in systems.values()]
    native = [sum(system[name]["support"] == "native" for system in systems.values()) for name in orchestrators]
    waiting = [sum(system[name]["waits"] for system in systems.values()) for name in orchestrators]
    totals = [
        [f"**native**, of {len(systems)}", *(f"**{count}**" for count in native)],
        ["**waits**", *(f"**{count or 'none'}**" for count in waiting)],
    ]
    index = data("packages")
    packages = [
        [f"`{name}`", bound, index["packages"][name]["newest"], index["packages"][name]["released"]]
        for name, bound in sorted(minimums(data("integrations")["systems"]).items())
    ]
    sections = (
        [INTRODUCTION],
        _table(["system", *orchestrators.values()], rows + totals),
        [
            "## Packages",
            "",
            f"As the package index had them on {index['checked']}; `make integrations` asks again.",
            "",
        ],
        _table(["package", "at least", "newest", "released"], packages),
    )
    return "\n".join(line for section in sections for line in section)


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)] + [""]


def _cell(integration: dict) -> str:
    if integration["support"] == "none":
        return f"by hand, {_weeks(integration)}"
    brought = f"*partial*: {integration['only']}" if integration["support"] == "partial" else integration["how"]
    rest = f"; by hand, {_weeks(integration)}" if integration["effort_weeks"] else ""
    waits = ", waits" if integration["waits"] else ""
    lines = [
        brought + waits + rest,
        f"`{integration['package']}`" if integration["package"] else "",
        integration["note"],
    ]
    return "<br>".join(line for line in lines if line)


def _weeks(integration: dict) -> str:
    return f"{integration['effort_weeks']} week{'s' * (integration['effort_weeks'] > 1)}"


if __name__ == "__main__":
    if "--check" in sys.argv:
        if PAGE.read_text(encoding="utf-8") != page():
            sys.exit("docs/integrations.md is not what decision/ says: make decision-page")
    else:
        PAGE.write_text(page(), encoding="utf-8")
