"""The command, its settings, and what a user reads when something is wrong with them."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import pytest
import yaml
from orch_standards import ALWAYS, CHECKS, Finding, ProjectError, check, checks, rules, services
from orch_standards.cli import main
from orch_standards.engines import engines
from orch_standards.findings import SEVERITIES
from repository import ROOT

FLOW = 'from prefect import flow\n\n\n@flow(name="a", timeout_seconds=3)\ndef a(): ...\n'


@pytest.fixture
def repository(tmp_path) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "a.py").write_text(FLOW)
    return tmp_path


def test_a_finding_is_one_line_with_place_rule_sentence_and_link(repository, capsys):
    assert main(["--root", str(repository)]) == 1
    line, summary = capsys.readouterr().out.splitlines()
    assert line.startswith("flows/a.py:4:2: prefect-no-deployment: no deployment runs the flow a")
    assert line.endswith("(https://docs.prefect.io/v3/how-to-guides/deployments/prefect-yaml)")
    assert summary == "1 finding in 1 file: 1 warning"


def test_the_link_is_to_the_projects_own_documents_where_it_has_them(repository, capsys):
    (repository / "docs").mkdir()
    (repository / "docs" / "standards.md").write_text("# Standards\n")
    main(["--root", str(repository)])
    assert "(docs/standards.md#deployments)" in capsys.readouterr().out


DOCUMENTS = {path.name.removesuffix(".jinja"): path for path in (ROOT / "template").glob("*shared*/docs/*.md*")}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_to_a_section_of_the_projects_documents(name):
    headings = [line.lstrip("# ") for line in DOCUMENTS[name].read_text().splitlines() if line.startswith("#")]
    sections = {heading.lower().replace(" ", "-") for heading in headings}
    links = [rule.link.partition("#") for rule in rules().values()]
    assert {section for path, _, section in links if path == f"docs/{name}"} <= sections


def test_a_single_check_finds_nothing_else(repository):
    assert main(["layering", "--root", str(repository)]) == 0
    assert main(["production-shape", "--root", str(repository)]) == 1
    assert [finding.rule for finding in check(repository, ["prefect-no-deployment"])] == ["prefect-no-deployment"]


def test_findings_as_json_and_as_annotations(repository, capsys):
    main(["--root", str(repository), "--format", "json"])
    (found,) = json.loads(capsys.readouterr().out)
    assert Finding(**found) == check(repository)[0]
    main(["--root", str(repository), "--format", "github"])
    assert capsys.readouterr().out.startswith("::warning file=flows/a.py,line=4,col=2,title=prefect-no-deployment::")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--root", "nowhere"], "orch-standards: nowhere is not a folder: name the repository's root"),
        (["no-such-check"], "orch-standards: no check, rule or file 'no-such-check': use one of production-shape, "),
    ],
)
def test_what_cannot_be_used_is_one_sentence(arguments, message, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.err.startswith(message)
    assert len(told.err.splitlines()) == 1
    assert not told.out


def test_a_rule_is_ignored_with_a_reason_only(repository):
    entry = 'rule = "prefect-no-deployment", paths = ["flows/*"]'
    (repository / "pyproject.toml").write_text(f'[tool.orch-standards]\nignore = [{{ {entry}, reason = "by hand" }}]\n')
    assert not check(repository)
    (repository / "pyproject.toml").write_text(f"[tool.orch-standards]\nignore = [{{ {entry} }}]\n")
    with pytest.raises(ProjectError, match="reason"):
        check(repository)


def test_files_that_git_ignores_are_not_checked(repository):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", "init", "--quiet"], cwd=repository, check=True, env=environment)
    (repository / ".gitignore").write_text(".env\n")
    (repository / ".env").write_text("DB_PASSWORD=Tr0ub4dor\n")
    (repository / "shown.env").write_text("DB_PASSWORD=Tr0ub4dor\n")
    assert [finding.path for finding in check(repository, ["plaintext-secret"])] == ["shown.env"]


def test_a_secret_is_never_shown(repository, capsys):
    (repository / "prod.toml").write_text('password = "Tr0ub4dor"\nurl = "pg://etl:Tr0ub4dor@db/x"\n')
    main(["no-plaintext-secrets", "--root", str(repository)])
    told = capsys.readouterr().out
    assert "prod.toml:1:1: plaintext-secret" in told
    assert "prod.toml:2:8: password-in-url" in told
    assert "Tr0ub4dor" not in told


def test_files_that_cannot_be_parsed_do_not_stop_the_others(repository):
    (repository / "broken.py").write_text("import prefect\n<<<<<<< before updating\n")
    (repository / "broken.toml").write_text("[tool\n")
    (repository / "pyproject.toml").write_text("<<<<<<< before updating\n[tool\n>>>>>>> after updating\n")
    (repository / "broken.yaml").write_text("a: [\n")
    (repository / "latin.py").write_bytes("# prefect: Größe\n".encode("latin-1"))
    (repository / "picture.png").write_bytes(b"\x89PNG\0<<<<<<< ")
    found = check(repository)
    assert {finding.rule for finding in found} == {"conflict-marker", "file-not-parsed", "prefect-no-deployment"}
    unparsed = {finding.path: finding.line for finding in found if finding.rule == "file-not-parsed"}
    assert unparsed == {"broken.py": 2, "broken.yaml": 2, "pyproject.toml": 1}  # no check asks for broken.toml


def test_a_file_that_cannot_be_parsed_fails_also_alone(tmp_path, capsys):
    (tmp_path / "flows.py").write_text("from prefect import flow\nprint 'Python 2'\n")
    assert main(["production-shape", "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("flows.py:2:1: file-not-parsed: this file was not checked")
    (tmp_path / "pyproject.toml").write_text('[tool.orch-standards]\nexclude = ["flows.py"]\n')
    assert main(["production-shape", "--root", str(tmp_path)]) == 0


CIRCLES = {
    "dags/a.py": """
