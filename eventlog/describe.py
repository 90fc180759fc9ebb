"""Describe a log at a glance: span, users, funnel, columns, labels, and what stands out.

Example::

    description = describe("mylog", against="lastyear")
    print(description)
    Path("mylog.html").write_text(description.html())
"""

from __future__ import annotations

import html
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pandas as pd

from eventlog.description import drift
from eventlog.description.facts import Facts, gather
from eventlog.description.remarks import remarks
from eventlog.description.tables import tables
from eventlog.log import EventLog, require_log


@dataclass(frozen=True, repr=False)
class Description:
    """Tables by title, in the order in which they are shown, and the facts behind them."""

    tables: dict[str, pd.DataFrame]
    facts: Facts
    other: Facts | None = None  # of the log that it is compared with

    def __repr__(self) -> str:
        facts = self.facts
        return f"<Description of {facts.name}: events {facts.events:,}, {', '.join(self.tables)}>"

    def _repr_html_(self) -> str:
        return "".join(
            f"<h4>{html.escape(title)}</h4>{table.to_html(index=False)}"
            for title, table in self.tables.items()
        )

    def __str__(self) -> str:
        return "\n\n".join(
            f"{title}\n{table.to_string(index=False)}" for title, table in self.tables.items()
        )

    def html(self) -> str:
        """Return the page that shows the log, with everything that it needs inside."""
        from eventlog.description.page import page

        return page(self.facts, self.tables, self.other)

    def show(self, stream: IO[str] | None = None) -> None:
        """Print tables with borders on a terminal, aligned plain text otherwise."""
        stream = stream or sys.stdout
        if not stream.isatty():
            print(self, file=stream)
            return
        from rich.console import Console
        from rich.table import Table

        console = Console(file=stream)
        for title, table in self.tables.items():
            box = Table(title=title, title_justify="left")
            for name in table.columns:
                box.add_column(
                    str(name),
                    justify="right" if pd.api.types.is_numeric_dtype(table[name]) else "left",
                )
            for row in table.itertuples(index=False):
                box.add_row(*map(str, row))
            console.print(box)


def describe(
    log: EventLog | Path | str, *, against: EventLog | Path | str | None = None
) -> Description:
    """Return counts, shares and what stands out of a log, and how it differs from another.

    A folder is read part by part, so that memory holds one part at a time. Raises InputError if
    it is not a log, or has no events.
    """
    for given in (log, against):
        if given is not None and not isinstance(given, Path | str):
            require_log(given, "describe")
    facts = gather(log)
    found = tables(facts)
    notes = remarks(facts)
    if notes:
        rows = [(note.about, note.text) for note in notes]
        found = {"Stands out": pd.DataFrame(rows, columns=["column", "what"]), **found}
    other = None if against is None else gather(against)
    if other is not None:
        found[f"Against {other.name}"] = drift.table(facts, other)
    return Description(found, facts, other)
