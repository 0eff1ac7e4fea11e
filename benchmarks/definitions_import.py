"""Import of each orchestrator's definitions in a rendered project, over importing the orchestrator itself.

Every import happens in a fresh interpreter, the two in turn.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from projects import PACKAGE, UV, environment, options, render, scratch, set_up, template
from report import Figure, conclude, median_ratio, progress, spent

AT_MOST = 1.6
# Per orchestrator: what every file for it begins with, and what its scheduler does to find the pipeline.
# The names are imported from the packages because those load nothing until a name is asked for.
IMPORTS = {
    "airflow": ("from airflow.sdk import dag, task", "import runpy; runpy.run_path('dags/flights_daily.py')"),
    "dagster": ("import dagster", f"from {PACKAGE}.definitions import defs; defs()"),
    "prefect": ("from prefect import flow, task", "import runpy; runpy.run_path('flows/flights_daily.py')"),
    "temporal": (
        "from temporalio import activity, client, workflow",
        "import runpy; runpy.run_path('workflows/flights_daily.py')",
    ),
}
# What definitions have no need of: these belong to the steps, which load them when they run.
HEAVY = ("duckdb", "ibis", "numpy", "pandas", "polars", "pyarrow", "sqlglot")
MEASURED = f"""
import json, resource, sys, time
wall, cpu = time.perf_counter(), time.process_time()
{{statements}}
print(json.dumps({{{{
    "wall": time.perf_counter() - wall,
    "cpu": time.process_time() - cpu,
    "modules": len(sys.modules),
    "heavy": [name for name in {HEAVY} if name in sys.modules],
}}}}))
"""


def main() -> None:
    asked = options(__doc__, repetitions=9)
    figures, measured = [], {}
    with scratch() as folder:
        source = template(folder)
        for name in asked.orchestrators:
            project = render(source, folder / name, name)
            set_up(project, name)
            found = measured[name] = measure(project, name, asked.repetitions)
            figures += [
                Figure(f"{name}: definitions, importing {name} = 1 (CPU)", found["ratio_cpu"], "times", AT_MOST),
                Figure(f"{name}: definitions on top of importing {name} (CPU)", found["more_cpu"], "s"),
                Figure(f"{name}: definitions on top of importing {name} (wall)", found["more_wall"], "s"),
                Figure(f"{name}: importing {name} (CPU)", found["floor_cpu"], "s"),
            ]
            told = ", ".join(found["heavy"]) or "none of them"
            progress(f"{name}: libraries of the steps that the definitions loaded by themselves: {told}")
    conclude("definitions_import", figures, asked, measured)


def measure(project: Path, orchestrator: str, repetitions: int) -> dict:
    floor, definitions = IMPORTS[orchestrator]
    both = (floor, f"{floor}; {definitions}")
    for statements in both:  # byte code and the file cache
        run(project, orchestrator, statements)
    pairs = []
    for number in range(repetitions):
        order = both if number % 2 else both[::-1]
        done = {statements: run(project, orchestrator, statements) for statements in order}
        pairs.append((done[both[1]], done[floor]))
        progress(
            f"{orchestrator} {number + 1}/{repetitions}: definitions {pairs[-1][0]['cpu']:.2f} s CPU, "
            f"{orchestrator} alone {pairs[-1][1]['cpu']:.2f} s CPU"
        )
    return {
        "ratio_cpu": median_ratio((ours["cpu"], floor["cpu"]) for ours, floor in pairs),
        "ratio_wall": median_ratio((ours["wall"], floor["wall"]) for ours, floor in pairs),
        "more_cpu": statistics.median(ours["cpu"] - floor["cpu"] for ours, floor in pairs),
        "more_wall": statistics.median(ours["wall"] - floor["wall"] for ours, floor in pairs),
        "floor_cpu": statistics.median(floor["cpu"] for _, floor in pairs),
        "modules": [each["modules"] for each in pairs[0]],
        "heavy": [name for name in pairs[0][0]["heavy"] if name not in pairs[0][1]["heavy"]],
        "pairs": pairs,
    }


def run(project: Path, orchestrator: str, statements: str) -> dict:
    """Execute the statements as `make run` would: with the variables of deploy/local/<orchestrator>.env."""
    file = f"deploy/local/{orchestrator}.env"
    command = [UV, "run", "--quiet", "--no-sync", "--env-file", file, "python", "-c"]
    port = {f"{orchestrator.upper()}_PORT": "8080"}
    variables = environment(APP_ENV="dev", APP_ROOT=str(project), **port)
    done = spent([*command, MEASURED.format(statements=statements)], cwd=project, environment=variables)
    return json.loads(done.output.splitlines()[-1])


if __name__ == "__main__":
    main()
