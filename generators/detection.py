"""Detection: can a classifier tell synthetic users from real ones? The strictest single measure of fidelity.

Classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv:1610.06545) on per-user aggregates and n-gram shares.
"""

from __future__ import annotations

import numpy as np

from .flat import DAY_MS, HOUR_MS, Flat, ngrams

MAX_USERS = 4_000  # per side: an AUC is settled long before
TOP = 60           # most frequent event pairs, triples and category values used as features


def detection_auc(a: Flat, b: Flat, *, seed: int, folds: int = 3) -> float:
    """AUC (0..1) of held-out users told apart by LightGBM; 0.5 = indistinguishable; NaN under 5 users a fold and side."""
    rng = np.random.default_rng(seed)
    n = min(a.n_users, b.n_users, MAX_USERS)
    if n < 5 * folds:
        return float("nan")
    a, b = a.sample(n, rng), b.sample(n, rng)
    x = features(a, b)  # (2n, f)
    y = np.repeat([0, 1], n)
    import lightgbm

    # Both sides of one fold position are held out together, so that a user and an exact copy of it, where they stand
    # at the same position, never straddle a fold.
    fold = np.tile(rng.permutation(n) % folds, 2)
    score = np.empty(2 * n)
    settings = {
        "objective": "binary", "num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": max(5, n // 100), "feature_fraction": 0.5,
        "num_threads": 1, "deterministic": True, "force_row_wise": True, "seed": int(rng.integers(2**31)), "verbosity": -1, "max_bin": 63,
    }
    for k in range(folds):
        held = fold == k
        model = lightgbm.train(settings, lightgbm.Dataset(x[~held], y[~held]), num_boost_round=60)
        score[held] = model.predict(x[held], num_threads=1)
    return float(np.mean([_auc(score[(fold == k) & (y == 1)], score[(fold == k) & (y == 0)]) for k in range(folds)]))


def features(a: Flat, b: Flat) -> np.ndarray:
    """(n_users of a + n_users of b, f) float32: sizes, times, prices, repeats, and shares of the most frequent n-grams."""
    blocks = []
    top: dict[str, np.ndarray] = {}
    for n in (1, 2, 3):
        top[f"gram{n}"] = _most_frequent(np.concatenate([ngrams(a, n)[0], ngrams(b, n)[0]]))
    for name in a.codes:
        if name not in ("event", "item_id"):
            both = np.concatenate([a.codes[name], b.codes[name]])
            top[name] = _most_frequent(both[both >= 0])
    for flat in (a, b):
        user, size = flat.user, np.maximum(flat.lengths, 1)
        parts = [_aggregates(flat, _references(a, b))]
        for name, values in top.items():
            if name.startswith("gram"):
                code, owner = ngrams(flat, int(name[4:]))
            else:
                code, owner = flat.codes[name], user
            at = np.minimum(np.searchsorted(values, code), len(values) - 1) if len(values) else np.zeros(len(code), dtype=np.int64)
            hit = values[at] == code if len(values) else np.zeros(len(code), dtype=bool)
            table = np.bincount(owner[hit] * len(values) + at[hit], minlength=flat.n_users * len(values))
            parts.append(table.reshape(flat.n_users, len(values)) / size[:, None])
        blocks.append(np.concatenate(parts, axis=1))
    return np.concatenate(blocks).astype(np.float32)


def _references(a: Flat, b: Flat) -> dict[str, np.ndarray]:
    """Per item code, over both logs together so that neither is favoured: log popularity, and median log price."""
    out: dict[str, np.ndarray] = {}
    if "item_id" in a.codes:
        item = np.concatenate([a.codes["item_id"], b.codes["item_id"]])
        n = len(a.levels["item_id"])
        out["popularity"] = np.log1p(np.bincount(item[item >= 0], minlength=n))
        if "price" in a.numbers:
            price = np.log1p(np.concatenate([a.numbers["price"], b.numbers["price"]]))
            keep = (item >= 0) & np.isfinite(price)
            order = np.lexsort((price[keep], item[keep]))
            item, price = item[keep][order], price[keep][order]
            start = np.searchsorted(item, np.arange(n), side="left")
            stop = np.searchsorted(item, np.arange(n), side="right")
            middle = np.minimum((start + stop) // 2, max(len(price) - 1, 0))
            out["price"] = np.where(stop > start, price[middle], np.nan) if len(price) else np.full(n, np.nan)
    return out


def _aggregates(flat: Flat, reference: dict[str, np.ndarray]) -> np.ndarray:
    """(n_users, f) float64; NaN where a user has nothing to average."""
    user = flat.user
    first, last = flat.offsets[:-1], flat.offsets[1:] - 1
    log_gap = np.log1p(flat.gap)
    hour, day = flat.time // HOUR_MS % 24, flat.time // DAY_MS
    angle = 2 * np.pi * hour / 24
    new_day = np.concatenate([[True], (day[1:] != day[:-1]) | (user[1:] != user[:-1])])
    rows = [
        flat.lengths, _sum(user, flat.starts, flat.n_users), _sum(user, new_day, flat.n_users),
        (flat.time[last] - flat.time[first]) / DAY_MS, flat.time[first] / DAY_MS, flat.time[last] / DAY_MS,
        *_moments(user, log_gap, flat.n_users), *_moments(user, np.cos(angle), flat.n_users), *_moments(user, np.sin(angle), flat.n_users),
        *_moments(user, (day % 7 >= 2) & (day % 7 <= 3), flat.n_users),  # 1970-01-01 was a Thursday: 2, 3 are the weekend
        _sum(user, flat.gap == 0, flat.n_users) / flat.lengths,
    ]
    for values in flat.numbers.values():
        rows += _moments(user, np.sign(values) * np.log1p(np.abs(values)), flat.n_users)
    for mask in flat.labels.values():
        rows.append(_sum(user, mask, flat.n_users))
    if "item_id" in flat.codes:
        item = flat.codes["item_id"]
        pair = np.unique(user[item >= 0] * len(flat.levels["item_id"]) + item[item >= 0])
        distinct = np.bincount(pair // len(flat.levels["item_id"]), minlength=flat.n_users)
        rows += [distinct, distinct / np.maximum(_sum(user, item >= 0, flat.n_users), 1)]
        same = np.concatenate([[False], (item[1:] == item[:-1]) & (item[1:] >= 0) & (user[1:] == user[:-1])])
        rows.append(_sum(user, same, flat.n_users) / flat.lengths)
        rows += _moments(user, np.where(item >= 0, reference["popularity"][item], np.nan), flat.n_users)
        if "price" in reference:
            off = np.log1p(flat.numbers["price"]) - np.where(item >= 0, reference["price"][item], np.nan)
            rows += _moments(user, np.abs(off), flat.n_users)
    return np.stack([np.asarray(r, dtype=np.float64) for r in rows], axis=1)


def _moments(user: np.ndarray, values: np.ndarray, n: int) -> list[np.ndarray]:
    """Mean and standard deviation (n,) of the finite `values` of each user; NaN where a user has none."""
    values = np.asarray(values, dtype=np.float64)
    keep = np.isfinite(values)
    count = np.bincount(user[keep], minlength=n).astype(np.float64)
    count[count == 0] = np.nan
    mean = np.bincount(user[keep], values[keep], minlength=n) / count
    square = np.bincount(user[keep], values[keep] ** 2, minlength=n) / count
    return [mean, np.sqrt(np.maximum(square - mean**2, 0.0))]


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
