"""Build the documentation site in build/site: docs/, pages made from their sources, and the decision page.

Called by make docs, which installs what this needs: the generator in build/site-env, Pyodide in build/npm.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from html import escape
from pathlib import Path

import yaml
from decision_engine import CHOICES, LISTS, QUESTIONS, ROOT, data, manifests
from decision_page import RECORD, SAMPLES, decide
from rendered_diff import WORKING_TREE, render
from site_examples import examples_page

BUILD = ROOT / "build"
SOURCE = BUILD / "site-source"
SITE = BUILD / "site"
GENERATOR = BUILD / "site-env" / "bin" / "zensical"
PYODIDE = BUILD / "npm" / "node_modules" / "pyodide"
RUNTIME = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")
# What the engine imports in the browser. All of them run without their compiled parts.
PACKAGES = ("jinja2", "jinja2_ansible_filters", "markupsafe", "yaml")
ENGINE_FILES = ("copier.yml", "decision/*", "decision/systems/*", "questions/*", "template/*/manifest.yml")
ENGINE_TOOLS = ("tools/compile_decision.py", "tools/decision_engine.py", "tools/decision_page.py")
# Pages that stand elsewhere in the repository, and where their links lead on the site.
MOVED = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
# Pages that are made from sources.
MADE = ("questions", "commands", "settings", "support", "examples")
NAVIGATION = re.compile(r": ([\w/-]+\.md)$", re.MULTILINE)
# A line of a page that is only a link to a file of code beside it; the site shows the file.
SHOWN = re.compile(r"^\[`[^`]+`\]\(([\w./]+\.(?:json|py|yaml))\)$", re.MULTILINE)
FORM_PLACE = re.compile(r"<!-- the form .*?-->")
TARGET = re.compile(r"^([a-z-]+):[^#\n]*## (.*)$", re.MULTILINE)
# Places whose projects have commands of their own, see docs/building.md.
HOSTED = {
    "vm": "that is hosted on one machine",
    "kubernetes": "that is hosted on Kubernetes",
    "package": "whose package a managed service takes",
}


def stage() -> None:
    """Write everything that the generator reads to build/site-source."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(ROOT / "docs", SOURCE)
    for page in SOURCE.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(SHOWN.sub(lambda link: shown(SOURCE / link[1]), text), encoding="utf-8")
    for name, page in MOVED.items():
        (SOURCE / page).write_text(moved((ROOT / name).read_text(encoding="utf-8")), encoding="utf-8")
    project = rendered(BUILD / "site-project")
    examples = examples_page(SOURCE / "examples" / "files", fresh(BUILD / "site-examples"))
    made = (questions(), commands(project), settings(project), support(project), examples)
    for page, text in zip(MADE, made, strict=True):
        (SOURCE / f"{page}.md").write_text(text, encoding="utf-8")
    decision_page()


def shown(file: Path) -> str:
    language = "python" if file.suffix == ".py" else file.suffix[1:]
    return f'```{language} title="{file.name}"\n{file.read_text(encoding="utf-8")}```'


def moved(text: str) -> str:
    for name, page in MOVED.items():
        text = text.replace(f"]({name})", f"]({page})")
    return re.sub(r"\[([^]]+)\]\(LICENSE\)", r"\1", text).replace("](docs/", "](").replace('"docs/', '"')


def rendered(target: Path, **answers) -> Path:
    """A project of the working tree with these answers."""
    render(fresh(target), WORKING_TREE, answers)
    return target


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    def line(cells):
        return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"

    return line(head) + line(["---"] * len(head)) + "".join(map(line, rows))


def questions() -> str:
    """docs page of all questions that are asked or may be given, topic by topic in the order they are asked."""
    text = """\
# Questions

Copier asks these in this order. Each can be given with `--data name=answer`, and a list with
`--data 'needs=[dbt, lineage]'`.
`--defaults` takes the default of all others. How answers lead to an orchestrator: [rules and scores](decision.md).
"""
    for topic, title in (
        ("project", "The project"),
        ("decision", "The decision"),
        ("orchestrator", "The orchestrator"),
        ("hosting", "Hosting"),
        ("production", "Production"),
        ("pipeline", "The sample pipeline"),
    ):
        text += f"\n## {title}\n"
        for name, question in yaml.safe_load((ROOT / f"questions/{topic}.yml").read_text(encoding="utf-8")).items():
            if not name.startswith("_") and question.get("when") is not False and "help" in question:
                text += f"\n### {name}\n\n{question_text(name, question)}"
    return text


