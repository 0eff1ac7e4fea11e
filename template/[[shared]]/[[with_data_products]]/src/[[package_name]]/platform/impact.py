"""What follows a table or a column, for those who are about to change it: a tree at the terminal, and a picture."""

from __future__ import annotations

import sys
from html import escape
from typing import TYPE_CHECKING

from . import config, dbt, lineage

if TYPE_CHECKING:
    from .lineage import Lineage
    from .pipelines import Pipeline

WIDTH, HEIGHT, GAP = 250, 46, 18  # of a box, in pixels
STYLE = """
  text { font: 12px sans-serif; fill: #1b1f24 } .small { font-size: 10px; fill: #57606a }
  rect { fill: #f6f8fa; stroke: #8c959f } .exposure { fill: #ddf4ff } .changed { fill: #fff8c5 }
  path { fill: none; stroke: #8c959f }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9da7b1 }
    rect { fill: #161b22 } .exposure { fill: #0c2d6b } .changed { fill: #4b3900 }
  }
"""


def show(pipeline: Pipeline, table: str, column: str = "") -> None:
    """Print what follows a table or a column as a tree, each with its owner, and write the picture.

    Raises ConfigError when there is no such table or column, or nothing was built yet.
    """
    from rich.console import Console
    from rich.tree import Tree

    known = lineage.read(pipeline)
    rows = list(lineage.affected(known, table, column))
    tree = Tree(_label(known, table, column))
    branches = [tree]
    for depth, name, columns in rows:
        del branches[depth:]
        branches.append(branches[-1].add(_label(known, name, columns)))
    out = Console(highlight=False, markup=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
    out.print(tree)
    if not rows:
        out.print("nothing follows it")
        return
    if readers := sorted({name for _, name, _ in rows if known.kinds[name] == "exposure"}):
        out.print(f"tell before a change: {', '.join(known.owners.get(name, name) for name in readers)}")
    file = dbt.state(pipeline) / "impact.svg"
    file.write_text(picture(known, table, column), encoding="utf-8")
    out.print(f"picture: {file.relative_to(config.load().root) if file.is_relative_to(config.load().root) else file}")


def picture(known: Lineage, table: str, column: str = "") -> str:
    """The same as an SVG, light and dark: a box for each table and reader, to the right of all that it is made of."""
    depths, columns, edges = {table: 0}, {table: {column} - {""}}, set()
    trail = [table]
    for depth, name, made in lineage.affected(known, table, column):
        del trail[depth:]
        edges.add((trail[-1], name))
        trail.append(name)
        depths[name] = max(depths.get(name, 0), depth)
        columns.setdefault(name, set()).update(made.split(", ") if made else [])
    places: dict[str, tuple[int, int]] = {}
    for name in sorted(depths, key=lambda each: (depths[each], each)):
        row = sum(depths[other] == depths[name] for other in places)
        places[name] = (GAP + depths[name] * (WIDTH + 3 * GAP), GAP + row * (HEIGHT + GAP))
    drawn = [_edge(places[start], places[end]) for start, end in sorted(edges)]
    drawn += [_box(known, name, ", ".join(sorted(columns[name])), *places[name], name == table) for name in places]
    width, height = (max(place[axis] for place in places.values()) for axis in (0, 1))
    size = f'width="{width + WIDTH + GAP}" height="{height + HEIGHT + GAP}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style>\n' + "\n".join(drawn) + "\n</svg>\n"


def _edge(start: tuple[int, int], end: tuple[int, int]) -> str:
    (x, y), (to_x, to_y) = (start[0] + WIDTH, start[1] + HEIGHT // 2), (end[0], end[1] + HEIGHT // 2)
    return f'<path d="M {x} {y} C {x + GAP} {y}, {to_x - GAP} {to_y}, {to_x} {to_y}"/>'


def _box(known: Lineage, name: str, columns: str, x: int, y: int, changed: bool) -> str:
    kind, about = known.kinds[name], columns or known.owners.get(name, "")
    described = escape(f"{kind} · {known.owners.get(name, 'no owner')}{f' · {columns}' if columns else ''}")
    return (
        f'<g><title>{described}</title><rect class="{"changed" if changed else kind}" x="{x}" y="{y}" '
        f'width="{WIDTH}" height="{HEIGHT}" rx="5"/><text x="{x + 10}" y="{y + 19}">{escape(_cut(name, 34))}</text>'
        f'<text class="small" x="{x + 10}" y="{y + 36}">{escape(_cut(f"{kind} · {about}", 44))}</text></g>'
    )


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _label(known: Lineage, name: str, columns: str) -> str:
    kind, owner = known.kinds[name], known.owners.get(name, "")
    return f"{name}{f' ({columns})' if columns else ''} · {kind}{f' · {owner}' if owner else ''}"
