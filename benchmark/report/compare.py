"""Compare two results folders: what changed, and is it more than noise?

For each row that both have: what differs in how it was made (settings, code, data, libraries), and
by how much the headline metric moved, in a paired test over the same test users where the questions
are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmark.evaluation import statistics
from benchmark.evaluation.statistics import Fits
from benchmark.execution.results import Store
from benchmark.report.aggregate import SEED, Board, Row, boards
from benchmark.report.markdown import number
from eventlog._runtime.text import one_line

# Factor of CPU time that is reported: on a busy machine it varies by a third from run to run.
SLOWER = 1.5
ZERO = ""  # a row that did not move


class Compared(NamedTuple):
    """A row of a board with what its result depends on."""

    row: Row
    board: Board
    source: str
    questions: str  # what identifies the test questions
    made: dict[str, str]  # name of what decided the result -> value

    @property
    def metric(self) -> str:
        """The headline of its task."""
        return self.board.headline

    @property
    def copied(self) -> bool:
        """Whether it was trained on a source that copies the real log."""
        return self.source in self.board.copiers


class Moved(NamedTuple):
    """By how much a row moved, and how sure that is."""

    low: float
    high: float
    t: float
    drawn: np.ndarray  # (b,) draws of |t| if nothing had changed
    one_fit: bool  # each side was fitted once: nothing is known of other fits


def lines(a: Store, b: Store) -> Iterator[str]:
    """Yield a line for each row that is in both folders, and one for each that is in one only."""
    yield from (one_line(text) for text in _lines(a, b))


def _lines(a: Store, b: Store) -> Iterator[str]:
    yield from _runs(a, b)
    rows_a, rows_b = _rows(a), _rows(b)
    found: dict[str, tuple[Compared, Compared, Moved | None]] = {}
    for name in sorted(rows_a.keys() & rows_b.keys()):
        one, two = rows_a[name], rows_b[name]
        if not one.row.complete or not two.row.complete:
            yield f"{name}: incomplete ({_cells(one.row)} against {_cells(two.row)} cells)"
            continue
        found[name] = one, two, _moved(one, two)
    p = _corrected({name: moved for name, (_, _, moved) in found.items() if moved is not None})
    for name, (one, two, moved) in found.items():
        yield f"{name}: {_line(one, two, moved, p.get(name))}"
    for name in sorted(rows_a.keys() - rows_b.keys()):
        yield f"{name}: only in {a.folder}"
    for name in sorted(rows_b.keys() - rows_a.keys()):
        yield f"{name}: only in {b.folder}"


def _line(one: Compared, two: Compared, moved: Moved | None, p: float | None) -> str:
    before, after = one.row.mean(one.metric), two.row.mean(one.metric)
    notes = f"{_differs(one, two)}{_cost(one.row, two.row)}{_copied(one, two)}"
    text = f"{one.metric} {number(before)} -> {number(after)}"
    if before == after:
        return f"{text}{notes}, the same"
    if moved is None or p is None:
        return f"{text} ({after - before:+.4f}){notes}, not tested: no replicates"
    verdict = "changed" if p < statistics.ALPHA else "within noise"
    size = f"({after - before:+.4f} [{moved.low:+.4f}, {moved.high:+.4f}])"
    fits = ", of one fit each" if moved.one_fit else ""
    return f"{text} {size}{notes}, {verdict} (p {statistics.printed(p)}{fits})"


def _moved(one: Compared, two: Compared) -> Moved | None:
    """Return the difference of a row in two runs; None where a record has no replicates.

    Where both were asked the same and fitted with the same seeds, fits are paired seed by seed.
    """
    name = one.row.name
    paired = one.questions == two.questions and _seeds(one.row) == _seeds(two.row)
    fits = _differences(one, two) if paired else _apart(one, two)
    after, before = (name, ZERO) if paired else (f"b {name}", f"a {name}")
    if after not in fits or before not in fits:
        return None
    compared = statistics.Comparison(fits, np.random.default_rng(SEED))
    t, drawn = compared.statistics([(after, before)])
    _, low, high = compared.difference(after, before)
    one_fit = bool(compared.unknown[[compared.at[n] for n in (after, before)]].any())
    return Moved(low, high, float(t[0]), drawn[0], one_fit)


def _seeds(row: Row) -> list[int]:
    return [r["label"].get("seed", 0) for r in row.records]


def _differences(one: Compared, two: Compared) -> dict[str, Fits]:
    """Return how each row of a table moved, fit by fit, and beside them no move at all."""
    found = {}
    rows = two.board.rows[two.source]
    for name, row in one.board.rows[one.source].items():
        other = rows.get(name)
        if other is None or not row.complete or not other.complete or _seeds(row) != _seeds(other):
            continue
        before, after = row.fits(one.metric), other.fits(two.metric)
        if before is None or after is None:
            continue
        if before.replicates.shape == after.replicates.shape:  # other draws are not paired
            moved = after.replicates - before.replicates
            found[name] = after._replace(values=after.values - before.values, replicates=moved)
            found[ZERO] = Fits(np.zeros(1), np.zeros((1, moved.shape[1])), fixed=True)
    return found


def _apart(one: Compared, two: Compared) -> dict[str, Fits]:
    """Return the fits of both tables, of which those of one family share a run's variance."""
    found = {}
    for run, side in (("a", one), ("b", two)):
        for name, row in side.board.rows[side.source].items():
            fits = row.fits(side.metric)
            if fits is not None:
                found[f"{run} {name}"] = fits._replace(family=f"{run} {fits.family}")
    if one.questions != two.questions:  # other users: nothing is paired
        found = {n: _shuffled(f) if n.startswith("b ") else f for n, f in found.items()}
    return found


