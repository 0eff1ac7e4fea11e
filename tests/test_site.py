"""The documentation site: places, commands, and a decision page that says what `make recommend` says."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from html import unescape
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import decision_page
import pytest
import yaml
from build_site import MADE, MOVED, NAVIGATION, questions, support
from combinations import MANIFESTS, ORCHESTRATORS, SHAPES, files_in
from decision_engine import CHOICES, LISTS
from keyboard import asked
from recommend import recommend
from rendered_diff import ANSWERS, EXAMPLES
from repository import QUESTIONS, ROOT
from site_examples import LINES_SHOWN

PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *(ROOT / name for name in MOVED)]
MAKEFILES = [ROOT / "Makefile", *ROOT.glob("template/**/Makefile.jinja"), *ROOT.glob("template/**/*.mk.jinja")]
MAKE_TEXT = "\n".join(path.read_text() for path in MAKEFILES)
CODE = re.compile(r"^ *```\w*\n(.*?)^ *```$|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
NPM = ROOT / "build" / "npm" / "node_modules"
SITUATIONS = 50


def random_answers(seed: int) -> dict:
    """Answers as somebody may give them: some questions answered, at most three items of a list."""
    source = random.Random(seed)  # noqa: S311
    given = {}
    for name in CHOICES:
        if source.random() < 0.5:
            most = 2 if name == "matters_most" else 3
            some = source.sample(CHOICES[name], source.randint(0, most) if name in LISTS else 1)
            given[name] = [choice for choice in CHOICES[name] if choice in some] if name in LISTS else some[0]
    return given


def recommended(given: dict) -> dict | str:
    """What `make recommend` says of these answers, or the sentence with which it refuses them."""
    try:
        return recommend(given)
    except ValueError as error:
        return str(error)


def agree(outcome: dict, record: dict | str) -> bool:
    if isinstance(record, str):
        return any(problem in record for problem in outcome["problems"].values())
    return not outcome["problems"] and record == {name: outcome[name] for name in ("answers", "decision", "review")}


def code_on(page: Path) -> list[str]:
    return [block or span for block, span in CODE.findall(page.read_text())]


@pytest.mark.parametrize("given", [{}, *(random_answers(seed) for seed in range(3))], ids=str)
def test_the_page_says_what_make_recommend_says(given):
    outcome = decision_page.decide(given)
    assert agree(outcome | {"review": decision_page.review(outcome)}, recommended(outcome["used"]))


@pytest.mark.parametrize(
    ("given", "skipped", "more"),
    [({}, "", ""), ({"vpc": "isolated"}, "hosting", "platform_engineers experience")],
)
def test_the_form_asks_what_a_terminal_asks(given, skipped, more):
    at_terminal = [name for name in asked(skipped, more) if name in CHOICES]
    assert [name for name in decision_page.decide(given)["asked"] if name in CHOICES] == at_terminal


def test_an_answer_that_copier_refuses_is_refused():
    outcome = decision_page.decide({"vpc": "isolated", "needs": ["no_servers"]})
    assert "Nothing fits; change one of these answers" in outcome["problems"]["needs"]
    three = {"needs": ["dbt", "lineage"], "matters_most": ["cost", "testing", "operations"]}
    assert decision_page.decide(three)["problems"].keys() == {"matters_most"}


@pytest.mark.parametrize(
    "answers",
    [
        {"pipeline_shape": "data_products", "needs": ["lineage"], "current_orchestrator": "cron"},
        {"pipeline_shape": "mixed"},
    ],
)
def test_the_record_to_download_is_the_one_that_the_project_gets(render, answers):
    recorded = (render(**answers) / "docs" / "adr" / "0001-orchestrator.md").read_text()
    assert decision_page.record(decision_page.decide(answers)) == recorded


def test_the_pages_made_from_sources_name_each_question_and_orchestrator(render):
    assert {f"### {name}" for name in CHOICES} <= set(questions().splitlines())
    page = support(render(pipeline_shape="data_products", needs=["lineage"], current_orchestrator="cron"))
    for name in ORCHESTRATORS:
        shown = MANIFESTS[name]["name"]
        assert re.search(rf"^\| {shown} \| `[\w-]+` \| [\w.]+ \| `[<>=\d.,]+` \|$", page, re.MULTILINE)
        tried = [MANIFESTS[name].get("pythons", {}).get(version, "not tried") for version in ("3.12.1", "3.13.0")]
        assert f"\n| {shown} | {' | '.join(tried)} |\n" in page


def test_every_page_has_one_place_in_the_navigation():
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    placed = NAVIGATION.findall((ROOT / "mkdocs.yml").read_text())
    assert sorted(placed) == sorted(pages | set(MOVED.values()) | {f"{name}.md" for name in MADE})


def test_links_of_pages_that_stand_elsewhere_lead_to_files():
    for name in MOVED:
        for target in re.findall(r"\]\((?!http)([^)#]+)[^)]*\)|src=\"([^\"]+)\"", (ROOT / name).read_text()):
            assert (ROOT / (target[0] or target[1])).exists(), f"{name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_on_a_page_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", MAKE_TEXT, re.MULTILINE))
    for text in code_on(page):
        for call in re.findall(r"\bmake ((?:-C \S+ )?[a-z][a-z-]*\b[^\n#]*)", text):
            words = re.sub(r"^-C \S+ ", "", call).split()
            assert words[0] in targets, f"no make {words[0]}"
            for variable in re.findall(r"\b([A-Z_]{2,})=", call):
                read = (
                    f"$({variable})",
                    f"{variable} ?=",
                    f"{variable}=",
                )  # some are only passed on, and say so in their help
                assert any(form in MAKE_TEXT for form in read), f"make reads no {variable}"
        for name, value in re.findall(r"--data '?(\w+)=(\[.*?\]|\{.*\}|[^'\s`]+)", text):
            assert name in QUESTIONS, f"no question {name}"
            choices = QUESTIONS[name].get("choices")
            given = yaml.safe_load(value)
            if isinstance(choices, dict):
                assert set(given if isinstance(given, list) else [given]) <= set(choices.values()), f"{name}={value}"
        for path in re.findall(r"python \"?((?:tools|benchmarks)/\w+\.py)", text):
            assert (ROOT / path).is_file(), path


@pytest.fixture(scope="module")
def site() -> Path:
    """The site as `make docs` builds it."""
    if not shutil.which("npm"):
        pytest.skip("npm, which fetches Pyodide, is not on this machine: install Node.js 20 or newer with npm")
    built = subprocess.run(["make", "docs"], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert built.returncode == 0, built.stdout + built.stderr
    return ROOT / "build" / "site"


@pytest.fixture(scope="module")
def situations() -> list[dict]:
    return [random_answers(seed) for seed in range(SITUATIONS)]


@pytest.fixture(scope="module")
def answered(situations) -> list[dict | str]:
    """What `make recommend` says of each, of the answers that are asked."""
    return [recommended(decision_page.decide(given)["used"]) for given in situations]


class Loaded(HTMLParser):
    """What a page fetches by itself, in `addresses`."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attributes):
        names = dict(attributes)
        if tag == "link" and names.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(names["href"])
        if tag in ("script", "img", "iframe", "source") and names.get("src"):
            self.addresses.append(names["src"])


