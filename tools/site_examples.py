"""The page of example projects: their trees, and each file once, highlighted, in a page of its own."""

from __future__ import annotations

import hashlib
import json
from html import escape
from pathlib import Path

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound
from rendered_diff import EXAMPLES, render_examples

LINES_SHOWN = 400  # of sample data there are thousands
LEXERS = {
    "Makefile": "x.mk",
    "CODEOWNERS": "x.txt",
    ".conf": "x.ini",
    ".env": "x.sh",
    ".mk": "x.mk",
    ".service": "x.ini",
}
FORMATTER = HtmlFormatter(cssclass="highlight", wrapcode=True)
PAGE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{path}</title>
<link rel="stylesheet" href="../examples.css"></head>
<body>{body}</body></html>
"""


def examples_page(folder: Path, projects: Path) -> str:
    """Text of the page. Renders the examples to `projects` and writes the pages of their files to `folder`."""
    folder.mkdir(parents=True)
    render_examples(projects)
    trees = ""
    for name, example in EXAMPLES.items():
        files = sorted(path for path in (projects / name).rglob("*") if path.is_file())
        tree: dict = {}
        for path in files:
            *parents, last = path.relative_to(projects / name).parts
            place = tree
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = path
        data = " ".join(f"--data {argument(*answer)}" for answer in example["answers"].items())
        trees += f"""\
<details name="example" data-example="{name}"><summary>{escape(example["title"])}, {len(files)} files</summary>
<p><code>copier copy --defaults {escape(data)} gh:org/orch-starter myproj</code></p>
{branch(tree, projects / name, folder)}</details>
"""
    return f"""\
---
hide:
  - navigation
  - toc
---

# Examples

These are whole projects as the template writes them. Open one, then one of its files. All have the same commands, the
same configuration and the same platform code. The files for the orchestrator, the shape and the hosting differ.

<link rel="stylesheet" href="examples/examples.css">
<div class="examples">
<div class="examples-trees">
{trees}</div>
<div id="example-file" role="region" aria-label="The file" aria-live="polite"><p>Choose a file.</p></div>
</div>
<script type="module" src="examples/examples.mjs"></script>
"""


def argument(name: str, answer: object) -> str:
    written = answer if isinstance(answer, str) else json.dumps(answer)
    return f"{name}={written}" if " " not in written else f"'{name}={written}'"


def branch(tree: dict, project: Path, folder: Path) -> str:
    """A folder's content as a list: first its folders, then its files."""
    lines = ""
    for name, entry in sorted(tree.items(), key=lambda each: (isinstance(each[1], Path), each[0])):
        if isinstance(entry, Path):
            path = entry.relative_to(project)
            link = f"examples/files/{write_file(entry, path, folder)}"
            lines += f'<li><a href="{link}" data-file="{escape(f"{project.name}/{path}")}">{escape(name)}</a></li>\n'
        else:
            while len(entry) == 1 and isinstance(
                next(iter(entry.values())), dict
            ):  # no step for a folder with one folder
                [(inner, entry)] = entry.items()
                name = f"{name}/{inner}"
            lines += f"<li><details><summary>{escape(name)}/</summary>{branch(entry, project, folder)}</details></li>\n"
    return f"<ul>\n{lines}</ul>\n"


def write_file(file: Path, path: Path, folder: Path) -> str:
    """Write the page of a file, unless another project has the same one; gives its name."""
    content = file.read_bytes()
    page = folder / f"{hashlib.sha256(path.suffix.encode() + content).hexdigest()[:16]}.html"
    if not page.exists():
        page.write_text(PAGE.format(path=escape(path.as_posix()), body=highlighted(path, content)), encoding="utf-8")
    return page.name


def highlighted(path: Path, content: bytes) -> str:
    try:
        lines = content.decode().splitlines(keepends=True)
    except UnicodeDecodeError:
        return f"<p>{len(content):,} bytes that are no text</p>"
    try:
        lexer = get_lexer_for_filename(LEXERS.get(path.name) or LEXERS.get(path.suffix) or path.name, stripnl=False)
    except ClassNotFound:
        lexer = TextLexer(stripnl=False)
    more = f"<p>{len(lines) - LINES_SHOWN:,} more lines</p>" if len(lines) > LINES_SHOWN else ""
    return highlight("".join(lines[:LINES_SHOWN]), lexer, FORMATTER) + more
