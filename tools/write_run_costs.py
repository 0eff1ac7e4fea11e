"""Write what a run of the sample costs into the pages of the cloud's own orchestrators, from benchmarks/run_costs.yml.

With --check, write nothing and end with an error when a page differs.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
DATA = ROOT / "benchmarks" / "run_costs.yml"
START, END = "<!-- costs: written by tools/write_run_costs.py -->", "<!-- end of costs -->"
RUNS_A_MONTH = 30


def step_functions(data: dict[str, Any]) -> list[str]:
    counted, prices = data["counted"]["step_functions"], data["prices"]["step_functions"]
    fargate, transition = prices["fargate"], prices["transition"]
    states = sum(counted.values())
    of_states = states * transition["per_1000"] / 1000
    seconds = data["containers"] * max(data["container_seconds"]["step_functions"], fargate["at_least_seconds"])
    hourly = fargate["vcpu"] * fargate["vcpu_hour"] + fargate["gb"] * fargate["gb_hour"]
    of_containers = seconds / 3600 * hourly
    parts = ", ".join(f"{name} {number}" for name, number in counted.items())
    return [
        f"A run of the sample enters {states} states in the emulator: {parts}.",
        "",
        *_table(
            (f"transitions, {transition['as_of']}", f"{states} x {transition['per_1000']} / 1,000", of_states),
            (
                f"Fargate, {fargate['as_of']}: {seconds} s of {fargate['vcpu']} vCPU and {fargate['gb']} GB",
                f"{seconds} / 3,600 x {hourly:.5f}",
                of_containers,
            ),
        ),
        "",
        (
            f"Prices are those of {prices['region']}. {transition['free']:,} transitions a month are free: "
            f"{transition['free'] // states} runs."
        ),
    ]


def gcp_workflows(data: dict[str, Any]) -> list[str]:
    price = data["prices"]["gcp_workflows"]["step"]
    own, each = data["counted"]["gcp_workflows"]["steps"], polls(data)
    steps = own + data["containers"] * each
    seconds = data["container_seconds"]["gcp_workflows"]
    return [
        (
            f"A run of the sample has at most {own} billed steps in the emulator. The connector looks {each} times at "
            f"a container of {seconds} s, which makes {steps} for {data['containers']}."
        ),
        "",
        *_table(
            (f"steps, {price['as_of']}", f"{steps} x {price['per_1000']} / 1,000", steps * price["per_1000"] / 1000)
        ),
        "",
        (
            f"{price['free']:,} steps a month are free: {price['free'] // steps} runs. The time of the containers on "
            "Cloud Run comes in addition, and is most of the bill."
        ),
    ]


def data_factory(data: dict[str, Any]) -> list[str]:
    counted, prices = data["counted"]["data_factory"], data["prices"]["data_factory"]
    price, seconds = prices["activity"], data["container_seconds"]["data_factory"]
    looks = math.ceil(seconds / prices["look_every_seconds"])
    activities = counted["activities"] + data["containers"] * looks * counted["each_look"]
    return [
        (
            f"A run of the sample has {counted['activities']} activities in the runner, and {counted['each_look']} "
            "more for each look at a container. "
            f"With {looks} looks at a container of {seconds} s, that makes {activities} for {data['containers']}."
        ),
        "",
        *_table(
            (
                f"activities, {price['as_of']}",
                f"{activities} x {price['per_1000']:.2f} / 1,000",
                activities * price["per_1000"] / 1000,
            )
        ),
    ]


def polls(data: dict[str, Any]) -> int:
    """How often the connector looks at a container until it has ended."""
    policy, number, at = data["prices"]["gcp_workflows"]["polls"], 0, 0.0
    pause = policy["first_seconds"]
    while at < data["container_seconds"]["gcp_workflows"]:
        number, at = number + 1, at + pause
        pause = min(pause * policy["factor"], policy["longest_seconds"])
    return number


def _table(*rows: tuple[str, str, float]) -> list[str]:
    total = sum(cost for *_, cost in rows)
    lines = [f"| {part} | {formula} | {cost:.4f} |" for part, formula, cost in rows]
    lines += [
        f"| a run | | {total:.4f} |",
        f"| a month of daily runs | {RUNS_A_MONTH} x {total:.4f} | {RUNS_A_MONTH * total:.2f} |",
    ]
    return ["| part | formula | US dollars |", "|---|---|---:|", *lines]


def main() -> int:
    """Write or check the pages; the return value is the exit code."""
    data, outdated = yaml.safe_load(DATA.read_text(encoding="utf-8")), []
    for write in (step_functions, gcp_workflows, data_factory):
        page = ROOT / "docs" / f"{write.__name__}.md"
        text = page.read_text(encoding="utf-8")
        before, rest = text.split(START)
        wanted = f"{before}{START}\n\n{chr(10).join(write(data))}\n\n{END}{rest.split(END)[1]}"
        if text != wanted:
            outdated.append(page)
            if "--check" not in sys.argv:
                page.write_text(wanted, encoding="utf-8")
    for page in outdated if "--check" in sys.argv else ():
        print(
            f"{page.relative_to(ROOT)} is not what {DATA.relative_to(ROOT)} says: make run-costs-page", file=sys.stderr
        )
    return int(bool(outdated) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
