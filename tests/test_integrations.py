"""The systems that pipelines touch: what is said of them, and that the packages install with a project."""

import datetime
import re
import subprocess
import tomllib

import check_decision
import check_integrations
import pytest
import write_integrations_page
from combinations import answers_for
from decision_engine import data, manifests
from packaging.requirements import Requirement
from packaging.version import Version
from projects import UV

SYSTEMS = data("integrations")["systems"]
ENGINES = list(manifests())


def requirements(project, group: str) -> dict[str, Requirement]:
    groups = tomllib.loads((project / "pyproject.toml").read_text())["dependency-groups"]
    return {requirement.name: requirement for requirement in map(Requirement, groups[group])}


def test_the_page_says_what_the_data_says():
    assert write_integrations_page.PAGE.read_text(encoding="utf-8") == write_integrations_page.page()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"luigi": {"support": "native", "how": "operator"}}, "s3: luigi is no orchestrator"),
        ({"airflow": SYSTEMS["s3"]["airflow"] | {"minimum": "1.0"}}, "amazon has another minimum elsewhere"),
        ({"airflow": SYSTEMS["s3"]["airflow"] | {"package": "pendulum"}}, "(pendulum); run make integrations"),
        ({"airflow": {"support": "native", "how": "operator", "package": "pendulum"}}, "'minimum' is a dependency"),
        ({"prefect": {"support": "partial", "how": "resource"}}, "'only' is a required property"),
    ],
)
def test_a_mistake_in_the_data_is_named(change, problem):
    found = check_decision.problems(integrations={"systems": SYSTEMS | {"s3": SYSTEMS["s3"] | change}})
    assert any(problem in sentence for sentence in found), found


def test_a_bound_that_was_never_released_and_a_dead_package_are_named():
    today = datetime.date(2026, 11, 25)
    released = {"alive": datetime.date(2025, 1, 1), "dead": datetime.date(2024, 1, 1)}
    found = check_integrations.problems(
        {"alive": "1.2", "dead": "3.0"}, {"alive": "1.2.0", "dead": "3.1"}, released, today
    )
    assert [sentence.split(":")[0] for sentence in found] == ["dead", "dead"]


def test_what_a_project_connects_to_is_a_dependency_of_each_orchestrator_with_its_lower_bound(render):
    project = render(orchestrator="airflow", also_orchestrators=["prefect"], connects_to=["s3", "redshift", "kafka"])
    airflow, prefect = requirements(project, "airflow"), requirements(project, "prefect")
    assert [name for name in airflow if "providers" in name] == [
        "apache-airflow-providers-amazon",
        "apache-airflow-providers-apache-kafka",
    ]
    assert [name for name in prefect if name != "prefect"] == ["prefect-aws", "prefect-sqlalchemy"]
    assert str(prefect["prefect-aws"].specifier) == f">={SYSTEMS['s3']['prefect']['minimum']}"


def test_a_project_that_connects_to_nothing_has_no_pin_of_their_packages(render):
    alone, connected = (render(orchestrator="airflow", connects_to=systems) for systems in ([], ["slack"]))
    pin = '"apache-airflow-providers-slack=='
    assert pin not in (alone / "pyproject.toml").read_text()
    assert pin in (connected / "pyproject.toml").read_text()


PURE_PYTHON_SOURCE = ("pyspark", "pyspark-client")  # which have no wheel, and nothing to compile


@pytest.mark.project
@pytest.mark.parametrize("engine", ENGINES)
def test_the_packages_of_all_systems_resolve_with_the_constraints(render, engine):
    project = render(**answers_for((engine,)) | {"connects_to": list(SYSTEMS), "accept_exclusion": "yes"})
    run = subprocess.run([UV, "lock", "--quiet"], cwd=project, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    locked = {}
    for package in tomllib.loads((project / "uv.lock").read_text())["package"]:
        locked.setdefault(package["name"], set()).add(package["version"])
    pins = dict(re.findall(r'^  "([^"=]+)==([^" ]+)"', (project / "pyproject.toml").read_text(), flags=re.MULTILINE))
    for name, bound in check_decision.minimums(SYSTEMS).items():
        if name in requirements(project, engine):
            # One version, the pinned one: not an older one on some other Python.
            assert locked[name] == {pins[name]}
            assert Version(pins[name]) >= Version(bound)
    # What is resolved can be installed: a wheel for this machine, or Python alone.
    wheels = [f"--no-build-package={name}" for name in locked if name not in (*PURE_PYTHON_SOURCE, "flight-marts")]
    only = ["--no-install-project", "--no-dev", "--group", engine]
    run = subprocess.run(
        [UV, "sync", "--locked", "--dry-run", *only, *wheels], cwd=project, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    planned = set(re.findall(r"^ \+ (.+)==", run.stderr, flags=re.MULTILINE))
    assert planned >= {name for name in requirements(project, engine) if name in pins}
