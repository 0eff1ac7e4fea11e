"""Fixtures of all tests: the template as users get it, projects rendered from it, and a PostgreSQL server."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import copier
import jinja2
import pytest
from copier import _main as copier_main
from copier import _template as copier_template
from repository import QUESTIONS, ROOT, git
from servers import postgresql_server

RELEASE = "v0.1.0"
SAME_PROJECTS = ("test_rendering", "test_ownership", "hooks.test_generated_projects", "test_generated_projects")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a module's fixtures run in one process; each installed project or engine is a group.

    So do the modules that look at the same rendered projects. The groups that take longest come first, so that no
    process is left alone with one of them.
    """
    items.sort(key=lambda item: item.module.__name__ not in SAME_PROJECTS and not item.get_closest_marker("project"))
    for item in items:
        if item.module.__name__ in SAME_PROJECTS:
            item.add_marker(pytest.mark.xdist_group("rendered"))
            continue
        params = item.callspec.params if hasattr(item, "callspec") else {}
        own = params.get("project", params.get("stack", ""))
        item.add_marker(pytest.mark.xdist_group(f"{item.module.__name__} {own}".strip()))


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    """The working tree as a released template: its files committed and tagged in a repository of their own."""
    clone = tmp_path_factory.mktemp("template") / "orch-starter"
    files = git("ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in files:
        if (ROOT / name).is_file():
            target = clone / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    git("init", "--quiet", "--initial-branch=main", cwd=clone)
    git("add", "--all", "--force", cwd=clone)
    git("commit", "--quiet", "--message", "release", cwd=clone)
    git("tag", RELEASE, cwd=clone)
    return clone


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """What renders of this process need not do each time.

    They compile the same texts, ask git about every file, and work out the answers and the name of their file for each
    path, although no answer changes while files are written. Together that is most of their time. What git is asked
    matters only where it ignores the executable bit.
    """
    compiled: dict[tuple, object] = {}
    compile_text = jinja2.Environment.compile
    render_template = copier_main.Worker._render_template

    def cached(self, source, *arguments, **options):
        key = (type(self), source, arguments, tuple(sorted(options.items())))
        if key not in compiled:
            compiled[key] = compile_text(self, source, *arguments, **options)
        return compiled[key]

    def with_fixed_answers(self):
        combined, remembered, path = self.answers.combined, self._answers_to_remember(), self.answers_relpath
        with pytest.MonkeyPatch.context() as fixed:
            fixed.setattr(type(self.answers), "combined", property(lambda _: dict(combined)))
            fixed.setattr(copier_main.Worker, "_answers_to_remember", lambda _: dict(remembered))
            fixed.setattr(copier_main.Worker, "answers_relpath", property(lambda _: path))
            return render_template(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jinja2.Environment, "compile", cached)
        patch.setattr(copier_main.Worker, "_render_template", with_fixed_answers)
        patch.setattr(copier_main.Worker, "_sync_git_index_executable_bit", lambda *_: None, raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def cloned_once(tmp_path_factory) -> Iterator[None]:
    """Renders of this process clone the released template once and read that clone; Copier removes an empty folder."""
    clones: dict[tuple[str, str, str], str] = {}
    clone = copier_template.clone

    def kept(url: str, ref: str = "HEAD", location: str | None = None) -> str:
        if ref != RELEASE or location is None:
            return clone(url, ref, location)
        key = (url, ref, git("rev-parse", f"{ref}^{{commit}}", cwd=url))
        if key not in clones:
            clones[key] = clone(url, ref, str(tmp_path_factory.mktemp("clone")))
        return clones[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copier_template, "clone", kept)
        yield


@pytest.fixture(scope="session")
def render(template, tmp_path_factory):
    """Render a project without trust, quietly: ``render(orchestrator="airflow")``. The same answers render once.

    Every answer must belong to a question: an answer to none would test nothing.
    """
    rendered: dict[str, Path] = {}

    def run(**answers) -> Path:
        unknown = answers.keys() - QUESTIONS.keys()
        assert not unknown, f"no such question: {unknown}"
        key = json.dumps(answers, sort_keys=True)
        if key not in rendered:
            target = tmp_path_factory.mktemp("rendered") / "project"
            with contextlib.redirect_stderr(io.StringIO()):
                copier.run_copy(str(template), target, data=answers, defaults=True, quiet=True, unsafe=False)
            rendered[key] = target
        return rendered[key]

    return run


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a PostgreSQL server on a free loopback port, stopped at the end."""
    with postgresql_server() as url:
        yield url
