"""Render the leaderboard as a page: an explorer of all rows, the plots, tables and paired tests.

The page needs nothing from anywhere but `vega.js` beside it, which shows the plots; without it
they are pictures. The text is the Markdown that `leaderboard.lines` writes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from benchmark.evaluation import statistics
from benchmark.report import frame
from benchmark.report.aggregate import FAMILIES, Board
from eventlog._runtime.pages import templates

NAMES = ("model", "generator")  # columns that stay in sight when a table is moved sideways
NUMBER = re.compile(r"[-+−]?[0-9]")


@dataclass(frozen=True)
class Heading:
    """A heading; `text` is without marks."""

    kind: ClassVar[str] = "heading"
    level: int
    anchor: str
    html: Markup
    text: str


@dataclass(frozen=True)
class Column:
    """A column of a table, with the attribute that its cells bear."""

    name: str | Markup
    classes: Markup


@dataclass(frozen=True)
class Table:
    """A table that sorts."""

    kind: ClassVar[str] = "table"
    columns: Sequence[Column]
    rows: Sequence[Sequence[str | Markup]]
    marks: Sequence[Markup]  # the attribute of each row: what family its model is of

    @classmethod
    def of(cls, head: Sequence[str | Markup], rows: Sequence[Sequence[str | Markup]]) -> Table:
        """Make a table; a column without a number in it is one of text."""
        columns = []
        for i, name in enumerate(head):
            numbers = any(NUMBER.match(_plain(row[i])) for row in rows)
            classes = "text name" if name in NAMES else "" if numbers else "text"
            attribute = Markup(f' class="{classes}"' if classes else "")
            columns.append(Column(name, attribute))
        at = list(head).index("family") if "family" in head else None
        families = ["" if at is None else _plain(row[at]) for row in rows]
        marks = [Markup(f' class="{f}"' if f in FAMILIES else "") for f in families]
        return cls(columns, rows, marks)


@dataclass(frozen=True)
class Figure:
    """A drawing, and the specification from which the page draws it anew."""

    kind: ClassVar[str] = "figure"
    label: str
    svg: Markup
    spec: Markup | None


@dataclass(frozen=True)
class Tests:
    """The paired tests of a board, folded away."""

    kind: ClassVar[str] = "tests"
    table: Table


@dataclass(frozen=True)
class Text:
    """Anything that Markdown renders by itself."""

    kind: ClassVar[str] = "text"
    html: Markup


Block = Heading | Table | Figure | Tests | Text


def render(
    lines: Iterable[str],
    boards: Sequence[Board],
    pictures: Path,
    specs: Mapping[str, Any] | None = None,
) -> str:
    """Return the page.

    Args:
        lines: those of leaderboard.md.
        boards: whose rows are explored and whose paired tests are shown.
        pictures: the folder to which the pictures in `lines` are relative.
        specs: name of a picture -> its Vega-Lite specification.
    """
    tests = {f"{b.task.capitalize()} on {b.log}": _tests(b) for b in boards if len(b.values) > 1}
    blocks = list(_with_tests(_blocks("\n".join(lines), pictures, specs or {}), tests))
    headings = [block for block in blocks if isinstance(block, Heading)]
    page = templates("benchmark.report").get_template("leaderboard.html.jinja")
    return page.render(
        blocks=blocks,
        headings=headings,
        rows=_data(frame.rows(boards)) if boards else None,
    )


@cache
def _markdown() -> MarkdownIt:
    """Return a parser that escapes HTML, and knows tables."""
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _with_tests(blocks: Iterable[Block], tests: Mapping[str, Tests]) -> Iterator[Block]:
    """Put the tests of a board at the end of its section."""
    pending: Tests | None = None
    for block in blocks:
        if isinstance(block, Heading):
            if pending is not None:
                yield pending
            pending = tests.get(block.text)
        yield block
    if pending is not None:
        yield pending


def _blocks(text: str, pictures: Path, specs: Mapping[str, Any]) -> Iterator[Block]:
    """Yield the blocks of a Markdown text."""
    tokens = _markdown().parse(text)
    anchors: set[str] = set()
    at = 0
    while at < len(tokens):
        end = _end_of_block(tokens, at)
        block = tokens[at:end]
        if block[0].type == "heading_open":
            heading = _heading(block, anchors)
            anchors.add(heading.anchor)
            yield heading
        elif block[0].type == "table_open":
            yield _table(block)
        elif images := _only_images(block):
            for image in images:
                path = pictures / str(image.attrs["src"])
                spec = _data(specs[path.name]) if path.name in specs else None
                yield Figure(_text([image]), _svg(path), spec)
        else:
            yield Text(_html(block))
        at = end


def _end_of_block(tokens: Sequence[Token], start: int) -> int:
    """Return the place after the block that begins at `start`."""
    depth = 0
    for at in range(start, len(tokens)):
        depth += tokens[at].nesting
        if depth == 0:
            return at + 1
    return len(tokens)


def _heading(block: Sequence[Token], taken: set[str]) -> Heading:
    inline = block[1].children or []
    text = _text(inline)
    anchor = first = re.sub(r"\W+", "-", text.lower()).strip("-")
    number = 1
    while anchor in taken:
        number += 1
        anchor = f"{first}-{number}"
    return Heading(int(block[0].tag[1:]), anchor, _inline(inline), text)


def _table(block: Sequence[Token]) -> Table:
    rows: list[list[str | Markup]] = []
    for token in block:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(_inline(token.children or []))
    return Table.of(rows[0], rows[1:])


def _tests(board: Board) -> Tests:
    """Return every pair of models: the difference, its interval, and the corrected p.

    There is no p where each model was fitted once.
    """
    compared, rows = board.compared(), []
    for better, worse in compared.pairs(board.names):
        difference, low, high = compared.difference(better, worse)
        p = board.p.get((better, worse))
        rows.append(
            [
                better,
                worse,
                f"{difference:.4f} [{low:.4f}, {high:.4f}]",
                "–" if p is None else statistics.printed(p),
            ]
        )
    head = ["better", "worse", f"difference in {board.headline} [95 %]", "p (step-down max-t)"]
    return Tests(Table.of(head, rows))


def _only_images(block: Sequence[Token]) -> list[Token]:
    """Return the images of a paragraph that holds nothing else."""
    children = (block[1].children or []) if block[0].type == "paragraph_open" else []
    parts = [token for token in children if token.type != "softbreak"]
    return parts if all(token.type == "image" for token in parts) else []


def _html(tokens: Sequence[Token]) -> Markup:
    for token in tokens:
        _lead_out_of_the_folder(token.children or [])
    parser = _markdown()
    return Markup(parser.renderer.render(list(tokens), parser.options, {}).rstrip())


def _inline(tokens: Sequence[Token]) -> Markup:
    _lead_out_of_the_folder(tokens)
    parser = _markdown()
    renderer: Any = parser.renderer  # its declared type lacks the method
    return Markup(renderer.renderInline(list(tokens), parser.options, {}))


def _lead_out_of_the_folder(tokens: Sequence[Token]) -> None:
    """Change relative links: the page is in a folder beside leaderboard.md."""
    for token in tokens:
        to = str(token.attrs.get("href", ""))
        if token.type == "link_open" and not re.match(r"[a-z]+:|/|#", to):
            token.attrs["href"] = f"../{to}"


def _text(tokens: Sequence[Token]) -> str:
    return "".join(_text(t.children) if t.children else t.content for t in tokens)


def _plain(cell: str | Markup) -> str:
    return cell.striptags() if isinstance(cell, Markup) else cell


def _data(value: Any) -> Markup:
    """Return plain data as JSON that may stand in a script element; what is not finite is null."""
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _svg(path: Path) -> Markup:
    """Return the drawing with ids of its own: two drawings in one page must not share one."""
    text = path.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    own: Any = lambda found: f"{found[1]}{path.stem}-"
    return Markup(re.sub(r'(\bid="|url\(#|href="#)', own, text))
