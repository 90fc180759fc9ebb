"""The budget book: what all fits of logs about the same people may cost together.

Each fit under a budget is one (epsilon, delta)-private release. Releases compose: epsilons and
deltas add up, even where a later fit depends on the result of an earlier one (Rogers, Roth, Ullman
and Vadhan 2016, arXiv:1605.08294). A fit that would exceed the book is refused before it reads the
log. A fit that was begun counts until it is known that nothing came of it.

Example::

    python -m generators budget book.json --epsilon 8     # new book: at most epsilon 8 in all
    python -m generators fit mylog --epsilon 3 --budget book.json --out model
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eventlog._runtime.errors import InputError
from eventlog._runtime.files import read_json, write_json
from eventlog.privacy.noise import DELTA_MOST

FORMAT = 1
DELTA = 1e-5  # default of a book: ten releases at the largest default delta of a fit
SLACK = 1 + 1e-9  # for rounding errors in sums
MADE_BY = "generators budget"


@dataclass
class Entry:
    """One fit in a book. `status` is "begun" or "done"; both count."""

    what: str
    epsilon: float
    delta: float
    status: str
    at: str

    def settle(self, privacy: Mapping[str, Any]) -> None:
        """Record the actual cost of the fit, from its privacy statement."""
        self.epsilon, self.delta, self.status = (
            float(privacy["epsilon"]),
            float(privacy["delta"]),
            "done",
        )


@dataclass
class Book:
    """A book: the limits for all fits together, and the fits so far."""

    epsilon: float
    delta: float
    entries: list[Entry] = field(default_factory=list)

    @property
    def spent(self) -> tuple[float, float]:
        """Epsilon and delta of all entries together."""
        return math.fsum(e.epsilon for e in self.entries), math.fsum(e.delta for e in self.entries)

    def table(self) -> str:
        """Return the book as text: one line for each entry, and what is spent."""
        lines = [
            f"{k:>3}  {e.at}  epsilon {e.epsilon:<8g} delta {e.delta:<10.3g} {e.status:<6} {e.what}"
            for k, e in enumerate(self.entries, 1)
        ]
        epsilon, delta = self.spent
        lines.append(
            f"spent: epsilon {epsilon:g} of {self.epsilon:g}, delta {delta:.3g} of {self.delta:.3g}"
        )
        begun = [str(k) for k, e in enumerate(self.entries, 1) if e.status == "begun"]
        if begun:
            lines.append(
                f"begun and not known to have ended: {', '.join(begun)}; this counts. If nothing "
                f"of it was ever released: --drop {begun[0]}."
            )
        return "\n".join(lines)


def create(path: Path | str, *, epsilon: float, delta: float | None = None) -> Book:
    """Open a new book. Raises InputError where the file exists or a number is out of range."""
    path = Path(path)
    if path.exists():
        raise InputError(
            f"{path} exists; a book is opened once, and its limits stay. Leave --epsilon out to "
            "see it."
        )
    delta = DELTA if delta is None else delta
    if not (math.isfinite(epsilon) and epsilon > 0 and 0 < delta < 1):
        raise InputError(
            f"The book's epsilon is {epsilon:g} and its delta {delta:g}; epsilon must be above 0, "
            "delta between 0 and 1."
        )
    book = Book(epsilon, delta)
    _write(path, book)
    return book


def read(path: Path | str) -> Book:
    """Read a book. Raises InputError where there is none, or the file is not a book."""
    path = Path(path)
    if not path.exists():
        raise InputError(
            f"{path} does not exist; open the book first: python -m generators budget {path} "
            "--epsilon 8."
        )
    data = read_json(path)
    if not isinstance(data, dict) or data.get("made_by") != MADE_BY or data.get("format") != FORMAT:
        raise InputError(
            f"{path} is no budget book; open one: python -m generators budget book.json --epsilon "
            "8."
        )
    try:
        entries = [
            Entry(
                str(e["what"]),
                float(e["epsilon"]),
                float(e["delta"]),
                str(e["status"]),
                str(e["at"]),
            )
            for e in data["entries"]
        ]
        book = Book(float(data["epsilon"]), float(data["delta"]), entries)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} was changed by hand and cannot be read ({type(error).__name__}: {error})."
        ) from None
    numbers = [book.epsilon, book.delta, *(x for e in entries for x in (e.epsilon, e.delta))]
    if not all(math.isfinite(x) and x >= 0 for x in numbers):
        raise InputError(
            f"{path} was changed by hand: an epsilon or a delta is no number of 0 or more."
        )
    return book


def drop(path: Path | str, number: int) -> Book:
    """Remove entry `number` (from 1), which was begun and from which nothing was released.

    Raises InputError where there is no such entry, or it is done.
    """
    with _locked(path):
        book = read(path)
        if not 1 <= number <= len(book.entries):
            raise InputError(
                f"{path} has {len(book.entries)} entries; there is none with the number {number}."
            )
        if book.entries[number - 1].status != "begun":
            raise InputError(f"Entry {number} of {path} is done: a release cannot be taken back.")
        del book.entries[number - 1]
        _write(Path(path), book)
        return book


@contextmanager
def reserve(
    path: Path | str, *, epsilon: float | None, delta: float | None, what: str
) -> Iterator[Entry]:
    """Record a fit in a book before it reads the log; settle the entry inside the block.

    `delta` None stands for the default, at most DELTA_MOST. Where the block raises, nothing was
    released and the entry is removed. Raises InputError where the fit has no epsilon, or would
    exceed the book.
    """
    if epsilon is None:
        raise InputError(
            "--budget is for fits under a budget; give --epsilon, or leave --budget out."
        )
    most = DELTA_MOST if delta is None else delta
    entry = Entry(what, epsilon, most, "begun", datetime.now(UTC).isoformat(timespec="seconds"))
    with _locked(path):
        book = read(path)
        before = book.spent
        if before[0] + epsilon > book.epsilon * SLACK or before[1] + most > book.delta * SLACK:
            raise InputError(
                f"{path} allows epsilon {book.epsilon:g} and delta {book.delta:.3g} in all; "
                f"epsilon {before[0]:g} and delta "
                f"{before[1]:.3g} are spent, and this fit asks for epsilon {epsilon:g} and delta "
                f"{most:.3g}: it would exceed the book."
            )
        book.entries.append(entry)
        _write(Path(path), book)
    place = len(book.entries) - 1
    try:
        yield entry
    except BaseException:
        _replace(path, place, entry, None)
        raise
    _replace(path, place, entry, entry)


def _replace(path: Path | str, place: int, entry: Entry, by: Entry | None) -> None:
    """Replace the entry that was written at `place` by `by`, or remove it."""
    with _locked(path):
        book = read(path)
        begun = [
            k
            for k, e in enumerate(book.entries)
            if e.status == "begun" and (e.at, e.what) == (entry.at, entry.what)
        ]
        at = min(begun, key=lambda k: abs(k - place))
        book.entries[at : at + 1] = [] if by is None else [by]
        _write(Path(path), book)


@contextmanager
def _locked(path: Path | str) -> Iterator[None]:
    """Hold the lock of a book, so that one fit at a time reads and writes it."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(f"{path}.lock", timeout=30):
            yield
    except Timeout:
        raise InputError(f"{path} is in use by another fit; try again.") from None


def _write(path: Path, book: Book) -> None:
    write_json(
        path,
        {
            "made_by": MADE_BY,
            "format": FORMAT,
            "epsilon": book.epsilon,
            "delta": book.delta,
            "entries": [vars(e) for e in book.entries],
        },
        sort_keys=False,
    )