def question_text(name: str, question: dict) -> str:
    first, *more = [line for line in question["help"].splitlines() if "[%" not in line and "[[" not in line]
    words = " ".join(more).strip()
    text = f"**{first}** {words}\n\n"
    choices = question.get("choices")
    if isinstance(choices, dict):
        text += table(["answer", "meaning"], ([f"`{value}`", label] for label, value in choices.items())) + "\n"
    elif name in CHOICES:
        text += f"One or more of {', '.join(f'`{value}`' for value in CHOICES[name])}.\n\n"
    elif isinstance(choices, str):
        text += "The choices depend on the answers before; the recommended one is first.\n\n"
    default = question.get("default", "")
    if isinstance(default, str) and ("[[" in default or "[%" in default):
        shown = "it follows from other answers"
    else:
        written = ", ".join(default) or "none" if isinstance(default, list) else str(default).strip()
        shown = f"`{written.lower() if isinstance(default, bool) else written}`"
    return f"{text}Default: {shown}.{' Several answers are possible.' if question.get('multiselect') else ''}\n"


def commands(project: Path) -> str:
    """docs page of the targets of a project's Makefile and of this repository's."""
    text = """\
# Commands

## In a project

They are the same on every orchestrator. `ENV=` picks the environment, `PIPELINE=` the pipeline and `ORCHESTRATOR=` the
orchestrator where there are several. `make help` prints this list.

"""
    text += targets(project / "Makefile")
    variants = [
        (name, variant, row["places"])
        for name, manifest in manifests().items()
        for variant, row in manifest.get("variants", {}).items()
    ]
    for place, words in HOSTED.items():
        name, variant = next((name, variant) for name, variant, places in variants if place in places)
        answers = {"orchestrator": name, "hosting_variant": variant, "accept_exclusion": "yes"}
        hosted = rendered(BUILD / "site-hosted", **answers)
        text += f"\n### In a project {words}\n\n"
        text += targets(*sorted((hosted / "deploy").glob("*.mk")))
    text += "\n## In this repository\n\n" + targets(ROOT / "Makefile")
    return text


def targets(*makefiles: Path) -> str:
    matches = [match for file in makefiles for match in TARGET.findall(file.read_text(encoding="utf-8"))]
    return table(["command", "what it does"], ([f"`make {name}`", code(words)] for name, words in matches))


def code(words: str) -> str:
    """An example of a call at the end as code, so that its stars and brackets stay."""
    return re.sub(r"(make [a-z-]+ .*)$", r"`\1`", words.replace("<", "&lt;"))


def settings(project: Path) -> str:
    """docs page of the settings in config/base.toml, from the comments beside them."""
    text = """\
# Settings

`config/base.toml` holds in every environment. `config/<env>.toml` overrides it, `config/pipelines/<name>.toml`
overrides both for one pipeline and its steps, and a variable overrides them all: `APP_WAREHOUSE__URL` sets `url` in
`[warehouse]`.
Durations are in seconds, shares are between 0 and 1. A value `secret:NAME` is looked up in the backend of `[secrets]`.
"""
    base = (project / "config" / "base.toml").read_text(encoding="utf-8")
    tomllib.loads(base)
    section, rows = "", []
    for line in [*base.splitlines(), "[end]"]:
        if line.startswith("["):
            if rows:
                text += f"\n## {section or 'For all'}\n\n{table(['setting', 'default', 'meaning'], rows)}"
            section, rows = line.strip("[]"), []
        elif match := re.match(r'(\w+) = ("[^"]*"|\S+)\s*(?:# (.*))?$', line):
            rows.append([f"`{match[1]}`", f"`{match[2]}`", match[3] or ""])
    own = (project / "config" / "pipelines" / "flights_daily.toml").read_text(encoding="utf-8")
    text += "\n## Of one pipeline\n\nThe sample's file, `config/pipelines/flights_daily.toml`:\n\n"
    return f"{text}```toml\n{own}```\n"


