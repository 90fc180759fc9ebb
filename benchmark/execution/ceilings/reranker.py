"""Re-rank the likeliest next items with boosted trees: the best observer of history, and of slates.

Candidates are the user's last items, the likeliest by a mixture of counts (`markov_repeats`) and,
if the slate is known, its places. LightGBM (lambdarank) orders them by how the item relates to the
history and where on the page it stands. The trees learn on the validation part from counts over
the training part, so that no count contains the answer; for the test the counts are of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from baselines.models.markov_repeats import MarkovRepeats
from baselines.sequences.item_history import item_codes, last_items
from benchmark.evaluation.slates import Slates
from benchmark.task import TaskData
from eventlog.arrays import FIRST, Examples
from eventlog.encode import Encoder

LIKELIEST = 30  # candidates by counts
RECENT = 20  # rows whose items are candidates
TASTE = 50  # rows that a user's taste is taken from
LEARNT = 20_000  # questions that the trees learn from, at most
BATCH = 512
TREES = 200
MISS = 1_000.0  # rank of an answer that is no candidate: beyond what any metric looks at


@dataclass(frozen=True)
class Candidates:
    """Candidate items of questions, with what is known about each."""

    question: np.ndarray  # (m,) int64 position of the question, ascending
    item: np.ndarray  # (m,) int64 item code
    table: np.ndarray  # (m, n_features) float32


def reranked_ranks(
    data: TaskData, slates: tuple[Slates, Slates] | None, *, seed: int
) -> np.ndarray:
    """Return (n_test,) ranks of the answers, 1 = best; learns from `data.train` and `data.valid`.

    `slates`: those of `data.valid` and of `data.test`.
    """
    assert data.valid is not None
    learn = data.valid
    counts = MarkovRepeats()
    counts.fit(data.train, None, encoder=data.encoder, seed=seed)
    rows = np.unique(np.linspace(0, len(learn) - 1, LEARNT).astype(np.int64))
    some = Examples(learn.sequences, learn.queries[rows], learn.target[rows])
    found = candidates(counts, some, _picked(slates and slates[0], rows), data.encoder)
    trees = _grow(found, some.target, seed=seed)
    counts.fit(data.train, data.valid, encoder=data.encoder, seed=seed)
    ranks = np.full(len(data.test), MISS)
    for part in np.array_split(np.arange(len(data.test)), len(data.test) // 4096 + 1):
        asked = Examples(data.test.sequences, data.test.queries[part], data.test.target[part])
        found = candidates(counts, asked, _picked(slates and slates[1], part), data.encoder)
        score = np.asarray(trees.predict(found.table, num_threads=1))
        ranks[part] = _ranks(found, score, asked.target)
    ranks[data.test.target < FIRST] = np.nan
    return ranks


def candidates(
    counts: MarkovRepeats, asked: Examples, slates: Slates | None, encoder: Encoder
) -> Candidates:
    """Return the candidates of each question, in batches, because scores are dense."""
    parts = []
    for rows in np.array_split(np.arange(len(asked)), len(asked) // BATCH + 1):
        batch = Examples(asked.sequences, asked.queries[rows], asked.target[rows])
        part = _batch(counts, batch, _picked(slates, rows), encoder)
        parts.append(Candidates(part.question + rows[0], part.item, part.table))
    return Candidates(
        np.concatenate([p.question for p in parts]),
        np.concatenate([p.item for p in parts]),
        np.concatenate([p.table for p in parts]),
    )


def _batch(
    counts: MarkovRepeats, asked: Examples, slates: Slates | None, encoder: Encoder
) -> Candidates:
    n, n_items = len(asked), encoder.n_items
    score = counts.score(asked.sequences, asked.queries)
    likely = np.argpartition(-score, min(LIKELIEST, n_items - 1), axis=1)[:, :LIKELIEST]
    recent = last_items(asked.sequences, asked.queries, last=RECENT).astype(np.int64)
    question = np.arange(n)
    pairs = [np.repeat(question, a.shape[1]) * n_items + a.ravel() for a in (likely, recent)]
    if slates is not None:
        of_place = np.repeat(question, np.diff(slates.offsets))
        pairs.append(of_place * n_items + slates.items)
    pair = np.unique(np.concatenate(pairs))
    pair = pair[pair % n_items >= FIRST]
    who, item = pair // n_items, pair % n_items
    columns = [*_of_history(score, recent, who, item, asked, encoder)]
    if slates is not None:
        columns += _of_slate(slates, pair, who, asked, n_items)
    return Candidates(who, item, np.column_stack(columns).astype(np.float32))


def _of_history(
    score: np.ndarray,
    recent: np.ndarray,
    who: np.ndarray,
    item: np.ndarray,
    asked: Examples,
    encoder: Encoder,
) -> list[np.ndarray]:
    """Return columns (m,) each: how the candidate relates to what the user did."""
    same = recent[who] == item[:, None]
    place = np.where(same.any(axis=1), same.argmax(axis=1), RECENT)
    longer = last_items(asked.sequences, asked.queries, last=TASTE).astype(np.int64)
    category = encoder.item_category[longer]
    known = longer >= FIRST
    own = encoder.item_category[item]
    like = (category[who] == own[:, None]) & known[who]
    rows = np.maximum(known.sum(axis=1), 1)
    price = encoder.item_price
    mean_price = np.where(known, price[longer], 0).sum(axis=1) / rows
    last = recent[:, 0]
    since = asked.queries.time - asked.sequences.time[asked.queries.end - 1]
    return [
        np.log(np.maximum(score[who, item], 1e-9)),
        place,
        same.sum(axis=1),
        (longer[who] == item[:, None]).sum(axis=1),
        like.sum(axis=1) / rows[who],
        like[:, 0],
        like[:, :5].sum(axis=1),
        np.log1p(item),  # codes are by popularity
        price[item],
        price[item] - mean_price[who],
        price[item] - price[last[who]],
        rows[who],
        np.log1p(since / 1000)[who],
        _last_codes(asked, "event")[who],
    ]


def _last_codes(asked: Examples, column: str) -> np.ndarray:
    codes = asked.sequences.columns.get(column, item_codes(asked.sequences))
    return codes[asked.queries.end - 1]


def _of_slate(
    slates: Slates, pair: np.ndarray, who: np.ndarray, asked: Examples, n_items: int
) -> list[np.ndarray]:
    """Return columns (m,) each: where on the page the candidate stands, and what page it is."""
    size = np.diff(slates.offsets)
    of_place = np.repeat(np.arange(len(asked)), size)
    place = np.arange(len(of_place)) - np.repeat(slates.offsets[:-1], size)
    key = of_place * n_items + slates.items
    order = np.lexsort((place, key))
    at = np.minimum(np.searchsorted(key[order], pair), max(len(key) - 1, 0))
    shown = np.full(len(pair), -1)
    if len(key):
        shown = np.where(key[order][at] == pair, place[order][at], -1)
    since = np.where(slates.time >= 0, asked.queries.time - slates.time, -1000)
    return [shown, slates.kind[who], size[who], np.log1p(np.maximum(since, 0) / 1000)[who]]


def _grow(found: Candidates, target: np.ndarray, *, seed: int) -> Any:
    """Return trees that rank the candidates of questions whose answer is among them."""
    import lightgbm

    hit = found.item == target[found.question]
    n = int(found.question.max()) + 1
    has = np.bincount(found.question[hit], minlength=n) > 0
    keep = has[found.question]
    sizes = np.bincount(found.question[keep], minlength=n)
    settings = {
        "objective": "lambdarank",
        "lambdarank_truncation_level": 15,
        "learning_rate": 0.08,
        "num_leaves": 31,
        "min_data_in_leaf": 100,
        "feature_fraction": 0.7,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "num_threads": 1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(found.table[keep], hit[keep].astype(np.float32), group=sizes[sizes > 0])
    return lightgbm.train(settings, data, num_boost_round=TREES)


def _ranks(found: Candidates, score: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return (n,) ranks of the answers among the candidates; ties count against them."""
    n = len(target)
    hit = found.item == target[found.question]
    own = np.full(n, np.inf)
    own[found.question[hit]] = score[hit]
    above = np.bincount(found.question, weights=score >= own[found.question], minlength=n)
    return np.where(np.isfinite(own), above, MISS)


def _picked(slates: Slates | None, rows: np.ndarray) -> Slates | None:
    """Return the slates of some questions."""
    if slates is None:
        return None
    size = np.diff(slates.offsets)[rows]
    offsets = np.append(0, np.cumsum(size))
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - slates.offsets[rows], size)
    return Slates(offsets, slates.items[place], slates.kind[rows], slates.time[rows])
