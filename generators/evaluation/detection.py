"""Detection: can a classifier tell synthetic users from real ones, and by what? The strictest
single measure of fidelity.

Classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv:1610.06545) on per-user aggregates and
n-gram shares.

    auc, by = told_apart(real, synthetic, seed=0)   # by[0]: the feature that gives most away, its
    direction and its means
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generators.evaluation.align import DAY_MS, HOUR_MS, AlignedLog, ngrams
from generators.evaluation.boosted import out_of_fold

MAX_USERS = 4_000  # per side: an AUC is settled long before
TOP = 60  # most frequent event pairs, triples and category values used as features


@dataclass(frozen=True)
class Telling:
    """A feature of users by which the classifier tells the two sides apart."""

    name: str
    # share of all that the classifier's splits gained, 0..1; features that say the same share it
    gain: float
    # of this feature alone: above 0.5 it is higher for synthetic users; 0.5 where only its spread
    # or its company tells
    auc: float
    real: float  # mean over the users who have it
    synthetic: float


def detection_auc(a: AlignedLog, b: AlignedLog, *, seed: int, folds: int = 3) -> float:
    """AUC (0..1) of held-out users told apart by LightGBM; 0.5 = indistinguishable.

    Far below 0.5 the synthetic users repeat real ones: the classifier learns a user on one side and
    meets the copy, on the other side, among the users held out, whom it then takes for the wrong
    one. NaN under 5 users a fold and side.
    """
    return told_apart(a, b, seed=seed, folds=folds)[0]


def told_apart(
    a: AlignedLog, b: AlignedLog, *, seed: int, folds: int = 3
) -> tuple[float, list[Telling]]:
    """`detection_auc` of `a` (real) and `b` (synthetic), and the features that the classifier used,
    those that gained most first.
    """
    rng = np.random.default_rng(seed)
    n = min(a.n_users, b.n_users, MAX_USERS)
    if n < 5 * folds:
        return float("nan"), []
    a, b = a.sample(n, rng), b.sample(n, rng)
    names, x = features(a, b)  # x: (2n, f)
    y = np.repeat([0, 1], n)
    # Both sides of one fold position are held out together, so that a user and an exact copy of it,
    # where they stand
    # at the same position, never straddle a fold.
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
    auc = float(
        np.mean(
            [
                _auc(score[(fold == k) & (y == 1)], score[(fold == k) & (y == 0)])
                for k in range(folds)
            ]
        )
    )
    found = []
    for j in np.argsort(-gain, kind="stable"):
        real, made = (side[np.isfinite(side)] for side in (x[:n, j], x[n:, j]))
        if gain[j] > 0 and len(real) and len(made):
            found.append(
                Telling(
                    names[j],
                    float(gain[j] / gain.sum()),
                    _auc(made, real),
                    float(real.mean()),
                    float(made.mean()),
                )
            )
    return auc, found


def features(a: AlignedLog, b: AlignedLog) -> tuple[list[str], np.ndarray]:
    """(f,) names and (n_users of a + n_users of b, f) float32: sizes, times, prices, repeats, and
    shares of the most frequent n-grams.
    """
    blocks = []
    top: dict[str, np.ndarray] = {}
    for n in (1, 2, 3):
        top[f"gram{n}"] = _most_frequent(np.concatenate([ngrams(a, n)[0], ngrams(b, n)[0]]))
    for name in a.codes:
        if name not in ("event", "item_id"):
            both = np.concatenate([a.codes[name], b.codes[name]])
            top[name] = _most_frequent(both[both >= 0])
    names: list[str] = []
    reference, began = _references(a, b), min(int(a.time.min()), int(b.time.min()))
    for flat in (a, b):
        user, size = flat.user, np.maximum(flat.lengths, 1)
        rows = _aggregates(flat, reference, began)
        names, parts = (
            list(rows),
            [np.stack([np.asarray(r, dtype=np.float64) for r in rows.values()], axis=1)],
        )
        for name, values in top.items():
            if name.startswith("gram"):
                code, owner = ngrams(flat, int(name[4:]))
                names += ["share of " + _in_words(flat, value, int(name[4:])) for value in values]
            else:
                code, owner = flat.codes[name], user
                names += [f"share of {name} = {flat.levels[name][value]}" for value in values]
            at = (
                np.minimum(np.searchsorted(values, code), len(values) - 1)
                if len(values)
                else np.zeros(len(code), dtype=np.int64)
            )
            hit = values[at] == code if len(values) else np.zeros(len(code), dtype=bool)
            table = np.bincount(
                owner[hit] * len(values) + at[hit], minlength=flat.n_users * len(values)
            )
            parts.append(table.reshape(flat.n_users, len(values)) / size[:, None])
        blocks.append(np.concatenate(parts, axis=1))
    return names, np.concatenate(blocks).astype(np.float32)


def _in_words(flat: AlignedLog, code: int, n: int) -> str:
    """'view_item, then purchase' of the code of a run of `n` events."""
    levels = flat.levels["event"]
    return ", then ".join(
        str(levels[code // len(levels) ** i % len(levels)]) for i in reversed(range(n))
    )


def _references(a: AlignedLog, b: AlignedLog) -> dict[str, np.ndarray]:
    """Per item code, over both logs together so that neither is favoured: log popularity, and
    median log price.
    """
    out: dict[str, np.ndarray] = {}
    if "item_id" in a.codes:
        item = np.concatenate([a.codes["item_id"], b.codes["item_id"]])
        n = len(a.levels["item_id"])
        out["popularity"] = np.log1p(np.bincount(item[item >= 0], minlength=n))
        if "price" in a.numbers:
            price = _log(np.concatenate([a.numbers["price"], b.numbers["price"]]))
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
    flat: AlignedLog, reference: dict[str, np.ndarray], began: int
) -> dict[str, np.ndarray]:
    """Name -> (n_users,); NaN where a user has nothing to average. `began`: ms, the first row of
    either log.
    """
    user, n = flat.user, flat.n_users
    first, last = flat.offsets[:-1], flat.offsets[1:] - 1
    hour, day = flat.time // HOUR_MS % 24, flat.time // DAY_MS
    angle = 2 * np.pi * hour / 24
    new_day = np.concatenate([[True], (day[1:] != day[:-1]) | (user[1:] != user[:-1])])
    rows: dict[str, np.ndarray] = {
        "rows": flat.lengths,
        "sessions": _sum(user, flat.starts, n),
        "active days": _sum(user, new_day, n),
        "days from first row to last": (flat.time[last] - flat.time[first]) / DAY_MS,
        "days from the log's start to the first row": (flat.time[first] - began) / DAY_MS,
        "days from the log's start to the last row": (flat.time[last] - began) / DAY_MS,
        **_moments("log seconds between rows", user, np.log1p(flat.gap), n),
        **_moments("cosine of the hour", user, np.cos(angle), n),
        **_moments("sine of the hour", user, np.sin(angle), n),
        # 1970-01-01 was a Thursday: 2, 3 are the weekend
        **_moments("weekend (0 or 1)", user, (day % 7 >= 2) & (day % 7 <= 3), n),
        "share of rows at the time of the row before": _sum(user, flat.gap == 0, n) / flat.lengths,
    }
    for name, values in flat.numbers.items():
        rows |= _moments(f"log {name}", user, _log(values), n)
    for kind, mask in flat.labels.items():
        rows[f"rows labelled {kind}"] = _sum(user, mask, n)
    if "item_id" in flat.codes:
        item = flat.codes["item_id"]
        pair = np.unique(user[item >= 0] * len(flat.levels["item_id"]) + item[item >= 0])
        distinct = np.bincount(pair // len(flat.levels["item_id"]), minlength=n)
        same = np.concatenate(
            [[False], (item[1:] == item[:-1]) & (item[1:] >= 0) & (user[1:] == user[:-1])]
        )
        rows |= {
            "different items": distinct,
            "different items per row with one": distinct / np.maximum(_sum(user, item >= 0, n), 1),
            "share of rows with the item of the row before": _sum(user, same, n) / flat.lengths,
        }
        if len(flat.levels["item_id"]):
            rows |= _moments(
                "log popularity of items",
                user,
                np.where(item >= 0, reference["popularity"][item], np.nan),
                n,
            )
            if "price" in reference:
                off = _log(flat.numbers["price"]) - np.where(
                    item >= 0, reference["price"][item], np.nan
                )
                rows |= _moments("distance of log price from the item's", user, np.abs(off), n)
    return rows


def _log(values: np.ndarray) -> np.ndarray:
    """log1p that takes numbers below zero, by their size."""
    return np.sign(values) * np.log1p(np.abs(values))


def _moments(name: str, user: np.ndarray, values: np.ndarray, n: int) -> dict[str, np.ndarray]:
    """Mean and standard deviation (n,) of the finite `values` of each user; NaN where a user has
    none.
    """
    values = np.asarray(values, dtype=np.float64)
    keep = np.isfinite(values)
    count = np.bincount(user[keep], minlength=n).astype(np.float64)
    count[count == 0] = np.nan
    mean = np.bincount(user[keep], values[keep], minlength=n) / count
    square = np.bincount(user[keep], values[keep] ** 2, minlength=n) / count
    return {f"mean {name}": mean, f"spread of {name}": np.sqrt(np.maximum(square - mean**2, 0.0))}


def _sum(user: np.ndarray, mask: np.ndarray, n: int) -> np.ndarray:
    return np.bincount(user[mask], minlength=n)


def _most_frequent(codes: np.ndarray) -> np.ndarray:
    """(<= TOP,) sorted codes of the most frequent values."""
    values, counts = np.unique(codes, return_counts=True)
    return np.sort(values[np.argsort(-counts, kind="stable")[:TOP]])


def _auc(high: np.ndarray, low: np.ndarray) -> float:
    """P(high > low) + P(equal) / 2."""
    low = np.sort(low)
    below, upto = np.searchsorted(low, high, side="left"), np.searchsorted(low, high, side="right")
    return float((below + upto).mean() / 2 / len(low))
