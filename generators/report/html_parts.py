"""Pieces of the report's page: escaping, verdict signs, numbers, tables that become blocks on a
narrow screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape as escape_html
from typing import Any

from generators.report.plots import Picture, printable

SIGNS = {
    "pass": "✓ pass",
    "condition": "! on conditions",
    "unsettled": "? unsettled",
    "fail": "✗ fail",
    "unproved": "✗ not proved",
    "not run": "– not run",
}


def escape(text: str) -> str:
    """Return `text` for the page: printable, and no markup."""
    return escape_html(printable(text))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    """Return a table of cells that are HTML already.

    `align` has 'n' where a column right of the first holds numbers. On a narrow screen a row
    becomes a block whose cells carry the name of their column.
    """
    marks = [
        ' class="n"' if i < len(align) and align[i] == "n" and i > 0 else ""
        for i in range(len(head))
    ]
    top = "".join(f"<th{m}>{escape(h)}</th>" for h, m in zip(head, marks, strict=True))

    def cells(row: Sequence[str]) -> str:
        return "".join(
            f'<td{m} data-label="{escape(h)}">{c}</td>'
            for c, h, m in zip(row, head, marks, strict=True)
        )

    body = "".join(f"<tr>{cells(row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="stack"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def folded(title: str, body: str, found: str = "") -> str:
    """Return a part that opens on a click, and on paper; `found` stands beside its title."""
    beside = f' <span class="soft">{escape(found)}</span>' if found else ""
    return f"<details><summary>{escape(title)}{beside}</summary><div>{body}</div></details>"


def picture(drawn: Picture) -> str:
    """Return a figure with its caption."""
    return f"<figure>{drawn.svg}<figcaption>{escape(drawn.caption)}</figcaption></figure>"


def box(text: str) -> str:
    """Return a paragraph that is set apart."""
    return f'<div class="box">{escape(text)}</div>'


def bullets(texts: Iterable[str], *, kind: str = "ul") -> str:
    """Return a list of sentences."""
    return f"<{kind}>{''.join(f'<li>{escape(t)}</li>' for t in texts)}</{kind}>"


def sign(verdict: str) -> str:
    """Return a verdict with its sign and colour."""
    return f'<span class="v {escape(verdict)}">{escape(SIGNS.get(verdict, verdict))}</span>'


def counted(verdicts: Sequence[str]) -> str:
    """Return how many of each verdict: '3 pass, 1 fail'."""
    return ", ".join(
        f"{verdicts.count(word)} {SIGNS[word][2:]}" for word in SIGNS if word in verdicts
    )


def rate(value: Mapping[str, Any]) -> str:
    """Return a rate with its interval."""
    return f"{value['value']:.3f} <span class=soft>[{value['low']:.3f}, {value['high']:.3f}]</span>"


def number(value: float | None) -> str:
    """Return a number with about three digits; a dash where there is none."""
    if value is None:
        return "–"
    whole = abs(value) >= 1000 or (value == int(value) and abs(value) >= 1)
    return f"{value:,.0f}" if whole else f"{value:.3g}" if value else "0"


def cell(value: Any) -> str:
    """Return any value as the HTML of a cell."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(float(value))
    return escape("–" if value is None else str(value))


def ordered(rows: Iterable[Mapping[str, Any]], first: Sequence[str]) -> list[str]:
    """Return all keys of `rows`: those in `first` in that order, then the others by name."""
    keys = {str(k) for row in rows for k in row}
    return sorted(keys, key=lambda k: (first.index(k) if k in first else len(first), k))
