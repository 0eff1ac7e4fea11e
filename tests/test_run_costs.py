"""What benchmarks/run_costs.yml says of a run is what the emulators of a project go through."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from combinations import answers_for
from projects import RUN_SECONDS, SET_UP_SECONDS, Project
from repository import ROOT

COUNTED = yaml.safe_load((ROOT / "benchmarks" / "run_costs.yml").read_text())["counted"]
PARTITION = "2013-01-02"
# States that were entered, by the machine's part. The deadline still waits when the run has ended: its quiet way is
# all of its states but the report.
STEP_FUNCTIONS = """
import json
from collections import Counter
from flight_marts.orchestration.step_functions import definitions, emulator
from flight_marts.platform import pipelines

PARTS = {"launch": "launcher", "deadline": "deadline", "run_step": "steps"}
entered = Counter()
with emulator.started() as here:
    pipeline = pipelines.get("flights_daily")
    assert here.run(pipeline, pipeline.partition("2013-01-02"))
    for machine in here._machines.list_state_machines()["stateMachines"]:
        part = PARTS.get(machine["name"].rpartition("-")[2], "pipeline")
        for each in here._machines.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]:
            entered[part] += sum(one["type"].endswith("StateEntered") for one in here._history(each["executionArn"]))
entered["deadline"] = len(definitions.read(definitions.platform_file("deadline"))["States"]) - 1
print(json.dumps(entered))
"""
# The most that Google may bill: each call, each variable that is assigned, each condition, each other step.
GCP_WORKFLOWS = """
import json
from flight_marts.orchestration.gcp_workflows import emulator, runs
from flight_marts.platform import pipelines

steps = 0
original = emulator.engine.execute_step

def count(step_id, config, context):
    global steps
    steps += max(len(config.get("assign", ())), len(config.get("switch", ())), 1)
    return original(step_id, config, context)

emulator.engine.execute_step = count
with runs.opened() as run:
    pipeline = pipelines.get("flights_daily")
    assert run(pipeline, pipeline.partition("2013-01-02")).state == "success"
print(json.dumps({"steps": steps}))
"""
# Activities with those in calls, loops and conditions. How often a container is looked at depends on the machine.
DATA_FACTORY = """
import json
from flight_marts.orchestration.data_factory import definitions, runner, runs
from flight_marts.platform import pipelines

made, looks = [], 0
look = runs.Machine._look

def count(self, number):
    global looks
    looks += 1
    return look(self, number)

class Run(runner.Run):
    def __init__(self, *given):
        super().__init__(*given)
        made.append(self)

runs.Machine._look, runner.Run = count, Run
with runs.opened() as run:
    pipeline = pipelines.get("flights_daily")
    assert run(pipeline, pipeline.partition("2013-01-02")).state == "success"
[until] = [each for each in definitions.of_pipeline("platform_run_container")["activities"] if each["type"] == "Until"]
each_look = len(until["typeProperties"]["activities"])
print(json.dumps({"activities": made[0].activity_runs - looks * each_look, "each_look": each_look}))
"""


@pytest.mark.project
@pytest.mark.deep
@pytest.mark.parametrize(
    ("orchestrator", "script"),
    [("step_functions", STEP_FUNCTIONS), ("gcp_workflows", GCP_WORKFLOWS), ("data_factory", DATA_FACTORY)],
)
def test_a_run_of_the_sample_goes_through_what_the_page_says(render, tmp_path, orchestrator, script):
    project = Project(Path(render(**answers_for((orchestrator,)))), (orchestrator,))
    done = project.make("setup", timeout=SET_UP_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    python = project.folder / ".venv" / "bin" / "python"
    variables = {"APP_ENV": "dev", "APP_PATHS__STATE": str(tmp_path), "ORCHESTRATOR": orchestrator}
    done = subprocess.run(
        [python, "-c", script],
        cwd=project.folder,
        env={"PATH": "/usr/bin:/bin", "AWS_EC2_METADATA_DISABLED": "true", **variables},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == COUNTED[orchestrator]
