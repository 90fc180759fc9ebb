r"""Markdown of tables and figures. What comes from data is text, never markup.

Example::

    plain("[x](evil) | two")    # "\[x\](evil) \| two"
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence

from eventlog._runtime.text import one_line

MARKUP = re.compile(r"([\\`*\[\]<>|&#!~]|(?<!\w)_|_(?!\w))")


def plain(text: object) -> str:
    """Return a text from data so that it is shown as it is: on one line, and without markup."""
    return MARKUP.sub(r"\\\1", one_line(text))


def code(text: object) -> str:
    """Return a text from data as code, whatever back ticks it has."""
    inner = one_line(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", inner)), default=0))
    pad = " " if "`" in inner else ""
    return f"{fence}{pad}{inner}{pad}{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a table with aligned columns, so that it reads as text; cells are Markdown already."""
    body = [[one_line(cell) for cell in row] for row in [head, *rows]]
    width = [max(len(row[i]) for row in body) for i in range(len(head))]
    for i, row in enumerate(body):
        yield "| " + " | ".join(c.ljust(w) for c, w in zip(row, width, strict=True)) + " |"
        if i == 0:
            yield "|" + "|".join("-" * (w + 2) for w in width) + "|"
    yield ""


def number(value: float) -> str:
    """Return four digits after the point, or a dash for what is missing."""
    return "–" if not math.isfinite(value) else f"{value:.4f}"


def percent(value: float) -> str:
    """Return a share as whole percents, or a dash for what is missing."""
    return "–" if not math.isfinite(value) else f"{value:.0%}"


def short(value: float | None) -> str:
    """Return three significant digits: 12,300 or 0.0123."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ranged(value: float, low: float, high: float, *, share: bool = False) -> str:
    """Return a value with its interval, which may be missing."""
    shown = percent if share else number
    if not math.isfinite(value):
        return "–"
    if not math.isfinite(low) or not math.isfinite(high):
        return shown(value)
    return f"{shown(value)} [{shown(low)}, {shown(high)}]"


def each(values: Iterable[str]) -> str:
    """Return sorted texts with commas between them."""
    return ", ".join(sorted(values)) or "none"