def support(project: Path) -> str:
    """docs page of what goes with what: versions of orchestrators and Python, shapes, hosting variants with files."""
    systems = {system["id"]: system for system in data("systems")}
    shapes = QUESTIONS["pipeline_shape"]["choices"]
    sampled = {shape for manifest in manifests().values() for shape in manifest.get("shapes", [])}
    versions, samples, hosted, tried = [], [], [], []
    newer = sorted({version for manifest in manifests().values() for version in manifest.get("pythons", {})})
    ours = [(name, manifest) for name, manifest in manifests().items() if "shapes" in manifest]
    for name, manifest in sorted(ours, key=lambda each: ("port" not in each[1], each[1]["name"])):
        required = manifest["dependencies"][0]
        package = re.match(r"[\w-]+", required)[0]
        constraints = (ROOT / "template" / f"[[{name}]]" / "constraints.txt").read_text(encoding="utf-8")
        pinned = re.search(rf"^{package}==(\S+)", constraints, re.MULTILINE)[1]
        allowed = required.removeprefix(package)
        versions.append([manifest["name"], f"`{package}`", pinned, f"`{allowed}`"])
        tried.append([manifest["name"], *(manifest.get("pythons", {}).get(version, "not tried") for version in newer)])
        own = ("yes" if shape in manifest["shapes"] else "" for shape in shapes.values() if shape in sampled)
        samples.append([manifest["name"], *own])
        for variant in sorted(systems[name]["variants"], key=lambda variant: variant["rank"]):
            row = manifest.get("variants", {}).get(variant["id"], {})
            version = row.get("versions", pinned) if "port" in manifest else ""
            files = ", ".join(place for place in row.get("places", []) if "_" not in place) or "none yet"
            hosted.append([manifest["name"], variant["name"], f"`{variant['id']}`", version, files])
    pythons = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    return f"""\
# Support

This version of the template goes with these versions of the orchestrators. A newer one comes with a release of the
template, after this repository's tests have run with it. A project may move within the range by itself: `make lock`.
A managed service that brings a version of its own has it in [the last table](#hosting-variants). A cloud's own service
has no version; its row names the client that a project uses.

{table(["orchestrator", "package", "tested version", "range of a project"], versions)}
Projects accept Python `{pythons}`. The tests of the template run on Python 3.11 and Linux. On 26 November 2026, a
project with the default sample was installed, ran a day and passed its own `make test` on newer ones:

{table(["orchestrator", *(f"Python {version}" for version in newer)], tried)}
Where it says `ran a day`, its tests were not run to the end. Where it says `not tried`, it is what the orchestrator
itself supports. `tests/test_python_versions.py` tries each of them where such an interpreter is installed.

## Sample pipelines

Where the orchestrator has no sample of the shape that was answered, the project starts with plain ETL.

{table(["", *(label for label, shape in shapes.items() if shape in sampled)], samples)}
[Conformance](conformance.md) lists the behaviours that tests show on each orchestrator while it runs.

## Hosting variants

What stands under files is tested as [hosting variants](hosting.md) says. Where it says `none yet`, the project has no
deployment files.

{table(["orchestrator", "variant", "answer `hosting_variant`", "version", "files for"], hosted)}
## Updates

From 1.0 on, only a major version asks more of existing projects than `make update`. Before, a minor version may, and
[updating](updating.md) lists the steps. A test updates a project of the first release to the newest version.
"""


def decision_page() -> None:
    """Put the form into decide.md, and beside it what the browser runs: Pyodide, the engine and its data."""
    folder = SOURCE / "decide"
    (folder / "pyodide").mkdir()
    for name in RUNTIME:
        shutil.copy2(PYODIDE / name, folder / "pyodide" / name)
    engine_archive(folder / "engine.zip")
    fetched = sum(file.stat().st_size for file in (*folder.glob("pyodide/*.wasm"), *folder.glob("**/*.zip")))
    page = SOURCE / "decide.md"
    page.write_text(FORM_PLACE.sub(lambda _: form(fetched), page.read_text(encoding="utf-8")), encoding="utf-8")