@pytest.mark.deep
def test_no_page_fetches_anything_from_another_host(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text())
        assert loaded.addresses
        assert not [address for address in loaded.addresses if re.match(r"(https?:)?//", address)], page
    for style in site.rglob("*.css"):
        assert not re.search(r"@import|url\(['\"]?(https?:)?//", style.read_text()), style


@pytest.mark.deep
def test_the_engine_that_the_browser_gets_agrees_with_make_recommend(site, situations, answered):
    if not shutil.which("node"):
        pytest.skip("node is not on this machine: install Node.js 20 or newer")
    call = ["node", str(ROOT / "tests" / "site" / "node.mjs"), str(site), str(NPM)]
    done = subprocess.run(call, input=json.dumps(situations), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    assert len({json.dumps(outcome["decision"]["recommended"]) for outcome in outcomes}) >= 5
    for given, outcome, record in zip(situations, outcomes, answered, strict=True):
        assert agree(outcome, record), given


@pytest.fixture(scope="module")
def address(site):
    """The site in a folder of a web server as simple as any."""
    handler = partial(QuietHandler, directory=str(site.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{site.name}"
        finally:
            server.shutdown()
            thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def in_browser(script: str, address: str, given: list) -> dict:
    """What a script in tests/site/ sees in Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program or not shutil.which("node"):
        pytest.skip("Chromium or node is not on this machine: install both")
    call = ["node", str(ROOT / "tests" / "site" / script), address, str(NPM), program]
    done = subprocess.run(call, input=json.dumps(given), capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def seen(address, situations) -> dict:
    return in_browser("browser.mjs", address, situations)


@pytest.mark.deep
def test_the_browser_shows_what_make_recommend_says(seen, situations, answered):
    assert len(seen["shown"]) == SITUATIONS
    for given, shown, record in zip(situations, seen["shown"], answered, strict=True):
        if isinstance(record, str):
            assert any(problem in record for problem in shown["problems"]), given
        else:
            assert expected(record) == {name: shown[name] for name in expected(record)}, given
            assert shown["problems"] == []


def without_marks(text: str) -> str:
    """As it reads on the page, which shows what stands between backticks as code."""
    return text.replace("`", "")


def expected(record: dict) -> dict:
    """How the page words what `make recommend` says."""
    decision, review = record["decision"], record["review"]
    best, everything = decision["ranking"][0], decision["ranking"] + decision["excluded"]
    about = [decision["recommended"], *decision["members"].get(decision["recommended"], [])]
    hosts = [entry["variant"].get("id") for entry in everything if entry["id"] in about]
    return {
        "headline": f"{best['name']} on {best['variant']['name']}" if best["variant"] else best["name"],
        "reasons": decision["reasons"],
        "scores": [[entry["name"], f"{entry['score']:.2f}"] for entry in everything],
        "out": [without_marks(sentence(entry["out"])) for entry in decision["excluded"]],
        "cautions": [
            without_marks(sentence(rule["because"]))
            for rule in decision["cautions"]
            if set(about) & set(rule.get("caution", [])) or set(hosts) & set(rule.get("variants", []))
        ],
        "costs": [[row["name"], row.get("shown", "no figures")] for row in review["costs"]],
        "changes": sorted(f"if {flip['if']}" for flip in review["flips"]),
    }


def sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


@pytest.mark.deep
def test_the_command_on_the_page_makes_the_recommended_project(seen, answered, tmp_path, template):
    chosen = next(n for n, record in enumerate(answered) if isinstance(record, dict) and record["decision"]["default"])
    command = seen["shown"][chosen]["command"].replace("gh:org/orch-starter myproj", f"{template} {tmp_path}/myproj")
    copier = str(Path(sys.executable).with_name("copier"))
    call = ["bash", "-c", command.replace("copier copy", f"{copier} copy --defaults --quiet")]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    recorded = yaml.safe_load((tmp_path / "myproj" / ".copier-answers.yml").read_text())
    decision = answered[chosen]["decision"]
    assert recorded["recommended_orchestrator"] == decision["recommended"]
    assert recorded["orchestrator"] == decision["default"]


@pytest.mark.deep
def test_the_page_works_by_keyboard_on_a_phone_and_asks_no_other_host(seen):
    assert seen["questionsBeforeEngine"] >= 9
    assert seen["progress"] == 1
    assert seen["widths"]["page"] <= seen["widths"]["window"]
    assert seen["keyboard"].startswith("Recommended: Dagster")
    assert seen["link"].endswith("#pipeline_shape=data_products")
    assert "#" not in seen["linkAgain"]
    assert seen["record"] == decision_page.record(decision_page.decide({"pipeline_shape": "data_products"}))
    assert seen["elsewhere"] == []
    assert seen["errors"] == []


@pytest.mark.deep
def test_every_page_fits_a_phone_and_a_desktop_and_is_legible_light_and_dark(site, address):
    paths = [path.parent.relative_to(site).as_posix() for path in sorted(site.rglob("index.html"))]
    seen = in_browser("pages.mjs", address, [f"{path}/".removeprefix("./") for path in paths])
    assert len(seen["pages"]) == 4 * len(paths)
    for page in seen["pages"]:
        assert page["tooWide"] <= 0, page
        assert page["contrast"] >= 4.5, page
        assert page["dark"] == (page["colorScheme"] == "dark"), page
    assert seen["errors"] == []
    for example in seen["example"].values():
        assert example["text"].startswith("# The targets are the same on every orchestrator.")
        assert (example["linked"], example["opened"], example["inView"]) == ("Makefile", True, True)


@pytest.mark.deep
def test_an_example_is_shown_as_it_is_rendered(site, render):
    page = (site / "examples" / "index.html").read_text()
    for name, example in EXAMPLES.items():
        project = render(**example["answers"])
        linked = re.findall(rf'<a href="([^"]+)" data-file="{name}/([^"]+)"', page)
        assert {path for _, path in linked} == files_in(project)
        for link, path in linked:
            shown = (site / "examples" / link).read_text()
            content = (project / path).read_text().splitlines()
            text = unescape(re.sub(r"<[^>]+>", "", shown[shown.index("<body>") :])).splitlines()
            if path != ANSWERS:
                assert content[:LINES_SHOWN] == text[: min(len(content), LINES_SHOWN)], path


def test_the_examples_show_every_orchestrator_and_shape():
    answers = [example["answers"] for example in EXAMPLES.values()]
    assert {each.get("orchestrator") for each in answers} >= set(ORCHESTRATORS)
    assert {each.get("pipeline_shape", "batch_etl") for each in answers} >= set(SHAPES)
    assert "mixed" in {each.get("pipeline_shape") for each in answers}
