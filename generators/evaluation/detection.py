"""Detection: can a classifier tell synthetic users from real ones, and by which features?

A classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv:1610.06545) on features of each user:
aggregates, and shares of the most frequent n-grams and values. It is the strictest single measure
of fidelity.

Example::

    auc, features = detect(real, synthetic, seed=0)
    features[0]    # the feature that gives most away: its direction and its means
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from generators.evaluation.align import DAY_MS, HOUR_MS, AlignedLog, ngrams
from generators.evaluation.distances import auc_score

MAX_USERS = 4_000  # per side: more users do not change an AUC that counts
TOP = 60  # most frequent event n-grams and category values used as features
MAX_N = 3  # rows in an n-gram
FEWEST_PER_FOLD = 5  # users on each side

LIGHTGBM = {
    "objective": "binary",
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
TREES = 60


@dataclass(frozen=True)
class Feature:
    """A feature of users by which the classifier tells the two sides apart."""

    name: str
    # Share (0..1) of all that the classifier's splits gained; redundant features divide it.
    gain: float
    # Of this feature alone. Above 0.5 it is higher for synthetic users; near 0.5 only its spread,
    # or its combination with others, gives them away.
    auc: float
    real: float  # mean over the users who have it
    synthetic: float


def detection_auc(real: AlignedLog, synthetic: AlignedLog, *, seed: int, folds: int = 3) -> float:
    """Return the AUC (0..1) at which LightGBM tells held-out users apart; 0.5 = it cannot.

    Far below 0.5 the synthetic users repeat real ones: the classifier learns a user on one side,
    meets the copy from the other side among the held-out users, and takes it for the wrong one. NaN
    with fewer than FEWEST_PER_FOLD users in a fold of one side.
    """
    trained = _train(real, synthetic, seed=seed, folds=folds)
    return float("nan") if trained is None else trained.auc


def detect(
    real: AlignedLog, synthetic: AlignedLog, *, seed: int, folds: int = 3, most: int | None = None
) -> tuple[float, list[Feature]]:
    """Return `detection_auc`, and the `most` features with the highest gain (None: all used)."""
    trained = _train(real, synthetic, seed=seed, folds=folds)
    if trained is None:
        return float("nan"), []
    x, gain, n = trained.x, trained.gain, len(trained.x) // 2
    found: list[Feature] = []
    for j in np.argsort(-gain, kind="stable"):
        ours, made = (side[np.isfinite(side)] for side in (x[:n, j], x[n:, j]))
        if len(found) == most or gain[j] <= 0:
            break
        if len(ours) and len(made):
            share, alone = float(gain[j] / gain.sum()), auc_score(made, ours)
            means = float(ours.mean()), float(made.mean())
            found.append(Feature(trained.names[j], share, alone, *means))
    return trained.auc, found


@dataclass(frozen=True)
class _Trained:
    names: list[str]  # of the features
    x: np.ndarray  # (2n, n_features) float32: n real users, then n synthetic ones
    gain: np.ndarray  # (n_features,)
    auc: float


def _train(real: AlignedLog, synthetic: AlignedLog, *, seed: int, folds: int) -> _Trained | None:
    """Train the classifier on as many users of either side; None where there are too few."""
    rng = np.random.default_rng(seed)
    n = min(real.n_users, synthetic.n_users, MAX_USERS)
    if n < FEWEST_PER_FOLD * folds:
        return None
    names, x = features(real.sample(n, rng), synthetic.sample(n, rng))
    y = np.repeat([0, 1], n)
    # Both sides of a position are held out together. So a user and an exact copy at the same
    # position never fall into different folds.
    fold = np.tile(rng.permutation(n) % folds, 2)
    score, gain = out_of_fold(
        x,
        y,
        fold,
        num_leaves=15,
        learning_rate=0.1,
        min_data_in_leaf=max(5, n // 100),
        feature_fraction=0.5,
        seed=int(rng.integers(2**31)),
        max_bin=63,
    )
    held = [fold == k for k in range(folds)]
    auc = float(np.mean([auc_score(score[h & (y == 1)], score[h & (y == 0)]) for h in held]))
    return _Trained(names, x, gain, auc)


def out_of_fold(
    x: np.ndarray, y: np.ndarray, fold: np.ndarray, **settings: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) probabilities of 1 by models of the other folds, and (f,) gains of the features.

    x (n, f), y (n,) 0 or 1, fold (n,) 0, 1, ...; `settings` are LightGBM's. Gains are summed over
    the models.
    """
    import lightgbm

    score, gain = np.empty(len(x)), np.zeros(x.shape[1])
    for k in range(int(fold.max()) + 1):
        held = fold == k
        data = lightgbm.Dataset(x[~held], y[~held])
        model = lightgbm.train(LIGHTGBM | settings, data, num_boost_round=TREES)
        score[held] = model.predict(x[held], num_threads=1)
        gain += model.feature_importance("gain")
    return score, gain


