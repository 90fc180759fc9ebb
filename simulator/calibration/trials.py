"""The trials of a calibration, kept line by line, so that an interrupted run can continue.

The file holds the task, the differentially private release (so that continuing spends no more
privacy) and each trial.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class Trials:
    """Facts by settings, in memory and, where a file is given, on disk as JSON lines.

    A line that was not written to its end is skipped.
    """

    def __init__(self, path: Path | str | None, task: dict[str, Any]) -> None:
        self.path, self.facts = path, dict[str, dict[str, float]]()
        mine = False
        for line in lines(path):
            if "task" in line:
                mine = line["task"] == json.loads(json.dumps(task))
            elif mine and "trial" in line:
                self.facts[line["trial"]] = {
                    k: math.nan if v is None else v for k, v in line["facts"].items()
                }
        if not mine:
            append(path, {"task": task})

    def get(
        self, changes: dict[str, float], simulate: Callable[[], dict[str, float]]
    ) -> dict[str, float]:
        """Return the facts that `changes` lead to; `simulate` is called once."""
        key = json.dumps(changes, sort_keys=True)
        if key not in self.facts:
            self.facts[key] = simulate()
            facts = {k: None if math.isnan(v) else v for k, v in self.facts[key].items()}
            append(self.path, {"trial": key, "facts": facts})
        return self.facts[key]

    def forget(self) -> None:
        """Remove the file, once the work is done."""
        if self.path is not None:
            Path(self.path).unlink(missing_ok=True)


def lines(path: Path | str | None) -> Iterator[dict[str, Any]]:
    """Yield the file's records; none where there is no file."""
    if path is None or not Path(path).exists():
        return
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def append(path: Path | str | None, record: dict[str, Any]) -> None:
    """Append a line to the file, where one is kept."""
    if path is None:
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def release_of(keep: Path | str | None, asked: dict[str, Any]) -> dict[str, Any] | None:
    """Return the release of an interrupted run that asked for the same.

    Nothing is drawn again, so it costs no more privacy.
    """
    for line in lines(keep):
        if line.get("asked") == asked:
            return dict(line["release"])
    return None
