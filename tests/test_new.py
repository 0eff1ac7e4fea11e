"""`make new` at a terminal of 80x24: nothing scrolls off, there is a way back, and the answers file is Copier's own."""

from __future__ import annotations

import sys
import time

import copier
import pexpect
import pyte
import pytest
import yaml
from keyboard import DOWN, ENTER
from repository import QUESTIONS, ROOT

ROWS, COLUMNS = 24, 80
ESCAPE = "\x1b"
SECONDS = 60
WRITE, CHANGE, STOP = ENTER, DOWN + ENTER, DOWN * 2 + ENTER
SHORT, LONG = ENTER, DOWN + ENTER
PAGE = "Enter: go on. Esc: go back."
pytestmark = pytest.mark.deep


class Screen(pyte.HistoryScreen):
    """What a person sees, and how often the program began a new page."""

    begun = 0

    def erase_in_display(self, how: int = 0, *arguments, **options) -> None:
        self.begun += how == 2
        super().erase_in_display(how, *arguments, **options)


class Terminal:
    """The program at a terminal; `pages` are what was on the screen at each key."""

    def __init__(self, *arguments: str) -> None:
        command = [str(ROOT / "tools" / "new.py"), *arguments]
        self.program = pexpect.spawn(sys.executable, command, dimensions=(ROWS, COLUMNS), encoding="utf-8")
        self.screen = Screen(COLUMNS, ROWS, history=1000)
        self.stream = pyte.Stream(self.screen)
        self.pages: list[str] = []
        self.begun = 0  # pages when the last key was pressed

    def read(self, seconds: float) -> bool:
        try:
            self.stream.feed(self.program.read_nonblocking(65536, seconds))
        except pexpect.TIMEOUT:
            return False
        return True

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).strip()

    def next_page(self) -> str:
        """Wait until the next page is there and still."""
        end = time.monotonic() + SECONDS
        while self.read(0.3) or self.screen.begun == self.begun or not self.text():
            assert time.monotonic() < end, f"nothing new appears after\n{self.text()}"
        assert not self.screen.history.top, f"scrolled off: {self.pages[-1]}"
        return self.text()

    def press(self, keys: str) -> None:
        self.pages.append(self.text())
        self.begun = self.screen.begun
        self.program.send(keys)

    def see(self, words: str) -> str:
        """The page with these words, which comes next or after pages that are only read."""
        while words not in (page := self.next_page()) or page.endswith(PAGE):
            assert page.endswith(PAGE), f"{words!r} does not appear on\n{page}"
            self.press(ENTER)
        return page

    def answer(self, name: str, keys: str = ENTER) -> str:
        """Answer a question when it is there. Gives the screen."""
        first = "Which orchestrator?" if name == "orchestrator" else QUESTIONS[name]["help"].splitlines()[0]
        shown = self.see(first)
        self.press(keys)
        return shown

    def enter_until(self, words: str) -> str:
        """Enter at everything until a page has these words."""
        while words not in (page := self.next_page()):
            self.press(ENTER)
        return page

    def end(self) -> int:
        while True:
            try:
                self.stream.feed(self.program.read_nonblocking(65536, SECONDS))
            except pexpect.EOF:
                return self.program.wait()


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def start(*arguments: str) -> Terminal:
        opened.append(Terminal(str(tmp_path / "project"), *arguments))
        return opened[-1]

    yield start
    for each in opened:
        each.program.close(force=True)


def copied(tmp_path, **answers) -> dict:
    """The answers file that Copier alone writes of these answers."""
    target = tmp_path / "by-copier"
    copier.run_copy(str(ROOT), target, data=answers, defaults=True, quiet=True, vcs_ref="HEAD")
    return yaml.safe_load((target / ".copier-answers.yml").read_text())


def test_back_change_and_summary_end_in_the_answers_file_of_copier(terminal, tmp_path):
    screen = terminal()
    assert "Esc goes back one question" in screen.see("How much do you want to answer?")
    screen.press(SHORT)
    screen.answer("project_name", "\x15Bad Name" + ENTER)
    refused = screen.see("Bad Name")
    assert "write lower-case letters" in refused.splitlines()[0]
    screen.press("\x15weather-marts" + ENTER)
    assert "weather_marts" in screen.answer("package_name")
    screen.answer("description", ESCAPE)
    screen.answer("package_name", ESCAPE)
    assert "weather-marts" in screen.answer("project_name"), "the answer that was given is there"
    for name in ("package_name", "description", "owning_team", "owner_contact", "platform_contact"):
        screen.answer(name)
    screen.answer("pipeline_shape", DOWN + ENTER)
    screen.answer("team_size", ESCAPE)
    screen.answer("pipeline_shape", DOWN + ENTER)  # from the second, where it stood
    assert "ML, API loops" in screen.pages[-1]
    summary = screen.enter_until("Is this right?")
    assert "project_name: weather-marts" in summary
    assert "pipeline_shape: ML, API loops, fan-out known only at run time" in summary
    assert not (tmp_path / "project").exists()
    screen.press(CHANGE)
    names = [line.strip(" »") for line in screen.see("Which one?").splitlines()]
    screen.press(DOWN * (names.index("owning_team") - names.index("project_name")) + ENTER)
    screen.answer("owning_team", "\x15weather" + ENTER)
    assert "owning_team: weather" in screen.enter_until("Is this right?")
    screen.press(WRITE)
    assert screen.end() == 0
    assert "make run" in screen.text()
    recorded = yaml.safe_load((tmp_path / "project" / ".copier-answers.yml").read_text())
    answers = {"depth": "quick", "project_name": "weather-marts", "pipeline_shape": "ml_dynamic"}
    expected = copied(tmp_path, owning_team="weather", **answers)
    commit = {"_commit": ""}  # of a checkout with changes, Copier makes a commit of its own each time
    assert recorded | commit == expected | commit


def test_the_long_way_fits_the_screen_and_says_why_systems_are_out(terminal, tmp_path):
    screen = terminal()
    screen.see("How much do you want to answer?")
    screen.press(LONG)
    screen.enter_until("Is this right?")
    assert any(QUESTIONS["connects_to"]["help"].splitlines()[0] in page for page in screen.pages)
    shown = [" ".join(page.split()) for page in screen.pages]
    [why] = [page for page in shown if page.startswith("Which orchestrator? Your answers point to")]
    assert "The project is built on it" in why
    out = next(page for page in shown if page.startswith("Ruled out or not possible:") and "Temporal" in page)
    assert "needs engineers who are used to distributed systems" in out
    assert "(rule temporal-for-plain-etl, temporal-without-skills)" in out
    [asked] = [page for page in shown if page.startswith("? Which orchestrator?")]
    assert "Temporal" not in asked
    screen.press(STOP)
    assert screen.end() == 130
    assert "nothing was written" in screen.text()
    assert not (tmp_path / "project").exists()


def test_what_cannot_be_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for arguments, words in (
        ([str(tmp_path)], "exists and is not empty; name another folder"),
        ([str(tmp_path / "new")], "there is no terminal to ask at"),
    ):
        output, status = pexpect.run(
            f"bash -c '{sys.executable} {ROOT}/tools/new.py {arguments[0]} < /dev/null'",
            withexitstatus=True,
            timeout=60,
        )
        assert status == 1
        assert words in output.decode()
        assert len(output.decode().strip().splitlines()) == 1