def features(a: AlignedLog, b: AlignedLog) -> tuple[list[str], np.ndarray]:
    """Return (f,) names and (n_users of a + n_users of b, f) float32 values of user features.

    Sizes, times, prices and repeats, then the shares of the most frequent n-grams and values.
    """
    reference, began = _references(a, b), min(int(a.time.min()), int(b.time.min()))
    grams = {
        n: _most_frequent(np.concatenate([ngrams(log, n)[0] for log in (a, b)]))
        for n in range(1, MAX_N + 1)
    }
    values: dict[str, np.ndarray] = {}
    for name in a.codes:
        if name not in ("event", "item_id"):
            both = np.concatenate([a.codes[name], b.codes[name]])
            values[name] = _most_frequent(both[both >= 0])
    blocks = []
    for log in (a, b):
        aggregates = _aggregates(log, reference, began)
        parts = [np.stack([np.asarray(r, dtype=np.float64) for r in aggregates.values()], axis=1)]
        for n, top in grams.items():
            parts.append(_shares(log, *ngrams(log, n), top))
        for name, top in values.items():
            parts.append(_shares(log, log.codes[name], log.user, top))
        blocks.append(np.concatenate(parts, axis=1))
    names = [
        *aggregates,
        *(f"share of {_in_words(a, code, n)}" for n, top in grams.items() for code in top),
        *(
            f"share of {name} = {a.levels[name][code]}"
            for name, top in values.items()
            for code in top
        ),
    ]
    return names, np.concatenate(blocks).astype(np.float32)


