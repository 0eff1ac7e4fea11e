"""Python that is newer than the interpreter that checks it, written as older Python with the same lines.

A repository may use type parameters, type aliases or quotes inside f-strings while the checks run on an older Python.
LibCST reads such files; what has no older form and means nothing to the rules is blanked out.
"""

from __future__ import annotations

import ast

Edit = tuple[int, int, str]  # from, to, and what stands there instead


def parse(source: bytes) -> ast.Module | None:
    """The file as a tree; None when it is no Python that LibCST knows either."""
    import libcst  # only when it is needed: it takes longer to load than most repositories take to check

    try:
        text = source.decode("utf-8")
        wrapper = libcst.MetadataWrapper(libcst.parse_module(text), unsafe_skip_copy=True)
        collector = _collector(libcst, text)
        wrapper.visit(collector)
    except (libcst.ParserSyntaxError, UnicodeDecodeError, RecursionError):
        return None
    # Strings only when the rest is not enough: names inside of them are lost.
    for edits in (collector.edits, [*collector.edits, *collector.strings]):
        try:
            return ast.parse(_edited(text, edits))
        except (SyntaxError, ValueError, RecursionError):
            continue
    return None


def _collector(libcst, text: str):
    from libcst.metadata import PositionProvider

    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)

    class Collector(libcst.CSTVisitor):
        METADATA_DEPENDENCIES = (PositionProvider,)

        def __init__(self) -> None:
            self.edits: list[Edit] = []
            self.strings: list[Edit] = []

        def _span(self, node: libcst.CSTNode) -> tuple[int, int]:
            place = self.get_metadata(PositionProvider, node)
            return (
                starts[place.start.line - 1] + place.start.column,
                starts[place.end.line - 1] + place.end.column,
            )

        def visit_TypeParameters(self, node: libcst.TypeParameters) -> None:  # noqa: N802  as LibCST calls it
            start, end = self._span(node)
            self.edits.append((start, end, _blank(text[start:end])))

        def visit_TypeAlias(self, node: libcst.TypeAlias) -> bool:  # noqa: N802  as LibCST calls it
            start, end = self._span(node)
            self.edits.append((start, end, "pass" + "\n" * text.count("\n", start, end)))
            return False

        def visit_ExceptHandler(self, node: libcst.ExceptHandler) -> None:  # noqa: N802  as LibCST calls it
            if isinstance(node.type, libcst.Tuple) and not node.type.lpar:
                start, end = self._span(node.type)
                self.edits.append((start, end, f"({text[start:end]})"))

        def _string(self, node: libcst.CSTNode) -> bool:
            start, end = self._span(node)
            lines = text.count("\n", start, end)
            self.strings.append((start, end, '"""' + "\n" * lines + '"""' if lines else '""'))
            return False

        visit_FormattedString = _string  # noqa: N815
        visit_TemplatedString = _string  # noqa: N815

    return Collector()


def _blank(text: str) -> str:
    """As many lines of nothing, joined as one statement."""
    return " " + "\\\n" * text.count("\n")


def _edited(text: str, edits: list[Edit]) -> str:
    done: list[str] = []
    at = 0
    for start, end, instead in sorted(edits):
        if start >= at:
            done += [text[at:start], instead]
            at = end
    return "".join([*done, text[at:]])
