"""Findings of a check: what is wrong with a log, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from eventlog._runtime.text import one_line


@dataclass(frozen=True)
class Finding:
    """Something that is wrong (error) or worth a look (warning)."""

    level: Literal["error", "warning"]
    file: str
    column: str
    row: int | None  # row of the file, counted from 0; None if it is not about one row
    text: str

    def __str__(self) -> str:
        place = (
            self.file
            + (f", column {self.column}" if self.column else "")
            + ("" if self.row is None else f", row {self.row}")
        )
        return one_line(f"{self.level}: {place}: {self.text}")


@dataclass
class Findings:
    """A list of findings to which checks add."""

    findings: list[Finding] = field(default_factory=list, init=False)

    def add(
        self,
        level: Literal["error", "warning"],
        file: str,
        column: str,
        where: np.ndarray,
        text: str,
    ) -> None:
        """Add one finding for the rows at which `where` (n,) bool holds: their count, the first."""
        if where.any():
            n = int(where.sum())
            count = "" if n == 1 else f" ({n:,} rows, this is the first)"
            self.findings.append(Finding(level, file, column, int(np.argmax(where)), text + count))

    def required(self, file: str, table: pd.DataFrame, missing: list[str]) -> None:
        """Add a finding for each required column that is missing."""
        has = ", ".join(map(str, table.columns))
        self.findings += [
            Finding("error", file, name, None, f"the column is required; the columns are {has}")
            for name in missing
        ]


def lines(findings: list[Finding]) -> Iterator[str]:
    """Yield what the command prints: a line for each finding, errors first, and their number."""
    yield from map(str, sorted(findings, key=lambda f: f.level != "error"))
    errors = sum(f.level == "error" for f in findings)
    yield (
        f"{errors} error(s), {len(findings) - errors} warning(s)"
        if findings
        else "nothing is wrong with this log"
    )
