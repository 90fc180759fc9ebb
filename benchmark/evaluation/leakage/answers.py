"""Find columns that give the answer to a yes-or-no question away.

Three signs: one column alone ranks the answers nearly right, and better than the user's activity
does; one column adds more to all others than is left without it; or a number that is the same for
all rows of a group (a user, an item, a card) follows the group's rate of answers more closely than
anything made of other answers could, as the mean of the answers over the whole log does ("target
encoding").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmark.evaluation.leakage.columns import Column, Window, columns_of, last_given
from benchmark.evaluation.leakage.texts import Texts
from eventlog import EventLog
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import GAP, source_column
from eventlog.schema import COLUMNS

SAMPLE = 3_000  # questions of each answer that are looked at
MIN_ANSWERS = 20  # of each kind, for a column to be judged
# ROC-AUC of a single column that is suspected: one that the schema knows; any other, parts of
# timestamps among them.
KNOWN_AUC, OTHER_AUC = 0.9, 0.85
SLACK = 0.02  # by which chance may put it lower: two standard errors, but no more than this
BEYOND_ACTIVITY = 0.01  # by which a column must rank better than the user's activity does
FITTED_AUC = 0.9  # of all columns together, for the gain of one to be looked at
GAIN = 0.5  # share of 1 - AUC of all other columns that one column makes good
CANDIDATE_AUC = 0.65  # of a single column, for its gain to be looked at
CANDIDATES = 4  # columns whose gain is looked at
BINS = 32  # of a number
PRIOR = 2.0  # answers that a value's rate is smoothed with
LAGS = 3  # rows whose values are looked at one by one
KNOWN = frozenset({*COLUMNS, "item", GAP})
MIN_GROUPS = 100  # for a target encoding to be recognised
ENCODED = 0.05  # by which a correlation exceeds what is possible, beside its standard error


def revealing_columns(
    examples: Examples, source: EventLog | None = None, *, rng: np.random.Generator
) -> Iterator[str]:
    """Yield a sentence for each column that gives the answers of `examples` away.

    With the log `source` of the examples, parts of its texts are looked at, too.
    """
    answer = examples.target > 0
    if min(answer.sum(), (~answer).sum()) < MIN_ANSWERS:
        return
    chosen = _balanced(answer, rng)
    sample = _Sample(examples, chosen)
    found = [sample.judge(column) for column in columns_of(examples.sequences)]
    if source is not None:
        texts = Texts(examples.sequences, sample.window.row[:, :LAGS], source)
        found += [sample.judge(column) for column in texts.parts()]
    found.sort(key=lambda judged: -judged.auc)
    told: set[str] = set()
    for judged in found:
        column = judged.column
        least = KNOWN_AUC if column.own and column.source in KNOWN else OTHER_AUC
        if judged.auc + min(2 * sample.error(judged.auc), SLACK) < least:
            continue
        if judged.auc < sample.activity_auc + BEYOND_ACTIVITY:
            continue
        if column.source not in told:
            told.add(column.source)
            yield (
                f"{column.name} alone gives the answer away (ROC-AUC {judged.auc:.3f}): "
                "is it known when the question is asked?"
            )
    if not told:
        yield from _gains(sample, found)


@dataclass(frozen=True)
class _Judged:
    column: Column
    auc: float  # of the best summary of the column's last values
    features: np.ndarray  # (n, k) float32: its summaries


class _Sample:
    """Some questions, in two folds that share no user, and what columns say about them."""

    def __init__(self, examples: Examples, chosen: np.ndarray) -> None:
        queries = examples.queries[chosen]
        self.answer = examples.target[chosen] > 0
        self.fold = queries.user % 2
        self.window = Window(examples.sequences, queries)
        self.general = _general(examples.sequences, queries)

    @cached_property
    def activity_auc(self) -> float:
        """AUC of how much and how recently a user has done anything, which is no column's."""
        return _fitted_auc(self, [self.general])

    def error(self, auc: float) -> float:
        """Return the standard error of an AUC (Hanley and McNeil 1982)."""
        n1, n0 = int(self.answer.sum()), int((~self.answer).sum())
        q1, q2 = auc / (2 - auc), 2 * auc * auc / (1 + auc)
        spread = auc * (1 - auc) + (n1 - 1) * (q1 - auc**2) + (n0 - 1) * (q2 - auc**2)
        return float(np.sqrt(max(spread, 0.0) / (n1 * n0)))

    def judge(self, column: Column) -> _Judged:
        """Return how well the column alone ranks the answers."""
        values = self.window.values(column)
        if len(values) == 0 or values.min() == values.max():
            return _Judged(column, 0.5, np.zeros((len(values), 0), dtype=np.float32))
        some = [values[:, lag] for lag in range(LAGS)]
        some.append(last_given(values, coded=column.coded))
        if not column.coded:
            given = np.isfinite(values)
            some.append(np.where(given, values, 0).sum(axis=1) / np.maximum(given.sum(axis=1), 1))
        rated = [self._rates(v if column.coded else _bins(v)) for v in some]
        features = [r for _, r in rated] if column.coded else some
        table = np.column_stack(features).astype(np.float32)
        return _Judged(column, max(auc for auc, _ in rated), table)

    def _rates(self, code: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the AUC and the (n,) rates of answers by value, learnt in the other fold."""
        _, code = np.unique(code, return_inverse=True)
        size = int(code.max(initial=0)) + 1
        cell = self.fold * size + code
        yes, n = (np.bincount(cell, weights=w, minlength=2 * size) for w in (self.answer, None))
        total = yes.reshape(2, size).sum(axis=1) / np.maximum(n.reshape(2, size).sum(axis=1), 1)
        rate = (yes + PRIOR * np.repeat(total, size)) / (n + PRIOR)
        rate = np.roll(rate, size)  # each fold gets the rates of the other
        return _auc_of_groups(rate, yes, n - yes), rate[cell]


def _gains(sample: _Sample, found: list[_Judged]) -> Iterator[str]:
    """Yield a sentence for each column without which all others are far worse."""
    if not any(judged.auc >= CANDIDATE_AUC for judged in found):
        return
    best = _fitted_auc(sample, [sample.general, *(judged.features for judged in found)])
    if best < FITTED_AUC:
        return
    sources = [judged.column.source for judged in found if judged.auc >= CANDIDATE_AUC]
    for source in list(dict.fromkeys(sources))[:CANDIDATES]:
        rest = [judged.features for judged in found if judged.column.source != source]
        without = _fitted_auc(sample, [sample.general, *rest])
        if best - without > GAIN * (1 - without):
            yield (
                f"the column {source_column(source)} lifts the ROC-AUC of all others from "
                f"{without:.3f} to {best:.3f}: is it known when the question is asked?"
            )


def _fitted_auc(sample: _Sample, features: list[np.ndarray]) -> float:
    """Return the AUC of small boosted trees, each fold predicted by those fitted on the other."""
    import lightgbm
    from sklearn.metrics import roc_auc_score

    table = np.column_stack(features)
    score = np.zeros(len(table))
    settings = {
        "objective": "binary",
        "num_leaves": 7,
        "learning_rate": 0.15,
        "max_bin": 63,
        "num_threads": 1,
        "seed": 0,
        "deterministic": True,
        "verbosity": -1,
    }
    for fold in (0, 1):
        fit = sample.fold == fold
        if len(np.unique(sample.answer[fit])) < 2:
            return 0.5
        data = lightgbm.Dataset(table[fit], sample.answer[fit].astype(np.float32))
        score[~fit] = lightgbm.train(settings, data, num_boost_round=40).predict(
            table[~fit], num_threads=1
        )
    return float(roc_auc_score(sample.answer, score))


# --- target encoding ------------------------------------------------------------------------------


def encoded_answers(parts: list[Examples], *, rng: np.random.Generator) -> Iterator[str]:
    """Yield a sentence for each number that looks like the mean of the answers over its group.

    `parts` are all questions, before and after the cut. A column that is constant within groups
    can follow only what groups have in common, not the chance in their answers. With the answers
    of each group in two random halves A and B, its correlations obey r(c, A) r(c, B) <= r(A, B)
    (Spearman's correction for attenuation, 1904, gives at most 1). A mean that includes these
    answers breaks this wherever the groups are small enough for the encoding to pay.
    """
    answer = np.concatenate([part.target > 0 for part in parts])
    if min(answer.sum(), (~answer).sum()) < MIN_ANSWERS:
        return
    half = rng.random(len(answer)) < 0.5
    groups = _groups(parts)
    for name, values in _numbers(parts):
        for group_name, code in groups.items():
            excess = _excess(values, code, answer, half)
            if excess is not None:
                found, possible = (np.sqrt(max(r, 0)) for r in excess)
                yield (
                    f"the column {source_column(name)} is constant within {group_name} and follows "
                    f"the answers there (correlation {found:.2f}) more closely than what is known "
                    f"of other answers can (at most {possible:.2f}): is it a mean of the answers "
                    "that includes later ones?"
                )
                break


def _excess(
    values: np.ndarray, code: np.ndarray, answer: np.ndarray, half: np.ndarray
) -> tuple[float, float] | None:
    """Return r(c, A) r(c, B) and r(A, B) where the first is impossible; otherwise None."""
    use = np.isfinite(values) & (code >= 0)
    values, answer, half = values[use], answer[use], half[use]
    _, code = np.unique(code[use], return_inverse=True)
    size = int(code.max(initial=-1)) + 1
    if size < MIN_GROUPS or size > len(code) / 1.5:
        return None
    order = np.argsort(code, kind="stable")
    same = code[order][1:] == code[order][:-1]
    if (np.diff(values[order])[same] != 0).mean() > 0.02:
        return None
    first = order[np.append(True, ~same)]
    weights = [np.bincount(code, weights=w, minlength=size) for w in (half, ~half)]
    sums = [np.bincount(code, weights=w & answer, minlength=size) for w in (half, ~half)]
    both = (weights[0] > 0) & (weights[1] > 0)
    if both.sum() < MIN_GROUPS or len(np.unique(values[first][both])) < 10:
        return None
    rates = [s[both] / w[both] for s, w in zip(sums, weights, strict=True)]
    weight = np.minimum(weights[0], weights[1])[both]
    number = values[first][both]
    error = 3 / np.sqrt(weight.sum() ** 2 / (weight**2).sum())
    between = _correlation(rates[0], rates[1], weight)
    found = _correlation(number, rates[0], weight) * _correlation(number, rates[1], weight)
    return (found, between) if found > max(between, 0) + error + ENCODED else None


def _groups(parts: list[Examples]) -> dict[str, np.ndarray]:
    """Return (n,) codes of each question's last known row by what may group rows; -1 = none."""
    groups: dict[str, list[np.ndarray]] = {}
    for part in parts:
        sequences, queries = part.sequences, part.queries
        row, known = _last_row(sequences, queries)
        columns = {n: c for n, c in sequences.columns.items() if np.issubdtype(c.dtype, np.integer)}
        for name, values in {**columns, **sequences.ids}.items():
            missing = 2 if name in columns and name not in sequences.ids else 0
            code = np.where(known & (values[row] >= missing), values[row], -1)
            groups.setdefault(f"values of {source_column(name)}", []).append(code)
        number = _user_numbers(sequences, queries)
        groups.setdefault("users", []).append(number)
    return {name: np.concatenate(codes) for name, codes in groups.items()}


def _user_numbers(sequences: Sequences, queries: Queries) -> np.ndarray:
    import pandas as pd

    names = pd.util.hash_array(sequences.users.astype(str).astype(object), categorize=False)
    return (names >> np.uint64(1)).astype(np.int64)[queries.user]


def _numbers(parts: list[Examples]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and (n,) value of each numeric column in each question's last known row."""
    for name in parts[0].sequences.raw:
        if name == GAP:
            continue
        values = []
        for part in parts:
            row, known = _last_row(part.sequences, part.queries)
            values.append(np.where(known, part.sequences.raw[name][row], np.nan))
        joined = np.concatenate(values)
        if np.isfinite(joined).mean() > 0.1:
            yield name, joined


def _last_row(sequences: Sequences, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
    known = queries.end > sequences.offsets[queries.user]
    return np.where(known, queries.end - 1, 0), known


# --- what the above need --------------------------------------------------------------------------


def _balanced(answer: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return up to SAMPLE questions of each answer, ascending."""
    some = [rng.permutation(np.flatnonzero(answer == kind))[:SAMPLE] for kind in (False, True)]
    return np.sort(np.concatenate(some))


def _general(sequences: Sequences, queries: Queries) -> np.ndarray:
    """Return (n, 4) float32: how much and how recently a user has done anything."""
    row, known = _last_row(sequences, queries)
    begin = sequences.offsets[queries.user]
    since = queries.time - sequences.time[row]
    tenure = queries.time - sequences.time[np.where(known, begin, 0)]
    columns = [queries.end - begin, np.where(known, since, -1), np.where(known, tenure, -1)]
    roles = (sequences.role == "purchase").astype(np.int64)
    bought = np.append(0, np.cumsum(roles))
    return np.column_stack([*columns, bought[queries.end] - bought[begin]]).astype(np.float32)


def _bins(values: np.ndarray) -> np.ndarray:
    """Return (n,) int: the quantile bin of each number; frequent numbers have their own."""
    finite = values[np.isfinite(values)]
    edges = np.unique(np.quantile(finite, np.linspace(0, 1, BINS + 1))) if len(finite) else finite
    place = 2 * np.searchsorted(edges, values) - np.isin(values, edges)  # on an edge, or between
    return np.where(np.isfinite(values), place, -2)


def _auc_of_groups(score: np.ndarray, yes: np.ndarray, no: np.ndarray) -> float:
    """Return the AUC of questions in groups of one score each; `yes` and `no` count them."""
    order = np.argsort(score, kind="stable")
    _, rank = np.unique(score[order], return_inverse=True)
    positive, negative = (np.bincount(rank, weights=w[order]) for w in (yes, no))
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))


def _correlation(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> float:
    """Return the weighted correlation; 0 where one of the two is constant."""
    a, b = a - np.average(a, weights=weight), b - np.average(b, weights=weight)
    variance = (weight * a * a).sum() * (weight * b * b).sum()
    return float((weight * a * b).sum() / np.sqrt(variance)) if variance > 0 else 0.0