def _shuffled(fits: Fits) -> Fits:
    order = np.random.default_rng(0).permutation(fits.replicates.shape[1])
    return fits._replace(replicates=fits.replicates[:, order])


def _corrected(moved: Mapping[str, Moved]) -> dict[str, float]:
    """Return name -> p, corrected over all rows that moved."""
    changed = {name: m for name, m in moved.items() if m.t != 0}
    if not changed:
        return {}
    b = min(len(m.drawn) for m in changed.values())
    drawn = np.stack([m.drawn[:b] for m in changed.values()])
    t = np.array([m.t for m in changed.values()])
    return dict(zip(changed, statistics.step_down(t, drawn), strict=True))


def _runs(a: Store, b: Store) -> Iterator[str]:
    """Yield what differs between the two runs as a whole."""
    one, two = _facts(a), _facts(b)
    for name in one:
        if one[name] != two[name]:
            yield f"{name}: {one[name]} -> {two[name]}"


def _facts(store: Store) -> dict[str, str]:
    plan = store.plan()
    made = [r["environment"] for c in plan["cells"] if (r := store.latest(c["key"])) is not None]
    versions = sorted(
        {f"{k} {v}" for e in made for k, v in e["versions"].items()}
        | {f"python {e['python']}" for e in made}
    )
    return {
        "command": plan["command"],
        "profile": plan["profile"],
        "commit": ", ".join(
            sorted({f"{e['commit'] or 'none'}{' + changes' if e['dirty'] else ''}" for e in made})
        ),
        "machine": ", ".join(sorted({f"{e['machine']} ({e['cores']} cores)" for e in made})),
        "versions": ", ".join(versions),
    }


def _rows(store: Store) -> dict[str, Compared]:
    plan = store.plan()
    records = {c["key"]: r for c in plan["cells"] if (r := store.latest(c["key"])) is not None}
    digests = {
        r["label"]["log"]: r.get("digest", "") for r in records.values() if r["kind"] == "log"
    }
    found = {}
    for board in (b for b in boards(store, plan["cells"]) if b.facts):
        for source, rows in board.rows.items():
            for row in rows.values():
                name = (
                    f"{board.log} {board.task} "
                    f"{row.name}{'' if source == 'real' else f' trained on {source}'}"
                )
                questions = f"{digests.get(board.log)} {board.facts['questions']}"
                made = _made(row, records, str(digests.get(board.log)))
                found[name] = Compared(row, board, source, questions, made)
    return found


def _made(row: Row, records: dict[str, Any], log: str) -> dict[str, str]:
    """Return what decided a row's result.

    Its settings include those of what it needs: how a task asks, how a generator was fitted.
    """
    mine = [
        r for top in row.records for r in (top, *(records[k] for k in top["needs"] if k in records))
    ]
    return {
        "log": log,
        "settings": str(
            sorted(
                {
                    str({k: v for k, v in r["spec"].items() if k != "seed"})
                    for r in mine
                    if r["kind"] != "log"
                }
            )
        ),
        "seeds": str(sorted({r["label"].get("seed", 0) for r in row.records})),
        "code": str(sorted({r["code"] for r in mine})),
        "libraries": str(
            sorted({str(sorted(r["environment"]["versions"].items())) for r in row.records})
        ),
    }


def _differs(one: Compared, two: Compared) -> str:
    names = [name for name in one.made if one.made[name] != two.made[name]]
    if one.questions != two.questions and "log" not in names:
        names.append("questions")
    return f", other {' and '.join(names)}" if names else ""


def _copied(one: Compared, two: Compared) -> str:
    return ", from a copy of the real log" if one.copied or two.copied else ""


def _cost(one: Row, two: Row) -> str:
    before, after = one.cost("fit_cpu_s"), two.cost("fit_cpu_s")
    if (
        not (before > 1 or after > 1)
        or not min(before, after) > 0
        or max(before / after, after / before) < SLOWER
    ):
        return ""
    return f", fit {before:.3g} -> {after:.3g} CPU s"


def _cells(row: Row) -> str:
    return f"{len(row.records)}/{row.planned}"
