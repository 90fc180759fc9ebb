"""What an import read, kept, set aside and assumed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from eventlog._runtime.text import one_line


@dataclass
class Summary:
    """What an import read, kept, set aside and assumed; its text is what the command prints."""

    file: str
    out: Path
    rows: int = 0
    kept: int = 0
    users: int = 0
    labels: int = 0
    first: pd.Timestamp | None = None
    last: pd.Timestamp | None = None
    # Reason -> (rows, first row in the file).
    rejects: dict[str, tuple[int, int]] = field(default_factory=dict)
    # Reason -> the value in its first row, such as "price is '1,50'".
    examples: dict[str, str] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)  # event name -> rows
    roles: dict[str, str] = field(default_factory=dict)  # event name -> role
    notes: list[str] = field(default_factory=list)  # what was assumed or left out

    def __str__(self) -> str:
        lines = [
            f"{self.file}: {self.rows:,} rows read, {self.kept:,} events of {self.users:,} users "
            "kept, "
            f"{self.rows - self.kept:,} set aside"
        ]
        if self.first is not None and self.last is not None:
            lines.append(
                f"  span      {self.first:%Y-%m-%d %H:%M:%S} to {self.last:%Y-%m-%d %H:%M:%S} UTC"
            )
        for name, n in sorted(self.events.items(), key=lambda e: (-e[1], e[0])):
            lines.append(f"  event     {name} ({self.roles[name]}): {n:,}")
        for reason, (n, first) in sorted(self.rejects.items()):
            lines.append(
                f"  set aside {reason}: {n:,} (first in row {first:,}{self.example(reason)})"
            )
        if self.labels:
            lines.append(f"  labels    {self.labels:,}")
        lines += [f"  note      {text}" for text in self.notes]
        return "\n".join(map(one_line, [*lines, f"written to {self.out}"]))

    def example(self, reason: str) -> str:
        """Return the value in the first row set aside for a reason, as the end of a sentence."""
        return f", where {self.examples[reason]}" if reason in self.examples else ""