from airflow.sdk import DAG, dag, task
x = [x]
y = {**y}
z = z | {"a": 1}
def f(**k): return f(**k)
def g(a): return h(a)
def h(a): return g(a)
class A(A): ...
class B(C): ...
class C(B): ...
k = k()
d = dag(d)
w = {"deps": w}
with DAG(x, schedule=x, default_args=y | z, **w) as q:
    f(**y)
    g(x)
    B(task_id="a")
    k(1)
    @d
    @task(**z)
    def t(): ...
    t.override(**y).expand(a=x)
""",
    "dags/b.py": """
from dags.a import *
import dagster as dg
from dags.c import thing
@dg.asset(deps=[thing, x], key=x, specs=x, **y)
def m(): ...
@dg.multi_asset(specs=specs)
def n(): ...
specs = [specs, *specs]
dg.define_asset_job("a", selection=sel)
sel = [sel]
@dg.asset(deps=specs)
def o(): ...
""",
    "dags/c.py": """
from dags.b import thing, m
from prefect import flow
@flow(**m)
def e(): e.with_options(name="q").deploy(); thing.deploy(); e()
""",
}


def test_names_that_go_in_circles_end_somewhere(tmp_path):
    (tmp_path / "dags").mkdir()
    for name, text in CIRCLES.items():
        (tmp_path / name).write_text(text)
    assert {finding.path for finding in check(tmp_path)} == {"dags/b.py", "dags/c.py"}  # nothing of a.py can be told


def test_every_rule_says_what_is_wrong_and_where_to_read_on():
    assert set(checks()) == {*CHECKS, *ALWAYS}
    for rule in rules().values():
        assert rule.link.startswith("docs/"), rule.id
        assert rule.docs, rule.id
        assert bool(rule.engine) == (rule.check in ("production-shape", "cloud-services")), rule.id
        prefix = engines().get(rule.engine, {}).get("rules", rule.engine.replace("_", "-"))
        assert not rule.engine or rule.id.startswith(f"{prefix}-"), rule.id
        assert len(rule.sentence) <= 130
        assert not rule.sentence.endswith(".")
        assert rule.severity in SEVERITIES
        assert rule.why.endswith("."), rule.id
        assert not rule.since or rule.engine


def test_pre_commit_offers_every_check_and_all_of_them_together():
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {hook["id"] for hook in hooks} == {"orch-standards", *CHECKS}
    for hook in hooks:
        name = [] if hook["id"] == "orch-standards" else [hook["id"]]
        assert hook["entry"].split() == ["orch-standards", *name]


def test_the_roots_package_is_the_one_in_hooks():
    root, hooks = (tomllib.loads((ROOT / name).read_text()) for name in ("pyproject.toml", "hooks/pyproject.toml"))
    for key in ("dependencies", "requires-python"):
        assert root["project"][key] == hooks["project"][key]
    assert root["project"]["scripts"].items() <= hooks["project"]["scripts"].items()
    assert root["build-system"] == hooks["build-system"]
    assert resources.files("orch_standards").joinpath("data/rules.toml").is_file()


def test_it_runs_as_a_module(repository):
    command = [sys.executable, "-m", "orch_standards", "--root", str(repository), "layering"]
    assert subprocess.run(command, check=False).returncode == 0


PACKAGE = ROOT / "hooks" / "src" / "orch_standards"


def test_an_engine_is_a_table_a_module_and_rules():
    tables = engines()
    assert {rule.engine for rule in rules().values() if rule.check == "production-shape"} == set(tables)
    for name, table in tables.items():
        assert table.keys() - {"rules"} == tables["airflow"].keys(), name
        assert (PACKAGE / "production" / f"{name}.py").is_file()
        assert f"{table.get('rules', name)}-import-work" in rules()


def test_a_service_is_a_module_and_rules_of_its_own_name():
    assert {rule.engine for rule in rules().values() if rule.check == "cloud-services"} == set(services.names())
    for name in services.names():
        assert (PACKAGE / "services" / f"{name}.py").is_file()


def test_no_modules_import_each_other():
    """Also not for the sake of types: what needs the other's names is not two modules."""
    imports = {}
    for path in PACKAGE.rglob("*.py"):
        folder = [*path.relative_to(PACKAGE).parts[:-1]]
        name = ".".join([*folder, path.stem])
        imports[name] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level and path.stem != "__init__":
                base = [*folder[: len(folder) - node.level + 1], *([node.module] if node.module else [])]
                imports[name] |= {".".join(base), *(".".join([*base, alias.name]) for alias in node.names)}
    for first, others in imports.items():
        assert not [other for other in others if first in imports.get(other, ())], first