def engine_archive(target: Path) -> None:
    """What decision_page.py needs: its own files, the packages it imports, the questions and rules."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in PACKAGES:
            folder = Path(importlib.util.find_spec(name).origin).parent
            for path in sorted(folder.rglob("*.py")):
                archive.write(path, path.relative_to(folder.parent))
        own = [path for pattern in ENGINE_FILES for path in sorted(ROOT.glob(pattern)) if path.is_file()]
        for path in [*own, *(ROOT / name for name in (*ENGINE_TOOLS, RECORD, SAMPLES))]:
            archive.write(path, path.relative_to(ROOT))


def form(fetched: int) -> str:
    """The questions of the decision as a form with the default answers, and the places of the result."""
    default = decide({})
    words = data("answers")
    asked = [name for name in CHOICES if name in default["asked"] or QUESTIONS[name].get("ask") is not False]
    short = "".join(field(name, default) for name in asked if words[name].get("short"))
    more = "".join(field(name, default) for name in asked if not words[name].get("short"))
    return f"""\
<link rel="stylesheet" href="decide/decide.css">
<div class="decide">
<form id="decide-form" data-bytes="{fetched}" aria-label="Your situation">
{short}<details class="decide-more" open><summary>More questions, which make it more precise</summary>
{more}</details>
<p><button type="reset" class="md-button">Start again</button></p>
</form>
<div class="decide-side">
<div id="decide-status" role="status" aria-live="polite">
<progress max="100" value="0" aria-label="Loading the rules"></progress>
<span>Loading the rules. You can answer already.</span></div>
<noscript><p>This page needs JavaScript. In a checkout, <code>make recommend</code> asks the same.</p></noscript>
<div id="decide-result"></div>
</div>
</div>
<a id="decide-bar" href="#decide-status">Loading the rules</a>
<script type="module" src="decide/decide.mjs"></script>
"""


def field(name: str, default: dict) -> str:
    question = QUESTIONS[name]
    first, *more = [line for line in question["help"].splitlines() if "--data" not in line]
    why = " ".join(more).replace("The sample is a pipeline", "The sample of the project is a pipeline")
    kind = "checkbox" if name in LISTS else "radio"
    answered = default["answers"][name]
    options = ""
    for label, value in labelled(name):
        checked = " checked" if (value in answered if name in LISTS else value == answered) else ""
        written = str(value).lower() if isinstance(value, bool) else value
        options += (
            f'<label><input type="{kind}" name="{name}" value="{escape(written)}"{checked}>'
            f"<span>{escape(label)}</span></label>\n"
        )
    hidden = "" if name in default["asked"] else " hidden"
    return f"""\
<fieldset data-question="{name}" data-list="{str(name in LISTS).lower()}" data-type="{question["type"]}"{hidden}
 aria-describedby="why-{name}"><legend>{escape(first)}</legend>
<p class="decide-why" id="why-{name}">{escape(why)}</p>
<div class="{"decide-many" if len(CHOICES[name]) > 9 else "decide-few"}">
{options}</div>
<p class="decide-problem" role="alert"></p>
</fieldset>
"""


def labelled(name: str) -> list[tuple[str, object]]:
    choices = QUESTIONS[name].get("choices")
    if isinstance(choices, dict):
        return list(choices.items())
    if name == "connects_to":
        return [(touched["name"], system) for system, touched in data("integrations")["systems"].items()]
    return [("Yes", True), ("No", False)]


def unplaced() -> list[str]:
    """Pages without a place in the navigation, and places without a page."""
    pages = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.md")}
    placed = set(NAVIGATION.findall((ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    return sorted(pages ^ placed)


def main() -> str | None:
    stage()
    if lost := unplaced():
        return f"mkdocs.yml and the pages differ: {', '.join(lost)}; give each page one place in nav"
    shutil.rmtree(SITE, ignore_errors=True)
    built = subprocess.run([GENERATOR, "build", "--strict", "--clean"], cwd=ROOT, capture_output=True, text=True)
    if built.returncode:
        print(built.stdout + built.stderr.split("Traceback")[0])
        return "the site was not built: correct what is listed above"
    print(f"site: {SITE.relative_to(ROOT)}    next: make docs-serve")
    return None


if __name__ == "__main__":
    sys.exit(main())
