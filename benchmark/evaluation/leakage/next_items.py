"""Find columns whose value in the last known row tells the next item, or its category.

What a value tells is measured in bits: how much likelier the next item is under the distribution
that follows this value than under popularity, on average over users on whom neither was learnt.
What the item, category and brand of the last row tell in the same way is usual.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmark.evaluation.leakage.columns import Column, Window, columns_of
from benchmark.evaluation.leakage.texts import SHORTEST, Texts
from eventlog import EventLog
from eventlog.arrays import FIRST, Examples
from eventlog.encode import SHORT, Encoder

SAMPLE = 20_000  # questions that are looked at
MIN_QUESTIONS = 200
HISTORY = ("item", "category", "brand")  # columns of the last row that may tell what comes next
PRIOR = 2.0  # occurrences that a value's distribution is smoothed with
LAGS = 2  # rows whose values are looked at one by one
GAIN = 0.25  # share of what remains uncertain after the history that a column resolves
EQUAL = 0.15  # share of questions in which a column holds the next item itself, beyond the usual


def telling_columns(
    examples: Examples, encoder: Encoder, source: EventLog, *, rng: np.random.Generator
) -> Iterator[str]:
    """Yield a sentence for each column that tells the next item of `examples`, made of `source`."""
    usable = np.flatnonzero(examples.target >= FIRST)
    if len(usable) < MIN_QUESTIONS:
        return
    chosen = np.sort(rng.permutation(usable)[:SAMPLE])
    queries = examples.queries[chosen]
    item = examples.target[chosen].astype(np.int64)
    targets = {"item": item}
    category = encoder.item_category[item].astype(np.int64)
    if len(np.unique(category)) > 1:
        targets["category"] = category
    window = Window(examples.sequences, queries)
    fold = queries.user % 2
    texts = Texts(examples.sequences, window.row[:, :LAGS], source)
    columns = [*columns_of(examples.sequences, ids=True), *texts.parts()]
    equal = {c.name: (c.source, _equal(c, window, item, encoder)) for c in columns}
    equal |= {
        f"the column {name}": (name, share) for name, share in _held(texts, window, item, encoder)
    }
    usual = max((share for source_, share in equal.values() if source_ == "item"), default=0.0)
    told: set[str] = set()
    for name, (column_source, share) in equal.items():
        if share - usual > EQUAL and column_source not in HISTORY:
            told.add(column_source)
            yield (
                f"{name} holds the next item in {share:.0%} of the questions: is it known "
                "when the question is asked?"
            )
    for what, target in targets.items():
        bits = {c.name: _best_bits(c, window, target, fold) for c in columns}
        usual = max([0.0, *(bits[c.name] for c in columns if c.source in HISTORY)])
        left = _entropy(target) - usual
        for column in columns:
            if column.source in told or column.source in HISTORY:
                continue
            if bits[column.name] - usual > GAIN * left:
                told.add(column.source)
                yield (
                    f"{column.name} in the last known row tells {bits[column.name]:.1f} of "
                    f"{_entropy(target):.1f} bits about the next {what}, item and category of that "
                    f"row {usual:.1f}: is it known when the question is asked?"
                )


def _equal(column: Column, window: Window, item: np.ndarray, encoder: Encoder) -> float:
    """Return the share of questions in whose last rows the column holds the next item's name."""
    names = np.array(["", "", *encoder.vocabularies["item_id"]], dtype=object)
    if not column.own:
        return 0.0
    if column.hashed:
        hashes = pd.util.hash_array(names, categorize=False) >> np.uint64(1)
        values, wanted = column.values, hashes.astype(np.int64)[item]
    elif column.coded:
        own = {short: name for name, short in SHORT.items()}.get(column.source, column.source)
        item_of = {name: code for code, name in enumerate(names) if name}
        known = np.array([-1, -1, *(item_of.get(v, -1) for v in encoder.vocabularies[own])])
        values, wanted = known[column.values], item
    else:
        numbers = pd.to_numeric(pd.Series(names), errors="coerce").to_numpy(dtype=np.float64)
        if np.isnan(numbers[item]).mean() > 0.5:
            return 0.0
        values, wanted = column.values, numbers[item]
    rows = window.row[:, :LAGS]
    return float(((values[rows] == wanted[:, None]) & window.known[:, :LAGS]).mean(axis=0).max())


def _held(
    texts: Texts, window: Window, item: np.ndarray, encoder: Encoder
) -> Iterator[tuple[str, float]]:
    """Yield each text column with the share of questions in which it holds the next item's name.

    The share in which it holds that of another question's next item is taken off.
    """
    names = np.array(["", "", *encoder.vocabularies["item_id"]], dtype=object)
    wanted = np.array([name.casefold() for name in names], dtype=object)[item]
    asked = np.flatnonzero([len(name) >= SHORTEST for name in wanted])
    best: dict[str, float] = {}
    for lag in range(LAGS if len(asked) > 1 else 0):
        row = window.row[asked, lag]
        other = dict(texts.holding(row, np.roll(wanted[asked], len(asked) // 2)))
        for name, share in texts.holding(row, wanted[asked]):
            best[name] = max(best.get(name, 0.0), share - other[name])
    yield from best.items()


def _best_bits(column: Column, window: Window, target: np.ndarray, fold: np.ndarray) -> float:
    values = window.values(column)
    return max(_bits(values[:, lag], target, fold) for lag in range(LAGS))


def _bits(value: np.ndarray, target: np.ndarray, fold: np.ndarray) -> float:
    """Return by how many bits the value makes the target likelier than popularity does.

    Both are learnt in one fold and measured in the other: (c(v, t) + PRIOR p(t)) / (c(v) + PRIOR).
    """
    _, value = np.unique(value, return_inverse=True)
    _, target = np.unique(target, return_inverse=True)
    n_values, n_targets = int(value.max()) + 1, int(target.max()) + 1
    if n_values == 1:
        return 0.0
    pair, inverse = np.unique(value * n_targets + target, return_inverse=True)
    gain = 0.0
    for learnt in (0, 1):
        fit, ask = fold == learnt, fold != learnt
        if not fit.any() or not ask.any():
            return 0.0
        popular = (np.bincount(target[fit], minlength=n_targets) + 1) / (fit.sum() + n_targets)
        of_value = np.bincount(value[fit], minlength=n_values)
        of_pair = np.bincount(inverse[fit], minlength=len(pair))
        p = popular[target[ask]]
        given = (of_pair[inverse[ask]] + PRIOR * p) / (of_value[value[ask]] + PRIOR)
        gain += float(np.log2(given / p).sum())
    return gain / len(target)


def _entropy(target: np.ndarray) -> float:
    """Return the entropy of the targets' frequencies, in bits."""
    share = np.unique(target, return_counts=True)[1] / len(target)
    return float(-(share * np.log2(share)).sum())
