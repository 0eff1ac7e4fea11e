"""The report of a rendered project in a real browser: on a phone and a desktop, light and dark, on paper."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

UV = Path(sys.executable).with_name("uv")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
# Three days of the sample, and one on which too many rows are bad.
RUN = """
from contextlib import suppress
from pathlib import Path
from flight_marts.platform import pipelines
from flight_marts.platform.errors import ContractError
flights = pipelines.get("flights_daily")
day = Path("data/landing/flights_daily/2013-01-04")
day.mkdir()
good = Path("data/landing/flights_daily/2013-01-03/flights.csv").read_text()
(day / "flights.csv").write_text(good)
(day / "_SUCCESS").touch()
for number in range(1, 5):
    with suppress(ContractError):
        pipelines.run_steps(flights, flights.partition(f"2013-01-0{number}"))
"""
PAGES = ("flights_daily", "index")
pytestmark = [
    pytest.mark.project,
    pytest.mark.deep,
    pytest.mark.skipif(not CHROMIUM, reason="no browser: apt-get install chromium"),
]


class Browser:
    """Chromium, spoken to over its debugging pipe.

    requests: addresses that the page asked for. errors: what its console says.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self.commands, self.answers, self.buffer, self.number, self.session = commands, answers, b"", 0, ""
        self.requests: list[str] = []
        self.errors: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a method of the DevTools protocol."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self.number:
            pass
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def open(self, file: Path, width: int, scheme: str = "light") -> None:
        """Show a file in a window of that width. scheme: ``light`` or ``dark``."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=file.as_uri())
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            piece = os.read(self.answers, 1 << 16)
            assert piece, "the browser has ended"
            self.buffer += piece
        text, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(text)
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            case "Runtime.exceptionThrown" | "Log.entryAdded":
                self.errors.append(str(message["params"]))
        return message


@pytest.fixture(scope="module")
def report(render, tmp_path_factory) -> Path:
    """The folder of the report of a project that has run four days, one of them in vain."""
    folder = Path(shutil.copytree(render(orchestrator="prefect"), tmp_path_factory.mktemp("report") / "project"))
    environment = os.environ | {"UV_SYSTEM_CERTS": "true", "APP_ROOT": str(folder), "APP_ENV": "dev"}
    sync = [UV, "sync", "--quiet", "--no-default-groups"]
    subprocess.run(sync, cwd=folder, env=environment, check=True)
    python = folder / ".venv" / "bin" / "python"
    subprocess.run([python, "-c", RUN], cwd=folder, env=environment, check=True, capture_output=True)
    subprocess.run([python, "-m", "flight_marts", "report"], cwd=folder, env=environment, check=True)
    return folder / "var" / "dev" / "report"


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    ours, its = os.pipe(), os.pipe()
    profile = tmp_path_factory.mktemp("profile")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}"]
    line = f'exec "$0" "$@" 3<&{ours[0]} 4>&{its[1]}'
    process = subprocess.Popen(
        ["bash", "-c", line, CHROMIUM, *options, "--remote-debugging-pipe"],
        pass_fds=(ours[0], its[1]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(ours[0])
    os.close(its[1])
    try:
        yield Browser(ours[1], its[0])
    finally:
        process.terminate()
        process.wait(timeout=30)
        os.close(ours[1])
        os.close(its[0])


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window_and_loads_nothing_else(report, browser, name, width):
    browser.requests.clear()
    browser.errors.clear()
    browser.open(report / f"{name}.html", width)
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("document.querySelector('h1').getBoundingClientRect().left") >= 8
    assert browser.requests == [(report / f"{name}.html").as_uri()]
    assert browser.errors == []


def test_bars_are_as_high_as_the_rows_and_a_failed_attempt_is_red(report, browser):
    browser.open(report / "flights_daily.html", 1280)
    bars = (
        "[...document.querySelectorAll('#rows rect')].map(bar => [bar.textContent, bar.getBoundingClientRect().height])"
    )
    rows = {text.split(": ")[0]: (int(text.split()[1]), height) for text, height in browser.value(bars)}
    assert {day: number for day, (number, _) in rows.items()} == {
        "2013-01-01": 842,
        "2013-01-02": 943,
        "2013-01-03": 914,
    }
    scale = {height / number for number, height in rows.values()}
    assert max(scale) == pytest.approx(min(scale), rel=0.02)
    fill = "[...document.querySelectorAll('#steps rect{}')].map(bar => getComputedStyle(bar).fill)"
    failed, good = set(browser.value(fill.format(".bad"))), set(browser.value(fill.format(":not(.bad)")))
    assert len(failed) == len(good) == 1
    assert failed != good


def test_a_dark_page_is_dark_and_all_of_its_text_can_be_read(report, browser):
    # The contrast of each element with a text of its own, by the formula of the WCAG.
    contrast = """(() => {
        const light = colour => colour.match(/[0-9.]+/g).slice(0, 3).map(each => each / 255)
            .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
            .reduce((sum, each, index) => sum + each * [0.2126, 0.7152, 0.0722][index], 0);
        const ground = light(getComputedStyle(document.body).backgroundColor);
        const hasText = each => [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim());
        const texts = [...document.querySelectorAll('body *')].filter(
            each => !each.closest('svg, style, title') && hasText(each));
        const ratios = texts.map(each => light(getComputedStyle(each).color))
            .map(each => (Math.max(each, ground) + 0.05) / (Math.min(each, ground) + 0.05));
        return [ground, Math.min(...ratios), texts.length];
    })()"""
    grounds = {}
    for scheme in ("light", "dark"):
        browser.open(report / "flights_daily.html", 1280, scheme)
        grounds[scheme], ratio, texts = browser.value(contrast)
        assert texts > 50
        assert ratio >= 4.5, scheme
    assert grounds["dark"] < 0.1 < 0.9 < grounds["light"]


def test_it_can_be_printed(report, browser):
    browser.open(report / "flights_daily.html", 1280, "dark")
    browser.call(
        "Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert b64decode(browser.call("Page.printToPDF")["data"]).startswith(b"%PDF")


def test_links_lead_from_the_project_to_a_pipeline_and_back(report, browser):
    browser.open(report / "index.html", 360)
    for name in ("flights_daily", "index"):
        target = browser.value(f"document.querySelector('a[href=\"{name}.html\"]').href")
        assert Path(target.removeprefix("file://")) == report / f"{name}.html"
        browser.open(report / f"{name}.html", 360)
