"""What the page's templates show: tables of plain values, numbers in words, verdicts with signs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SIGNS = {
    "pass": "✓ pass",
    "condition": "! on conditions",
    "unsettled": "? unsettled",
    "fail": "✗ fail",
    "unproved": "✗ not proved",
    "not run": "– not run",
}


@dataclass(frozen=True)
class Table:
    """A table of the page. A cell is text, or one of the mappings that `parts.html.jinja` knows."""

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    align: str = ""  # 'n' at the position of each column of numbers, right of the first

    def is_number(self, column: int) -> bool:
        """Return whether a column holds numbers, which are aligned to the right."""
        return 0 < column < len(self.align) and self.align[column] == "n"


def counted(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return how many rows have each verdict: '3 pass, 1 fail'."""
    verdicts = [row["verdict"] for row in rows]
    return ", ".join(
        f"{verdicts.count(word)} {SIGNS[word][2:]}" for word in SIGNS if word in verdicts
    )


def percent(value: float) -> str:
    """Return a share as a percentage with one decimal: '12.5%'."""
    return f"{float(value):.1%}"


def number(value: float | None) -> str:
    """Return a number with about three digits; a dash for None."""
    if value is None:
        return "–"
    whole = abs(value) >= 1000 or (value == int(value) and abs(value) >= 1)
    return f"{value:,.0f}" if whole else f"{value:.3g}" if value else "0"


def shown(value: Any) -> str:
    """Return any value as text; numbers as `number` writes them, a dash for None."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(float(value))
    return "–" if value is None else str(value)


def ordered(rows: Iterable[Mapping[str, Any]], first: Sequence[str]) -> list[str]:
    """Return all keys of `rows`: those in `first` in that order, then the others by name."""
    keys = {str(k) for row in rows for k in row}
    return sorted(keys, key=lambda k: (first.index(k) if k in first else len(first), k))
