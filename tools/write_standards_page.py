"""Write the tables of docs/standards.md: the rules, and how well each does over the labelled corpus in tests/hooks.

With --check, write nothing and end with an error when the page differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from orch_standards import rules

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "standards.md"
START, END = "<!-- tables: written by tools/write_standards_page.py -->", "<!-- end of tables -->"
sys.path.insert(0, str(ROOT / "tests" / "hooks"))

from corpus_score import Score, repositories, scores  # noqa: E402  it stands beside the corpus


def page() -> str:
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(START)[0], text.split(END)[1]
    return f"{before}{START}\n\n{tables()}\n{END}{after}"


def tables() -> str:
    found = scores()
    lines = []
    for check in dict.fromkeys(rule.check for rule in rules().values()):
        lines += [
            f"#### {check}",
            "",
            "| rule | severity | what it says | right | wrong | missed | precision | recall |",
        ]
        lines.append("|---|---|---|---:|---:|---:|---:|---:|")
        for rule in rules().values():
            if rule.check == check:
                sentence = rule.sentence.replace("{what}", "…").replace("|", "\\|")
                lines.append(f"| `{rule.id}` | {rule.severity} | {sentence} | {_figures(found[rule.id])} |")
        lines.append("")
    total = Score()
    for score in found.values():
        for kind in ("right", "wrong", "missed"):
            getattr(total, kind).extend(getattr(score, kind))
    head = ["| repositories | labelled lines | right | wrong | missed | precision | recall |", "|---:" * 7 + "|"]
    labelled = len(total.right) + len(total.missed)
    summary = [*head, f"| {len(repositories())} | {labelled} | {_figures(total)} |", ""]
    return "\n".join([*summary, *lines, *_lists(found)])


def _figures(score: Score) -> str:
    shares = ("-" if share is None else f"{share:.2f}" for share in (score.precision, score.recall))
    return " | ".join([str(len(score.right)), str(len(score.wrong)), str(len(score.missed)), *shares])


def _lists(found: dict[str, Score]) -> list[str]:
    lines = ["#### What is wrong and what is missed", ""]
    for kind in ("wrong", "missed"):
        lines += [f"- {kind}: `{rule}` at `{place}`" for rule, score in found.items() for place in getattr(score, kind)]
    return [*lines, ""]


def main() -> str | None:
    if "--check" in sys.argv:
        same = PAGE.read_text(encoding="utf-8") == page()
        return None if same else "docs/standards.md is not what the corpus gives: make standards-page"
    PAGE.write_text(page(), encoding="utf-8")
    return None


if __name__ == "__main__":
    sys.exit(main())
