"""Checkpoints: the steps of a long job, each done once and repeated only if its inputs changed.

Example::

    with Checkpoints("out/internal", assumed={"fit": 60.0, "sample": 5.0}) as steps:
        steps.run("fit", {"log": digest, "epsilon": 3}, makes=["model"], do=fit_and_save)

The files of a step appear whole or not at all (eventlog._runtime.files). Before a step begins, the
files of an earlier run are removed and the fingerprint of its inputs is recorded. So a step is done
if that fingerprint is the current one and all its files exist, whenever the process was killed: a
finished fit is never repeated.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from eventlog._runtime.console import note
from eventlog._runtime.errors import InputError
from eventlog._runtime.files import read_json, write_json

PROGRESS, LOCK = "progress.json", ".lock"
MADE_BY = "generators share"


def fingerprint(value: Any) -> str:
    """Return a short hash of plain data, equal for equal content."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def duration(seconds: float) -> str:
    """Return a rough length of time in words: '40 s', '3 min', '2.5 h'."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s" if seconds < 10 else f"{round(seconds, -1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3600:.1f} h"


class Checkpoints:
    """The steps of one job in `folder`.

    `assumed` gives their names in order, and the seconds that each may take.
    """

    def __init__(self, folder: Path | str, *, assumed: Mapping[str, float]) -> None:
        self.folder = Path(folder)
        self.assumed = dict(assumed)
        self.seconds: dict[str, float] = {}  # of the steps done in this process
        self.data: dict[str, Any] = {"made_by": MADE_BY, "steps": {}}

    def __enter__(self) -> Self:
        """Lock the folder for this process and remove what a killed one left behind.

        Raises InputError where another process holds the lock.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.folder / LOCK, timeout=0)
        try:
            self._lock.acquire()
        except Timeout:
            raise InputError(
                f"Another process is working in {self.folder}; wait for it, or choose "
                "another --out."
            ) from None
        for place in (self.folder, self.folder.parent):
            for left in [*place.glob(".*.tmp"), *place.glob(".*.old"), *place.glob(".*.tmp.*")]:
                _remove(left)
        if (self.folder / PROGRESS).exists():
            self.data = read_progress(self.folder)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def save(self, **facts: Any) -> None:
        """Write progress.json, with further `facts`."""
        self.data |= facts
        write_json(self.folder / PROGRESS, self.data)

    def run(self, name: str, inputs: Any, *, makes: Sequence[str], do: Callable[[], None]) -> bool:
        """Do a step unless it is done, and return whether it was done now.

        Args:
            name: of the step, one of `assumed`.
            inputs: plain data that decides the result.
            makes: its files and folders, relative to the folder.
            do: the work.
        """
        key, made = fingerprint(inputs), [self.folder / m for m in makes]
        known = self.data["steps"].get(name, {})
        if known.get("inputs") == key and all(path.exists() for path in made):
            note(f"{self._place(name)}: done before")
            return False
        for path in made:
            _remove(path)
        note(f"{self._place(name)}: {self._outlook(name)}")
        self.data["steps"][name] = {"inputs": key}
        self.save()
        began = time.monotonic()
        do()
        self.seconds[name] = time.monotonic() - began
        self.data["steps"][name]["seconds"] = round(self.seconds[name], 2)
        self.save()
        return True

    def took(self, name: str) -> float | None:
        """Return the seconds that a step took, in this or an earlier process; None if not done."""
        seconds = self.data["steps"].get(name, {}).get("seconds")
        return None if seconds is None else float(seconds)

    def scale(self) -> float:
        """Return measured over assumed seconds of the steps done in this process."""
        expected = sum(self.assumed[n] for n in self.seconds)
        return sum(self.seconds.values()) / expected if expected > 0 else 1.0

    def _place(self, name: str) -> str:
        return f"[{list(self.assumed).index(name) + 1}/{len(self.assumed)}] {name}"

    def _outlook(self, name: str) -> str:
        """Return in words how long this step and all remaining ones may take."""
        scale = self.scale()
        names = list(self.assumed)
        left = [scale * self.assumed[n] for n in names[names.index(name) :]]
        return f"about {duration(left[0])}, about {duration(sum(left))} left in all"


def read_progress(folder: Path) -> dict[str, Any]:
    """Return the content of progress.json in `folder`. Raises InputError for a foreign file."""
    data = read_json(folder / PROGRESS)
    if (
        not isinstance(data, dict)
        or data.get("made_by") != MADE_BY
        or not isinstance(data.get("steps"), dict)
    ):
        raise InputError(
            f"{folder / PROGRESS} was not written by this program; choose another --out."
        )
    return data


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