def _shares(log: AlignedLog, code: np.ndarray, owner: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Return the count of each of the `top` codes over the rows of each user, (n_users, n_top).

    `code` and `owner` (m,): an occurrence each, and its user; `top` is sorted.
    """
    if not len(top):
        return np.zeros((log.n_users, 0))
    at = np.minimum(np.searchsorted(top, code), len(top) - 1)
    hit = top[at] == code
    table = np.bincount(owner[hit] * len(top) + at[hit], minlength=log.n_users * len(top))
    return table.reshape(log.n_users, len(top)) / np.maximum(log.lengths, 1)[:, None]


def _in_words(log: AlignedLog, code: int, n: int) -> str:
    """Return 'view_item, then purchase' for the code of a run of `n` events."""
    levels = log.levels["event"]
    return ", then ".join(
        str(levels[code // len(levels) ** i % len(levels)]) for i in reversed(range(n))
    )


def _references(a: AlignedLog, b: AlignedLog) -> dict[str, np.ndarray]:
    """Return the log popularity and the median log price of each item code, over both logs.

    Over both together, so that neither side is favoured.
    """
    out: dict[str, np.ndarray] = {}
    if "item_id" in a.codes:
        item = np.concatenate([a.codes["item_id"], b.codes["item_id"]])
        n = len(a.levels["item_id"])
        out["popularity"] = np.log1p(np.bincount(item[item >= 0], minlength=n))
        if "price" in a.numbers:
            price = _signed_log(np.concatenate([a.numbers["price"], b.numbers["price"]]))
            keep = (item >= 0) & np.isfinite(price)
            order = np.lexsort((price[keep], item[keep]))
            item, price = item[keep][order], price[keep][order]
            start = np.searchsorted(item, np.arange(n), side="left")
            stop = np.searchsorted(item, np.arange(n), side="right")
            middle = np.minimum((start + stop) // 2, max(len(price) - 1, 0))
            out["price"] = (
                np.where(stop > start, price[middle], np.nan) if len(price) else np.full(n, np.nan)
            )
    return out


def _aggregates(
    log: AlignedLog, reference: dict[str, np.ndarray], began: int
) -> dict[str, np.ndarray]:
    """Return name -> (n_users,); NaN where a user has nothing to average.

    `began` is the first timestamp of either log, in ms.
    """
    user, n = log.user, log.n_users
    first, last = log.offsets[:-1], log.offsets[1:] - 1
    hour, day = log.time // HOUR_MS % 24, log.time // DAY_MS
    angle = 2 * np.pi * hour / 24
    new_day = np.concatenate([[True], (day[1:] != day[:-1]) | (user[1:] != user[:-1])])
    rows: dict[str, np.ndarray] = {
        "rows": log.lengths,
        "sessions": _count(user, log.starts, n),
        "active days": _count(user, new_day, n),
        "days from first row to last": (log.time[last] - log.time[first]) / DAY_MS,
        "days from the log's start to the first row": (log.time[first] - began) / DAY_MS,
        "days from the log's start to the last row": (log.time[last] - began) / DAY_MS,
        **_moments("log seconds between rows", user, np.log1p(log.gap), n),
        **_moments("cosine of the hour", user, np.cos(angle), n),
        **_moments("sine of the hour", user, np.sin(angle), n),
        # 1970-01-01 was a Thursday: days 2 and 3 are the weekend.
        **_moments("weekend (0 or 1)", user, (day % 7 >= 2) & (day % 7 <= 3), n),
        "share of rows at the time of the row before": _count(user, log.gap == 0, n) / log.lengths,
    }
    for name, values in log.numbers.items():
        rows |= _moments(f"log {name}", user, _signed_log(values), n)
    for kind, mask in log.labels.items():
        rows[f"rows labelled {kind}"] = _count(user, mask, n)
    if "item_id" in log.codes:
        rows |= _item_aggregates(log, reference)
    return rows


def _item_aggregates(log: AlignedLog, reference: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what `_aggregates` holds about items."""
    user, n, item = log.user, log.n_users, log.codes["item_id"]
    width = len(log.levels["item_id"])
    pair = np.unique(user[item >= 0] * width + item[item >= 0])
    distinct = np.bincount(pair // width, minlength=n)
    same = np.concatenate(
        [[False], (item[1:] == item[:-1]) & (item[1:] >= 0) & (user[1:] == user[:-1])]
    )
    rows = {
        "different items": distinct,
        "different items per row with one": distinct / np.maximum(_count(user, item >= 0, n), 1),
        "share of rows with the item of the row before": _count(user, same, n) / log.lengths,
    }
    if width:
        popularity = np.where(item >= 0, reference["popularity"][item], np.nan)
        rows |= _moments("log popularity of items", user, popularity, n)
        if "price" in reference:
            usual = np.where(item >= 0, reference["price"][item], np.nan)
            distance = np.abs(_signed_log(log.numbers["price"]) - usual)
            rows |= _moments("distance of log price from the item's", user, distance, n)
    return rows


def _signed_log(values: np.ndarray) -> np.ndarray:
    """Return log1p of the size of each number, with the number's sign."""
    return np.sign(values) * np.log1p(np.abs(values))


def _moments(name: str, user: np.ndarray, values: np.ndarray, n: int) -> dict[str, np.ndarray]:
    """Return mean and standard deviation (n,) of each user's finite `values`; NaN without any."""
    values = np.asarray(values, dtype=np.float64)
    keep = np.isfinite(values)
    count = np.bincount(user[keep], minlength=n).astype(np.float64)
    count[count == 0] = np.nan
    mean = np.bincount(user[keep], values[keep], minlength=n) / count
    square = np.bincount(user[keep], values[keep] ** 2, minlength=n) / count
    return {f"mean {name}": mean, f"spread of {name}": np.sqrt(np.maximum(square - mean**2, 0.0))}


def _count(user: np.ndarray, mask: np.ndarray, n: int) -> np.ndarray:
    """Return the rows (n,) of each user where `mask` holds."""
    return np.bincount(user[mask], minlength=n)


def _most_frequent(codes: np.ndarray) -> np.ndarray:
    """Return the at most TOP most frequent codes, sorted."""
    values, counts = np.unique(codes, return_counts=True)
    return np.sort(values[np.argsort(-counts, kind="stable")[:TOP]])
